//! What is planned for a VM: which values only apply can tell, what a change keeps, what it costs.

mod initialization;
mod notes;
mod replacements;

use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse};

use initialization::{plan_initialization, taken_by_default, without_unnamed_files};
use notes::notes;
use replacements::{replacements, shrinking_disks};

use super::decode::is_pinned;
use super::drives::{device_names, encode_cdrom, following_boot_order};
use super::encode::encode_options;
use super::image_import::boots_from_import;
use crate::guest::MARKER;
use crate::values::{
    all_blocks, block, changed, default_if_empty, flag, is_unset, keep_written_defaults, kept_if_empty, same,
    settle, settle_tags, text, texts, unknown_if_empty, with, with_each_block, with_elements,
    with_kept_description, with_template_power, with_unknown,
};

pub(super) fn plan(request: PlanRequest<'_>) -> PlanResponse {
    match request.prior {
        None => plan_create(request),
        Some(prior) => plan_update(request, prior),
    }
}

fn plan_create(request: PlanRequest<'_>) -> PlanResponse {
    let mut planned = stated(request);
    if all_blocks(&planned, "vga").is_empty() {
        planned = with_unknown(&planned, "vga");
    }
    planned = with_unknown(&unknown_if_empty(&planned, "hotplug"), "mac_addresses");
    for (name, part) in [("network_device", "mac_address"), ("smbios", "uuid")] {
        planned = with_each_block(&planned, name, |block| unknown_if_empty(block, part));
    }
    if !all_blocks(&planned, "clone").is_empty() {
        planned = without_unnamed_files(request.config, planned);
    }
    let problems = taken_by_default(&planned);
    PlanResponse { problems, planned: Some(planned), ..PlanResponse::default() }
}

/// What is configured, as it will be known of the VM: an empty text stands for the default.
fn stated(request: PlanRequest<'_>) -> Value {
    let mut planned = with_template_power(&with_kept_description(request.proposed, ""), request.prior);
    for (name, part, default) in
        [("disk", "discard", "ignore"), ("initialization", "datastore_id", "local-lvm")]
    {
        planned = with_each_block(&planned, name, |block| default_if_empty(block, part, default));
    }
    planned
}

fn plan_update(request: PlanRequest<'_>, prior: &Value) -> PlanResponse {
    let mut planned = stated(request);
    planned = with_elements(&planned, "disk", plan_disks(request, &planned, prior));
    planned = with_elements(&planned, "network_device", plan_network(request, prior));
    if let (Some(before), Some(after)) = (prior.get("tags"), planned.get("tags")) {
        planned = with(&planned, "tags", settle_tags(before, after));
    }
    planned = keep_defaults(prior, settle(prior, &planned));
    planned = keep_told(prior, keep_pool(prior, planned));
    for (name, key, flags) in
        [("hostpci", "device", &["pcie", "rombar", "xvga"][..]), ("usb", "host", &["usb3"])]
    {
        let blocks = keep_written_defaults(all_blocks(prior, name), all_blocks(&planned, name), key, flags);
        planned = with_elements(&planned, name, blocks);
    }
    planned = keep_pinned(prior, forget_origin(prior, planned));
    planned = with_elements(&planned, "initialization", plan_initialization(request, prior, &planned));
    planned = forget_stale(request, prior, planned);
    let replace = replacements(prior, &planned);
    let changes = changed(prior, &planned);
    // Another VM has disks of its own.
    let is_another = !replace.is_empty() || ["vm_id", "amd_sev"].iter().any(|name| changes.contains(*name));
    let mut problems = if is_another { Vec::new() } else { shrinking_disks(request, prior) };
    problems.extend(taken_by_default(&planned));
    PlanResponse { problems, replace, notes: notes(prior, &planned), planned: Some(planned) }
}

