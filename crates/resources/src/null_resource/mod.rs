//! `null_resource` of the null provider: nothing but an id, replaced when `triggers` change. Provisioners hang on it.

use pve_model::{Type, Value};

use crate::definition::{Fields, of_type, text};
use crate::values::with;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["null_resource"];

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![("id", text().read_only()), ("triggers", of_type(Type::map(Type::String)).replaces())]
}

/// The values after apply; `id` was made with the claim.
pub(crate) fn applied(planned: &Value, id: &str) -> Value {
    let known = planned.get("id").and_then(Value::as_str).unwrap_or(id);
    with(planned, "id", Value::string(known))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::Definition;

    #[test]
    fn a_change_of_triggers_replaces_and_an_id_stays() {
        let schema = Definition::new(fields()).schema;
        assert!(schema.block.attributes["triggers"].replace);
        let planned = Value::object(BTreeMap::from([
            ("id".into(), Value::unknown(Type::String)),
            ("triggers".into(), Value::null(Type::map(Type::String))),
        ]));
        let made = applied(&planned, "7");
        assert_eq!(made.get("id"), Some(&Value::string("7")));
        assert_eq!(applied(&made, "8"), made);
    }
}
