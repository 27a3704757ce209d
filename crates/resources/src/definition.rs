//! The compact notation in which kinds are defined: one line an attribute, with its type, default, limits and, where the
//! kind is a plain object of the API, its parameter.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::rules::Problem;
use pve_model::schema::{Attribute, Block, NestedBlock, Nesting, Schema};
use pve_model::types::AttributeType;
use pve_model::{Path, PathStep, Type, Value};

use crate::object::{Field, Form, Wire};

/// The attributes and blocks of one level, by name.
pub(crate) type Fields = Vec<(&'static str, Item)>;

/// One attribute or nested block.
pub(crate) struct Item {
    attribute: Attribute,
    nested: Option<Nested>,
    check: Option<Check>,
    wire: Wire,
}

struct Nested {
    nesting: Nesting,
    /// Whether it is assigned with `=`.
    assigned: bool,
    fields: Fields,
    least: u64,
    most: u64,
}

/// A limit on a single value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A number from the first to the second, both included.
    Range(i64, i64),
    /// A rule of its own: what is wrong with the text.
    Text(fn(&str) -> Option<String>),
    /// Texts that the cluster will not take although the reference plans them: a warning.
    Advice(fn(&str) -> Option<String>),
}

/// A value that a default is made from.
pub(crate) trait Literal {
    fn value(self) -> Value;
}

impl Literal for bool {
    fn value(self) -> Value {
        Value::bool(self)
    }
}

impl Literal for i64 {
    fn value(self) -> Value {
        Value::number(self)
    }
}

impl Literal for &'static str {
    fn value(self) -> Value {
        Value::string(self)
    }
}

fn attribute(ty: Type) -> Item {
    Item {
        attribute: Attribute { ty, optional: true, ..Attribute::default() },
        nested: None,
        check: None,
        wire: Wire::default(),
    }
}

/// An optional string.
pub(crate) fn text() -> Item {
    attribute(Type::String)
}

/// An optional number.
pub(crate) fn number() -> Item {
    attribute(Type::Number)
}

/// An optional bool.
pub(crate) fn flag() -> Item {
    attribute(Type::Bool)
}

/// An optional list of strings.
pub(crate) fn texts() -> Item {
    attribute(Type::list(Type::String))
}

/// An optional attribute of any type.
pub(crate) fn of_type(ty: Type) -> Item {
    attribute(ty)
}

/// An optional set of strings.
pub(crate) fn text_set() -> Item {
    attribute(Type::set(Type::String))
}

/// A list of nested blocks.
pub(crate) fn blocks(fields: Fields) -> Item {
    nested(Nesting::List, false, fields)
}

/// A set of nested blocks.
pub(crate) fn block_set(fields: Fields) -> Item {
    nested(Nesting::Set, false, fields)
}

/// A nested block that may stand once; its value is an object or null.
pub(crate) fn block_one(fields: Fields) -> Item {
    nested(Nesting::Single, false, fields)
}

/// An object, assigned with `=`.
pub(crate) fn object(fields: Fields) -> Item {
    nested(Nesting::Single, true, fields)
}

/// A list of objects, assigned with `=`.
pub(crate) fn object_list(fields: Fields) -> Item {
    nested(Nesting::List, true, fields)
}

/// A set of objects, assigned with `=`.
pub(crate) fn object_set(fields: Fields) -> Item {
    nested(Nesting::Set, true, fields)
}

fn nested(nesting: Nesting, assigned: bool, fields: Fields) -> Item {
    let nested = Nested { nesting, assigned, fields, least: 0, most: 0 };
    Item { nested: Some(nested), ..attribute(Type::String) }
}

impl Item {
    /// It must be set.
    pub(crate) fn required(mut self) -> Item {
        self.attribute.required = true;
        self.attribute.optional = false;
        self
    }

    /// It may be set; the cluster decides it otherwise.
    pub(crate) fn computed(mut self) -> Item {
        self.attribute.computed = true;
        self
    }

    /// It cannot be set.
    pub(crate) fn read_only(mut self) -> Item {
        self.attribute.computed = true;
        self.attribute.optional = false;
        self
    }

    /// The attribute of a data source that tells what a resource has; one that names the object must be set.
    pub(crate) fn told(mut self, needed: bool) -> Item {
        let sensitive = self.attribute.sensitive;
        let (ty, description) = (self.attribute.ty, self.attribute.description);
        let (required, computed) = (needed, !needed);
        self.attribute = Attribute { ty, required, computed, sensitive, description, ..Attribute::default() };
        if let Some(nested) = &mut self.nested {
            nested.fields = std::mem::take(&mut nested.fields)
                .into_iter()
                .map(|(name, item)| (name, item.told(false)))
                .collect();
        }
        if !needed {
            self.check = None;
        }
        self
    }

    /// It is never shown.
    pub(crate) fn sensitive(mut self) -> Item {
        self.attribute.sensitive = true;
        self
    }

    /// What an absent value means.
    pub(crate) fn or(mut self, default: impl Literal) -> Item {
        self.attribute.default = Some(default.value());
        self
    }

    /// A change replaces the resource.
    pub(crate) fn replaces(mut self) -> Item {
        self.attribute.replace = true;
        self
    }

    /// It is deprecated; `instead` says what to do.
    pub(crate) fn deprecated(mut self, instead: &'static str) -> Item {
        self.attribute.deprecated = Some(instead);
        self
    }

