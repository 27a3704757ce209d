//! Things that go from one instance to another in one plan: a VMID whose resource was renamed without a `moved` block, a
//! name that one gives up and another takes. Who has it gives it up before the other one takes it.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;
use pve_model::plan::{Action, Change};
use pve_model::rules::RulesRegistry;

use crate::naming::{is_destroyed, is_same_kind};

/// By change: the places of those that have what it will have, and give it up in the same plan.
pub fn predecessors(changes: &[&Change], registry: &dyn RulesRegistry) -> Vec<BTreeSet<usize>> {
    let mut given_up: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        for claim in claims(change, change.before.as_ref(), registry) {
            if is_destroyed(change) || !claims(change, change.after.as_ref(), registry).contains(&claim) {
                given_up.entry((&change.cluster, claim)).or_default().push(at);
            }
        }
    }
    let taken = |change: &Change| -> BTreeSet<String> {
        if given_up.is_empty() || matches!(change.action, Action::NoOp | Action::Read) {
            return BTreeSet::new();
        }
        let had = claims(change, change.before.as_ref(), registry);
        let mut taken = claims(change, change.after.as_ref(), registry);
        taken.retain(|claim| !had.contains(claim));
        taken
    };
    let of = |change: &&Change| {
        let taken = taken(change).into_iter();
        taken.filter_map(|claim| given_up.get(&(change.cluster.as_str(), claim))).flatten().copied().collect()
    };
    changes.iter().map(of).collect()
}

/// Says of what is made in the place of something else what that was, and how it would stay.
pub fn tell(changes: &mut [Change], registry: &dyn RulesRegistry) {
    let places: Vec<&Change> = changes.iter().collect();
    let mut notes: Vec<(usize, String)> = Vec::new();
    for (at, before) in predecessors(&places, registry).into_iter().enumerate() {
        let like = |other: &&Change| {
            let kinds = [other, &changes[at]].map(|change| change.address.resource.kind.as_str());
            is_same_kind(kinds[0], kinds[1], registry)
                && other.action == Action::Delete
                && changes[at].action == Action::Create
        };
        let before = before.into_iter().map(|place| &changes[place]).find(like);
        notes.extend(before.map(|old| {
            (
                at,
                format!(
                    "it takes the place of {}, which is destroyed; a `moved` block would keep it",
                    old.address
                ),
            )
        }));
    }
    for (at, note) in notes {
        changes[at].notes.push(note);
    }
}

/// What only one instance can have at a time, by this value. What several may write goes with the one that is destroyed, too.
fn claims(change: &Change, value: Option<&Value>, registry: &dyn RulesRegistry) -> BTreeSet<String> {
    let (Some(value), Some(rules)) = (value, registry.resource(&change.address.resource.kind)) else {
        return BTreeSet::new();
    };
    if change.action == Action::NoOp {
        return BTreeSet::new();
    }
    let value = value.unmark_deep().0;
    rules.claim(&value).into_iter().chain(rules.further_claims(&value)).collect()
}
