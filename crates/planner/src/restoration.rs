//! Objects that were replaced and not destroyed yet, since a run broke off, and that the configuration asks for again: they
//! are taken back, and what was made in their place goes. Others may be in them still, so that they could not be destroyed
//! and made again.

use std::collections::BTreeMap;

use pve_model::plan::Change;
use pve_model::rules::{KindRules, RulesRegistry};
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, Value};

use crate::planner::{Planner, recorded};
use crate::planning::Observed;

/// What is taken back: deposed objects, by their instances.
pub type Restored = BTreeMap<InstanceAddress, String>;

/// The deposed objects that are what the configuration asks for, where an object under another name is made first.
pub fn restorable(planner: &Planner<'_>, registry: &dyn RulesRegistry) -> Restored {
    let of = |change: &Change| {
        let rules = registry.resource(&change.address.resource.kind).filter(|it| it.makes_room_first())?;
        let wanted = claim(rules, change.after.as_ref().filter(|_| change.deposed.is_none())?)?;
        let instance = planner.state.instances.get(&change.address)?;
        let current = instance.current.as_ref().and_then(|record| claim(rules, &recorded(record, rules)));
        let is_it = |(name, record): &(&String, &InstanceRecord)| {
            let present = match planner.observed.deposed.get(&(change.address.clone(), (*name).clone())) {
                Some(read) => read.clone(),
                None => Some(recorded(record, rules)),
            };
            record.provider == change.provider
                && present.and_then(|present| claim(rules, &present)).as_ref() == Some(&wanted)
        };
        let (name, _) = instance.deposed.iter().find(is_it).filter(|_| current.as_ref() != Some(&wanted))?;
        Some((change.address.clone(), name.clone()))
    };
    planner.changes.iter().filter_map(of).collect()
}

fn claim(rules: &dyn KindRules, value: &Value) -> Option<String> {
    rules.claim(&value.unmark_deep().0)
}

/// The state once they are taken back.
pub fn apply(state: &mut State, restored: &Restored) {
    for (address, name) in restored {
        state.restore(address, name);
    }
}

/// What was observed of them while they were deposed is what is known of their instances.
pub fn observe(observed: &mut Observed, restored: &Restored) {
    for (address, name) in restored {
        observed.instances.remove(address);
        observed.waiting.remove(address);
        observed.beside.remove(address);
        if let Some(read) = observed.deposed.remove(&(address.clone(), name.clone())) {
            observed.instances.insert(address.clone(), read);
        }
    }
}

/// Says of what goes what it gives way to.
pub fn tell(changes: &mut [Change], restored: &Restored) {
    let is_replaced = |change: &&mut Change| {
        change.deposed.is_some() && restored.get(&change.address) == change.deposed.as_ref()
    };
    for change in changes.iter_mut().filter(is_replaced) {
        change.notes.push("what it was to replace is there still, and is taken back".into());
    }
}
