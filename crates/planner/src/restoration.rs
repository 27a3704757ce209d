//! Objects that were replaced and not destroyed yet, since a run broke off, and that the configuration asks for again: they
//! are taken back, and what was made in their place goes. Others may be in them still, so that they could not be destroyed
//! and made again.

use std::collections::BTreeMap;

use pve_config::syntax::Diagnostic;
use pve_model::plan::{Action, Change};
use pve_model::rules::KindRules;
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, Value};

use crate::evaluation::Evaluation;
use crate::planner::{Planner, recorded};
use crate::planning::Observed;
use crate::protection::is_protected;

/// What is taken back: deposed objects, by their instances.
pub type Restored = BTreeMap<InstanceAddress, String>;

/// The deposed objects that are what the configuration asks for, and that are there. Not where
/// the present object is protected: it would go, and planned without that it is refused as every replacement is.
pub fn restorable(planner: &Planner<'_>, evaluation: &Evaluation<'_>) -> Restored {
    let registry = evaluation.inputs.registry;
    let of = |change: &Change| {
        let rules = registry.resource(&change.address.resource.kind)?;
        let wanted = claim(rules, change.after.as_ref().filter(|_| change.deposed.is_none())?)?;
        let instance = planner.state.instances.get(&change.address)?;
        let current = instance.current.as_ref().and_then(|record| claim(rules, &recorded(record, rules)));
        let is_it = |(name, record): &(&String, &InstanceRecord)| {
            let present = match planner.observed.deposed.get(&(change.address.clone(), (*name).clone())) {
                Some(Ok(read)) => read.clone(),
                // What was not looked at may be gone.
                Some(Err(_)) | None => None,
            };
            record.provider == change.provider
                && present.and_then(|present| claim(rules, &present)).as_ref() == Some(&wanted)
        };
        let (name, _) = instance.deposed.iter().find(is_it).filter(|_| current.as_ref() != Some(&wanted))?;
        let goes = change.action != Action::Create;
        let is_kept = goes && is_protected(evaluation, &change.address).unwrap_or(true);
        (!is_kept).then(|| (change.address.clone(), name.clone()))
    };
    // Under the name of what was taken back there is by now what replaced it.
    let taken_back = &planner.revision.restored;
    let others = planner.changes.iter().filter(|change| !taken_back.contains_key(&change.address));
    others.filter_map(of).collect()
}

fn claim(rules: &dyn KindRules, value: &Value) -> Option<String> {
    rules.claim(&value.unmark_deep().0)
}

/// The state once they are taken back.
///
/// # Errors
/// When there is no such object: a fault of ours.
pub fn apply(state: &mut State, restored: &Restored) -> Result<(), Diagnostic> {
    let missing = restored.iter().find(|(address, name)| !state.restore(address, name));
    missing.map_or(Ok(()), |(address, name)| {
        let detail = format!("The state has no object {name} of {address}. Please report this.");
        Err(Diagnostic::error_without_span("What is to be taken back is not there", detail))
    })
}

/// What was observed of them while they were deposed is what is known of their instances.
pub fn observe(observed: &mut Observed, restored: &Restored) {
    for (address, name) in restored {
        observed.instances.remove(address);
        observed.waiting.remove(address);
        observed.beside.remove(address);
        if let Some(Ok(read)) = observed.deposed.remove(&(address.clone(), name.clone())) {
            observed.instances.insert(address.clone(), read);
        }
    }
}

/// Says of what goes what it gives way to, or why nobody can tell whether it is to be taken back.
pub fn tell(changes: &mut [Change], restored: &Restored, observed: &Observed) {
    for change in changes.iter_mut() {
        let Some(name) = change.deposed.clone() else { continue };
        if restored.get(&change.address) == Some(&name) {
            change.notes.push("what it was to replace is there still, and is taken back".into());
        } else if let Some(Err(why)) = observed.deposed.get(&(change.address.clone(), name)) {
            change.notes.push(format!("whether it is wanted again cannot be told: {why}"));
        }
    }
}
