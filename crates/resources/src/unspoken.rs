//! Options of a guest that none of its values tells: `kvm`, which no attribute has, or the memory of a clone that has no
//! `memory` block. They are recorded as they are read, so that what somebody else changes of them is told.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;
use pve_model::rules::OptionChange;
use serde_json::{Map, Value as Json};

use crate::property::Properties;
use crate::values::{all_blocks, block, is_unset, text};
use crate::vm::is_media;

/// What Proxmox VE writes for itself: marks of a version, a snapshot or a task that is at it, and volumes that are set
/// aside, which are told by themselves. The raw lines of a container are not read with every request.
const OF_THE_CLUSTER: &[&str] = &[
    "digest",
    "lock",
    "lxc",
    "meta",
    "parent",
    "pending",
    "runningcpu",
    "runningmachine",
    "running-nets-host-mtu",
    "snaptime",
    "template",
    "vmgenid",
    "vmstate",
];

/// The options that a block has for its own.
const BLOCKS: &[(&str, &[&str])] = &[
    ("agent", &["agent"]),
    ("amd_sev", &["amd-sev"]),
    ("audio_device", &["audio0"]),
    ("console", &["cmode", "console", "tty"]),
    ("cpu", &["affinity", "arch", "cores", "cpu", "cpulimit", "cpuunits", "numa", "sockets", "vcpus"]),
    ("disk", &["rootfs"]),
    ("efi_disk", &["efidisk0"]),
    ("features", &["features"]),
    (
        "initialization",
        &[
            "cicustom",
            "cipassword",
            "citype",
            "ciupgrade",
            "ciuser",
            "entrypoint",
            "nameserver",
            "searchdomain",
            "sshkeys",
        ],
    ),
    ("memory", &["balloon", "hugepages", "ivshmem", "keephugepages", "memory", "swap"]),
    ("rng", &["rng0"]),
    ("smbios", &["smbios1"]),
    ("startup", &["startup"]),
    ("tpm_state", &["tpmstate0"]),
    ("vga", &["vga"]),
    ("watchdog", &["watchdog"]),
];

/// The options with numbers that a block has for its own.
const NUMBERED: &[(&str, &str)] = &[
    ("device_passthrough", "dev"),
    ("hostpci", "hostpci"),
    ("initialization", "ipconfig"),
    ("network_device", "net"),
    ("network_interface", "net"),
    ("numa", "numa"),
    ("serial_device", "serial"),
    ("usb", "usb"),
    ("virtiofs", "virtiofs"),
];

/// Attributes that are read whether they are configured or not, except those that a clone has from its template.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("acpi", "acpi"),
    ("bios", "bios"),
    ("boot_order", "boot"),
    ("description", "description"),
    ("environment_variables", "env"),
    ("hook_script_file_id", "hookscript"),
    ("hotplug", "hotplug"),
    ("keyboard_layout", "keyboard"),
    ("kvm_arguments", "args"),
    ("machine", "machine"),
    ("name", "name"),
    ("on_boot", "onboot"),
    ("protection", "protection"),
    ("scsi_hardware", "scsihw"),
    ("start_on_boot", "onboot"),
    ("tablet_device", "tablet"),
    ("tags", "tags"),
    ("unprivileged", "unprivileged"),
];

/// Parts of the newer kinds, whose options are told one by one.
const NEWER_PARTS: &[(&str, &[(&str, &str)])] = &[
    (
        "cpu",
        &[
            ("affinity", "affinity"),
            ("architecture", "arch"),
            ("cores", "cores"),
            ("flags", "cpu"),
            ("limit", "cpulimit"),
            ("numa", "numa"),
            ("sockets", "sockets"),
            ("type", "cpu"),
            ("units", "cpuunits"),
            ("vcpus", "vcpus"),
        ],
    ),
    (
        "memory",
        &[
            ("balloon", "balloon"),
            ("hugepages", "hugepages"),
            ("keep_hugepages", "keephugepages"),
            ("shares", "shares"),
            ("size", "memory"),
        ],
    ),
];

