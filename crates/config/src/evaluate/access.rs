//! Attributes, indices and splats.

use pve_model::{InstanceKey, Type, Value, ValueKind};

use super::scope::{Bindings, closest};
use super::{Evaluated, Evaluator, fault};
use crate::convert::{article, convert, unify};
use crate::syntax::ast::Step;
use crate::syntax::{Diagnostic, Span};

impl Evaluator<'_> {
    pub(super) fn steps(&self, value: Value, steps: &[Step], span: Span, bindings: &Bindings<'_>) -> Evaluated {
        let (mut value, mut at) = (value, span);
        for step in steps {
            (value, at) = match step {
                Step::Attribute(name) => (attribute(&value, &name.name, name.span)?, at.to(name.span)),
                Step::LegacyIndex(digits, span) => {
                    let key = digits.parse().map(|index: u64| Value::number(index)).unwrap_or_else(|_| Value::number(0));
                    (index(&value, &key, *span)?, at.to(*span))
                }
                Step::Index(key, span) => {
                    let key_value = self.value(key, bindings)?;
                    (index(&value, &key_value, *span)?, at.to(*span))
                }
                Step::AttributeSplat(inner, span) | Step::FullSplat(inner, span) => {
                    (self.splat(&value, inner, *span, bindings)?, at.to(*span))
                }
            };
        }
        Ok(value)
    }

    fn splat(&self, value: &Value, inner: &[Step], span: Span, bindings: &Bindings<'_>) -> Evaluated {
        let marks = value.marks;
        let is_sequence = matches!(value.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_));
        if value.is_null() && !is_sequence {
            return Ok(Value::tuple(Vec::new()).with_marks(marks));
        }
        if value.is_null() {
            return fault(span, "A splat of null", "What stands before a splat is null, and a list is needed.");
        }
        if !value.is_known() {
            return self.splat_unknown(value, inner, span, bindings);
        }
        if !is_sequence {
            let one = self.steps(value.clone(), inner, span, bindings)?;
            return Ok(Value::tuple(vec![one]));
        }
        let mut values = Vec::new();
        for element in value.elements().unwrap_or_default() {
            values.push(self.steps(element.clone(), inner, span, bindings)?);
        }
        let result = match &value.kind {
            ValueKind::List(ty, _) | ValueKind::Set(ty, _) => {
                let element = if values.is_empty() {
                    self.steps(Value::unknown(ty.clone()), inner, span, bindings)?.ty()
                } else {
                    unify(&values.iter().map(Value::ty).collect::<Vec<_>>()).unwrap_or(Type::Dynamic)
                };
                if values.iter().all(|value| value.ty() == element) || values.is_empty() {
                    Value::list(element, values)
                } else {
                    Value::tuple(values)
                }
            }
            _ => Value::tuple(values),
        };
        Ok(result.with_marks(marks))
    }

    fn splat_unknown(&self, value: &Value, inner: &[Step], span: Span, bindings: &Bindings<'_>) -> Evaluated {
        let each = |ty: &Type| self.steps(Value::unknown(ty.clone()), inner, span, bindings).map(|v| v.ty());
        let ty = match value.ty() {
            Type::List(element) | Type::Set(element) => Type::list(each(&element)?),
            Type::Tuple(parts) => Type::tuple(parts.iter().map(each).collect::<Result<Vec<_>, _>>()?),
            // Whether it is a sequence, a single value or null is not known.
            _ => Type::Dynamic,
        };
        Ok(Value::unknown(ty).with_marks(value.marks))
    }
}

/// The attribute of an object or the element of a map.
pub(crate) fn attribute(value: &Value, name: &str, span: Span) -> Evaluated {
    let marks = value.marks;
    if value.is_null() {
        let detail = format!("The value is null, so it has no attribute \"{name}\".");
        return fault(span, "Attribute of null", detail);
    }
    match (&value.kind, value.ty()) {
        (ValueKind::Object(entries), _) => match entries.get(name) {
            Some(part) => Ok(part.clone().with_marks(marks)),
            None => {
                let detail = format!("This object has no attribute named \"{name}\".");
                let near = closest(name, entries.keys().map(|key| &**key));
                let mut diagnostic = Diagnostic::error(span, "Unsupported attribute", detail);
                diagnostic.hint = match near {
                    Some(near) => Some(format!("Did you mean \"{near}\"?")),
                    None if value.marks.is_sensitive() => None,
                    None if entries.is_empty() => None,
                    None => {
                        let known: Vec<&str> = entries.keys().take(12).map(|key| &**key).collect();
                        Some(format!("It has: {}.", known.join(", ")))
                    }
                };
                Err(vec![diagnostic])
            }
        },
        (ValueKind::Map(_, entries), _) => match entries.get(name) {
            Some(part) => Ok(part.clone().with_marks(marks)),
            None => fault(span, "Missing map element", format!("This map has no element with the key \"{name}\".")),
        },
        (ValueKind::Unknown(..), Type::Dynamic) => Ok(Value::unknown(Type::Dynamic).with_marks(marks)),
        (ValueKind::Unknown(..), Type::Map(element)) => Ok(Value::unknown((*element).clone()).with_marks(marks)),
        (ValueKind::Unknown(..), Type::Object(attributes)) => match attributes.get(name) {
            Some(attribute) => Ok(Value::unknown(attribute.ty.clone()).with_marks(marks)),
            None => {
                fault(span, "Unsupported attribute", format!("This object has no attribute named \"{name}\"."))
            }
        },
        (_, ty @ (Type::List(_) | Type::Set(_) | Type::Tuple(_))) => {
            let detail = format!("This is {}, and only its elements can have an attribute \"{name}\".", article(&ty));
            let hint = "Choose one element with [0], or take the attribute of all with [*].";
            Err(vec![Diagnostic::error(span, "Unsupported attribute", detail).with_hint(hint)])
        }
        (_, ty) => {
            let detail = format!("This is {}, which has no attributes.", article(&ty));
            fault(span, "Unsupported attribute", detail)
        }
    }
}

