//! The arguments of `backend "s3"`, as Terraform and OpenTofu have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::Value;
use zeroize::Zeroizing;

use crate::layout::Layout;

/// A text that is never shown and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// Keys given in the block. Without them they are found as the AWS tools find them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `access_key`.
    pub access_key: String,
    /// `secret_key`.
    pub secret_key: Secret,
    /// `token`, for temporary keys.
    pub token: Option<Secret>,
}

/// How the store encrypts, beside the seal that every event has anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket says.
    Bucket,
    /// `encrypt = true`: AES256 with the store's key.
    Aes256,
    /// `encrypt = true` with `kms_key_id`.
    Kms(String),
    /// `encrypt = true` with `sse_customer_key`: 32 bytes in base64.
    Customer(Secret),
}

/// The settings of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `bucket`.
    pub bucket: String,
    /// `key`: where Terraform would keep its state of the default environment.
    pub key: String,
    /// `region`.
    pub region: String,
    /// `workspace_key_prefix`; `env:` when it is not given.
    pub workspace_key_prefix: String,
    /// `endpoints.s3`; `None` for AWS.
    pub endpoint: Option<String>,
    /// `use_path_style`.
    pub path_style: bool,
    /// `encrypt`, `kms_key_id`, `sse_customer_key`.
    pub encryption: Encryption,
    /// `profile`.
    pub profile: Option<String>,
    /// `access_key`, `secret_key`, `token`.
    pub credentials: Option<Credentials>,
    /// `shared_config_files`.
    pub config_files: Vec<String>,
    /// `shared_credentials_files`.
    pub credentials_files: Vec<String>,
    /// `acl`.
    pub acl: Option<String>,
    /// `custom_ca_bundle`.
    pub ca_bundle: Option<String>,
    /// `assume_role`, or the older arguments for it.
    pub assume_role: Option<AssumeRole>,
    /// `assume_role_with_web_identity`.
    pub web_identity: Option<WebIdentity>,
    /// `dynamodb_table`: the table in which Terraform locks its state.
    pub lock_table: Option<String>,
    /// `endpoints.dynamodb`, where that table is; `None` for AWS.
    pub dynamodb_endpoint: Option<String>,
    /// `use_lockfile`: whether Terraform locks its state by an object.
    pub lock_file: bool,
    /// `endpoints.sts`, where roles are asked for.
    pub sts_endpoint: Option<String>,
    /// `sts_region`.
    pub sts_region: Option<String>,
    /// `allowed_account_ids`; empty for all.
    pub allowed_accounts: Vec<String>,
    /// `forbidden_account_ids`.
    pub forbidden_accounts: Vec<String>,
    /// `use_dualstack_endpoint`. Without it the environment and the profile are asked.
    pub dual_stack: bool,
    /// `use_fips_endpoint`; the same.
    pub fips: bool,
    /// `http_proxy`, for endpoints with http. Without it the environment is asked.
    pub http_proxy: Option<String>,
    /// `https_proxy`, for those with https; the same.
    pub https_proxy: Option<String>,
    /// `no_proxy`.
    pub no_proxy: Option<String>,
    /// `skip_s3_checksum`: writes carry no checksum beyond what is required.
    pub skip_checksum: bool,
    /// Arguments that are taken and have no effect here, and why.
    pub remarks: Vec<String>,
}

/// What is wrong with an argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It must be given.
    #[error("backend \"s3\": {argument} is missing{}", from.map(|from| format!("; give it, or set {from}")).unwrap_or_default())]
    Missing {
        /// The argument.
        argument: &'static str,
        /// Environment variables that it can come from.
        from: Option<&'static str>,
    },
    /// The backend has no such argument.
    #[error("backend \"s3\" has no argument {0}")]
    Unknown(String),
    /// Terraform has it, and `pve` does not.
    #[error("backend \"s3\": {argument} cannot be used: {reason}")]
    Unsupported {
        /// The argument.
        argument: String,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// Its value cannot be used.
    #[error("backend \"s3\": {argument} {reason}")]
    Invalid {
        /// The argument.
        argument: String,
        /// Why, as the end of a sentence.
        reason: String,
    },
}

