//! Connects to the clusters that the provider blocks name: settings to clients, and clients to the provider's port.

mod api;
pub mod simulated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pve_api_client::ssh::{
    ForwardedAgent, HostKeyPolicy, Socks5Proxy, SshAuthentication, SshSettings, SshUploader,
};
use pve_api_client::{ApiError, Client, ClientOptions, Credentials, Trust};
use pve_config::configuration::{Module, default_provider, span_of};
use pve_config::syntax::Diagnostic;
use pve_model::Value;
use pve_model::event::NO_CLUSTER;
use pve_model::state::State;
use pve_resources::{
    Api, ClusterSettings, IncompleteConfiguration, Login, ProviderConfiguration, ProxmoxProvider, Secret,
    SettingPlace, SimulatedConfiguration, SshConfiguration,
};
use pve_simulator::Server;
use secrecy::SecretString;

use crate::arguments::PlanningOptions;
use crate::backend::Backend;
use crate::failure::Failure;
use crate::project::Project;
use crate::session::provider_values;
use crate::workspace::Workspace;
use api::{NodeAddresses, RemoteCluster};
pub use simulated::Access;

/// What it records with `--simulate`.
pub const SIMULATOR: &str = "simulator";

/// How a run connects.
#[derive(Clone, Copy)]
pub struct Connecting {
    /// To simulated clusters, and for what.
    pub simulate: Option<Access>,
    /// Requests at a time.
    pub parallelism: u16,
    /// An endpoint that the log does not know leads to the cluster that it knows.
    pub same_cluster: bool,
}

impl Connecting {
    /// As the options of planning say; with `--simulate` for this access.
    pub fn as_planned(options: &PlanningOptions, access: Access) -> Connecting {
        Connecting {
            simulate: options.simulate.then_some(access),
            parallelism: options.parallelism,
            same_cluster: options.same_cluster,
        }
    }
}

/// The clusters of a run.
pub struct Clusters {
    /// Talks to them.
    pub provider: ProxmoxProvider,
    /// What a run records as its cluster.
    pub name: String,
    /// Clusters that live as long as the run does.
    _simulated: Vec<Server>,
}

/// Connects to every cluster that something in the configuration or the state uses.
///
/// # Errors
/// When a provider block cannot be used, or the state is about another cluster: a simulated one and this run is not, or
/// the other way round, or one behind an endpoint that is not known to lead to it.
pub async fn connect(
    project: &Project,
    workspace: &Workspace,
    state: &State,
    Connecting { simulate, parallelism, same_cluster }: Connecting,
) -> Result<Clusters, Failure> {
    refuse_other_world(state, simulate.is_some())?;
    if simulate.is_some() && matches!(project.backend()?, Backend::Shared(_)) {
        return Err(Failure::hinted(
            "a shared log is about real guests: --simulate would write into it what only this machine has",
            "Keep the log here while you try: a file backend_override.tf with terraform { backend \"local\" {} }",
        ));
    }
    let managing = managing(state);
    let blocks = provider_values(workspace, state)?;
    let mut clusters: Vec<(String, Arc<dyn Api>, ClusterSettings)> = Vec::new();
    let mut endpoints = BTreeSet::new();
    let mut simulated: BTreeMap<String, Server> = BTreeMap::new();
    for address in used(workspace, state) {
        let absent = Value::object(BTreeMap::new());
        let block = blocks.get(&address).unwrap_or(&absent).unmark_deep().0;
        let fault = |error| unusable(workspace, &address, &error);
        let (cluster, settings) = if let Some(access) = simulate {
            let configuration = SimulatedConfiguration::from_block(&block).map_err(fault)?;
            let endpoint = configuration.endpoint;
            if !simulated.contains_key(&endpoint) {
                simulated.insert(endpoint.clone(), simulated::start(project, &endpoint, access).await?);
            }
            endpoints.insert(SIMULATOR.to_string());
            let cluster = simulated_cluster(&simulated[&endpoint], configuration.is_user, parallelism);
            (cluster, configuration.settings)
        } else {
            let variable = |name: &str| std::env::var(name).ok();
            let configuration = ProviderConfiguration::from_block(&block, &variable).map_err(fault)?;
            if !same_cluster && managing.contains(&*address) {
                refuse_unknown_endpoint(state, &configuration.endpoint)?;
            }
            endpoints.insert(configuration.endpoint.clone());
            (remote_cluster(project, &configuration, parallelism), configuration.settings)
        };
        let cluster = cluster.map_err(|error| Failure::plain(format!("provider {address}: {error}")))?;
        clusters.push((address, Arc::new(cluster), settings));
    }
    let name = if endpoints.is_empty() {
        NO_CLUSTER.into()
    } else {
        endpoints.into_iter().collect::<Vec<_>>().join(", ")
    };
    let simulated = simulated.into_values().collect();
    let provider = ProxmoxProvider::over(clusters).with_limits(pve_simulator::parameter_fault);
    Ok(Clusters { provider, name, _simulated: simulated })
}

