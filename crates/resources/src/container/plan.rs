//! What is planned for a container. Pool, node, storage, mount points, keys and passwords change in place.

use pve_model::rules::{PlanRequest, PlanResponse, Problem, ReplaceReason};
use pve_model::{Path, PathStep, Value};

use crate::definition::problem;
use crate::size::same_size;
use crate::values::{
    all_blocks, block, changed, flag, int, origin_reasons, settle, settle_as_set, text, with, with_elements,
    with_unknown,
};

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let made_from = |name: &str| {
        config.get(name).is_none_or(|part| part.is_known() && all_blocks(config, name).is_empty())
    };
    if made_from("clone") && made_from("operating_system") {
        let detail = "set operating_system.template_file_id to make it from a template file, or clone.vm_id";
        return vec![problem(Path::default(), "Nothing to make the container from", detail)];
    }
    Vec::new()
}

pub(super) fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let Some(prior) = request.prior else {
        return PlanResponse::default();
    };
    let mut planned = request.proposed.clone();
    planned = with_elements(&planned, "network_interface", plan_network(request, prior));
    planned = with_elements(&planned, "mount_point", plan_mount_points(request, prior));
    if let (Some(before), Some(after)) = (prior.get("tags"), planned.get("tags")) {
        planned = with(&planned, "tags", settle_as_set(before, after));
    }
    planned = settle(prior, &planned);
    let changes = changed(prior, &planned);
    if ["network_interface", "started", "initialization"].iter().any(|name| changes.contains(*name)) {
        planned = with_unknown(&with_unknown(&planned, "ipv4"), "ipv6");
    }
    PlanResponse {
        replace: replacements(prior, &planned),
        notes: notes(prior, &planned),
        problems: shrinking_disk(request, prior),
        planned: Some(planned),
    }
}

/// Interfaces are matched by name.
fn plan_network(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let configured = all_blocks(request.config, "network_interface");
    let proposed = all_blocks(request.proposed, "network_interface").iter().zip(configured);
    let planned = proposed.map(|(interface, config)| {
        let named = |old: &&Value| text(old, "name") == text(interface, "name");
        let old = all_blocks(prior, "network_interface").iter().find(named);
        if !config.get("mac_address").is_some_and(Value::is_null) {
            return interface.clone();
        }
        match old.and_then(|old| old.get("mac_address")) {
            Some(mac) => with(interface, "mac_address", mac.clone()),
            None => with_unknown(interface, "mac_address"),
        }
    });
    planned.collect()
}

/// Mount points are matched by the path inside of the container.
fn plan_mount_points(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let planned = all_blocks(request.proposed, "mount_point").iter().map(|point| {
        let old =
            all_blocks(prior, "mount_point").iter().find(|old| text(old, "path") == text(point, "path"));
        let Some(old) = old else {
            return with_unknown(point, "path_in_datastore");
        };
        let mut point = point.clone();
        if let Some(volume) = old.get("path_in_datastore") {
            point = with(&point, "path_in_datastore", volume.clone());
        }
        match (text(old, "size"), text(&point, "size"), old.get("size")) {
            (Some(before), Some(after), Some(size)) if same_size(before, after) => {
                with(&point, "size", size.clone())
            }
            _ => point,
        }
    });
    planned.collect()
}

fn shrinking_disk(request: PlanRequest<'_>, prior: &Value) -> Vec<Problem> {
    let size = |value: &Value| block(value, "disk").and_then(|disk| int(disk, "size"));
    match (size(prior), size(request.config)) {
        (Some(old), Some(new)) if new < old => {
            let path =
                Path::attribute("disk").child(PathStep::Index(0)).child(PathStep::Attribute("size".into()));
            let detail = format!(
                "the root disk is {old}G and cannot become {new}G: disks only grow. Set size = {old}, or replace \
                 the container (-replace) if its data may go"
            );
            vec![problem(path, "A disk cannot shrink", detail)]
        }
        _ => Vec::new(),
    }
}

fn replacements(prior: &Value, planned: &Value) -> Vec<ReplaceReason> {
    if flag(prior, "template") == Some(true) && flag(planned, "template") == Some(false) {
        let reason = "a template cannot become a container again".to_string();
        return vec![ReplaceReason { path: Path::attribute("template"), reason }];
    }
    let mut found = origin_reasons(prior, planned, "clone", &["datastore_id", "full", "node_name", "vm_id"]);
    found.extend(origin_reasons(prior, planned, "operating_system", &["template_file_id"]));
    found
}

fn notes(prior: &Value, planned: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    let changes = changed(prior, planned);
    if changes.contains("node_name") {
        let names = (text(prior, "node_name").unwrap_or("?"), text(planned, "node_name").unwrap_or("?"));
        notes.push(format!("migrates from {} to {}; a running container restarts", names.0, names.1));
    }
    let account = |value: &Value| {
        block(value, "initialization").and_then(|init| block(init, "user_account")).map(|a| a.unmark_deep().0)
    };
    if account(prior) != account(planned) {
        let text = "Proxmox VE sets passwords and keys only when a container is made: the new ones are recorded, \
                    set them inside of the container";
        notes.push(text.to_string());
    }
    for point in all_blocks(prior, "mount_point") {
        let path = text(point, "path");
        if !all_blocks(planned, "mount_point").iter().any(|new| text(new, "path") == path) {
            notes.push(format!("takes away mount point {}; its volume stays as unused", path.unwrap_or("?")));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
