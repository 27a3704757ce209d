//! Which changes of a VM need another VM, and which cannot be made at all.

use pve_model::rules::{PlanRequest, Problem, ReplaceReason};
use pve_model::{Path, PathStep, Value};

use super::is_untold;
use crate::definition::problem;
use crate::values::{all_blocks, block, flag, int, origin_reasons, reasons, text};

/// Proxmox VE only grows disks.
pub(super) fn shrinking_disks(request: PlanRequest<'_>, prior: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, disk) in all_blocks(request.config, "disk").iter().enumerate() {
        let interface = text(disk, "interface");
        let old = all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == interface);
        let (Some(old), Some(new)) = (old.and_then(|old| int(old, "size")), int(disk, "size")) else {
            continue;
        };
        if new < old {
            let path = Path::attribute("disk")
                .child(PathStep::Index(index as u64))
                .child(PathStep::Attribute("size".into()));
            let detail = format!(
                "{} is {old}G and cannot become {new}G: disks only grow. Set size = {old}, or replace the VM \
                 (-replace) if its data may go",
                interface.unwrap_or("the disk")
            );
            problems.push(problem(path, "A disk cannot shrink", detail));
        }
    }
    problems
}

pub(super) fn replacements(prior: &Value, planned: &Value) -> Vec<ReplaceReason> {
    let was_template = flag(prior, "template") == Some(true);
    if was_template && flag(planned, "template") == Some(false) {
        let reason = "a template cannot become a virtual machine again".to_string();
        return vec![ReplaceReason { path: Path::attribute("template"), reason }];
    }
    let mut found = origin_reasons(prior, planned, "clone", &["datastore_id", "full", "node_name", "vm_id"]);
    for (index, disk) in all_blocks(planned, "disk").iter().enumerate() {
        let old =
            all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == text(disk, "interface"));
        if let Some(old) = old.filter(|old| old.get("file_id").is_some_and(|file| !is_untold(file))) {
            let at = Path::attribute("disk").child(PathStep::Index(index as u64));
            found.extend(reasons(old, disk, &at, &["file_id"], "a disk is made from its image only once"));
        }
    }
    found.extend(firmware_reasons(prior, planned));
    found
}

/// Firmware variables and TPM state cannot be carried over into another form.
fn firmware_reasons(prior: &Value, planned: &Value) -> Vec<ReplaceReason> {
    let mut found = Vec::new();
    for (name, fixed, reason) in [
        ("efi_disk", &["type"][..], "an EFI disk keeps the type that it is made with"),
        ("tpm_state", &["version"], "a TPM state keeps the version that it is made with"),
    ] {
        if let (Some(before), Some(after)) = (block(prior, name), block(planned, name)) {
            let at = Path::attribute(name).child(PathStep::Index(0));
            found.extend(reasons(before, after, &at, fixed, reason));
        }
    }
    found
}
