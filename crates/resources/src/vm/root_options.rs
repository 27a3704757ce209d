//! What of a VM only `root@pam` itself may set, and no token of root's either (PVE::API2::Qemu,
//! `check_vm_modify_config_perm`, and what it leaves to the values of drives and devices).

use std::collections::BTreeSet;

use pve_model::{Path, PathStep, Value};

use super::drives::{Volume, encode_disk};
use super::encode::encode_options;
use crate::property::Properties;
use crate::values::{all_blocks, block, text};

/// Options that no privilege is for, with the attributes that they are made of.
const WITHOUT_PRIVILEGE: &[(&str, &[&str])] = &[
    ("affinity", &["cpu", "affinity"]),
    ("amd-sev", &["amd_sev"]),
    ("arch", &["cpu", "architecture"]),
    ("args", &["kvm_arguments"]),
    ("hookscript", &["hook_script_file_id"]),
    ("hugepages", &["memory", "hugepages"]),
    ("ivshmem", &["memory", "shared"]),
    ("keephugepages", &["memory", "keep_hugepages"]),
];

/// The places of a change that only root may make. What is not known yet is not looked at.
pub(crate) fn only_for_root(prior: Option<&Value>, planned: &Value) -> Vec<Path> {
    let before = prior.map(|prior| encode_options(prior, true)).unwrap_or_default().0;
    let after = encode_options(planned, true).0;
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let of_options = changed.filter_map(|name| {
        let values = [before.get(name), after.get(name)].into_iter().flatten();
        is_for_root(name, values).then(|| place(planned, name))?
    });
    let found = of_options.chain(drives_by_path(prior, planned));
    found.filter(|path| planned.at(path).is_none_or(Value::is_wholly_known)).collect()
}

fn is_for_root<'v>(option: &str, mut values: impl Iterator<Item = &'v String>) -> bool {
    let part = |value: &str, key: &str| Properties::parse(value).get(key).map(str::to_lowercase);
    match option.trim_end_matches(|letter: char| letter.is_ascii_digit()) {
        "hostpci" => values.any(|value| part(value, "host").or(part(value, "romfile")).is_some()),
        "usb" => values.any(|value| part(value, "host").is_some_and(|host| host != "spice")),
        "serial" => values.any(|value| value != "socket"),
        _ => WITHOUT_PRIVILEGE.iter().any(|(name, _)| *name == option),
    }
}

/// The attribute that an option is made of, or the block of the device.
fn place(planned: &Value, option: &str) -> Option<Path> {
    if let Some((_, names)) = WITHOUT_PRIVILEGE.iter().find(|(name, _)| *name == option) {
        let (first, rest) = names.split_first()?;
        let block = Path::attribute(*first);
        let inside = |path: Path, name: &&str| path.child(PathStep::Attribute((*name).into()));
        return Some(match rest.is_empty() {
            true => block,
            false => rest.iter().fold(block.child(PathStep::Index(0)), inside),
        });
    }
    let name = match option.trim_end_matches(|letter: char| letter.is_ascii_digit()) {
        "hostpci" => "hostpci",
        "serial" => "serial_device",
        name => return numbered(name, option.strip_prefix(name)?),
    };
    let device = all_blocks(planned, name).iter().position(|device| text(device, "device") == Some(option));
    match device {
        Some(index) => Some(Path::attribute(name).child(PathStep::Index(index as u64))),
        None if name == "hostpci" => Some(Path::attribute(name)),
        None => numbered(name, option.strip_prefix("serial")?),
    }
}

fn numbered(name: &str, number: &str) -> Option<Path> {
    Some(Path::attribute(name).child(PathStep::Index(number.parse().ok()?)))
}

/// Disks and media by a path of the node that are new or sent with other options (PVE::Storage, `check_volume_access`).
fn drives_by_path(prior: Option<&Value>, planned: &Value) -> Vec<Path> {
    let is_path = |value: &Value, name: &str| text(value, name).is_some_and(|path| path.starts_with('/'));
    let old = |disk: &Value| {
        let mut olds = prior.map(|prior| all_blocks(prior, "disk")).unwrap_or_default().iter();
        olds.find(|old| text(old, "interface") == text(disk, "interface"))
    };
    let mut found = Vec::new();
    for (index, disk) in all_blocks(planned, "disk").iter().enumerate() {
        let sent = |disk: &Value| encode_disk(disk, Volume::Existing("/"));
        let own = text(disk, "datastore_id").is_none_or(str::is_empty) && is_path(disk, "path_in_datastore");
        let name = match old(disk) {
            None => ["file_id", "import_from"].into_iter().find(|name| is_path(disk, name)),
            Some(_) => None,
        };
        let is_sent = old(disk).is_none_or(|old| sent(old) != sent(disk));
        let name = name.or((own && is_sent).then_some("path_in_datastore"));
        found.extend(name.map(|name| {
            let path = Path::attribute("disk").child(PathStep::Index(index as u64));
            path.child(PathStep::Attribute(name.into()))
        }));
    }
    let medium =
        |value: &Value| block(value, "cdrom").and_then(|cdrom| text(cdrom, "file_id")).map(String::from);
    let now = medium(planned).filter(|file| file.starts_with('/'));
    if now.is_some() && prior.and_then(medium) != now {
        let path = Path::attribute("cdrom").child(PathStep::Index(0));
        found.push(path.child(PathStep::Attribute("file_id".into())));
    }
    found
}