impl Settings {
    /// Reads the arguments of the block. `environment` is asked for variables that stand in for absent ones.
    ///
    /// # Errors
    /// With everything that is wrong, in the order of the arguments' names.
    pub fn from_arguments(
        arguments: &BTreeMap<Arc<str>, Value>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, Vec<SettingsError>> {
        let mut reader = Reader { arguments, environment, errors: Vec::new(), read: Vec::new() };
        let settings = reader.settings();
        reader.judge_the_rest();
        match settings {
            Some(settings) if reader.errors.is_empty() => Ok(settings),
            _ => Err(reader.errors),
        }
    }

    /// Where the log of an environment is: beside the key that Terraform would keep its state at, never under it,
    /// since some stores cannot have an object and a folder of one name.
    pub fn layout(&self, environment: &str) -> Layout {
        let prefix = format!("{}.pve", self.state_key(environment));
        Layout::new(&*prefix).called(self.place_of(&prefix))
    }

    /// The key that Terraform would keep its state of an environment at.
    pub fn state_key(&self, environment: &str) -> String {
        let key = &self.key;
        match environment {
            "default" => key.clone(),
            _ if self.workspace_key_prefix.is_empty() => format!("{environment}/{key}"),
            _ => format!("{}/{environment}/{key}", self.workspace_key_prefix),
        }
    }

    /// How Terraform calls its lock on the state of an environment in a table of DynamoDB.
    pub(crate) fn lock_id(&self, environment: &str) -> String {
        format!("{}/{}", self.bucket, self.state_key(environment))
    }

    /// How the log of an environment is called where it is told of.
    pub fn place(&self, environment: &str) -> String {
        self.layout(environment).name().into()
    }

    fn place_of(&self, prefix: &str) -> String {
        let place = format!("s3://{}/{prefix}", self.bucket);
        match &self.endpoint {
            Some(endpoint) => format!("{place} at {endpoint}"),
            None => place,
        }
    }
}

struct Reader<'a> {
    arguments: &'a BTreeMap<Arc<str>, Value>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<SettingsError>,
    read: Vec<&'static str>,
}

