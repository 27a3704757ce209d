//! `variable`, `output` and `locals`.

use super::reader::{Reader, is_name, labels, only};
use super::{constant, duplicate, no_labels};
use crate::configuration::type_constraint::{any, parse_type_constraint};
use crate::configuration::{Condition, Local, Module, Output, Variable};
use crate::syntax::ast::TraversalStepKind;
use crate::syntax::{Diagnostic, Item};

/// Arguments and blocks of `module` blocks, which a variable could never be given beside.
const RESERVED: &[&str] = &[
    "source",
    "version",
    "providers",
    "count",
    "for_each",
    "lifecycle",
    "depends_on",
    "locals",
    "provider",
    "_",
];

pub(super) fn declare_variable(mut reader: Reader<'_>, module: &mut Module) {
    let Some([name]) = labels(reader.block, reader.found) else { return };
    if RESERVED.contains(&name) {
        let detail = format!("\"{name}\" has a meaning of its own in `module` blocks.");
        let span = reader.block.labels.first().map_or(reader.block.header_span, |label| label.span);
        reader.error(span, "A reserved name", detail);
    }
    let known =
        ["type", "default", "description", "sensitive", "ephemeral", "nullable", "deprecated", "const"];
    only(reader.block, &known, &[("validation", 0)], reader.found);
    deprecation(&mut reader);
    let variable = variable(name, &mut reader);
    if let Some(other) = module.variables.get(name) {
        let fault = duplicate(reader.block, &format!("variable \"{name}\""), other.span);
        reader.found.push(fault);
    } else {
        module.variables.insert(name.into(), variable);
    }
}

/// `deprecated` tells what to use instead.
fn deprecation(reader: &mut Reader<'_>) {
    let said = reader.text("deprecated");
    if let (Some(attribute), Some("")) = (reader.attribute("deprecated"), said.as_deref().map(str::trim)) {
        let detail = "`deprecated` tells what to use instead, and must not be empty.";
        reader.error(attribute.expr.span, "A deprecation without a word", detail);
    }
}

fn variable(name: &str, reader: &mut Reader<'_>) -> Variable {
    let constraint = match reader.syntax("type").map(|expr| parse_type_constraint(&expr)) {
        None => any(),
        Some(Ok(constraint)) => constraint,
        Some(Err(found)) => {
            reader.found.extend(found);
            any()
        }
    };
    let mut variable = Variable {
        name: name.into(),
        constraint,
        default: None,
        written_default: reader.attribute("default").map(|attribute| attribute.expr.clone()),
        validations: validations(name, reader),
        sensitive: reader.flag("sensitive", false),
        ephemeral: reader.flag("ephemeral", false),
        nullable: reader.flag("nullable", true),
        description: reader.text("description").unwrap_or_default(),
        typed: reader.attribute("type").is_some(),
        span: reader.block.header_span,
    };
    reader.flag("const", false);
    let Some(attribute) = reader.attribute("default") else { return variable };
    match constant(&attribute.expr) {
        Err(found) => reader.found.extend(found),
        Ok(value) if value.is_null() && !variable.nullable => {
            let detail = format!("Variable \"{name}\" is not nullable, and its default is null.");
            reader.error(attribute.expr.span, "A default must not be null", detail);
        }
        Ok(value) => {
            let plain = Variable { sensitive: false, ephemeral: false, nullable: true, ..variable.clone() };
            match plain.accept(value, Some(attribute.expr.span)) {
                Ok(value) => variable.default = Some(value),
                Err(found) => reader.found.extend(found),
            }
        }
    }
    variable
}

/// Conditions of a variable, each of which must be about it.
fn validations(name: &str, reader: &mut Reader<'_>) -> Vec<Condition> {
    let conditions = reader.conditions("validation");
    for condition in &conditions {
        let references = condition.condition.references();
        let is_own = references.iter().any(|reference| {
            reference.root.name == "var"
                && reference.steps.first().is_some_and(
                    |step| matches!(&step.kind, TraversalStepKind::Attribute(step) if step == name),
                )
        });
        if !is_own && !references.is_empty() {
            let detail = format!("The condition of variable \"{name}\" must refer to var.{name}.");
            reader.error(condition.condition.span, "A condition about something else", detail);
        }
    }
    conditions
}

pub(super) fn declare_output(mut reader: Reader<'_>, module: &mut Module) {
    let Some([name]) = labels(reader.block, reader.found) else { return };
    let known = ["value", "description", "sensitive", "ephemeral", "depends_on", "deprecated"];
    only(reader.block, &known, &[("precondition", 0)], reader.found);
    deprecation(&mut reader);
    reader.text("description");
    let Some(value) = reader.required("value") else { return };
    let output = Output {
        value,
        sensitive: reader.flag("sensitive", false),
        ephemeral: reader.flag("ephemeral", false),
        depends_on: reader.references("depends_on"),
        preconditions: reader.conditions("precondition"),
        span: reader.block.header_span,
    };
    if output.ephemeral && module.path.is_empty() {
        let span = reader.attribute("ephemeral").map_or(output.span, |attribute| attribute.span);
        let detail = "Outputs of the root module are stored, and ephemeral values never are.";
        reader.error(span, "An ephemeral output of the root module", detail);
    }
    if let Some(other) = module.outputs.get(name) {
        let fault = duplicate(reader.block, &format!("output \"{name}\""), other.span);
        reader.found.push(fault);
    } else {
        module.outputs.insert(name.into(), output);
    }
}

pub(super) fn declare_locals(mut reader: Reader<'_>, module: &mut Module) {
    if no_labels(&mut reader).is_none() {
        return;
    }
    for item in &reader.block.body.items {
        let attribute = match item {
            Item::Attribute(attribute) => attribute,
            Item::Block(block) => {
                let detail = "`locals` has values only: `name = value`.";
                reader.error(block.header_span, "A block among local values", detail);
                continue;
            }
        };
        if !is_name(&attribute.name) {
            let detail = format!("{:?} cannot name a local value.", attribute.name);
            reader.error(attribute.name_span, "This is no name", detail);
            continue;
        }
        let local = Local { value: attribute.expr.clone(), span: attribute.name_span };
        if let Some(other) = module.locals.get(attribute.name.as_str()) {
            let detail = format!("The local value \"{}\" is declared twice in this module.", attribute.name);
            let fault = Diagnostic::error(attribute.name_span, "Declared twice", detail);
            reader.found.push(fault.with_related(other.span, "the other declaration"));
        } else {
            module.locals.insert(attribute.name.to_string(), local);
        }
    }
}
