//! Conversion of values between types, and the type that several types have in common.

mod defaults;
mod unify;

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::value::Refinement;
use pve_model::{Number, Type, Value, ValueKind};

pub use defaults::{Defaults, TypeConstraint, apply_defaults};
pub use unify::unify;

/// Why a value cannot be converted. `path` leads to the part at fault, as it is written: `.disks[0].size`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct ConvertError {
    /// Where in the value.
    pub path: String,
    /// What is wrong there.
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

/// Converts `value` to `target`; `any` inside `target` takes the type that the parts there have in common. Unknown
/// values stay unknown, null stays null, marks stay where they are.
///
/// # Errors
/// When no conversion exists, or a string is no number or bool.
pub fn convert(value: &Value, target: &Type) -> Result<Value, ConvertError> {
    if *target == Type::Dynamic {
        return Ok(value.clone());
    }
    if target.is_wholly_known() {
        return convert_to(value, target);
    }
    let from = value.ty();
    conversion_fault(&from, target).map_or(Ok(()), Err)?;
    let concrete = replace_any(&from, target);
    convert_to(value, &concrete)
}

/// Whether a conversion between the types exists; it may still fail for single values.
pub fn is_convertible(from: &Type, to: &Type) -> bool {
    conversion_fault(from, to).is_none()
}

/// The conversion with `any` replaced already.
fn convert_to(value: &Value, target: &Type) -> Result<Value, ConvertError> {
    if *target == Type::Dynamic || (value.ty() == *target && !target.has_optional()) {
        return Ok(value.clone());
    }
    let converted = match &value.kind {
        ValueKind::Null(from) => {
            conversion_fault(from, target).map_or(Ok(()), Err)?;
            Value::null(target.plain())
        }
        ValueKind::Unknown(from, refinement) => {
            conversion_fault(from, target).map_or(Ok(()), Err)?;
            convert_unknown(from, refinement.as_deref(), target)
        }
        _ => convert_known(value, target)?,
    };
    Ok(converted.with_marks(value.marks))
}

fn convert_unknown(from: &Type, refinement: Option<&Refinement>, target: &Type) -> Value {
    let Some(refinement) = refinement else { return Value::unknown(target.plain()) };
    let mut kept = Refinement { not_null: refinement.not_null, ..Refinement::default() };
    let lengths = matches!((from, target), (Type::List(_), Type::List(_)) | (Type::Set(_), Type::List(_)))
        || matches!((from, target), (Type::Map(_), Type::Map(_)));
    if lengths {
        kept.min_length = refinement.min_length;
        kept.max_length = refinement.max_length;
    }
    Value::unknown_refined(target.plain(), kept)
}

fn convert_known(value: &Value, target: &Type) -> Result<Value, ConvertError> {
    match (&value.kind, target) {
        (ValueKind::List(_, values) | ValueKind::Set(_, values), _) if values.is_empty() => {
            conversion_fault(&value.ty(), target).map_or(Ok(()), Err)?;
        }
        (ValueKind::Map(_, values), Type::Map(_)) if values.is_empty() => {
            conversion_fault(&value.ty(), target).map_or(Ok(()), Err)?;
        }
        (ValueKind::Set(..), Type::List(element)) if value.has_unknown_length() => {
            conversion_fault(&value.ty(), target).map_or(Ok(()), Err)?;
            return Ok(Value::unknown(Type::list(element.plain())));
        }
        _ => {}
    }
    match (&value.kind, target) {
        (ValueKind::Bool(flag), Type::String) => Ok(Value::string(if *flag { "true" } else { "false" })),
        (ValueKind::Number(number), Type::String) => Ok(Value::string(number.to_string())),
        (ValueKind::String(text), Type::Number) => parse_number(text),
        (ValueKind::String(text), Type::Bool) => parse_bool(text),
        (ValueKind::List(..) | ValueKind::Set(..) | ValueKind::Tuple(_), Type::List(element)) => {
            Ok(Value::list(element.plain(), convert_elements(value, element)?))
        }
        (ValueKind::List(..) | ValueKind::Set(..) | ValueKind::Tuple(_), Type::Set(element)) => {
            Ok(Value::set(element.plain(), convert_elements(value, element)?))
        }
        (ValueKind::Tuple(values), Type::Tuple(types)) if values.len() == types.len() => {
            let parts = values.iter().zip(types.iter()).enumerate().map(|(i, (value, ty))| {
                convert_to(value, ty).map_err(|error| error.within(&format!("[{i}]")))
            });
            Ok(Value::tuple(parts.collect::<Result<_, _>>()?))
        }
        (ValueKind::Map(_, values) | ValueKind::Object(values), Type::Map(element)) => {
            let parts = values.iter().map(|(key, value)| {
                let part =
                    convert_to(value, element).map_err(|error| error.within(&format!("[\"{key}\"]")))?;
                Ok((key.clone(), part))
            });
            Ok(Value::map(element.plain(), parts.collect::<Result<_, ConvertError>>()?))
        }
        (ValueKind::Map(_, values) | ValueKind::Object(values), Type::Object(_)) => {
            convert_to_object(values, target)
        }
        _ => Err(conversion_fault(&value.ty(), target).unwrap_or_else(|| mismatch(&value.ty(), target))),
    }
}

