//! Looking into and rebuilding values: blocks, attributes, sameness of what is written differently.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pve_model::rules::ReplaceReason;
use pve_model::{Path, PathStep, Type, Value, ValueKind};

/// The only block of a kind that may stand once.
pub(crate) fn block<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name)?.elements()?.first().filter(|block| block.is_known() && !block.is_null())
}

/// All blocks of a kind, none if they are not known.
pub(crate) fn all_blocks<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::elements).unwrap_or_default()
}

/// A known text that is not empty.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Whether this very text is known.
pub(crate) fn is_text(value: &Value, name: &str, wanted: &str) -> bool {
    value.get(name).and_then(Value::as_str) == Some(wanted)
}

/// A known whole number.
pub(crate) fn int(value: &Value, name: &str) -> Option<i64> {
    value.get(name)?.as_i64()
}

/// A known number.
pub(crate) fn float(value: &Value, name: &str) -> Option<f64> {
    value.get(name)?.as_number().map(pve_model::Number::to_f64)
}

/// A known bool.
pub(crate) fn flag(value: &Value, name: &str) -> Option<bool> {
    value.get(name)?.as_bool()
}

/// The known texts of a list or set.
pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    let elements = value.get(name).and_then(Value::elements).unwrap_or_default();
    elements.iter().filter_map(Value::as_str).map(str::to_string).collect()
}

/// The value with one attribute set.
pub(crate) fn with(value: &Value, name: &str, part: Value) -> Value {
    let mut entries: BTreeMap<Arc<str>, Value> = value.entries().cloned().unwrap_or_default();
    entries.insert(Arc::from(name), part);
    Value::object(entries).with_marks(value.marks)
}

/// The value with one attribute unknown, if it has that attribute.
pub(crate) fn with_unknown(value: &Value, name: &str) -> Value {
    match value.get(name) {
        Some(part) => with(value, name, Value::unknown(part.ty())),
        None => value.clone(),
    }
}

/// The value with the elements of one list replaced.
pub(crate) fn with_elements(value: &Value, name: &str, elements: Vec<Value>) -> Value {
    match value.get(name) {
        Some(Value { kind: ValueKind::List(element, _), marks }) => {
            with(value, name, Value::list(element.clone(), elements).with_marks(*marks))
        }
        Some(Value { kind: ValueKind::Set(element, _), marks }) => {
            with(value, name, Value::set(element.clone(), elements).with_marks(*marks))
        }
        _ => value.clone(),
    }
}

/// A list of strings.
pub(crate) fn text_list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::list(Type::String, texts.into_iter().map(|text| Value::string(text.as_ref())).collect())
}

/// Whether two values are the same, whatever their marks.
pub(crate) fn same(before: &Value, after: &Value) -> bool {
    before == after || before.unmark_deep().0 == after.unmark_deep().0
}

/// Nothing was written: null, an empty text or an empty list.
pub(crate) fn is_unset(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Null(_) => true,
        ValueKind::String(text) => text.is_empty(),
        ValueKind::List(_, elements) | ValueKind::Set(_, elements) => elements.is_empty(),
        ValueKind::Map(_, entries) => entries.is_empty(),
        _ => false,
    }
}

/// The planned value, with the prior one wherever both mean the same: nothing written in one way or another, or texts
/// that differ only in blank space at their ends.
pub(crate) fn settle(prior: &Value, planned: &Value) -> Value {
    if !planned.is_known() || same(prior, planned) {
        return planned.clone();
    }
    if is_unset(prior) && is_unset(planned) {
        return prior.clone().with_marks(planned.marks);
    }
    let kind = match (&prior.kind, &planned.kind) {
        (ValueKind::String(before), ValueKind::String(after)) if before.trim_end() == after.trim_end() => {
            prior.kind.clone()
        }
        (ValueKind::Object(before), ValueKind::Object(after)) => {
            let entries = after.iter().map(|(name, part)| {
                let settled = before.get(name).map_or_else(|| part.clone(), |before| settle(before, part));
                (name.clone(), settled)
            });
            ValueKind::Object(Arc::new(entries.collect()))
        }
        (ValueKind::List(_, before), ValueKind::List(ty, after)) if before.len() == after.len() => {
            let parts = before.iter().zip(after.iter()).map(|(before, after)| settle(before, after));
            ValueKind::List(ty.clone(), Arc::new(parts.collect()))
        }
        _ => return planned.clone(),
    };
    Value { kind, marks: planned.marks }
}

/// Planned with each block of a name changed. Blocks that are not known yet stay so.
pub(crate) fn with_each_block(planned: &Value, name: &str, change: impl Fn(&Value) -> Value) -> Value {
    if !planned.get(name).is_some_and(Value::is_known) {
        return planned.clone();
    }
    with_elements(planned, name, all_blocks(planned, name).iter().map(change).collect())
}

/// Planned with an attribute not known that is left empty: an empty text is as if nothing were written.
pub(crate) fn unknown_if_empty(planned: &Value, name: &str) -> Value {
    if planned.get(name).is_some_and(is_empty) { with_unknown(planned, name) } else { planned.clone() }
}

