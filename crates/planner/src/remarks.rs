//! What is worth knowing of objects beside their values: said with their change, else as a note of the plan.

use pve_model::plan::{Action, Note};
use pve_model::rules::RulesRegistry;

use crate::planner::Planner;

/// Adds what the rules of kinds have to say of what was seen. The changes stay as they are.
pub fn attach(planner: &mut Planner<'_>, registry: &dyn RulesRegistry) {
    for (address, beside) in &planner.observed.beside {
        let (Some(rules), Some(record)) =
            (registry.resource(&address.resource.kind), planner.state.current(address))
        else {
            continue;
        };
        let beside = beside.since(record.unspoken.as_ref());
        if beside.is_quiet() {
            continue;
        }
        let Some(before) = planner.present(address, record, rules) else { continue };
        let before = before.unmark_deep().0;
        let change = planner.changes.iter_mut().find(|c| c.address == *address && c.deposed.is_none());
        let after = match &change {
            Some(change) if change.action == Action::Forget => continue,
            Some(change) if change.action.destroys() => None,
            Some(change) => change.after.as_ref().map(|after| after.unmark_deep().0),
            None => Some(before.clone()),
        };
        let said = rules.remarks(&beside, &before, after.as_ref());
        match change.filter(|change| change.action != Action::NoOp) {
            Some(change) => change.notes.extend(said),
            None => {
                let notes = said.into_iter().map(|text| Note { address: address.clone(), text });
                planner.notes.extend(notes);
            }
        }
    }
}
