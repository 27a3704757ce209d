//! `connection` blocks: settings for SSH with the defaults of the reference, and connecting while a guest still starts.

use std::time::{Duration, Instant};

use pve_api_client::ssh::{
    HostKeyPolicy, SshAuthentication, SshError, SshErrorKind, SshSession, SshSettings, SshTarget,
};
use pve_executor::ports::{ProvisionError, ProvisionOutput};
use pve_model::Value;
use secrecy::SecretString;

use super::{failed, text};
use crate::duration::parse_duration;

/// How long a connection is tried for unless `timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The longest wait for one attempt.
const ATTEMPT: Duration = Duration::from_secs(30);
/// The first and the longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// A connection as it is configured.
pub(super) struct Settings {
    host: (SshTarget, SshSettings),
    bastion: Option<(SshTarget, SshSettings)>,
    timeout: Duration,
    /// Where scripts are put, with `%RAND%` for a number.
    pub(super) script_path: String,
}

impl Settings {
    /// The settings of a `connection` block.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub(super) fn of(connection: &Value) -> Result<Settings, ProvisionError> {
        let given = |name: &str| text(connection, name).filter(|text| !text.is_empty());
        let user = given("user").unwrap_or("root");
        let (password, key) = (given("password"), given("private_key"));
        let agent = connection.get("agent").and_then(Value::as_bool).unwrap_or(true);
        let own = Login { user, password, key, agent, host_key: given("host_key") };
        let host = (target(connection, "host", "port")?, own.settings());
        let bastion = match given("bastion_host") {
            None => None,
            Some(_) => {
                let login = Login {
                    user: given("bastion_user").unwrap_or(user),
                    password: given("bastion_password").or(password),
                    key: given("bastion_private_key").or(key),
                    agent,
                    host_key: given("bastion_host_key"),
                };
                Some((target(connection, "bastion_host", "bastion_port")?, login.settings()))
            }
        };
        let timeout = match given("timeout") {
            None => TIMEOUT,
            Some(text) => parse_duration(text).ok_or_else(|| {
                failed("`timeout` of the connection is no duration such as \"30s\" or \"5m\"")
            })?,
        };
        let script_path = given("script_path").unwrap_or("/tmp/terraform_%RAND%.sh").to_string();
        Ok(Settings { host, bastion, timeout, script_path })
    }

    /// Connects; again and again while the guest may still be starting, for as long as `timeout` says.
    ///
    /// # Errors
    /// With the last failure, when the time is over or more attempts would not help.
    pub(super) async fn connect(&self, output: &dyn ProvisionOutput) -> Result<SshSession, ProvisionError> {
        let (target, settings) = &self.host;
        let checked = match settings.host_keys {
            HostKeyPolicy::Anything => "; its host key is not checked (set `host_key`)",
            _ => "",
        };
        output.line(&format!("connecting to {}@{target}{checked}", settings.username));
        let bastion = self.bastion.as_ref().map(|(target, settings)| (target, settings));
        let deadline = Instant::now() + self.timeout;
        let mut pause = PAUSES.0;
        loop {
            match SshSession::connect(target, settings, bastion).await {
                Ok(session) => return Ok(session),
                Err(error) if may_pass(&error) && Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(error) => return Err(explained(&error)),
            }
        }
    }
}

/// Whether a guest that is still starting can be the cause.
fn may_pass(error: &SshError) -> bool {
    matches!(
        error.kind,
        SshErrorKind::Unreachable
            | SshErrorKind::TimedOut
            | SshErrorKind::Lost
            | SshErrorKind::LoginRefused
            | SshErrorKind::Refused
    )
}

/// A failure of the connection as one of the provisioner.
pub(super) fn explained(error: &SshError) -> ProvisionError {
    ProvisionError {
        message: "SSH failed".into(),
        detail: Some(error.to_string()),
        hint: error.hint().map(String::from),
    }
}

struct Login<'a> {
    user: &'a str,
    password: Option<&'a str>,
    key: Option<&'a str>,
    agent: bool,
    host_key: Option<&'a str>,
}

impl Login<'_> {
    fn settings(&self) -> SshSettings {
        let key = self
            .key
            .map(|key| SshAuthentication::PrivateKey { text: SecretString::from(key), passphrase: None });
        let password =
            self.password.map(|password| SshAuthentication::Password(SecretString::from(password)));
        let agent = self.agent.then_some(SshAuthentication::Agent { socket: None });
        let authentication = key.into_iter().chain(password).chain(agent).collect();
        let host_keys = match self.host_key {
            Some(key) => HostKeyPolicy::Pinned(vec![key.trim().to_string()]),
            None => HostKeyPolicy::Anything,
        };
        SshSettings { host_keys, connect_timeout: ATTEMPT, ..SshSettings::new(self.user, authentication) }
    }
}

fn target(connection: &Value, host: &str, port: &str) -> Result<SshTarget, ProvisionError> {
    let host = text(connection, host).unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host).to_string();
    let port = match connection.get(port).filter(|value| !value.is_null()) {
        None => 22,
        Some(value) => value
            .as_i64()
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| failed(format!("`{port}` of the connection is no port")))?,
    };
    Ok(SshTarget { host, port })
}
