//! `resource` and `data`.

use pve_model::{Path, PathStep, ResourceMode};

use super::reader::{Blocks, Reader, keyword, labels, only, unwrapped};
use super::{constant, duplicate, provider_reference};
use crate::configuration::provisioners::provisioners;
use crate::configuration::{IgnoreChanges, Lifecycle, Module, Resource};
use crate::syntax::ast::{Step, TraversalStepKind};
use crate::syntax::{Diagnostic, Expr, ExprKind, Span, json};

/// Arguments that the language defines for every kind.
const META_ARGUMENTS: &[&str] = &["count", "for_each", "provider", "depends_on"];
const CONDITIONS: Blocks = &[("precondition", 0), ("postcondition", 0)];

pub(super) fn declare(mode: ResourceMode, mut reader: Reader<'_>, module: &mut Module) {
    let Some([kind, name]) = labels(reader.block, reader.found) else { return };
    let resource = resource(mode, kind, name, &mut reader);
    add(resource, &mut reader, module);
}

/// Adds a resource whose name is still free.
pub(super) fn add(resource: Resource, reader: &mut Reader<'_>, module: &mut Module) -> bool {
    match module.resource(resource.mode, &resource.kind, &resource.name) {
        Some(other) => {
            let what = format!("{}.{}", resource.kind, resource.name);
            reader.found.push(duplicate(reader.block, &what, other.span));
            false
        }
        None => {
            module.resources.push(resource);
            true
        }
    }
}

/// There are kinds of none of the providers here that `ephemeral` blocks could be of.
pub(super) fn refuse_ephemeral(mut reader: Reader<'_>) {
    if let Some([kind, _]) = labels(reader.block, reader.found) {
        let detail = format!("pve has no ephemeral resource of kind \"{kind}\", nor any other.");
        let hint = "Give the value as a variable with `ephemeral = true`, or read it from the environment.";
        let fault = Diagnostic::error(reader.block.header_span, "Unknown ephemeral resource", detail);
        reader.found.push(fault.with_hint(hint));
    } else {
        reader.error(reader.block.header_span, "Unknown ephemeral resource", "pve has none.");
    }
}

pub(super) fn resource(mode: ResourceMode, kind: &str, name: &str, reader: &mut Reader<'_>) -> Resource {
    let provider = match reader.expr("provider") {
        Some(expr) => provider_reference(&expr, reader),
        None => None,
    };
    let mut lifecycle = Lifecycle::default();
    let mut enabled = None;
    if let Some(block) = reader.single("lifecycle") {
        let mut inner = reader.inside(block);
        check_lifecycle(mode, &mut inner);
        enabled = inner.expr("enabled");
        lifecycle = read_lifecycle(&mut inner);
    }
    let provisioners = match mode {
        ResourceMode::Managed => provisioners(reader.block, reader.found),
        ResourceMode::Data => Vec::new(),
    };
    let (count, for_each) = (reader.expr("count"), reader.expr("for_each"));
    exclusive(reader, [("count", &count), ("for_each", &for_each), ("enabled", &enabled)]);
    let own: &[&str] = match mode {
        ResourceMode::Managed => &["lifecycle", "provisioner", "connection"],
        ResourceMode::Data => &["lifecycle"],
    };
    Resource {
        mode,
        kind: kind.into(),
        name: name.into(),
        count,
        for_each,
        enabled,
        provider,
        depends_on: reader.references("depends_on"),
        lifecycle,
        provisioners,
        body: reader.rest(META_ARGUMENTS, own),
        span: reader.block.header_span,
    }
}

/// At most one of the arguments that say how many instances there are.
pub(super) fn exclusive(reader: &mut Reader<'_>, given: [(&str, &Option<Expr>); 3]) {
    let given: Vec<(&str, Span)> =
        given.iter().filter_map(|(name, expr)| expr.as_ref().map(|expr| (*name, expr.span))).collect();
    if let [(first, at), (second, span), ..] = given.as_slice() {
        let detail = format!("`{first}` and `{second}` both say how many instances there are: give one.");
        let fault = Diagnostic::error(*span, format!("{first} and {second}"), detail);
        reader.found.push(fault.with_related(*at, "the other one"));
    }
}

fn check_lifecycle(mode: ResourceMode, reader: &mut Reader<'_>) {
    let of_managed =
        ["create_before_destroy", "prevent_destroy", "destroy", "ignore_changes", "replace_triggered_by"];
    let known = [&["enabled"], of_managed.as_slice()].concat();
    only(reader.block, &known, CONDITIONS, reader.found);
    if mode == ResourceMode::Data {
        for attribute in reader.block.body.attributes() {
            if of_managed.contains(&attribute.name.as_str()) {
                let detail = format!("`{}` has a meaning for `resource` blocks only.", attribute.name);
                reader.error(attribute.name_span, "A data source is only read", detail);
            }
        }
    }
}

