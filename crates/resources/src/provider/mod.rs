//! The half of the provider that talks to clusters: every request goes to the kind that it is about.

mod apply;
mod claims;
mod configuration;
mod guest;
mod guest_change;
pub(crate) mod identity;
mod import;
mod read;
mod recovery;
mod remarks;
mod review;
mod take_over;
mod tasks;
mod unfinished;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use configuration::{
    IncompleteConfiguration, Login, ProviderConfiguration, Secret, SettingPlace, SimulatedConfiguration,
    SshConfiguration, SshProxy,
};
pub use import::half_made_by;

use async_trait::async_trait;
use pve_executor::ports::{
    ActionProgress, ApplyRequest, Doubts, Provider, ProviderError, ReadRequest, Recovery, Remark,
};
use pve_model::event::Claim;
use pve_model::rules::Beside;
use pve_model::state::OpenAction;
use pve_model::{InstanceAddress, Value};
use uuid::Uuid;

use crate::beside::unspoken_of;
use crate::cluster::{Api, Cluster, refused};
use crate::guest::GuestKind;
use crate::preflight::Limits;
use crate::registry::{Kind, Registry, TERRAFORM_DATA, registry};
use crate::unspoken::own_options;
use crate::{container, download_file, file, null_resource, terraform_data, vm};
use identity::Traits;

/// How the provider uses a cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The range that VMIDs are drawn from at random; the next free one is taken without it.
    pub random_vm_ids: Option<(u32, u32)>,
    /// The longest wait for a guest agent, however long `agent.timeout` is.
    pub agent_wait: Duration,
    /// Whether a change may take permissions from whoever makes it.
    pub allow_lockout: bool,
}

impl Default for ClusterSettings {
    fn default() -> ClusterSettings {
        ClusterSettings { random_vm_ids: None, agent_wait: Duration::from_secs(900), allow_lockout: false }
    }
}

/// One cluster with the settings of one provider block.
pub(crate) struct Connection {
    pub(crate) cluster: Cluster,
    random_vm_ids: Option<(u32, u32)>,
}

impl Connection {
    pub(crate) fn new(api: Arc<dyn Api>, settings: &ClusterSettings) -> Connection {
        Connection {
            cluster: Cluster::new(api, settings.agent_wait, settings.allow_lockout),
            random_vm_ids: settings.random_vm_ids,
        }
    }

    fn is_same_cluster(&self, other: &Connection) -> bool {
        let server = self.cluster.api.server();
        server.is_some() && server == other.cluster.api.server()
    }
}

/// Talks to the clusters of all provider configurations.
pub struct ProxmoxProvider {
    registry: Registry,
    connections: BTreeMap<String, Connection>,
    /// What the API takes, if it is known beforehand.
    limits: Option<Limits>,
    /// What was seen last of guests.
    seen: Mutex<BTreeMap<InstanceAddress, SeenGuest>>,
}

/// What is known of a guest beside its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenGuest {
    /// Changes of it wait for a reboot.
    waits: bool,
    /// What tells it from another one with its id.
    identity: Option<String>,
    /// What its values do not tell.
    beside: Beside,
}

/// What a kind name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Guest(GuestKind),
    DownloadFile,
    File,
    /// Its operations are in the registry.
    Plain,
    TerraformData,
    NullResource,
}

impl SeenGuest {
    /// A guest as it was found when it was imported: its configuration decides afterwards which of its options values tell.
    fn imported(found: Option<Traits>) -> SeenGuest {
        let Some(Traits { identity, options, .. }) = found else { return SeenGuest::default() };
        SeenGuest {
            identity,
            beside: Beside { unspoken: Some(own_options(&options)), ..Beside::default() },
            ..SeenGuest::default()
        }
    }

    /// A guest with these values, as it was found when it had just been changed or recovered.
    fn settled(found: Option<Traits>, family: Family, value: &Value) -> SeenGuest {
        let Some(Traits { identity, options, .. }) = found else { return SeenGuest::default() };
        let kind = match family {
            Family::Guest(kind) => Some(kind),
            _ => None,
        };
        let beside = Beside { unspoken: unspoken_of(kind, options, value), ..Beside::default() };
        SeenGuest { identity, beside, ..SeenGuest::default() }
    }
}

impl Family {
    pub(crate) fn of(kind: &str) -> Option<Family> {
        let families = [
            (vm::NAMES, Family::Guest(GuestKind::Vm)),
            (container::NAMES, Family::Guest(GuestKind::Container)),
            (download_file::NAMES, Family::DownloadFile),
            (file::NAMES, Family::File),
            (null_resource::NAMES, Family::NullResource),
        ];
        if kind == TERRAFORM_DATA {
            return Some(Family::TerraformData);
        }
        families.into_iter().find(|(names, _)| names.contains(&kind)).map(|(_, family)| family)
    }

    /// Whether it is kept in the log alone: no cluster has it.
    pub(crate) fn is_built_in(self) -> bool {
        matches!(self, Family::TerraformData | Family::NullResource)
    }

    /// The values of a built-in kind after apply.
    fn applied(self, planned: &Value, id: &str) -> Value {
        match self {
            Family::NullResource => null_resource::applied(planned, id),
            _ => terraform_data::applied(planned, id),
        }
    }
}

