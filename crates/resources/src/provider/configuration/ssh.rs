//! The `ssh` block of a provider.

use super::settings::{Setting, Settings};
use super::{IncompleteConfiguration, Login, Secret, check};
use crate::values::{all_blocks, block, flag, int, text};

/// How nodes are reached by SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshConfiguration {
    /// The user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// A private key in PEM or OpenSSH form.
    pub private_key: Option<Secret>,
    /// Whether the agent is asked for keys.
    pub agent: bool,
    /// Whether commands on the node may ask the agent.
    pub agent_forwarding: bool,
    /// The agent's socket.
    pub agent_socket: Option<String>,
    /// Nodes with an address of their own: name, address, port.
    pub nodes: Vec<(String, String, u16)>,
    /// The port of the other nodes.
    pub port: u16,
    /// The other nodes are reached by their names, not by the addresses that the cluster has of them.
    pub by_name: bool,
    /// Through which SOCKS5 proxy they are reached.
    pub proxy: Option<SshProxy>,
}

/// A SOCKS5 proxy for SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshProxy {
    /// `HOST:PORT`
    pub server: String,
    /// Who logs in there.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

/// The port of an SSH server where nothing else is said.
const SSH_PORT: u16 = 22;

pub(super) fn read(
    settings: &Settings<'_>,
    api: &Login,
) -> Result<SshConfiguration, IncompleteConfiguration> {
    let port = settings.variable("SSH_PORT").map_or(Ok(SSH_PORT), |setting| check::port(&setting))?;
    let ssh = block(settings.block, "ssh");
    let setting = |argument: &str| settings.ssh_text(argument, &format!("SSH_{}", argument.to_uppercase()));
    let plain = |setting: Option<Setting>| setting.map(|setting| setting.text);
    let nodes = ssh.map(|ssh| all_blocks(ssh, "node")).unwrap_or_default().iter().filter_map(|node| {
        let own = int(node, "port").and_then(|port| u16::try_from(port).ok());
        Some((text(node, "name")?.to_string(), text(node, "address")?.to_string(), own.unwrap_or(port)))
    });
    let (user, password) = login_of(settings, api);
    let switch = |argument: &str| {
        let variable = || settings.variable(&format!("SSH_{}", argument.to_uppercase()));
        let own = ssh.and_then(|ssh| flag(ssh, argument));
        own.unwrap_or_else(|| super::settings::is_on(plain(variable())))
    };
    Ok(SshConfiguration {
        username: plain(setting("username")).or(user),
        password: plain(setting("password")).map(Secret).or(password),
        private_key: plain(setting("private_key")).map(Secret),
        agent: switch("agent"),
        agent_forwarding: switch("agent_forwarding"),
        agent_socket: plain(settings.ssh_text("agent_socket", "SSH_AUTH_SOCK")),
        nodes: nodes.collect(),
        port,
        by_name: ssh.and_then(|ssh| text(ssh, "node_address_source")) == Some("dns"),
        proxy: proxy(&setting)?,
    })
}

/// Who logs in at the API with a password does so at the nodes, if nothing else is said. Beside a token, a user of the
/// realm pam is known to be one of the node.
fn login_of(settings: &Settings<'_>, api: &Login) -> (Option<String>, Option<Secret>) {
    match api {
        Login::Password(user, password, _) => {
            (user.split('@').next().map(String::from), Some(password.clone()))
        }
        Login::Token(_) | Login::Ticket(..) => {
            let user = settings.text("username");
            (user.and_then(|user| user.text.strip_suffix("@pam").map(String::from)), None)
        }
    }
}

fn proxy(setting: &dyn Fn(&str) -> Option<Setting>) -> Result<Option<SshProxy>, IncompleteConfiguration> {
    let (username, password) = (setting("socks5_username"), setting("socks5_password"));
    match setting("socks5_server") {
        Some(server) => Ok(Some(SshProxy {
            server: server.text,
            username: username.map(|setting| setting.text),
            password: password.map(|setting| Secret(setting.text)),
        })),
        None => match username.or(password) {
            None => Ok(None),
            Some(login) => Err(login.fault(
                "is set, and socks5_server is not",
                "set socks5_server = \"HOST:PORT\" in the ssh block, or PROXMOX_VE_SSH_SOCKS5_SERVER",
            )),
        },
    }
}
