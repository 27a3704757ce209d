//! Volume groups, thin pools and ZFS pools that storages are made of. Proxmox VE activates a new storage on the node that
//! is asked (PVE::API2::Storage::Config, `create`): one of a thin pool fails without it, one of a volume group is taken and
//! cannot be used, and a ZFS pool is imported if a disk has it.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;
use serde_json::Value as Json;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use crate::values::{flag, is_unset, text};

/// Whether no node has what a new storage is made of. One that is for certain nodes is not looked for on others.
pub(super) async fn missing_base(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
    kind: &str,
) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.prior.is_none())?;
    let (list, attribute, what) = match kind {
        "storage_lvm" => ("lvm", "volume_group", "volume group"),
        "storage_lvmthin" => ("lvmthin", "thin_pool", "thin pool"),
        "storage_zfspool" => ("zfs", "zfs_pool", "ZFS pool"),
        _ => return None,
    };
    let on_all = planned.get("nodes").is_none_or(|nodes| !nodes.is_known() || is_unset(nodes));
    let of_disks = |other: &&ApplyRequest| short(&other.address.resource.kind).starts_with("node_disk_");
    if !on_all || flag(planned, "disable") == Some(true) || changes.iter().any(of_disks) {
        return None;
    }
    // A dataset is looked for by its pool.
    let name = text(planned, attribute)?.split('/').next()?;
    let group = text(planned, "volume_group");
    for node in facts.list("/nodes", "").await?.iter() {
        let path = format!("/nodes/{}/disks/{list}", node["node"].as_str()?);
        let answer = facts.answer(&path, "").await?;
        let entries = answer.get("children").unwrap_or(&answer).as_array()?;
        let is_it = |entry: &Json| match kind {
            "storage_lvmthin" => entry["vg"].as_str() == group && entry["lv"] == name,
            _ => entry["name"] == name,
        };
        if entries.iter().any(is_it) {
            return None;
        }
    }
    let detail = format!("no node has it: {list} lists those of a node under Disks; make it there first");
    let fault = Fault::certain(&format!("{name:?}"), |name| format!("There is no {what} {name}"), detail);
    let fault = if kind == "storage_lvmthin" { fault } else { fault.likely() };
    Some(fault.at(change, Path::attribute(attribute)))
}
