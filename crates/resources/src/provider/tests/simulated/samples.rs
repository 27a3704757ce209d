//! Two values of an attribute, from its type, default and limits.

use pve_model::Type;
use pve_model::schema::Block;
use serde_json::{Value as Json, json};

use crate::definition::Check;
use crate::registry::Kind;

fn attribute<'a>(block: &'a Block, path: &str) -> &'a pve_model::schema::Attribute {
    match path.split_once('.') {
        Some((name, rest)) => attribute(&block.blocks[name].block, rest),
        None => &block.attributes[path],
    }
}

/// Two values, neither of them the default where there is a choice.
pub(super) fn of(kind: &Kind, path: &str) -> (Json, Json) {
    let attribute = attribute(kind.block(), path);
    let default = attribute.default.as_ref().map(pve_model::codec::to_plain_json);
    match (&attribute.ty, kind.check_at(path)) {
        (Type::Bool, _) => {
            let default = default == Some(json!(true));
            (json!(!default), json!(default))
        }
        (_, Some(Check::OneOf(accepted))) => {
            let mut other = accepted.iter().filter(|one| !one.is_empty() && default != Some(json!(one)));
            let first = other.next().or(accepted.first()).unwrap();
            (json!(first), json!(other.next().unwrap_or(accepted.iter().find(|one| *one != first).unwrap())))
        }
        (Type::Number, Some(Check::Range(least, _))) => (json!(least.max(0) + 2), json!(least.max(0) + 3)),
        (Type::Number, _) => (json!(3), json!(5)),
        (Type::String, _) => (json!("alpha"), json!("beta")),
        (ty, _) => panic!("{path} of {ty:?} needs samples of its own"),
    }
}
