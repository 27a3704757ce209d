//! What is planned for a container. Pool, node, storage, mount points, keys and passwords change in place.

mod notes;

use pve_model::rules::{PlanRequest, PlanResponse, Problem, ReplaceReason};
use pve_model::{Path, PathStep, Value};

use super::encode::{Purpose, encode_options};
use super::leaving::leaves_by_record;
use super::mount_points::{keeps_volume, stays};
use crate::definition::problem;
use crate::guest::match_mount_points;
use crate::size::{parse_size, same_size};
use crate::values::{
    all_blocks, block, changed, default_if_empty, flag, int, is_unset, keep_written_defaults,
    null_where_empty, origin_reasons, settle, settle_tags, text, unknown_if_empty, with, with_each_block,
    with_elements, with_kept_description, with_template_power, with_unknown,
};
use notes::notes;

/// Whether nothing is said of a block.
pub(super) fn is_left_out(config: &Value, name: &str) -> bool {
    config.get(name).is_none_or(|part| part.is_known() && all_blocks(config, name).is_empty())
}

/// A new container is made from something. One that was imported does not tell from what, and need not.
fn nothing_to_make_from(config: &Value) -> Option<Problem> {
    let detail = "set operating_system.template_file_id to make it from a template file, or clone.vm_id";
    (is_left_out(config, "clone") && is_left_out(config, "operating_system"))
        .then(|| problem(Path::default(), "Nothing to make the container from", detail))
}

/// What is configured, as it will be known of the container.
fn stated(request: PlanRequest<'_>) -> Value {
    // A container's description ends with a line feed, a VM's does not.
    let planned = with_template_power(&with_kept_description(request.proposed, "\n"), request.prior);
    let planned = null_where_empty(&planned, "environment_variables");
    let planned = with_each_block(&planned, "disk", |disk| default_if_empty(disk, "datastore_id", "local"));
    with_elements(&planned, "initialization", stated_initialization(request.proposed))
}

/// A dns block without a value is none.
fn stated_initialization(proposed: &Value) -> Vec<Value> {
    let says_nothing = |dns: &Value| dns.entries().is_some_and(|parts| parts.values().all(is_unset));
    let blocks = all_blocks(proposed, "initialization").iter().map(|initialization| {
        let dns = all_blocks(initialization, "dns");
        let kept = dns.iter().filter(|dns| !says_nothing(dns)).cloned().collect();
        if initialization.get("dns").is_some_and(Value::is_known) {
            with_elements(initialization, "dns", kept)
        } else {
            initialization.clone()
        }
    });
    blocks.collect()
}

pub(super) fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let mut planned = with_inherited_privilege(request, &stated(request));
    let Some(prior) = request.prior else {
        planned = with_elements(&planned, "disk", plan_cloned_disk(request, &planned));
        planned = with_inherited_architecture(request, &planned);
        planned = with_each_block(&planned, "network_interface", |one| unknown_if_empty(one, "mac_address"));
        let problems = nothing_to_make_from(request.config).into_iter().collect();
        return PlanResponse { planned: Some(planned), problems, ..PlanResponse::default() };
    };
    planned = with_elements(&planned, "network_interface", plan_network(request, prior));
    planned = with_elements(&planned, "mount_point", plan_mount_points(request, prior));
    if let (Some(before), Some(after)) = (prior.get("tags"), planned.get("tags")) {
        planned = with(&planned, "tags", settle_tags(before, after));
    }
    planned = with_elements(&planned, "disk", plan_disk(request, &planned, prior));
    if flag(prior, "template") != Some(true) && flag(&planned, "template") == Some(true) {
        planned = with_renamed_volumes(&planned);
    }
    planned = with_inherited_architecture(request, &planned);
    planned = with_elements(&planned, "operating_system", plan_origin(request, prior));
    planned = with_elements(&planned, "initialization", plan_initialization(&planned, prior));
    planned = keep_defaults(prior, settle(prior, &planned));
    let passed = [prior, &planned].map(|value| all_blocks(value, "device_passthrough"));
    let passed = keep_written_defaults(passed[0], passed[1], "path", &["gid", "uid"]);
    planned = with_elements(&planned, "device_passthrough", passed);
    let changes = changed(prior, &planned);
    // Accounts are set when it is made.
    let without_account = |value: &Value| -> Vec<Value> {
        let blocks = all_blocks(value, "initialization").iter();
        blocks.map(|block| with_elements(block, "user_account", Vec::new())).collect()
    };
    let restarted = ["network_interface", "started"].iter().any(|name| changes.contains(*name))
        || without_account(prior) != without_account(&planned);
    if restarted {
        planned = with_unknown(&with_unknown(&planned, "ipv4"), "ipv6");
    }
    let replace = replacements(prior, &planned);
    // Another container has volumes of its own.
    let is_another =
        !replace.is_empty() || ["vm_id", "unprivileged"].iter().any(|name| changes.contains(*name));
    let mut problems = if is_another { Vec::new() } else { shrinking_disks(request, prior) };
    problems.extend(nothing_to_make_from(request.config).filter(|_| !replace.is_empty()));
    PlanResponse { replace, notes: notes(prior, &planned), problems, planned: Some(planned) }
}

