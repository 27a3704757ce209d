//! Attributes and elements of values.

use pve_model::{Marks, Type, Value, ValueKind};

use super::suggestion::closest;
use crate::convert::{convert, kind_name};

/// Why a step leads nowhere: summary, detail and hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// In a few words.
    pub summary: String,
    /// In sentences.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
}

fn fault(summary: &str, detail: impl Into<String>) -> StepError {
    StepError { summary: summary.into(), detail: detail.into(), hint: None }
}

/// `value.name`
///
/// # Errors
/// When there is no such attribute or the value has none.
pub fn get_attribute(value: &Value, name: &str) -> Result<Value, StepError> {
    let marks = value.marks;
    match &value.kind {
        ValueKind::Null(_) => Err(fault("The value is null", "Null has no attributes.")),
        ValueKind::Object(values) => values
            .get(name)
            .cloned()
            .ok_or_else(|| missing("attribute", name, values.keys().map(|name| &**name), value.marks_deep())),
        ValueKind::Map(_, values) => values
            .get(name)
            .cloned()
            .ok_or_else(|| missing("element", name, values.keys().map(|name| &**name), marks)),
        ValueKind::Unknown(Type::Dynamic, _) => Ok(Value::unknown(Type::Dynamic)),
        ValueKind::Unknown(Type::Map(element), _) => Ok(Value::unknown((**element).clone())),
        ValueKind::Unknown(Type::Object(attributes), _) => attributes
            .get(name)
            .map(|attribute| Value::unknown(attribute.ty.clone()))
            .ok_or_else(|| missing("attribute", name, attributes.keys().map(|name| &**name), Marks::NONE)),
        _ => {
            let mut error = fault(
                "The value has no attributes",
                format!("It is {}, which has none.", kind_name(&value.ty())),
            );
            error.hint = match value.ty() {
                Type::List(_) | Type::Tuple(_) => {
                    Some(format!("For one element write [0].{name}, for all of them [*].{name}."))
                }
                Type::Set(_) => Some(format!("For all elements write [for x in ... : x.{name}].")),
                _ => None,
            };
            Err(error)
        }
    }
    .map(|found| found.with_marks(marks))
}

fn missing<'a>(word: &str, name: &str, names: impl Iterator<Item = &'a str>, marks: Marks) -> StepError {
    let names: Vec<&str> = names.collect();
    let mut error = fault(&format!("There is no {word} \"{name}\""), "");
    if marks.is_empty() {
        error.detail = match &names[..] {
            [] => format!("The value has no {word}s."),
            few if few.len() <= 12 => format!("The value has: {}.", few.join(", ")),
            many => format!("The value has {} others.", many.len()),
        };
        error.hint = closest(name, names).map(|near| format!("Did you mean \"{near}\"?"));
    } else {
        error.detail = "The value is sensitive.".into();
    }
    error
}

/// `value[key]`
///
/// # Errors
/// When there is no such element or the value has none.
pub fn get_index(value: &Value, key: &Value) -> Result<Value, StepError> {
    let marks = value.marks.union(key.marks);
    let mut key = key.clone();
    key.marks = Marks::NONE;
    if value.is_null() {
        return Err(fault("The value is null", "Null has no elements."));
    }
    if key.is_null() {
        return Err(fault("The key is null", "An index must be a number or a string."));
    }
    let ty = value.ty();
    if ty == Type::Dynamic {
        return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
    }
    let key_type = match ty {
        Type::List(_) | Type::Tuple(_) => Type::Number,
        Type::Map(_) | Type::Object(_) => Type::String,
        Type::Set(_) => {
            let mut error = fault("A set has no order", "Its elements cannot be taken by index.");
            error.hint = Some("Use one() for a set of one element, or tolist() to give it an order.".into());
            return Err(error);
        }
        other => {
            return Err(fault(
                "The value has no elements",
                format!("It is {}, which has none.", kind_name(&other)),
            ));
        }
    };
    if key.ty() == Type::Dynamic {
        return Ok(Value::unknown(Type::Dynamic).with_marks(marks));
    }
    let key = convert(&key, &key_type).map_err(|error| {
        fault("The key has the wrong type", format!("The value is {}: {error}.", kind_name(&ty)))
    })?;
    element(value, &ty, &key).map(|found| found.with_marks(marks))
}

fn element(value: &Value, ty: &Type, key: &Value) -> Result<Value, StepError> {
    if !key.is_known() {
        return Ok(Value::unknown(ty.element().cloned().unwrap_or(Type::Dynamic)));
    }
    match (&value.kind, ty) {
        (ValueKind::Unknown(..), Type::List(element)) => Ok(Value::unknown((**element).clone())),
        (ValueKind::Unknown(..), Type::Map(element)) => Ok(Value::unknown((**element).clone())),
        (ValueKind::Unknown(..), Type::Object(_)) => get_attribute(value, key.as_str().unwrap_or_default()),
        (ValueKind::Unknown(..), Type::Tuple(types)) => {
            let found = position(key).and_then(|index| types.get(index));
            found.map(|ty| Value::unknown(ty.clone())).ok_or_else(|| outside(key, Some(types.len())))
        }
        (_, Type::Map(_) | Type::Object(_)) => get_attribute(value, key.as_str().unwrap_or_default()),
        _ => {
            let elements = value.elements().unwrap_or_default();
            let found = position(key).and_then(|index| elements.get(index));
            found.cloned().ok_or_else(|| outside(key, Some(elements.len())))
        }
    }
}

fn position(key: &Value) -> Option<usize> {
    key.as_i64().and_then(|index| usize::try_from(index).ok())
}

fn outside(key: &Value, length: Option<usize>) -> StepError {
    let index = key.as_number().map(ToString::to_string).unwrap_or_default();
    let detail = match (key.as_i64(), length) {
        (None, _) => "An index must be a whole number.".to_string(),
        (_, Some(0)) => "The value has no elements.".to_string(),
        (_, Some(length)) => {
            format!("The value has {length} elements, with the indices 0 to {}.", length - 1)
        }
        (_, None) => "An index must not be negative.".to_string(),
    };
    fault(&format!("There is no element [{index}]"), detail)
}
