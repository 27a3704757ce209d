//! Maps, objects and what holds for all collections.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Marks, Type, Value, ValueKind};
use unicode_segmentation::UnicodeSegmentation;

use super::FunctionError;
use super::parameter::{Call, Function, Kind, Outcome, Parameter, Returns, any, text};
use crate::convert::{convert, kind_name, unify};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("length", &[any("value").unknown().dynamic().marked()], Returns::Of(length_type), length),
    Function::new("keys", &[any("inputMap").unknown().marked()], Returns::Of(keys_type), keys),
    Function::new("values", &[any("mapping").marked()], Returns::Of(values_type), values),
    Function::new(
        "lookup",
        &[any("inputMap").marked(), text("key").marked()],
        Returns::Of(lookup_type),
        lookup,
    )
    .and_more(any("default").marked().null().unknown().dynamic())
    .may_be_null(),
    Function::new("merge", &[], Returns::Of(merge_type), merge)
        .and_more(any("maps").dynamic().null().marked()),
    Function::new(
        "zipmap",
        &[Parameter::new("keys", Kind::Texts).marked(), any("values").marked()],
        Returns::Of(zipmap_type),
        zipmap,
    ),
    Function::new(
        "transpose",
        &[Parameter::new("values", Kind::TextsMap)],
        Returns::Of(|_| Ok(Type::map(Type::list(Type::String)))),
        transpose,
    ),
    Function::new("coalesce", &[], Returns::Of(coalesce_type), coalesce)
        .and_more(any("vals").unknown().dynamic().null()),
    Function::new("alltrue", &[Parameter::new("list", Kind::Flags)], Returns::Flag, |c| quantify(c, false)),
    Function::new("anytrue", &[Parameter::new("list", Kind::Flags)], Returns::Flag, |c| quantify(c, true)),
];

fn length_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::Bool | Type::Number => {
            Err(FunctionError::argument(0, "a string, collection, tuple or object is required"))
        }
        _ => Ok(Type::Number),
    }
}

fn length(call: &Call<'_>) -> Outcome {
    let value = &call.arguments[0];
    let count = match &value.kind {
        ValueKind::String(text) => Some(text.graphemes(true).count()),
        ValueKind::Unknown(Type::Tuple(types), _) => Some(types.len()),
        ValueKind::Unknown(Type::Object(attributes), _) => Some(attributes.len()),
        ValueKind::Unknown(..) => None,
        ValueKind::Set(_, values) if values.len() > 1 && !value.is_wholly_known() => None,
        _ => Some(value.children().count()),
    };
    let result = count.map_or_else(|| Value::unknown(Type::Number), |count| Value::number(count as u64));
    Ok(result.with_marks(value.marks))
}

fn keys_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::Map(_) => Ok(Type::list(Type::String)),
        Type::Object(attributes) => Ok(Type::tuple(attributes.keys().map(|_| Type::String))),
        _ => Err(FunctionError::argument(0, "a map or object is required")),
    }
}

fn keys(call: &Call<'_>) -> Outcome {
    let value = &call.arguments[0];
    let text = |name: &Arc<str>| Value::string(name.clone());
    let result = match (&value.kind, value.ty()) {
        (_, Type::Object(attributes)) => Value::tuple(attributes.keys().map(text).collect()),
        (ValueKind::Map(_, entries), _) => Value::list(Type::String, entries.keys().map(text).collect()),
        _ => Value::unknown(call.ty.clone()),
    };
    Ok(result.with_marks(value.marks))
}

fn values_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::Map(element) => Ok(Type::List(element)),
        Type::Object(attributes) => {
            Ok(Type::tuple(attributes.values().map(|attribute| attribute.ty.clone())))
        }
        _ => Err(FunctionError::argument(0, "a map or object is required")),
    }
}

