//! Faults in a VM's configuration that single attributes do not show.

use std::collections::BTreeSet;

use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Value};

use super::drives::{BUS_OPTIONS, DEFAULT_CDROM, has_option};
use crate::definition::{empty_texts, problem, warning};
use crate::limits;
use crate::values::{all_blocks, block, flag, int, is_unset, text};

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = empty_texts(config, &Path::default(), "tags");
    check_disks(config, &mut problems);
    check_memory(config, &mut problems);
    check_network(config, &mut problems);
    check_passed_devices(config, &mut problems);
    problems.extend(crate::definition::split_tags(config));
    let unset = |name: &str| config.get(name).is_none_or(Value::is_known) && block(config, name).is_none();
    if text(config, "bios") == Some("ovmf") && unset("efi_disk") && unset("clone") {
        let detail =
            "without efi_disk the firmware forgets its settings, boot entries among them, at each stop";
        problems.push(warning(Path::attribute("bios"), "No disk for the firmware", detail));
    }
    problems
}

fn in_block(name: &str, index: usize, attribute: &str) -> Path {
    Path::attribute(name)
        .child(PathStep::Index(index as u64))
        .child(PathStep::Attribute(attribute.to_string()))
}

fn check_disks(config: &Value, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, disk) in all_blocks(config, "disk").iter().enumerate() {
        if let Some(interface) = text(disk, "interface")
            && !seen.insert(interface.to_string())
        {
            let detail = format!("two disks have the interface {interface}; give each its own");
            problems.push(problem(in_block("disk", index, "interface"), "Interface used twice", detail));
        }
        problems.extend(options_of_other_buses(index, disk));
        if int(disk, "queues").is_some_and(|queues| queues == 1 || queues < 0) {
            let detail = "queues are 0 (as the cluster has it) or 2 and more";
            problems.push(problem(in_block("disk", index, "queues"), "Too few queues", detail));
        }
        if text(disk, "file_id").is_some() && text(disk, "import_from").is_some() {
            let detail = "a disk is made from one image: set either file_id or import_from";
            problems.push(problem(in_block("disk", index, "import_from"), "Two sources of one disk", detail));
        }
        if let Some(file) = text(disk, "file_id").filter(|file| file.starts_with("/dev/")) {
            let detail =
                format!("{file} is a device; write it as path_in_datastore with datastore_id = \"\"");
            problems.push(problem(in_block("disk", index, "file_id"), "A device is no file", detail));
        }
    }
    problems.extend(taken_interfaces(config, &seen));
}

/// The drives for media that share an interface. Where none is written for cloud-init, its drive may be elsewhere than at
/// the default already: only the plan knows.
fn taken_interfaces(config: &Value, disks: &BTreeSet<String>) -> Vec<Problem> {
    let interface = |name: &str| block(config, name).and_then(|block| block.get("interface"));
    let cdrom = interface("cdrom").filter(|interface| interface.is_known());
    let cdrom = cdrom.map(|interface| interface.as_str().unwrap_or(DEFAULT_CDROM));
    let cloud_init = interface("initialization").and_then(Value::as_str);
    let mut problems = Vec::new();
    for (name, interface) in [("cdrom", cdrom), ("initialization", cloud_init)] {
        let Some(interface) = interface else { continue };
        let has_it = match disks.contains(interface) {
            true => "a disk",
            false if name == "initialization" && cdrom == Some(interface) => "the CD-ROM drive",
            false => continue,
        };
        problems.push(used_twice(name, interface, has_it));
    }
    problems
}

/// The interface of a block is that of another drive.
pub(super) fn used_twice(name: &str, interface: &str, has_it: &str) -> Problem {
    let detail = format!("{interface} is the interface of {has_it} already");
    problem(in_block(name, 0, "interface"), "Interface used twice", detail)
}

/// What is on in a disk and not in the API's schema of its bus. Queues are refused by the reference, too; the others it
/// leaves out.
fn options_of_other_buses(index: usize, disk: &Value) -> impl Iterator<Item = Problem> {
    let interface = text(disk, "interface").unwrap_or_default();
    let is_on =
        |name: &str| flag(disk, name) == Some(true) || int(disk, name).is_some_and(|number| number > 0);
    let foreign = move |(name, _): &(&str, &[&str])| is_on(name) && !has_option(interface, name);
    BUS_OPTIONS.into_iter().filter(foreign).map(move |(name, buses)| {
        let (path, buses) = (in_block("disk", index, name), buses.join(", "));
        if name == "queues" {
            let detail = format!(
                "{interface} cannot have {name}: Proxmox VE has it on {buses} only. Leave it out, or use another interface"
            );
            return problem(path, "Not on this bus", detail);
        }
        let detail = format!("{interface} has no {name}, and it is not sent: Proxmox VE has it on {buses} only");
        warning(path, "Not on this bus", detail)
    })
}

/// Huge pages and NUMA nodes need `cpu.numa` (`qm.conf(5)`). Without a word of it in the configuration that is a fault,
/// as it is to the reference; where it is switched off, what needs it has no effect.
fn check_memory(config: &Value, problems: &mut Vec<Problem>) {
    if !config.get("cpu").is_none_or(Value::is_wholly_known) {
        return;
    }
    let numa = block(config, "cpu").and_then(|cpu| flag(cpu, "numa"));
    if numa == Some(true) {
        return;
    }
    let mut tell = |path: Path, what: &str| {
        problems.push(match numa {
            None => problem(path, "NUMA is not switched on", format!("{what} needs cpu.numa = true")),
            _ => {
                warning(path, "NUMA is switched off", format!("{what} has no effect without cpu.numa = true"))
            }
        });
    };
    for index in 0..all_blocks(config, "numa").len() {
        tell(in_block("numa", index, "device"), "a numa block");
    }
    for (index, memory) in all_blocks(config, "memory").iter().enumerate() {
        for name in ["hugepages", "keep_hugepages"] {
            if memory.get(name).is_some_and(|value| !is_unset(value)) {
                tell(in_block("memory", index, name), &format!("memory.{name}"));
            }
        }
    }
}

