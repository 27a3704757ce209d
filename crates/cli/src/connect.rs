//! Connects to the clusters that the provider blocks name: settings to clients, and clients to the provider's port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pve_api_client::{Client, ClientOptions, Credentials, Trust, WaitOptions};
use pve_config::configuration::{Module, default_provider};
use pve_model::Value;
use pve_model::state::State;
use pve_resources::{
    Api, ApiError, ClusterSettings, Content, Login, Method, ProviderConfiguration, ProxmoxProvider,
};
use secrecy::SecretString;
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::project::Workspace;
use crate::session::provider_values;

/// What a run records as its cluster when it uses none.
const NO_CLUSTER: &str = "none";

/// The clusters of a run.
pub struct Clusters {
    /// Talks to them.
    pub provider: ProxmoxProvider,
    /// What a run records as its cluster.
    pub name: String,
}

/// Connects to every cluster that something in the configuration or the state uses.
///
/// # Errors
/// When a provider block cannot be used.
pub fn connect(
    workspace: &Workspace,
    state: &State,
    simulate: bool,
    parallelism: u16,
) -> Result<Clusters, Failure> {
    if simulate {
        let hint = "Point PROXMOX_VE_ENDPOINT and PROXMOX_VE_API_TOKEN at a cluster.";
        return Err(Failure::hinted("the simulator is not part of this build yet", hint));
    }
    let blocks = provider_values(workspace, state)?;
    let mut clusters: Vec<(String, Arc<dyn Api>, ClusterSettings)> = Vec::new();
    let mut endpoints = BTreeSet::new();
    for address in used(workspace, state) {
        let absent = Value::object(BTreeMap::new());
        let block = blocks.get(&address).unwrap_or(&absent).unmark_deep().0;
        let configuration = ProviderConfiguration::from_block(&block, &|name| std::env::var(name).ok())
            .map_err(|error| Failure::hinted(format!("provider {address}: {error}"), error.hint))?;
        endpoints.insert(configuration.endpoint.clone());
        let client = client(&configuration, parallelism).map_err(|error| Failure::Plain {
            message: format!("provider {address}: {error}"),
            hint: None,
        })?;
        clusters.push((address, Arc::new(ApiOverHttp { client }), configuration.settings));
    }
    let name = if endpoints.is_empty() {
        NO_CLUSTER.into()
    } else {
        endpoints.into_iter().collect::<Vec<_>>().join(", ")
    };
    Ok(Clusters { provider: ProxmoxProvider::over(clusters), name })
}

/// Provider configurations of proxmox that resources of the configuration or the state use.
fn used(workspace: &Workspace, state: &State) -> BTreeSet<String> {
    fn collect(workspace: &Workspace, module: &Module, found: &mut BTreeSet<String>) {
        for resource in &module.resources {
            found.insert(workspace.configuration.provider_address(module, resource));
        }
        for call in module.module_calls.values() {
            if let Some(child) = &call.child {
                collect(workspace, child, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(workspace, &workspace.configuration.root, &mut found);
    for (address, instance) in &state.instances {
        if default_provider(&address.resource.kind) == "proxmox" {
            let records = instance.current.iter().chain(instance.deposed.values());
            found.extend(records.map(|record| record.provider.clone()));
        }
    }
    let proxmox = |name: &String| name == "proxmox" || name.starts_with("proxmox.");
    found.into_iter().filter(proxmox).collect()
}

fn client(
    configuration: &ProviderConfiguration,
    parallelism: u16,
) -> Result<Client, pve_api_client::ApiError> {
    let secret = |secret: &pve_resources::Secret| SecretString::from(secret.0.as_str());
    Client::new(ClientOptions {
        endpoint: configuration.endpoint.clone(),
        credentials: match &configuration.login {
            Login::Token(token) => Credentials::Token(secret(token)),
            Login::Password(user, password) => Credentials::Password(user.clone(), secret(password)),
            Login::Ticket(ticket, csrf) => Credentials::Ticket(secret(ticket), secret(csrf)),
        },
        trust: if configuration.insecure { Trust::Anything } else { Trust::System },
        timeout: Duration::from_secs(60),
        parallelism: usize::from(parallelism),
    })
}

/// The port of the provider over HTTPS.
struct ApiOverHttp {
    client: Client,
}

fn translated(error: pve_api_client::ApiError) -> ApiError {
    ApiError {
        hint: error.hint().map(String::from),
        status: error.status(),
        lost: error.is_lost(),
        message: error.message,
    }
}

#[async_trait]
impl Api for ApiOverHttp {
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError> {
        let method = match method {
            Method::Get => pve_api_client::Method::Get,
            Method::Post => pve_api_client::Method::Post,
            Method::Put => pve_api_client::Method::Put,
            Method::Delete => pve_api_client::Method::Delete,
        };
        self.client.send(method, path, params).await.map_err(translated)
    }

    async fn wait(&self, upid: &str, most: Duration) -> Result<(), ApiError> {
        let options = WaitOptions { most, ..WaitOptions::default() };
        self.client.wait(upid, options).await.map_err(translated)
    }

    async fn upload(
        &self,
        node: &str,
        datastore: &str,
        content_type: &str,
        file_name: &str,
        content: Content<'_>,
    ) -> Result<String, ApiError> {
        let part = match content {
            Content::Bytes(bytes) => Client::bytes_part(bytes),
            Content::File(path) => Client::file_part(path).await.map_err(translated)?,
        };
        self.client.upload(node, datastore, content_type, file_name, part).await.map_err(translated)
    }

    async fn write_file(
        &self,
        node: &str,
        path: &str,
        _: Content<'_>,
        _: Option<u32>,
    ) -> Result<(), ApiError> {
        Err(ApiError {
            message: format!("{path} cannot be written on {node}: uploads by SSH are not supported yet"),
            hint: Some("put the snippet there by hand and refer to it as DATASTORE:snippets/NAME".into()),
            status: None,
            lost: false,
        })
    }

    fn user(&self) -> String {
        self.client.user()
    }
}
