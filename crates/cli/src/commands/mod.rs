//! The commands, one file each.

pub mod apply;
pub mod console;
pub mod fmt;
pub mod get;
pub mod init;
pub mod log;
pub mod output;
pub mod plan;
pub mod replay;
pub mod show;
pub mod simulator;
pub mod state;
pub mod validate;

use pve_model::rules::RulesRegistry as _;
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, Value};
use pve_planner::resolution::recorded_value;
use pve_resources::Registry;
use serde_json::Value as Json;

use crate::failure::Failure;

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

/// The full name of the provider that a kind belongs to.
pub fn provider_name(kind: &str) -> String {
    match pve_config::configuration::default_provider(kind) {
        "terraform" => "terraform.io/builtin/terraform".into(),
        "proxmox" => "bpg/proxmox".into(),
        other => format!("hashicorp/{other}"),
    }
}
