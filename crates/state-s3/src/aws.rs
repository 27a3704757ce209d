//! The client of S3 and of what speaks its protocol.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials as AwsCredentials, RequestChecksumCalculation, SharedHttpClient};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use crate::answers::{Refusal, judge_read, judge_write};
use crate::roles;
use crate::settings::{Encryption, Settings};
use crate::store::{Object, ObjectStore, Page, StoreError};

/// How long a connection may take, and one request with its answer: short enough that a lease can be renewed by a later one.
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(10);
/// Bytes that are sent within that time on any line, and bytes a second that longer bodies are given the time for.
const SMALL: u64 = 1_000_000;
const SLOWEST: u64 = 50_000;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file of certificates cannot be read.
    #[error("the CA file {path} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The proxy cannot be used.
    #[error("the proxy cannot be used: {0}")]
    Proxy(String),
    /// The certificates cannot be used.
    #[error("the CA file cannot be used: {0}")]
    Certificates(String),
    /// It cannot be told where AWS has a service.
    #[error("AWS has no such endpoint: {0}")]
    NoEndpoint(String),
    /// The account of the credentials is not one that the settings allow.
    #[error("the credentials are of the account {account}, which is {}", if *forbidden { "one of forbidden_account_ids" } else { "none of allowed_account_ids" })]
    Account {
        /// Its id.
        account: String,
        /// Whether it is named, instead of missing among those that are.
        forbidden: bool,
    },
    /// The account cannot be told.
    #[error("it cannot be told which account the credentials are of: {0}")]
    UnknownAccount(String),
}

/// A bucket.
pub struct AwsStore {
    client: Client,
    bucket: String,
    encryption: Encryption,
    acl: Option<ObjectCannedAcl>,
}

impl AwsStore {
    /// A client by these settings. Credentials that the settings do not have are found as the AWS tools find them, when
    /// the first request needs them: environment, profile, SSO, web identity, container, instance.
    ///
    /// # Errors
    /// When certificates cannot be read, or the account is not allowed. No request is sent, unless accounts are allowed
    /// or forbidden.
    pub async fn connect(settings: &Settings) -> Result<AwsStore, ConnectError> {
        AwsStore::with(settings, &authorized(settings).await?)
    }

    /// The same, with what [`authorized`] found.
    pub(crate) fn with(settings: &Settings, shared: &SdkConfig) -> Result<AwsStore, ConnectError> {
        // Each request once: whether to send it again is decided where writes have ids.
        let mut config = aws_sdk_s3::config::Builder::from(shared)
            .retry_config(RetryConfig::disabled())
            .force_path_style(settings.path_style);
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        if settings.skip_checksum {
            config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        }
        config = config.http_client(http_client(settings, settings.endpoint.as_deref())?);
        Ok(AwsStore {
            client: Client::from_conf(config.build()),
            bucket: settings.bucket.clone(),
            encryption: settings.encryption.clone(),
            acl: settings.acl.as_deref().map(ObjectCannedAcl::from),
        })
    }

    fn putting(&self, key: &str, body: Vec<u8>) -> PutObjectFluentBuilder {
        let request = self.client.put_object().bucket(&self.bucket).key(key);
        let request = request.content_type("application/json").set_acl(self.acl.clone());
        let request = request.body(ByteStream::from(body));
        match &self.encryption {
            Encryption::Bucket => request,
            Encryption::Aes256 => request.server_side_encryption(ServerSideEncryption::Aes256),
            Encryption::Kms(id) => {
                request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(id)
            }
            Encryption::Customer(secret) => request
                .sse_customer_algorithm("AES256")
                .sse_customer_key(secret.expose())
                .sse_customer_key_md5(key_digest(secret.expose())),
        }
    }

