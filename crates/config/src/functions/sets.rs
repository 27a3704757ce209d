//! Functions on sets.

use pve_model::{Type, Value};

use super::Kind::{SetAny, SetString};
use super::{Outcome, any_type, fail, fail_at, function, parameter};
use crate::convert::{convert, unify};

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("setunion", [], ..parameter("sets", SetAny), any_type, |a, _| combine(a, |sets| {
        sets.concat()
    })),
    function!("setintersection", [], ..parameter("sets", SetAny), any_type, |a, _| combine(a, |sets| {
        let (first, rest) = (&sets[0], &sets[1..]);
        first.iter().filter(|value| rest.iter().all(|set| set.contains(value))).cloned().collect()
    })),
    function!("setsubtract", [parameter("a", SetAny), parameter("b", SetAny)], any_type, |a, _| combine(
        a,
        |sets| { sets[0].iter().filter(|value| !sets[1].contains(value)).cloned().collect() }
    )),
    function!("setsymmetricdifference", [], ..parameter("sets", SetAny), any_type, |a, _| combine(
        a,
        |sets| {
            let mut kept: Vec<Value> = Vec::new();
            for set in sets {
                for value in set {
                    match kept.iter().position(|other| other == value) {
                        Some(at) => drop(kept.remove(at)),
                        None => kept.push(value.clone()),
                    }
                }
            }
            kept
        }
    )),
    function!(
        "sethaselement",
        [parameter("set", SetString), parameter("elem", super::Kind::String)],
        super::bool_type,
        |a, _| { Ok(Value::bool(a[0].elements().unwrap_or_default().contains(&a[1]))) }
    ),
];

fn combine(sets: &[Value], operation: fn(&[Vec<Value>]) -> Vec<Value>) -> Outcome {
    if sets.is_empty() {
        return fail("at least one set is needed");
    }
    let types: Vec<Type> = sets
        .iter()
        .filter(|set| !(set.elements() == Some(&[]) && set.ty().element() == Some(&Type::Dynamic)))
        .filter_map(|set| set.ty().element().cloned())
        .collect();
    let element = if types.is_empty() { Some(Type::Dynamic) } else { unify(&types) };
    let Some(element) = element else {
        return fail("the sets must have one type of element");
    };
    if !sets.iter().all(Value::is_wholly_known) {
        return Ok(Value::unknown(Type::set(element)));
    }
    let ty = Type::set(element.clone());
    let mut lists = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        let set = convert(set, &ty).or_else(|error| fail_at(i, error.to_string()))?;
        lists.push(set.elements().unwrap_or_default().to_vec());
    }
    Ok(Value::set(element, operation(&lists)))
}
