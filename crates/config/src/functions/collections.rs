//! Functions on lists, maps and objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Marks, Type, Value, ValueKind};

use super::Kind::{Any, ListAny, ListBool, ListString, MapAny, Number, String as Text};
use super::{
    Outcome, any_type, bool_type, fail, fail_at, function, list_of_strings, list_string_type, number_type,
    parameter, strings_of, text, whole,
};
use crate::convert::{convert, unify};

const LIST: super::Parameter = parameter("list", Any).unknown().marked();

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("length", [parameter("value", Any).unknown().marked()], number_type, length),
    function!("element", [LIST, parameter("index", Number)], any_type, element),
    function!("slice", [LIST, parameter("start", Number), parameter("end", Number)], any_type, slice),
    function!("concat", [], ..parameter("seqs", Any).unknown().marked(), any_type, concat),
    function!("flatten", [parameter("list", Any)], any_type, flatten),
    function!("distinct", [parameter("list", ListAny)], super::first_type, |a, _| {
        if !a[0].is_wholly_known() {
            return Ok(Value::unknown(a[0].ty()));
        }
        let mut kept: Vec<Value> = Vec::new();
        for value in a[0].elements().unwrap_or_default() {
            if !kept.contains(value) {
                kept.push(value.clone());
            }
        }
        Ok(rebuild(&a[0], kept))
    }),
    function!("reverse", [LIST], any_type, |a, _| {
        if matches!(a[0].ty(), Type::Set(_)) && a[0].is_known() {
            let Type::Set(element) = a[0].ty() else { return fail("a list is needed") };
            let values = a[0].elements().unwrap_or_default().iter().rev().cloned().collect();
            return Ok(Value::list((*element).clone(), values).with_marks(a[0].marks));
        }
        sequence(&a[0], |values| values.into_iter().rev().collect())
    }),
    function!("sort", [parameter("list", ListString)], list_string_type, |a, _| {
        if !a[0].is_wholly_known() {
            return Ok(Value::unknown(Type::list(Type::String)));
        }
        let Some(mut texts) = strings_of(&a[0]) else { return fail_at(0, "the list must not contain null") };
        texts.sort_unstable();
        Ok(list_of_strings(texts))
    }),
    function!("compact", [parameter("list", ListString)], list_string_type, |a, _| {
        if !a[0].is_wholly_known() {
            return Ok(Value::unknown(Type::list(Type::String)));
        }
        let texts = a[0].elements().unwrap_or_default().iter().filter_map(Value::as_str);
        Ok(list_of_strings(texts.filter(|text| !text.is_empty())))
    }),
    function!(
        "contains",
        [parameter("list", Any), parameter("value", Any).null().unknown()],
        bool_type,
        contains
    ),
    function!("index", [parameter("list", Any), parameter("value", Any).null()], number_type, |a, _| {
        let Some(elements) = a[0].elements() else { return fail_at(0, "a list or tuple is needed") };
        if elements.is_empty() {
            return fail_at(0, "the list is empty");
        }
        let same = |value: &Value| crate::evaluate::equals(value, &a[1]).as_bool() == Some(true);
        match elements.iter().position(same) {
            Some(at) => Ok(Value::number(at as u64)),
            None => fail("the value is not in the list"),
        }
    }),
    function!("keys", [parameter("inputMap", Any).unknown().marked()], any_type, keys),
    function!("values", [parameter("mapping", Any).unknown().marked()], any_type, values),
    function!(
        "lookup",
        [parameter("inputMap", Any).marked(), parameter("key", Text)],
        ..parameter("default", Any).null().unknown().marked(),
        any_type,
        lookup
    ),
    function!("merge", [], ..parameter("maps", Any).null().unknown().marked(), any_type, merge),
    function!("zipmap", [parameter("keys", ListString), parameter("values", Any)], any_type, zipmap),
    function!("coalesce", [], ..parameter("vals", Any).null().unknown().marked(), any_type, coalesce),
    function!("coalescelist", [], ..parameter("vals", Any).null().unknown().marked(), any_type, |a, _| {
        if a.is_empty() {
            return fail("at least one argument is needed");
        }
        for (i, value) in a.iter().enumerate() {
            if !value.is_known() {
                return Ok(Value::unknown(Type::Dynamic));
            }
            if value.is_null() {
                continue;
            }
            match value.elements() {
                Some([]) => continue,
                Some(_) => return Ok(value.clone()),
                None => return fail_at(i, "a list is needed"),
            }
        }
        fail("no argument has an element")
    }),
    function!("chunklist", [parameter("list", ListAny), parameter("size", Number)], any_type, |a, _| {
        let size = usize::try_from(whole(a, 1)?).or_else(|_| fail_at(1, "the size must not be negative"))?;
        let elements = a[0].elements().unwrap_or_default();
        let size = if size == 0 { elements.len().max(1) } else { size };
        let chunks = elements.chunks(size).map(|chunk| rebuild(&a[0], chunk.to_vec())).collect();
        Ok(Value::list(a[0].ty(), chunks))
    }),
    function!(
        "matchkeys",
        [parameter("values", ListAny), parameter("keys", ListAny), parameter("searchset", ListAny)],
        super::first_type,
        |a, _| {
            let parts: Vec<&[Value]> = a.iter().map(|v| v.elements().unwrap_or_default()).collect();
            if parts[0].len() != parts[1].len() {
                return fail("`values` and `keys` must have the same length");
            }
            if !a.iter().all(Value::is_wholly_known) {
                return Ok(Value::unknown(a[0].ty()));
            }
            let wanted = |key: &Value| {
                parts[2].iter().any(|s| crate::evaluate::equals(s, key).as_bool() == Some(true))
            };
            let kept = parts[0].iter().zip(parts[1]).filter(|(_, key)| wanted(key)).map(|(v, _)| v.clone());
            Ok(rebuild(&a[0], kept.collect()))
        }
    ),
    function!("transpose", [parameter("values", MapAny)], any_type, transpose),
    function!("alltrue", [parameter("list", ListBool)], bool_type, |a, _| Ok(quantified(&a[0], false))),
    function!("anytrue", [parameter("list", ListBool)], bool_type, |a, _| Ok(quantified(&a[0], true))),
    function!("one", [parameter("list", Any).unknown().marked()], any_type, one),
    function!("range", [], ..parameter("params", Number), |_| Type::list(Type::Number), range),
    function!("setproduct", [], ..parameter("sets", Any).unknown(), any_type, set_product),
    function!("sum", [parameter("list", Any)], number_type, |a, _| {
        let Some(elements) = a[0].elements() else { return fail_at(0, "a list, set or tuple is needed") };
        if elements.is_empty() {
            return fail_at(0, "the list is empty");
        }
        let mut total = pve_model::Number::from(0);
        let mut open = false;
        for element in elements {
            let number = convert(element, &Type::Number).or_else(|e| fail_at(0, e.to_string()))?;
            if number.is_null() {
                return fail_at(0, "the list must not contain null");
            }
            match number.as_number() {
                Some(number) => total = total.add(number).or_else(|e| fail(e.to_string()))?,
                None => open = true,
            }
        }
        Ok(if open { Value::unknown(Type::Number) } else { Value::number(total) })
    }),
];

