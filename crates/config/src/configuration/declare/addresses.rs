//! `moved`, `import` and `removed`: blocks about addresses.

use pve_model::ResourceMode;
use pve_model::address::{ParseAddressError, Target};

use super::no_labels;
use super::reader::{Reader, only};
use crate::configuration::provisioners::provisioners;
use crate::configuration::{Import, Module, Moved, Removed};
use crate::syntax::ast::{Step, TraversalStepKind};
use crate::syntax::{Diagnostic, Expr, ExprKind, Traversal};

/// Names that lead to something else than a resource.
const OTHER_ROOTS: &[&str] =
    &["var", "local", "path", "terraform", "tofu", "self", "each", "count", "ephemeral"];

pub(super) fn declare_moved(mut reader: Reader<'_>, module: &mut Module) {
    if no_labels(&mut reader).is_none() {
        return;
    }
    only(reader.block, &["from", "to"], &[], reader.found);
    let (from, to) = (reader.traversal("from"), reader.traversal("to"));
    let (Some(from), Some(to)) = (from, to) else { return };
    let (Some(first), Some(second)) = (address(&from, &mut reader), address(&to, &mut reader)) else {
        return;
    };
    if matches!(first, Target::Module(_)) != matches!(second, Target::Module(_)) {
        let detail = "`from` and `to` are both resources or both modules.";
        reader.error(reader.block.header_span, "A resource cannot become a module", detail);
        return;
    }
    // Data sources are not kept, so there is nothing to move.
    if matches!(&first, Target::Resource(r) if r.mode == ResourceMode::Data) {
        return;
    }
    module.moved.push(Moved { from, to, span: reader.block.header_span });
}

/// What a reference names, if it is a resource or a module.
fn address(traversal: &Traversal, reader: &mut Reader<'_>) -> Option<Target> {
    let fault = |detail: String| Diagnostic::error(traversal.span, "This is no address", detail);
    if OTHER_ROOTS.contains(&traversal.root.name.as_str()) {
        let detail = "An address is KIND.NAME or module.NAME, each with a [KEY] where there are several.";
        reader.found.push(fault(detail.into()));
        return None;
    }
    let text = traversal.address();
    match text.parse() {
        Ok(target) => Some(target),
        Err(error) => {
            let error: ParseAddressError = error;
            reader.found.push(fault(error.to_string()));
            None
        }
    }
}

pub(super) fn declare_import(mut reader: Reader<'_>, module: &mut Module) {
    if no_labels(&mut reader).is_none() {
        return;
    }
    only(reader.block, &["to", "id", "identity", "for_each", "provider"], &[], reader.found);
    if let Some(attribute) = reader.attribute("identity") {
        let detail = "Objects of a cluster are imported by their `id`.";
        reader.error(attribute.name_span, "Identities are not supported", detail);
        return;
    }
    let (to, id) = (reader.required("to"), reader.required("id"));
    if !module.path.is_empty() {
        let detail = "`import` blocks stand in the root module only.";
        reader.error(reader.block.header_span, "An import in a module", detail);
        return;
    }
    let (Some(to), Some(id)) = (to, id) else { return };
    let to = reader.meant(&to);
    if !imported(&to) {
        let detail =
            "`to` is the address of a managed resource: KIND.NAME, after module.NAME if it is in a module.";
        reader.error(to.span, "This is no address of a resource", detail);
        return;
    }
    let span = reader.block.header_span;
    if let Some(other) = to.as_static_traversal().and_then(|own| {
        let same = |import: &&Import| {
            import.to.as_static_traversal().is_some_and(|other| other.address() == own.address())
        };
        module.imports.iter().find(same)
    }) {
        let detail = "One address is imported once.";
        let fault = Diagnostic::error(to.span, "This address is imported twice", detail);
        reader.found.push(fault.with_related(other.span, "the other `import` block"));
        return;
    }
    module.imports.push(Import {
        to,
        id,
        for_each: reader.expr("for_each"),
        provider: reader.expr("provider"),
        span,
    });
}

/// Whether an expression is the address of a managed resource; its keys may be expressions.
fn imported(to: &Expr) -> bool {
    let ExprKind::Traversal(base, steps) = &to.kind else { return false };
    let ExprKind::Variable(root) = &base.kind else { return false };
    let mut names = vec![root.as_str()];
    for step in steps {
        match step {
            Step::Attribute(name) => names.push(&name.name),
            Step::Index(..) | Step::LegacyIndex(..) => {}
            Step::AttributeSplat(..) | Step::FullSplat(..) => return false,
        }
    }
    let mut names = names.as_slice();
    while let ["module", _, rest @ ..] = names {
        names = rest;
    }
    matches!(names, [kind, _] if !OTHER_ROOTS.contains(kind) && *kind != "data")
}

pub(super) fn declare_removed(mut reader: Reader<'_>, module: &mut Module) {
    if no_labels(&mut reader).is_none() {
        return;
    }
    let blocks = &[("lifecycle", 0), ("connection", 0), ("provisioner", 1)];
    only(reader.block, &["from"], blocks, reader.found);
    let mut destroy = true;
    if let Some(block) = reader.single("lifecycle") {
        only(block, &["destroy"], &[], reader.found);
        destroy = reader.inside(block).flag("destroy", true);
    }
    let Some(from) = reader.traversal("from") else { return };
    if from.steps.iter().any(|step| !matches!(step.kind, TraversalStepKind::Attribute(_))) {
        let detail = "`from` names a whole resource or module, without a key.";
        let fault = Diagnostic::error(from.span, "A single instance cannot be removed", detail);
        reader.found.push(fault.with_hint("Change `count` or `for_each` instead."));
        return;
    }
    let provisioners = provisioners(reader.block, reader.found);
    for provisioner in provisioners.iter().filter(|provisioner| !provisioner.at_destroy) {
        let detail = "What is removed is not created again: only `when = destroy` has a meaning here.";
        reader.error(provisioner.span, "This provisioner would never run", detail);
    }
    let span = reader.block.header_span;
    match address(&from, &mut reader) {
        Some(Target::Resource(resource)) if resource.mode == ResourceMode::Data => {
            let detail = "A data source is only read: take its block out, and that is all.";
            reader.error(from.span, "A data source cannot be removed", detail);
        }
        Some(from) => module.removed.push(Removed { from, destroy, provisioners, span }),
        None => {}
    }
}
