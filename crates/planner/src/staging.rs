//! Changes that are only staged until something applies them: what applies them comes after them, and where nothing in the
//! plan does, the plan says so.

use std::collections::BTreeSet;

use pve_model::InstanceAddress;
use pve_model::plan::{Action, Change};
use pve_model::rules::{RulesRegistry, Staging};

use crate::evaluation::Evaluation;
use crate::planner::Planner;
use crate::protection::is_protected;

/// What a change has to do with staging, by its values after it, or before it where it is destroyed.
fn staging(change: &Change, registry: &dyn RulesRegistry) -> Option<Staging> {
    let rules = registry.resource(&change.address.resource.kind)?;
    let value = change.after.as_ref().or(change.before.as_ref())?;
    rules.staging(&value.unmark_deep().0)
}

/// The area that a change stages something of.
fn staged(change: &Change, registry: &dyn RulesRegistry) -> Option<&'static str> {
    match staging(change, registry)? {
        Staging::Staged(area) if !matches!(change.action, Action::NoOp | Action::Forget) => Some(area),
        _ => None,
    }
}

/// Whether a change applies what is staged of an area.
fn applies(change: &Change, area: &str, provider: &str, registry: &dyn RulesRegistry) -> bool {
    let Some(Staging::Applies { area: own, made, destroyed }) = staging(change, registry) else {
        return false;
    };
    let does = match change.action {
        Action::Create | Action::DeleteThenCreate | Action::CreateThenDelete => made,
        Action::Delete => destroyed,
        _ => false,
    };
    does && own == area && change.provider == provider
}

/// What stands unchanged and would apply what this plan stages if it were made anew, where nothing else does. One that a
/// staged object needs would come before it.
pub fn due(planner: &Planner<'_>, evaluation: &Evaluation<'_>) -> BTreeSet<InstanceAddress> {
    let registry = evaluation.inputs.registry;
    let mut due = BTreeSet::new();
    for (area, provider) in areas(planner, registry) {
        if planner.changes.iter().any(|change| applies(change, area, &provider, registry)) {
            continue;
        }
        let can = |change: &&Change| {
            let applies = matches!(
                staging(change, registry),
                Some(Staging::Applies { area: own, made: true, .. }) if own == area
            );
            let is_needed = planner.changes.iter().zip(&planner.needs).any(|(other, needs)| {
                staged(other, registry).is_some() && needs.contains(&change.address.resource)
            });
            applies
                && change.action == Action::NoOp
                && change.deposed.is_none()
                && change.provider == provider
                && !is_needed
                && is_protected(evaluation, &change.address) == Ok(false)
        };
        due.extend(planner.changes.iter().find(can).map(|change| change.address.clone()));
    }
    due
}

/// The areas and providers of which something is staged.
fn areas(planner: &Planner<'_>, registry: &dyn RulesRegistry) -> BTreeSet<(&'static str, String)> {
    let changes = planner.changes.iter();
    changes.filter_map(|change| Some((staged(change, registry)?, change.provider.clone()))).collect()
}

/// Says of what is made anew why it is, and of what stays pending that it does.
pub fn tell(planner: &mut Planner<'_>, due: &BTreeSet<InstanceAddress>, registry: &dyn RulesRegistry) {
    for change in planner.changes.iter_mut().filter(|change| due.contains(&change.address)) {
        if let Some(Staging::Applies { area, .. }) = staging(change, registry) {
            change.notes.push(format!("it applies what this plan changes of {area}"));
        }
    }
    let pending: Vec<(usize, String)> = (0..planner.changes.len())
        .filter_map(|at| {
            let change = &planner.changes[at];
            let area = staged(change, registry)?;
            let is_applied =
                planner.changes.iter().any(|other| applies(other, area, &change.provider, registry));
            let note = "it stays pending: nothing in this plan applies changes of";
            (!is_applied).then(|| (at, format!("{note} {area}")))
        })
        .collect();
    for (at, note) in pending {
        planner.changes[at].notes.push(note);
    }
}

/// By change: the places of those that it is made after, since it applies them.
pub fn follows(changes: &[&Change], registry: &dyn RulesRegistry) -> Vec<Vec<usize>> {
    let followed = |applier: &Change| {
        let staged = |at: &usize| {
            staged(changes[*at], registry)
                .is_some_and(|area| applies(applier, area, &changes[*at].provider, registry))
        };
        (0..changes.len()).filter(staged).collect()
    };
    changes.iter().map(|change| followed(change)).collect()
}
