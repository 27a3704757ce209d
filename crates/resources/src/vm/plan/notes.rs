//! What a change of a VM costs, in words.

use std::collections::BTreeSet;

use pve_model::Value;

use super::is_untold;
use crate::guest::files_of_node;
use crate::values::{all_blocks, block, changed, flag, same, text, texts};
use crate::vm::drives::{cloud_init_interface, encode_cdrom};

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
    "clone",
    "template",
    "cdrom",
    "hotplug",
];

pub(super) fn notes(prior: &Value, planned: &Value) -> Vec<String> {
    let changes = changed(prior, planned);
    let mut notes = Vec::new();
    if changes.contains("node_name") {
        let names = (text(prior, "node_name").unwrap_or("?"), text(planned, "node_name").unwrap_or("?"));
        notes.push(format!("migrates from {} to {}", names.0, names.1));
        notes.extend(files_of_node(prior, planned, names.1));
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
    for (name, what) in [
        ("efi_disk", "the EFI disk and what the firmware has stored"),
        ("tpm_state", "the TPM state and its keys"),
    ] {
        if block(prior, name).is_some() && block(planned, name).is_none() {
            notes.push(format!("destroys {what}"));
        }
    }
    let keys = |value: &Value| block(value, "efi_disk").and_then(|disk| flag(disk, "pre_enrolled_keys"));
    if keys(prior).is_some() && keys(planned).is_some() && keys(prior) != keys(planned) {
        notes.push("makes the EFI disk anew: what the firmware has stored is lost".to_string());
    }
    let running = flag(prior, "started") == Some(true) && flag(planned, "started") == Some(true);
    if running && flag(prior, "template") != Some(true) && flag(planned, "template") == Some(true) {
        notes.push("shuts the VM down: a template does not run".to_string());
    } else if running {
        match stop(prior, planned) {
            Some(why) => notes.push(format!("shuts the VM down and starts it again: {why}")),
            None => notes.extend(reboot(prior, planned, &changes)),
        }
    }
    notes.extend(images_of_another_time(prior, planned));
    if changes.contains("initialization") && block(planned, "initialization").is_some() {
        notes.push("cloud-init sees the new values at the next boot".to_string());
    }
    notes
}

/// Why a VM is shut down before it is changed.
fn stop(prior: &Value, planned: &Value) -> Option<String> {
    let stays =
        |name: &str| all_blocks(planned, "disk").iter().any(|disk| text(disk, "interface") == Some(name));
    let boots = texts(prior, "boot_order");
    let mut disks = all_blocks(prior, "disk").iter().filter_map(|disk| text(disk, "interface"));
    let gone = disks.find(|name| !stays(name) && boots.iter().any(|boot| boot == name));
    let gone = gone.map(|name| format!("it boots from disk {name}, which goes"));
    let place = |value: &Value| Some(text(block(value, "tpm_state")?, "datastore_id")?.to_string());
    let is_moved = place(prior).is_some_and(|old| place(planned).is_some_and(|new| old != new));
    let moved = is_moved.then(|| "the TPM state does not move while it runs".to_string());
    let drive = |value: &Value| block(value, "initialization").map(cloud_init_interface);
    let is_elsewhere = drive(prior).is_some_and(|old| drive(planned).is_some_and(|new| old != new));
    let elsewhere = is_elsewhere.then(|| "its cloud-init drive goes to another interface".to_string());
    let exchanged = exchanged_media(prior, planned);
    let exchanged = exchanged.map(|name| format!("{name} changes between a disk and a drive for media"));
    let reasons: Vec<String> = gone.into_iter().chain(moved).chain(elsewhere).chain(exchanged).collect();
    (!reasons.is_empty()).then(|| reasons.join(", and "))
}

/// An interface where a drive for media takes the place of a disk, or a disk that of one.
fn exchanged_media(prior: &Value, planned: &Value) -> Option<String> {
    let media = |value: &Value| -> Vec<String> {
        let cdrom = encode_cdrom(value).map(|(interface, _)| interface);
        cdrom.into_iter().chain(block(value, "initialization").map(cloud_init_interface)).collect()
    };
    let disk_at = |value: &Value, name: &str| {
        all_blocks(value, "disk").iter().any(|disk| text(disk, "interface") == Some(name))
    };
    let came = media(planned).into_iter().find(|name| disk_at(prior, name));
    came.or_else(|| media(prior).into_iter().find(|name| disk_at(planned, name)))
}

/// What a running VM is rebooted for. Some of what belongs to `cpu` and `memory` is taken while it runs, and all of it where
/// `hotplug` has them; the data of cloud-init is read at the next boot, whenever that is.
fn reboot(prior: &Value, planned: &Value, changes: &BTreeSet<String>) -> Option<String> {
    let drive = |value: &Value| {
        let block = block(value, "initialization")?;
        Some(["interface", "datastore_id", "file_format"].map(|name| block.get(name).cloned()))
    };
    let keys = |value: &Value| block(value, "efi_disk").map(|disk| flag(disk, "pre_enrolled_keys"));
    let is_cold = |name: &&String| match name.as_str() {
        "initialization" => drive(prior) != drive(planned),
        // Elsewhere it is moved, which a running VM takes.
        "efi_disk" => keys(prior) != keys(planned),
        name => !HOT.contains(&name) && !name.starts_with("timeout_"),
    };
    let mut causes: Vec<&str> = changes.iter().filter(is_cold).map(String::as_str).collect();
    if cold_disk_change(prior, planned) {
        causes.push("disk");
    }
    if cold_drives(prior) != cold_drives(planned) {
        causes.push("drives on ide or sata");
    }
    if causes.is_empty() {
        return None;
    }
    if flag(planned, "reboot_after_update") == Some(false) {
        return Some(format!("a reboot is needed before all of it takes effect: {}", causes.join(", ")));
    }
    // A clone may have the cloud-init drive of its template.
    let is_inherited = block(prior, "clone").is_some() && block(prior, "initialization").is_none();
    let is_open =
        |cause: &&str| ["cpu", "memory"].contains(cause) || is_inherited && *cause == "initialization";
    let certain: Vec<&str> = causes.iter().copied().filter(|cause| !is_open(cause)).collect();
    Some(match certain.is_empty() {
        true => format!("reboots the VM if it cannot take {} while it runs", causes.join(" and ")),
        false => format!("reboots the VM: it does not take {} while it runs", certain.join(", ")),
    })
}

/// A disk is made from its image once. Another image later is only recorded.
fn images_of_another_time(prior: &Value, planned: &Value) -> Vec<String> {
    let disks = all_blocks(planned, "disk").iter().filter_map(|disk| {
        let interface = text(disk, "interface")?;
        let old = all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == Some(interface))?;
        let (before, after) = (old.get("import_from")?, disk.get("import_from")?);
        (!is_untold(before) && !same(before, after)).then(|| {
            format!(
                "import_from of {interface} is only recorded: the disk stays as it is (-replace makes the VM anew, with \
                 the new image)"
            )
        })
    });
    disks.collect()
}

/// The drives that can neither come nor go while the VM runs.
fn cold_drives(value: &Value) -> BTreeSet<String> {
    let disks = all_blocks(value, "disk").iter().filter_map(|disk| text(disk, "interface"));
    let cdrom = block(value, "cdrom").map(|cdrom| text(cdrom, "interface").unwrap_or("ide3"));
    let drives = disks.chain(cdrom).filter(|name| name.starts_with("ide") || name.starts_with("sata"));
    drives.map(str::to_string).collect()
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
