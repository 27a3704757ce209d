//! Volume groups and thin pools that storages are made of: Proxmox VE looks for them on the node that is asked.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;
use serde_json::Value as Json;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use crate::values::{is_unset, text};

/// Whether no node has what a new storage is made of. One that is for certain nodes is not looked for on others.
pub(super) async fn look(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
    kind: &str,
) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.prior.is_none())?;
    let (list, attribute) = match kind {
        "storage_lvm" => ("lvm", "volume_group"),
        "storage_lvmthin" => ("lvmthin", "thin_pool"),
        _ => return None,
    };
    let on_all = planned.get("nodes").is_none_or(|nodes| !nodes.is_known() || is_unset(nodes));
    let of_disks = |other: &&ApplyRequest| short(&other.address.resource.kind).starts_with("node_disk_");
    if !on_all || changes.iter().any(of_disks) {
        return None;
    }
    let (group, name) = (text(planned, "volume_group")?, text(planned, attribute)?);
    for node in facts.list("/nodes", "").await?.iter() {
        let path = format!("/nodes/{}/disks/{list}", node["node"].as_str()?);
        let answer = facts.answer(&path, "").await?;
        let entries = answer.get("children").unwrap_or(&answer).as_array()?;
        let is_it = |entry: &Json| match kind {
            "storage_lvm" => entry["name"] == group,
            _ => entry["vg"] == group && entry["lv"] == name,
        };
        if entries.iter().any(is_it) {
            return None;
        }
    }
    let what = if kind == "storage_lvm" { "volume group" } else { "thin pool" };
    let detail = format!("no node has it: {list} lists those of a node under Disks; make it there first");
    let fault = Fault::certain(&format!("{name:?}"), |name| format!("There is no {what} {name}"), detail);
    Some(fault.at(change, Path::attribute(attribute)))
}
