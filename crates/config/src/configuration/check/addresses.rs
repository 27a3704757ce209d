//! `moved`, `import` and `removed` blocks against what is declared, and against each other.

use std::collections::BTreeSet;

use pve_model::address::Target;
use pve_model::{ResourceAddress, ResourceMode};

use crate::configuration::{Import, Module, Moved};
use crate::syntax::ast::{Step, TraversalStepKind};
use crate::syntax::{Diagnostic, ExprKind, Span};

/// One address moves once, to one place, and is not declared any more; no chain of moves comes back to its beginning.
pub(super) fn check_moves(module: &Module, found: &mut Vec<Diagnostic>) {
    let pairs: Vec<(String, String)> =
        module.moved.iter().map(|moved| (moved.from.address(), moved.to.address())).collect();
    for (at, moved) in module.moved.iter().enumerate() {
        let (from, to) = &pairs[at];
        let mut fault = |summary: &str, detail: String, other: Option<Span>| {
            let fault = Diagnostic::error(moved.span, summary, detail);
            found.push(match other {
                Some(other) => fault.with_related(other, "the other one"),
                None => fault,
            });
        };
        if from == to {
            fault("A move to where it is", format!("{from} is moved to itself."), None);
            continue;
        }
        if let Some(span) = still_declared(module, moved) {
            let detail = format!("{from} is declared, so that there is nothing to move to {to}.");
            fault("What is moved is still declared", detail, Some(span));
        }
        let earlier = &pairs[..at];
        if let Some(other) = earlier.iter().position(|(first, second)| first == from && second != to) {
            let detail = format!("{from} is moved to two places.");
            fault("One address moves twice", detail, Some(module.moved[other].span));
        }
        if let Some(other) = earlier.iter().position(|(first, second)| second == to && first != from) {
            let detail = format!("Two addresses are moved to {to}.");
            fault("Two moves to one address", detail, Some(module.moved[other].span));
        }
        if returns(&pairs, at) {
            fault("Moves go in a circle", "These `moved` blocks lead back to where they begin.".into(), None);
            return;
        }
    }
}

fn returns(pairs: &[(String, String)], at: usize) -> bool {
    let mut seen = BTreeSet::from([&pairs[at].0]);
    let mut next = Some(&pairs[at].1);
    while let Some(place) = next {
        if !seen.insert(place) {
            return true;
        }
        next = pairs.iter().find(|(from, _)| from == place).map(|(_, to)| to);
    }
    false
}

/// The declaration of what moves, where neither side has a key: with keys, instances can be told apart.
fn still_declared(module: &Module, moved: &Moved) -> Option<Span> {
    let keyless = |traversal: &crate::syntax::Traversal| {
        traversal.steps.iter().all(|step| matches!(step.kind, TraversalStepKind::Attribute(_)))
    };
    if !keyless(&moved.from) || !keyless(&moved.to) {
        return None;
    }
    declared(module, &moved.from.address().parse().ok()?)
}

/// Where a resource or module call is declared.
fn declared(root: &Module, target: &Target) -> Option<Span> {
    let (path, resource) = match target {
        Target::Module(path) => (path, None),
        Target::Resource(resource) => (&resource.module, Some(resource)),
        Target::Instance(instance) => (&instance.resource.module, Some(&instance.resource)),
    };
    let mut module = root;
    let mut call = None;
    for step in &path.0 {
        let next = module.module_calls.get(&step.name)?;
        call = Some(next.span);
        match &next.child {
            Some(child) => module = child,
            None => return resource.is_none().then_some(next.span),
        }
    }
    match resource {
        Some(resource) => module.resource(resource.mode, &resource.kind, &resource.name).map(|r| r.span),
        None => call,
    }
}

/// What only the root module has: `removed` and `import` blocks are about the whole configuration.
pub(super) fn check_root(root: &Module, found: &mut Vec<Diagnostic>) {
    for removed in &root.removed {
        if let Some(span) = declared(root, &removed.from) {
            let detail = "It is declared, and a `removed` block says that it is not any more.";
            let fault = Diagnostic::error(removed.span, "What is removed is still declared", detail);
            found.push(fault.with_related(span, "the declaration"));
        }
    }
    for (import, _) in undeclared_imports(root) {
        let detail = "An `import` block needs a `resource` block for the address it names.";
        let fault = Diagnostic::error(import.to.span, "There is no such resource", detail);
        let hint = "`pve plan -generate-config-out=FILE` writes one, with what the object is like.";
        found.push(fault.with_hint(hint));
    }
}

/// The `import` blocks of a root module whose resource is not declared, each with that resource.
pub fn undeclared_imports(root: &Module) -> Vec<(&Import, ResourceAddress)> {
    let undeclared = |import| match import_target(import)? {
        Target::Resource(resource) => Some((import, resource)),
        _ => None,
    };
    let found = root.imports.iter().filter_map(undeclared);
    found.filter(|(_, resource)| declared(root, &Target::Resource(resource.clone())).is_none()).collect()
}

/// The resource that an import names, whatever its keys are.
fn import_target(import: &Import) -> Option<Target> {
    let ExprKind::Traversal(base, steps) = &import.to.kind else { return None };
    let ExprKind::Variable(root) = &base.kind else { return None };
    let names = steps.iter().filter_map(|step| match step {
        Step::Attribute(name) => Some(name.name.as_str()),
        _ => None,
    });
    let text: Vec<&str> = std::iter::once(root.as_str()).chain(names).collect();
    text.join(".").parse().ok().filter(|target| match target {
        Target::Resource(resource) => resource.mode == ResourceMode::Managed,
        _ => false,
    })
}
