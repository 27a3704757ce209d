//! Conversion between types, and the one type that several types have in common.

mod defaults;
mod unify;

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Number, Type, Value, ValueKind};

pub use defaults::{Defaults, apply_defaults};
pub use unify::{converts_safely, unify};

/// Why a value cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct ConvertError {
    /// Where in the value, for instance `[2].name`; empty for the value itself.
    pub path: String,
    /// What was expected and found, for instance `string required, but this is a list`.
    pub message: String,
}

impl ConvertError {
    fn new(message: impl Into<String>) -> ConvertError {
        ConvertError { path: String::new(), message: message.into() }
    }

    fn within(mut self, step: &str) -> ConvertError {
        self.path.insert_str(0, step);
        self
    }
}

/// Converts a value to a type. Unknown values become unknown values of the type, null becomes null of the type, marks
/// stay. What is missing of `optional()` attributes becomes null.
///
/// # Errors
/// When no conversion exists or the value does not fit it.
pub fn convert(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    if *ty == Type::Dynamic {
        return Ok(value.clone());
    }
    let converted = match &value.kind {
        ValueKind::Null(own) => {
            check_possible(own, ty)?;
            Value::null(target_type(own, ty))
        }
        ValueKind::Unknown(own, refinement) => {
            check_possible(own, ty)?;
            let target = target_type(own, ty);
            match refinement {
                Some(refinement) if own == &target => {
                    ValueKind::Unknown(target, Some(refinement.clone())).into()
                }
                Some(refinement) if refinement.not_null => {
                    let kept = pve_model::value::Refinement { not_null: true, ..Default::default() };
                    Value::unknown_refined(target, kept)
                }
                _ => Value::unknown(target),
            }
        }
        _ => convert_known(value, ty)?,
    };
    Ok(converted.with_marks(value.marks))
}

fn convert_known(value: &Value, ty: &Type) -> Result<Value, ConvertError> {
    match (&value.kind, ty) {
        (ValueKind::String(_), Type::String)
        | (ValueKind::Number(_), Type::Number)
        | (ValueKind::Bool(_), Type::Bool) => Ok(value.clone()),
        (ValueKind::Number(number), Type::String) => Ok(Value::string(number.to_string())),
        (ValueKind::Bool(flag), Type::String) => Ok(Value::string(flag.to_string())),
        (ValueKind::String(text), Type::Number) => {
            text.parse::<Number>().map(Value::number).map_err(|_| ConvertError::new("a number is required"))
        }
        (ValueKind::String(text), Type::Bool) => match &**text {
            "true" | "1" => Ok(Value::bool(true)),
            "false" | "0" => Ok(Value::bool(false)),
            "True" | "TRUE" | "False" | "FALSE" => {
                let meant = text.to_lowercase();
                Err(ConvertError::new(format!("a bool is required; to convert from string, use lowercase \"{meant}\"")))
            }
            _ => Err(ConvertError::new("a bool is required")),
        },
        (
            ValueKind::List(_, elements) | ValueKind::Set(_, elements) | ValueKind::Tuple(elements),
            Type::List(element) | Type::Set(element),
        ) => {
            let (element, elements) = convert_elements(elements, element)?;
            Ok(if matches!(ty, Type::List(_)) { Value::list(element, elements) } else { Value::set(element, elements) })
        }
        (ValueKind::Tuple(elements), Type::Tuple(types)) => {
            if elements.len() != types.len() {
                let (want, have) = (types.len(), elements.len());
                return Err(ConvertError::new(format!("a tuple of {want} elements is required, this has {have}")));
            }
            let converted = elements.iter().zip(types.iter()).enumerate();
            let converted = converted.map(|(i, (e, t))| convert(e, t).map_err(|error| error.within(&step_index(i))));
            Ok(Value::tuple(converted.collect::<Result<_, _>>()?))
        }
        (ValueKind::Map(_, entries) | ValueKind::Object(entries), Type::Map(element)) => {
            let (element, entries) = convert_entries(entries, element)?;
            Ok(Value::map(element, entries))
        }
        (ValueKind::Map(_, entries) | ValueKind::Object(entries), Type::Object(attributes)) => {
            let mut converted = BTreeMap::new();
            for (name, attribute) in attributes.iter() {
                let value = match entries.get(name) {
                    Some(value) => {
                        convert(value, &attribute.ty).map_err(|error| error.within(&format!(".{name}")))?
                    }
                    None if attribute.optional => Value::null(attribute.ty.clone()),
                    None => return Err(ConvertError::new(missing(attributes, entries))),
                };
                converted.insert(name.clone(), value);
            }
            Ok(Value::object(converted))
        }
        _ => Err(ConvertError::new(mismatch(&value.ty(), ty))),
    }
}

fn step_index(index: usize) -> String {
    format!("[{index}]")
}

fn missing(
    attributes: &BTreeMap<Arc<str>, pve_model::types::AttributeType>,
    entries: &BTreeMap<Arc<str>, Value>,
) -> String {
    let absent: Vec<String> = attributes
        .iter()
        .filter(|(name, attribute)| !attribute.optional && !entries.contains_key(*name))
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    match &absent[..] {
        [one] => format!("attribute {one} is required"),
        several => format!("attributes {} are required", several.join(", ")),
    }
}