fn convert_elements(value: &Value, element: &Type) -> Result<Vec<Value>, ConvertError> {
    let elements = value.elements().unwrap_or_default();
    let parts = elements
        .iter()
        .enumerate()
        .map(|(i, part)| convert_to(part, element).map_err(|error| error.within(&format!("[{i}]"))));
    parts.collect()
}

fn convert_to_object(values: &BTreeMap<Arc<str>, Value>, target: &Type) -> Result<Value, ConvertError> {
    let Type::Object(attributes) = target else { return Err(ConvertError::new("object required")) };
    let mut result = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, attribute) in attributes.iter() {
        let part = match values.get(name) {
            Some(part) => {
                convert_to(part, &attribute.ty).map_err(|error| error.within(&format!(".{name}")))?
            }
            None if attribute.optional => Value::null(attribute.ty.plain()),
            None => {
                missing.push(format!("\"{name}\""));
                continue;
            }
        };
        result.insert(name.clone(), part);
    }
    match &missing[..] {
        [] => Ok(Value::object(result)),
        [one] => Err(ConvertError::new(format!("attribute {one} is required"))),
        many => Err(ConvertError::new(format!("attributes {} are required", many.join(", ")))),
    }
}

/// A number in decimal notation, as a string that is converted may hold it.
fn parse_number(text: &str) -> Result<Value, ConvertError> {
    let (sign, plain) = match text.as_bytes().first() {
        Some(b'+' | b'-') => text.split_at(1),
        _ => ("", text),
    };
    if matches!(plain, "Inf" | "inf") {
        let infinity = if sign == "-" { f64::NEG_INFINITY } else { f64::INFINITY };
        return Number::from_f64(infinity)
            .map(Value::number)
            .ok_or_else(|| ConvertError::new("a number is required"));
    }
    let sign = sign.trim_start_matches('+');
    let zero = if plain.starts_with('.') && plain.len() > 1 { "0" } else { "" };
    let whole = format!("{sign}{zero}{}", plain.replacen(".e", ".0e", 1));
    let whole = if whole.ends_with('.') { format!("{whole}0") } else { whole };
    whole.parse::<Number>().map(Value::number).map_err(|_| ConvertError::new("a number is required"))
}

fn parse_bool(text: &str) -> Result<Value, ConvertError> {
    match text {
        "true" | "1" => Ok(Value::bool(true)),
        "false" | "0" => Ok(Value::bool(false)),
        _ => {
            let lower = text.to_lowercase();
            let hint = match lower.as_str() {
                "true" | "false" => format!("; write \"{lower}\" in lower case"),
                _ => String::new(),
            };
            Err(ConvertError::new(format!("a bool is required{hint}")))
        }
    }
}

