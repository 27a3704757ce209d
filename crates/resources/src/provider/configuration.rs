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
    /// A user with realm, the password, and the answer to a second factor.
    Password(String, Secret, Option<Secret>),
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
    /// Somebody is named to log in at a proxy, whether there is one or not.
    has_proxy_login: bool,
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
    /// the reference names them, else `PM_VE_...`, as it did before). `environment` looks up a variable. Whether what
    /// is there has the right form is for [`ProviderConfiguration::check`] to say.
    ///
    /// # Errors
    /// When there is no endpoint or no way to log in, or a port is none.
    pub fn from_block(
        value: &Value,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ProviderConfiguration, IncompleteConfiguration> {
        let variable = |name: &str| {
            let set =
                |prefix: &str| environment(&format!("{prefix}{name}")).filter(|text| !text.trim().is_empty());
            set("PROXMOX_VE_").or_else(|| set("PM_VE_"))
        };
        // An empty text is a setting, too: that there is none, whatever the environment has.
        let setting = |attribute: &str, name: &str| match value.get(attribute).and_then(Value::as_str) {
            Some(text) => Some(text.to_string()).filter(|text| !text.is_empty()),
            None => variable(name),
        };
        let endpoint = setting("endpoint", "ENDPOINT").ok_or_else(|| IncompleteConfiguration {
            message: "the provider has no endpoint".into(),
            hint: "set endpoint = \"https://HOST:8006/\" or PROXMOX_VE_ENDPOINT",
        })?;
        let range = (flag(value, "random_vm_ids") == Some(true)).then(|| {
            let id = |name, absent| int(value, name).and_then(|id| u32::try_from(id).ok()).unwrap_or(absent);
            (id("random_vm_id_start", 10_000), id("random_vm_id_end", 99_999))
        });
        let login = login(&setting)?;
        Ok(ProviderConfiguration {
            endpoint,
            ssh: ssh(value, &variable, &login)?,
            login,
            insecure: flag(value, "insecure").unwrap_or_else(|| is_on(variable("INSECURE"))),
            min_tls: setting("min_tls", "MIN_TLS"),
            settings: ClusterSettings {
                random_vm_ids: range,
                allow_lockout: is_on(environment(crate::families::ALLOW_LOCKOUT)),
                ..ClusterSettings::default()
            },
        })
    }

    /// Whether what it has may be what it is given for.
    ///
    /// # Errors
    /// When the token is none, the user has no realm, there is somebody to log in at no proxy, or no id is in the range of
    /// random ones. The value of a secret is not told.
    pub fn check(&self) -> Result<(), IncompleteConfiguration> {
        let fault = |message: &str, hint| Err(IncompleteConfiguration { message: message.into(), hint });
        match &self.login {
            Login::Token(Secret(token)) if !is_token(token) => {
                return fault(
                    "api_token (or PROXMOX_VE_API_TOKEN) is no token",
                    "a token is USER@REALM!NAME=SECRET, for instance root@pam!pve=xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                );
            }
            Login::Password(user, ..) if !user.contains('@') => {
                let message = format!("username is {user:?}: it has no realm");
                return fault(
                    &message,
                    "name the realm, too: root@pam for a user of the node, eve@pve for another",
                );
            }
            _ => {}
        }
        if let Some((start, end)) =
            self.settings.random_vm_ids.filter(|(start, end)| start > end || *start < 100)
        {
            return fault(
                &format!(
                    "random_vm_id_start is {start} and random_vm_id_end is {end}: that is no range of ids"
                ),
                "ids are from 100 to 999999999, and the end is not before the start (10000 to 99999 where they are left out)",
            );
        }
        if self.ssh.proxy.is_none() && self.ssh.has_proxy_login {
            return fault(
                "socks5_username or socks5_password is set, and socks5_server is not",
                "set socks5_server = \"HOST:PORT\" in the ssh block, or PROXMOX_VE_SSH_SOCKS5_SERVER",
            );
        }
        Ok(())
    }
}

/// `USER@REALM!NAME=SECRET`, without blanks.
fn is_token(token: &str) -> bool {
    let parts = token.split_once('=').and_then(|(id, secret)| Some((id.split_once('!')?, secret)));
    parts.is_some_and(|((user, name), secret)| {
        let is_user = user.split_once('@').is_some_and(|(user, realm)| !user.is_empty() && !realm.is_empty());
        is_user && !name.is_empty() && !secret.is_empty() && !token.contains(char::is_whitespace)
    })
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
        (Some(user), Some(password)) => {
            Ok(Login::Password(user, Secret(password), setting("otp", "OTP").map(Secret)))
        }
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
    api: &Login,
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
    // Who logs in at the API with a password does so at the nodes, if nothing else is said. Beside a token, a user of
    // the realm pam is known to be one of the node.
    let (user, password) = match api {
        Login::Password(user, password, _) => {
            (user.split('@').next().map(String::from), Some(password.clone()))
        }
        Login::Token(_) | Login::Ticket(..) => {
            let user = text(value, "username").map(str::to_string).or_else(|| variable("USERNAME"));
            (user.and_then(|user| user.strip_suffix("@pam").map(String::from)), None)
        }
    };
    let switch = |attribute: &str, name: &str| {
        ssh.and_then(|ssh| flag(ssh, attribute)).unwrap_or_else(|| is_on(variable(name)))
    };
    let proxy_username = setting("socks5_username", "SSH_SOCKS5_USERNAME");
    let proxy_password = setting("socks5_password", "SSH_SOCKS5_PASSWORD").map(Secret);
    Ok(SshConfiguration {
        username: setting("username", "SSH_USERNAME").or(user),
        password: setting("password", "SSH_PASSWORD").map(Secret).or(password),
        private_key: setting("private_key", "SSH_PRIVATE_KEY").map(Secret),
        agent: switch("agent", "SSH_AGENT"),
        agent_forwarding: switch("agent_forwarding", "SSH_AGENT_FORWARDING"),
        agent_socket: setting("agent_socket", "SSH_AUTH_SOCK"),
        nodes: nodes.collect(),
        port,
        by_name: ssh.and_then(|ssh| text(ssh, "node_address_source")) == Some("dns"),
        has_proxy_login: proxy_username.is_some() || proxy_password.is_some(),
        proxy: setting("socks5_server", "SSH_SOCKS5_SERVER").map(|server| SshProxy {
            server,
            username: proxy_username,
            password: proxy_password,
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

    const HERE: (&str, &str) = ("PROXMOX_VE_ENDPOINT", "https://x:8006/");

    #[test]
    fn the_ways_to_log_in_come_in_the_order_of_the_reference() {
        let all = [
            HERE,
            ("PROXMOX_VE_API_TOKEN", "eve@pve!t=s"),
            ("PROXMOX_VE_AUTH_TICKET", "PVE:eve@pve:1::a"),
            ("PROXMOX_VE_CSRF_PREVENTION_TOKEN", "1:a"),
            ("PROXMOX_VE_USERNAME", "eve@pve"),
            ("PROXMOX_VE_PASSWORD", "hunter2"),
            ("PROXMOX_VE_OTP", "123456"),
        ];
        let secret = |text: &str| Secret(text.into());
        assert_eq!(configure(json!({}), &all).unwrap().login, Login::Token(secret("eve@pve!t=s")));
        // An empty text in the block takes back what the environment has.
        let ticket = configure(json!({"api_token": ""}), &all).unwrap().login;
        assert_eq!(ticket, Login::Ticket(secret("PVE:eve@pve:1::a"), secret("1:a")));
        let password = configure(json!({"api_token": "", "auth_ticket": ""}), &all).unwrap();
        let expected = Login::Password("eve@pve".into(), secret("hunter2"), Some(secret("123456")));
        assert_eq!(password.login, expected);
        let old = [HERE, ("PM_VE_USERNAME", "old@pam"), ("PM_VE_PASSWORD", "p"), ("PM_VE_INSECURE", "1")];
        let old = configure(json!({}), &old).unwrap();
        assert!(old.insecure && matches!(old.login, Login::Password(user, ..) if user == "old@pam"));
    }

    #[test]
    fn who_logs_in_at_the_api_with_a_password_logs_in_at_the_nodes() {
        let login = [HERE, ("PROXMOX_VE_USERNAME", "ops@pve"), ("PROXMOX_VE_PASSWORD", "hunter2")];
        let ssh = configure(json!({}), &login).unwrap().ssh;
        assert_eq!((ssh.username.as_deref(), ssh.password), (Some("ops"), Some(Secret("hunter2".into()))));
        let block = json!({"ssh": [{"username": "deploy", "password": "other"}]});
        let ssh = configure(block, &login).unwrap().ssh;
        assert_eq!((ssh.username.as_deref(), ssh.password), (Some("deploy"), Some(Secret("other".into()))));
        // A token has no password that could be used, whatever else is set.
        let token = [login[0], login[1], login[2], ("PROXMOX_VE_API_TOKEN", "ops@pve!t=s")];
        let ssh = configure(json!({}), &token).unwrap().ssh;
        assert_eq!((ssh.username, ssh.password), (None, None));
    }

    #[test]
    fn settings_of_ssh_come_from_the_block_or_from_the_environment() {
        let variables = [
            HERE,
            ("PROXMOX_VE_API_TOKEN", "ops@pve!t=s"),
            ("PROXMOX_VE_SSH_USERNAME", "ops"),
            ("PROXMOX_VE_SSH_PASSWORD", "word"),
            ("PROXMOX_VE_SSH_PRIVATE_KEY", "key"),
            ("PROXMOX_VE_SSH_AGENT", "true"),
            ("PROXMOX_VE_SSH_AGENT_FORWARDING", "1"),
            ("PROXMOX_VE_SSH_AUTH_SOCK", "/socket"),
            ("PROXMOX_VE_SSH_SOCKS5_SERVER", "p:1080"),
            ("PROXMOX_VE_SSH_SOCKS5_USERNAME", "u"),
            ("PROXMOX_VE_SSH_SOCKS5_PASSWORD", "w"),
            ("PROXMOX_VE_MIN_TLS", "1.3"),
        ];
        let all = configure(json!({}), &variables).unwrap();
        assert_eq!(all.min_tls.as_deref(), Some("1.3"));
        let ssh = all.ssh;
        assert!(ssh.agent && ssh.agent_forwarding);
        assert_eq!((ssh.username.as_deref(), ssh.agent_socket.as_deref()), (Some("ops"), Some("/socket")));
        assert_eq!(
            (ssh.password, ssh.private_key),
            (Some(Secret("word".into())), Some(Secret("key".into())))
        );
        let proxy = ssh.proxy.unwrap();
        assert_eq!((&*proxy.server, proxy.username.as_deref()), ("p:1080", Some("u")));
        assert_eq!(proxy.password, Some(Secret("w".into())));
        let off = json!({"ssh": [{"agent": false, "agent_forwarding": false, "agent_socket": "/other"}]});
        let ssh = configure(off, &variables).unwrap().ssh;
        assert!(!ssh.agent && !ssh.agent_forwarding);
        assert_eq!(ssh.agent_socket.as_deref(), Some("/other"));
    }

    #[test]
    fn what_cannot_be_what_it_is_given_for_is_told_before_anything_is_asked() {
        let check = |name: &str, text: &str| {
            configure(json!({}), &[HERE, (name, text), ("PROXMOX_VE_PASSWORD", "p")]).unwrap().check()
        };
        for token in
            ["garbageToken", "root@pam=s", "root!t=s", "root@pam!t=", "root@pam!=s", "@pam!t=s", "a@b!c=d e"]
        {
            let error = check("PROXMOX_VE_API_TOKEN", token).unwrap_err();
            assert!(
                error.hint.contains("USER@REALM!NAME=SECRET") && !error.message.contains(token),
                "{error}"
            );
        }
        assert_eq!(check("PROXMOX_VE_API_TOKEN", "root@pam!t=0-a"), Ok(()));
        assert!(check("PROXMOX_VE_USERNAME", "root").unwrap_err().hint.contains("root@pam"));
        assert_eq!(check("PROXMOX_VE_USERNAME", "root@pam"), Ok(()));
        let alone = json!({"api_token": "root@pam!t=s", "ssh": [{"socks5_username": "u"}]});
        let error = configure(alone, &[HERE]).unwrap().check().unwrap_err();
        assert!(error.hint.contains("socks5_server"), "{error}");
    }
    #[test]
    fn random_ids_are_from_a_range_that_has_some() {
        let check = |start: Option<i64>, end: Option<i64>| {
            let block = json!({"api_token": "root@pam!t=s", "random_vm_ids": true, "random_vm_id_start": start,
                               "random_vm_id_end": end});
            configure(block, &[HERE]).unwrap().check().map_err(|error| error.message)
        };
        for good in [(None, None), (Some(100), Some(100)), (Some(50_000), None), (None, Some(10_000))] {
            assert_eq!(check(good.0, good.1), Ok(()), "{good:?}");
        }
        for bad in
            [(Some(90_000), Some(80_000)), (Some(50), None), (None, Some(9_999)), (Some(100_000), None)]
        {
            let message = check(bad.0, bad.1).unwrap_err();
            assert!(message.starts_with("random_vm_id_start is "), "{message}");
        }
    }
}
