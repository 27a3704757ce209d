//! Credentials of roles, and which account credentials are of: what STS is asked.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_sts::Client;
use aws_sdk_sts::types::{Credentials as Session, PolicyDescriptorType, Tag};

use crate::aws::ConnectError;
use crate::settings::{AssumeRole, Settings, WebIdentity};

/// How a session is called when nothing else is said.
const SESSION: &str = "pve";

/// The credentials of the role that the settings name; `None` when they name none. `sts` is what STS is asked with,
/// and has the credentials of whoever takes a role on.
pub(crate) fn credentials(settings: &Settings, sts: &SdkConfig) -> Option<SharedCredentialsProvider> {
    let federated = settings
        .web_identity
        .clone()
        .map(|identity| SharedCredentialsProvider::new(Federated { client: Client::new(sts), identity }));
    let Some(role) = settings.assume_role.clone() else { return federated };
    let client = match federated {
        Some(federated) => Client::new(&sts.to_builder().credentials_provider(federated).build()),
        None => Client::new(sts),
    };
    Some(SharedCredentialsProvider::new(Assumed { client, role }))
}

/// Refuses credentials of an account that is not allowed.
///
/// # Errors
/// When it is not, or cannot be told.
pub(crate) async fn check_account(settings: &Settings, sts: &SdkConfig) -> Result<(), ConnectError> {
    let (allowed, forbidden) = (&settings.allowed_accounts, &settings.forbidden_accounts);
    if allowed.is_empty() && forbidden.is_empty() {
        return Ok(());
    }
    let identity = Client::new(sts).get_caller_identity().send().await;
    let identity =
        identity.map_err(|error| ConnectError::UnknownAccount(DisplayErrorContext(&error).to_string()))?;
    let account = identity.account().unwrap_or_default().to_string();
    if account.is_empty() {
        return Err(ConnectError::UnknownAccount("the answer has none".into()));
    }
    if forbidden.contains(&account) || !(allowed.is_empty() || allowed.contains(&account)) {
        let forbidden = forbidden.contains(&account);
        return Err(ConnectError::Account { account, forbidden });
    }
    Ok(())
}

/// A role that is taken on with other credentials.
#[derive(Debug)]
struct Assumed {
    client: Client,
    role: AssumeRole,
}

impl Assumed {
    async fn take_on(&self) -> provider::Result {
        let role = &self.role;
        let tags = role.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags.collect::<Result<Vec<Tag>, _>>().map_err(CredentialsError::invalid_configuration)?;
        let request = self
            .client
            .assume_role()
            .role_arn(&role.role_arn)
            .role_session_name(role.session_name.as_deref().unwrap_or(SESSION))
            .set_external_id(role.external_id.clone())
            .set_policy(role.policy.clone())
            .set_policy_arns(policies(&role.policy_arns))
            .set_duration_seconds(role.duration.map(seconds))
            .set_tags(given(tags))
            .set_transitive_tag_keys(given(role.transitive_tag_keys.clone()))
            .set_source_identity(role.source_identity.clone());
        let answer = request.send().await.map_err(CredentialsError::provider_error)?;
        session(answer.credentials)
    }
}

impl ProvideCredentials for Assumed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.take_on())
    }
}

/// A role that is taken on with a token of another place.
#[derive(Debug)]
struct Federated {
    client: Client,
    identity: WebIdentity,
}

impl Federated {
    async fn take_on(&self) -> provider::Result {
        let identity = &self.identity;
        let token = match &identity.token {
            Some(token) => token.expose().to_string(),
            // Whoever hands tokens out replaces the file.
            None => tokio::fs::read_to_string(&identity.token_file).await.map_err(|error| {
                CredentialsError::invalid_configuration(format!(
                    "the token {} cannot be read: {error}",
                    identity.token_file
                ))
            })?,
        };
        let request = self
            .client
            .assume_role_with_web_identity()
            .role_arn(&identity.role_arn)
            .role_session_name(identity.session_name.as_deref().unwrap_or(SESSION))
            .web_identity_token(token.trim())
            .set_policy(identity.policy.clone())
            .set_policy_arns(policies(&identity.policy_arns))
            .set_duration_seconds(identity.duration.map(seconds));
        let answer = request.send().await.map_err(CredentialsError::provider_error)?;
        session(answer.credentials)
    }
}

impl ProvideCredentials for Federated {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.take_on())
    }
}

fn session(found: Option<Session>) -> provider::Result {
    let found = found.ok_or_else(|| CredentialsError::unhandled("STS gave no credentials"))?;
    let until = SystemTime::try_from(found.expiration).map_err(CredentialsError::unhandled)?;
    let (id, secret, token) = (found.access_key_id, found.secret_access_key, found.session_token);
    Ok(Credentials::new(id, secret, Some(token), Some(until), "role"))
}

fn policies(arns: &[String]) -> Option<Vec<PolicyDescriptorType>> {
    given(arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build()).collect())
}

fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
