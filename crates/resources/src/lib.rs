//! Resource kinds: schemas, planning rules, and what they become in calls to the Proxmox VE API.

mod container;
mod data;
mod definition;
mod download_file;
mod file;
mod firewall_options;
mod firewall_rules;
mod limits;
mod provider_block;
mod registry;
mod size;
mod terraform_data;
mod values;
mod vm;

pub use registry::{Registry, registry};