fn values(call: &Call<'_>) -> Outcome {
    let value = &call.arguments[0];
    let parts = value.entries().map(|entries| entries.values().cloned().collect()).unwrap_or_default();
    let result = match call.ty {
        Type::List(element) => Value::list((**element).clone(), parts),
        _ => Value::tuple(parts),
    };
    Ok(result.with_marks(value.marks))
}

fn lookup_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    if arguments.len() > 3 {
        return Err(FunctionError::new("it takes a map, a key and a default"));
    }
    match arguments[0].ty() {
        Type::Object(attributes) => {
            let Some(key) = arguments[1].as_str() else { return Ok(Type::Dynamic) };
            match (attributes.get(key), arguments.get(2)) {
                (Some(attribute), _) => Ok(attribute.ty.clone()),
                (None, Some(default)) => Ok(default.ty()),
                (None, None) => Err(no_key(&arguments[0], &arguments[1])),
            }
        }
        Type::Map(element) => {
            if let Some(default) = arguments.get(2) {
                convert(default, &element).map_err(|error| {
                    FunctionError::argument(
                        2,
                        format!("the default must be of the type of the map's elements: {error}"),
                    )
                })?;
            }
            Ok((*element).clone())
        }
        other => {
            Err(FunctionError::argument(0, format!("a map is required, and this is {}", kind_name(&other))))
        }
    }
}

fn no_key(map: &Value, key: &Value) -> FunctionError {
    let shown = match key.as_str() {
        Some(name) if map.marks.union(key.marks).is_empty() => format!(" \"{name}\""),
        _ => String::new(),
    };
    FunctionError::argument(1, format!("the map has no key{shown}, and there is no default"))
}

fn lookup(call: &Call<'_>) -> Outcome {
    let (map, key) = (&call.arguments[0], &call.arguments[1]);
    let marks = map.marks.union(key.marks);
    if let Some(found) = key.as_str().and_then(|key| map.get(key)) {
        return Ok(found.clone().with_marks(marks));
    }
    let Some(default) = call.arguments.get(2) else { return Err(no_key(map, key)) };
    let default = convert(default, call.ty).map_err(|error| FunctionError::argument(2, error.to_string()))?;
    Ok(default.with_marks(marks))
}

fn merge_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    let mut attributes: BTreeMap<Arc<str>, Type> = BTreeMap::new();
    let mut types: Vec<Type> = Vec::new();
    let mut known = true;
    for (index, argument) in arguments.iter().enumerate() {
        let mut ty = argument.ty();
        match &ty {
            Type::Dynamic if argument.is_null() => ty = Type::object::<Arc<str>>([]),
            Type::Dynamic => return Ok(Type::Dynamic),
            Type::Object(_) if argument.is_null() => ty = Type::object::<Arc<str>>([]),
            Type::Object(given) => attributes.extend(given.iter().map(|(k, a)| (k.clone(), a.ty.clone()))),
            Type::Map(element) => match argument.entries() {
                Some(entries) => {
                    attributes.extend(entries.keys().map(|key| (key.clone(), (**element).clone())))
                }
                None => known &= argument.is_null(),
            },
            other => {
                let message = format!("a map or object is required, and this is {}", kind_name(other));
                return Err(FunctionError::argument(index, message));
            }
        }
        types.push(ty);
    }
    match types.first() {
        Some(first) if types.iter().all(|ty| ty == first) => Ok(first.clone()),
        _ if !known => Ok(Type::Dynamic),
        _ => Ok(Type::object(attributes)),
    }
}

