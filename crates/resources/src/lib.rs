//! Resource kinds: schemas, planning rules, and what they become in calls to the Proxmox VE API.

#![expect(clippy::result_large_err, reason = "the error of the executor's port is as large as it is")]

mod adoption;
mod base64;
mod beside;
mod cluster;
mod cluster_firewall;
mod cluster_firewall_security_group;
mod container;
mod data;
mod definition;
mod download_file;
mod families;
mod file;
mod firewall;
mod firewall_alias;
mod firewall_ipset;
mod firewall_options;
mod firewall_rules;
mod formats;
mod guest;
mod known_volumes;
mod limits;
mod node_firewall;
mod null_resource;
mod object;
mod observed;
mod oci_image;
mod operations;
mod params;
mod pools;
mod preflight;
mod property;
mod provider;
mod provider_block;
mod reference;
mod registry;
mod resizing;
mod set_outside;
mod size;
mod terraform_data;
mod unspoken;
mod unused;
mod values;
mod vm;
mod volumes;
mod waiting;

pub use cluster::{Api, ApiError, Content, Method, NodeNetwork};
pub use preflight::Limits;
pub use provider::{
    ClusterSettings, IncompleteConfiguration, Login, ProviderConfiguration, ProxmoxProvider, Secret,
    SettingPlace, SimulatedConfiguration, SshConfiguration, SshProxy, half_made_by,
};
pub use reference::{Page, reference};
pub use registry::{Registry, registry};