/// A block that is left out means its defaults: one that was imported with just those stays as it is.
fn keep_defaults(prior: &Value, mut planned: Value) -> Value {
    for name in ["agent", "cpu", "memory", "operating_system", "startup", "vga", "watchdog", "audio_device"] {
        let absent = planned.get(name).and_then(Value::elements).is_some_and(<[Value]>::is_empty);
        if !absent || all_blocks(prior, name).is_empty() {
            continue;
        }
        // The display is the cluster's to tell where the configuration does not.
        if name == "vga" {
            planned = with_elements(&planned, name, all_blocks(prior, name).to_vec());
            continue;
        }
        let without = with_elements(prior, name, Vec::new());
        if encode_options(&without, true) == encode_options(prior, true) {
            planned = with_elements(&planned, name, all_blocks(prior, name).to_vec());
        }
    }
    // Switched off is the same as not there, except in a clone, which may have what its template has.
    let is_clone = !all_blocks(&planned, "clone").is_empty();
    for name in ["startup", "watchdog", "audio_device"] {
        let without = with_elements(&planned, name, Vec::new());
        if !is_clone
            && all_blocks(prior, name).is_empty()
            && !all_blocks(&planned, name).is_empty()
            && encode_options(&without, true) == encode_options(&planned, true)
        {
            planned = without;
        }
    }
    // Every VM has a UUID.
    let uuid_only = |smbios: &Value| {
        smbios
            .entries()
            .is_some_and(|entries| entries.iter().all(|(name, part)| &**name == "uuid" || is_unset(part)))
    };
    if all_blocks(&planned, "smbios").is_empty() && block(prior, "smbios").is_some_and(uuid_only) {
        planned = with_elements(&planned, "smbios", all_blocks(prior, "smbios").to_vec());
    }
    planned
}

/// What is written empty is the cluster's to tell. The addresses are in any case: those of single devices decide them.
fn keep_told(prior: &Value, planned: Value) -> Value {
    let planned = kept_if_empty(prior, planned, "hotplug");
    let planned = match prior.get("mac_addresses") {
        Some(addresses) => with(&planned, "mac_addresses", addresses.clone()),
        None => planned,
    };
    let Some(before) = block(prior, "smbios") else { return planned };
    with_each_block(&planned, "smbios", |smbios| kept_if_empty(before, smbios.clone(), "uuid"))
}

/// Without a configured pool a VM stays in the one it is in: other resources have members of pools, too.
fn keep_pool(prior: &Value, planned: Value) -> Value {
    match prior.get("pool_id") {
        Some(pool) if planned.get("pool_id").is_some_and(is_unset) => with(&planned, "pool_id", pool.clone()),
        _ => planned,
    }
}

/// The version that Proxmox VE pins for Windows is none of the configuration's.
fn keep_pinned(prior: &Value, planned: Value) -> Value {
    let system = block(prior, "operating_system").and_then(|system| text(system, "type"));
    let windows = system.is_some_and(|system| system.starts_with('w'));
    match prior.get("machine") {
        Some(pinned) if windows && is_pinned(text(&planned, "machine"), pinned.as_str()) => {
            with(&planned, "machine", pinned.clone())
        }
        _ => planned,
    }
}

/// How a VM was made cannot be read back: one that was imported does not tell, and keeps to that.
fn forget_origin(prior: &Value, planned: Value) -> Value {
    if all_blocks(prior, "clone").is_empty() { with_elements(&planned, "clone", Vec::new()) } else { planned }
}

/// Disks are matched by interface, not by place. A mere change of order is none.
fn plan_disks(request: PlanRequest<'_>, stated: &Value, prior: &Value) -> Vec<Value> {
    let before = all_blocks(prior, "disk");
    let configured = all_blocks(request.config, "disk");
    let proposed = all_blocks(stated, "disk");
    // The volumes of a template are called differently.
    let is_template = |value: &Value| flag(value, "template") == Some(true);
    let renamed = !is_template(prior) && is_template(request.proposed);
    let planned: Vec<Value> = proposed
        .iter()
        .zip(configured)
        .map(|(proposed, config)| {
            let interface = text(proposed, "interface");
            let old = interface
                .and_then(|interface| before.iter().find(|disk| text(disk, "interface") == Some(interface)));
            plan_disk(proposed, config, old, renamed)
        })
        .collect();
    let reordered =
        planned.len() == before.len() && planned.iter().all(|disk| before.iter().any(|old| same(old, disk)));
    if reordered { before.to_vec() } else { planned }
}