fn convert_elements(elements: &[Value], ty: &Type) -> Result<(Type, Vec<Value>), ConvertError> {
    let ty = common_type(ty, elements.iter())?;
    let converted = elements
        .iter()
        .enumerate()
        .map(|(i, element)| convert(element, &ty).map_err(|error| error.within(&step_index(i))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((settled(ty, converted.iter()), converted))
}

type Entries = BTreeMap<Arc<str>, Value>;

fn convert_entries(entries: &Entries, ty: &Type) -> Result<(Type, Entries), ConvertError> {
    let ty = common_type(ty, entries.values())?;
    let converted = entries
        .iter()
        .map(|(key, element)| {
            let value = convert(element, &ty).map_err(|error| error.within(&format!("[{key:?}]")))?;
            Ok((key.clone(), value))
        })
        .collect::<Result<BTreeMap<_, _>, ConvertError>>()?;
    Ok((settled(ty, converted.values()), converted))
}

/// With `any` inside a collection, the one type that all elements have in common.
fn common_type<'v>(ty: &Type, values: impl Iterator<Item = &'v Value> + Clone) -> Result<Type, ConvertError> {
    if ty.is_wholly_known() {
        return Ok(ty.clone());
    }
    let types: Vec<Type> = if *ty == Type::Dynamic {
        values.map(Value::ty).collect()
    } else {
        values
            .enumerate()
            .map(|(i, value)| convert(value, ty).map(|v| v.ty()).map_err(|error| error.within(&step_index(i))))
            .collect::<Result<_, _>>()?
    };
    if types.is_empty() {
        return Ok(ty.clone());
    }
    unify(&types).ok_or_else(|| ConvertError::new("all elements must have the same type"))
}

/// The element type of a converted collection: that of its elements where the constraint left it open.
fn settled<'v>(ty: Type, mut values: impl Iterator<Item = &'v Value>) -> Type {
    if ty.is_wholly_known() {
        return without_optional(&ty);
    }
    values.next().map_or(ty, Value::ty)
}

/// A type as values have it: nothing is optional any more.
pub fn without_optional(ty: &Type) -> Type {
    match ty {
        Type::List(t) => Type::list(without_optional(t)),
        Type::Set(t) => Type::set(without_optional(t)),
        Type::Map(t) => Type::map(without_optional(t)),
        Type::Tuple(ts) => Type::tuple(ts.iter().map(without_optional)),
        Type::Object(attributes) => {
            Type::object(attributes.iter().map(|(name, a)| (name.clone(), without_optional(&a.ty))))
        }
        other => other.clone(),
    }
}

/// The type of a null or unknown value after conversion.
fn target_type(own: &Type, ty: &Type) -> Type {
    if ty.is_wholly_known() {
        return without_optional(ty);
    }
    match (own, ty) {
        (_, Type::Dynamic) => own.clone(),
        (Type::List(a) | Type::Set(a), Type::List(b)) => Type::list(target_type(a, b)),
        (Type::List(a) | Type::Set(a), Type::Set(b)) => Type::set(target_type(a, b)),
        (Type::Map(a), Type::Map(b)) => Type::map(target_type(a, b)),
        (Type::Tuple(parts), Type::List(b)) if **b == Type::Dynamic => {
            unify(parts).map_or_else(|| ty.clone(), Type::list)
        }
        (Type::Tuple(parts), Type::Set(b)) if **b == Type::Dynamic => {
            unify(parts).map_or_else(|| ty.clone(), Type::set)
        }
        (Type::Object(parts), Type::Map(b)) if **b == Type::Dynamic => {
            let parts: Vec<Type> = parts.values().map(|a| a.ty.clone()).collect();
            unify(&parts).map_or_else(|| ty.clone(), Type::map)
        }
        _ => without_optional(ty),
    }
}

/// Whether some value of type `from` could be converted.
fn check_possible(from: &Type, to: &Type) -> Result<(), ConvertError> {
    let possible = match (from, to) {
        (Type::Dynamic, _) | (_, Type::Dynamic) => true,
        (Type::Bool | Type::Number, Type::String) | (Type::String, Type::Bool | Type::Number) => true,
        (a, b) if a.is_primitive() || b.is_primitive() => a == b,
        (Type::List(a) | Type::Set(a), Type::List(b) | Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            return check_possible(a, b);
        }
        (Type::Tuple(parts), Type::List(b) | Type::Set(b)) => {
            return parts.iter().try_for_each(|part| check_possible(part, b));
        }
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| check_possible(a, b).is_ok())
        }
        (Type::Object(parts), Type::Map(b)) => {
            return parts.values().try_for_each(|part| check_possible(&part.ty, b));
        }
        (Type::Map(a), Type::Object(attributes)) => {
            attributes.values().all(|attribute| check_possible(a, &attribute.ty).is_ok())
        }
        (Type::Object(parts), Type::Object(attributes)) => attributes.iter().all(|(name, attribute)| {
            match parts.get(name) {
                Some(part) => check_possible(&part.ty, &attribute.ty).is_ok(),
                None => attribute.optional,
            }
        }),
        _ => false,
    };
    if possible { Ok(()) } else { Err(ConvertError::new(mismatch(from, to))) }
}

fn mismatch(from: &Type, to: &Type) -> String {
    format!("{} is required, but this is {}", article(to), article(from))
}

/// A type in words: `a list of string`, `an object`.
pub fn article(ty: &Type) -> String {
    match ty {
        Type::Dynamic => "any value".into(),
        Type::Bool => "a bool".into(),
        Type::Number => "a number".into(),
        Type::String => "a string".into(),
        Type::List(t) => format!("a list of {t}"),
        Type::Set(t) => format!("a set of {t}"),
        Type::Map(t) => format!("a map of {t}"),
        Type::Tuple(_) => "a tuple".into(),
        Type::Object(_) => "an object".into(),
    }
}