/// A collection of the same kind with other elements.
fn rebuild(like: &Value, values: Vec<Value>) -> Value {
    match &like.kind {
        ValueKind::List(ty, _) => Value::list(ty.clone(), values),
        ValueKind::Set(ty, _) => Value::set(ty.clone(), values),
        _ => Value::tuple(values),
    }
}

fn sequence(value: &Value, change: impl FnOnce(Vec<Value>) -> Vec<Value>) -> Outcome {
    if !value.is_known() {
        return Ok(Value::unknown(if matches!(value.ty(), Type::List(_)) {
            value.ty()
        } else {
            Type::Dynamic
        })
        .with_marks(value.marks));
    }
    match value.elements() {
        Some(elements) => Ok(rebuild(value, change(elements.to_vec())).with_marks(value.marks)),
        None => fail_at(0, "a list or tuple is needed"),
    }
}

fn length(arguments: &[Value], _: &super::Context) -> Outcome {
    use unicode_segmentation::UnicodeSegmentation;
    let value = &arguments[0];
    let count = match (&value.kind, value.ty()) {
        (ValueKind::String(text), _) => text.graphemes(true).count(),
        (ValueKind::Unknown(..), Type::Tuple(parts)) => parts.len(),
        (ValueKind::Unknown(..), Type::Object(attributes)) => attributes.len(),
        (ValueKind::Unknown(..), Type::Number | Type::Bool) => {
            return fail_at(0, "a string or collection is needed");
        }
        (ValueKind::Unknown(..), _) => return Ok(Value::unknown(Type::Number).with_marks(value.marks)),
        (ValueKind::Set(_, values), _) if !value.is_wholly_known() && values.len() > 1 => {
            return Ok(Value::unknown(Type::Number).with_marks(value.marks));
        }
        _ => match (value.elements(), value.entries()) {
            (Some(elements), _) => elements.len(),
            (_, Some(entries)) => entries.len(),
            _ => return fail_at(0, "a string, list, set, map or object is needed"),
        },
    };
    Ok(Value::number(count as u64).with_marks(value.marks))
}

