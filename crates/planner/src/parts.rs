//! What objects are to those that are a part of them, or connect them with others, beyond the changes of a plan.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::plan::{Action, Change, PlanMode};
use pve_model::rules::{Hold, KindRules, Named, RulesRegistry};
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, Path, Value};

use crate::difference::same;
use crate::naming::{by_word, identity, is_destroyed, known_as, named};
use crate::planner::{Planner, bare_change, recorded};

/// Says of what is destroyed what goes away with it and is not made anew: a plan may be about that object alone.
pub fn tell(planner: &mut Planner<'_>, registry: &dyn RulesRegistry) {
    if planner.options.mode == PlanMode::RefreshOnly {
        return;
    }
    let changes: Vec<&Change> = planner.changes.iter().collect();
    let gone = by_word(&changes, |change| {
        identity(change, change.before.as_ref().filter(|_| is_destroyed(change)), registry)
    });
    let mut parts: BTreeMap<usize, Vec<&InstanceAddress>> = BTreeMap::new();
    for (address, instance) in planner.state.instances.iter().filter(|_| !gone.is_empty()) {
        let Some(record) = &instance.current else { continue };
        let Some(rules) = registry.resource(&address.resource.kind) else { continue };
        let own = changes.iter().find(|change| change.address == *address && change.deposed.is_none());
        if own.is_some_and(|own| is_destroyed(own) || own.action == Action::Forget) {
            continue;
        }
        let present = planner.present(address, record, rules);
        let wholes = present.map(|present| rules.part_of(&present.unmark_deep().0)).unwrap_or_default();
        let cluster = planner.observed.cluster_of(&record.provider);
        let places = wholes.into_iter().filter_map(|whole| gone.get(&(cluster, whole)));
        for place in places.flatten().copied().collect::<BTreeSet<usize>>() {
            parts.entry(place).or_default().push(address);
        }
    }
    let told = |parts: Vec<&InstanceAddress>| {
        let parts: Vec<String> = parts.into_iter().map(ToString::to_string).collect();
        format!("with it goes what this plan does not make anew: {}", parts.join(", "))
    };
    let notes: Vec<(usize, String)> = parts.into_iter().map(|(place, parts)| (place, told(parts))).collect();
    for (place, note) in notes {
        planner.changes[place].notes.push(note);
    }
}

/// Leaves alone what connects an instance with something that its own configuration puts it into: a membership that gives
/// way to the `pool_id` of the guest.
pub fn keep_stated(planner: &mut Planner<'_>, registry: &dyn RulesRegistry) {
    let mut kept: Vec<(usize, InstanceAddress)> = Vec::new();
    for (at, link) in planner.changes.iter().enumerate() {
        if link.action != Action::Delete || link.deposed.is_some() || planner.stated.is_empty() {
            continue;
        }
        let names: BTreeSet<String> =
            named(link, link.before.as_ref(), registry).into_iter().map(|named| named.what).collect();
        let is_own = |owner: &&Change| {
            let stated = planner.stated.get(&owner.address);
            let own = || known_as(owner, owner.before.as_ref(), registry);
            owner.cluster == link.cluster
                && stated.is_some_and(|stated| !stated.is_disjoint(&names))
                && own().iter().any(|(_, word)| names.contains(word))
        };
        kept.extend(planner.changes.iter().find(is_own).map(|owner| (at, owner.address.clone())));
    }
    for (at, owner) in kept {
        let link = &mut planner.changes[at];
        (link.action, link.reason) = (Action::Forget, None);
        link.notes.push(format!("{owner} says the same of itself: it stays there"));
        record(planner, &owner, registry);
    }
}

/// Has it recorded of an instance what its own configuration says, and a link brought about.
fn record(planner: &mut Planner<'_>, address: &InstanceAddress, registry: &dyn RulesRegistry) {
    let Some(record) = planner.state.current(address) else { return };
    let Some(rules) = registry.resource(&address.resource.kind) else { return };
    let (before, after) = (recorded(record, rules), planner.present(address, record, rules));
    let told = planner.drift.iter().chain(&planner.followed).any(|drift| drift.is_of(address));
    if told || after.as_ref().is_none_or(|after| same(&before, after)) {
        return;
    }
    let mut drift = bare_change(address, record.provider.clone(), Action::Update);
    (drift.before, drift.after) = (Some(before), after);
    planner.followed.push(drift);
}

/// What an instance is connected with by this value.
pub fn connections(rules: &dyn KindRules, value: &Value) -> BTreeSet<String> {
    connected(rules, value).into_iter().map(|named| named.what).collect()
}

/// The same, with the attributes of its own that say so.
fn connected(rules: &dyn KindRules, value: &Value) -> Vec<Named> {
    let named = rules.named(&value.unmark_deep().0).into_iter();
    named.filter(|named| named.hold == Hold::Keeps && named.path.0.len() == 1).collect()
}

/// What was read of an instance, but as it was recorded where it names what an instance of its own connects it with: the
/// pool that a membership brought it into has not come from outside.
pub fn without_links(
    planner: &Planner<'_>,
    (address, record): (&InstanceAddress, &InstanceRecord),
    rules: &dyn KindRules,
    before: &Value,
    after: Value,
) -> Value {
    let had = connections(rules, before);
    let new: Vec<Named> =
        connected(rules, &after).into_iter().filter(|named| !had.contains(&named.what)).collect();
    if new.is_empty() {
        return after;
    }
    let own = rules.known_as(&after.unmark_deep().0);
    let linked: BTreeSet<Path> = new
        .into_iter()
        .filter(|named| planner.links(address, &record.provider, &own, &named.what))
        .map(|named| named.path)
        .collect();
    after.transform(&mut |path, part| match before.at(path).filter(|_| linked.contains(path)) {
        Some(recorded) => recorded.clone(),
        None => part,
    })
}

impl Planner<'_> {
    /// Whether an instance of the state connects something else, by what that is known as, with `what`.
    fn links(&self, but: &InstanceAddress, provider: &str, own: &[String], what: &str) -> bool {
        self.state.instances.iter().filter(|(address, _)| *address != but).any(|(address, instance)| {
            let cluster = self.observed.cluster_of(provider);
            let is_there = |record: &&InstanceRecord| self.observed.cluster_of(&record.provider) == cluster;
            let Some(record) = instance.current.as_ref().filter(is_there) else { return false };
            let Some(rules) = self.registry.resource(&address.resource.kind) else { return false };
            let named = rules.named(&recorded(record, rules).unmark_deep().0);
            let names = |word: &str| named.iter().any(|named| named.what == word);
            names(what) && own.iter().any(|own| names(own))
        })
    }
}
