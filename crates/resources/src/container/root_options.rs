//! What of a container only `root@pam` itself may set, and no token of root's either (PVE::LXC,
//! `check_ct_modify_config_perm`).

use pve_model::{Path, PathStep, Value};

use super::encode::{Purpose, encode_mount_point, encode_options};
use crate::guest::match_mount_points;
use crate::property::Properties;
use crate::values::{all_blocks, flag, text};

/// The places of a change that only root may make. What is not known yet is not looked at.
pub(crate) fn only_for_root(prior: Option<&Value>, planned: &Value) -> Vec<Path> {
    let options = |value: &Value| encode_options(value, Purpose::All).0;
    let (before, after) = (prior.map(options).unwrap_or_default(), options(planned));
    let mut found = Vec::new();
    if before.get("hookscript") != after.get("hookscript") {
        found.push(Path::attribute("hook_script_file_id"));
    }
    // Where only the template tells, it may be.
    let unprivileged = flag(planned, "unprivileged") != Some(false);
    // Nesting alone is for whoever may make an unprivileged container.
    let features = |options: Option<&String>| -> Vec<(String, String)> {
        let all = Properties::parse(options.map(String::as_str).unwrap_or_default());
        all.pairs().iter().filter(|(name, _)| !(unprivileged && name == "nesting")).cloned().collect()
    };
    if features(before.get("features")) != features(after.get("features")) {
        found.push(Path::attribute("features"));
    }
    let device = |options: &std::collections::BTreeMap<String, String>| -> Vec<String> {
        options.iter().filter(|(name, _)| is_device(name)).map(|(_, device)| device.clone()).collect()
    };
    let (old, new) = (device(&before), device(&after));
    if old != new {
        let first = (0..).zip(&new).find(|(index, device)| old.get(*index) != Some(device));
        let at = first.map_or(0, |(index, _)| index as u64);
        found.push(Path::attribute("device_passthrough").child(PathStep::Index(at)));
    }
    found.extend(paths_of_node(prior, planned));
    found.retain(|path| planned.at(path).is_none_or(Value::is_wholly_known));
    found
}

fn is_device(option: &str) -> bool {
    option.strip_prefix("dev").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Directories and devices of the node that are mounted anew or otherwise; anybody may take one away.
fn paths_of_node(prior: Option<&Value>, planned: &Value) -> Vec<Path> {
    let before = prior.map(|prior| all_blocks(prior, "mount_point")).unwrap_or_default();
    let after = all_blocks(planned, "mount_point");
    let matches = match_mount_points(before, after);
    let of_node = after.iter().zip(matches).enumerate().filter(|(_, (point, old))| {
        let sent = |point: &Value| encode_mount_point(point, text(point, "volume").unwrap_or_default());
        text(point, "volume").is_some_and(|volume| volume.starts_with('/'))
            && old.is_none_or(|old| sent(&before[old]) != sent(point))
    });
    of_node
        .map(|(index, _)| {
            let point = Path::attribute("mount_point").child(PathStep::Index(index as u64));
            point.child(PathStep::Attribute("volume".into()))
        })
        .collect()
}
