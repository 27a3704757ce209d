//! The table of attributes of a page.

use std::fmt::Write as _;

use pve_model::schema::{Attribute, Block, Nesting};
use pve_model::{Type, Value};

use crate::definition::Check;
use crate::object::Field;
use crate::registry::Kind;

/// The attributes of a kind with types, defaults, limits and what a change does; `fields` are those that are described
/// as data. Nothing that is read only is said to change in place.
pub(super) fn table(kind: &Kind, fields: &[Field], changes: bool) -> String {
    let mut rows = Rows { kind, text: String::from("| attribute | type | | |\n|---|---|---|---|\n") };
    rows.block(kind.block(), fields, "", changes);
    rows.text
}

struct Rows<'k> {
    kind: &'k Kind,
    text: String,
}

impl Rows<'_> {
    fn block(&mut self, block: &Block, fields: &[Field], at: &str, changes: bool) {
        let field = |name: &str| fields.iter().find(|field| field.name == name);
        for (name, attribute) in &block.attributes {
            let path = format!("{at}{name}");
            self.attribute(&path, attribute, field(name), changes);
            let inner = field(name).map(|field| field.inner.as_slice()).unwrap_or_default();
            self.inside(&path, &attribute.ty, inner);
        }
        for (name, nested) in &block.blocks {
            let path = format!("{at}{name}");
            let mut says = vec!["block".to_string()];
            says.extend(
                (nested.nesting == Nesting::Single || nested.max_items == 1).then(|| "at most one".into()),
            );
            says.extend((nested.max_items > 1).then(|| format!("at most {}", nested.max_items)));
            says.extend((nested.min_items > 0).then(|| "at least one".into()));
            says.extend(nested.replace.then(|| "a change replaces".into()));
            self.row(&path, "block", "", &says[1..].join("; "));
            let inner = field(name).map(|field| field.inner.as_slice()).unwrap_or_default();
            self.block(&nested.block, inner, &format!("{path}."), changes);
        }
    }

    fn attribute(&mut self, path: &str, attribute: &Attribute, field: Option<&Field>, changes: bool) {
        let is_read_only = attribute.computed && !attribute.optional && !attribute.required;
        let mut says: Vec<String> = Vec::new();
        says.extend(Some(attribute.description).filter(|text| !text.is_empty()).map(String::from));
        says.extend(limits(self.kind.check_at(path)));
        says.extend(attribute.default.as_ref().map(|value| format!("default {}", shown(value))));
        if attribute.computed && attribute.optional && attribute.default.is_none() {
            says.push("the cluster decides it where it is left out".into());
        }
        if !is_read_only && changes {
            says.extend(attribute.replace.then(|| "a change replaces".into()));
            if let Some(field) = field.filter(|_| !attribute.write_only) {
                says.extend(
                    (!field.wire.read && field.wire.create).then(|| "the API does not tell it".into()),
                );
            }
        }
        says.extend(attribute.sensitive.then(|| "sensitive".into()));
        says.extend(attribute.write_only.then(|| "never stored".into()));
        says.extend(attribute.deprecated.map(|instead| format!("deprecated: {instead}")));
        let must = match () {
            () if attribute.required => "required",
            () if is_read_only => "read only",
            () => "",
        };
        self.row(path, &attribute.ty.to_string(), must, &says.join("; "));
    }

    /// What is inside of objects that are assigned.
    fn inside(&mut self, path: &str, ty: &Type, fields: &[Field]) {
        let element = match ty {
            Type::List(element) | Type::Set(element) | Type::Map(element) => element,
            other => other,
        };
        let Type::Object(attributes) = element else { return };
        for (name, attribute) in attributes.iter() {
            let path = format!("{path}.{name}");
            let field = fields.iter().find(|field| field.name == &**name);
            let mut says: Vec<String> = limits(self.kind.check_at(&path)).into_iter().collect();
            let default = field.and_then(|field| field.default.as_ref());
            says.extend(default.map(|value| format!("default {}", shown(value))));
            let must = if attribute.optional || field.is_none() { "" } else { "required" };
            self.row(&path, &attribute.ty.to_string(), must, &says.join("; "));
        }
    }

    fn row(&mut self, path: &str, ty: &str, must: &str, says: &str) {
        // Types of objects are shown by the rows of what is inside of them.
        let ty = match ty.find('{') {
            Some(_) => {
                ty.split('(').take_while(|word| !word.starts_with('{')).collect::<Vec<_>>().join(" of ")
            }
            None => ty.to_string(),
        };
        let _ = writeln!(self.text, "| `{path}` | {ty} | {must} | {} |", says.replace('|', "\\|"));
    }
}

fn shown(value: &Value) -> String {
    format!("`{}`", pve_model::codec::to_plain_json(value))
}

fn limits(check: Option<Check>) -> Option<String> {
    match check? {
        Check::OneOf(accepted) => {
            let accepted: Vec<String> =
                accepted.iter().filter(|one| !one.is_empty()).map(|one| format!("`{one}`")).collect();
            Some(format!("one of {}", accepted.join(", ")))
        }
        Check::Range(least, i64::MAX) => Some(format!("{least} or more")),
        Check::Range(least, most) => Some(format!("from {least} to {most}")),
        Check::Filled => Some("at least one".to_string()),
        Check::Text(_) => None,
    }
}
