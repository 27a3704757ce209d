//! Disks that a snapshot has: Proxmox VE neither destroys nor moves them (PVE::API2::Qemu, `move_vm_disk`; PVE::API2::LXC,
//! `move_volume`; PVE::QemuServer, `try_deallocate_drive`).

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, Value};

use super::super::Identity;
use super::super::facts::Facts;
use super::super::fault::Fault;
use super::kind_of;
use crate::guest::{GuestKind, match_mount_points};
use crate::known_volumes::{SMALL_DRIVES, volume_of, volume_of_disk, volumes_of_vm};
use crate::values::{all_blocks, block, int, text};

/// A volume that is taken out or goes to another datastore.
struct Leaving {
    place: String,
    volume: String,
    block: &'static str,
}

/// The disks that a change takes out or moves while a snapshot has them.
pub(in super::super) async fn held_by_snapshots(
    facts: &mut Facts<'_>,
    change: &ApplyRequest,
    identity: Identity<'_>,
) -> Vec<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Update);
    let Some((prior, planned)) = change.prior.as_ref().zip(planned) else { return Vec::new() };
    let Some(kind) = kind_of(change) else { return Vec::new() };
    let (command, leaving) = match kind {
        GuestKind::Vm => ("qm", of_vm(prior, planned, identity(&change.address).as_deref())),
        GuestKind::Container => ("pct", of_container(prior, planned)),
    };
    let (Some(node), Some(id)) = (text(prior, "node_name"), int(prior, "vm_id")) else { return Vec::new() };
    if leaving.is_empty() {
        return Vec::new();
    }
    let path = format!("/nodes/{node}/{}/{id}/snapshot", kind.api());
    let Some(list) = facts.list(&path, "").await else { return Vec::new() };
    let names = list.iter().filter_map(|entry| entry["name"].as_str()).filter(|name| *name != "current");
    let mut found = Vec::new();
    for name in names {
        let Some(config) = facts.answer(&format!("{path}/{name}/config"), "").await else { continue };
        let has = |volume: &str| {
            let options = config.as_object().into_iter().flatten().filter_map(|(_, option)| option.as_str());
            options.filter_map(volume_of).any(|held| held == volume)
        };
        for Leaving { place, block, .. } in leaving.iter().filter(|leaving| has(&leaving.volume)) {
            let summary = |place: &str| format!("The snapshot {name} holds {place}");
            let detail = format!(
                "a disk that a snapshot has is neither destroyed nor moved: delete the snapshot first (`{command} delsnapshot \
                 {id} {name}` on {node})"
            );
            let doubt = Fault::certain(place, summary, detail).at(change, Path::attribute(*block));
            found.push(Doubt { may_come: false, ..doubt });
        }
    }
    found
}

fn of_vm(prior: &Value, planned: &Value, identity: Option<&str>) -> Vec<Leaving> {
    let goes = |old: &&Value| {
        let mut new = all_blocks(planned, "disk").iter();
        let new = new.find(|new| text(new, "interface") == text(old, "interface"));
        let differs =
            |name: &str, new: &Value| text(new, name).is_some_and(|now| text(old, name) != Some(now));
        new.is_none_or(|new| ["datastore_id", "file_format"].iter().any(|name| differs(name, new)))
    };
    let leaving = all_blocks(prior, "disk").iter().filter(goes).filter_map(|disk| {
        let place = text(disk, "interface")?.to_string();
        Some(Leaving { place, volume: volume_of_disk(disk)?, block: "disk" })
    });
    leaving.chain(small_drives(prior, planned, identity)).collect()
}

/// The EFI disk and the TPM state that are taken out, made anew with other keys, or go elsewhere.
fn small_drives(prior: &Value, planned: &Value, identity: Option<&str>) -> Vec<Leaving> {
    let volumes = volumes_of_vm(prior, identity);
    let goes = |name: &str| {
        let Some(old) = block(prior, name) else { return false };
        block(planned, name).is_none_or(|new| {
            let part = |value: &Value, name: &str| {
                value.get(name).filter(|part| part.is_known() && !part.is_null()).cloned()
            };
            let differs = |name: &&str| part(new, name).is_some_and(|now| part(old, name) != Some(now));
            ["datastore_id", "file_format", "pre_enrolled_keys"].iter().any(differs)
        })
    };
    let leaving = SMALL_DRIVES.iter().filter(|(name, _)| goes(name)).filter_map(|(name, slot)| {
        Some(Leaving { place: (*slot).to_string(), volume: volumes.get(*slot)?.clone(), block: name })
    });
    leaving.collect()
}

/// What a container loses stays as unused: only what moves is held.
fn of_container(prior: &Value, planned: &Value) -> Vec<Leaving> {
    let moves = |old: &Value, new: &Value, name: &str| {
        let datastore =
            |value: &Value| text(value, name).and_then(|name| name.split(':').next().map(str::to_string));
        datastore(old) != datastore(new) && datastore(new).is_some()
    };
    let volume =
        |value: &Value| text(value, "path_in_datastore").filter(|id| id.contains(':')).map(str::to_string);
    let root =
        block(prior, "disk").zip(block(planned, "disk")).filter(|(old, new)| moves(old, new, "datastore_id"));
    let root = root.and_then(|(old, _)| {
        Some(Leaving { place: "the root disk".to_string(), volume: volume(old)?, block: "disk" })
    });
    let (before, after) = (all_blocks(prior, "mount_point"), all_blocks(planned, "mount_point"));
    let pairs = after.iter().zip(match_mount_points(before, after));
    let points = pairs.filter_map(|(new, old)| Some((&before[old?], new)));
    let points = points.filter(|(old, new)| moves(old, new, "volume")).filter_map(|(old, _)| {
        let place = format!("mount point {}", text(old, "path")?);
        Some(Leaving { place, volume: volume(old)?, block: "mount_point" })
    });
    root.into_iter().chain(points).collect()
}