fn read_lifecycle(reader: &mut Reader<'_>) -> Lifecycle {
    Lifecycle {
        create_before_destroy: reader.flag("create_before_destroy", false),
        prevent_destroy: prevent_destroy(reader),
        keep: !reader.flag("destroy", true),
        ignore_changes: ignore_changes(reader),
        replace_triggered_by: triggers(reader),
        preconditions: reader.conditions("precondition"),
        postconditions: reader.conditions("postcondition"),
    }
}

/// A value that is written out must be right even if nothing is ever destroyed.
fn prevent_destroy(reader: &mut Reader<'_>) -> Option<Expr> {
    let expr = reader.expr("prevent_destroy")?;
    let is_written_out = expr.references().is_empty() && expr.function_calls().is_empty();
    if is_written_out && !constant(&expr).is_ok_and(|value| value.is_null()) {
        reader.flag("prevent_destroy", false);
    }
    Some(expr)
}

fn ignore_changes(reader: &mut Reader<'_>) -> IgnoreChanges {
    let Some(expr) = reader.syntax("ignore_changes") else { return IgnoreChanges::None };
    match &expr.kind {
        ExprKind::Variable(_) if keyword(&expr) == Some("all") => IgnoreChanges::All,
        ExprKind::Tuple(elements) => IgnoreChanges::Paths(
            elements.iter().filter_map(|element| ignored_path(element, reader)).collect(),
        ),
        _ => {
            let detail = "`ignore_changes` is `all`, or a list of attributes in brackets.";
            reader.error(expr.span, "This is no list", detail);
            IgnoreChanges::None
        }
    }
}

/// `network_device[0].mac_address` as a path.
fn ignored_path(expr: &Expr, reader: &mut Reader<'_>) -> Option<Path> {
    if keyword(expr) == Some("*") {
        let fault = Diagnostic::error(expr.span, "This is no attribute", "`*` is no attribute.");
        reader.found.push(fault.with_hint("Write `ignore_changes = all`."));
        return None;
    }
    let quoted = json::parse_string_content(expr).and_then(|parsed| parsed.value);
    let Some(traversal) = quoted.as_ref().unwrap_or(expr).as_static_traversal() else {
        let detail = "Each element of `ignore_changes` names an attribute, with nothing to evaluate in it.";
        reader.error(expr.span, "This is no attribute", detail);
        return None;
    };
    let mut steps = vec![PathStep::Attribute(traversal.root.name.to_string())];
    for step in &traversal.steps {
        steps.push(match &step.kind {
            TraversalStepKind::Attribute(name) => PathStep::Attribute(name.to_string()),
            TraversalStepKind::Key(key) => PathStep::Key(key.to_string()),
            TraversalStepKind::Index(index) => PathStep::Index(index.parse().ok()?),
        });
    }
    Some(Path(steps))
}

/// `replace_triggered_by`: managed resources, their instances by `count.index` and `each.key`, and attributes.
fn triggers(reader: &mut Reader<'_>) -> Vec<Expr> {
    let mut triggers = Vec::new();
    for element in reader.list("replace_triggered_by") {
        let element = unwrapped(&reader.meant(&element));
        let is_reference = match &element.kind {
            ExprKind::Traversal(base, steps) => {
                matches!(base.kind, ExprKind::Variable(_))
                    && !steps
                        .iter()
                        .any(|step| matches!(step, Step::AttributeSplat(..) | Step::FullSplat(..)))
            }
            _ => false,
        };
        let mut references = element.references().into_iter();
        let first = references.next();
        let not_a_resource =
            ["var", "local", "module", "data", "path", "terraform", "tofu", "self", "each", "count"];
        let is_resource =
            first.as_ref().is_some_and(|root| !not_a_resource.contains(&root.root.name.as_str()));
        if !is_reference || !is_resource {
            let detail =
                "`replace_triggered_by` names managed resources of this module, or their attributes.";
            reader.error(element.span, "This is no resource", detail);
            continue;
        }
        for other in references {
            let step = other.steps.first().map(|step| &step.kind);
            let allowed = match (other.root.name.as_str(), step) {
                ("each", Some(TraversalStepKind::Attribute(name))) => name == "key",
                ("count", Some(TraversalStepKind::Attribute(name))) => name == "index",
                _ => false,
            };
            if !allowed {
                let detail = "A key in `replace_triggered_by` is written out, `each.key` or `count.index`.";
                reader.error(other.span, "This cannot be used here", detail);
            }
        }
        triggers.push(element);
    }
    triggers
}