/// A log is about simulated guests or about real ones: a plan across both would create everything again in the one and
/// lose sight of it in the other.
fn refuse_other_world(state: &State, simulate: bool) -> Result<(), Failure> {
    let known = match &state.cluster {
        Some(cluster) if cluster != NO_CLUSTER => cluster,
        _ => return Ok(()),
    };
    let is_proxmox = |kind: &str| default_provider(kind) == "proxmox";
    let has_guests = state.instances.keys().any(|address| is_proxmox(&address.resource.kind))
        || state.open_actions.iter().any(|open| is_proxmox(&open.intent.address.resource.kind));
    match (known == SIMULATOR, simulate) {
        (true, false) if has_guests => Err(Failure::hinted(
            "what this environment manages exists in the simulator only",
            "Give --simulate. To begin with a real cluster, forget what was tried: remove the folder .pve of the project.",
        )),
        (false, true) if has_guests => Err(Failure::hinted(
            format!("what this environment manages exists in a real cluster ({known})"),
            "Leave out --simulate, or try things in a copy of the project without its .pve folder.",
        )),
        _ => Ok(()),
    }
}

/// Two clusters can have guests of the same ids: behind an endpoint that is new to the log, all that it knows would look
/// gone, or changed.
fn refuse_unknown_endpoint(state: &State, endpoint: &str) -> Result<(), Failure> {
    let server = |endpoint: &str| pve_api_client::origin(endpoint).unwrap_or_else(|| endpoint.to_string());
    let is_it = |known: &String| server(known) == server(endpoint);
    if state.endpoints.is_empty() || state.endpoints.iter().any(is_it) {
        return Ok(());
    }
    let known: Vec<&str> = state.endpoints.iter().map(String::as_str).collect();
    let message = format!(
        "the log knows its guests from {}, and {endpoint} is another endpoint: it may be another cluster",
        known.join(", ")
    );
    let hint = "If it is the same cluster, say so with --same-cluster; `pve apply` or `pve refresh` records it for \
                later runs. For another cluster choose another environment.";
    Err(Failure::hinted(message, hint))
}

/// The provider configurations of what the log knows to exist, or cannot tell about.
fn managing(state: &State) -> BTreeSet<&str> {
    let instances = state.instances.values();
    let records = instances.flat_map(|instance| instance.current.iter().chain(instance.deposed.values()));
    let open = state.open_actions.iter().map(|open| &*open.intent.provider);
    records.map(|record| &*record.provider).chain(open).collect()
}

/// Why a provider cannot be used: with the line that is wrong, or the block that lacks it.
fn unusable(workspace: &Workspace, address: &str, error: &IncompleteConfiguration) -> Failure {
    let provider = workspace.configuration.root.providers.iter().find(|it| it.address() == address);
    let span = match (&error.place, provider) {
        (SettingPlace::Missing, Some(provider)) => Some(provider.span),
        (SettingPlace::Block(path), Some(provider)) => {
            Some(span_of(&provider.body, path).unwrap_or(provider.span))
        }
        (SettingPlace::Variable, _) | (_, None) => None,
    };
    let detail = format!("The provider {address} cannot be used.");
    let fault = match span {
        Some(span) => Diagnostic::error(span, error.to_string(), detail),
        None => Diagnostic::error_without_span(error.to_string(), detail),
    };
    workspace.failure(vec![fault.with_hint(error.hint)])
}

/// What is wrong with the provider blocks themselves, whatever the environment has.
pub fn faults_of_blocks(workspace: &Workspace) -> Vec<Diagnostic> {
    let stands_in = |name: &str| match name {
        "PROXMOX_VE_ENDPOINT" => Some("https://simulator.invalid/".to_string()),
        "PROXMOX_VE_API_TOKEN" => Some("root@pam!stand-in=0".to_string()),
        _ => None,
    };
    let Ok(blocks) = provider_values(workspace, &State::default()) else { return Vec::new() };
    let proxmox = blocks.iter().filter(|(address, _)| is_proxmox(address));
    let faults = proxmox.filter_map(|(address, value)| {
        let error = ProviderConfiguration::from_block(&value.unmark_deep().0, &stands_in).err()?;
        match unusable(workspace, address, &error) {
            Failure::Diagnosed { diagnostics, .. } => Some(diagnostics),
            Failure::Plain { .. } => None,
        }
    });
    faults.flatten().collect()
}