fn element(arguments: &[Value], _: &super::Context) -> Outcome {
    let (list, at) = (&arguments[0], whole(arguments, 1)?);
    if !matches!(list.ty(), Type::List(_) | Type::Tuple(_) | Type::Set(_) | Type::Dynamic) {
        return fail_at(0, "a list or tuple is needed");
    }
    if !list.is_known() {
        let ty = list.ty().element().cloned().unwrap_or(Type::Dynamic);
        return Ok(Value::unknown(ty).with_marks(list.marks));
    }
    let elements = list.elements().unwrap_or_default();
    if elements.is_empty() {
        return fail_at(0, "the list is empty");
    }
    let place = at.rem_euclid(elements.len() as i64) as usize;
    Ok(elements[place].clone().with_marks(list.marks))
}

fn slice(arguments: &[Value], _: &super::Context) -> Outcome {
    let (start, end) = (whole(arguments, 1)?, whole(arguments, 2)?);
    if matches!(arguments[0].ty(), Type::Set(_)) {
        return fail_at(0, "a set has no order; use tolist() first");
    }
    let length = arguments[0].elements().map_or(i64::MAX, |elements| elements.len() as i64);
    if start < 0 || start > end {
        return fail_at(1, "the start must not be negative nor after the end");
    }
    if end > length {
        return fail_at(2, format!("the end must not be greater than the length of the list, {length}"));
    }
    sequence(&arguments[0], |values| values[start as usize..end as usize].to_vec())
}

fn concat(arguments: &[Value], _: &super::Context) -> Outcome {
    if arguments.is_empty() {
        return fail("at least one argument is needed");
    }
    let mut marks = Marks::NONE;
    let mut values = Vec::new();
    for (i, argument) in arguments.iter().enumerate() {
        marks = marks.union(argument.marks);
        if argument.ty() != Type::Dynamic
            && !matches!(argument.ty(), Type::List(_) | Type::Tuple(_) | Type::Set(_))
        {
            return fail_at(i, "a list or tuple is needed");
        }
    }
    let lists: Vec<Type> = arguments.iter().map(Value::ty).collect();
    let element = match lists.iter().all(|ty| matches!(ty, Type::List(_) | Type::Set(_))) {
        true => unify(&lists.iter().filter_map(|ty| ty.element().cloned()).collect::<Vec<_>>()),
        false => None,
    };
    if arguments.iter().any(|argument| !argument.is_known()) {
        let ty = element.map_or(Type::Dynamic, Type::list);
        return Ok(Value::unknown(ty).with_marks(marks));
    }
    for argument in arguments {
        values.extend(argument.elements().unwrap_or_default().iter().cloned());
    }
    let value = match element {
        Some(ty) => {
            let converted: Result<Vec<Value>, _> = values.iter().map(|value| convert(value, &ty)).collect();
            Value::list(ty, converted.or_else(|error| fail(error.to_string()))?)
        }
        None => Value::tuple(values),
    };
    Ok(value.with_marks(marks))
}

