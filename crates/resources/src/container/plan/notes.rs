//! What a change of a container costs, in words.

use pve_model::Value;

use super::super::encode::{Purpose, encode_options, encode_root_disk};
use super::super::mount_points::{keeps_volume, stays, wait_for_restart};
use crate::guest::match_mount_points;
use crate::guest::{encode_ip_config, files_of_node};
use crate::values::{all_blocks, block, changed, flag, text};

/// Options that a running container takes at once (`PVE::LXC::Config`, `vmconfig_hotplug_pending`).
const HOT: &[&str] = &[
    "cores",
    "cpulimit",
    "cpuunits",
    "description",
    "hookscript",
    "hostname",
    "memory",
    "onboot",
    "protection",
    "startup",
    "swap",
    "tags",
];

pub(super) fn notes(prior: &Value, planned: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    let changes = changed(prior, planned);
    if changes.contains("node_name") {
        let names = (text(prior, "node_name").unwrap_or("?"), text(planned, "node_name").unwrap_or("?"));
        notes.push(format!("migrates from {} to {}; a running container restarts", names.0, names.1));
        notes.extend(files_of_node(prior, planned, names.1));
        notes.extend(paths_of_node(prior, names.1));
    }
    let account = |value: &Value| {
        block(value, "initialization").and_then(|init| block(init, "user_account")).map(|a| a.unmark_deep().0)
    };
    if account(prior) != account(planned) {
        let text = "Proxmox VE sets passwords and keys only when a container is made: the new ones are recorded, \
                    set them inside of the container";
        notes.push(text.to_string());
    }
    let (before, after) = (all_blocks(prior, "mount_point"), all_blocks(planned, "mount_point"));
    let matches = match_mount_points(before, after);
    for (index, point) in before.iter().enumerate() {
        let path = text(point, "path");
        if !matches.contains(&Some(index)) {
            let kept = kept_by(point).filter(|_| matches.contains(&None)).unwrap_or_default();
            notes.push(format!(
                "takes away mount point {}; its volume stays as unused{kept}",
                path.unwrap_or("?")
            ));
        }
    }
    let kept = after.iter().zip(&matches).filter_map(|(new, old)| Some((&before[(*old)?], new)));
    for (old, new) in kept.filter(|(old, new)| keeps_volume(old, new)) {
        if let (Some(from), Some(to)) = (text(old, "path"), text(new, "path"))
            && from != to
        {
            notes.push(format!("mount point {from} becomes {to} and keeps its volume"));
        }
    }
    let replaced = after.iter().zip(&matches).filter_map(|(new, old)| Some((&before[(*old)?], new)));
    for (old, _) in replaced.filter(|(old, new)| !keeps_volume(old, new)) {
        if let Some(volume) =
            text(old, "path_in_datastore").filter(|volume| volume.contains(':') && !volume.starts_with('/'))
        {
            let path = text(old, "path").unwrap_or("?");
            notes.push(format!("mount point {path} gives up {volume}, which stays as unused"));
        }
    }
    notes.extend(moved_addresses(prior, planned));
    let running = flag(prior, "started") == Some(true) && flag(planned, "started") == Some(true);
    if running && flag(prior, "template") != Some(true) && flag(planned, "template") == Some(true) {
        notes.push("shuts the container down: a template does not run".to_string());
        return notes;
    }
    let is_moved = running && moves_volumes(prior, planned);
    if is_moved {
        notes.push(
            "shuts the container down and starts it again: its volumes do not move while it runs".to_string(),
        );
    }
    if changes.contains("idmap") {
        let restart = if running { ", while the container is shut down" } else { "" };
        notes.push(format!("writes idmap over SSH{restart}"));
    } else if !is_moved && running && !changes.contains("node_name") && waits_for_restart(prior, planned) {
        // Migrating restarts it already.
        notes.push("restarts the container: it does not take all of it while running".to_string());
    }
    notes
}

/// How a mount point that is new comes to have the volume of one that goes.
fn kept_by(gone: &Value) -> Option<String> {
    let volume = text(gone, "path_in_datastore").filter(|id| id.contains(':') && !id.starts_with('/'))?;
    Some(format!(" (a new mount point with volume = {volume:?} has it, with its data)"))
}

