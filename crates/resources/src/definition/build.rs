//! Definitions made of the compact notation: the schema, how attributes travel, and the limits beyond both.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::rules::Problem;
use pve_model::schema::{Block, NestedBlock, Nesting, Schema};
use pve_model::types::AttributeType;
use pve_model::{Path, PathStep, Type, Value, ValueKind};

use super::{Check, Fields};
use crate::object::Field;

/// A schema with the limits that a schema has no place for.
pub(crate) struct Definition {
    pub(crate) schema: Schema,
    /// How its attributes travel.
    pub(crate) wires: Vec<Field>,
    checks: Vec<(Vec<&'static str>, Check)>,
}

impl Definition {
    /// The definition of a kind with these fields.
    pub(crate) fn new(fields: Fields) -> Definition {
        let mut checks = Vec::new();
        let (block, wires) = build(fields, &mut Vec::new(), &mut checks);
        Definition { schema: Schema { version: 0, block }, wires, checks }
    }

    /// The limit on an attribute, by its path.
    pub(crate) fn check_at(&self, path: &str) -> Option<Check> {
        self.checks.iter().find(|(names, _)| names.join(".") == path).map(|(_, check)| *check)
    }

    /// What in `config` is beyond the limits.
    pub(crate) fn check(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (names, check) in &self.checks {
            check_at(config, names, *check, &Path::default(), &mut problems);
        }
        problems
    }
}

fn build(
    fields: Fields,
    at: &mut Vec<&'static str>,
    checks: &mut Vec<(Vec<&'static str>, Check)>,
) -> (Block, Vec<Field>) {
    let mut block = Block { attributes: BTreeMap::new(), blocks: BTreeMap::new() };
    let mut wires = Vec::new();
    for (name, item) in fields {
        at.push(name);
        if let Some(check) = item.check {
            checks.push((at.clone(), check));
        }
        let mut attribute = item.attribute;
        let mut inner = Vec::new();
        let mut default = attribute.default.clone();
        if let Some(nested) = item.nested {
            let (inside, fields) = build(nested.fields, at, checks);
            inner = fields;
            let (nesting, replace) = (nested.nesting, attribute.replace);
            let (min_items, max_items) = (nested.least, nested.most);
            if nested.assigned {
                attribute.ty = assigned_type(nesting, &inside);
                if nested.mapped {
                    attribute.ty = Type::map(attribute.ty);
                }
            } else {
                default = None;
                let nested = NestedBlock { nesting, block: inside, min_items, max_items, replace };
                attribute.ty = nested.implied_type();
                block.blocks.insert(Arc::from(name), nested);
            }
        }
        let ty = attribute.ty.clone();
        let fixed = attribute.computed && !attribute.optional;
        let required = attribute.required;
        let write_only = attribute.write_only;
        if !block.blocks.contains_key(name) {
            block.attributes.insert(Arc::from(name), attribute);
        }
        wires.push(Field { name, wire: item.wire, ty, default, inner, fixed, required, write_only });
        at.pop();
    }
    (block, wires)
}

/// The type of objects that are assigned: what is not required may be left out of them.
fn assigned_type(nesting: Nesting, inside: &Block) -> Type {
    let attributes = inside.attributes.iter().map(|(name, attribute)| {
        (name.clone(), AttributeType { ty: attribute.ty.clone(), optional: !attribute.required })
    });
    let object = Type::Object(Arc::new(attributes.collect()));
    match nesting {
        Nesting::Single => object,
        Nesting::List => Type::list(object),
        Nesting::Set => Type::set(object),
    }
}

fn check_at(value: &Value, names: &[&str], check: Check, path: &Path, problems: &mut Vec<Problem>) {
    if names.is_empty() && matches!(check, Check::Filled) {
        problems.extend(fault(value, check, path));
        return;
    }
    if let Some(elements) = value.elements() {
        for (index, element) in elements.iter().enumerate() {
            check_at(element, names, check, &path.child(PathStep::Index(index as u64)), problems);
        }
        return;
    }
    let Some((name, rest)) = names.split_first() else {
        problems.extend(fault(value, check, path));
        return;
    };
    if let ValueKind::Map(_, entries) = &value.kind {
        for (key, part) in entries.iter() {
            check_at(part, names, check, &path.child(PathStep::Key(key.to_string())), problems);
        }
        return;
    }
    if let Some(part) = value.get(name) {
        check_at(part, rest, check, &path.child(PathStep::Attribute((*name).to_string())), problems);
    }
}

fn fault(value: &Value, check: Check, path: &Path) -> Option<Problem> {
    let detail = match check {
        Check::OneOf(accepted) => {
            let text = value.as_str().filter(|text| !accepted.contains(text))?;
            let accepted: Vec<String> = accepted.iter().map(|one| format!("{one:?}")).collect();
            format!("{path} is {text:?}; accepted are {}", accepted.join(", "))
        }
        Check::Range(least, most) => {
            let number = value.as_number()?.to_f64();
            if number >= least as f64 && number <= most as f64 {
                return None;
            }
            match most {
                i64::MAX => format!("{path} is {number}; it must be {least} or more"),
                _ => format!("{path} is {number}; it must be from {least} to {most}"),
            }
        }
        Check::Filled => {
            let is_empty = value.elements().is_some_and(<[Value]>::is_empty)
                || matches!(&value.kind, ValueKind::Map(_, entries) if entries.is_empty());
            is_empty.then(|| format!("{path} is empty; Proxmox VE wants at least one"))?
        }
        Check::Text(fault) => format!("{path}: {}", fault(value.as_str()?)?),
    };
    Some(problem(path.clone(), format!("Invalid value for {path}"), detail))
}

/// Tags that the cluster takes for several: it separates them by these.
pub(crate) fn split_tags(config: &Value) -> Vec<Problem> {
    let tags = config.get("tags").and_then(Value::elements).unwrap_or_default().iter().enumerate();
    let split = tags
        .filter_map(|(index, tag)| Some((index, tag.as_str()?)))
        .filter(|(_, tag)| tag.contains(crate::values::separates_tags));
    let problems = split.map(|(index, tag)| {
        let path = Path::attribute("tags").child(PathStep::Index(index as u64));
        let detail = format!("{tag:?} becomes several tags: a tag has only letters, digits and _ + . -");
        warning(path, "A tag with a separator", detail)
    });
    problems.collect()
}

/// A fault at `path`.
pub(crate) fn problem(path: Path, summary: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem { path, summary: summary.into(), detail: detail.into(), warning: false }
}

/// The texts of a list that are empty, which no list of names has.
pub(crate) fn empty_texts(config: &Value, at: &Path, name: &str) -> Vec<Problem> {
    let elements = config.get(name).and_then(Value::elements).unwrap_or_default().iter().enumerate();
    let empty = elements.filter(|(_, element)| element.as_str() == Some(""));
    let problems = empty.map(|(index, _)| {
        let path = at.child(PathStep::Attribute(name.to_string())).child(PathStep::Index(index as u64));
        problem(path, "Nothing in a list", format!("leave it out of {name}, or write something"))
    });
    problems.collect()
}

/// Something at `path` that is of no use but does no harm.
pub(crate) fn warning(path: Path, summary: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem { warning: true, ..problem(path, summary, detail) }
}

#[cfg(test)]
mod tests {
    use super::super::{blocks, number, object_map, text, text_set};
    use super::*;
    use pve_model::codec::decode;
    use serde_json::json;

    #[test]
    fn limits_are_checked_inside_of_blocks_lists_and_maps() {
        let definition = Definition::new(vec![
            ("mode", text().one_of(&["a", "b"])),
            ("disk", blocks(vec![("size", number().or(8).range(1, i64::MAX))])),
            ("network", object_map(vec![("mtu", number().range(576, 9216))])),
            ("peers", text_set().filled()),
        ]);
        let ty = definition.schema.block.implied_type();
        let check = |json| definition.check(&decode(&json, &ty).unwrap());
        assert_eq!(check(json!({"mode": "a", "disk": [{"size": 1}, {"size": null}]})), vec![]);
        assert_eq!(check(json!({"peers": ["a"]})), vec![]);
        let network = json!({"net0": {"mtu": 1500}, "net1": {"mtu": 1}});
        let found =
            check(json!({"mode": "c", "disk": [{"size": 1}, {"size": 0}], "network": network, "peers": []}));
        let paths: Vec<String> = found.iter().map(|problem| problem.path.to_string()).collect();
        assert_eq!(paths, ["mode", "disk[1].size", "network[\"net1\"].mtu", "peers"]);
    }
}