/// Interfaces are matched by name.
fn plan_network(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let configured = all_blocks(request.config, "network_interface");
    let proposed = all_blocks(request.proposed, "network_interface").iter().zip(configured);
    let planned = proposed.map(|(interface, config)| {
        let named = |old: &&Value| text(old, "name") == text(interface, "name");
        let old = all_blocks(prior, "network_interface").iter().find(named);
        if !config.get("mac_address").is_some_and(is_unset) {
            return interface.clone();
        }
        match old.and_then(|old| old.get("mac_address")) {
            Some(mac) => with(interface, "mac_address", mac.clone()),
            None => with_unknown(interface, "mac_address"),
        }
    });
    planned.collect()
}

/// The root disk of a clone whose disk is not known yet: what nobody wrote of its datastore and size is as the clone is made.
fn plan_cloned_disk(request: PlanRequest<'_>, stated: &Value) -> Vec<Value> {
    let mut blocks = all_blocks(stated, "disk").to_vec();
    let Some(clone) = block(request.config, "clone") else { return blocks };
    let target =
        clone.get("datastore_id").filter(|name| !name.is_null() && flag(clone, "full") != Some(false));
    for disk in &mut blocks {
        if leaves_open(request, "size") {
            *disk = with_unknown(disk, "size");
        }
        if leaves_open(request, "datastore_id") {
            *disk = match target.filter(|_| request.prior.is_none()) {
                Some(target) => with(disk, "datastore_id", target.clone()),
                None => with_unknown(disk, "datastore_id"),
            };
        }
    }
    blocks
}

/// Whether a clone is unprivileged its template tells, unless it is written.
fn with_inherited_privilege(request: PlanRequest<'_>, planned: &Value) -> Value {
    let is_open = request.config.get("unprivileged").is_some_and(Value::is_null);
    let is_clone = |value: &Value| block(value, "clone").is_some();
    if !is_open || !is_clone(request.config) && !request.prior.is_some_and(is_clone) {
        return planned.clone();
    }
    let known = request.prior.and_then(|prior| prior.get("unprivileged"));
    match known.filter(|known| !known.is_null()) {
        Some(known) => with(planned, "unprivileged", known.clone()),
        None => with_unknown(planned, "unprivileged"),
    }
}

/// The architecture of a clone is that of its template, unless one is written.
fn with_inherited_architecture(request: PlanRequest<'_>, planned: &Value) -> Value {
    let configured = block(request.config, "cpu").and_then(|cpu| cpu.get("architecture"));
    let is_open = configured.is_some_and(Value::is_null) && block(request.config, "clone").is_some();
    let known = request.prior.and_then(|prior| block(prior, "cpu")).and_then(|cpu| cpu.get("architecture"));
    with_each_block(planned, "cpu", |cpu| match known.filter(|known| !known.is_null()) {
        _ if !is_open => cpu.clone(),
        Some(known) => with(cpu, "architecture", known.clone()),
        None => with_unknown(cpu, "architecture"),
    })
}

