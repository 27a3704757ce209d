//! Sets.

use pve_model::{Marks, Type, Value, ValueKind};

use super::FunctionError;
use super::parameter::{Call, Function, Kind, Outcome, Parameter, Returns, any};
use crate::convert::{convert, unify};

const SET: Parameter = Parameter::new("set", Kind::Set).dynamic();

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("setunion", &[SET], Returns::Of(common_type), |c| {
        operate(c, true, |a, b| a.iter().chain(b).cloned().collect())
    })
    .and_more(SET),
    Function::new("setintersection", &[SET], Returns::Of(common_type), |c| {
        operate(c, false, |a, b| a.iter().filter(|value| b.contains(value)).cloned().collect())
    })
    .and_more(SET),
    Function::new("setsubtract", &[SET, SET], Returns::Of(common_type), |c| {
        operate(c, false, |a, b| a.iter().filter(|value| !b.contains(value)).cloned().collect())
    }),
    Function::new("setsymmetricdifference", &[SET], Returns::Of(common_type), |c| {
        operate(c, false, |a, b| {
            let left = a.iter().filter(|value| !b.contains(value));
            left.chain(b.iter().filter(|value| !a.contains(value))).cloned().collect()
        })
    })
    .and_more(SET),
    Function::new("setproduct", &[], Returns::Of(product_type), product)
        .and_more(any("sets").unknown().marked()),
];

fn common_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    let elements: Vec<Type> = arguments
        .iter()
        .filter_map(|set| {
            let element = set.ty().element().cloned()?;
            let is_bare_empty = element == Type::Dynamic && set.elements().is_some_and(<[Value]>::is_empty);
            (!is_bare_empty).then_some(element)
        })
        .collect();
    if elements.is_empty() {
        return Ok(Type::set(Type::Dynamic));
    }
    let common =
        unify(&elements).ok_or_else(|| FunctionError::new("the sets must have elements of one type"))?;
    Ok(Type::set(common))
}

fn operate(call: &Call<'_>, takes_unknown: bool, combine: fn(&[Value], &[Value]) -> Vec<Value>) -> Outcome {
    let element = call.ty.element().cloned().unwrap_or(Type::Dynamic);
    let mut result: Option<Value> = None;
    for (index, argument) in call.arguments.iter().enumerate() {
        let set =
            convert(argument, call.ty).map_err(|error| FunctionError::argument(index, error.to_string()))?;
        if !set.is_known() || (!takes_unknown && !set.is_wholly_known()) {
            return Ok(Value::unknown(call.ty.clone()));
        }
        result = Some(match result {
            None => set,
            Some(before) => {
                let combined =
                    combine(before.elements().unwrap_or_default(), set.elements().unwrap_or_default());
                Value::set(element.clone(), combined)
            }
        });
    }
    Ok(result.unwrap_or_else(|| Value::set(element, Vec::new())))
}

fn product_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    if arguments.len() < 2 {
        return Err(FunctionError::new("at least two arguments are required"));
    }
    let mut ordered = true;
    let mut elements = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        elements.push(match argument.ty() {
            Type::Set(element) => {
                ordered = false;
                (*element).clone()
            }
            Type::List(element) => (*element).clone(),
            Type::Tuple(types) if types.is_empty() => Type::Dynamic,
            Type::Tuple(types) => unify(&types)
                .ok_or_else(|| FunctionError::argument(index, "all elements must have the same type"))?,
            _ => return Err(FunctionError::argument(index, "a set or list is required")),
        });
    }
    let element = Type::tuple(elements);
    Ok(if ordered { Type::list(element) } else { Type::set(element) })
}

/// How many elements there can be, as far as that is known.
fn greatest_length(value: &Value) -> Option<u64> {
    match &value.kind {
        ValueKind::Unknown(_, refinement) => refinement.as_ref()?.max_length,
        _ if value.has_unknown_length() => None,
        _ => value.elements().map(|elements| elements.len() as u64),
    }
}

/// Most elements of a product, so that a short expression cannot fill the memory.
const MOST_TUPLES: usize = 10_000_000;

fn product(call: &Call<'_>) -> Outcome {
    let marks = call.arguments.iter().fold(Marks::NONE, |marks, argument| marks.union(argument.marks));
    let element = call.ty.element().cloned().unwrap_or(Type::Dynamic);
    let lengths: Vec<Option<u64>> = call.arguments.iter().map(greatest_length).collect();
    let is_empty = lengths.iter().all(Option::is_some) && lengths.contains(&Some(0));
    if !is_empty && call.arguments.iter().any(Value::has_unknown_length) {
        return Ok(Value::unknown(call.ty.clone()).with_marks(marks));
    }
    let mut rows: Vec<Vec<Value>> = if is_empty { Vec::new() } else { vec![Vec::new()] };
    for (index, argument) in call.arguments.iter().enumerate() {
        let wanted = match &element {
            Type::Tuple(types) => types[index].clone(),
            _ => Type::Dynamic,
        };
        let length = argument.elements().map_or(0, <[Value]>::len);
        if rows.len().saturating_mul(length) > MOST_TUPLES {
            return Err(FunctionError::new(format!("the product has more than {MOST_TUPLES} elements")));
        }
        let mut longer = Vec::new();
        for row in &rows {
            for value in argument.elements().unwrap_or_default() {
                let value = convert(value, &wanted)
                    .map_err(|error| FunctionError::argument(index, error.to_string()))?;
                let mut row = row.clone();
                row.push(value);
                longer.push(row);
            }
        }
        rows = longer;
    }
    let tuples = rows.into_iter().map(Value::tuple).collect();
    let result = match call.ty {
        Type::List(_) => Value::list(element, tuples),
        _ => Value::set(element, tuples),
    };
    Ok(result.with_marks(marks))
}
