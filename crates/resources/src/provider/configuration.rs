//! A provider block with the environment variables behind it.

use std::fmt;

use pve_model::Value;

use super::ClusterSettings;
use crate::values::{all_blocks, block, flag, int, text};

/// A secret: kept out of every debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// How to log in at the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// `USER@REALM!NAME=SECRET`
    Token(Secret),
    /// A user with realm, and the password.
    Password(String, Secret),
    /// A ticket that exists already, and its CSRF token.
    Ticket(Secret, Secret),
}

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

/// A provider configuration, complete enough to connect.
#[derive(Clone, Debug)]
pub struct ProviderConfiguration {
    /// `https://HOST:8006/`
    pub endpoint: String,
    /// How to log in.
    pub login: Login,
    /// Any certificate is accepted.
    pub insecure: bool,
    /// The oldest version of TLS that is spoken, as it is written.
    pub min_tls: Option<String>,
    /// How nodes are reached by SSH.
    pub ssh: SshConfiguration,
    /// How the cluster is used.
    pub settings: ClusterSettings,
}

/// What a provider configuration lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IncompleteConfiguration {
    /// What is missing.
    pub message: String,
    /// What to write.
    pub hint: &'static str,
}

impl ProviderConfiguration {
    /// The configuration of a provider block; what it leaves out is taken from the environment (`PROXMOX_VE_...`, as
    /// the reference names them). `environment` looks up a variable.
    ///
    /// # Errors
    /// When there is no endpoint or no way to log in, or a port is none.
    pub fn from_block(
        value: &Value,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ProviderConfiguration, IncompleteConfiguration> {
        let variable =
            |name: &str| environment(&format!("PROXMOX_VE_{name}")).filter(|text| !text.trim().is_empty());
        let setting = |attribute: &str, name: &str| {
            text(value, attribute).map(str::to_string).or_else(|| variable(name))
        };
        let endpoint = setting("endpoint", "ENDPOINT").ok_or_else(|| IncompleteConfiguration {
            message: "the provider has no endpoint".into(),
            hint: "set endpoint = \"https://HOST:8006/\" or PROXMOX_VE_ENDPOINT",
        })?;
        let range = (flag(value, "random_vm_ids") == Some(true)).then(|| {
            let id = |name, absent| int(value, name).and_then(|id| u32::try_from(id).ok()).unwrap_or(absent);
            (id("random_vm_id_start", 10_000), id("random_vm_id_end", 99_999))
        });
        Ok(ProviderConfiguration {
            endpoint,
            login: login(&setting)?,
            insecure: flag(value, "insecure").unwrap_or_else(|| is_on(variable("INSECURE"))),
            min_tls: setting("min_tls", "MIN_TLS"),
            ssh: ssh(value, &variable)?,
            settings: ClusterSettings {
                random_vm_ids: range,
                allow_lockout: is_on(environment(crate::families::ALLOW_LOCKOUT)),
                ..ClusterSettings::default()
            },
        })
    }
}

type Lookup<'a> = dyn Fn(&str, &str) -> Option<String> + 'a;

fn login(setting: &Lookup<'_>) -> Result<Login, IncompleteConfiguration> {
    if let Some(token) = setting("api_token", "API_TOKEN") {
        return Ok(Login::Token(Secret(token)));
    }
    let ticket = setting("auth_ticket", "AUTH_TICKET");
    let csrf = setting("csrf_prevention_token", "CSRF_PREVENTION_TOKEN");
    if let (Some(ticket), Some(csrf)) = (ticket, csrf) {
        return Ok(Login::Ticket(Secret(ticket), Secret(csrf)));
    }
    match (setting("username", "USERNAME"), setting("password", "PASSWORD")) {
        (Some(user), Some(password)) => Ok(Login::Password(user, Secret(password))),
        _ => Err(IncompleteConfiguration {
            message: "the provider has no way to log in".into(),
            hint: "set api_token or PROXMOX_VE_API_TOKEN (USER@REALM!NAME=SECRET), or username and password",
        }),
    }
}

fn is_on(text: Option<String>) -> bool {
    text.is_some_and(|text| crate::property::is_true(text.trim()))
}

/// The port of an SSH server where nothing else is said.
const SSH_PORT: u16 = 22;

fn ssh(
    value: &Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<SshConfiguration, IncompleteConfiguration> {
    let port = variable("SSH_PORT").map_or(Ok(SSH_PORT), |text| {
        text.trim().parse().map_err(|_| IncompleteConfiguration {
            message: format!("PROXMOX_VE_SSH_PORT is no port: {text}"),
            hint: "give a number from 1 to 65535, or leave it out for 22",
        })
    })?;
    let ssh = block(value, "ssh");
    let setting = |attribute: &str, name: &str| {
        ssh.and_then(|ssh| text(ssh, attribute)).map(str::to_string).or_else(|| variable(name))
    };
    let nodes = ssh.map(|ssh| all_blocks(ssh, "node")).unwrap_or_default().iter().filter_map(|node| {
        let own = int(node, "port").and_then(|port| u16::try_from(port).ok());
        Some((text(node, "name")?.to_string(), text(node, "address")?.to_string(), own.unwrap_or(port)))
    });
    // A user of the realm pam is a user of the node, too.
    let login = text(value, "username").map(str::to_string).or_else(|| variable("USERNAME"));
    let login = login.and_then(|user| user.strip_suffix("@pam").map(str::to_string));
    Ok(SshConfiguration {
        username: setting("username", "SSH_USERNAME").or(login),
        password: setting("password", "SSH_PASSWORD").map(Secret),
        private_key: setting("private_key", "SSH_PRIVATE_KEY").map(Secret),
        agent: ssh.and_then(|ssh| flag(ssh, "agent")).unwrap_or_else(|| is_on(variable("SSH_AGENT"))),
        agent_socket: setting("agent_socket", "SSH_AUTH_SOCK"),
        nodes: nodes.collect(),
        port,
        by_name: ssh.and_then(|ssh| text(ssh, "node_address_source")) == Some("dns"),
        proxy: setting("socks5_server", "SSH_SOCKS5_SERVER").map(|server| SshProxy {
            server,
            username: setting("socks5_username", "SSH_SOCKS5_USERNAME"),
            password: setting("socks5_password", "SSH_SOCKS5_PASSWORD").map(Secret),
        }),
    })
}

#[cfg(test)]
mod tests {
    use pve_model::codec::decode;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::definition::Definition;

    fn configure(
        json: Json,
        variables: &[(&str, &str)],
    ) -> Result<ProviderConfiguration, IncompleteConfiguration> {
        let ty = Definition::new(crate::provider_block::fields()).schema.block.implied_type();
        let value = decode(&json, &ty).unwrap();
        let environment =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_string());
        ProviderConfiguration::from_block(&value, &environment)
    }

    #[test]
    fn the_block_comes_before_the_environment() {
        let variables = [
            ("PROXMOX_VE_ENDPOINT", "https://env:8006/"),
            ("PROXMOX_VE_API_TOKEN", "root@pam!t=s"),
            ("PROXMOX_VE_INSECURE", "true"),
        ];
        let from_environment = configure(json!({}), &variables).unwrap();
        assert_eq!(from_environment.endpoint, "https://env:8006/");
        assert!(from_environment.insecure);
        let block = json!({
            "endpoint": "https://block:8006/", "insecure": false, "random_vm_ids": true, "random_vm_id_start": 500,
            "min_tls": "1.3",
            "ssh": [{"agent": true, "node": [{"name": "pve", "address": "192.0.2.1"}], "node_address_source": "dns",
                "socks5_server": "127.0.0.1:1080", "socks5_username": "u", "socks5_password": "hunter2"}]});
        let from_block = configure(block, &variables).unwrap();
        assert_eq!(from_block.endpoint, "https://block:8006/");
        assert!(!from_block.insecure && from_block.ssh.agent);
        assert_eq!(from_block.ssh.nodes, [("pve".to_string(), "192.0.2.1".to_string(), 22)]);
        let port = |port| [variables[0], variables[1], ("PROXMOX_VE_SSH_PORT", port)];
        assert_eq!(configure(json!({}), &port("2022")).unwrap().ssh.port, 2022);
        assert!(configure(json!({}), &port("many")).unwrap_err().message.contains("many"));
        assert_eq!(from_block.settings.random_vm_ids, Some((500, 99_999)));
        assert!(from_block.ssh.by_name && !from_environment.ssh.by_name);
        assert_eq!(from_block.min_tls.as_deref(), Some("1.3"));
        let proxy = from_block.ssh.proxy.as_ref().unwrap();
        assert_eq!((&*proxy.server, proxy.username.as_deref()), ("127.0.0.1:1080", Some("u")));
        assert!(from_environment.ssh.proxy.is_none() && !format!("{from_block:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_is_named_and_secrets_are_not_shown() {
        assert!(configure(json!({}), &[]).unwrap_err().hint.contains("PROXMOX_VE_ENDPOINT"));
        let user = json!({"endpoint": "https://x/", "username": "root@pam"});
        assert!(configure(user, &[]).unwrap_err().hint.contains("api_token"));
        let full = json!({"endpoint": "https://x/", "username": "root@pam", "password": "hunter2"});
        let full = configure(full, &[]).unwrap();
        assert!(!format!("{full:?}").contains("hunter2"));
        assert_eq!(full.ssh.username.as_deref(), Some("root"));
    }
}