/// Planned with `default` where a text is left empty.
pub(crate) fn default_if_empty(planned: &Value, name: &str, default: &str) -> Value {
    match planned.get(name).and_then(Value::as_str) {
        Some("") => with(planned, name, Value::string(default)),
        _ => planned.clone(),
    }
}

/// Planned with the prior value of an attribute that is left empty.
pub(crate) fn kept_if_empty(prior: &Value, planned: Value, name: &str) -> Value {
    match prior.get(name) {
        Some(before) if planned.get(name).is_some_and(is_empty) => with(&planned, name, before.clone()),
        _ => planned,
    }
}

/// Something is written that says nothing.
fn is_empty(value: &Value) -> bool {
    !value.is_null() && is_unset(value)
}

/// The description as the cluster keeps it: without blanks around it, its lines ended by line feeds, and `end` after it.
pub(crate) fn with_kept_description(planned: &Value, end: &str) -> Value {
    match text(planned, "description") {
        Some(written) if !written.is_empty() => {
            let kept = written.trim().replace("\r\n", "\n") + end;
            with(planned, "description", Value::string(kept))
        }
        _ => planned.clone(),
    }
}

/// Planned blocks with the prior false or 0 wherever nothing is written: the default that was written by somebody else.
/// `key` tells which prior block is the same; without one its place does.
pub(crate) fn keep_written_defaults(
    prior: &[Value],
    planned: &[Value],
    key: &str,
    names: &[&str],
) -> Vec<Value> {
    let is_default = |part: &Value| part.as_bool() == Some(false) || part.as_i64() == Some(0);
    let planned = planned.iter().enumerate().map(|(index, block)| {
        let same_key = |old: &&Value| text(old, key).is_some() && text(old, key) == text(block, key);
        let Some(old) = prior.iter().find(same_key).or(prior.get(index)) else { return block.clone() };
        names.iter().fold(block.clone(), |block, name| match old.get(name) {
            Some(part) if is_default(part) && block.get(name).is_some_and(Value::is_null) => {
                with(&block, name, part.clone())
            }
            _ => block,
        })
    });
    planned.collect()
}

/// The value with null in place of an attribute that is an empty list, set or map.
pub(crate) fn null_where_empty(value: &Value, name: &str) -> Value {
    match value.get(name) {
        Some(part) if is_unset(part) => with(value, name, Value::null(part.ty()).with_marks(part.marks)),
        _ => value.clone(),
    }
}

/// A template never runs, whatever `started` says: it keeps what was known, and a new one has none.
pub(crate) fn with_template_power(planned: &Value, prior: Option<&Value>) -> Value {
    if flag(planned, "template") != Some(true) {
        return planned.clone();
    }
    let known = prior.and_then(|prior| prior.get("started")).cloned();
    with(planned, "started", known.unwrap_or_else(|| Value::null(Type::Bool)))
}

/// The values read, with the planned ones wherever those are known: what a read can tell differently (another order,
/// another spelling) must not contradict the plan.
pub(crate) fn complete(planned: &Value, read: &Value) -> Value {
    if planned.is_wholly_known() {
        return planned.clone();
    }
    let kind = match (&planned.kind, &read.kind) {
        (ValueKind::Object(wanted), ValueKind::Object(found)) => {
            let entries = wanted.iter().map(|(name, part)| {
                let value = found.get(name).map_or_else(|| blank(part), |found| complete(part, found));
                (name.clone(), value)
            });
            ValueKind::Object(Arc::new(entries.collect()))
        }
        (ValueKind::List(ty, wanted), ValueKind::List(_, found)) => {
            let parts = wanted.iter().enumerate().map(|(index, part)| match found.get(index) {
                Some(found) => complete(part, found),
                None => blank(part),
            });
            ValueKind::List(ty.clone(), Arc::new(parts.collect()))
        }
        (ValueKind::Unknown(..), _) => read.kind.clone(),
        _ => return blank(planned),
    };
    Value { kind, marks: planned.marks }
}

/// The value with null for every unknown part.
pub(crate) fn blank(value: &Value) -> Value {
    value.transform(&mut |_, part| match part.kind {
        ValueKind::Unknown(ty, _) => Value::null(ty).with_marks(part.marks),
        _ => part,
    })
}

/// The names of the attributes and blocks that differ.
pub(crate) fn changed(prior: &Value, planned: &Value) -> BTreeSet<String> {
    let Some(entries) = planned.entries() else {
        return BTreeSet::new();
    };
    let differs = |name: &Arc<str>, part: &Value| prior.get(name).is_none_or(|before| !same(before, part));
    entries.iter().filter(|(name, part)| differs(name, part)).map(|(name, _)| name.to_string()).collect()
}

/// Whether a letter ends a tag: Proxmox VE takes what is between them for a tag each.
pub(crate) fn separates_tags(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ',' | ';')
}