fn flatten(arguments: &[Value], _: &super::Context) -> Outcome {
    fn collect(value: &Value, found: &mut Vec<Value>) -> bool {
        let is_sequence = matches!(value.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_));
        if !value.is_known() && (is_sequence || value.ty() == Type::Dynamic) {
            return false;
        }
        match value.elements().filter(|_| is_sequence && !value.is_null()) {
            Some(elements) => elements.iter().all(|element| collect(element, found)),
            None => {
                found.push(value.clone());
                true
            }
        }
    }
    if arguments[0].elements().is_none() {
        return fail_at(0, "a list, set or tuple is needed");
    }
    let mut found = Vec::new();
    Ok(if collect(&arguments[0], &mut found) { Value::tuple(found) } else { Value::unknown(Type::Dynamic) })
}

fn contains(arguments: &[Value], _: &super::Context) -> Outcome {
    let Some(elements) = arguments[0].elements() else { return fail_at(0, "a list, set or tuple is needed") };
    let mut open = false;
    for element in elements {
        match crate::evaluate::equals(element, &arguments[1]).as_bool() {
            Some(true) => return Ok(Value::bool(true)),
            Some(false) => {}
            None => open = true,
        }
    }
    Ok(if open { Value::unknown(Type::Bool) } else { Value::bool(false) })
}

fn keys(arguments: &[Value], _: &super::Context) -> Outcome {
    let value = &arguments[0];
    let names: Vec<Arc<str>> = match (value.entries(), value.ty()) {
        (Some(entries), _) => entries.keys().cloned().collect(),
        (None, Type::Object(attributes)) if !value.is_known() => attributes.keys().cloned().collect(),
        (None, Type::Map(_)) => return Ok(Value::unknown(Type::list(Type::String)).with_marks(value.marks)),
        (None, Type::Dynamic) => return Ok(Value::unknown(Type::Dynamic).with_marks(value.marks)),
        _ => return fail_at(0, "a map or object is needed"),
    };
    let texts: Vec<Value> = names.into_iter().map(Value::string).collect();
    let result = if matches!(value.ty(), Type::Map(_)) {
        Value::list(Type::String, texts)
    } else {
        Value::tuple(texts)
    };
    Ok(result.with_marks(value.marks))
}

fn values(arguments: &[Value], _: &super::Context) -> Outcome {
    let value = &arguments[0];
    let result = match (&value.kind, value.ty()) {
        (ValueKind::Map(ty, entries), _) => Value::list(ty.clone(), entries.values().cloned().collect()),
        (ValueKind::Object(entries), _) => Value::tuple(entries.values().cloned().collect()),
        (_, Type::Map(ty)) => Value::unknown(Type::list((*ty).clone())),
        (_, Type::Object(attributes)) => {
            Value::unknown(Type::tuple(attributes.values().map(|a| a.ty.clone())))
        }
        (_, Type::Dynamic) => Value::unknown(Type::Dynamic),
        _ => return fail_at(0, "a map or object is needed"),
    };
    Ok(result.with_marks(value.marks))
}

