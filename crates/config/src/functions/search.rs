//! Functions that look for elements of lists, sets and tuples.

use pve_model::{Type, Value};

use super::FunctionError;
use super::parameter::{Call, Function, Kind, Outcome, Parameter, Returns, any};
use crate::convert::{convert, unify};
use crate::evaluate::compare;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("coalescelist", &[], Returns::Of(coalescelist_type), coalescelist)
        .and_more(any("vals").unknown().dynamic().null()),
    Function::new("contains", &[any("list"), any("value")], Returns::Flag, contains),
    Function::new("index", &[any("list"), any("value")], Returns::Number, index),
    Function::new(
        "matchkeys",
        &[
            Parameter::new("values", Kind::List),
            Parameter::new("keys", Kind::List),
            Parameter::new("searchset", Kind::List),
        ],
        Returns::Of(matchkeys_type),
        matchkeys,
    ),
    Function::new("one", &[any("list").marked().unknown()], Returns::Of(one_type), one).may_be_null(),
];

fn coalescelist_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    let Some(first) = arguments.first() else {
        return Err(FunctionError::new("at least one argument is required"));
    };
    for (index, argument) in arguments.iter().enumerate() {
        if !argument.is_known() {
            return Ok(Type::Dynamic);
        }
        if !matches!(argument.ty(), Type::List(_) | Type::Tuple(_)) {
            return Err(FunctionError::argument(index, "a list or tuple is required"));
        }
    }
    let same = arguments.iter().all(|argument| argument.ty() == first.ty());
    Ok(if same { first.ty() } else { Type::Dynamic })
}

fn coalescelist(call: &Call<'_>) -> Outcome {
    for argument in call.arguments {
        if !argument.is_known() {
            return Ok(Value::unknown(call.ty.clone()));
        }
        if argument.elements().is_some_and(|elements| !elements.is_empty()) {
            return Ok(argument.clone());
        }
    }
    Err(FunctionError::new("all arguments are null or empty"))
}

fn contains(call: &Call<'_>) -> Outcome {
    let list = &call.arguments[0];
    let Some(elements) = list.elements() else {
        return Err(FunctionError::argument(0, "a list, set or tuple is required"));
    };
    let mut known = true;
    for element in elements {
        match compare(&call.arguments[1], element) {
            Some(true) => return Ok(Value::bool(true)),
            Some(false) => {}
            None => known = false,
        }
    }
    Ok(if known { Value::bool(false) } else { Value::unknown(Type::Bool) })
}

fn index(call: &Call<'_>) -> Outcome {
    let list = &call.arguments[0];
    if !matches!(list.ty(), Type::List(_) | Type::Tuple(_)) {
        return Err(FunctionError::argument(0, "a list or tuple is required"));
    }
    if call.elements(0).is_empty() {
        return Err(FunctionError::argument(0, "an empty list has no element"));
    }
    for (place, element) in call.elements(0).iter().enumerate() {
        match compare(element, &call.arguments[1]) {
            Some(true) => return Ok(Value::number(place as u64)),
            Some(false) => {}
            None => return Ok(Value::unknown(Type::Number)),
        }
    }
    Err(FunctionError::argument(1, "the list has no such element"))
}

fn matchkeys_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    if unify(&[arguments[1].ty(), arguments[2].ty()]).is_none() {
        return Err(FunctionError::argument(1, "keys and searchset must be of one type"));
    }
    Ok(arguments[0].ty())
}

fn matchkeys(call: &Call<'_>) -> Outcome {
    if !call.arguments[0].is_known() {
        return Ok(Value::unknown(call.ty.clone()));
    }
    let (values, keys) = (call.elements(0), call.elements(1));
    if values.len() != keys.len() {
        return Err(FunctionError::new("values and keys must have the same length"));
    }
    let common = unify(&[call.arguments[1].ty(), call.arguments[2].ty()]).unwrap_or(Type::Dynamic);
    let fit = |index: usize| {
        convert(&call.arguments[index], &common)
            .map_err(|error| FunctionError::argument(index, error.to_string()))
    };
    let (keys, wanted) = (fit(1)?, fit(2)?);
    let none = Value::list(call.ty.element().cloned().unwrap_or(Type::Dynamic), Vec::new());
    if wanted.elements().is_some_and(<[Value]>::is_empty) {
        return Ok(none);
    }
    if !call.arguments[0].is_wholly_known() || !keys.is_wholly_known() {
        return Ok(Value::unknown(call.ty.clone()));
    }
    let mut found = Vec::new();
    for (value, key) in values.iter().zip(keys.elements().unwrap_or_default()) {
        for candidate in wanted.elements().unwrap_or_default() {
            match compare(key, candidate) {
                Some(true) => {
                    found.push(value.clone());
                    break;
                }
                Some(false) => {}
                // As the reference has it.
                None => return Ok(none),
            }
        }
    }
    Ok(Value::list(call.ty.element().cloned().unwrap_or(Type::Dynamic), found))
}

fn one_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::List(element) | Type::Set(element) => Ok((*element).clone()),
        Type::Tuple(types) => match &types[..] {
            [] => Ok(Type::Dynamic),
            [one] => Ok(one.clone()),
            _ => Err(FunctionError::argument(0, "a list, set or tuple with at most one element is required")),
        },
        _ => Err(FunctionError::argument(0, "a list, set or tuple with at most one element is required")),
    }
}

fn one(call: &Call<'_>) -> Outcome {
    let list = &call.arguments[0];
    let Some(elements) = list.elements().filter(|_| !list.has_unknown_length()) else {
        return Ok(Value::unknown(call.ty.clone()).with_marks(list.marks));
    };
    let value = match elements {
        [] => Value::null(call.ty.clone()),
        [one] => one.clone(),
        _ => {
            return Err(FunctionError::argument(
                0,
                "a list, set or tuple with at most one element is required",
            ));
        }
    };
    Ok(value.with_marks(list.marks))
}