/// Lists of tags, whose order does not matter, and which Proxmox VE keeps in lower case unless a cluster is told
/// otherwise (`tag-style`): the prior one if both have the same elements.
pub(crate) fn settle_tags(prior: &Value, planned: &Value) -> Value {
    let sorted = |value: &Value| -> Option<BTreeSet<String>> {
        if value.is_null() {
            return Some(BTreeSet::new());
        }
        let texts = value.elements()?.iter().filter_map(Value::as_str);
        let texts: BTreeSet<String> = texts
            .flat_map(|text| text.split(separates_tags))
            .filter(|tag| !tag.is_empty())
            .map(str::to_lowercase)
            .collect();
        value.is_wholly_known().then_some(texts)
    };
    match (sorted(prior), sorted(planned)) {
        (Some(before), Some(after)) if before == after => prior.clone().with_marks(planned.marks),
        _ => planned.clone(),
    }
}

/// The paths below `at` of the named attributes that differ, each as a reason to replace.
pub(crate) fn reasons(
    before: &Value,
    after: &Value,
    at: &Path,
    names: &[&str],
    reason: &str,
) -> Vec<ReplaceReason> {
    let differs = |name: &&&str| match (before.get(name), after.get(name)) {
        (Some(before), Some(after)) => !(same(before, after) || is_unset(before) && is_unset(after)),
        _ => false,
    };
    let paths = names.iter().filter(differs).map(|name| at.child(PathStep::Attribute((*name).to_string())));
    paths.map(|path| ReplaceReason { path, reason: reason.to_string() }).collect()
}

/// Whether a part of a `clone` block says what is meant without it.
fn is_usual_of_a_clone(name: &str, part: &Value) -> bool {
    (name == "full" && part.as_bool() == Some(true)) || (name == "retries" && part.as_i64() == Some(1))
}

/// What was known of how a guest was made, and differs now. A guest that was imported, or made otherwise, has no such
/// block; adding one changes nothing of what is there.
pub(crate) fn origin_reasons(
    prior: &Value,
    planned: &Value,
    name: &str,
    names: &[&str],
) -> Vec<ReplaceReason> {
    let at = Path::attribute(name);
    let reason = "a guest is made from its source only once";
    match (block(prior, name), block(planned, name)) {
        (Some(before), Some(after)) => reasons(before, after, &at.child(PathStep::Index(0)), names, reason),
        // Gone is whatever said more than what is meant without it.
        (Some(before), None) if planned.get(name).is_some_and(Value::is_known) => {
            let parts = before.entries().into_iter().flatten();
            let said = parts.filter(|(name, part)| {
                (names.contains(&&***name) || &***name == "retries")
                    && !is_unset(part)
                    && !is_usual_of_a_clone(name, part)
            });
            let at = at.child(PathStep::Index(0));
            let paths = said.map(|(name, _)| at.child(PathStep::Attribute(name.to_string())));
            paths.map(|path| ReplaceReason { path, reason: reason.to_string() }).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::{Value as Json, json};

    use super::*;

    fn value(json: Json) -> Value {
        let inner = Type::object([("b", Type::String), ("n", Type::Number)]);
        let ty = Type::object([
            ("a", Type::String),
            ("tags", Type::list(Type::String)),
            ("block", Type::list(inner)),
        ]);
        decode(&json, &ty).unwrap()
    }

    #[test]
    fn what_means_the_same_keeps_its_prior_form() {
        let prior = value(json!({"a": "text\n", "tags": null, "block": [{"b": null, "n": 1}]}));
        let planned = value(json!({"a": "text", "tags": [], "block": [{"b": "", "n": 2}]}));
        let settled = settle(&prior, &planned);
        assert_eq!(settled, value(json!({"a": "text\n", "tags": null, "block": [{"b": null, "n": 2}]})));
        assert_eq!(changed(&prior, &settled).into_iter().collect::<Vec<_>>(), ["block"]);
    }

    #[test]
    fn tags_are_compared_as_sets() {
        let list = |texts: &[&str]| text_list(texts.iter());
        assert_eq!(settle_tags(&list(&["b", "a"]), &list(&["a", "b"])), list(&["b", "a"]));
        assert_eq!(settle_tags(&list(&["b", "a"]), &list(&["A", "b"])), list(&["b", "a"]));
        assert_eq!(settle_tags(&list(&["b", "a"]), &list(&["a"])), list(&["a"]));
        assert_eq!(settle_tags(&list(&["a", "b"]), &list(&["a b"])), list(&["a", "b"]));
        assert!(settle_tags(&Value::null(Type::list(Type::String)), &list(&[])).is_null());
    }

    #[test]
    fn only_unknown_parts_are_taken_from_what_was_read() {
        let planned = with_unknown(&value(json!({"a": "x", "tags": ["p"], "block": []})), "tags");
        let read = value(json!({"a": "y", "tags": ["q"], "block": [{"b": "z"}]}));
        assert_eq!(complete(&planned, &read), value(json!({"a": "x", "tags": ["q"], "block": []})));
    }
}
