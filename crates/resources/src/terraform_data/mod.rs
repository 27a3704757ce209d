//! The built-in `terraform_data`: keeps a value, and is replaced when `triggers_replace` changes.

use pve_model::rules::{PlanRequest, PlanResponse};
use pve_model::{Type, Value};

use crate::definition::{Fields, of_type, text};
use crate::registry::Rules;
use crate::values::{same, with};

/// The attributes.
pub(crate) fn fields() -> Fields {
    vec![
        ("id", text().read_only()),
        ("input", of_type(Type::Dynamic)),
        ("output", of_type(Type::Dynamic).read_only()),
        ("triggers_replace", of_type(Type::Dynamic).replaces()),
    ]
}

/// The rules.
pub(crate) fn rules() -> Rules {
    Rules { plan, ..Rules::default() }
}

/// `output` is unknown while `input` is new, as in the reference; without an input there is no output.
fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let null = Value::null(Type::Dynamic);
    let input = request.proposed.get("input").unwrap_or(&null);
    let kept = request.prior.filter(|prior| prior.get("input").is_some_and(|before| same(before, input)));
    let output = match kept.and_then(|prior| prior.get("output")) {
        Some(output) => output.clone(),
        None if input.is_null() => null,
        None => Value::unknown(input.ty()),
    };
    PlanResponse { planned: Some(with(request.proposed, "output", output)), ..PlanResponse::default() }
}

/// The values after apply: `output` is `input`, `id` was made with the claim.
pub(crate) fn applied(planned: &Value, id: &str) -> Value {
    let input = planned.get("input").cloned().unwrap_or_else(|| Value::null(Type::Dynamic));
    let known = planned.get("id").and_then(Value::as_str).unwrap_or(id);
    with(&with(planned, "output", input), "id", Value::string(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;

    #[test]
    fn output_is_unknown_only_while_input_is_new() {
        let definition = Definition::new(fields());
        let base = Value::null(definition.schema.block.implied_type());
        let config = |input: &str| {
            let value = with(&base, "input", Value::string(input));
            let value = with(&value, "id", Value::unknown(Type::String));
            with(&value, "triggers_replace", Value::null(Type::Dynamic))
        };
        let ask = |prior: Option<&Value>, config: &Value| {
            plan(PlanRequest { prior, config, proposed: config }).planned.unwrap()
        };
        let created = ask(None, &config("a"));
        assert!(!created.get("output").unwrap().is_known());
        let applied = applied(&created, "7");
        assert!(applied.is_wholly_known());
        assert_eq!(ask(Some(&applied), &config("a")).get("output"), Some(&Value::string("a")));
        assert!(!ask(Some(&applied), &config("b")).get("output").unwrap().is_known());
    }
}
