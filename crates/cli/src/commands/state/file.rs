//! The state file of Terraform and OpenTofu, as far as it is read.

use pve_model::InstanceAddress;
use pve_model::rules::RulesRegistry as _;
use pve_resources::Registry;
use serde::Deserialize;
use serde_json::Value as Json;

use super::super::parse_instance;
use crate::failure::Failure;

/// The version of the format since Terraform 0.12.
const VERSION: u64 = 4;

/// A state file, as far as it is read.
#[derive(Deserialize)]
pub struct StateFile {
    version: u64,
    #[serde(default)]
    resources: Vec<Resource>,
    /// Of a state that OpenTofu encrypted.
    #[serde(default)]
    encrypted_data: Option<Json>,
}

/// A resource and its instances.
#[derive(Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) module: String,
    pub(super) mode: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) provider: String,
    pub(super) instances: Vec<Instance>,
}

/// An object, as the provider recorded it.
#[derive(Deserialize)]
pub(super) struct Instance {
    pub(super) index_key: Option<Json>,
    pub(super) deposed: Option<String>,
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) attributes: Json,
    #[serde(default)]
    pub(super) sensitive_attributes: Vec<Vec<SensitiveStep>>,
    #[serde(default)]
    pub(super) dependencies: Vec<String>,
    #[serde(default)]
    pub(super) create_before_destroy: bool,
}

/// A part of the path to what is sensitive.
#[derive(Deserialize)]
pub(super) struct SensitiveStep {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: Json,
}

impl StateFile {
    /// Reads what is in a state file; `shown` is how that is called.
    ///
    /// # Errors
    /// When it is none of a version that is known.
    pub fn parse(shown: &str, bytes: &[u8]) -> Result<StateFile, Failure> {
        let file: StateFile = serde_json::from_slice(bytes).map_err(|error| {
            let hint = "It must be a state file of Terraform or OpenTofu: `terraform state pull` prints it.";
            Failure::hinted(format!("{shown} is no state file: {error}"), hint)
        })?;
        if file.encrypted_data.is_some() {
            let hint = "Print it in plain with `tofu state pull`, adopt that, and remove it.";
            return Err(Failure::hinted(format!("{shown} is encrypted"), hint));
        }
        if file.version != VERSION {
            let hint = "Write it anew with a present Terraform: `terraform apply -refresh-only`.";
            let message = format!("{shown} is a state file of version {}, not {VERSION}", file.version);
            return Err(Failure::hinted(message, hint));
        }
        Ok(file)
    }

    /// How many objects of kinds that pve has it manages.
    pub fn known_objects(&self, registry: &Registry) -> usize {
        let known = self.managed().filter(|resource| registry.resource(&resource.kind).is_some());
        known.map(|resource| resource.instances.len()).sum()
    }

    /// Where those of them are that are not deposed. What has no address here is nobody's.
    pub fn addresses(&self, registry: &Registry) -> Vec<InstanceAddress> {
        let known = self.managed().filter(|resource| registry.resource(&resource.kind).is_some());
        let instances = known.flat_map(|resource| resource.instances.iter().map(move |one| (resource, one)));
        let current = instances.filter(|(_, instance)| instance.deposed.is_none());
        current.filter_map(|(resource, instance)| resource.address(instance).ok()).collect()
    }

    pub(super) fn managed(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.mode == "managed")
    }
}

impl Resource {
    pub(super) fn block(&self) -> String {
        let block = format!("{}.{}", self.kind, self.name);
        if self.module.is_empty() { block } else { format!("{}.{block}", self.module) }
    }

    pub(super) fn address(&self, instance: &Instance) -> Result<InstanceAddress, Failure> {
        let key = instance.index_key.as_ref().map(|key| format!("[{key}]")).unwrap_or_default();
        parse_instance(&format!("{}{key}", self.block()))
    }
}
