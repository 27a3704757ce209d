//! Lists and tuples.

use pve_model::{Marks, Number, Type, Value, ValueKind};

use super::FunctionError;
use super::parameter::{Call, Function, Kind, Outcome, Parameter, Returns, any, number};
use crate::convert::{convert, kind_name, unify};
use crate::evaluate::compare;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("concat", &[], Returns::Of(concat_type), concat).and_more(any("seqs").marked()),
    Function::new("flatten", &[any("list").marked()], Returns::Of(flatten_type), flatten),
    Function::new("distinct", &[Parameter::new("list", Kind::List)], Returns::Of(same_type), distinct),
    Function::new("element", &[any("list").marked(), number("index")], Returns::Of(element_type), element)
        .may_be_null(),
    Function::new(
        "slice",
        &[any("list").marked(), number("start_index"), number("end_index")],
        Returns::Of(slice_type),
        slice,
    ),
    Function::new("reverse", &[any("list").marked()], Returns::Of(reverse_type), reverse),
    Function::new("sort", &[Parameter::new("list", Kind::Texts).unknown()], Returns::Texts, sort),
    Function::new("range", &[], Returns::Numbers, range).and_more(number("params")),
    Function::new("compact", &[Parameter::new("list", Kind::Texts)], Returns::Texts, compact),
    Function::new(
        "chunklist",
        &[Parameter::new("list", Kind::List).marked(), number("size").marked()],
        Returns::Of(|args| Ok(Type::list(args[0].ty()))),
        chunklist,
    ),
];

fn same_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    Ok(arguments[0].ty())
}

fn is_list(ty: &Type) -> bool {
    matches!(ty, Type::List(_))
}

fn concat_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    if arguments.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    let types: Vec<Type> = arguments.iter().map(Value::ty).collect();
    if types.iter().all(is_list)
        && let Some(common) = unify(&types)
    {
        return Ok(common);
    }
    let mut elements = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        match argument.ty() {
            Type::Tuple(types) => elements.extend(types.iter().cloned()),
            Type::List(_) if !argument.is_known() => return Ok(Type::Dynamic),
            Type::List(element) => {
                let count = argument.elements().map_or(0, <[Value]>::len);
                elements.extend(std::iter::repeat_n((*element).clone(), count));
            }
            other => {
                let message = format!("a list or tuple is required, and this is {}", kind_name(&other));
                return Err(FunctionError::argument(index, message));
            }
        }
    }
    Ok(Type::tuple(elements))
}

fn concat(call: &Call<'_>) -> Outcome {
    let (mut values, mut marks) = (Vec::new(), Marks::NONE);
    for (index, argument) in call.arguments.iter().enumerate() {
        marks = marks.union(argument.marks);
        let list = match call.ty {
            Type::List(_) => convert(argument, call.ty)
                .map_err(|error| FunctionError::argument(index, error.to_string()))?,
            _ => argument.clone(),
        };
        values.extend_from_slice(list.elements().unwrap_or_default());
    }
    let result = match call.ty {
        Type::List(element) => Value::list((**element).clone(), values),
        _ => Value::tuple(values),
    };
    Ok(result.with_marks(marks))
}

fn flatten_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    if !arguments[0].is_wholly_known() {
        return Ok(Type::Dynamic);
    }
    match arguments[0].ty() {
        Type::List(_) | Type::Set(_) | Type::Tuple(_) => Ok(Type::Dynamic),
        other => Err(FunctionError::argument(
            0,
            format!("a list, set or tuple is required, and this is {}", kind_name(&other)),
        )),
    }
}

fn flatten(call: &Call<'_>) -> Outcome {
    fn collect(value: &Value, values: &mut Vec<Value>, marks: &mut Marks) -> bool {
        *marks = marks.union(value.marks);
        if !value.is_known() {
            return false;
        }
        if matches!(value.kind, ValueKind::Set(..)) && !value.is_wholly_known() {
            return false;
        }
        let mut known = true;
        for (_, element) in value.children() {
            let is_sequence = matches!(element.ty(), Type::List(_) | Type::Set(_) | Type::Tuple(_));
            if element.kind == ValueKind::Unknown(Type::Dynamic, None) {
                known = false;
            } else if is_sequence && !element.is_null() {
                known &= collect(element, values, marks);
            } else {
                values.push(element.clone());
            }
        }
        known
    }
    let (mut values, mut marks) = (Vec::new(), Marks::NONE);
    let known = collect(&call.arguments[0], &mut values, &mut marks);
    let result = if known { Value::tuple(values) } else { Value::unknown(Type::Dynamic) };
    Ok(result.with_marks(marks))
}