impl ProxmoxProvider {
    /// A provider over these clusters, by the names of their configurations (`proxmox`, `proxmox.second`). The
    /// built-in kinds need none.
    pub fn over(
        clusters: impl IntoIterator<Item = (String, Arc<dyn Api>, ClusterSettings)>,
    ) -> ProxmoxProvider {
        let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
        for (name, api, settings) in clusters {
            let mut connection = Connection::new(api, &settings);
            if let Some(other) = connections.values().find(|other| other.is_same_cluster(&connection)) {
                connection.cluster.shared = other.cluster.shared.clone();
            }
            connections.insert(name, connection);
        }
        ProxmoxProvider { registry: registry(), connections, limits: None, seen: Mutex::default() }
    }

    /// The same, which knows before it asks what the API takes.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> ProxmoxProvider {
        ProxmoxProvider { limits: Some(limits), ..self }
    }

    /// Never hands out the VMID that a guest of this kind is planned to have.
    pub fn keep_free(&self, provider: &str, kind: &str, planned: &Value) {
        let vmid = self.kind(kind).ok().and_then(|(kind, family)| claims::vmid_of(kind, family, planned));
        if let Some((connection, vmid)) = self.connections.get(provider).zip(vmid) {
            connection.cluster.shared.reserved.lock().unwrap_or_else(PoisonError::into_inner).insert(vmid);
        }
    }

    /// Takes in what was seen of the guest of an instance.
    fn take_in(&self, address: InstanceAddress, seen: SeenGuest) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(address, seen);
    }

    fn connection(&self, provider: &str) -> Result<&Connection, ProviderError> {
        self.connections.get(provider).ok_or_else(|| {
            let hint = "configure it with an endpoint and an API token";
            refused(format!("the provider {provider} is not configured"), Some(hint))
        })
    }

    fn kind(&self, name: &str) -> Result<(&Kind, Family), ProviderError> {
        match (self.registry.kind(name), Family::of(name)) {
            (Some(kind), None) if kind.operations().is_some() => Ok((kind, Family::Plain)),
            (Some(kind), Some(family)) => Ok((kind, family)),
            _ => Err(refused(format!("{name} is not supported"), None)),
        }
    }
}

#[async_trait]
impl Provider for ProxmoxProvider {
    async fn read(&self, request: ReadRequest) -> Result<Option<Value>, ProviderError> {
        self.read_instance(request).await
    }

    fn waits(&self, address: &InstanceAddress) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(address).is_some_and(|seen| seen.waits)
    }

    fn beside(&self, address: &InstanceAddress) -> Option<Beside> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(address).map(|seen| seen.beside.clone()).filter(|beside| !beside.is_empty())
    }

    fn identity(&self, address: &InstanceAddress) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(address)?.identity.clone()
    }

    fn same_cluster(&self, provider: &str) -> String {
        let Some(connection) = self.connections.get(provider) else { return provider.to_string() };
        let first = self.connections.iter().find(|(_, other)| other.is_same_cluster(connection));
        first.map_or(provider, |(name, _)| name).to_string()
    }

    fn recall(&self, one: &ReadRequest, is_open: bool) {
        self.recall_staged(one, is_open);
    }

    fn expect(&self, changes: &[ApplyRequest]) {
        self.expect_interfaces(changes);
    }

    async fn read_data(&self, kind: &str, provider: &str, config: Value) -> Result<Value, ProviderError> {
        let Some(definition) = self.registry.data_kind(kind) else {
            return Err(refused(format!("the data source {kind} is not supported"), None));
        };
        let connection = self.connection(provider)?;
        crate::data::read(kind, definition.block(), &self.registry, &connection.cluster, &config).await
    }

    async fn claim(&self, request: &ApplyRequest, action: Uuid) -> Result<Claim, ProviderError> {
        self.claim_for(request, action).await
    }

    async fn review(&self, changes: &[ApplyRequest]) -> Vec<(InstanceAddress, ProviderError)> {
        self.review_changes(changes).await
    }

    async fn remarks(&self, changes: &[ApplyRequest]) -> Vec<Remark> {
        self.remarks_on(changes).await
    }

    async fn pending(&self, instances: &[ApplyRequest]) -> Vec<(InstanceAddress, String)> {
        self.pending_beside(instances).await
    }

    async fn doubts(&self, changes: &[ApplyRequest]) -> Doubts {
        self.doubts_of(changes).await
    }

    async fn apply(
        &self,
        request: ApplyRequest,
        progress: &dyn ActionProgress,
    ) -> Result<Option<Value>, ProviderError> {
        self.apply_change(request, progress).await
    }

    async fn recover(
        &self,
        open: &OpenAction,
        identity: Option<&str>,
        prior: Option<&Value>,
    ) -> Result<Recovery, ProviderError> {
        self.recover_action(open, identity, prior).await
    }

    async fn remains(&self, request: ReadRequest, done: &[String]) -> Result<Option<Value>, ProviderError> {
        self.remains_of(&request, done).await
    }

    async fn import(
        &self,
        address: &InstanceAddress,
        provider: &str,
        id: &str,
    ) -> Result<Value, ProviderError> {
        self.import_object(address, provider, id).await
    }
}

#[cfg(test)]
mod tests;
