//! Type constraints of the configuration language.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value as Json, json};

/// A type, or with [`Type::Dynamic`] inside, a constraint on types.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// `any`: the type of a value is not known yet.
    Dynamic,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(T)`
    List(Arc<Type>),
    /// `set(T)`
    Set(Arc<Type>),
    /// `map(T)`
    Map(Arc<Type>),
    /// `tuple([T, ...])`
    Tuple(Arc<[Type]>),
    /// `object({name = T, ...})`
    Object(Arc<BTreeMap<Arc<str>, AttributeType>>),
}

/// The type of one attribute of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType {
    /// The attribute's type.
    pub ty: Type,
    /// Whether the attribute may be left out (`optional()`), in constraints only.
    pub optional: bool,
}

impl Type {
    /// `list(element)`
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    /// `set(element)`
    pub fn set(element: Type) -> Type {
        Type::Set(Arc::new(element))
    }

    /// `map(element)`
    pub fn map(element: Type) -> Type {
        Type::Map(Arc::new(element))
    }

    /// `tuple([...])`
    pub fn tuple(elements: impl IntoIterator<Item = Type>) -> Type {
        Type::Tuple(elements.into_iter().collect())
    }

    /// `object({...})` with all attributes required.
    pub fn object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Type)>) -> Type {
        let attributes =
            attributes.into_iter().map(|(name, ty)| (name.into(), AttributeType { ty, optional: false }));
        Type::Object(Arc::new(attributes.collect()))
    }

    /// Whether `any` stands nowhere inside.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Type::Dynamic => false,
            Type::Bool | Type::Number | Type::String => true,
            Type::List(t) | Type::Set(t) | Type::Map(t) => t.is_wholly_known(),
            Type::Tuple(ts) => ts.iter().all(Type::is_wholly_known),
            Type::Object(attributes) => attributes.values().all(|a| a.ty.is_wholly_known()),
        }
    }

    /// Whether this is bool, number or string.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::Bool | Type::Number | Type::String)
    }

    /// Whether an attribute somewhere inside may be left out.
    pub fn has_optional(&self) -> bool {
        match self {
            Type::List(element) | Type::Set(element) | Type::Map(element) => element.has_optional(),
            Type::Tuple(types) => types.iter().any(Type::has_optional),
            Type::Object(attributes) => attributes.values().any(|a| a.optional || a.ty.has_optional()),
            _ => false,
        }
    }

    /// The type of values that fit this as a constraint: `optional` is no part of it.
    pub fn plain(&self) -> Type {
        if !self.has_optional() {
            return self.clone();
        }
        match self {
            Type::List(element) => Type::list(element.plain()),
            Type::Set(element) => Type::set(element.plain()),
            Type::Map(element) => Type::map(element.plain()),
            Type::Tuple(types) => Type::tuple(types.iter().map(Type::plain)),
            Type::Object(attributes) => {
                Type::object(attributes.iter().map(|(name, attribute)| (name.clone(), attribute.ty.plain())))
            }
            other => other.clone(),
        }
    }

    /// The element type of a list, set or map.
    pub fn element(&self) -> Option<&Type> {
        match self {
            Type::List(t) | Type::Set(t) | Type::Map(t) => Some(t),
            _ => None,
        }
    }

    /// The type as the JSON that Terraform's formats use: `"string"`, `["list","string"]`, `["object",{...}]`.
    pub fn to_json(&self) -> Json {
        match self {
            Type::Dynamic => json!("dynamic"),
            Type::Bool => json!("bool"),
            Type::Number => json!("number"),
            Type::String => json!("string"),
            Type::List(t) => json!(["list", t.to_json()]),
            Type::Set(t) => json!(["set", t.to_json()]),
            Type::Map(t) => json!(["map", t.to_json()]),
            Type::Tuple(ts) => json!(["tuple", ts.iter().map(Type::to_json).collect::<Vec<_>>()]),
            Type::Object(attributes) => {
                let types: serde_json::Map<String, Json> =
                    attributes.iter().map(|(name, a)| (name.to_string(), a.ty.to_json())).collect();
                let optional: Vec<&str> =
                    attributes.iter().filter(|(_, a)| a.optional).map(|(name, _)| &**name).collect();
                if optional.is_empty() {
                    json!(["object", types])
                } else {
                    json!(["object", types, optional])
                }
            }
        }
    }

    /// Reads what [`Type::to_json`] writes; `None` when the JSON is no type.
    pub fn from_json(json: &Json) -> Option<Type> {
        if let Some(name) = json.as_str() {
            return match name {
                "dynamic" => Some(Type::Dynamic),
                "bool" => Some(Type::Bool),
                "number" => Some(Type::Number),
                "string" => Some(Type::String),
                _ => None,
            };
        }
        let parts = json.as_array()?;
        let argument = parts.get(1)?;
        match parts.first()?.as_str()? {
            "list" => Some(Type::list(Type::from_json(argument)?)),
            "set" => Some(Type::set(Type::from_json(argument)?)),
            "map" => Some(Type::map(Type::from_json(argument)?)),
            "tuple" => {
                argument.as_array()?.iter().map(Type::from_json).collect::<Option<Vec<_>>>().map(Type::tuple)
            }
            "object" => {
                let optional: Vec<&str> = parts
                    .get(2)
                    .and_then(Json::as_array)
                    .map(|names| names.iter().filter_map(Json::as_str).collect())
                    .unwrap_or_default();
                let attributes = argument
                    .as_object()?
                    .iter()
                    .map(|(name, ty)| {
                        let optional = optional.contains(&name.as_str());
                        Some((Arc::from(name.as_str()), AttributeType { ty: Type::from_json(ty)?, optional }))
                    })
                    .collect::<Option<BTreeMap<_, _>>>()?;
                Some(Type::Object(Arc::new(attributes)))
            }
            _ => None,
        }
    }
}

/// The type as it is written in a configuration.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dynamic => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Number => f.write_str("number"),
            Type::String => f.write_str("string"),
            Type::List(t) => write!(f, "list({t})"),
            Type::Set(t) => write!(f, "set({t})"),
            Type::Map(t) => write!(f, "map({t})"),
            Type::Tuple(ts) => {
                f.write_str("tuple([")?;
                for (i, t) in ts.iter().enumerate() {
                    write!(f, "{}{t}", if i == 0 { "" } else { "," })?;
                }
                f.write_str("])")
            }
            Type::Object(attributes) => {
                f.write_str("object({")?;
                for (i, (name, a)) in attributes.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    let name = AttributeName(name);
                    if a.optional {
                        write!(f, "{comma}{name}=optional({})", a.ty)?;
                    } else {
                        write!(f, "{comma}{name}={}", a.ty)?;
                    }
                }
                f.write_str("})")
            }
        }
    }
}

/// The name of an attribute, in quotes where it is no identifier.
struct AttributeName<'a>(&'a str);

impl fmt::Display for AttributeName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_identifier = self.0.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && self.0.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if is_identifier {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c.escape_debug().next() {
                Some('\\') if c == '\'' => f.write_str("'")?,
                Some('\\') if !c.is_ascii() => write!(f, "\\u{:04x}", u32::from(c))?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        f.write_str("\"")
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Type, D::Error> {
        let json = Json::deserialize(deserializer)?;
        Type::from_json(&json).ok_or_else(|| D::Error::custom(format!("not a type: {json}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn types_survive_their_json_form() {
        for text in [
            r#"["object",{"a":"string","b":["list",["map","number"]]},["b"]]"#,
            r#"["tuple",["bool","dynamic"]]"#,
            r#"["set","string"]"#,
        ] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(Type::from_json(&json).unwrap().to_json(), json);
        }
    }

    #[test]
    fn values_do_not_know_what_a_constraint_lets_be_left_out() {
        let json: Json = serde_json::from_str(r#"["object",{"a":"string"},["a"]]"#).unwrap();
        let constraint = Type::from_json(&json).unwrap();
        let plain = Type::object([("a", Type::String)]);
        let made = |ty: &Type| {
            [Value::null(ty.clone()), Value::unknown(ty.clone()), Value::list(ty.clone(), Vec::new())]
        };
        assert_ne!(constraint, plain);
        assert_eq!(made(&constraint), made(&plain));
    }
}
