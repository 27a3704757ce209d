//! Differences between values before and after, and which of them replace a resource.

use pve_model::schema::Block;
use pve_model::{Path, PathStep, Value, ValueKind};

/// Whether two values are the same, whatever their marks.
pub fn same(before: &Value, after: &Value) -> bool {
    before == after || before.unmark_deep().0 == after.unmark_deep().0
}

/// The paths of attributes that differ and that the schema marks as replacing the resource.
pub fn replace_paths(block: &Block, before: &Value, after: &Value) -> Vec<Path> {
    let mut found = Vec::new();
    collect(block, before, after, &Path::default(), &mut found);
    found
}

fn collect(block: &Block, before: &Value, after: &Value, path: &Path, found: &mut Vec<Path>) {
    for (name, attribute) in &block.attributes {
        let here = path.child(PathStep::Attribute(name.to_string()));
        if attribute.replace && part_differs(before, after, name) {
            found.push(here);
        }
    }
    for (name, nested) in &block.blocks {
        let here = path.child(PathStep::Attribute(name.to_string()));
        let (old, new) = (before.get(name), after.get(name));
        if let (Some(ValueKind::Object(_)), Some(ValueKind::Object(_))) =
            (old.map(|v| &v.kind), new.map(|v| &v.kind))
        {
            if let (Some(old), Some(new)) = (old, new) {
                collect(&nested.block, old, new, &here, found);
            }
            continue;
        }
        let count = |value: Option<&Value>| value.and_then(Value::elements).map_or(0, <[Value]>::len);
        if nested.replace && count(old) != count(new) {
            found.push(here.clone());
        }
        let empty = Value::object(std::collections::BTreeMap::new());
        let element = |value: Option<&Value>, i: usize| {
            value.and_then(Value::elements).and_then(|elements| elements.get(i)).cloned()
        };
        for i in 0..count(old).max(count(new)) {
            let at = here.child(PathStep::Index(i as u64));
            let old = element(old, i).unwrap_or_else(|| empty.clone());
            let new = element(new, i).unwrap_or_else(|| empty.clone());
            collect(&nested.block, &old, &new, &at, found);
        }
    }
}

fn part_differs(before: &Value, after: &Value, name: &str) -> bool {
    match (before.get(name), after.get(name)) {
        (Some(before), Some(after)) => !same(before, after),
        (Some(only), None) | (None, Some(only)) => !is_absent(only),
        (None, None) => false,
    }
}

/// Null, or what a list has where nothing is written.
fn is_absent(value: &Value) -> bool {
    value.is_null() || value.elements().is_some_and(<[Value]>::is_empty)
}

/// Whether values differ in anything that a configuration can set.
pub fn is_settable(block: &Block, before: &Value, after: &Value) -> bool {
    let attributes = block.attributes.iter().any(|(name, attribute)| {
        (attribute.required || attribute.optional) && part_differs(before, after, name)
    });
    attributes
        || block.blocks.iter().any(|(name, nested)| {
            let (old, new) = (before.get(name), after.get(name));
            match (old.and_then(Value::elements), new.and_then(Value::elements)) {
                (Some(old), Some(new)) => {
                    old.len() != new.len()
                        || old.iter().zip(new).any(|(old, new)| is_settable(&nested.block, old, new))
                }
                _ => match (old, new) {
                    (Some(old), Some(new)) if old.entries().is_some() && new.entries().is_some() => {
                        is_settable(&nested.block, old, new)
                    }
                    _ => part_differs(before, after, name),
                },
            }
        })
}

/// The first known part of `planned` that `actual` contradicts: both known and different.
pub fn contradiction(planned: &Value, actual: &Value) -> Option<Path> {
    fn find(planned: &Value, actual: &Value, path: &Path) -> Option<Path> {
        if !planned.is_known() {
            return None;
        }
        if planned.is_wholly_known() {
            return (!same(planned, actual)).then(|| path.clone());
        }
        // Elements of a set have no place, and unknown ones may turn out to be equal: nothing can be held against the plan.
        if matches!(planned.kind, ValueKind::Set(..)) {
            return None;
        }
        let parts: Vec<_> = actual.children().collect();
        if parts.len() != planned.children().count() {
            return Some(path.clone());
        }
        planned.children().zip(parts).find_map(|((step, planned), (other, actual))| {
            if step == other { find(planned, actual, &path.child(step)) } else { Some(path.clone()) }
        })
    }
    find(planned, actual, &Path::default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use pve_model::Type;
    use pve_model::schema::Attribute;

    use super::*;

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::object(entries.iter().map(|(k, v)| (Arc::from(*k), v.clone())).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn only_attributes_that_replace_are_named() {
        let mut block = Block::default();
        block.attributes.insert("node".into(), Attribute { replace: true, ..Attribute::default() });
        block.attributes.insert("name".into(), Attribute::default());
        let before = object(&[("node", Value::string("a")), ("name", Value::string("x"))]);
        let after = object(&[("node", Value::unknown(Type::String)), ("name", Value::string("y"))]);
        assert_eq!(replace_paths(&block, &before, &after), vec![Path::attribute("node")]);
        assert_eq!(replace_paths(&block, &before, &before.clone().sensitive()), vec![]);
    }

    #[test]
    fn what_no_configuration_sets_is_told_from_what_one_does() {
        let of = |optional: bool| Attribute { optional, computed: true, ..Attribute::default() };
        let mut disk = Block::default();
        disk.attributes.extend([("size".into(), of(true)), ("path".into(), of(false))]);
        let mut block = Block::default();
        block.attributes.extend([("name".into(), of(true)), ("members".into(), of(false))]);
        let nesting = pve_model::schema::Nesting::List;
        let nested = pve_model::schema::NestedBlock {
            nesting,
            block: disk,
            min_items: 0,
            max_items: 0,
            replace: false,
        };
        block.blocks.insert("disk".into(), nested);
        let value = |name: &str, members: &str, disks: &[(&str, &str)]| {
            let disks = disks.iter();
            let disks: Vec<Value> = disks
                .map(|(size, path)| object(&[("size", Value::string(*size)), ("path", Value::string(*path))]))
                .collect();
            let parts = [("name", Value::string(name)), ("members", Value::string(members))];
            object(&[parts[0].clone(), parts[1].clone(), ("disk", Value::list(Type::Dynamic, disks))])
        };
        let before = value("a", "1", &[("4", "x")]);
        assert!(!is_settable(&block, &before, &value("a", "2", &[("4", "y")])));
        assert!(is_settable(&block, &before, &value("b", "1", &[("4", "x")])));
        assert!(is_settable(&block, &before, &value("a", "1", &[("5", "x")])));
        assert!(is_settable(&block, &before, &value("a", "1", &[])));
    }

    #[test]
    fn what_was_unknown_may_become_anything_but_what_was_known_must_stay() {
        let planned = object(&[("id", Value::unknown(Type::String)), ("name", Value::string("x"))]);
        let right = object(&[("id", Value::string("7")), ("name", Value::string("x"))]);
        let wrong = object(&[("id", Value::string("7")), ("name", Value::string("y"))]);
        assert_eq!(contradiction(&planned, &right), None);
        assert_eq!(contradiction(&planned, &wrong), Some(Path::attribute("name")));
    }
}
