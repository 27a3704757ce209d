//! A VM's devices as the API returns them.

use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use super::drives::{SPEEDS, has_option};
use super::encode_devices::trunks;
use super::media::is_cdrom;
use crate::guest::Extent;
use crate::observed::Observed;
use crate::property::Properties;
use crate::size::in_gibibytes;
use crate::values::{all_blocks, block, flag, text};

pub(super) fn decode_devices(
    observed: &Observed,
    guide: &Value,
    extent: Extent,
    blocks: &mut Map<String, Json>,
) {
    blocks.insert("disk".into(), decode_disks(observed, guide, extent));
    blocks.insert("network_device".into(), decode_network(observed, guide, extent));
    decode_special_drives(observed, blocks);
    blocks.insert("cdrom".into(), decode_cdrom(observed, guide, extent));
    let serial = observed.numbered("serial");
    let serial = serial.iter().map(|(_, name)| json!({ "device": observed.text(name) }));
    blocks.insert("serial_device".into(), serial.collect());
    let usb = observed.numbered("usb").into_iter().map(|(_, name)| {
        let usb = Properties::parse(&observed.text(&name).unwrap_or_default());
        json!({ "host": usb.first_or("host"), "mapping": usb.get("mapping"), "usb3": usb.flag("usb3") })
    });
    blocks.insert("usb".into(), usb.collect());
    blocks.insert("virtiofs".into(), decode_shares(observed));
    blocks.insert("hostpci".into(), decode_hostpci(observed, guide));
    blocks.insert("numa".into(), decode_numa(observed));
    decode_single_devices(observed, guide, extent, blocks);
}

/// Disks in the order of the guide, each by its interface; those that are gone are left out.
fn decode_disks(observed: &Observed, guide: &Value, extent: Extent) -> Json {
    let mut interfaces: Vec<String> = all_blocks(guide, "disk")
        .iter()
        .filter_map(|disk| text(disk, "interface"))
        .map(str::to_string)
        .collect();
    if extent == Extent::Everything {
        for bus in ["virtio", "scsi", "sata", "ide"] {
            let names = observed.numbered(bus).into_iter().map(|(_, name)| name);
            interfaces.extend(names.filter(|name| !is_media(&observed.text(name).unwrap_or_default())));
        }
    }
    let is_there = |interface: &String| observed.text(interface).is_some_and(|drive| !is_media(&drive));
    if !interfaces.iter().all(is_there) {
        return rest_by_interface(observed, guide, interfaces);
    }
    let disks = interfaces.iter().enumerate().map(|(index, interface)| {
        let drive = observed.text(interface).unwrap_or_default();
        decode_disk(interface, &drive, all_blocks(guide, "disk").get(index))
    });
    disks.collect()
}

/// With a disk missing every value has to be named: blocks are put over those of the guide by place, and places no
/// longer fit.
fn rest_by_interface(observed: &Observed, guide: &Value, interfaces: Vec<String>) -> Json {
    let disks = interfaces.into_iter().filter_map(|interface| {
        let drive = observed.text(&interface).filter(|drive| !is_media(drive))?;
        let old = all_blocks(guide, "disk").iter().find(|disk| text(disk, "interface") == Some(&interface));
        let mut disk = decode_disk(&interface, &drive, old);
        for name in ["file_id", "import_from"] {
            disk[name] = json!(old.map_or(Some(""), |old| old.get(name)?.as_str()));
        }
        Some(disk)
    });
    disks.collect()
}

pub(crate) fn is_media(drive: &str) -> bool {
    let drive = Properties::parse(drive);
    drive.get("media") == Some("cdrom")
        || drive.first_or("file").is_some_and(|file| file.contains("cloudinit"))
}