impl Reader<'_> {
    /// Reads all that has an effect; `None` when something that is needed is missing.
    fn settings(&mut self) -> Option<Settings> {
        let bucket = self.needed("bucket", None);
        let key = self.needed("key", None);
        let region = self.needed("region", Some("AWS_REGION or AWS_DEFAULT_REGION"));
        let workspace_key_prefix = self.workspace_key_prefix();
        self.check_path("key", key.as_deref().unwrap_or_default());
        self.check_path("workspace_key_prefix", &workspace_key_prefix);
        let endpoint = self.endpoint();
        let path_style = self.flag("use_path_style") | self.flag("force_path_style");
        let encryption = self.encryption();
        let profile = self.text("profile");
        let credentials = self.credentials();
        let config_files = self.paths("shared_config_files");
        let mut credentials_files = self.paths("shared_credentials_files");
        credentials_files.extend(self.path("shared_credentials_file"));
        let acl = self.text("acl");
        let ca_bundle = self.path("custom_ca_bundle").or_else(|| self.variable(&["AWS_CA_BUNDLE"]));
        // `false` is what is done anyway.
        if self.flag("insecure") {
            self.unsupported("insecure", INSECURE);
        }
        let (allowed_accounts, forbidden_accounts) = self.accounts();
        let assume_role = self.assume_role();
        let web_identity = self.web_identity();
        let (lock_table, lock_file) = (self.text("dynamodb_table"), self.flag("use_lockfile"));
        let dynamodb_endpoint = self.endpoint_of(&DYNAMODB);
        let sts_endpoint = self.endpoint_of(&STS);
        let sts_region = self.text("sts_region");
        let (dual_stack, fips) = (self.flag("use_dualstack_endpoint"), self.flag("use_fips_endpoint"));
        let (http_proxy, https_proxy) = (self.text("http_proxy"), self.text("https_proxy"));
        let no_proxy = self.text("no_proxy");
        let skip_checksum = self.flag("skip_s3_checksum");
        let remarks = self.remarks();
        Some(Settings {
            bucket: bucket?,
            key: key?,
            region: region?,
            workspace_key_prefix,
            endpoint,
            path_style,
            encryption,
            profile,
            credentials,
            config_files,
            credentials_files,
            acl,
            ca_bundle,
            assume_role,
            web_identity,
            lock_table,
            dynamodb_endpoint,
            lock_file,
            sts_endpoint,
            sts_region,
            allowed_accounts,
            forbidden_accounts,
            dual_stack,
            fips,
            http_proxy,
            https_proxy,
            no_proxy,
            skip_checksum,
            remarks,
        })
    }

    /// The value of an argument that is given and not null.
    fn value(&mut self, name: &'static str) -> Option<Value> {
        self.read.push(name);
        let value = self.arguments.get(name)?.unmark_deep().0;
        if !value.is_wholly_known() {
            self.invalid(name, "must be known before anything is read");
            return None;
        }
        if value.is_null() { None } else { Some(value) }
    }

    fn invalid(&mut self, argument: &str, reason: &str) {
        self.errors.push(SettingsError::Invalid { argument: argument.into(), reason: reason.into() });
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        let text = value.as_str().map(String::from);
        if text.is_none() {
            self.invalid(name, "must be a string");
        }
        text.filter(|text| !text.is_empty())
    }

    fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.text(name).map(|text| Secret(Zeroizing::new(text)))
    }

    fn needed(&mut self, argument: &'static str, from: Option<&'static str>) -> Option<String> {
        let faults = self.errors.len();
        let default = from.and_then(|from| from.split(" or ").find_map(|name| self.variable(&[name])));
        let found = self.text(argument).or(default);
        if found.is_none() && self.errors.len() == faults {
            self.errors.push(SettingsError::Missing { argument, from });
        }
        found
    }

    fn flag(&mut self, name: &'static str) -> bool {
        let Some(value) = self.value(name) else { return false };
        let flag = value.as_bool().or(match value.as_str() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        });
        if flag.is_none() {
            self.invalid(name, "must be true or false");
        }
        flag.unwrap_or_default()
    }

    fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.value(name).map(|value| self.list(name, &value)).unwrap_or_default()
    }

    fn check_path(&mut self, name: &str, path: &str) {
        if path.starts_with('/') || path.ends_with('/') {
            self.invalid(name, "must not begin or end with \"/\"");
        }
    }

    fn encryption(&mut self) -> Encryption {
        let encrypt = self.flag("encrypt");
        let kms = self.text("kms_key_id");
        let variable = self.variable(&["AWS_SSE_CUSTOMER_KEY"]).filter(|_| encrypt);
        let variable = variable.map(|text| Secret(Zeroizing::new(text)));
        let customer = self.secret("sse_customer_key").or(variable);
        if let Some(key) = &customer {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD.decode(key.expose()).map(Zeroizing::new);
            if bytes.map_or(true, |bytes| bytes.len() != 32) {
                self.invalid("sse_customer_key", "must be 32 bytes in base64");
            }
            if kms.is_some() {
                self.invalid("sse_customer_key", "cannot be given together with kms_key_id");
            }
        }
        match (encrypt, kms, customer) {
            (false, _, _) => Encryption::Bucket,
            (true, Some(id), _) => Encryption::Kms(id),
            (true, None, Some(key)) => Encryption::Customer(key),
            (true, None, None) => Encryption::Aes256,
        }
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let access_key = self.text("access_key");
        let secret_key = self.secret("secret_key");
        let token = self.secret("token");
        match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => Some(Credentials { access_key, secret_key, token }),
            (None, None) => {
                if token.is_some() {
                    self.invalid("token", "needs access_key and secret_key");
                }
                None
            }
            (access_key, _) => {
                let (given, absent) = match access_key {
                    Some(_) => ("access_key", "secret_key"),
                    None => ("secret_key", "access_key"),
                };
                self.invalid(given, &format!("needs {absent}"));
                None
            }
        }
    }
}

#[path = "settings_network.rs"]
mod network;
#[path = "settings_rest.rs"]
mod rest;
#[path = "settings_role.rs"]
mod role;

pub(crate) use network::checked_endpoint;
use network::{DYNAMODB, INSECURE, STS};
pub use role::{AssumeRole, WebIdentity};

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
