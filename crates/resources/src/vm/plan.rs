//! What is planned for a VM: which values only apply can tell, what a change keeps, what it costs.

use pve_model::rules::{PlanRequest, PlanResponse, Problem, ReplaceReason};
use pve_model::{Path, PathStep, Value};

use crate::definition::problem;
use crate::values::{
    all_blocks, block, changed, flag, int, is_unset, origin_reasons, reasons, same, settle, settle_as_set,
    text, with, with_elements, with_unknown,
};

pub(super) fn plan(request: PlanRequest<'_>) -> PlanResponse {
    match request.prior {
        None => plan_create(request),
        Some(prior) => plan_update(request, prior),
    }
}

fn plan_create(request: PlanRequest<'_>) -> PlanResponse {
    let mut planned = request.proposed.clone();
    if all_blocks(&planned, "vga").is_empty() {
        planned = with_unknown(&planned, "vga");
    }
    PlanResponse { planned: Some(planned), ..PlanResponse::default() }
}

fn plan_update(request: PlanRequest<'_>, prior: &Value) -> PlanResponse {
    let mut planned = request.proposed.clone();
    planned = with_elements(&planned, "disk", plan_disks(request, prior));
    planned = with_elements(&planned, "network_device", plan_network(request, prior));
    if let (Some(before), Some(after)) = (prior.get("tags"), planned.get("tags")) {
        planned = with(&planned, "tags", settle_as_set(before, after));
    }
    planned = settle(prior, &planned);
    planned = forget_stale(request, prior, planned);
    let mut response = PlanResponse {
        problems: shrinking_disks(request, prior),
        replace: replacements(prior, &planned),
        ..PlanResponse::default()
    };
    response.notes = notes(prior, &planned);
    response.planned = Some(planned);
    response
}

/// Disks are matched by interface, not by place. A mere change of order is none.
fn plan_disks(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let before = all_blocks(prior, "disk");
    let configured = all_blocks(request.config, "disk");
    let proposed = all_blocks(request.proposed, "disk");
    let planned: Vec<Value> = proposed
        .iter()
        .zip(configured)
        .map(|(proposed, config)| {
            let interface = text(proposed, "interface");
            let old = interface
                .and_then(|interface| before.iter().find(|disk| text(disk, "interface") == Some(interface)));
            plan_disk(proposed, config, old)
        })
        .collect();
    let reordered =
        planned.len() == before.len() && planned.iter().all(|disk| before.iter().any(|old| same(old, disk)));
    if reordered { before.to_vec() } else { planned }
}

fn plan_disk(proposed: &Value, config: &Value, old: Option<&Value>) -> Value {
    let unset = |name: &str| config.get(name).is_some_and(Value::is_null);
    let mut disk = proposed.clone();
    let Some(old) = old else {
        for name in ["file_format", "path_in_datastore"] {
            if unset(name) {
                disk = with_unknown(&disk, name);
            }
        }
        return disk;
    };
    disk = settle(old, &disk);
    let moved = text(old, "datastore_id") != text(&disk, "datastore_id");
    for name in ["file_format", "path_in_datastore"] {
        if unset(name) {
            let keep = old.get(name).cloned().filter(|_| !moved);
            disk = match keep {
                Some(keep) => with(&disk, name, keep),
                None => with_unknown(&disk, name),
            };
        }
    }
    // An image may be larger than the default size; without a configured size the disk stays as it is.
    if unset("size")
        && let Some(size) = old.get("size").filter(|_| int(old, "size") > int(&disk, "size"))
    {
        disk = with(&disk, "size", size.clone());
    }
    disk
}

/// Network devices have no name: a device is the one before it that has the same configured values, else the one in
/// its place. So a device keeps its MAC address when one before it is taken out. As long as their number stays the
/// same, each stays in its place.
fn plan_network(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let before = all_blocks(prior, "network_device");
    let proposed = all_blocks(request.proposed, "network_device");
    let configured = all_blocks(request.config, "network_device");
    let mut taken = vec![false; before.len()];
    let mut matches: Vec<Option<usize>> = vec![None; proposed.len()];
    let passes: &[bool] = if before.len() == proposed.len() { &[true] } else { &[true, false] };
    for &in_place in passes {
        for (index, device) in proposed.iter().enumerate() {
            let fits = |old: usize| {
                !taken[old]
                    && (!in_place || old == index)
                    && same_device(&before[old], device, &configured[index])
            };
            if matches[index].is_none() {
                matches[index] = (0..before.len()).find(|old| fits(*old));
                if let Some(old) = matches[index] {
                    taken[old] = true;
                }
            }
        }
    }
    let planned = proposed.iter().enumerate().map(|(index, device)| {
        let old = matches[index].or((index < before.len() && !taken[index]).then_some(index));
        if !configured[index].get("mac_address").is_some_and(Value::is_null) {
            return device.clone();
        }
        match old.and_then(|old| before[old].get("mac_address")) {
            Some(mac) => with(device, "mac_address", mac.clone()),
            None => with_unknown(device, "mac_address"),
        }
    });
    planned.collect()
}

fn same_device(old: &Value, device: &Value, config: &Value) -> bool {
    device.entries().is_some_and(|entries| {
        entries.iter().all(|(name, value)| {
            let computed = &**name == "mac_address" && config.get(name).is_some_and(Value::is_null);
            let absent = is_unset(value) && old.get(name).is_some_and(is_unset);
            computed || absent || old.get(name).is_some_and(|old| same(old, value))
        })
    })
}

