//! What a configuration proposes for an instance: configured values, defaults, and computed values kept or unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::schema::{Attribute, Block, NestedBlock};
use pve_model::{Path, PathStep, Value, ValueKind};

/// The configured values with defaults filled in; a computed attribute that is not configured keeps its value from
/// `prior`, or is unknown where there is none.
pub fn propose(block: &Block, prior: Option<&Value>, config: &Value) -> Value {
    let Some(entries) = config.entries() else {
        return config.clone();
    };
    let mut proposed = BTreeMap::new();
    for (name, value) in entries {
        let before = prior.and_then(|prior| prior.get(name));
        let value = if let Some(attribute) = block.attributes.get(name) {
            propose_attribute(attribute, before, value)
        } else if let Some(nested) = block.blocks.get(name) {
            propose_nested(nested, before, value)
        } else {
            value.clone()
        };
        proposed.insert(name.clone(), value);
    }
    Value::object(proposed).with_marks(config.marks)
}

fn propose_attribute(attribute: &Attribute, before: Option<&Value>, config: &Value) -> Value {
    let value = if !config.is_null() {
        config.clone()
    } else if let Some(default) = &attribute.default {
        default.clone()
    } else if attribute.computed {
        before.cloned().unwrap_or_else(|| Value::unknown(attribute.ty.clone()))
    } else {
        config.clone()
    };
    if attribute.sensitive { value.sensitive() } else { value }
}

fn propose_nested(nested: &NestedBlock, before: Option<&Value>, config: &Value) -> Value {
    if !config.is_known() || config.is_null() {
        return config.clone();
    }
    let propose_at = |index: usize, element: &Value| {
        let prior = before.and_then(Value::elements).and_then(|elements| elements.get(index));
        propose(&nested.block, prior, element)
    };
    let kind = match &config.kind {
        ValueKind::Object(_) => return propose(&nested.block, before.filter(|b| !b.is_null()), config),
        ValueKind::List(ty, elements) => ValueKind::List(
            ty.clone(),
            Arc::new(elements.iter().enumerate().map(|(i, e)| propose_at(i, e)).collect()),
        ),
        ValueKind::Set(ty, elements) => {
            let elements = elements.iter().map(|element| propose_in_set(nested, before, element)).collect();
            return Value::set(ty.clone(), elements).with_marks(config.marks);
        }
        other => other.clone(),
    };
    Value { kind, marks: config.marks }
}

/// Elements of a set have no place: the element before is the one whose configured attributes are the same.
fn propose_in_set(nested: &NestedBlock, before: Option<&Value>, element: &Value) -> Value {
    let same = |candidate: &&Value| {
        element.entries().is_some_and(|entries| {
            entries.iter().all(|(name, value)| value.is_null() || candidate.get(name) == Some(value))
        })
    };
    propose(&nested.block, before.and_then(Value::elements).and_then(|all| all.iter().find(same)), element)
}

/// The configured values with the parts that `ignore_changes` names taken from `prior`.
pub fn ignore_changes(config: &Value, prior: &Value, ignored: &[Path]) -> Value {
    ignored.iter().fold(config.clone(), |value, path| replace_at(&value, prior, &path.0))
}

fn replace_at(value: &Value, prior: &Value, path: &[PathStep]) -> Value {
    let Some((step, rest)) = path.split_first() else {
        return prior.clone();
    };
    let mut value = value.clone();
    match (&mut value.kind, step) {
        (
            ValueKind::Object(entries) | ValueKind::Map(_, entries),
            PathStep::Attribute(name) | PathStep::Key(name),
        ) => {
            let entries = Arc::make_mut(entries);
            match (entries.get(name.as_str()).cloned(), prior.get(name)) {
                (Some(now), Some(before)) => {
                    entries.insert(Arc::from(name.as_str()), replace_at(&now, before, rest));
                }
                (None, Some(before)) if rest.is_empty() => {
                    entries.insert(Arc::from(name.as_str()), before.clone());
                }
                (Some(_), None) if rest.is_empty() => {
                    entries.remove(name.as_str());
                }
                _ => {}
            }
        }
        (ValueKind::List(_, elements) | ValueKind::Tuple(elements), PathStep::Index(index)) => {
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            if let (Some(now), Some(before)) =
                (elements.get(at).cloned(), prior.elements().and_then(|elements| elements.get(at)))
            {
                Arc::make_mut(elements)[at] = replace_at(&now, before, rest);
            }
        }
        // A map that was null before or is null now is taken whole.
        (ValueKind::Null(_), _) if rest.is_empty() => {
            if let (PathStep::Key(name) | PathStep::Attribute(name), Some(entries)) = (step, prior.entries())
                && let ValueKind::Map(element, _) = &prior.kind
                && let Some(before) = entries.get(name.as_str())
            {
                let only = BTreeMap::from([(Arc::from(name.as_str()), before.clone())]);
                return Value::map(element.clone(), only);
            }
        }
        _ => {}
    }
    value
}

