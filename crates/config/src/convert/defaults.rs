//! Defaults of `optional()` attributes, put in before a value is converted to its constraint.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Type, Value, ValueKind};

use super::{ConvertError, convert};

/// A type with the defaults of its optional attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeConstraint {
    /// The type.
    pub ty: Type,
    /// The defaults inside it.
    pub defaults: Defaults,
}

/// Defaults of one level of a type. A key of `children` is the name of an attribute, the index of an element of a
/// tuple, or empty for every element of a collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Defaults of attributes of this object.
    pub values: BTreeMap<Arc<str>, Value>,
    /// Defaults further in.
    pub children: BTreeMap<Arc<str>, Defaults>,
}

impl TypeConstraint {
    /// The value with defaults, converted to the type.
    ///
    /// # Errors
    /// When the value does not fit the type.
    pub fn apply(&self, value: &Value) -> Result<Value, ConvertError> {
        let value = if value.is_null() { value.clone() } else { self.defaults.apply(value) };
        convert(&value, &self.ty)
    }
}

impl Defaults {
    /// Whether there is no default.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.children.values().all(Defaults::is_empty)
    }

    /// The value with every absent or null attribute that has a default set to it. Values that do not fit are left as
    /// they are: converting them tells what is wrong.
    pub fn apply(&self, value: &Value) -> Value {
        if self.is_empty() || value.is_null() || !value.is_known() {
            return value.clone();
        }
        let kind = match &value.kind {
            ValueKind::List(_, values) | ValueKind::Set(_, values) | ValueKind::Tuple(values) => {
                let parts =
                    values.iter().enumerate().map(|(i, value)| self.child(&i.to_string()).apply(value));
                ValueKind::Tuple(Arc::new(parts.collect()))
            }
            ValueKind::Map(_, values) | ValueKind::Object(values) => {
                let mut parts: BTreeMap<Arc<str>, Value> =
                    values.iter().map(|(key, value)| (key.clone(), self.child(key).apply(value))).collect();
                for (name, default) in &self.values {
                    if parts.get(name).is_none_or(Value::is_null) {
                        parts.insert(name.clone(), self.child(name).apply(default));
                    }
                }
                ValueKind::Object(Arc::new(parts))
            }
            other => other.clone(),
        };
        Value { kind, marks: value.marks }
    }

    fn child(&self, key: &str) -> &Defaults {
        static NONE: Defaults = Defaults { values: BTreeMap::new(), children: BTreeMap::new() };
        self.children.get(key).or_else(|| self.children.get("")).unwrap_or(&NONE)
    }
}

/// The value with defaults put in; see [`Defaults::apply`].
pub fn apply_defaults(value: &Value, defaults: &Defaults) -> Value {
    defaults.apply(value)
}
