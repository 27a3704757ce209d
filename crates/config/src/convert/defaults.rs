//! Defaults of `optional()` attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Value, ValueKind};

/// The defaults that a type constraint has, at their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Defaults of the attributes of this object.
    pub attributes: BTreeMap<Arc<str>, Value>,
    /// Defaults inside attributes, or under the empty name those inside the elements of a collection.
    pub children: BTreeMap<Arc<str>, Defaults>,
}

impl Defaults {
    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.values().all(Defaults::is_empty)
    }
}

/// The value with defaults in place of attributes that are absent or null.
pub fn apply_defaults(defaults: &Defaults, value: &Value) -> Value {
    if defaults.is_empty() || !value.is_known() || value.is_null() {
        return value.clone();
    }
    let inside = defaults.children.get("");
    let all = |elements: &[Value]| -> Vec<Value> {
        elements
            .iter()
            .enumerate()
            .map(|(i, element)| match inside.or_else(|| defaults.children.get(i.to_string().as_str())) {
                Some(child) => apply_defaults(child, element),
                None => element.clone(),
            })
            .collect()
    };
    let kind = match &value.kind {
        // Element types may change before conversion: tuples stand for lists whose elements differ.
        ValueKind::List(_, elements) | ValueKind::Tuple(elements) | ValueKind::Set(_, elements) => {
            ValueKind::Tuple(Arc::new(all(elements)))
        }
        ValueKind::Map(_, entries) | ValueKind::Object(entries) => {
            let mut applied = BTreeMap::new();
            for (name, part) in entries.iter() {
                let part = match (part.is_null(), defaults.attributes.get(name)) {
                    (true, Some(default)) => default.clone(),
                    _ => part.clone(),
                };
                let child = defaults.children.get(name).or(inside);
                let part = child.map_or(part.clone(), |child| apply_defaults(child, &part));
                applied.insert(name.clone(), part);
            }
            for (name, default) in &defaults.attributes {
                applied.entry(name.clone()).or_insert_with(|| match defaults.children.get(name) {
                    Some(child) => apply_defaults(child, default),
                    None => default.clone(),
                });
            }
            ValueKind::Object(Arc::new(applied))
        }
        other => other.clone(),
    };
    Value { kind, marks: value.marks }
}
