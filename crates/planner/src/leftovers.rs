//! Instances in the state that the configuration does not have, deposed objects, and destroying everything.

use pve_model::plan::{Action, ActionReason, PlanMode};
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, InstanceKey, ResourceMode, Value};

use crate::evaluation::Evaluation;
use crate::graph::{Item, Node};
use crate::planner::{Planner, bare_change, recorded};
use crate::scope::Shape;

/// Adds the changes of everything in the state that was not planned yet.
pub fn plan(planner: &mut Planner<'_>, evaluation: &Evaluation<'_>) {
    let state = planner.state;
    for (address, instance) in &state.instances {
        let place = evaluation.graph.place(&node(address));
        if !planner.selection.includes_leftover(address, place) {
            continue;
        }
        for (name, record) in &instance.deposed {
            let before = value_of(planner, evaluation, address, record, true);
            if is_gone(planner, address, name) {
                let mut drift = bare_change(address, record.provider.clone(), Action::Delete);
                (drift.before, drift.deposed) = (before, Some(name.clone()));
                planner.drift.push(drift);
            } else if planner.options.mode != PlanMode::RefreshOnly {
                remove(planner, address, record, before, None, Some(name.clone()));
            }
        }
        let Some(record) = &instance.current else { continue };
        // One that is configured has been looked at.
        if !planner.seen.contains(address)
            && let Some(rules) = evaluation.inputs.registry.resource(&address.resource.kind)
            && (planner.options.mode == PlanMode::RefreshOnly
                || planner.present(address, record, rules).is_none())
        {
            planner.note_drift(address, record, rules);
        }
        if planner.options.mode == PlanMode::RefreshOnly
            || (planner.options.mode == PlanMode::Normal && planner.seen.contains(address))
        {
            continue;
        }
        let Some(before) = value_of(planner, evaluation, address, record, false) else {
            continue;
        };
        let reason =
            (planner.options.mode == PlanMode::Normal).then(|| reason(evaluation, address)).flatten();
        remove(planner, address, record, Some(before), reason, None);
    }
}

/// Whether a deposed object was found to be gone. It holds nothing that another may want.
fn is_gone(planner: &Planner<'_>, address: &InstanceAddress, name: &str) -> bool {
    matches!(planner.observed.deposed.get(&(address.clone(), name.to_string())), Some(Ok(None)))
}

/// The values before; `None` when the object was found to be gone.
fn value_of(
    planner: &Planner<'_>,
    evaluation: &Evaluation<'_>,
    address: &InstanceAddress,
    record: &InstanceRecord,
    deposed: bool,
) -> Option<Value> {
    match evaluation.inputs.registry.resource(&address.resource.kind) {
        Some(rules) if deposed => Some(recorded(record, rules)),
        Some(rules) => planner.present(address, record, rules),
        None => Some(pve_model::codec::from_plain_json(&record.values)),
    }
}

fn remove(
    planner: &mut Planner<'_>,
    address: &InstanceAddress,
    record: &InstanceRecord,
    before: Option<Value>,
    reason: Option<ActionReason>,
    deposed: Option<String>,
) {
    let forget = deposed.is_none() && (planner.forgets(address) || record.keep);
    let reason = if record.keep { Some(ActionReason::ForgotBecauseLifecycleDestroyInState) } else { reason };
    let action = if forget { Action::Forget } else { Action::Delete };
    let mut change = bare_change(address, record.provider.clone(), action);
    change.before = before;
    change.reason = reason;
    change.deposed = deposed;
    change.create_before_destroy = record.create_before_destroy;
    planner.push(change, Vec::new());
}

/// The block that an instance is of, as a node of the graph.
pub fn node(address: &InstanceAddress) -> Node {
    let resource = &address.resource;
    Node {
        module: resource.module.0.iter().map(|step| step.name.clone()).collect(),
        item: Item::Resource(resource.mode, resource.kind.clone(), resource.name.clone()),
    }
}

fn reason(evaluation: &Evaluation<'_>, address: &InstanceAddress) -> Option<ActionReason> {
    let resource = &address.resource;
    let path: Vec<String> = resource.module.0.iter().map(|step| step.name.clone()).collect();
    let Some(module) = evaluation.module(&path) else {
        return Some(ActionReason::DeleteBecauseNoResourceConfig);
    };
    if !evaluation.instances_of(&path).contains(&resource.module) {
        return Some(ActionReason::DeleteBecauseNoModule);
    }
    if module.resource(ResourceMode::Managed, &resource.kind, &resource.name).is_none() {
        return Some(ActionReason::DeleteBecauseNoResourceConfig);
    }
    match (evaluation.shapes.get(resource)?, &address.key) {
        (Shape::Count, Some(InstanceKey::Index(_))) => Some(ActionReason::DeleteBecauseCountIndex),
        (Shape::Each, Some(InstanceKey::Key(_))) => Some(ActionReason::DeleteBecauseEachKey),
        (Shape::Single, None) => Some(ActionReason::DeleteBecauseEnabledFalse),
        _ => Some(ActionReason::DeleteBecauseWrongRepetition),
    }
}
