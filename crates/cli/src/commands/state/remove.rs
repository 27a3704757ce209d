//! `pve state rm`

use std::collections::BTreeMap;

use pve_model::InstanceAddress;
use pve_model::address::Target;
use pve_model::event::{ActionFailed, InstanceRemoved, Operation, Payload};
use pve_model::state::OpenAction;
use serde_json::json;

use super::super::{parse_target, print_json};
use crate::arguments::{EditOptions, GlobalOptions};
use crate::edit::Edit;
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// Forgets instances with their deposed objects, and gives up actions of which nobody can tell what became of them.
///
/// # Errors
/// When an address has none, or the log cannot be written.
pub async fn run(
    global: &GlobalOptions,
    project: &Project,
    addresses: &[String],
    options: &EditOptions,
) -> Ended {
    let targets = addresses.iter().map(|text| parse_target(text)).collect::<Result<Vec<_>, _>>()?;
    let edit = Edit::begin(project, "state rm", &options.lock).await?;
    let unclear = unclear_actions(&edit, &targets);
    let is_known = |target: &Target| {
        let mut known = edit.state.instances.keys().chain(unclear.iter().map(|open| &open.intent.address));
        known.any(|address| target.contains(address))
    };
    if let Some(target) = targets.iter().find(|target| !is_known(target)) {
        let hint = "Nothing was changed. `pve state list` shows the addresses there are.";
        return Err(Failure::hinted(format!("the state has nothing at {target}"), hint));
    }
    let found: Vec<InstanceAddress> = edit
        .state
        .instances
        .keys()
        .filter(|address| targets.iter().any(|target| target.contains(address)))
        .cloned()
        .collect();
    if !options.dry_run {
        edit.refuse_open(&found)?;
        let given_up = unclear.iter().map(given_up);
        let payloads: Vec<Payload> =
            given_up.chain(found.iter().flat_map(|address| forgotten(&edit, address))).collect();
        let done = BTreeMap::from([(Operation::Forget, payloads.len() as u64)]);
        edit.record(payloads, done).await?;
    }
    if global.json {
        let names: Vec<String> = found.iter().map(ToString::to_string).collect();
        print_json(&json!({"format_version": "1.0", "dry_run": options.dry_run, "removed": names}))?;
        return Ok(0);
    }
    let word = if options.dry_run { "Would remove" } else { "Removed" };
    found.iter().for_each(|address| println!("{word} {address}"));
    for open in &unclear {
        let guest = open.intent.claim.vmid.map(|vmid| format!(" (guest {vmid})")).unwrap_or_default();
        let word = if options.dry_run { "Would give up" } else { "Gave up" };
        println!(
            "{word} what an earlier run was doing to {}{guest}: what it may have made is managed by nobody.",
            open.intent.address
        );
    }
    if !options.dry_run {
        println!("Successfully removed {} resource instance(s).", found.len());
    }
    Ok(0)
}

/// Actions of which no run could tell what became of them: only somebody who looked in the cluster can.
fn unclear_actions(edit: &Edit, targets: &[Target]) -> Vec<OpenAction> {
    let is_meant = |open: &&OpenAction| {
        open.indeterminate.is_some() && targets.iter().any(|target| target.contains(&open.intent.address))
    };
    edit.state.open_actions.iter().filter(is_meant).cloned().collect()
}

fn given_up(open: &OpenAction) -> Payload {
    let reason = open.indeterminate.as_deref().unwrap_or_default();
    let error = format!("given up by `pve state rm`; it could not be told what became of it: {reason}");
    Payload::ActionFailed(ActionFailed { action: open.intent.action, error, record: None })
}

fn forgotten(edit: &Edit, address: &InstanceAddress) -> Vec<Payload> {
    let Some(instance) = edit.state.instances.get(address) else { return Vec::new() };
    let deposed = instance.deposed.keys().map(|name| Some(name.clone()));
    let objects = instance.current.iter().map(|_| None).chain(deposed);
    objects
        .map(|deposed| Payload::InstanceForgotten(InstanceRemoved { address: address.clone(), deposed }))
        .collect()
}
