//! `check`

use pve_model::ResourceMode;

use super::duplicate;
use super::reader::{Reader, labels, only};
use super::resource::{add, resource};
use crate::configuration::{Check, Module};
use crate::syntax::Diagnostic;

pub(super) fn declare(mut reader: Reader<'_>, module: &mut Module) {
    let Some([name]) = labels(reader.block, reader.found) else { return };
    only(reader.block, &[], &[("data", 2), ("assert", 0)], reader.found);
    let assertions = reader.conditions("assert");
    if reader.block.body.blocks_of("assert").next().is_none() {
        let detail = format!("Check \"{name}\" has no `assert` block, and so checks nothing.");
        reader.error(reader.block.header_span, "A check without a condition", detail);
    }
    if let Some(other) = module.checks.iter().find(|other| other.name == name) {
        let fault = duplicate(reader.block, &format!("check \"{name}\""), other.span);
        reader.found.push(fault);
        return;
    }
    let data = data(&mut reader, module);
    module.checks.push(Check { name: name.into(), data, assertions, span: reader.block.header_span });
}

/// The kind and name of the data source of the check, which only the check may use. It is read like any other.
fn data(reader: &mut Reader<'_>, module: &mut Module) -> Option<(String, String)> {
    let block = reader.single("data")?;
    let [kind, name] = labels(block, reader.found)?;
    let mut inner = reader.inside(block);
    for argument in ["count", "for_each"] {
        if let Some(attribute) = inner.attribute(argument) {
            let detail = format!("`{argument}` cannot stand in the data source of a check.");
            inner.error(attribute.name_span, "Unsupported argument", detail);
        }
    }
    if let Some(lifecycle) = block.body.blocks_of("lifecycle").next() {
        let detail = "`lifecycle` cannot stand in the data source of a check.";
        inner.found.push(Diagnostic::error(lifecycle.type_span, "Unsupported block", detail));
    }
    let source = resource(ResourceMode::Data, kind, name, &mut inner);
    add(source, &mut inner, module).then(|| (kind.to_string(), name.to_string()))
}