fn decode_disk(interface: &str, drive: &str, guide: Option<&Value>) -> Json {
    let drive = Properties::parse(drive);
    let volume = drive.first_or("file").unwrap_or_default();
    let (datastore, path) = volume.split_once(':').unwrap_or(("", volume));
    let mut disk = json!({
        "interface": interface,
        "datastore_id": datastore,
        "path_in_datastore": path,
        "file_format": drive.get("format").unwrap_or_else(|| format_of(path)),
        "aio": drive.get("aio").unwrap_or("io_uring"),
        "backup": drive.flag("backup").unwrap_or(true),
        "cache": drive.get("cache").unwrap_or("none"),
        "discard": drive.get("discard").unwrap_or("ignore"),
        "iothread": drive.flag("iothread").unwrap_or(false),
        "queues": number(&drive, "queues"),
        "replicate": drive.flag("replicate").unwrap_or(true),
        "serial": drive.get("serial"),
        "ssd": drive.flag("ssd").unwrap_or(false),
    });
    if guide.is_none() {
        disk["file_id"] = json!("");
        disk["import_from"] = json!("");
    }
    // What a bus does not have is not sent, and known from the configuration alone.
    for name in ["iothread", "ssd"] {
        if !has_option(interface, name)
            && let Some(configured) = guide.and_then(|guide| flag(guide, name))
        {
            disk[name] = json!(configured);
        }
    }
    if let Some(size) = drive.get("size").and_then(in_gibibytes) {
        disk["size"] = json!(size);
    }
    let limited = SPEEDS.iter().any(|(_, key)| drive.get(key).is_some());
    if limited || guide.is_some_and(|guide| block(guide, "speed").is_some()) {
        let speeds = SPEEDS.iter().map(|(name, key)| ((*name).to_string(), json!(number(&drive, key))));
        disk["speed"] = json!([speeds.collect::<Map<String, Json>>()]);
    }
    disk
}

fn number(properties: &Properties, key: &str) -> i64 {
    properties.get(key).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// File-based storage shows the format in the name; everything else is raw.
pub(super) fn format_of(path: &str) -> &'static str {
    ["qcow2", "vmdk"].into_iter().find(|format| path.ends_with(&format!(".{format}"))).unwrap_or("raw")
}

fn decode_network(observed: &Observed, guide: &Value, extent: Extent) -> Json {
    let known = all_blocks(guide, "network_device");
    let found = observed.numbered("net");
    let last = found.last().map_or(0, |(index, _)| *index as usize + 1);
    let count = match extent {
        // Whoever configures none leaves them to others.
        Extent::Guided if known.is_empty() => 0,
        Extent::Guided => last.max(known.len()),
        Extent::Everything => last,
    };
    let mut devices = Vec::new();
    for index in 0..count {
        let device = observed.text(&format!("net{index}"));
        if let Some(device) = device {
            let mut read = decode_network_device(&device);
            let written = known.get(index).and_then(|device| text(device, "trunks"));
            if let Some(written) = written.filter(|written| read["trunks"] == trunks(written)) {
                read["trunks"] = json!(written);
            }
            devices.push(read);
        } else if known.get(index).is_some_and(|device| flag(device, "enabled") == Some(false)) {
            devices.push(json!({}));
        }
    }
    Json::Array(devices)
}

fn decode_network_device(device: &str) -> Json {
    let device = Properties::parse(device);
    let mac = device.pairs().iter().find(|(_, value)| value.split(':').count() == 6);
    let model = mac.map(|(model, _)| model.as_str()).or_else(|| device.first_or("model")).unwrap_or("virtio");
    let rate = device.get("rate").and_then(|rate| rate.parse::<f64>().ok()).unwrap_or(0.0);
    let mut read = json!({
        "model": model,
        "bridge": device.get("bridge"),
        "firewall": device.flag("firewall").unwrap_or(false),
        "mac_address": mac.map(|(_, mac)| mac),
        "mtu": number(&device, "mtu"),
        "queues": number(&device, "queues"),
        "rate_limit": rate,
        "trunks": device.get("trunks"),
        "vlan_id": number(&device, "tag"),
    });
    if let Some(down) = device.flag("link_down") {
        read["disconnected"] = json!(down);
    }
    read
}