/// Logs in as the configuration would: a user with a password may do what no token may.
fn simulated_cluster(server: &Server, is_user: bool, parallelism: u16) -> Result<RemoteCluster, ApiError> {
    let client = Client::new(ClientOptions {
        endpoint: server.endpoint.clone(),
        credentials: if is_user {
            Credentials::Password("root@pam".into(), SecretString::from(server.ssh.password.as_str()))
        } else {
            Credentials::Token(SecretString::from(server.token.as_str()))
        },
        trust: Trust::Authority(server.certificate.clone().into_bytes()),
        timeout: Duration::from_secs(60),
        parallelism: usize::from(parallelism),
    })?;
    let (uploader, nodes) = simulated::ssh(server);
    Ok(RemoteCluster { client, uploader, nodes })
}

fn remote_cluster(
    project: &Project,
    configuration: &ProviderConfiguration,
    parallelism: u16,
) -> Result<RemoteCluster, ApiError> {
    let client = client(configuration, parallelism)?;
    let host = client.host();
    Ok(RemoteCluster {
        client,
        uploader: SshUploader::new(ssh_settings(project, &configuration.ssh)),
        nodes: NodeAddresses::Known {
            nodes: configuration.ssh.nodes.clone(),
            port: configuration.ssh.port,
            by_name: configuration.ssh.by_name,
            endpoint_host: host,
        },
    })
}

/// The first connection to a node is trusted and remembered in the project, as the reference does in the user's files;
/// a key that changed is refused.
fn ssh_settings(project: &Project, configuration: &SshConfiguration) -> SshSettings {
    let secret = |secret: &Secret| SecretString::from(secret.0.as_str());
    let agent = configuration
        .agent
        .then(|| SshAuthentication::Agent { socket: configuration.agent_socket.clone().map(Into::into) });
    let key = configuration
        .private_key
        .as_ref()
        .map(|key| SshAuthentication::PrivateKey { text: secret(key), passphrase: None });
    let password =
        configuration.password.as_ref().map(|password| SshAuthentication::Password(secret(password)));
    let ways = agent.into_iter().chain(key).chain(password).collect();
    let mut settings = SshSettings::new(configuration.username.as_deref().unwrap_or("root"), ways);
    settings.proxy = configuration.proxy.as_ref().map(|proxy| Socks5Proxy {
        server: proxy.server.clone(),
        username: proxy.username.clone(),
        password: proxy.password.as_ref().map(secret),
    });
    settings.forwarded_agent = configuration
        .agent_forwarding
        .then(|| ForwardedAgent { socket: configuration.agent_socket.clone().map(Into::into) });
    settings.host_keys =
        HostKeyPolicy::AcceptNew { known: HostKeyPolicy::user_files(), remember: project.known_hosts_path() };
    settings
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
    // Whether it exists or not, what became of it is asked of its cluster.
    found.extend(state.open_actions.iter().map(|open| open.intent.provider.clone()));
    found.into_iter().filter(|address| is_proxmox(address)).collect()
}

fn is_proxmox(address: &str) -> bool {
    address == "proxmox" || address.starts_with("proxmox.")
}

fn client(configuration: &ProviderConfiguration, parallelism: u16) -> Result<Client, ApiError> {
    let secret = |secret: &pve_resources::Secret| SecretString::from(secret.0.as_str());
    let options = ClientOptions {
        endpoint: configuration.endpoint.clone(),
        credentials: match &configuration.login {
            Login::Token(token) => Credentials::Token(secret(token)),
            Login::Password(user, password, None) => Credentials::Password(user.clone(), secret(password)),
            Login::Password(user, password, Some(code)) => {
                Credentials::SecondFactor(user.clone(), secret(password), secret(code))
            }
            Login::Ticket(ticket, csrf) => Credentials::Ticket(secret(ticket), secret(csrf)),
        },
        trust: if configuration.insecure { Trust::Anything } else { Trust::System },
        timeout: Duration::from_secs(60),
        parallelism: usize::from(parallelism),
    };
    Client::with_oldest_tls(options, configuration.min_tls)
}
