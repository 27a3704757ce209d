//! Which changes of a running machine take effect at once, which wait as pending, and which fail
//! (PVE::QemuServer, `$fast_plug_option`, `vmconfig_hotplug_pending`, `vmconfig_update_net` and `vmconfig_update_disk`).

use super::drives;
use crate::nodes;
use crate::request::Request;
use crate::schema;
use crate::schema::property_string::{self, Values};
use crate::state::Guest;

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plug {
    /// It takes effect.
    Now,
    /// It waits for the next stop or start.
    Waits,
    /// It was tried in vain and waits; the text is told.
    Fails(String),
}

/// Options that are stored at once, running or not.
fn is_immediate(name: &str) -> bool {
    matches!(
        name,
        "lock"
            | "name"
            | "onboot"
            | "shares"
            | "vmstate"
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

/// Drive options that QEMU cannot change under a running guest.
const FIXED_DRIVE_OPTIONS: [&str; 9] =
    ["aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro"];

fn plugs(guest: &Guest, feature: &str) -> bool {
    let enabled = guest.config.get("hotplug").map(String::as_str).unwrap_or("network,disk,usb");
    match enabled {
        "0" => false,
        "1" => matches!(feature, "network" | "disk" | "usb"),
        list => schema::formats::split_list(list).any(|item| item == feature),
    }
}

fn now_if(condition: bool) -> Plug {
    if condition { Plug::Now } else { Plug::Waits }
}

/// What setting (or deleting, with `None`) the option does to the guest.
pub(crate) fn plug(request: &Request<'_>, guest: &Guest, name: &str, new: Option<&str>) -> Plug {
    if !guest.running || is_immediate(name) {
        return Plug::Now;
    }
    let stem = schema::indexed(name).map_or(name, |(stem, _)| stem);
    let old = guest.config.get(name).map(String::as_str);
    match stem {
        "net" => card(request, guest, name, old, new),
        "scsi" | "virtio" | "ide" | "sata" => match new {
            Some(new) => drive(request, guest, name, new),
            None => now_if(plugs(guest, "disk") && matches!(stem, "scsi" | "virtio"))
                .unless(|| unplug(request, guest, name)),
        },
        // The size can change, the device cannot come or go.
        "balloon" => {
            let enabled = |text: Option<&str>| text.is_none_or(|size| size != "0");
            now_if(enabled(old) == enabled(new))
        }
        "tablet" => now_if(plugs(guest, "usb")),
        "usb" => now_if(plugs(guest, "usb") && knows_usb(guest)),
        // Not if processors or memory would begin or cease to be pluggable.
        "hotplug" => {
            let deep = |list: &str| list.contains("cpu") || list.contains("memory");
            now_if(!new.is_some_and(deep) && !old.is_some_and(deep))
        }
        "vcpus" => now_if(plugs(guest, "cpu")),
        "memory" => {
            now_if(plugs(guest, "memory") && guest.config.get("numa").is_some_and(|numa| numa == "1"))
        }
        "agent" => now_if(same_agent(old, new)),
        _ => Plug::Waits,
    }
}

impl Plug {
    /// What takes effect may still fail.
    fn unless(self, failure: impl FnOnce() -> Option<String>) -> Plug {
        match self {
            Plug::Now => failure().map_or(Plug::Now, Plug::Fails),
            other => other,
        }
    }
}

/// Systems whose drivers let USB devices come and go.
fn knows_usb(guest: &Guest) -> bool {
    guest.config.get("ostype").is_some_and(|kind| matches!(kind.as_str(), "l26" | "win8" | "win10" | "win11"))
}

/// Only trimming is no matter of the running guest.
fn same_agent(old: Option<&str>, new: Option<&str>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    let values = |text: &str| {
        let keys = schema::lookup(schema::virtual_machine(), "agent").and_then(schema::format_keys)?;
        let mut values = property_string::parse(keys, text).ok()?;
        values.remove("fstrim_cloned_disks");
        Some(values)
    };
    values(old) == values(new)
}

/// Why a device does not go, if it does not.
fn unplug(request: &Request<'_>, guest: &Guest, name: &str) -> Option<String> {
    let order = guest.config.get("boot").and_then(|boot| boot.strip_prefix("order="));
    if drives::is_drive(name) && order.is_some_and(|order| order.split(';').any(|device| device == name)) {
        return Some(format!("can't unplug bootdisk '{name}'\n"));
    }
    if name.starts_with("ide") || name.starts_with("sata") {
        return Some(format!("can't unplug device '{name}'\n"));
    }
    (!request.options.guests_obey)
        .then(|| format!("error on hot-unplugging device '{name}' - still busy in guest?\n"))
}

fn card(request: &Request<'_>, guest: &Guest, name: &str, old: Option<&str>, new: Option<&str>) -> Plug {
    let pluggable = now_if(plugs(guest, "network"));
    let Some(new) = new.and_then(|text| card_values(name, text)) else {
        return pluggable.unless(|| unplug(request, guest, name));
    };
    let bridge = |values: &Values| values.get("bridge").cloned();
    let absent = bridge(&new).filter(|bridge| !nodes::has_bridge(request, bridge));
    let added = || {
        absent.clone().map(|_| {
            format!(
                "VM {} qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512\n",
                request.vmid()
            )
        })
    };
    let Some(old) = old.and_then(|text| card_values(name, text)) else { return pluggable.unless(added) };
    let differs = |keys: &[&str]| keys.iter().any(|key| old.get(*key) != new.get(*key));
    if differs(&["model", "macaddr", "queues", "mtu"]) || bridge(&old).is_none() || bridge(&new).is_none() {
        return pluggable.unless(|| unplug(request, guest, name)).unless(added);
    }
    if differs(&["bridge", "tag", "trunks", "firewall"])
        && let Some(bridge) = absent
    {
        return Plug::Fails(format!("bridge '{bridge}' is neither a linux nor an OVS bridge!\n"));
    }
    Plug::Now
}

fn card_values(name: &str, text: &str) -> Option<Values> {
    let keys = schema::lookup(schema::virtual_machine(), name).and_then(schema::format_keys)?;
    property_string::parse(keys, text).ok()
}

fn drive(request: &Request<'_>, guest: &Guest, name: &str, new: &str) -> Plug {
    let parsed = |text: &str| drives::parse(name, text);
    let old = guest.config.get(name).and_then(|text| parsed(text));
    let Some(new) = parsed(new) else { return Plug::Waits };
    let fixed = name.starts_with("ide") || name.starts_with("sata");
    let Some(old) = old else { return now_if(plugs(guest, "disk") && !fixed) };
    if drives::is_cdrom(&old) != drives::is_cdrom(&new) {
        return Plug::Fails("unable to change media type\n".to_owned());
    }
    if drives::is_cdrom(&old) {
        return Plug::Now;
    }
    if old.get("file") != new.get("file") {
        return now_if(plugs(guest, "disk")).unless(|| unplug(request, guest, name));
    }
    now_if(FIXED_DRIVE_OPTIONS.iter().all(|key| old.get(*key) == new.get(*key)))
}