fn check_network(config: &Value, problems: &mut Vec<Problem>) {
    for (index, device) in all_blocks(config, "network_device").iter().enumerate() {
        let Some(mac) = text(device, "mac_address") else { continue };
        if let Some(detail) = limits::mac_address(mac) {
            let path = in_block("network_device", index, "mac_address");
            problems.push(problem(path, "Invalid MAC address", detail));
        }
    }
}

/// A device is named by the host's name of it or by a mapping. What PCI devices lack is left to the cluster: VMs
/// whose devices were passed by hand, because a token may not, are managed with `hostpci` ignored.
fn check_passed_devices(config: &Value, problems: &mut Vec<Problem>) {
    for (name, own) in [("hostpci", "id"), ("usb", "host")] {
        let mut seen = BTreeSet::new();
        for (index, device) in all_blocks(config, name).iter().enumerate() {
            let unset = |part: &str| device.get(part).is_some_and(Value::is_null);
            if name != "hostpci" && unset(own) && unset("mapping") {
                let detail = format!("set either {own} or mapping");
                problems.push(problem(in_block(name, index, own), "Which device?", detail));
            }
            if let Some(slot) = text(device, "device")
                && !seen.insert(slot.to_string())
            {
                let detail = format!("{slot} is given twice");
                problems.push(problem(in_block(name, index, "device"), "Device used twice", detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::{Value as Json, json};

    use super::*;

    fn problems(json: Json) -> Vec<String> {
        let ty = crate::definition::Definition::new(crate::vm::fields()).schema.block.implied_type();
        validate(&decode(&json, &ty).unwrap()).iter().map(|problem| problem.path.to_string()).collect()
    }

    #[test]
    fn what_contradicts_itself_is_refused_where_it_stands() {
        let none: Vec<String> = Vec::new();
        let good = json!({"cpu": [{"numa": true}], "numa": [{"device": "numa0"}],
                          "usb": [{"host": "spice"}], "hostpci": [{"device": "hostpci0", "mapping": "gpu"}]});
        assert_eq!(problems(good), none);
        assert_eq!(problems(json!({"bios": "ovmf"})), ["bios"]);
        assert_eq!(problems(json!({"bios": "ovmf", "efi_disk": [{}]})), none);
        assert_eq!(problems(json!({"tags": ["a", "b c", "d;e"]})), ["tags[1]", "tags[2]"]);
        assert_eq!(problems(json!({"numa": [{"device": "numa0"}]})), ["numa[0].device"]);
        assert_eq!(problems(json!({"usb": [{"host": "1234:5678", "mapping": "m"}, {}]})), ["usb[1].host"]);
        let twice = json!({"device": "hostpci0", "id": "0000:01:00"});
        assert_eq!(problems(json!({"hostpci": [twice, twice]})), ["hostpci[1].device"]);
        let disks = json!({"disk": [{"interface": "scsi0"}, {"interface": "scsi0", "file_id": "a:b", "import_from": "c:d"}]});
        assert_eq!(problems(disks), ["disk[1].interface", "disk[1].import_from"]);
        let drives = |cdrom: Json, cloud_init: Json| {
            json!({"disk": [{"interface": "ide2"}, {"interface": "ide3"}], "cdrom": [{"interface": cdrom}],
                   "initialization": [{"interface": cloud_init}]})
        };
        assert_eq!(problems(drives(json!("ide2"), Json::Null)), ["cdrom[0].interface"]);
        assert_eq!(problems(drives(json!("ide0"), json!("ide2"))), ["initialization[0].interface"]);
        assert_eq!(problems(drives(json!("ide0"), json!("ide0"))), ["initialization[0].interface"]);
        assert_eq!(problems(drives(json!("ide0"), Json::Null)), none, "it may be elsewhere");
        assert_eq!(problems(drives(Json::Null, Json::Null)), ["cdrom[0].interface"]);
        let disks =
            json!({"disk": [{"interface": "scsi0", "queues": 1}, {"interface": "scsi1", "queues": 2}]});
        assert_eq!(problems(disks), ["disk[0].queues"]);
        let disks = json!({"disk": [{"interface": "virtio0", "ssd": true, "iothread": true},
                                    {"interface": "scsi0", "ssd": false, "queues": 0, "iothread": true}]});
        assert_eq!(problems(disks), ["disk[0].ssd"]);
        for memory in [json!({"hugepages": "2"}), json!({"keep_hugepages": false})] {
            assert_eq!(problems(json!({"memory": [memory.clone()]})).len(), 1, "{memory}");
            assert_eq!(
                problems(json!({"memory": [memory.clone()], "cpu": [{"cores": 2}]})).len(),
                1,
                "{memory}"
            );
            assert_eq!(problems(json!({"memory": [memory], "cpu": [{"numa": true}]})), none);
        }
        assert_eq!(
            problems(json!({"network_device": [{"mac_address": "x"}]})),
            ["network_device[0].mac_address"]
        );
    }
}
