//! The commands, one file each.

pub mod about;
pub mod apply;
pub mod console;
pub mod fmt;
pub mod get;
pub mod graph;
pub mod import;
pub mod init;
pub mod key;
pub mod log;
pub mod output;
pub mod plan;
pub mod providers;
pub mod replay;
pub mod show;
pub mod simulator;
pub mod state;
pub mod taint;
pub mod unlock;
pub mod validate;
pub mod workspace;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use pve_model::rules::RulesRegistry as _;
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, Value};
use pve_planner::resolution::recorded_value;
use pve_resources::Registry;
use serde_json::Value as Json;

use crate::arguments::GlobalOptions;
use crate::failure::Failure;
use crate::render::object::render_object;

/// Prints JSON in lines.
///
/// # Errors
/// When it cannot be written out.
pub fn print_json(json: &Json) -> Result<(), Failure> {
    let text = serde_json::to_string(json).map_err(|error| Failure::plain(error.to_string()))?;
    println!("{text}");
    Ok(())
}

/// The values of a record, told by the kind's schema.
pub fn decode_record(registry: &Registry, address: &InstanceAddress, record: &InstanceRecord) -> Value {
    match registry.resource(&address.resource.kind) {
        Some(rules) => recorded_value(record, rules),
        None => pve_model::codec::from_plain_json(&record.values).mark_sensitive_at(&record.sensitive),
    }
}

/// An object of the state as it would stand in a configuration.
pub fn render_record(
    registry: &Registry,
    address: &InstanceAddress,
    record: &InstanceRecord,
    deposed: Option<&str>,
) -> String {
    let value = decode_record(registry, address, record);
    let block = registry.resource(&address.resource.kind).map(|rules| &rules.schema().block);
    let deposed = deposed.map(|name| format!(" (deposed object {name})")).unwrap_or_default();
    let tainted = if record.tainted { " (tainted)" } else { "" };
    render_object(address, &format!("{deposed}{tainted}"), &value, block)
}

/// The full name of the provider that a kind belongs to.
pub fn provider_name(kind: &str) -> String {
    match pve_config::configuration::default_provider(kind) {
        "terraform" => "terraform.io/builtin/terraform".into(),
        "proxmox" => "bpg/proxmox".into(),
        other => format!("hashicorp/{other}"),
    }
}

/// The address of an instance as a user wrote it.
///
/// # Errors
/// When it is none.
pub fn parse_instance(text: &str) -> Result<InstanceAddress, Failure> {
    text.parse().map_err(not_an_address)
}

/// The address of a module, resource or instance as a user wrote it.
///
/// # Errors
/// When it is none.
pub fn parse_target(text: &str) -> Result<pve_model::address::Target, Failure> {
    text.parse().map_err(not_an_address)
}

/// Asks a question to which only `yes` agrees. `hint` says what to give where nobody can be asked.
///
/// # Errors
/// When nobody can be asked.
pub fn is_approved(global: &GlobalOptions, question: &str, hint: &str) -> Result<bool, Failure> {
    if !global.input || !std::io::stdin().is_terminal() {
        return Err(Failure::hinted("nobody is there to approve this", hint));
    }
    eprint!("{question} Only `yes` is taken: ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Failure::reading(Path::new("standard input")))?;
    Ok(answer.trim() == "yes")
}

fn not_an_address(error: pve_model::address::ParseAddressError) -> Failure {
    let hint = "`pve state list` shows addresses. Quote keys for the shell: 'a.b[\"key\"]'.";
    Failure::hinted(error.to_string(), hint)
}