/// Marks as unknown what a change makes stale.
fn forget_stale(request: PlanRequest<'_>, prior: &Value, mut planned: Value) -> Value {
    let changes = changed(prior, &planned);
    let has = |name: &str| changes.contains(name);
    if has("network_device") {
        planned = with_unknown(&planned, "mac_addresses");
    }
    if has("network_device") || has("started") || has("agent") || has("initialization") {
        for name in ["network_interface_names", "ipv4_addresses", "ipv6_addresses"] {
            planned = with_unknown(&planned, name);
        }
    }
    let interfaces = |value: &Value| -> Vec<String> {
        all_blocks(value, "disk")
            .iter()
            .filter_map(|disk| text(disk, "interface"))
            .map(str::to_string)
            .collect()
    };
    // A boot order that was never configured follows the disks.
    let free = request.config.get("boot_order").is_some_and(Value::is_null);
    if interfaces(prior) != interfaces(&planned) && free {
        planned = with_unknown(&planned, "boot_order");
    }
    planned
}

/// Proxmox VE only grows disks.
fn shrinking_disks(request: PlanRequest<'_>, prior: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, disk) in all_blocks(request.config, "disk").iter().enumerate() {
        let interface = text(disk, "interface");
        let old = all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == interface);
        let (Some(old), Some(new)) = (old.and_then(|old| int(old, "size")), int(disk, "size")) else {
            continue;
        };
        if new < old {
            let path = Path::attribute("disk")
                .child(PathStep::Index(index as u64))
                .child(PathStep::Attribute("size".into()));
            let detail = format!(
                "{} is {old}G and cannot become {new}G: disks only grow. Set size = {old}, or replace the VM \
                 (-replace) if its data may go",
                interface.unwrap_or("the disk")
            );
            problems.push(problem(path, "A disk cannot shrink", detail));
        }
    }
    problems
}

fn replacements(prior: &Value, planned: &Value) -> Vec<ReplaceReason> {
    let was_template = flag(prior, "template") == Some(true);
    if was_template && flag(planned, "template") == Some(false) {
        let reason = "a template cannot become a virtual machine again".to_string();
        return vec![ReplaceReason { path: Path::attribute("template"), reason }];
    }
    let mut found = origin_reasons(prior, planned, "clone", &["datastore_id", "full", "node_name", "vm_id"]);
    for (index, disk) in all_blocks(planned, "disk").iter().enumerate() {
        let old =
            all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == text(disk, "interface"));
        // An imported disk does not tell what it was made from.
        if let Some(old) = old.filter(|old| text(old, "file_id").is_some()) {
            let at = Path::attribute("disk").child(PathStep::Index(index as u64));
            found.extend(reasons(old, disk, &at, &["file_id"], "a disk is made from its image only once"));
        }
    }
    found
}

/// Changes of these take effect without a restart of a running VM.
const HOT: &[&str] = &[
    "name",
    "description",
    "tags",
    "on_boot",
    "startup",
    "protection",
    "pool_id",
    "started",
    "node_name",
    "disk",
    "network_device",
    "hook_script_file_id",
    "migrate",
    "reboot",
    "reboot_after_update",
    "stop_on_destroy",
    "purge_on_destroy",
    "delete_unreferenced_disks_on_destroy",
    "mac_addresses",
    "network_interface_names",
    "ipv4_addresses",
    "ipv6_addresses",
    "boot_order",
    "clone",
    "template",
    "cdrom",
    "hotplug",
];

fn notes(prior: &Value, planned: &Value) -> Vec<String> {
    let changes = changed(prior, planned);
    let mut notes = Vec::new();
    if changes.contains("node_name") {
        let names = (text(prior, "node_name").unwrap_or("?"), text(planned, "node_name").unwrap_or("?"));
        notes.push(format!("migrates from {} to {}", names.0, names.1));
    }
    if block(prior, "clone").is_none() && block(planned, "clone").is_some() {
        notes.push("the clone block is only recorded: the VM is there already".to_string());
    }
    for disk in all_blocks(prior, "disk") {
        let interface = text(disk, "interface");
        let stays = |new: &&Value| text(new, "interface") == interface;
        if !all_blocks(planned, "disk").iter().any(|new| stays(&new)) {
            notes.push(format!("destroys disk {} and its data", interface.unwrap_or("?")));
        }
    }
    let running = flag(prior, "started") == Some(true) && flag(planned, "started") == Some(true);
    let cold = changes.iter().any(|name| !HOT.contains(&name.as_str()) && !name.starts_with("timeout_"));
    if running && (cold || cold_disk_change(prior, planned)) {
        notes.push(match flag(planned, "reboot_after_update") {
            Some(false) => "a reboot is needed before all of it takes effect".to_string(),
            _ => "reboots the VM if it cannot take all of it while running".to_string(),
        });
    }
    if changes.contains("initialization") && block(planned, "initialization").is_some() {
        notes.push("cloud-init sees the new values at the next boot".to_string());
    }
    notes
}

/// Whether options of a disk change that a running VM keeps until it restarts.
fn cold_disk_change(prior: &Value, planned: &Value) -> bool {
    let cold = ["aio", "cache", "iothread", "ssd", "discard", "serial"];
    all_blocks(planned, "disk").iter().any(|new| {
        let old =
            all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == text(new, "interface"));
        old.is_some_and(|old| cold.iter().any(|name| old.get(name) != new.get(name)))
    })
}

#[cfg(test)]
mod tests;
