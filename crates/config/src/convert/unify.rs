//! The type that values of several types can all be converted to.

use std::collections::BTreeSet;

use pve_model::Type;

use super::is_convertible;

/// The type that all of `types` have in common; none if there is none, or no type is given. Numbers and bools become
/// strings where a string is among them; objects with different attributes become maps, tuples of different lengths
/// lists. A type that is not known yet is taken to be that of the others, unless these are collections.
pub fn unify(types: &[Type]) -> Option<Type> {
    let first = types.first()?;
    if types.iter().all(|ty| ty == first) {
        return Some(first.clone());
    }
    let known: Vec<&Type> = types.iter().filter(|ty| **ty != Type::Dynamic).collect();
    let has_any = known.len() != types.len();
    let all = |test: fn(&Type) -> bool| known.iter().all(|ty| test(ty));
    let some = |test: fn(&Type) -> bool| known.iter().any(|ty| test(ty));
    let is_map = |ty: &Type| matches!(ty, Type::Map(_));
    let is_object = |ty: &Type| matches!(ty, Type::Object(_));
    let is_list = |ty: &Type| matches!(ty, Type::List(_));
    let is_tuple = |ty: &Type| matches!(ty, Type::Tuple(_));
    let is_set = |ty: &Type| matches!(ty, Type::Set(_));
    if all(is_map) || all(is_list) || all(is_set) {
        return if has_any { Some(Type::Dynamic) } else { unify_collections(&known) };
    }
    if all(is_object) || all(is_tuple) {
        if has_any {
            return Some(Type::Dynamic);
        }
        return if is_object(first) { unify_objects(&known) } else { unify_tuples(&known) };
    }
    if !has_any
        && some(is_map)
        && all(|ty| matches!(ty, Type::Map(_) | Type::Object(_)))
        && let Some(element) = unify(&parts_of(&known))
    {
        return Some(Type::map(element));
    }
    if !has_any
        && some(is_list)
        && all(|ty| matches!(ty, Type::List(_) | Type::Tuple(_)))
        && let Some(element) = unify(&parts_of(&known))
    {
        return Some(Type::list(element));
    }
    if some(is_object) && some(is_tuple) {
        return None;
    }
    candidates(types)
        .into_iter()
        .find(|wanted| types.iter().all(|ty| ty == wanted || is_convertible(ty, wanted)))
}

/// The types, the most general first.
fn candidates(types: &[Type]) -> Vec<Type> {
    let generality = |ty: &Type| match ty {
        Type::String => 0,
        Type::List(_) | Type::Map(_) => 1,
        Type::Tuple(_) | Type::Object(_) => 2,
        Type::Set(_) => 3,
        Type::Dynamic => 9,
        _ => 4,
    };
    let mut sorted = types.to_vec();
    sorted.sort_by_key(generality);
    sorted
}

fn unify_collections(types: &[&Type]) -> Option<Type> {
    let element = unify(&parts_of(types))?;
    match types.first()? {
        Type::Map(_) => Some(Type::map(element)),
        Type::Set(_) => Some(Type::set(element)),
        _ => Some(Type::list(element)),
    }
}

fn unify_objects(types: &[&Type]) -> Option<Type> {
    let attributes: Vec<_> = types
        .iter()
        .filter_map(|ty| match ty {
            Type::Object(attributes) => Some(attributes),
            _ => None,
        })
        .collect();
    let names: BTreeSet<_> = attributes.iter().flat_map(|attributes| attributes.keys()).collect();
    if attributes.iter().all(|attributes| attributes.len() == names.len()) {
        let unified: Option<Vec<_>> = names
            .iter()
            .map(|name| {
                let types: Vec<Type> =
                    attributes.iter().filter_map(|a| a.get(*name)).map(|a| a.ty.clone()).collect();
                Some(((*name).clone(), unify(&types)?))
            })
            .collect();
        if let Some(unified) = unified {
            return Some(Type::object(unified));
        }
    }
    unify(&parts_of(types)).map(Type::map)
}

fn unify_tuples(types: &[&Type]) -> Option<Type> {
    let tuples: Vec<_> = types
        .iter()
        .filter_map(|ty| match ty {
            Type::Tuple(types) => Some(types),
            _ => None,
        })
        .collect();
    let length = tuples.first()?.len();
    if tuples.iter().all(|types| types.len() == length) {
        let unified: Option<Vec<Type>> = (0..length)
            .map(|i| unify(&tuples.iter().map(|types| types[i].clone()).collect::<Vec<_>>()))
            .collect();
        if let Some(unified) = unified {
            return Some(Type::tuple(unified));
        }
    }
    unify(&parts_of(types)).map(Type::list)
}

/// The types of all elements or attributes.
fn parts_of(types: &[&Type]) -> Vec<Type> {
    let mut parts = Vec::new();
    for ty in types {
        match ty {
            Type::List(element) | Type::Set(element) | Type::Map(element) => parts.push((**element).clone()),
            Type::Tuple(types) => parts.extend(types.iter().cloned()),
            Type::Object(attributes) => parts.extend(attributes.values().map(|a| a.ty.clone())),
            _ => {}
        }
    }
    parts
}
