//! A provider block with the environment variables behind it.

mod check;
mod settings;
mod ssh;
#[cfg(test)]
mod tests;

use std::fmt;

use pve_model::{Path, Value};

use self::settings::Settings;
pub use self::ssh::{SshConfiguration, SshProxy};
use super::ClusterSettings;
use crate::values::{flag, int};

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

/// A provider configuration, complete enough to connect.
#[derive(Clone, Debug)]
pub struct ProviderConfiguration {
    /// `https://HOST:8006/`
    pub endpoint: String,
    /// How to log in.
    pub login: Login,
    /// Any certificate is accepted.
    pub insecure: bool,
    /// The oldest version of TLS that is spoken; 1.3 where nothing is said, as the reference has it.
    pub min_tls: pve_api_client::TlsVersion,
    /// How nodes are reached by SSH.
    pub ssh: SshConfiguration,
    /// How the cluster is used.
    pub settings: ClusterSettings,
}

/// What a provider configuration lacks, or has and cannot be what it is given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IncompleteConfiguration {
    /// What is missing or wrong; where it is not in the block, by the name of the environment variable.
    pub message: String,
    /// What to write.
    pub hint: &'static str,
    /// Where it is written.
    pub place: SettingPlace,
}

/// Where a setting of a provider is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingPlace {
    /// Nowhere: the block lacks it.
    Missing,
    /// In the block.
    Block(Path),
    /// In an environment variable.
    Variable,
}

impl ProviderConfiguration {
    /// The configuration of a provider block; what it leaves out is taken from the environment (`PROXMOX_VE_...`, as
    /// the reference names them, else `PM_VE_...`, as it did before). `environment` looks up a variable.
    ///
    /// # Errors
    /// When there is no endpoint or no way to log in, or something cannot be what it is given for: a token, a user
    /// without a realm, a version of TLS, a port, a range of ids without any, or somebody to log in at no proxy. The value
    /// of a secret is not told.
    pub fn from_block(
        value: &Value,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ProviderConfiguration, IncompleteConfiguration> {
        check::by_schema(value)?;
        let settings = Settings { block: value, environment };
        let endpoint = settings
            .text("endpoint")
            .ok_or_else(|| {
                let hint = "set endpoint = \"https://HOST:8006/\" or PROXMOX_VE_ENDPOINT";
                settings::missing("the provider has no endpoint", hint)
            })
            .and_then(check::endpoint)?;
        let login = login(&settings)?;
        Ok(ProviderConfiguration {
            endpoint,
            ssh: ssh::read(&settings, &login)?,
            login,
            insecure: settings.switch("insecure"),
            min_tls: settings.text("min_tls").map_or(Ok(Default::default()), check::version)?,
            settings: ClusterSettings {
                random_vm_ids: random_vm_ids(value)?,
                allow_lockout: settings::is_on(environment(crate::families::ALLOW_LOCKOUT)),
                ..ClusterSettings::default()
            },
        })
    }
}

/// What a provider block means for a simulated cluster, which takes whoever comes.
#[derive(Clone, Debug)]
pub struct SimulatedConfiguration {
    /// Which cluster it stands for; empty where the block does not say.
    pub endpoint: String,
    /// The block logs in as a user, who may do what no token may.
    pub is_user: bool,
    /// How the cluster is used.
    pub settings: ClusterSettings,
}

impl SimulatedConfiguration {
    /// The configuration of a provider block; the environment is about real clusters.
    ///
    /// # Errors
    /// When the values are none that the block takes, or no id is in the range of random ones.
    pub fn from_block(value: &Value) -> Result<SimulatedConfiguration, IncompleteConfiguration> {
        check::by_schema(value)?;
        let settings = Settings { block: value, environment: &|_| None };
        let has = |name: &str| settings.text(name).is_some();
        let is_user =
            has("username") && has("password") || has("auth_ticket") && has("csrf_prevention_token");
        Ok(SimulatedConfiguration {
            endpoint: settings.text("endpoint").map(|setting| setting.text).unwrap_or_default(),
            is_user: is_user && !has("api_token"),
            settings: ClusterSettings { random_vm_ids: random_vm_ids(value)?, ..ClusterSettings::default() },
        })
    }
}

/// The range that ids are drawn from, if they are.
fn random_vm_ids(block: &Value) -> Result<Option<(u32, u32)>, IncompleteConfiguration> {
    if flag(block, "random_vm_ids") != Some(true) {
        return Ok(None);
    }
    let id = |name, absent| int(block, name).and_then(|id| u32::try_from(id).ok()).unwrap_or(absent);
    check::range((id("random_vm_id_start", 10_000), id("random_vm_id_end", 99_999)), block).map(Some)
}

fn login(settings: &Settings<'_>) -> Result<Login, IncompleteConfiguration> {
    if let Some(token) = settings.text("api_token") {
        return check::token(token).map(|token| Login::Token(Secret(token)));
    }
    let secret = |name: &str| settings.text(name).map(|setting| Secret(setting.text));
    if let (Some(ticket), Some(csrf)) = (secret("auth_ticket"), secret("csrf_prevention_token")) {
        return Ok(Login::Ticket(ticket, csrf));
    }
    match (settings.text("username"), secret("password")) {
        (Some(user), Some(password)) => Ok(Login::Password(check::user(user)?, password, secret("otp"))),
        _ => Err(settings::missing(
            "the provider has no way to log in",
            "set api_token or PROXMOX_VE_API_TOKEN (USER@REALM!NAME=SECRET), or username and password",
        )),
    }
}