/// How the kinds of guests have their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In blocks: what has none is at its default.
    Blocks,
    /// In attributes: whatever is not configured is left alone.
    Attributes,
}

/// The options that a value tells.
struct Spoken {
    names: BTreeSet<String>,
    prefixes: Vec<&'static str>,
    paths: BTreeSet<String>,
    cloud_init: bool,
}

impl Spoken {
    fn by(value: &Value, shape: Shape) -> Spoken {
        let is_newer = shape == Shape::Attributes;
        let mut spoken = if is_newer { by_newer(value) } else { by_blocks(value) };
        let is_clone = is_newer || !all_blocks(value, "clone").is_empty();
        let told = ATTRIBUTES
            .iter()
            .filter(|(attribute, _)| value.get(attribute).is_some_and(|part| !is_clone || !is_unset(part)));
        spoken.names.extend(told.map(|(_, option)| (*option).to_string()));
        spoken
    }

    fn tells(&self, name: &str, option: &str) -> bool {
        let numbered = |prefix: &&str| is_numbered(name, prefix);
        self.names.contains(name)
            || self.prefixes.iter().any(numbered)
            || self.cloud_init && is_cloud_init(name, option)
            || is_numbered(name, "mp")
                && Properties::parse(option).get("mp").is_some_and(|path| self.paths.contains(path))
    }
}

fn by_blocks(value: &Value) -> Spoken {
    let has = |name: &str| !all_blocks(value, name).is_empty();
    let keys = |blocks: &str, key: &str| -> Vec<String> {
        let blocks = all_blocks(value, blocks).iter();
        blocks.filter_map(|block| text(block, key)).map(str::to_string).collect()
    };
    let own = BLOCKS.iter().filter(|(name, _)| has(name)).flat_map(|(_, options)| *options);
    let mut names: BTreeSet<String> = own.map(|option| (*option).to_string()).collect();
    names.extend(keys("disk", "interface"));
    names.extend(block(value, "cdrom").map(|cdrom| text(cdrom, "interface").unwrap_or("ide3").to_string()));
    let initialization = block(value, "initialization");
    if initialization.is_some_and(|part| text(part, "hostname").is_some()) {
        names.insert("hostname".to_string());
    }
    // A type that the template told is not the configuration's.
    let system = block(value, "operating_system").and_then(|system| text(system, "type"));
    if system.is_some_and(|system| system != "unmanaged") {
        names.insert("ostype".to_string());
    }
    Spoken {
        names,
        prefixes: NUMBERED.iter().filter(|(name, _)| has(name)).map(|(_, prefix)| *prefix).collect(),
        paths: keys("mount_point", "path").into_iter().collect(),
        cloud_init: initialization.is_some(),
    }
}