/// Whether a configured root disk has nothing written of an attribute.
fn leaves_open(request: PlanRequest<'_>, name: &str) -> bool {
    block(request.config, "disk").and_then(|disk| disk.get(name)).is_some_and(Value::is_null)
}

/// The root disk: without a configured size it stays as large as it is, and on another datastore it has another name. That
/// of a clone stays where it is unless a datastore is written.
fn plan_disk(request: PlanRequest<'_>, stated: &Value, prior: &Value) -> Vec<Value> {
    let mut blocks = all_blocks(stated, "disk").to_vec();
    let Some(before) = block(prior, "disk") else { return plan_cloned_disk(request, stated) };
    let is_clone = block(request.config, "clone").is_some();
    if let Some(disk) = blocks.first_mut() {
        let is_kept = is_clone || int(before, "size") > int(disk, "size");
        if let Some(size) = before.get("size").filter(|_| is_kept && leaves_open(request, "size")) {
            *disk = with(disk, "size", size.clone());
        }
        let is_kept = is_clone && leaves_open(request, "datastore_id");
        if let Some(datastore) = before.get("datastore_id").filter(|_| is_kept) {
            *disk = with(disk, "datastore_id", datastore.clone());
        }
        if text(before, "datastore_id") != text(disk, "datastore_id") {
            *disk = with_unknown(disk, "path_in_datastore");
        }
    }
    blocks
}

/// The volumes of a template are called differently.
fn with_renamed_volumes(planned: &Value) -> Value {
    ["disk", "mount_point"].into_iter().fold(planned.clone(), |planned, name| {
        let blocks = all_blocks(&planned, name).iter();
        let renamed = blocks.map(|block| match text(block, "path_in_datastore") {
            Some(_) => with_unknown(block, "path_in_datastore"),
            None => block.clone(),
        });
        with_elements(&planned, name, renamed.collect())
    })
}

/// A container that was imported does not tell which file it was made from; without a configured type it keeps the one
/// that its template told.
fn plan_origin(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let mut blocks = all_blocks(request.proposed, "operating_system").to_vec();
    let config = block(request.config, "operating_system");
    if let Some(before) = block(prior, "operating_system")
        && blocks.is_empty()
        && is_left_out(request.config, "operating_system")
        && text(before, "template_file_id").is_none()
    {
        return vec![before.clone()];
    }
    if let (Some(first), Some(before)) = (blocks.first_mut(), block(prior, "operating_system")) {
        for name in ["template_file_id", "type"] {
            let unset = config.and_then(|config| config.get(name)).is_some_and(Value::is_null);
            let known = text(before, name).is_some();
            if let Some(old) =
                before.get(name).filter(|_| if name == "type" { unset && known } else { !known })
            {
                *first = with(first, name, old.clone());
            }
        }
    }
    blocks
}

/// Without a configured name a container is called by its id.
fn plan_initialization(planned: &Value, prior: &Value) -> Vec<Value> {
    let blocks = all_blocks(planned, "initialization");
    let Some(before) = block(prior, "initialization").filter(|before| has_own_name(prior, before)) else {
        return blocks.to_vec();
    };
    let is_unset_part = |(name, part): (&std::sync::Arc<str>, &Value)| {
        &**name == "hostname" || is_unset(part) || part.elements().is_some_and(<[Value]>::is_empty)
    };
    let nothing_else = before.entries().is_some_and(|entries| entries.iter().all(is_unset_part));
    match blocks.first() {
        Some(first) if text(first, "hostname").is_none() => {
            let hostname = before.get("hostname").cloned();
            hostname.map(|hostname| with(first, "hostname", hostname)).into_iter().collect()
        }
        None if nothing_else => vec![before.clone()],
        _ => blocks.to_vec(),
    }
}

fn has_own_name(prior: &Value, initialization: &Value) -> bool {
    let id = int(prior, "vm_id").unwrap_or_default();
    text(initialization, "hostname").is_some_and(|name| name == format!("CT{id}"))
}