fn decode_special_drives(observed: &Observed, blocks: &mut Map<String, Json>) {
    let volume = |name: &str| {
        let drive = Properties::parse(&observed.text(name)?);
        let datastore = drive.first_or("file")?.split_once(':')?.0.to_string();
        Some((drive, datastore))
    };
    let efi = volume("efidisk0").map(|(drive, datastore)| {
        let path = drive.first_or("file").unwrap_or_default().to_string();
        json!({
            "datastore_id": datastore,
            "file_format": drive.get("format").unwrap_or_else(|| format_of(&path)),
            "type": drive.get("efitype").unwrap_or("2m"),
            "pre_enrolled_keys": drive.flag("pre-enrolled-keys").unwrap_or(false),
        })
    });
    blocks.insert("efi_disk".into(), efi.into_iter().collect());
    let tpm = volume("tpmstate0").map(|(drive, datastore)| {
        json!({ "datastore_id": datastore, "version": drive.get("version").unwrap_or("v1.2") })
    });
    blocks.insert("tpm_state".into(), tpm.into_iter().collect());
}

/// The CD-ROM drive of the guide, else the first that there is. Where none is configured only the one where a block would
/// have it is taken for that.
fn decode_cdrom(observed: &Observed, guide: &Value, extent: Extent) -> Json {
    let known = block(guide, "cdrom").map(|cdrom| text(cdrom, "interface").unwrap_or("ide3").to_string());
    let is_usual = |name: &String| {
        let is_looked_at = extent == Extent::Everything || name == "ide3";
        is_looked_at && observed.text(name).is_some_and(|drive| is_cdrom(&drive))
    };
    let drives = ["ide", "sata", "scsi"].into_iter().flat_map(|bus| observed.numbered(bus));
    let found = known.or_else(|| drives.map(|(_, name)| name).find(is_usual));
    let cdrom = found.and_then(|interface| {
        // A disk that has taken its place is none.
        let drive = Properties::parse(&observed.text(&interface).filter(|drive| is_cdrom(drive))?);
        let file = drive.first_or("file").unwrap_or_default().to_string();
        let configured = block(guide, "cdrom").and_then(|cdrom| text(cdrom, "file_id"));
        let file = if configured.is_none() && file == "cdrom" { Json::Null } else { json!(file) };
        Some(json!({ "interface": interface, "file_id": file }))
    });
    cdrom.into_iter().collect()
}

fn decode_shares(observed: &Observed) -> Json {
    let shares = observed.numbered("virtiofs").into_iter().map(|(_, name)| {
        let share = Properties::parse(&observed.text(&name).unwrap_or_default());
        json!({
            "mapping": share.first_or("dirid"),
            "cache": share.get("cache").unwrap_or("auto"),
            "direct_io": share.flag("direct-io").unwrap_or(false),
            "expose_acl": share.flag("expose-acl").unwrap_or(false),
            "expose_xattr": share.flag("expose-xattr").unwrap_or(false),
        })
    });
    shares.collect()
}

/// Named by the configuration, so in its order.
fn decode_hostpci(observed: &Observed, guide: &Value) -> Json {
    let mut names: Vec<String> =
        all_blocks(guide, "hostpci").iter().filter_map(|d| text(d, "device")).map(str::to_string).collect();
    if names.is_empty() {
        names = observed.numbered("hostpci").into_iter().map(|(_, name)| name).collect();
    }
    let devices = names.into_iter().filter_map(|name| {
        let device = Properties::parse(&observed.text(&name)?);
        Some(json!({
            "device": name,
            "id": device.first_or("host"),
            "mapping": device.get("mapping"),
            "mdev": device.get("mdev"),
            "pcie": device.flag("pcie"),
            "rombar": device.flag("rombar"),
            "rom_file": device.get("romfile"),
            "xvga": device.flag("x-vga"),
        }))
    });
    devices.collect()
}