    async fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let mut request = self.client.get_object().bucket(&self.bucket).key(key);
        if let Encryption::Customer(secret) = &self.encryption {
            request = request
                .sse_customer_algorithm("AES256")
                .sse_customer_key(secret.expose())
                .sse_customer_key_md5(key_digest(secret.expose()));
        }
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) => {
                return match judge_read(key, &error) {
                    Refusal::Absent => Ok(None),
                    Refusal::Error(error) => Err(error),
                };
            }
        };
        let version = version(found.e_tag()).ok_or_else(|| no_version(key))?;
        let cut = |error| StoreError::Unclear(format!("the answer for {key} was cut off: {error}"));
        let body = found.body.collect().await.map_err(cut)?.to_vec();
        Ok(Some(Object { body, version }))
    }

    async fn page(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let request = request.set_start_after((!after.is_empty()).then(|| after.to_string()));
        let page = request.send().await.map_err(|error| match judge_read(prefix, &error) {
            Refusal::Absent => StoreError::Refused(format!("{prefix} cannot be listed: not found")),
            Refusal::Error(error) => error,
        })?;
        let more = page.is_truncated == Some(true);
        Ok(Page {
            keys: page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect(),
            more,
        })
    }

    async fn write(
        &self,
        key: &str,
        length: u64,
        request: PutObjectFluentBuilder,
    ) -> Result<String, StoreError> {
        let mut request = request.customize();
        if length > SMALL {
            let time = REQUEST + Duration::from_secs(length / SLOWEST);
            let time = TimeoutConfig::builder().operation_attempt_timeout(time).build();
            request = request.config_override(aws_sdk_s3::config::Builder::new().timeout_config(time));
        }
        let written = request.send().await.map_err(|error| judge_write(key, &error))?;
        version(written.e_tag()).ok_or_else(|| no_version(key))
    }
}

#[async_trait]
impl ObjectStore for AwsStore {
    async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, StoreError> {
        let written = self.write(key, body.len() as u64, self.putting(key, body).if_none_match("*")).await;
        told("PUT if absent", key, written)
    }

    async fn replace(&self, key: &str, version: &str, body: Vec<u8>) -> Result<String, StoreError> {
        let written = self.write(key, body.len() as u64, self.putting(key, body).if_match(version)).await;
        told("PUT if unchanged", key, written)
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        told("PUT", key, self.write(key, body.len() as u64, self.putting(key, body)).await).map(drop)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        told("GET", key, self.read(key).await)
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        told("LIST", prefix, self.page(prefix, after).await)
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let removed = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        let removed = removed.map(drop).map_err(|error| judge_write(key, &error));
        told("DELETE", key, removed)
    }
}

/// Shows a request and what came of it.
fn told<T>(request: &str, key: &str, result: Result<T, StoreError>) -> Result<T, StoreError> {
    match &result {
        Ok(_) => tracing::debug!("{request} {key}: done"),
        Err(error) => tracing::debug!("{request} {key}: {error}"),
    }
    result
}

/// Without the quotes: AWS takes both forms in conditions, Ceph's gateway this one only.
fn version(tag: Option<&str>) -> Option<String> {
    let tag = tag?.trim_matches('"');
    (!tag.is_empty()).then(|| tag.to_string())
}

fn no_version(key: &str) -> StoreError {
    StoreError::Unclear(format!("the store gives no ETag of {key}"))
}

fn key_digest(key: &str) -> String {
    let bytes = zeroize::Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
    STANDARD.encode(Md5::digest(&*bytes))
}

/// What AWS services are asked with, with the credentials of the role, of an account that is allowed.
///
/// # Errors
/// As [`AwsStore::connect`].
pub(crate) async fn authorized(settings: &Settings) -> Result<SdkConfig, ConnectError> {
    let mut shared = shared_configuration(settings).await?;
    let mut sts = for_roles(settings, &shared)?;
    if let Some(provider) = roles::credentials(settings, &sts) {
        shared = shared.to_builder().credentials_provider(provider.clone()).build();
        sts = sts.to_builder().credentials_provider(provider).build();
    }
    roles::check_account(settings, &sts).await?;
    Ok(shared)
}