/// The options without those that the cluster assumes anyway.
fn meaning(value: &Value) -> crate::params::Params {
    let mut params = encode_options(value, Purpose::All);
    for (name, assumed) in [("arch", "amd64"), ("cmode", "tty"), ("console", "1"), ("tty", "2")] {
        if params.0.get(name).is_some_and(|text| text == assumed) {
            params.0.remove(name);
        }
    }
    params
}

/// A block that is left out means its defaults: one that was imported with just those stays as it is. One that says nothing
/// is none, except in a clone, which may have what its template has.
fn keep_defaults(prior: &Value, mut planned: Value) -> Value {
    let is_clone = !all_blocks(&planned, "clone").is_empty();
    for name in ["console", "cpu", "features", "memory", "startup"] {
        let before = all_blocks(prior, name);
        let after = all_blocks(&planned, name);
        let same = |value: &Value| meaning(&with_elements(value, name, Vec::new())) == meaning(value);
        let absent = planned.get(name).is_some_and(Value::is_known) && after.is_empty();
        if (absent && !before.is_empty() && same(prior))
            || (name == "startup" && !is_clone && before.is_empty() && same(&planned))
        {
            planned = with_elements(&planned, name, before.to_vec());
        }
    }
    planned
}

/// Mount points are matched by the path inside of the container, and one that is at another path by its place.
fn plan_mount_points(request: PlanRequest<'_>, prior: &Value) -> Vec<Value> {
    let before = all_blocks(prior, "mount_point");
    let proposed = all_blocks(request.proposed, "mount_point");
    // What is proposed has the volumes of those in the same places.
    let wanted: Vec<Value> = proposed.iter().map(|point| with_unknown(point, "path_in_datastore")).collect();
    let matches = match_mount_points(before, &wanted);
    let planned = proposed.iter().zip(matches).map(|(point, old)| {
        let Some(old) = old.map(|old| &before[old]) else {
            return with_unknown(point, "path_in_datastore");
        };
        let mut point = point.clone();
        // One without a volume is about to leave.
        if !stays(old, &point) || leaves_by_record(old) {
            return with_unknown(&point, "path_in_datastore");
        }
        for name in ["volume", "path_in_datastore"] {
            if let Some(part) = old.get(name) {
                point = with(&point, name, part.clone());
            }
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

/// Proxmox VE only grows volumes.
fn shrinking_disks(request: PlanRequest<'_>, prior: &Value) -> Vec<Problem> {
    let size = |value: &Value| block(value, "disk").and_then(|disk| int(disk, "size"));
    let mut problems = Vec::new();
    if let (Some(old), Some(new)) = (size(prior), size(request.config))
        && new < old
    {
        let sizes = (format!("{old}G"), format!("{new}G"), old.to_string());
        problems.push(cannot_shrink("disk", 0, "the root disk", sizes));
    }
    let before = all_blocks(prior, "mount_point");
    let points = all_blocks(request.config, "mount_point");
    for (index, (point, old)) in points.iter().zip(match_mount_points(before, points)).enumerate() {
        let Some(old) = old.map(|old| &before[old]).filter(|old| keeps_volume(old, point)) else { continue };
        let (Some(was), Some(wanted)) = (text(old, "size"), text(point, "size")) else { continue };
        if parse_size(wanted).is_some_and(|wanted| parse_size(was).is_some_and(|was| wanted < was)) {
            let name = format!("mount point {}", text(point, "path").unwrap_or("?"));
            let sizes = (was.to_string(), wanted.to_string(), format!("{was:?}"));
            problems.push(cannot_shrink("mount_point", index as u64, &name, sizes));
        }
    }
    problems
}

fn cannot_shrink(
    part: &str,
    index: u64,
    what: &str,
    (old, new, written): (String, String, String),
) -> Problem {
    let path =
        Path::attribute(part).child(PathStep::Index(index)).child(PathStep::Attribute("size".to_string()));
    let detail = format!(
        "{what} is {old} and cannot become {new}: disks only grow. Set size = {written}, or replace the container \
         (-replace) if its data may go"
    );
    problem(path, "A disk cannot shrink", detail)
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

#[cfg(test)]
mod tests;
