//! Whether two values are equal, as far as that is known.

use pve_model::{Type, Value, ValueKind};

/// `a == b`: a bool, unknown while it depends on unknown values. Marks are ignored; values of different types differ.
pub fn equals(a: &Value, b: &Value) -> Value {
    match compare(a, b) {
        Some(equal) => Value::bool(equal),
        None => Value::unknown_refined(
            Type::Bool,
            pve_model::value::Refinement { not_null: true, ..Default::default() },
        ),
    }
}

/// Whether the values are equal; none if that is not known yet.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<bool> {
    if (a.is_null() && is_not_null(b)) || (b.is_null() && is_not_null(a)) {
        return Some(false);
    }
    if !a.is_known() || !b.is_known() {
        return compare_unknown(a, b);
    }
    match (a.is_null(), b.is_null()) {
        (true, true) => return Some(true),
        (true, false) | (false, true) => return Some(false),
        (false, false) => {}
    }
    match (&a.kind, &b.kind) {
        (ValueKind::Bool(x), ValueKind::Bool(y)) => Some(x == y),
        (ValueKind::Number(x), ValueKind::Number(y)) => Some(x == y),
        (ValueKind::String(x), ValueKind::String(y)) => Some(x == y),
        (ValueKind::Tuple(x), ValueKind::Tuple(y)) => {
            if x.len() != y.len() || types_differ(a, b) {
                return Some(false);
            }
            all(x.iter().zip(y.iter()).map(|(x, y)| compare(x, y)))
        }
        (ValueKind::List(..), ValueKind::List(..)) if types_differ(a, b) => Some(false),
        (ValueKind::List(_, x), ValueKind::List(_, y)) => {
            if x.len() != y.len() {
                return Some(false);
            }
            all(x.iter().zip(y.iter()).map(|(x, y)| compare(x, y)))
        }
        (ValueKind::Set(_, x), ValueKind::Set(_, y)) => {
            if types_differ(a, b) {
                return Some(false);
            }
            if !a.is_wholly_known() || !b.is_wholly_known() {
                return None;
            }
            Some(x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| compare(x, y) == Some(true)))
        }
        (ValueKind::Map(_, x), ValueKind::Map(_, y)) | (ValueKind::Object(x), ValueKind::Object(y)) => {
            if types_differ(a, b) || x.len() != y.len() || !x.keys().eq(y.keys()) {
                return Some(false);
            }
            all(x.values().zip(y.values()).map(|(x, y)| compare(x, y)))
        }
        _ => Some(false),
    }
}

fn compare_unknown(a: &Value, b: &Value) -> Option<bool> {
    // While both are unknown nothing is said, even of different types; nulls of all types are equal.
    if a.is_null() || b.is_null() {
        return None;
    }
    if (a.is_known() || b.is_known()) && types_differ(a, b) {
        return Some(false);
    }
    let (unknown, known) = if a.is_known() { (b, a) } else { (a, b) };
    if let ValueKind::Unknown(_, Some(refinement)) = &unknown.kind {
        if let (Some(prefix), Some(text)) = (&refinement.prefix, known.as_str())
            && !text.starts_with(&**prefix)
        {
            return Some(false);
        }
        if let (true, Some(length)) = (known.is_known(), known.children().size_hint().1) {
            let is_collection =
                matches!(known.kind, ValueKind::List(..) | ValueKind::Set(..) | ValueKind::Map(..));
            let length = length as u64;
            let outside = refinement.min_length.is_some_and(|least| length < least)
                || refinement.max_length.is_some_and(|most| length > most);
            if is_collection && outside {
                return Some(false);
            }
        }
    }
    None
}

fn is_not_null(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Null(_) => false,
        ValueKind::Unknown(_, refinement) => refinement.as_ref().is_some_and(|r| r.not_null),
        _ => true,
    }
}

/// Whether the types are known to differ.
fn types_differ(a: &Value, b: &Value) -> bool {
    fn differ(a: &Type, b: &Type) -> bool {
        match (a, b) {
            (Type::Dynamic, _) | (_, Type::Dynamic) => false,
            (Type::List(a), Type::List(b)) | (Type::Set(a), Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
                differ(a, b)
            }
            (Type::Tuple(a), Type::Tuple(b)) => {
                a.len() != b.len() || a.iter().zip(b.iter()).any(|(a, b)| differ(a, b))
            }
            (Type::Object(a), Type::Object(b)) => {
                !a.keys().eq(b.keys()) || a.values().zip(b.values()).any(|(a, b)| differ(&a.ty, &b.ty))
            }
            _ => a != b,
        }
    }
    differ(&a.ty(), &b.ty())
}

/// Whether all are true: false as soon as one is, unknown if one is.
fn all(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for result in results {
        match result {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}