fn merge(call: &Call<'_>) -> Outcome {
    let (mut merged, mut marks) = (BTreeMap::new(), Marks::NONE);
    for argument in call.arguments {
        marks = marks.union(argument.marks);
        if let Some(entries) = argument.entries() {
            merged.extend(entries.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    let result = match call.ty {
        Type::Map(element) => Value::map((**element).clone(), merged),
        Type::Dynamic => Value::unknown(Type::Dynamic),
        _ => Value::object(merged),
    };
    Ok(result.with_marks(marks))
}

fn zipmap_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    let keys = &arguments[0];
    match arguments[1].ty() {
        Type::List(element) => Ok(Type::Map(element)),
        Type::Tuple(types) => {
            if !keys.is_wholly_known() {
                return Ok(Type::Dynamic);
            }
            let names = keys.elements().unwrap_or_default();
            if names.len() != types.len() {
                return Err(unequal(names.len(), types.len()));
            }
            let names = names.iter().map(|name| Arc::<str>::from(name.as_str().unwrap_or_default()));
            Ok(Type::object(names.zip(types.iter().cloned())))
        }
        _ => Err(FunctionError::argument(1, "a list or tuple is required")),
    }
}

fn unequal(keys: usize, values: usize) -> FunctionError {
    FunctionError::new(format!(
        "there must be as many values as keys, and there are {keys} keys and {values} values"
    ))
}

fn zipmap(call: &Call<'_>) -> Outcome {
    let marks = call.arguments[0].marks_deep().union(call.arguments[1].marks);
    if !call.arguments[0].is_wholly_known() {
        return Ok(Value::unknown(call.ty.clone()).with_marks(marks));
    }
    let (keys, values) = (call.elements(0), call.elements(1));
    if keys.len() != values.len() {
        return Err(unequal(keys.len(), values.len()));
    }
    let mut entries = BTreeMap::new();
    for (key, value) in keys.iter().zip(values) {
        let Some(name) = key.as_str() else {
            return Err(FunctionError::argument(0, "a key must not be null"));
        };
        entries.insert(Arc::from(name), value.clone());
    }
    let result = match call.ty {
        Type::Map(element) => Value::map((**element).clone(), entries),
        _ => Value::object(entries),
    };
    Ok(result.with_marks(marks))
}

fn transpose(call: &Call<'_>) -> Outcome {
    let map = &call.arguments[0];
    if !map.is_wholly_known() {
        return Ok(Value::unknown(call.ty.clone()));
    }
    let mut transposed: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for (key, list) in map.entries().into_iter().flatten() {
        if list.is_null() {
            return Err(FunctionError::argument(0, format!("the list of \"{key}\" is null")));
        }
        for name in list.elements().unwrap_or_default() {
            let Some(name) = name.as_str() else {
                return Err(FunctionError::argument(0, format!("the list of \"{key}\" holds null")));
            };
            transposed.entry(Arc::from(name)).or_default().push(Value::string(key.clone()));
        }
    }
    let lists = transposed.into_iter().map(|(name, keys)| (name, Value::list(Type::String, keys)));
    Ok(Value::map(Type::list(Type::String), lists.collect()))
}

fn coalesce_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    if arguments.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    let types: Vec<Type> = arguments.iter().map(Value::ty).collect();
    unify(&types).ok_or_else(|| FunctionError::new("all arguments must have the same type"))
}

fn coalesce(call: &Call<'_>) -> Outcome {
    for (index, argument) in call.arguments.iter().enumerate() {
        let value =
            convert(argument, call.ty).map_err(|error| FunctionError::argument(index, error.to_string()))?;
        if !value.is_known() {
            return Ok(Value::unknown(call.ty.clone()));
        }
        if !value.is_null() && value.as_str() != Some("") {
            return Ok(value);
        }
    }
    Err(FunctionError::new("all arguments are null or empty strings"))
}

/// `alltrue` is decided by a false, `anytrue` by a true. Null does not count as true.
fn quantify(call: &Call<'_>, decisive: bool) -> Outcome {
    let mut known = true;
    for value in call.elements(0) {
        match value.as_bool() {
            Some(flag) if flag == decisive => return Ok(Value::bool(decisive)),
            None if value.is_null() && !decisive => return Ok(Value::bool(false)),
            None if !value.is_known() => known = false,
            _ => {}
        }
    }
    Ok(if known { Value::bool(!decisive) } else { Value::unknown(Type::Bool) })
}
