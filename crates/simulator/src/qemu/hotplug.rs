//! Which changes of a running machine take effect at once, and which wait as pending
//! (PVE::QemuServer, `$fast_plug_option` and `vmconfig_hotplug_pending`).

use super::drives;
use crate::schema;
use crate::state::Guest;

/// Options that are stored at once, running or not.
fn is_immediate(name: &str) -> bool {
    matches!(
        name,
        "lock"
            | "name"
            | "onboot"
            | "shares"
            | "startup"
            | "description"
            | "protection"
            | "vmstatestorage"
            | "hookscript"
            | "tags"
            | "ciuser"
            | "cipassword"
            | "citype"
            | "ciupgrade"
            | "cicustom"
            | "nameserver"
            | "searchdomain"
            | "sshkeys"
            | "template"
            | "cpulimit"
            | "cpuunits"
            | "migrate_speed"
            | "migrate_downtime"
    ) || name.starts_with("ipconfig")
        || drives::is_unused(name)
}

fn plugs(guest: &Guest, feature: &str) -> bool {
    let enabled = guest.config.get("hotplug").map(String::as_str).unwrap_or("network,disk,usb");
    match enabled {
        "0" => false,
        "1" => matches!(feature, "network" | "disk" | "usb"),
        list => schema::formats::split_list(list).any(|item| item == feature),
    }
}

/// True if setting (or deleting, with `None`) the option takes effect on the running guest.
pub(crate) fn takes_effect(guest: &Guest, name: &str, new: Option<&str>) -> bool {
    if !guest.running || is_immediate(name) {
        return true;
    }
    let stem = schema::indexed(name).map_or(name, |(stem, _)| stem);
    match stem {
        "net" => plugs(guest, "network"),
        "scsi" | "virtio" => plugs(guest, "disk"),
        "ide" | "sata" => {
            // A drive that has no medium in it now can take one; the drive itself cannot be added.
            let old = guest.config.get(name).and_then(|text| drives::parse(name, text));
            let new = new.and_then(|text| drives::parse(name, text));
            matches!((old, new), (Some(old), Some(new)) if drives::is_cdrom(&old) && drives::is_cdrom(&new))
        }
        // The size can change, the device cannot come or go.
        "balloon" => {
            let enabled = |text: Option<&str>| text.is_none_or(|size| size != "0");
            enabled(guest.config.get(name).map(String::as_str)) == enabled(new)
        }
        "tablet" => plugs(guest, "usb"),
        "usb" => plugs(guest, "usb"),
        // Not if processors or memory would begin or cease to be pluggable.
        "hotplug" => {
            let deep = |list: &str| list.contains("cpu") || list.contains("memory");
            !new.is_some_and(deep) && !guest.config.get("hotplug").is_some_and(|old| deep(old))
        }
        "vcpus" => plugs(guest, "cpu"),
        "memory" => plugs(guest, "memory") && guest.config.get("numa").is_some_and(|numa| numa == "1"),
        _ => false,
    }
}
