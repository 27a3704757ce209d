//! The one type that several types have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::Type;
use pve_model::types::AttributeType;

/// The type that values of all these types can be converted to without loss, if there is one. Objects of one shape
/// stay objects, others become maps; tuples of one length stay tuples, others become lists.
pub fn unify(types: &[Type]) -> Option<Type> {
    let first = types.first()?;
    if types.iter().all(|ty| ty == first) {
        return Some(first.clone());
    }
    if types.contains(&Type::Dynamic) {
        // What is not known yet takes part in nothing: the others may still agree on their shape.
        return Some(Type::Dynamic);
    }
    let objects: Option<Vec<_>> = types.iter().map(as_object).collect();
    if let Some(objects) = objects {
        return unify_objects(&objects);
    }
    let tuples: Option<Vec<_>> = types.iter().map(as_tuple).collect();
    if let Some(tuples) = tuples {
        return unify_tuples(&tuples);
    }
    unify_collections(types).or_else(|| {
        types.iter().find(|candidate| types.iter().all(|ty| converts_safely(ty, candidate))).cloned()
    })
}

type Attributes = BTreeMap<Arc<str>, AttributeType>;

fn as_object(ty: &Type) -> Option<&Attributes> {
    match ty {
        Type::Object(attributes) => Some(attributes),
        _ => None,
    }
}

fn as_tuple(ty: &Type) -> Option<&[Type]> {
    match ty {
        Type::Tuple(parts) => Some(parts),
        _ => None,
    }
}

fn unify_objects(objects: &[&Attributes]) -> Option<Type> {
    let names: Vec<&Arc<str>> = objects[0].keys().collect();
    let same_names = objects.iter().all(|object| object.keys().collect::<Vec<_>>() == names);
    if same_names {
        let attributes = names.iter().map(|name| {
            let types: Vec<Type> = objects.iter().map(|object| object[*name].ty.clone()).collect();
            Some(((*name).clone(), unify(&types)?))
        });
        return Some(Type::object(attributes.collect::<Option<Vec<_>>>()?));
    }
    let all: Vec<Type> = objects.iter().flat_map(|object| object.values().map(|a| a.ty.clone())).collect();
    unify(&all).map(Type::map)
}

fn unify_tuples(tuples: &[&[Type]]) -> Option<Type> {
    let length = tuples[0].len();
    if tuples.iter().all(|tuple| tuple.len() == length) {
        let parts = (0..length).map(|i| {
            let types: Vec<Type> = tuples.iter().map(|tuple| tuple[i].clone()).collect();
            unify(&types)
        });
        return parts.collect::<Option<Vec<_>>>().map(Type::tuple);
    }
    let all: Vec<Type> = tuples.iter().flat_map(|tuple| tuple.iter().cloned()).collect();
    unify(&all).map(Type::list)
}

/// Lists with tuples, maps with objects, and collections of one kind whose elements agree.
fn unify_collections(types: &[Type]) -> Option<Type> {
    let elements_of = |wanted: fn(&Type) -> bool, loose: fn(&Type) -> Option<Vec<Type>>| {
        let mut any = false;
        let mut elements = Vec::new();
        for ty in types {
            if wanted(ty) {
                any = true;
                elements.extend(ty.element().cloned());
            } else {
                elements.extend(loose(ty)?);
            }
        }
        if any { unify(&elements) } else { None }
    };
    let parts = |ty: &Type| as_tuple(ty).map(<[Type]>::to_vec);
    let values = |ty: &Type| as_object(ty).map(|a| a.values().map(|a| a.ty.clone()).collect());
    if let Some(element) = elements_of(|ty| matches!(ty, Type::List(_)), parts) {
        return Some(Type::list(element));
    }
    if let Some(element) = elements_of(|ty| matches!(ty, Type::Set(_)), parts) {
        return Some(Type::set(element));
    }
    elements_of(|ty| matches!(ty, Type::Map(_)), values).map(Type::map)
}

/// Whether every value of type `from` can be converted to `to` without loss.
pub fn converts_safely(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (a, b) if a == b => true,
        (_, Type::Dynamic) => true,
        (Type::Bool | Type::Number, Type::String) => true,
        (Type::List(a) | Type::Set(a), Type::List(b))
        | (Type::Set(a), Type::Set(b))
        | (Type::Map(a), Type::Map(b)) => converts_safely(a, b),
        (Type::Tuple(parts), Type::List(b) | Type::Set(b)) => parts.iter().all(|part| converts_safely(part, b)),
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| converts_safely(a, b))
        }
        (Type::Object(parts), Type::Map(b)) => parts.values().all(|part| converts_safely(&part.ty, b)),
        (Type::Object(a), Type::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, part)| b.get(name).is_some_and(|other| converts_safely(&part.ty, &other.ty)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primitives_meet_in_string_and_number_and_bool_do_not_meet() {
        assert_eq!(unify(&[Type::Number, Type::String]), Some(Type::String));
        assert_eq!(unify(&[Type::Number, Type::Bool]), None);
    }

    #[test]
    fn objects_of_other_shape_become_maps_and_tuples_of_other_length_lists() {
        let a = Type::object([("a", Type::Number)]);
        let b = Type::object([("b", Type::String)]);
        assert_eq!(unify(&[a, b]), Some(Type::map(Type::String)));
        let one = Type::tuple([Type::Number]);
        assert_eq!(unify(&[one.clone(), Type::tuple([Type::Number, Type::Number])]), Some(Type::list(Type::Number)));
        assert_eq!(unify(&[one, Type::list(Type::String)]), Some(Type::list(Type::String)));
    }
}
