//! When a data source is read only during apply, although its configuration is known.

use pve_config::syntax::ast::{Traversal, TraversalStepKind};
use pve_model::plan::{Action, Change};
use pve_model::{ModulePath, ResourceMode};

use crate::evaluation::{Evaluation, Instance};

/// Whether this plan changes something that a data source waits for: by its own `depends_on`, or by that of a call of a
/// module that it is in.
pub fn waits_for_change(changes: &[Change], evaluation: &Evaluation<'_>, instance: &Instance<'_>) -> bool {
    let module = &instance.address.resource.module;
    let own = std::iter::once((module.clone(), names(&instance.resource.depends_on)));
    let inherited = (0..module.0.len()).filter_map(|depth| {
        let caller = ModulePath(module.0[..depth].to_vec());
        let path: Vec<String> = caller.0.iter().map(|step| step.name.clone()).collect();
        let call = evaluation.module(&path)?.module_calls.get(&module.0[depth].name)?;
        Some((caller, names(&call.depends_on)))
    });
    own.chain(inherited).any(|(place, names)| {
        let named = |change: &&Change| is_named(change, &place, &names);
        changes.iter().filter(named).any(|change| change.action != Action::NoOp)
    })
}

/// What references name: `KIND.NAME` or `module.NAME`. Data sources are waited for, but reading them changes nothing.
fn names(references: &[Traversal]) -> Vec<String> {
    let name = |reference: &Traversal| match reference.steps.first().map(|step| &step.kind) {
        Some(TraversalStepKind::Attribute(name)) => Some(format!("{}.{name}", reference.root.name)),
        _ => None,
    };
    references.iter().filter_map(name).collect()
}

fn is_named(change: &Change, place: &ModulePath, names: &[String]) -> bool {
    let resource = &change.address.resource;
    if resource.mode != ResourceMode::Managed || !resource.module.0.starts_with(&place.0) {
        return false;
    }
    let name = match resource.module.0.get(place.0.len()) {
        Some(step) => format!("module.{}", step.name),
        None => format!("{}.{}", resource.kind, resource.name),
    };
    names.contains(&name)
}