async fn shared_configuration(settings: &Settings) -> Result<SdkConfig, ConnectError> {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(REQUEST).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .timeout_config(timeouts)
        .http_client(http_client(settings, None)?);
    if settings.dual_stack {
        loader = loader.use_dual_stack(true);
    }
    if settings.fips {
        loader = loader.use_fips(true);
    }
    let files = profile_files(settings);
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
        // Who names a profile does not mean the keys of the environment.
        if settings.credentials.is_none() {
            let asking = ProviderConfig::without_region()
                .with_region(Some(Region::new(settings.region.clone())))
                .with_http_client(http_client(settings, None)?);
            let named = ProfileFileCredentialsProvider::builder().configure(&asking).profile_name(profile);
            let named = match &files {
                Some(files) => named.profile_files(files.clone()),
                None => named,
            };
            loader = loader.credentials_provider(named.build());
        }
    }
    if let Some(files) = files {
        loader = loader.profile_files(files);
    }
    if let Some(found) = &settings.credentials {
        let token = found.token.as_ref().map(|token| token.expose().to_string());
        let (id, secret) = (found.access_key.clone(), found.secret_key.expose().to_string());
        loader = loader.credentials_provider(AwsCredentials::new(id, secret, token, None, "backend"));
    }
    Ok(loader.load().await)
}

pub(crate) fn profile_files(settings: &Settings) -> Option<EnvConfigFiles> {
    if settings.config_files.is_empty() && settings.credentials_files.is_empty() {
        return None;
    }
    let mut files = EnvConfigFiles::builder()
        .include_default_config_file(settings.config_files.is_empty())
        .include_default_credentials_file(settings.credentials_files.is_empty());
    for path in &settings.config_files {
        files = files.with_file(EnvConfigFileKind::Config, path);
    }
    for path in &settings.credentials_files {
        files = files.with_file(EnvConfigFileKind::Credentials, path);
    }
    Some(files.build())
}

fn http_client(settings: &Settings, endpoint: Option<&str>) -> Result<SharedHttpClient, ConnectError> {
    let connecting = connecting(settings, endpoint)?;
    Ok(aws_smithy_http_client::Builder::new().build_with_connector_fn(connecting))
}

/// For requests that no client of a service makes: they end in time by themselves.
pub(crate) fn connector(settings: &Settings, endpoint: &str) -> Result<Connector, ConnectError> {
    let timeouts = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(REQUEST).build();
    Ok(connecting(settings, Some(endpoint))?(Some(&timeouts), None))
}

fn connecting(
    settings: &Settings,
    endpoint: Option<&str>,
) -> Result<
    impl Fn(Option<&HttpConnectorSettings>, Option<&RuntimeComponents>) -> Connector + use<>,
    ConnectError,
> {
    let mut context = tls::TlsContext::default();
    if let Some(path) = &settings.ca_bundle {
        let pem = std::fs::read(path)
            .map_err(|source| ConnectError::CaFile { path: PathBuf::from(path), source })?;
        let trust = tls::TrustStore::default().with_pem_certificate(pem);
        let built = tls::TlsContext::builder().with_trust_store(trust).build();
        context = built.map_err(|error| ConnectError::Certificates(error.to_string()))?;
    }
    let proxy = proxy(settings, endpoint.unwrap_or("https://"))?;
    Ok(move |timeouts: Option<&HttpConnectorSettings>, parts: Option<&RuntimeComponents>| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(timeouts.cloned());
        builder.set_sleep_impl(parts.and_then(RuntimeComponents::sleep_impl));
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        builder.proxy_config(proxy.clone()).tls_provider(provider).tls_context(context.clone()).build()
    })
}

/// The proxy that is named for endpoints like this one; else that of the environment, which is not for stores on this
/// machine.
fn proxy(settings: &Settings, endpoint: &str) -> Result<ProxyConfig, ConnectError> {
    let (scheme, host) = endpoint.split_once("://").unwrap_or_default();
    let named = if scheme == "http" { &settings.http_proxy } else { &settings.https_proxy };
    let Some(url) = named else {
        let here = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
        return Ok(if here { ProxyConfig::disabled() } else { ProxyConfig::from_env() });
    };
    let config = ProxyConfig::all(url.clone()).map_err(|error| ConnectError::Proxy(error.to_string()))?;
    Ok(match &settings.no_proxy {
        Some(rules) => config.no_proxy(rules),
        None => config,
    })
}

/// What STS is asked with.
fn for_roles(settings: &Settings, shared: &SdkConfig) -> Result<SdkConfig, ConnectError> {
    let endpoint = settings.sts_endpoint.as_deref();
    let mut builder = shared.to_builder().http_client(http_client(settings, endpoint)?);
    builder.set_endpoint_url(endpoint.map(String::from));
    if let Some(region) = &settings.sts_region {
        builder.set_region(Some(Region::new(region.clone())));
    }
    Ok(builder.build())
}