/// `target` with each `any` replaced by what `from` has there.
fn replace_any(from: &Type, target: &Type) -> Type {
    if *target == Type::Dynamic {
        return from.clone();
    }
    if target.is_wholly_known() || *from == Type::Dynamic {
        return target.clone();
    }
    let common = |types: Vec<Type>, element: &Type| {
        let types: Vec<Type> = types.iter().map(|ty| replace_any(ty, element)).collect();
        if types.is_empty() { element.clone() } else { unify(&types).unwrap_or(Type::Dynamic) }
    };
    let parts = |element: &Type| match from {
        Type::List(inner) | Type::Set(inner) | Type::Map(inner) => replace_any(inner, element),
        Type::Tuple(types) => common(types.to_vec(), element),
        Type::Object(attributes) => common(attributes.values().map(|a| a.ty.clone()).collect(), element),
        _ => element.clone(),
    };
    match target {
        Type::List(element) => Type::list(parts(element)),
        Type::Set(element) => Type::set(parts(element)),
        Type::Map(element) => Type::map(parts(element)),
        Type::Tuple(types) => match from {
            Type::Tuple(given) if given.len() == types.len() => {
                Type::tuple(given.iter().zip(types.iter()).map(|(from, to)| replace_any(from, to)))
            }
            _ => target.clone(),
        },
        Type::Object(attributes) => {
            let replaced = attributes.iter().map(|(name, attribute)| {
                let given = match from {
                    Type::Object(given) => given.get(name).map(|a| a.ty.clone()),
                    Type::Map(element) => Some((**element).clone()),
                    _ => None,
                };
                let mut attribute = attribute.clone();
                if let Some(given) = given {
                    attribute.ty = replace_any(&given, &attribute.ty);
                }
                (name.clone(), attribute)
            });
            Type::Object(Arc::new(replaced.collect()))
        }
        other => other.clone(),
    }
}

/// Why no value of `from` can become one of `to`; none if some can.
fn conversion_fault(from: &Type, to: &Type) -> Option<ConvertError> {
    if from == to || *from == Type::Dynamic || *to == Type::Dynamic {
        return None;
    }
    match (from, to) {
        (Type::Bool | Type::Number, Type::String) | (Type::String, Type::Bool | Type::Number) => None,
        (Type::List(a) | Type::Set(a), Type::List(b) | Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            conversion_fault(a, b).map(|error| error.within("[...]"))
        }
        (Type::Tuple(types), Type::List(element) | Type::Set(element)) => elements_fault(types, element),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => a
            .iter()
            .zip(b.iter())
            .enumerate()
            .find_map(|(i, (a, b))| conversion_fault(a, b).map(|error| error.within(&format!("[{i}]")))),
        (Type::Tuple(a), Type::Tuple(b)) => Some(ConvertError::new(format!(
            "a tuple of {} elements is required, and this has {}",
            b.len(),
            a.len()
        ))),
        (Type::Object(attributes), Type::Map(element)) => {
            let types: Vec<Type> = attributes.values().map(|a| a.ty.clone()).collect();
            elements_fault(&types, element)
        }
        (Type::Object(given), Type::Object(wanted)) => {
            wanted.iter().find_map(|(name, attribute)| match given.get(name) {
                Some(given) => {
                    conversion_fault(&given.ty, &attribute.ty).map(|error| error.within(&format!(".{name}")))
                }
                None if attribute.optional => None,
                None => Some(ConvertError::new(format!("attribute \"{name}\" is required"))),
            })
        }
        (Type::Map(element), Type::Object(wanted)) => wanted.iter().find_map(|(name, attribute)| {
            conversion_fault(element, &attribute.ty).map(|error| error.within(&format!(".{name}")))
        }),
        _ => Some(mismatch(from, to)),
    }
}

fn elements_fault(types: &[Type], element: &Type) -> Option<ConvertError> {
    if *element == Type::Dynamic && !types.is_empty() && unify(types).is_none() {
        return Some(ConvertError::new("all elements must have the same type"));
    }
    types
        .iter()
        .enumerate()
        .find_map(|(i, ty)| conversion_fault(ty, element).map(|error| error.within(&format!("[{i}]"))))
}

fn mismatch(from: &Type, to: &Type) -> ConvertError {
    ConvertError::new(format!("{} is required, and this is {}", kind_name(to), kind_name(from)))
}

/// The kind of a type in words, for messages.
pub fn kind_name(ty: &Type) -> String {
    match ty {
        Type::Dynamic => "a value of any type".into(),
        Type::Bool => "a bool".into(),
        Type::Number => "a number".into(),
        Type::String => "a string".into(),
        Type::List(element) => format!("a list of {element}"),
        Type::Set(element) => format!("a set of {element}"),
        Type::Map(element) => format!("a map of {element}"),
        Type::Tuple(_) => "a tuple".into(),
        Type::Object(_) => "an object".into(),
    }
}