/// What an imported disk was made from cannot be read: it has an empty text, where a disk made from no image has null.
fn is_untold(origin: &Value) -> bool {
    origin.as_str() == Some("")
}

fn plan_disk(proposed: &Value, config: &Value, old: Option<&Value>, renamed: bool) -> Value {
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
    for name in ["file_id", "import_from"] {
        if let Some(untold) = old.get(name).filter(|origin| is_untold(origin)) {
            disk = with(&disk, name, untold.clone());
        }
    }
    // A disk that is there keeps its volume.
    if !unset("path_in_datastore")
        && let Some(path) = old.get("path_in_datastore")
    {
        disk = with(&disk, "path_in_datastore", path.clone());
    }
    let differs =
        |name: &str| disk.get(name).is_some_and(Value::is_known) && text(old, name) != text(&disk, name);
    let moved = differs("datastore_id") || (!unset("file_format") && differs("file_format"));
    for name in ["file_format", "path_in_datastore"] {
        if unset(name) {
            let keep = old.get(name).cloned().filter(|_| !(moved || renamed && name == "path_in_datastore"));
            disk = match keep {
                Some(keep) => with(&disk, name, keep),
                None => with_unknown(&disk, name),
            };
        }
    }
    if unset("size")
        && let Some(size) = old.get("size")
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
        let mut device = device.clone();
        let before = old.map(|old| &before[old]);
        if let Some(known) = before.and_then(|before| before.get("disconnected"))
            && is_connected(known)
            && device.get("disconnected").is_some_and(is_connected)
        {
            device = with(&device, "disconnected", known.clone());
        }
        if !configured[index].get("mac_address").is_some_and(is_unset) {
            return device;
        }
        match before.and_then(|before| before.get("mac_address")) {
            Some(mac) => with(&device, "mac_address", mac.clone()),
            None => with_unknown(&device, "mac_address"),
        }
    });
    planned.collect()
}

/// Nothing written means the same as `disconnected = false`.
fn is_connected(disconnected: &Value) -> bool {
    disconnected.is_null() || disconnected.as_bool() == Some(false)
}

fn same_device(old: &Value, device: &Value, config: &Value) -> bool {
    device.entries().is_some_and(|entries| {
        entries.iter().all(|(name, value)| {
            let computed = &**name == "mac_address" && config.get(name).is_some_and(is_unset);
            let none = |part: &Value| is_unset(part) || (&**name == "disconnected" && is_connected(part));
            let absent = none(value) && old.get(name).is_some_and(none);
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
    if !request.config.get("boot_order").is_some_and(Value::is_null) {
        return planned;
    }
    if is_half_made(prior, &planned) {
        return with_unknown(&planned, "boot_order");
    }
    // The cluster adds a new CD-ROM drive by itself, and takes out what a new disk takes the place of.
    let media = |value: &Value| encode_cdrom(value).map(|(interface, _)| interface);
    let (known, order) = (device_names(prior), texts(prior, "boot_order"));
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    let displaces = |name: &str| !has(&known, name) && has(&order, name);
    let mut disks = all_blocks(&planned, "disk").iter().filter_map(|disk| text(disk, "interface"));
    if following_boot_order(prior, &planned).is_some()
        || media(prior) != media(&planned)
        || disks.any(displaces)
    {
        return with_unknown(&planned, "boot_order");
    }
    planned
}

/// The marker is still on a VM whose creation broke off. Its boot order has no disks that are imported afterwards.
fn is_half_made(prior: &Value, planned: &Value) -> bool {
    text(prior, "description").is_some_and(|text| text.starts_with(MARKER)) && boots_from_import(planned)
}

#[cfg(test)]
mod tests;
