//! Faults in a VM's configuration that single attributes do not show.

use std::collections::BTreeSet;

use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Value};

use crate::definition::{problem, warning};
use crate::values::{all_blocks, block, flag, int, text};

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_disks(config, &mut problems);
    check_memory(config, &mut problems);
    check_network(config, &mut problems);
    check_passed_devices(config, &mut problems);
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
        problems.extend(
            options_of_other_buses(disk)
                .map(|(option, detail)| problem(in_block("disk", index, option), "Not on this bus", detail)),
        );
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
    for name in ["cdrom", "initialization"] {
        let interface = block(config, name).and_then(|block| text(block, "interface"));
        if let Some(interface) = interface.filter(|interface| seen.contains(*interface)) {
            let detail = format!("{interface} is the interface of a disk already");
            problems.push(problem(in_block(name, 0, "interface"), "Interface used twice", detail));
        }
    }
}

/// Options of a disk and the buses that have them, by the API's schema of `ide0`, `sata0`, `scsi0` and `virtio0`.
const BUS_OPTIONS: [(&str, &[&str]); 3] =
    [("iothread", &["scsi", "virtio"]), ("queues", &["scsi"]), ("ssd", &["ide", "sata", "scsi"])];

/// What is on in a disk and not in the API's schema of its bus: it refuses the whole VM.
fn options_of_other_buses(disk: &Value) -> impl Iterator<Item = (&'static str, String)> {
    let interface = text(disk, "interface").unwrap_or_default();
    let bus = interface.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let is_on = |name| flag(disk, name) == Some(true) || int(disk, name).is_some_and(|number| number > 0);
    BUS_OPTIONS.into_iter().filter(move |(name, buses)| !bus.is_empty() && is_on(name) && !buses.contains(&bus)).map(
        move |(name, buses)| {
            let detail = format!(
                "{interface} cannot have {name}: Proxmox VE has it on {} only. Leave it out, or use another interface",
                buses.join(", ")
            );
            (name, detail)
        },
    )
}

/// Huge pages need NUMA (`qm.conf(5)`).
fn check_memory(config: &Value, problems: &mut Vec<Problem>) {
    let huge = block(config, "memory").and_then(|memory| text(memory, "hugepages"));
    let numa = block(config, "cpu").and_then(|cpu| flag(cpu, "numa")) == Some(true);
    let known = block(config, "cpu").is_none_or(Value::is_wholly_known);
    if !all_blocks(config, "numa").is_empty() && !numa && known {
        let detail = "numa blocks have no effect without cpu.numa = true";
        problems.push(warning(Path::attribute("numa"), "NUMA nodes without NUMA", detail));
    }
    if huge.is_some() && !numa && known {
        let detail = "memory.hugepages needs cpu.numa = true";
        problems.push(problem(in_block("memory", 0, "hugepages"), "Huge pages without NUMA", detail));
    }
}

fn check_network(config: &Value, problems: &mut Vec<Problem>) {
    for (index, device) in all_blocks(config, "network_device").iter().enumerate() {
        let Some(mac) = text(device, "mac_address") else { continue };
        let good = mac.split(':').count() == 6
            && mac.split(':').all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok());
        if !good {
            let detail = format!("{mac:?} is no MAC address such as BC:24:11:00:00:01");
            let path = in_block("network_device", index, "mac_address");
            problems.push(problem(path, "Invalid MAC address", detail));
        }
    }
}

/// A device is named by the host's name of it or by a mapping, once. What PCI devices lack is left to the cluster: VMs
/// whose devices were passed by hand, because a token may not, are managed with `hostpci` ignored.
fn check_passed_devices(config: &Value, problems: &mut Vec<Problem>) {
    for (name, own) in [("hostpci", "id"), ("usb", "host")] {
        let mut seen = BTreeSet::new();
        for (index, device) in all_blocks(config, name).iter().enumerate() {
            let unset = |part: &str| device.get(part).is_some_and(Value::is_null);
            if name != "hostpci" && unset(own) == unset("mapping") {
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
        assert_eq!(problems(json!({"numa": [{"device": "numa0"}]})), ["numa"]);
        assert_eq!(problems(json!({"usb": [{"host": "spice"}, {}]})), ["usb[1].host"]);
        let twice = json!({"device": "hostpci0", "id": "0000:01:00"});
        assert_eq!(problems(json!({"hostpci": [twice, twice]})), ["hostpci[1].device"]);
        let disks = json!({"disk": [{"interface": "scsi0"}, {"interface": "scsi0", "file_id": "a:b", "import_from": "c:d"}]});
        assert_eq!(problems(disks), ["disk[1].interface", "disk[1].import_from"]);
        let disks = json!({"disk": [{"interface": "virtio0", "ssd": true, "iothread": true},
                                    {"interface": "scsi0", "ssd": false, "queues": 0, "iothread": true}]});
        assert_eq!(problems(disks), ["disk[0].ssd"]);
        assert_eq!(problems(json!({"memory": [{"hugepages": "2"}]})), ["memory[0].hugepages"]);
        assert_eq!(
            problems(json!({"network_device": [{"mac_address": "x"}]})),
            ["network_device[0].mac_address"]
        );
    }
}