fn distinct(call: &Call<'_>) -> Outcome {
    if !call.arguments[0].is_wholly_known() {
        return Ok(Value::unknown(call.ty.clone()));
    }
    let mut sorted: Vec<(usize, &Value)> = call.elements(0).iter().enumerate().collect();
    // Sorted by value, then by place, so that of equal ones the first stays; then back in their order.
    sorted.sort_by(|(i, a), (j, b)| pve_model::value::compare_for_set(a, b).then(i.cmp(j)));
    sorted.dedup_by(|(_, a), (_, b)| compare(a, b) == Some(true));
    sorted.sort_by_key(|(place, _)| *place);
    let values = sorted.into_iter().map(|(_, value)| value.clone()).collect();
    Ok(Value::list(call.ty.element().cloned().unwrap_or(Type::Dynamic), values))
}

/// The place of an index that wraps around at the end of the list.
fn wrapped(argument: &Value, length: usize) -> Result<usize, FunctionError> {
    let index = argument.as_i64().ok_or_else(|| FunctionError::argument(1, "a whole number is required"))?;
    if length == 0 {
        return Err(FunctionError::argument(0, "an empty list has no element"));
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    Ok(usize::try_from(index.rem_euclid(length)).unwrap_or_default())
}

fn element_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::List(element) => Ok((*element).clone()),
        Type::Tuple(_) if !arguments[1].is_known() => Ok(Type::Dynamic),
        Type::Tuple(types) => Ok(types[wrapped(&arguments[1], types.len())?].clone()),
        other => Err(FunctionError::argument(
            0,
            format!("a list or tuple is required, and this is {}", kind_name(&other)),
        )),
    }
}

fn element(call: &Call<'_>) -> Outcome {
    let elements = call.elements(0);
    let place = wrapped(&call.arguments[1], elements.len())?;
    Ok(elements[place].clone().with_marks(call.arguments[0].marks))
}

fn slice_range(arguments: &[Value]) -> Result<Option<(usize, usize)>, FunctionError> {
    let place = |index: usize| -> Result<Option<usize>, FunctionError> {
        if !arguments[index].is_known() {
            return Ok(None);
        }
        let found = arguments[index].as_i64().and_then(|number| usize::try_from(number).ok());
        found
            .map(Some)
            .ok_or_else(|| FunctionError::argument(index, "a whole number that is not negative is required"))
    };
    let length = match (&arguments[0].ty(), arguments[0].elements()) {
        (Type::Tuple(types), _) => Some(types.len()),
        (_, elements) => elements.map(<[Value]>::len),
    };
    let (start, end) = (place(1)?, place(2)?);
    for (index, place) in [(1, start), (2, end)] {
        if let (Some(length), Some(place)) = (length, place)
            && place > length
        {
            return Err(FunctionError::argument(index, format!("the list has only {length} elements")));
        }
    }
    match (start, end) {
        (Some(start), Some(end)) if start > end => {
            Err(FunctionError::argument(1, "the start must not be greater than the end"))
        }
        (Some(start), Some(end)) => Ok(Some((start, end))),
        _ => Ok(None),
    }
}

fn slice_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    let ty = arguments[0].ty();
    match &ty {
        Type::List(_) => slice_range(arguments).map(|_| ty),
        Type::Tuple(types) => Ok(match slice_range(arguments)? {
            Some((start, end)) => Type::tuple(types[start..end].iter().cloned()),
            None => Type::Dynamic,
        }),
        other => Err(FunctionError::argument(
            0,
            format!("a list or tuple is required, and this is {}", kind_name(other)),
        )),
    }
}