fn lookup(arguments: &[Value], _: &super::Context) -> Outcome {
    if arguments.len() > 3 {
        return fail_at(3, "too many arguments: 3 at most");
    }
    let (map, key) = (&arguments[0], text(arguments, 1));
    if !matches!(map.ty(), Type::Map(_) | Type::Object(_)) {
        return fail_at(0, "a map or object is needed");
    }
    let found = match map.get(key) {
        Some(value) => value.clone(),
        None => match arguments.get(2) {
            Some(default) => match map.ty() {
                Type::Map(element) => {
                    convert(default, &element).or_else(|error| fail_at(2, error.to_string()))?
                }
                _ => default.clone(),
            },
            None => return fail(format!("the map has no element {key:?}, and there is no default")),
        },
    };
    Ok(found.with_marks(map.marks))
}

fn merge(arguments: &[Value], _: &super::Context) -> Outcome {
    let mut marks = Marks::NONE;
    let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut open = false;
    for (i, argument) in arguments.iter().enumerate() {
        marks = marks.union(argument.marks);
        let fits = matches!(argument.ty(), Type::Map(_) | Type::Object(_) | Type::Dynamic);
        if !fits {
            return fail_at(i, "maps and objects are needed");
        }
        open |= !argument.is_known();
        if let Some(own) = argument.entries() {
            entries.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    let types: Vec<Type> = arguments.iter().filter(|a| !a.is_null()).map(Value::ty).collect();
    let maps = !types.is_empty() && types.iter().all(|ty| matches!(ty, Type::Map(_)) && ty == &types[0]);
    if open {
        return Ok(Value::unknown(if maps { types[0].clone() } else { Type::Dynamic }).with_marks(marks));
    }
    let value = match types.first().and_then(Type::element).filter(|_| maps) {
        Some(element) => Value::map(element.clone(), entries),
        None => Value::object(entries),
    };
    Ok(value.with_marks(marks))
}

fn zipmap(arguments: &[Value], _: &super::Context) -> Outcome {
    if !arguments[0].is_wholly_known() {
        return Ok(Value::unknown(Type::Dynamic));
    }
    let (Some(keys), Some(values)) = (strings_of(&arguments[0]), arguments[1].elements()) else {
        return fail("a list of keys and a list of values are needed, and no key may be null");
    };
    if keys.len() != values.len() {
        return fail(format!("there are {} keys and {} values", keys.len(), values.len()));
    }
    let entries = keys.into_iter().map(Arc::from).zip(values.iter().cloned()).collect();
    Ok(match arguments[1].ty() {
        Type::List(element) => Value::map((*element).clone(), entries),
        _ => Value::object(entries),
    })
}

fn coalesce(arguments: &[Value], _: &super::Context) -> Outcome {
    if arguments.is_empty() {
        return fail("at least one argument is needed");
    }
    let types: Vec<Type> = arguments.iter().map(Value::ty).filter(|ty| *ty != Type::Dynamic).collect();
    let open_type = arguments.iter().any(|a| !a.is_known() && a.ty() == Type::Dynamic);
    let Some(ty) = (if types.is_empty() { Some(Type::Dynamic) } else { unify(&types) }) else {
        return fail("all arguments must have the same type");
    };
    for argument in arguments {
        if !argument.is_known() {
            return Ok(Value::unknown(if open_type { Type::Dynamic } else { ty }).with_marks(argument.marks));
        }
        let value = convert(argument, &ty).or_else(|error| fail(error.to_string()))?;
        if !value.is_null() && value.as_str() != Some("") {
            return Ok(value);
        }
    }
    fail("no argument is set")
}

fn transpose(arguments: &[Value], _: &super::Context) -> Outcome {
    let value = convert(&arguments[0], &Type::map(Type::list(Type::String)))
        .or_else(|e| fail_at(0, e.to_string()))?;
    let result_type = Type::list(Type::String);
    if !value.is_wholly_known() {
        return Ok(Value::unknown(Type::map(result_type)));
    }
    let mut result: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for (key, list) in value.entries().into_iter().flatten() {
        let Some(texts) = strings_of(list) else { return fail_at(0, "the lists must not contain null") };
        for text in texts {
            result.entry(Arc::from(text)).or_default().push(Value::string(key.clone()));
        }
    }
    let entries = result.into_iter().map(|(key, list)| (key, Value::list(Type::String, list))).collect();
    Ok(Value::map(result_type, entries))
}

/// Whether any element is `wanted`, else the opposite; null counts as false.
fn quantified(list: &Value, wanted: bool) -> Value {
    let elements = list.elements().unwrap_or_default();
    let decides = |value: &Value| match value.as_bool() {
        Some(flag) => flag == wanted,
        None => value.is_null() && !wanted,
    };
    if elements.iter().any(decides) {
        return Value::bool(wanted);
    }
    if elements.iter().any(|value| !value.is_known()) {
        return Value::unknown(Type::Bool);
    }
    Value::bool(!wanted)
}

fn one(arguments: &[Value], _: &super::Context) -> Outcome {
    let list = &arguments[0];
    if !list.is_known() {
        let ty = list.ty().element().cloned().unwrap_or(Type::Dynamic);
        return Ok(Value::unknown(ty).with_marks(list.marks));
    }
    let Some(elements) = list.elements() else { return fail_at(0, "a list, set or tuple is needed") };
    let value = match elements {
        [] => Value::null(list.ty().element().cloned().unwrap_or(Type::Dynamic)),
        [only] => only.clone(),
        _ => {
            return fail_at(0, format!("the list has {} elements, and one or none is needed", elements.len()));
        }
    };
    Ok(value.with_marks(list.marks))
}

fn range(arguments: &[Value], _: &super::Context) -> Outcome {
    use pve_model::Number as N;
    const MOST: usize = 1024;
    let zero = N::from(0);
    let number = |at: usize| arguments[at].as_number().cloned().unwrap_or_else(|| N::from(0));
    let (start, end, step) = match arguments.len() {
        1 => (zero.clone(), number(0), None),
        2 => (number(0), number(1), None),
        3 => (number(0), number(1), Some(number(2))),
        _ => return fail("one to three arguments are needed"),
    };
    let up = start <= end;
    let step = step.unwrap_or_else(|| N::from(if up { 1 } else { -1 }));
    if step.is_zero() || (up && step < zero && start != end) || (!up && step > zero) {
        return fail_at(2, "the step must lead from the start to the end");
    }
    let mut values = Vec::new();
    let mut at = start;
    while if up { at < end } else { at > end } {
        if values.len() >= MOST {
            return fail(format!("more than {MOST} values were generated; a range must not be so long"));
        }
        let next = at.add(&step).or_else(|error| fail(error.to_string()))?;
        values.push(Value::number(at));
        at = next;
    }
    Ok(Value::list(Type::Number, values))
}

fn set_product(arguments: &[Value], _: &super::Context) -> Outcome {
    if arguments.len() < 2 {
        return fail("at least two arguments are needed");
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    let mut types = Vec::new();
    for (i, argument) in arguments.iter().enumerate() {
        if !argument.is_known() {
            return Ok(Value::unknown(Type::Dynamic));
        }
        let Some(elements) = argument.elements() else { return fail_at(i, "a list or set is needed") };
        let own: Vec<Type> = elements.iter().map(Value::ty).collect();
        let declared = argument.ty().element().cloned();
        let Some(ty) = declared.or_else(|| if own.is_empty() { Some(Type::Dynamic) } else { unify(&own) })
        else {
            return fail_at(i, "all elements must have the same type");
        };
        let elements: Vec<Value> =
            elements.iter().map(|e| convert(e, &ty).unwrap_or_else(|_| e.clone())).collect();
        types.push(ty);
        rows = rows
            .iter()
            .flat_map(|row| elements.iter().map(move |element| [row.clone(), vec![element.clone()]].concat()))
            .collect();
    }
    let tuple = Type::tuple(types);
    let rows = rows.into_iter().map(Value::tuple).collect();
    let all_sets = arguments.iter().all(|argument| matches!(argument.ty(), Type::Set(_)));
    Ok(if all_sets { Value::set(tuple, rows) } else { Value::list(tuple, rows) })
}