/// The element at an index or key.
pub(crate) fn index(value: &Value, key: &Value, span: Span) -> Evaluated {
    let marks = value.marks.union(key.marks);
    if value.is_null() {
        return fault(span, "Index of null", "The value is null, so it has no elements.");
    }
    if key.is_null() {
        return fault(span, "The index is null", "An index must be a number or a string.");
    }
    let ty = value.ty();
    let result = match ty {
        Type::List(_) | Type::Tuple(_) => sequence_index(value, key, span)?,
        Type::Map(_) | Type::Object(_) => key_index(value, key, span)?,
        Type::Dynamic => Value::unknown(Type::Dynamic),
        Type::Set(_) => {
            let hint = "Turn it into a list first with tolist(...), or use one(...) if it has one element.";
            let detail = "Elements of a set have no index or key.";
            return Err(vec![Diagnostic::error(span, "A set has no index", detail).with_hint(hint)]);
        }
        other => {
            let detail = format!("This is {}, which has no elements.", article(&other));
            return fault(span, "This has no index", detail);
        }
    };
    Ok(result.with_marks(marks))
}

fn sequence_index(value: &Value, key: &Value, span: Span) -> Evaluated {
    let key = convert(key, &Type::Number).map_err(|error| {
        vec![Diagnostic::error(span, "This is no index", format!("The index of a list is a number: {error}."))]
    })?;
    let element_type = match value.ty() {
        Type::List(element) => (*element).clone(),
        _ => Type::Dynamic,
    };
    if !key.is_known() {
        return Ok(Value::unknown(element_type));
    }
    if !value.is_known() {
        if let (Type::Tuple(parts), Some(at)) = (value.ty(), key.as_i64()) {
            return match usize::try_from(at).ok().and_then(|at| parts.get(at)) {
                Some(part) => Ok(Value::unknown(part.clone())),
                None => fault(span, "Invalid index", format!("This tuple has {} elements.", parts.len())),
            };
        }
        return Ok(Value::unknown(element_type));
    }
    let elements = value.elements().unwrap_or_default();
    match key.as_i64().and_then(|at| usize::try_from(at).ok()).and_then(|at| elements.get(at)) {
        Some(element) => Ok(element.clone()),
        None => {
            let shown = key.as_number().map(ToString::to_string).unwrap_or_default();
            let detail = format!("There is no element {shown}: the list has {}, counted from 0.", elements.len());
            fault(span, "Invalid index", detail)
        }
    }
}

fn key_index(value: &Value, key: &Value, span: Span) -> Evaluated {
    let key = convert(key, &Type::String).map_err(|error| {
        vec![Diagnostic::error(span, "This is no key", format!("The key of a map is a string: {error}."))]
    })?;
    let element_type = match value.ty() {
        Type::Map(element) => (*element).clone(),
        _ => Type::Dynamic,
    };
    let Some(text) = key.as_str() else {
        return Ok(Value::unknown(element_type));
    };
    if !value.is_known() {
        return match value.ty() {
            Type::Object(_) => attribute(&Value::unknown(value.ty()), text, span),
            _ => Ok(Value::unknown(element_type)),
        };
    }
    let entries = value.entries();
    match entries.and_then(|entries| entries.get(text)) {
        Some(element) => Ok(element.clone()),
        None => {
            let shown = if key.marks.is_sensitive() { "(sensitive)".into() } else { InstanceKey::Key(text.into()).to_string() };
            let detail = format!("The value has no element {shown}.");
            let mut diagnostic = Diagnostic::error(span, "Invalid index", detail);
            let keys = entries.into_iter().flat_map(|entries| entries.keys().map(|key| &**key));
            if !key.marks.is_sensitive() && !value.marks.is_sensitive() {
                diagnostic.hint = closest(text, keys).map(|near| format!("Did you mean \"{near}\"?"));
            }
            Err(vec![diagnostic])
        }
    }
}
