//! Endpoints whose parameters depend on the `type` (PVE::SectionConfig with isolated properties, `oneOf`).

use std::collections::BTreeMap;

use super::{Keys, Property, Raw};
use crate::schema::validate::Errors;

/// A type, what it demands on creation and what it allows.
type Branch = (&'static str, &'static [&'static str], &'static [&'static str]);

const RULES: &[Branch] = &[
    ("node-affinity", &["resources", "nodes"], &["strict"]),
    ("resource-affinity", &["resources", "affinity"], &[]),
];

fn branches(template: &str) -> &'static [Branch] {
    match template {
        "/cluster/ha/rules" | "/cluster/ha/rules/{rule}" => RULES,
        _ => &[],
    }
}

/// The parameters of a call of this type, and errors for what the type demands; `None` where the type does not matter.
pub(crate) fn for_type(
    method: &str,
    template: &str,
    keys: &Keys,
    raw: &BTreeMap<String, Raw>,
) -> Option<(Keys, Errors)> {
    let branches = branches(template);
    if branches.is_empty() || !matches!(method, "POST" | "PUT") {
        return None;
    }
    let chosen = match raw.get("type") {
        Some(Raw::Text(name)) => branches.iter().find(|(known, ..)| known == name),
        _ => None,
    };
    let (mut kept, mut errors) = (Keys::new(), Errors::new());
    for (name, property) in keys {
        let special = branches.iter().any(|(_, required, options)| {
            required.contains(&name.as_str()) || options.contains(&name.as_str())
        });
        let wanted = chosen.is_some_and(|(_, required, options)| {
            required.contains(&name.as_str()) || options.contains(&name.as_str())
        });
        if !special || wanted {
            kept.insert(
                name.clone(),
                Property { optional: property.optional || special, ..property.clone() },
            );
        }
    }
    if let Some((kind, required, _)) = chosen.filter(|_| method == "POST") {
        for name in required.iter().filter(|name| !raw.contains_key(**name)) {
            let text = "property is missing and it is not optional";
            errors.insert(format!("oneOf[{kind}].{name}"), text.to_owned());
        }
    }
    Some((kept, errors))
}