/// Whether a volume goes to another datastore.
fn moves_volumes(prior: &Value, planned: &Value) -> bool {
    let root = |value: &Value| Some(text(block(value, "disk")?, "datastore_id")?.to_string());
    let (before, after) = (all_blocks(prior, "mount_point"), all_blocks(planned, "mount_point"));
    let points = after.iter().zip(match_mount_points(before, after));
    let mut points = points.filter_map(|(new, old)| Some((&before[old?], new)));
    root(prior).is_some_and(|old| root(planned).is_some_and(|new| old != new))
        || points.any(|(old, new)| !stays(old, new) && keeps_volume(old, new))
}

/// Paths of the node are not migrated (`PVE::LXC::Migrate`).
fn paths_of_node(prior: &Value, to: &str) -> Option<String> {
    let own = |point: &&Value| {
        text(point, "volume").is_some_and(|volume| volume.starts_with('/'))
            && flag(point, "shared") != Some(true)
    };
    let points = all_blocks(prior, "mount_point").iter().filter(own);
    let paths: Vec<&str> = points.filter_map(|point| text(point, "volume")).collect();
    (!paths.is_empty()).then(|| {
        format!(
            "Proxmox VE refuses to migrate it with paths of the node: {}; where {to} has them too, apply shared = true \
             first",
            paths.join(", ")
        )
    })
}

fn waits_for_restart(prior: &Value, planned: &Value) -> bool {
    let options = |value: &Value| encode_options(value, Purpose::All);
    let (set, deleted) = options(planned).since(&options(prior));
    let is_cold = |name: &String| {
        let is_network = name.strip_prefix("net").is_some_and(|index| index.parse::<u32>().is_ok());
        // The type is settled when it is made.
        !is_network && name != "ostype" && !HOT.contains(&name.as_str())
    };
    let root = |value: &Value| block(value, "disk").map(|disk| encode_root_disk(disk, ""));
    set.0.keys().chain(&deleted).any(is_cold)
        || block(planned, "disk").is_some() && root(prior) != root(planned)
        || wait_for_restart(all_blocks(prior, "mount_point"), all_blocks(planned, "mount_point"))
}

/// Addresses belong to the interface in the same place: where an interface comes, goes or moves, others change theirs
/// though nobody has edited them.
fn moved_addresses(prior: &Value, planned: &Value) -> Option<String> {
    let (before, after) = (addresses(prior), addresses(planned));
    let had = |list: &[(String, String)], name: &str| {
        list.iter().find(|(other, _)| other == name).map(|(_, address)| address.clone())
    };
    let elsewhere = |list: &[(String, String)], name: &str, address: &str| {
        !address.is_empty() && list.iter().any(|(other, known)| other != name && known == address)
    };
    let said = |text: &str| if text.is_empty() { "no address".to_string() } else { text.to_string() };
    let moved = after.iter().filter_map(|(name, now)| {
        let old = had(&before, name);
        let lost = old.as_deref().is_some_and(|old| elsewhere(&after, name, old));
        if old.as_ref() == Some(now) || !(lost || elsewhere(&before, name, now)) {
            return None;
        }
        let instead = old.map(|old| format!(" instead of {}", said(&old))).unwrap_or_default();
        Some(format!("{name} has {}{instead}", said(now)))
    });
    let moved: Vec<String> = moved.collect();
    (!moved.is_empty()).then(|| format!("addresses go by place (ip_config): {}", moved.join(", ")))
}

/// The interfaces with their addresses, as they are sent.
fn addresses(value: &Value) -> Vec<(String, String)> {
    let configs =
        block(value, "initialization").map(|init| all_blocks(init, "ip_config")).unwrap_or_default();
    let interfaces = all_blocks(value, "network_interface").iter().enumerate();
    let named = interfaces.map(|(index, interface)| {
        let config = configs.get(index).map(|config| encode_ip_config(config).to_string());
        (text(interface, "name").unwrap_or("?").to_string(), config.unwrap_or_default())
    });
    named.collect()
}
