//! A plan's JSON without the values that it calls sensitive itself.

use serde_json::{Map, Value as Json, json};

/// What stands where a secret was.
const HIDDEN: &str = "(sensitive value)";

/// The plan without secrets. `is_secret` says it of variables, which the format does not.
pub fn masked(mut plan: Json, is_secret: &dyn Fn(&str) -> bool) -> Json {
    if let Some(variables) = plan.get_mut("variables").and_then(Json::as_object_mut) {
        for (_, variable) in variables.iter_mut().filter(|(name, _)| is_secret(name)) {
            variable["value"] = json!(HIDDEN);
        }
    }
    mask(&mut plan);
    plan
}

/// Everywhere: the parts that stand beside flags for them.
fn mask(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            for (values, flags) in
                [("before", "before_sensitive"), ("after", "after_sensitive"), ("values", "sensitive_values")]
            {
                hide_in(fields, values, flags);
            }
            hide_in(fields, "value", "sensitive");
            fields.values_mut().for_each(mask);
        }
        Json::Array(elements) => elements.iter_mut().for_each(mask),
        _ => {}
    }
}

fn hide_in(fields: &mut Map<String, Json>, values: &str, flags: &str) {
    let Some(flags) = fields.get(flags).cloned() else { return };
    if let Some(values) = fields.get_mut(values) {
        hide(values, &flags);
    }
}

fn hide(value: &mut Json, flags: &Json) {
    match (value, flags) {
        (Json::Null, _) => {}
        (value, Json::Bool(true)) => *value = json!(HIDDEN),
        (Json::Object(parts), Json::Object(flags)) => {
            for (name, part) in parts {
                if let Some(flags) = flags.get(name) {
                    hide(part, flags);
                }
            }
        }
        (Json::Array(parts), Json::Array(flags)) => {
            parts.iter_mut().zip(flags).for_each(|(part, flags)| hide(part, flags));
        }
        _ => {}
    }
}
