//! What a change of a guest's configuration needs beyond the endpoint's own permissions (PVE::API2::Qemu,
//! `check_vm_modify_config_perm` and `check_storage_access`; PVE::LXC, `check_ct_modify_config_perm`).

use crate::failure::Failure;
use crate::request::Request;
use crate::schema;
use crate::state::{GuestKind, Options};
use crate::volumes;

/// The privilege that an option of a machine needs; `None` where its value decides.
fn machine_privileges(stem: &str) -> Option<&'static [&'static str]> {
    Some(match stem {
        "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate" | "unused" | "serial" | "usb"
        | "hostpci" | "cdrom" | "tags" => return None,
        "cores" | "sockets" | "cpu" | "runningcpu" | "cpulimit" | "cpuunits" | "numa" | "smp" | "vcpus" => {
            &["VM.Config.CPU"]
        }
        "memory" | "balloon" | "shares" | "allow-ksm" => &["VM.Config.Memory"],
        "acpi" | "hotplug" | "kvm" | "machine" | "runningmachine" | "scsihw" | "smbios" | "tablet"
        | "vga" | "watchdog" | "audio" | "rng" => &["VM.Config.HWType"],
        "virtiofs" => &["VM.Config.Disk"],
        "boot" | "bootdisk" | "vmstatestorage" => &["VM.Config.Disk"],
        "vmstate" => &["VM.Config.Disk", "VM.PowerMgmt"],
        "freeze" => &["VM.PowerMgmt"],
        "net" | "running-nets-host-mtu" => &["VM.Config.Network"],
        "cicustom" | "cipassword" | "citype" | "ciuser" | "ciupgrade" | "nameserver" | "searchdomain"
        | "sshkeys" | "ipconfig" => &["VM.Config.Cloudinit", "VM.Config.Network"],
        "agent" | "autostart" | "bios" | "description" | "keyboard" | "localtime" | "migrate_downtime"
        | "migrate_speed" | "name" | "onboot" | "ostype" | "protection" | "reboot" | "startdate"
        | "startup" | "tdf" | "template" => &["VM.Config.Options"],
        _ => &[],
    })
}

/// Whether no privilege is for an option of a machine: only root itself may have it.
pub(crate) fn is_for_root(stem: &str) -> bool {
    machine_privileges(stem).is_some_and(<[&str]>::is_empty)
}

fn container_privileges(stem: &str) -> Option<&'static [&'static str]> {
    Some(match stem {
        "tags" | "dev" => return None,
        "rootfs" | "mp" | "unused" => &["VM.Config.Disk"],
        "cores" | "cpu" | "cpulimit" | "cpuunits" => &["VM.Config.CPU"],
        "memory" | "swap" => &["VM.Config.Memory"],
        "net" | "nameserver" | "searchdomain" | "hostname" => &["VM.Config.Network"],
        _ => &["VM.Config.Options"],
    })
}

/// At the guest, or at the pool that a new one goes to.
fn check_guest(request: &Request<'_>, vmid: u32, wanted: &[&str]) -> Result<(), Failure> {
    let in_pool =
        request.get("pool").is_some_and(|pool| request.allows_any(&format!("/pool/{pool}"), wanted));
    if in_pool {
        Ok(())
    } else if let [one] = wanted {
        request.check(&format!("/vms/{vmid}"), &[one])
    } else {
        request.check_any(&format!("/vms/{vmid}"), wanted)
    }
}

/// Refuses options that the caller may not set or delete.
pub(crate) fn check_options<'a>(
    request: &Request<'_>,
    kind: GuestKind,
    vmid: u32,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    for name in names {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        let wanted = match kind {
            GuestKind::Qemu => machine_privileges(stem),
            GuestKind::Lxc => container_privileges(stem),
        };
        if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
            check_guest(request, vmid, wanted)?;
        }
        // Its place among the others is the host's matter.
        if kind == GuestKind::Qemu && stem == "startup" {
            request.check("/", &["Sys.Modify"])?;
        }
    }
    Ok(())
}

/// Refuses drives on storages that the caller may not use, and bridges.
pub(crate) fn check_resources(
    request: &Request<'_>,
    kind: GuestKind,
    vmid: u32,
    set: &Options,
) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    for (name, text) in set {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate" | "rootfs" | "mp" => {
                check_volume(request, kind, vmid, text)?;
            }
            "net" => check_bridge(request, text)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_volume(request: &Request<'_>, kind: GuestKind, vmid: u32, text: &str) -> Result<(), Failure> {
    let first = text.split(',').next().unwrap_or_default();
    let volume = ["file=", "volume="].iter().find_map(|key| first.strip_prefix(key)).unwrap_or(first);
    if volume == "none" {
        return Ok(());
    }
    if kind == GuestKind::Qemu && text.contains("media=cdrom") {
        check_guest(request, vmid, &["VM.Config.CDROM"])?;
        if volume == "cdrom" {
            return request.check("/", &["Sys.Console"]);
        }
    } else {
        check_guest(request, vmid, &["VM.Config.Disk"])?;
    }
    let Some((storage, rest)) = volumes::split(volume) else { return Ok(()) };
    let path = format!("/storage/{storage}");
    if volumes::allocation_size(kind, rest).is_some() || rest == "cloudinit" {
        return request.check(&path, &["Datastore.AllocateSpace"]);
    }
    if matches!(rest.split('/').next(), Some("iso" | "vztmpl" | "import")) {
        let any = ["Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"];
        return request.check_any(&path, &any);
    }
    if volumes::owner(volume) == Some(vmid) { Ok(()) } else { request.check(&path, &["Datastore.Allocate"]) }
}

/// Refuses a network that the caller may not use: a bridge of the node, or a virtual one.
fn check_bridge(request: &Request<'_>, text: &str) -> Result<(), Failure> {
    let value = |key: &str| text.split(',').find_map(|part| part.strip_prefix(key));
    let Some(bridge) = value("bridge=") else { return Ok(()) };
    let path = format!("/sdn/zones/{}/{bridge}", crate::sdn::zone_of(request.state, bridge));
    let tags = value("tag=").into_iter().chain(value("trunks=").into_iter().flat_map(|list| list.split(';')));
    let mut tagged = false;
    for tag in tags {
        tagged = true;
        if !request.allows(&path, "SDN.Use") {
            request.check(&format!("{path}/{tag}"), &["SDN.Use"])?;
        }
    }
    if tagged { Ok(()) } else { request.check(&path, &["SDN.Use"]) }
}

/// Refuses to make a guest where the caller may not.
pub(crate) fn check_create(request: &Request<'_>, vmid: u32) -> Result<(), Failure> {
    let in_pool =
        request.get("pool").is_some_and(|pool| request.allows(&format!("/pool/{pool}"), "VM.Allocate"));
    if in_pool || request.allows(&format!("/vms/{vmid}"), "VM.Allocate") {
        return Ok(());
    }
    Err(super::enforcement::refused())
}
