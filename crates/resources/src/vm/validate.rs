//! Faults in a VM's configuration that single attributes do not show.

use std::collections::BTreeSet;

use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Value};

use crate::definition::problem;
use crate::values::{all_blocks, block, flag, text};

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_disks(config, &mut problems);
    check_memory(config, &mut problems);
    check_network(config, &mut problems);
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

/// Huge pages need NUMA (`qm.conf(5)`).
fn check_memory(config: &Value, problems: &mut Vec<Problem>) {
    let huge = block(config, "memory").and_then(|memory| text(memory, "hugepages"));
    let numa = block(config, "cpu").and_then(|cpu| flag(cpu, "numa")) == Some(true);
    if huge.is_some() && !numa && block(config, "cpu").is_none_or(Value::is_wholly_known) {
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
