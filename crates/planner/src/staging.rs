//! Changes that are only staged until something applies them: what applies them comes after them, and where nothing in the
//! plan does, the plan says so.

use std::collections::BTreeSet;

use pve_model::event::Operation;
use pve_model::plan::{Action, Change, Step};
use pve_model::rules::{RulesRegistry, Staging};
use pve_model::{InstanceAddress, ResourceAddress};

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
fn applies(change: &Change, area: &str, cluster: &str, registry: &dyn RulesRegistry) -> bool {
    let Some(Staging::Applies { area: own, made, destroyed }) = staging(change, registry) else {
        return false;
    };
    let does = match change.action {
        Action::Create | Action::DeleteThenCreate | Action::CreateThenDelete => made,
        Action::Delete => destroyed,
        _ => false,
    };
    does && own == area && change.cluster == cluster
}

/// What stands unchanged and would apply what this plan stages if it were made anew, where nothing else does: what is
/// made before a staged change does not apply it.
pub fn due(planner: &Planner<'_>, evaluation: &Evaluation<'_>) -> BTreeSet<InstanceAddress> {
    let registry = evaluation.inputs.registry;
    let mut due: BTreeSet<InstanceAddress> = BTreeSet::new();
    for (at, change) in planner.changes.iter().enumerate() {
        let Some(area) = staged(change, registry) else { continue };
        let before = needed_by(planner, at);
        let is_behind =
            |other: &Change| other.cluster == change.cluster && !before.contains(&&other.address.resource);
        let is_applied = planner.changes.iter().any(|other| {
            let applies = applies(other, area, &change.cluster, registry) || due.contains(&other.address);
            applies && is_behind(other)
        });
        let can = |other: &&Change| {
            let applies = matches!(
                staging(other, registry),
                Some(Staging::Applies { area: own, made: true, .. }) if own == area
            );
            applies
                && is_behind(other)
                && other.action == Action::NoOp
                && other.deposed.is_none()
                && is_protected(evaluation, &other.address) == Ok(false)
        };
        if !is_applied {
            due.extend(planner.changes.iter().find(can).map(|other| other.address.clone()));
        }
    }
    due
}

/// The blocks that a change comes after, however long the way. What is destroyed comes before those that it needed.
fn needed_by<'p>(planner: &'p Planner<'_>, at: usize) -> BTreeSet<&'p ResourceAddress> {
    let mut found = BTreeSet::new();
    if planner.changes[at].action == Action::Delete {
        return found;
    }
    let mut open: Vec<usize> = vec![at];
    while let Some(at) = open.pop() {
        for needed in &planner.needs[at] {
            if found.insert(needed) {
                let places = 0..planner.changes.len();
                open.extend(places.filter(|place| planner.changes[*place].address.resource == *needed));
            }
        }
    }
    found
}

/// Says of what is made anew why it is.
pub fn tell_due(planner: &mut Planner<'_>, due: &BTreeSet<InstanceAddress>, registry: &dyn RulesRegistry) {
    for change in planner.changes.iter_mut().filter(|change| due.contains(&change.address)) {
        if let Some(Staging::Applies { area, .. }) = staging(change, registry) {
            change.notes.push(format!("it applies what this plan changes of {area}"));
        }
    }
}

/// Says of changes that stay pending that they do.
pub fn tell_pending(changes: &mut [Change], steps: &[Step], registry: &dyn RulesRegistry) {
    let mut pending: Vec<(usize, &'static str)> = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let Some(area) = staged(change, registry) else { continue };
        let is_applied = (0..steps.len()).any(|applier| {
            let other = &changes[steps[applier].change];
            let gone = other.action == Action::Delete;
            applies(other, area, &change.cluster, registry)
                && steps[applier].operation == if gone { Operation::Delete } else { Operation::Create }
                && is_behind(steps, applier, at)
        });
        if !is_applied {
            pending.push((at, area));
        }
    }
    for (at, area) in pending {
        changes[at].notes.push(format!("it stays pending: nothing in this plan applies changes of {area}"));
    }
}

/// Whether a step waits for every step of a change, be it through others. What goes after what applies it is applied as it
/// goes.
fn is_behind(steps: &[Step], step: usize, change: usize) -> bool {
    let (mut open, mut seen) = (vec![step], BTreeSet::new());
    while let Some(at) = open.pop() {
        if seen.insert(at) {
            open.extend(&steps[at].after);
        }
    }
    let is_applied = |at: usize, one: &Step| one.operation == Operation::Delete || seen.contains(&at);
    steps.iter().enumerate().all(|(at, one)| one.change != change || is_applied(at, one))
}

/// By change: the places of those that it is made after, since it applies them.
pub fn follows(changes: &[&Change], registry: &dyn RulesRegistry) -> Vec<Vec<usize>> {
    let followed = |applier: &Change| {
        let staged = |at: &usize| {
            staged(changes[*at], registry)
                .is_some_and(|area| applies(applier, area, &changes[*at].cluster, registry))
        };
        (0..changes.len()).filter(staged).collect()
    };
    changes.iter().map(|change| followed(change)).collect()
}