fn slice(call: &Call<'_>) -> Outcome {
    let Some((start, end)) = slice_range(call.arguments)? else { return Ok(Value::unknown(call.ty.clone())) };
    let values = call.elements(0)[start..end].to_vec();
    Ok(sequence(call.ty, values).with_marks(call.arguments[0].marks))
}

fn sequence(ty: &Type, values: Vec<Value>) -> Value {
    match ty {
        Type::List(element) => Value::list((**element).clone(), values),
        _ => Value::tuple(values),
    }
}

fn reverse_type(arguments: &[Value]) -> Result<Type, FunctionError> {
    match arguments[0].ty() {
        Type::List(element) | Type::Set(element) => Ok(Type::List(element)),
        Type::Tuple(types) => Ok(Type::tuple(types.iter().rev().cloned())),
        other => Err(FunctionError::argument(
            0,
            format!("a list or tuple is required, and this is {}", kind_name(&other)),
        )),
    }
}

fn reverse(call: &Call<'_>) -> Outcome {
    let values = call.elements(0).iter().rev().cloned().collect();
    Ok(sequence(call.ty, values).with_marks(call.arguments[0].marks))
}

fn sort(call: &Call<'_>) -> Outcome {
    let list = &call.arguments[0];
    if !list.is_wholly_known() {
        let unknown = Value::unknown(Type::String);
        return Ok(match list.elements() {
            Some(elements) => Value::list(Type::String, vec![unknown; elements.len()]),
            None => Value::unknown(call.ty.clone()),
        });
    }
    let mut values = Vec::new();
    for (place, value) in call.elements(0).iter().enumerate() {
        if value.is_null() {
            return Err(FunctionError::argument(
                0,
                format!("element {place} is null; null cannot be sorted"),
            ));
        }
        values.push(value.clone());
    }
    values.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Ok(Value::list(Type::String, values))
}

/// Most numbers that `range` gives, as in the reference.
const LONGEST_RANGE: usize = 1024;

fn range(call: &Call<'_>) -> Outcome {
    let numbers: Vec<&Number> = call.arguments.iter().filter_map(Value::as_number).collect();
    let zero = Number::from(0);
    let step = |start: &Number, end: &Number| Number::from(if end < start { -1 } else { 1 });
    let (start, end, step) = match numbers[..] {
        [end] => (zero.clone(), end.clone(), step(&zero, end)),
        [start, end] => (start.clone(), end.clone(), step(start, end)),
        [start, end, step] => (start.clone(), end.clone(), step.clone()),
        _ => return Err(FunctionError::new("one, two or three numbers are required")),
    };
    if step.is_zero() {
        return Err(FunctionError::argument(2, "the step must not be zero"));
    }
    let down = step < zero;
    if (down && end > start) || (!down && end < start) {
        return Err(FunctionError::argument(1, "the step leads away from the end"));
    }
    let mut values = Vec::new();
    let mut current = start;
    while if down { current > end } else { current < end } {
        if values.len() >= LONGEST_RANGE {
            return Err(FunctionError::new(format!("the range has more than {LONGEST_RANGE} numbers")));
        }
        values.push(Value::number(current.clone()));
        current = current.add(&step).map_err(|error| FunctionError::new(error.to_string()))?;
    }
    Ok(Value::list(Type::Number, values))
}

fn compact(call: &Call<'_>) -> Outcome {
    if !call.arguments[0].is_wholly_known() {
        return Ok(Value::unknown(call.ty.clone()));
    }
    let values = call.elements(0).iter().filter(|v| v.as_str().is_some_and(|text| !text.is_empty())).cloned();
    Ok(Value::list(Type::String, values.collect()))
}

fn chunklist(call: &Call<'_>) -> Outcome {
    let marks = call.arguments[0].marks.union(call.arguments[1].marks);
    let list = call.arguments[0].ty();
    let element = list.element().cloned().unwrap_or(Type::Dynamic);
    let (size, elements) = (call.size(1)?, call.elements(0));
    let chunks: Vec<Value> = match size {
        _ if elements.is_empty() => Vec::new(),
        0 => vec![Value::list(element, elements.to_vec())],
        size => elements.chunks(size).map(|chunk| Value::list(element.clone(), chunk.to_vec())).collect(),
    };
    Ok(Value::list(list, chunks).with_marks(marks))
}
