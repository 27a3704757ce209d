//! Faults of a container's configuration that the limits of single attributes cannot state.

use std::collections::BTreeSet;

use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Value};

use super::plan::is_left_out;
use crate::definition::{empty_texts, problem, split_tags, warning};
use crate::limits;
use crate::size::parse_size;
use crate::values::{all_blocks, block, text};

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = empty_texts(config, &Path::default(), "tags");
    problems.extend(unfit_variables(config));
    problems
        .extend(blocks(config, "disk").flat_map(|(disk, path)| empty_texts(disk, &path, "mount_options")));
    for (name, key) in
        [("network_interface", "name"), ("mount_point", "path"), ("device_passthrough", "path")]
    {
        problems.extend(used_twice(config, name, key));
    }
    problems.extend(unfit_mac_addresses(config));
    problems.extend(without_server(config));
    problems.extend(sizes_without_unit(config));
    problems.extend(split_tags(config));
    problems.extend(address_without_interface(config));
    problems
}

/// The blocks of a name, with their paths.
fn blocks<'v>(config: &'v Value, name: &str) -> impl Iterator<Item = (&'v Value, Path)> {
    let all = all_blocks(config, name).iter().enumerate();
    all.map(move |(index, one)| (one, Path::attribute(name).child(PathStep::Index(index as u64))))
}

fn attribute(path: Path, name: &str) -> Path {
    path.child(PathStep::Attribute(name.to_string()))
}

/// Variables whose name or value the API refuses (`pct.conf(5)`, `env`).
fn unfit_variables(config: &Value) -> Vec<Problem> {
    let variables = config.get("environment_variables").and_then(Value::entries);
    let unfit = variables.into_iter().flatten().filter_map(|(name, value)| {
        let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_clean = value.as_str().is_none_or(|text| limits::without_control_characters(text).is_none());
        let detail = match (is_word, is_clean) {
            (false, _) => format!("{name:?}: a name has letters, digits and underscores only"),
            (true, false) => format!("{name}: a value has no control characters"),
            (true, true) => return None,
        };
        let path = Path::attribute("environment_variables").child(PathStep::Key(name.to_string()));
        Some(problem(path, "Invalid environment variable", detail))
    });
    unfit.collect()
}

/// Blocks of a name that have the same text as one before them.
fn used_twice(config: &Value, name: &str, key: &str) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let again = blocks(config, name).filter_map(|(part, path)| {
        let label = text(part, key).filter(|label| !seen.insert(*label))?;
        Some(problem(attribute(path, key), "Used twice", format!("{label} is given twice")))
    });
    again.collect()
}

fn unfit_mac_addresses(config: &Value) -> impl Iterator<Item = Problem> {
    blocks(config, "network_interface").filter_map(|(interface, path)| {
        let detail = text(interface, "mac_address").and_then(limits::mac_address)?;
        Some(problem(attribute(path, "mac_address"), "Invalid MAC address", detail))
    })
}

fn without_server(config: &Value) -> impl Iterator<Item = Problem> {
    blocks(config, "initialization").filter_map(|(initialization, path)| {
        let servers = block(initialization, "dns")?.get("servers")?;
        servers.elements().filter(|servers| servers.is_empty())?;
        let path = attribute(attribute(path, "dns").child(PathStep::Index(0)), "servers");
        Some(problem(path, "No server", "name one server at least, or leave servers out"))
    })
}

fn sizes_without_unit(config: &Value) -> impl Iterator<Item = Problem> {
    blocks(config, "mount_point").filter_map(|(point, path)| {
        let is_number = |size: &&str| !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        // A number is one of bytes, which nothing this small is meant to be.
        let is_small = |size: &&str| parse_size(size).is_none_or(|bytes| bytes < 1 << 30);
        let size = text(point, "size").filter(is_number).filter(is_small)?;
        let detail = format!("{size:?} has no unit: write \"{size}G\" for gibibytes");
        Some(problem(attribute(path, "size"), "A size without a unit", detail))
    })
}

fn address_without_interface(config: &Value) -> Option<Problem> {
    let addresses = block(config, "initialization").map_or(0, |init| all_blocks(init, "ip_config").len());
    let known = config.get("network_interface").is_none_or(Value::is_known);
    // A clone may have interfaces of its template.
    let is_cloned = !is_left_out(config, "clone");
    if !known || is_cloned || addresses <= all_blocks(config, "network_interface").len() {
        return None;
    }
    let path = Path::attribute("initialization").child(PathStep::Index(0));
    let detail =
        "each ip_config belongs to the network_interface in the same place: there are fewer of those";
    Some(warning(attribute(path, "ip_config"), "An address without an interface", detail))
}
