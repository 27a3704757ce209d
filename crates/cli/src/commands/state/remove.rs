//! `pve state rm`

use std::collections::BTreeMap;

use pve_model::InstanceAddress;
use pve_model::event::{InstanceRemoved, Operation, Payload};
use serde_json::json;

use super::super::{parse_target, print_json};
use crate::arguments::{EditOptions, GlobalOptions};
use crate::edit::Edit;
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// Forgets instances with their deposed objects.
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
    if let Some(target) =
        targets.iter().find(|target| !edit.state.instances.keys().any(|address| target.contains(address)))
    {
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
        let payloads: Vec<Payload> = found.iter().flat_map(|address| forgotten(&edit, address)).collect();
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
    if !options.dry_run {
        println!("Successfully removed {} resource instance(s).", found.len());
    }
    Ok(0)
}

fn forgotten(edit: &Edit, address: &InstanceAddress) -> Vec<Payload> {
    let Some(instance) = edit.state.instances.get(address) else { return Vec::new() };
    let deposed = instance.deposed.keys().map(|name| Some(name.clone()));
    let objects = instance.current.iter().map(|_| None).chain(deposed);
    objects
        .map(|deposed| Payload::InstanceForgotten(InstanceRemoved { address: address.clone(), deposed }))
        .collect()
}