fn by_newer(value: &Value) -> Spoken {
    let entries = |name: &str| value.get(name).and_then(Value::entries).into_iter().flatten();
    let slots = ["cdrom", "disk", "network"].into_iter().flat_map(entries);
    let mut names: BTreeSet<String> = slots.map(|(slot, _)| slot.to_string()).collect();
    for (part, options) in NEWER_PARTS {
        let told = options.iter().filter(|(attribute, _)| {
            entries(part).any(|(name, value)| &**name == *attribute && !is_unset(value))
        });
        names.extend(told.map(|(_, option)| (*option).to_string()));
    }
    for (part, option) in [("rng", "rng0"), ("vga", "vga")] {
        if value.get(part).is_some_and(|part| !is_unset(part)) {
            names.insert(option.to_string());
        }
    }
    Spoken { names, prefixes: Vec::new(), paths: BTreeSet::new(), cloud_init: false }
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_cloud_init(name: &str, option: &str) -> bool {
    let is_drive = ["ide", "sata", "scsi", "virtio"].iter().any(|bus| is_numbered(name, bus));
    is_drive && Properties::parse(option).first_or("file").is_some_and(|file| file.contains("cloudinit"))
}

/// The options that neither `value` nor one of the slots that are told as extras has.
pub(crate) fn unspoken(
    config: &Map<String, Json>,
    value: &Value,
    shape: Shape,
    told: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let spoken = Spoken::by(value, shape);
    let mut options = own_options(config);
    options.retain(|name, option| !told.contains(name) && !spoken.tells(name, option));
    options
}

/// All options of a guest but those that Proxmox VE writes for itself.
pub(crate) fn own_options(config: &Map<String, Json>) -> BTreeMap<String, String> {
    let options = config.iter().filter_map(|(name, option)| match option {
        Json::String(text) => Some((name.clone(), text.clone())),
        Json::Number(_) | Json::Bool(_) => Some((name.clone(), option.to_string())),
        _ => None,
    });
    let is_own = |name: &String| !OF_THE_CLUSTER.contains(&name.as_str()) && !is_numbered(name, "unused");
    options.filter(|(name, _)| is_own(name)).collect()
}

/// What somebody else changed of what neither of the values tells, except the slots that are told as extras.
pub(crate) fn changed_options<'a>(
    changes: &'a [OptionChange],
    values: [&Value; 2],
    shape: Shape,
    told: &BTreeSet<String>,
) -> Vec<&'a OptionChange> {
    let spoken = values.map(|value| Spoken::by(value, shape));
    let is_told = |change: &OptionChange| {
        let mut options = [&change.before, &change.after].into_iter().flatten();
        told.contains(&change.name)
            || options.any(|option| spoken.iter().any(|spoken| spoken.tells(&change.name, option)))
    };
    changes.iter().filter(|change| !is_told(change)).collect()
}

/// Options whose values may be or hold secrets that no configuration knows, so that nothing else hides them.
const NOT_SHOWN: &[&str] = &["args", "cipassword", "description", "env", "sshkeys"];

/// A change of an option, and that nothing is done about it.
pub(crate) fn option_in_words(change: &OptionChange, waits: bool) -> String {
    let name = &change.name;
    let is_hidden = NOT_SHOWN.contains(&name.as_str());
    let shown = |option: &Option<String>, hidden: &str| match option {
        None => "not set".to_string(),
        Some(_) if is_hidden => hidden.to_string(),
        Some(option) => shortened(option),
    };
    let (before, after) = (shown(&change.before, "a value"), shown(&change.after, "another value"));
    let when = if waits { " with the next start" } else { "" };
    format!("{name}: {before} -> {after}{when}, changed outside and not in the configuration; left alone")
}

/// A volume that somebody attached since the guest was recorded, which goes with the guest.
pub(crate) fn new_volume_in_words(change: &OptionChange) -> Option<String> {
    let OptionChange { name, before: None, after: Some(drive) } = change else { return None };
    let has_volume = ["efidisk", "ide", "mp", "sata", "scsi", "tpmstate", "virtio"];
    let is_volume = has_volume.iter().any(|bus| is_numbered(name, bus)) && !is_media(drive);
    is_volume
        .then(|| format!("{name}: {}, not in the configuration; destroyed with the guest", shortened(drive)))
}

/// The longest part of an option that is shown, in characters.
const SHOWN: usize = 60;

fn shortened(option: &str) -> String {
    let line: String = option.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_told_without_its_value() {
        let told = |name: &str, before: Option<&str>, after: Option<&str>| {
            let (before, after) = (before.map(String::from), after.map(String::from));
            option_in_words(&OptionChange { name: name.to_string(), before, after }, false)
        };
        let rest = ", changed outside and not in the configuration; left alone";
        for name in NOT_SHOWN {
            assert_eq!(told(name, None, Some("S3CRET")), format!("{name}: not set -> another value{rest}"));
            assert_eq!(told(name, Some("S3CRET"), None), format!("{name}: a value -> not set{rest}"));
            let both = told(name, Some("S3CRET"), Some("0THER"));
            assert_eq!(both, format!("{name}: a value -> another value{rest}"));
        }
        assert_eq!(told("kvm", None, Some("0")), format!("kvm: not set -> 0{rest}"));
    }
}