/// The id of a new object is told where it is that of the old one, so that what refers to it may stay. Another one is known
/// after the apply, as the reference has it.
pub fn with_open_id(block: &Block, prior: &Value, after: Value) -> Value {
    let is_made = block.attributes.get("id").is_some_and(|id| id.computed && !id.optional);
    let Some(entries) = after.entries().filter(|_| is_made && after.get("id") != prior.get("id")) else {
        return after;
    };
    let opened = entries.iter().map(|(name, part)| match &**name {
        "id" => (name.clone(), Value::unknown(part.ty())),
        _ => (name.clone(), part.clone()),
    });
    Value::object(opened.collect()).with_marks(after.marks)
}

#[cfg(test)]
mod tests {
    use pve_model::Type;
    use pve_model::schema::Nesting;

    use super::*;

    fn block() -> Block {
        let attribute = |computed, default: Option<Value>| Attribute {
            ty: Type::Number,
            optional: true,
            computed,
            default,
            ..Attribute::default()
        };
        let mut inner = Block::default();
        inner.attributes.insert("size".into(), attribute(true, None));
        let mut block = Block::default();
        block.attributes.insert("id".into(), attribute(true, None));
        block.attributes.insert("cores".into(), attribute(false, Some(Value::number(1))));
        block.blocks.insert(
            "disk".into(),
            NestedBlock { nesting: Nesting::List, block: inner, min_items: 0, max_items: 0, replace: false },
        );
        block
    }

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::object(entries.iter().map(|(k, v)| (Arc::from(*k), v.clone())).collect())
    }

    fn disks(sizes: &[Value]) -> Value {
        let ty = Type::object([("size", Type::Number)]);
        Value::list(ty, sizes.iter().map(|size| object(&[("size", size.clone())])).collect())
    }

    fn null() -> Value {
        Value::null(Type::Number)
    }

    #[test]
    fn the_id_of_a_new_object_is_told_where_it_stays_the_same() {
        let called = |id: i64| object(&[("id", Value::number(id)), ("cores", Value::number(1))]);
        let mut block = block();
        // One that is configured is known at once.
        assert_eq!(with_open_id(&block, &called(1), called(2)), called(2));
        block.attributes.get_mut("id").unwrap().optional = false;
        assert_eq!(with_open_id(&block, &called(1), called(1)), called(1));
        let other = with_open_id(&block, &called(1), called(2));
        assert!(!other.get("id").unwrap().is_known());
        assert_eq!(other.get("cores"), called(2).get("cores"));
    }

    #[test]
    fn computed_values_are_unknown_at_first_and_kept_afterwards() {
        let config =
            object(&[("id", null()), ("cores", null()), ("disk", disks(&[null(), Value::number(9)]))]);
        let created = propose(&block(), None, &config);
        assert!(!created.get("id").unwrap().is_known());
        assert_eq!(created.get("cores").unwrap(), &Value::number(1));
        let prior = object(&[
            ("id", Value::number(7)),
            ("cores", Value::number(2)),
            ("disk", disks(&[Value::number(5)])),
        ]);
        let updated = propose(&block(), Some(&prior), &config);
        let expected = object(&[
            ("id", Value::number(7)),
            ("cores", Value::number(1)),
            ("disk", disks(&[Value::number(5), Value::number(9)])),
        ]);
        assert_eq!(updated, expected);
    }

    #[test]
    fn ignored_parts_are_those_of_before() {
        let before = object(&[("cores", Value::number(2)), ("disk", disks(&[Value::number(5)]))]);
        let config = object(&[("cores", Value::number(4)), ("disk", disks(&[Value::number(6)]))]);
        let path = Path(vec![
            PathStep::Attribute("disk".into()),
            PathStep::Index(0),
            PathStep::Attribute("size".into()),
        ]);
        let kept = ignore_changes(&config, &before, &[path]);
        assert_eq!(kept.get("disk"), before.get("disk"));
        assert_eq!(kept.get("cores"), config.get("cores"));
    }
}
