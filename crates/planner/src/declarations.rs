//! Faults that show in declarations alone: references that lead nowhere, moves and removals that contradict others.

use std::collections::BTreeSet;

use pve_config::configuration::{Configuration, Module};
use pve_config::syntax::ast::TraversalStepKind;
use pve_config::syntax::{Diagnostic, ExprKind, Traversal};
use pve_model::ResourceMode;
use pve_model::address::Target;

/// Everything that is wrong with declarations of a configuration, whatever the values are.
pub fn check(configuration: &Configuration) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    check_module(&configuration.root, &mut found);
    for removed in &configuration.root.removed {
        if let Target::Resource(resource) = &removed.from
            && resource.module.0.is_empty()
            && configuration.root.resource(resource.mode, &resource.kind, &resource.name).is_some()
        {
            let detail =
                format!("{resource} is declared, and a `removed` block says that it is not any more.");
            found.push(Diagnostic::error_without_span("A removed resource is still declared", detail));
        }
    }
    for import in &configuration.root.imports {
        let Some(reference) = import.to.references().into_iter().next() else { continue };
        if matches!(import.to.kind, ExprKind::Traversal(..))
            && reference.root.name != "module"
            && !declares(&configuration.root, &reference)
        {
            let detail = "An `import` block needs a `resource` block for the address it names.";
            found.push(Diagnostic::error(import.to.span, "There is no such resource", detail));
        }
    }
    found
}

fn check_module(module: &Module, found: &mut Vec<Diagnostic>) {
    let dependencies = module
        .resources
        .iter()
        .flat_map(|resource| &resource.depends_on)
        .chain(module.outputs.values().flat_map(|output| &output.depends_on))
        .chain(module.module_calls.values().flat_map(|call| &call.depends_on));
    for reference in dependencies {
        if !declares(module, reference) {
            let detail = "`depends_on` names something that this module does not declare.";
            found.push(Diagnostic::error(reference.span, "There is no such resource", detail));
        }
    }
    check_moves(module, found);
    for call in module.module_calls.values() {
        if let Some(child) = &call.child {
            check_module(child, found);
        }
    }
}

fn declares(module: &Module, reference: &Traversal) -> bool {
    let step = |at: usize| match reference.steps.get(at).map(|step| &step.kind) {
        Some(TraversalStepKind::Attribute(name)) => Some(name.as_str()),
        _ => None,
    };
    match (reference.root.name.as_str(), step(0), step(1)) {
        ("var", Some(name), _) => module.variables.contains_key(name),
        ("local", Some(name), _) => module.locals.contains_key(name),
        ("module", Some(name), _) => module.module_calls.contains_key(name),
        ("data", Some(kind), Some(name)) => module.resource(ResourceMode::Data, kind, name).is_some(),
        (kind, Some(name), _) => module.resource(ResourceMode::Managed, kind, name).is_some(),
        _ => false,
    }
}

/// One address moves at most once, and no chain of moves comes back to where it began.
fn check_moves(module: &Module, found: &mut Vec<Diagnostic>) {
    let text = |traversal: &Traversal| {
        let steps: Vec<String> = traversal.steps.iter().map(|step| format!("{:?}", step.kind)).collect();
        format!("{}/{}", traversal.root.name, steps.join("/"))
    };
    let pairs: Vec<(String, String)> = module.moved.iter().map(|m| (text(&m.from), text(&m.to))).collect();
    for (at, moved) in module.moved.iter().enumerate() {
        if pairs[..at].iter().any(|(from, to)| *from == pairs[at].0 && *to != pairs[at].1) {
            let detail = "Two `moved` blocks move the same address to different places.";
            found.push(Diagnostic::error(moved.span, "One address moves twice", detail));
        }
        let mut seen = BTreeSet::from([&pairs[at].0]);
        let mut next = Some(&pairs[at].1);
        while let Some(place) = next {
            if !seen.insert(place) {
                let detail = "These `moved` blocks lead back to where they begin.";
                found.push(Diagnostic::error(moved.span, "Moves go in a circle", detail));
                return;
            }
            next = pairs.iter().find(|(from, _)| from == place).map(|(_, to)| to);
        }
    }
}
