//! What objects are to those that are a part of them, or connect them with others, beyond the changes of a plan.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::plan::{Action, Change, PlanMode};
use pve_model::rules::{Hold, KindRules, Named, RulesRegistry};
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, Path, Value};

use crate::naming::{by_word, identity, is_destroyed};
use crate::planner::{Planner, recorded};

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
        let Some(whole) = present.and_then(|present| rules.part_of(&present.unmark_deep().0)) else {
            continue;
        };
        for place in gone.get(&(record.provider.as_str(), whole)).into_iter().flatten() {
            parts.entry(*place).or_default().push(address);
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

/// What was read of an instance, but as it was recorded where it names what an instance of its own connects it with: the
/// pool that a membership brought it into has not come from outside.
pub fn without_links(
    planner: &Planner<'_>,
    (address, record): (&InstanceAddress, &InstanceRecord),
    rules: &dyn KindRules,
    before: &Value,
    after: Value,
) -> Value {
    let keeps = |value: &Value| -> Vec<Named> {
        let named = rules.named(&value.unmark_deep().0).into_iter();
        named.filter(|named| named.hold == Hold::Keeps && named.path.0.len() == 1).collect()
    };
    let had: BTreeSet<String> = keeps(before).into_iter().map(|named| named.what).collect();
    let new: Vec<Named> = keeps(&after).into_iter().filter(|named| !had.contains(&named.what)).collect();
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
            let Some(record) = instance.current.as_ref().filter(|record| record.provider == provider) else {
                return false;
            };
            let Some(rules) = self.registry.resource(&address.resource.kind) else { return false };
            let named = rules.named(&recorded(record, rules).unmark_deep().0);
            let names = |word: &str| named.iter().any(|named| named.what == word);
            names(what) && own.iter().any(|own| names(own))
        })
    }
}
