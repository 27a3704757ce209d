//! A VM's configuration as the API returns it, as values of the schema.

use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use super::cloning::without_unasked;
use super::decode_devices::decode_devices;
use super::drives::{DEFAULT_CLOUD_INIT, is_inherited};
use crate::guest::{Extent, decode_ip_config, decode_startup, is_put_by_a_run, key_lines};
use crate::observed::{Observed, in_words_of, overlay};
use crate::property::Properties;
use crate::set_outside::taken_in;
use crate::values::{all_blocks, block, flag, is_unset, settle_tags, text, texts, with};

/// Blocks that are looked at where the configuration has none. Volumes and network devices are told by themselves, and for
/// the sake of `amd_sev` no VM is made anew.
const LOOKED_AT: &[&str] = &[
    "agent",
    "audio_device",
    "cdrom",
    "cpu",
    "hostpci",
    "initialization",
    "memory",
    "numa",
    "operating_system",
    "rng",
    "serial_device",
    "smbios",
    "startup",
    "usb",
    "vga",
    "virtiofs",
    "watchdog",
];

/// The values of a VM. `guide` has what cannot be read, and decides which blocks are looked at.
pub(crate) fn decode_vm(schema: &Block, observed: &Observed, guide: &Value, extent: Extent) -> Value {
    let mut read = decode_scalars(observed, guide);
    let mut blocks = Map::new();
    decode_blocks(observed, guide, &mut blocks);
    decode_devices(observed, guide, extent, &mut blocks);
    read.extend(match extent {
        Extent::Everything => blocks,
        Extent::Guided => taken_in(schema, observed, guide, LOOKED_AT, blocks),
    });
    let value = overlay(schema, guide, read);
    let value = match all_blocks(guide, "clone").is_empty() {
        true => value,
        false => without_unasked(guide, &value),
    };
    let value = match (guide.get("tags"), value.get("tags")) {
        (Some(before), Some(now)) => with(&value, "tags", settle_tags(before, now)),
        _ => value,
    };
    in_words_of(guide, &value)
}

fn decode_scalars(observed: &Observed, guide: &Value) -> Map<String, Json> {
    let mut read = Map::new();
    let cloned = !all_blocks(guide, "clone").is_empty();
    let mut put = |name: &str, json: Json| {
        read.insert(name.to_string(), json);
    };
    for (attribute, option) in [
        ("description", "description"),
        ("hook_script_file_id", "hookscript"),
        ("kvm_arguments", "args"),
        ("machine", "machine"),
        ("name", "name"),
    ] {
        let found = observed.written(option);
        // What a clone has from its template without being asked for is the template's business.
        let inherited = cloned && guide.get(attribute).is_some_and(is_unset);
        let marker = found.as_deref().is_some_and(is_put_by_a_run);
        if marker || !inherited {
            let known = guide.get(attribute).and_then(Value::as_str);
            let pinned = attribute == "machine" && is_pinned(known, found.as_deref());
            put(attribute, if pinned { json!(known) } else { json!(found) });
        }
    }
    if !(cloned && guide.get("tags").is_some_and(is_unset)) {
        put("tags", observed.tags());
    }
    let word = |option: &str, default: &str| json!(observed.written(option).unwrap_or(default.to_string()));
    put("bios", word("bios", "seabios"));
    put("keyboard_layout", word("keyboard", "en-us"));
    put("scsi_hardware", word("scsihw", "lsi"));
    put("hotplug", word("hotplug", text(guide, "hotplug").unwrap_or("network,disk,usb")));
    put("acpi", json!(observed.flag("acpi").unwrap_or(true)));
    put("on_boot", json!(observed.flag("onboot").unwrap_or(false)));
    put("protection", json!(observed.flag("protection").unwrap_or(false)));
    put("tablet_device", json!(observed.flag("tablet").unwrap_or(true)));
    put("template", json!(observed.flag("template").unwrap_or(false)));
    let order = observed.written("boot").map(|boot| Properties::parse(&boot));
    let order = order.as_ref().and_then(|boot| boot.get("order")).unwrap_or_default();
    put("boot_order", order.split(';').filter(|name| !name.is_empty()).map(|name| json!(name)).collect());
    put("node_name", json!(observed.node));
    put("vm_id", json!(observed.vmid));
    put("id", json!(observed.vmid.to_string()));
    if let Some(running) = observed.running.filter(|_| observed.flag("template") != Some(true)) {
        put("started", json!(running));
    }
    put("pool_id", json!(observed.pool));
    for name in ["ipv4_addresses", "ipv6_addresses", "network_interface_names"] {
        if guide.get(name).is_none_or(|value| value.is_null() || !value.is_known()) {
            put(name, json!([]));
        }
    }
    put("mac_addresses", mac_addresses(observed, guide));
    read
}