fn decode_numa(observed: &Observed) -> Json {
    let nodes = observed.numbered("numa").into_iter().map(|(_, name)| {
        let node = Properties::parse(&observed.text(&name).unwrap_or_default());
        json!({
            "device": name,
            "cpus": node.get("cpus"),
            "hostnodes": node.get("hostnodes"),
            "memory": number(&node, "memory"),
            "policy": node.get("policy").unwrap_or("preferred"),
        })
    });
    nodes.collect()
}

fn decode_single_devices(observed: &Observed, guide: &Value, extent: Extent, blocks: &mut Map<String, Json>) {
    let parsed = |name: &str| observed.written(name).map(|text| Properties::parse(&text));
    let audio = parsed("audio0").map(|audio| {
        json!({ "device": audio.first_or("device"), "driver": audio.get("driver").unwrap_or("spice"), "enabled": true })
    });
    let disabled = |name: &str| block(guide, name).and_then(|block| flag(block, "enabled")) == Some(false);
    if audio.is_some() || !disabled("audio_device") {
        blocks.insert("audio_device".into(), audio.into_iter().collect());
    }
    let rng = parsed("rng0").map(|rng| {
        // What Proxmox VE takes where nothing is said (`qm.conf(5)`, `rng0`): bytes in milliseconds.
        let number =
            |key: &str, usual| rng.get(key).and_then(|text| text.parse::<i64>().ok()).unwrap_or(usual);
        let limits = (number("max_bytes", 1024), number("period", 1000));
        json!({ "source": rng.first_or("source"), "max_bytes": limits.0, "period": limits.1 })
    });
    blocks.insert("rng".into(), rng.into_iter().collect());
    let watchdog = parsed("watchdog").map(|watchdog| {
        json!({
            "enabled": true,
            "model": watchdog.first_or("model").unwrap_or("i6300esb"),
            "action": watchdog.get("action").unwrap_or("none"),
        })
    });
    if watchdog.is_some() || !disabled("watchdog") {
        blocks.insert("watchdog".into(), watchdog.into_iter().collect());
    }
    decode_smbios(observed, guide, extent, blocks);
    decode_sev(observed, blocks);
}

/// Every VM has an smbios1 with a UUID; only one that the configuration mentions is shown.
fn decode_smbios(observed: &Observed, guide: &Value, extent: Extent, blocks: &mut Map<String, Json>) {
    let smbios = Properties::parse(&observed.written("smbios1").unwrap_or_default());
    if extent == Extent::Everything
        || block(guide, "smbios").is_some()
        || smbios.pairs().iter().any(|(key, _)| key != "uuid" && key != "base64")
    {
        let encoded = smbios.flag("base64") == Some(true);
        let text = |key: &str| {
            let text = smbios.get(key)?;
            if encoded { crate::base64::decode(text) } else { Some(text.to_string()) }
        };
        let mut read = json!({ "uuid": smbios.get("uuid") });
        for key in ["family", "manufacturer", "product", "serial", "sku", "version"] {
            read[key] = json!(text(key));
        }
        blocks.insert("smbios".into(), json!([read]));
    }
}

fn decode_sev(observed: &Observed, blocks: &mut Map<String, Json>) {
    let sev = observed.written("amd-sev").map(|text| Properties::parse(&text)).map(|sev| {
        json!({
            "type": sev.first_or("type").unwrap_or("std"),
            "allow_smt": sev.flag("allow-smt").unwrap_or(true),
            "kernel_hashes": sev.flag("kernel-hashes").unwrap_or(false),
            "no_debug": sev.flag("no-debug").unwrap_or(false),
            "no_key_sharing": sev.flag("no-key-sharing").unwrap_or(false),
        })
    });
    blocks.insert("amd_sev".into(), sev.into_iter().collect());
}
