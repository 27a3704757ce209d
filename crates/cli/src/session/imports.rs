//! Imports of what this log manages already, or was making when a run was interrupted.

use pve_model::InstanceAddress;
use pve_model::event::Operation;
use pve_model::plan::{Action, Change};
use pve_model::rules::{KindRules, RulesRegistry as _};
use pve_model::state::{InstanceRecord, State};
use pve_planner::planning::Planning;
use pve_planner::resolution::recorded_value;
use pve_resources::half_made_by;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Refuses an import of an object that the state has at another address, unless the same plan forgets that one: whichever
/// of the two is destroyed first would destroy it for both.
///
/// # Errors
/// When a plan has such an import.
pub fn refuse_managed(workspace: &Workspace, state: &State, planning: &Planning) -> Result<(), Failure> {
    for change in planning.plan.changes.iter().filter(|change| change.importing.is_some()) {
        let id = change.importing.as_deref().unwrap_or_default();
        let refused = format!("{} cannot be imported as {id}", change.address);
        if let Some(holder) = holder(workspace, state, planning, change) {
            let message = format!("{refused}: {holder} in this log manages it already");
            let rules = |address: &InstanceAddress| {
                workspace
                    .registry
                    .resource(&address.resource.kind)
                    .map(|rules| std::ptr::from_ref(rules).cast::<()>())
            };
            let moved = if rules(&holder) == rules(&change.address) {
                format!("`pve state mv '{holder}' '{}'` gives it this address; ", change.address)
            } else {
                String::new()
            };
            let hint = format!("Nothing was changed. {moved}`pve state rm '{holder}'` takes it out first.");
            return Err(Failure::hinted(message, hint));
        }
        if let Some(maker) = maker(state, change) {
            return Err(Failure::hinted(
                format!("{refused}: an interrupted run of this log was making it as {maker}"),
                format!(
                    "Nothing was changed. `pve apply` completes it; if it says that it cannot tell what became of it, `pve \
                     state rm '{maker}'` gives it up."
                ),
            ));
        }
    }
    Ok(())
}

/// Where a guest is that was looked for on another node: it is found wherever it is, and the id in use says otherwise.
pub fn found_elsewhere(change: &Change) -> Option<String> {
    let (named, vmid) = change.importing.as_deref()?.split_once('/')?;
    let node = change.before.as_ref()?.get("node_name")?.as_str()?;
    let is_guest = !vmid.is_empty() && vmid.chars().all(|digit| digit.is_ascii_digit());
    (is_guest && node != named).then(|| format!("guest {vmid} is not on {named}: it is imported from {node}"))
}

/// The other address that has the object of an import.
fn holder(
    workspace: &Workspace,
    state: &State,
    planning: &Planning,
    change: &Change,
) -> Option<InstanceAddress> {
    let claim = workspace.registry.resource(&change.address.resource.kind)?.claim(change.before.as_ref()?)?;
    let claims = |address: &InstanceAddress, record: &InstanceRecord| {
        let rules = workspace.registry.resource(&address.resource.kind);
        record.provider == change.provider && rules.is_some_and(|rules| has_claim(rules, record, &claim))
    };
    let now = |address: &InstanceAddress| {
        let moved = planning.moves.iter().find(|(from, _)| from == address);
        moved.map_or(address, |(_, to)| to).clone()
    };
    let mut others = state.instances.iter().filter_map(|(address, instance)| {
        let mut records = instance.current.iter().chain(instance.deposed.values());
        records.any(|record| claims(address, record)).then(|| now(address))
    });
    let forgets = |change: &Change, address: &InstanceAddress| {
        change.address == *address && change.action == Action::Forget
    };
    others.find(|address| {
        *address != change.address && !planning.plan.changes.iter().any(|change| forgets(change, address))
    })
}

fn has_claim(rules: &dyn KindRules, record: &InstanceRecord, claim: &str) -> bool {
    let value = recorded_value(record, rules).unmark_deep().0;
    !rules.shares_claim(&value) && rules.claim(&value).as_deref() == Some(claim)
}

/// The other address that a guest of an import was being made as, where the guest itself does not say so.
fn maker(state: &State, change: &Change) -> Option<InstanceAddress> {
    let guest = change.before.as_ref()?;
    let vmid = guest.get("vm_id")?.unmark_deep().0.as_i64()?;
    let marked = half_made_by(guest);
    let open = state.open_actions.iter().map(|open| &open.intent).find(|intent| {
        intent.operation == Operation::Create
            && intent.address != change.address
            && intent.provider == change.provider
            && intent.claim.vmid.is_some_and(|claimed| i64::from(claimed) == vmid)
            && marked != Some(intent.action)
    });
    open.map(|intent| intent.address.clone())
}