/// Whether a machine is a version of the one that is wanted: Proxmox VE pins the version for Windows, and every version is
/// of the type that was asked for (`PVE::QemuServer::Machine`).
pub(super) fn is_pinned(wanted: Option<&str>, found: Option<&str>) -> bool {
    let (wanted, options) = split_machine(wanted.unwrap_or_default());
    let (found, found_options) = split_machine(found.unwrap_or_default());
    let family = match wanted {
        "q35" => "pc-q35-",
        "" | "pc" => "pc-i440fx-",
        _ => return false,
    };
    found.starts_with(family) && options == found_options
}

/// The type of a machine and its options.
fn split_machine(machine: &str) -> (&str, &str) {
    let (kind, options) = machine.split_once(',').unwrap_or((machine, ""));
    (kind.strip_prefix("type=").unwrap_or(kind), options)
}

/// The addresses that were read from inside of the guest stay as long as all those of the devices are among them.
fn mac_addresses(observed: &Observed, guide: &Value) -> Json {
    let devices: Vec<String> = observed
        .numbered("net")
        .iter()
        .filter_map(|(_, name)| crate::guest::device_mac(&observed.text(name)?))
        .collect();
    let known = texts(guide, "mac_addresses");
    let covered = devices.iter().all(|mac| known.iter().any(|one| one.eq_ignore_ascii_case(mac)));
    if covered && !devices.is_empty() { json!(known) } else { json!(devices) }
}

fn decode_blocks(observed: &Observed, guide: &Value, blocks: &mut Map<String, Json>) {
    let cpu = Properties::parse(&observed.written("cpu").unwrap_or_default());
    let flags = cpu.get("flags").map(|flags| flags.split(';').map(str::to_string).collect::<Vec<_>>());
    let cpu_read = json!([{
        "cores": observed.int("cores").unwrap_or(1),
        "sockets": observed.int("sockets").unwrap_or(1),
        "limit": observed.float("cpulimit").unwrap_or(0.0),
        "units": observed.int("cpuunits"),
        "numa": observed.flag("numa").unwrap_or(false),
        "hotplugged": observed.int("vcpus").unwrap_or(0),
        "affinity": observed.written("affinity"),
        "architecture": observed.written("arch"),
        "type": cpu.first_or("cputype").unwrap_or("kvm64"),
        "flags": flags,
    }]);
    blocks.insert("cpu".into(), cpu_read);
    let dedicated = observed
        .text("memory")
        .map(|memory| Properties::parse(&memory))
        .and_then(|memory| memory.first_or("current").and_then(|text| text.parse::<i64>().ok()))
        .unwrap_or(512);
    let shared = Properties::parse(&observed.written("ivshmem").unwrap_or_default());
    let memory = json!([{
        "dedicated": dedicated,
        "floating": observed.int("balloon").unwrap_or(dedicated),
        "hugepages": observed.written("hugepages"),
        "keep_hugepages": observed.flag("keephugepages").unwrap_or(false),
        "shared": shared.get("size").and_then(|size| size.parse::<i64>().ok()).unwrap_or(0),
    }]);
    blocks.insert("memory".into(), memory);
    let system = observed.written("ostype").unwrap_or("other".into());
    blocks.insert("operating_system".into(), json!([{ "type": system }]));
    decode_agent_and_startup(observed, guide, blocks);
    decode_initialization(observed, guide, blocks);
}

fn decode_agent_and_startup(observed: &Observed, guide: &Value, blocks: &mut Map<String, Json>) {
    let agent = Properties::parse(&observed.written("agent").unwrap_or_default());
    let agent_read = json!([{
        "enabled": agent.first_or("enabled").is_some_and(crate::property::is_true),
        "trim": agent.flag("fstrim_cloned_disks").unwrap_or(false),
        "type": agent.get("type").unwrap_or("virtio"),
    }]);
    blocks.insert("agent".into(), if agent.is_empty() { json!([{"enabled": false}]) } else { agent_read });
    blocks.insert("startup".into(), decode_startup(observed, guide));
    let vga = Properties::parse(&observed.written("vga").unwrap_or_default());
    let read = json!([{
        "type": vga.first_or("type").unwrap_or("std"),
        "memory": vga.get("memory").and_then(|memory| memory.parse::<i64>().ok()).unwrap_or(16),
        "clipboard": vga.get("clipboard"),
    }]);
    blocks.insert("vga".into(), read);
}