    /// What it means, with units.
    pub(crate) fn means(mut self, description: &'static str) -> Item {
        self.attribute.description = description;
        self
    }

    /// Only these texts are accepted.
    pub(crate) fn one_of(mut self, accepted: &'static [&'static str]) -> Item {
        self.check = Some(Check::OneOf(accepted));
        self
    }

    /// Only numbers from `least` to `most` are accepted.
    pub(crate) fn range(mut self, least: i64, most: i64) -> Item {
        self.check = Some(Check::Range(least, most));
        self
    }

    /// Only texts are accepted of which `fault` says nothing.
    pub(crate) fn checked(mut self, fault: fn(&str) -> Option<String>) -> Item {
        self.check = Some(Check::Text(fault));
        self
    }

    /// Texts of which `fault` says something are warned of: the cluster will not take them.
    pub(crate) fn advised(mut self, fault: fn(&str) -> Option<String>) -> Item {
        self.check = Some(Check::Advice(fault));
        self
    }

    /// It is sent and read under this name.
    pub(crate) fn param(mut self, name: &'static str) -> Item {
        self.wire.param = Some(name);
        self
    }

    /// How its value is written in the parameter.
    pub(crate) fn form(mut self, form: Form) -> Item {
        self.wire.form = form;
        self
    }

    /// It is one key of a property string that several attributes share.
    pub(crate) fn part_of(mut self, param: &'static str, key: &'static str) -> Item {
        self.wire.param = Some(param);
        self.wire.key = Some(key);
        self
    }

    /// It is sent when the object is made, never afterwards.
    pub(crate) fn only_made(mut self) -> Item {
        self.wire.update = false;
        self
    }

    /// It is never sent.
    pub(crate) fn unsent(mut self) -> Item {
        self.wire.create = false;
        self.wire.update = false;
        self
    }

    /// The API does not tell it: what was configured counts.
    pub(crate) fn unread(mut self) -> Item {
        self.wire.read = false;
        self
    }

    /// It is known here alone: neither sent nor read.
    pub(crate) fn local(self) -> Item {
        self.unsent().unread()
    }

    /// What the API means where it leaves the parameter out.
    pub(crate) fn absent(mut self, value: impl Literal) -> Item {
        self.wire.absent = Some(value.value());
        self
    }

    /// Two texts mean the same where this says so.
    pub(crate) fn same_as(mut self, same: fn(&str, &str) -> bool) -> Item {
        self.wire.same = Some(same);
        self
    }

    /// The cluster decides it anew whenever something else changes.
    pub(crate) fn follows(mut self) -> Item {
        self.wire.follows = true;
        self
    }

    /// It is never stored.
    pub(crate) fn write_only(mut self) -> Item {
        self.attribute.write_only = true;
        self.wire.read = false;
        self
    }

    /// At least `count` blocks.
    pub(crate) fn least(mut self, count: u64) -> Item {
        if let Some(nested) = &mut self.nested {
            nested.least = count;
        }
        self
    }

    /// At most `count` blocks.
    pub(crate) fn most(mut self, count: u64) -> Item {
        if let Some(nested) = &mut self.nested {
            nested.most = count;
        }
        self
    }
}

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
            } else {
                default = None;
                let nested = NestedBlock { nesting, block: inside, min_items, max_items, replace };
                attribute.ty = nested.implied_type();
                block.blocks.insert(Arc::from(name), nested);
            }
        }
        let ty = attribute.ty.clone();
        let fixed = attribute.computed && !attribute.optional;
        let write_only = attribute.write_only;
        if !block.blocks.contains_key(name) {
            block.attributes.insert(Arc::from(name), attribute);
        }
        wires.push(Field { name, wire: item.wire, ty, default, inner, fixed, write_only });
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
        Check::Text(fault) => format!("{path}: {}", fault(value.as_str()?)?),
        Check::Advice(fault) => {
            let detail = format!("{path}: {}; the cluster will refuse it", fault(value.as_str()?)?);
            return Some(warning(path.clone(), format!("Invalid value for {path}"), detail));
        }
    };
    Some(problem(path.clone(), format!("Invalid value for {path}"), detail))
}

/// A fault at `path`.
pub(crate) fn problem(path: Path, summary: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem { path, summary: summary.into(), detail: detail.into(), warning: false }
}

/// Something at `path` that is of no use but does no harm.
pub(crate) fn warning(path: Path, summary: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem { warning: true, ..problem(path, summary, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pve_model::codec::decode;
    use serde_json::json;

    #[test]
    fn limits_are_checked_inside_of_blocks_and_lists() {
        let definition = Definition::new(vec![
            ("mode", text().one_of(&["a", "b"])),
            ("disk", blocks(vec![("size", number().or(8).range(1, i64::MAX))])),
        ]);
        let ty = definition.schema.block.implied_type();
        let check = |json| definition.check(&decode(&json, &ty).unwrap());
        assert_eq!(check(json!({"mode": "a", "disk": [{"size": 1}, {"size": null}]})), vec![]);
        let found = check(json!({"mode": "c", "disk": [{"size": 1}, {"size": 0}]}));
        let paths: Vec<String> = found.iter().map(|problem| problem.path.to_string()).collect();
        assert_eq!(paths, ["mode", "disk[1].size"]);
    }
}