fn decode_initialization(observed: &Observed, guide: &Value, blocks: &mut Map<String, Json>) {
    let drive = observed.config.keys().find_map(|name| {
        let drive = Properties::parse(&observed.text(name)?);
        let volume = drive.first_or("file")?;
        let (datastore, path) = volume.split_once(':')?;
        // Where neither tells, as on block storage, there is none, as the reference has it.
        let ending = path.rsplit_once('.').map(|(_, ending)| ending);
        let format = drive.get("format").or(ending).map(str::to_string);
        (path.contains("cloudinit") && is_drive(name)).then(|| (name.clone(), datastore.to_string(), format))
    });
    let Some((interface, datastore, format)) = drive else {
        blocks.insert("initialization".into(), json!([]));
        return;
    };
    let is_inherited = is_inherited(guide);
    let guide = block(guide, "initialization");
    let format = format.or_else(|| text(guide?, "file_format").map(str::to_string));
    let part = |name: &str| guide.and_then(|guide| block(guide, name));
    let custom = Properties::parse(&observed.written("cicustom").unwrap_or_default());
    let mut read = Map::new();
    read.insert("datastore_id".into(), json!(datastore));
    read.insert("file_format".into(), json!(format));
    // The default interface is not written down where the configuration does not, nor is that of a template in its clone.
    let is_default = interface == DEFAULT_CLOUD_INIT || is_inherited;
    let shown = guide.and_then(|guide| text(guide, "interface")).is_some() || !is_default;
    read.insert("interface".into(), if shown { json!(interface) } else { Json::Null });
    read.insert("type".into(), json!(observed.written("citype")));
    read.insert("upgrade".into(), json!(observed.flag("ciupgrade").unwrap_or(true)));
    for (attribute, key) in [
        ("meta_data_file_id", "meta"),
        ("network_data_file_id", "network"),
        ("user_data_file_id", "user"),
        ("vendor_data_file_id", "vendor"),
    ] {
        read.insert(attribute.into(), json!(custom.get(key)));
    }
    let servers = observed.written("nameserver");
    let domain = observed.written("searchdomain");
    if part("dns").is_some() || servers.is_some() || domain.is_some() {
        let servers = servers.map(|text| text.split_whitespace().map(str::to_string).collect::<Vec<_>>());
        read.insert("dns".into(), json!([{ "servers": servers, "domain": domain }]));
    }
    read.insert("ip_config".into(), decode_ip_configs(observed, guide));
    if let Some(account) = decode_account(observed, part("user_account")) {
        read.insert("user_account".into(), account);
    }
    blocks.insert("initialization".into(), json!([read]));
}

fn is_drive(name: &str) -> bool {
    ["ide", "sata", "scsi", "virtio"]
        .iter()
        .any(|bus| name.strip_prefix(bus).is_some_and(|number| number.parse::<u8>().is_ok()))
}

fn decode_ip_configs(observed: &Observed, guide: Option<&Value>) -> Json {
    let known = guide.map(|guide| all_blocks(guide, "ip_config").len()).unwrap_or(0);
    let found = observed.numbered("ipconfig");
    let found = found.iter().filter(|(_, name)| observed.written(name).is_some());
    let count = found.map(|(index, _)| *index as usize + 1).max().unwrap_or(0).max(known);
    let configs = (0..count).map(|index| {
        let config = Properties::parse(&observed.written(&format!("ipconfig{index}")).unwrap_or_default());
        let guide = guide.and_then(|guide| all_blocks(guide, "ip_config").get(index));
        decode_ip_config(&config, guide)
    });
    configs.collect()
}

/// A password is never read back: the one of the guide stays as long as there is any.
fn decode_account(observed: &Observed, guide: Option<&Value>) -> Option<Json> {
    let (user, password) = (observed.written("ciuser"), observed.written("cipassword"));
    let keys: Option<Vec<String>> = observed.written("sshkeys").map(|keys| {
        percent_decode(&keys)
            .lines()
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(str::to_string)
            .collect()
    });
    if guide.is_none() && user.is_none() && password.is_none() && keys.is_none() {
        return None;
    }
    let mut account = json!({ "username": user, "keys": keys });
    if let Some(guide) = guide {
        let written = texts(guide, "keys");
        if !written.is_empty() && key_lines(&written) == key_lines(&keys.unwrap_or_default()) {
            account["keys"] = json!(written);
        }
    }
    if password.is_none() {
        account["password"] = Json::Null;
    }
    Some(json!([account]))
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Whether the agent is switched on in the values.
pub(crate) fn agent_enabled(value: &Value) -> bool {
    block(value, "agent").and_then(|agent| flag(agent, "enabled")) == Some(true)
}
