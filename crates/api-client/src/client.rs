//! One cluster's API: its requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::answer::{data, read_whole};
use crate::error::{ApiError, ErrorKind};
use crate::login::{Credentials, Ticket};
use crate::tls::{self, TlsVersion};

/// Which certificates are trusted.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those of a CA in PEM, beside the system's.
    Authority(Vec<u8>),
    /// The one with this SHA-256 and no other, whoever signed it: `AA:BB:...` as Proxmox VE shows it, or without colons.
    Fingerprint(String),
    /// Any: asked for by `insecure`.
    Anything,
}

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `https://HOST:8006/`; a path after it is not looked at.
    pub endpoint: String,
    /// How to log in.
    pub credentials: Credentials,
    /// Which certificates are trusted.
    pub trust: Trust,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// Requests at a time.
    pub parallelism: usize,
}

/// The verb of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Changes.
    Put,
    /// Removes; parameters stand in the address, because a body is refused.
    Delete,
}

impl Method {
    fn name(self) -> reqwest::Method {
        match self {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        }
    }
}

/// A connection to a cluster.
pub struct Client {
    pub(crate) http: reqwest::Client,
    base: String,
    pub(crate) credentials: Credentials,
    pub(crate) ticket: Mutex<Option<Ticket>>,
    permits: Semaphore,
}

/// Reads are repeated this often when the connection fails: they change nothing.
const READ_TRIES: u32 = 3;

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// When the endpoint is no URL, the CA no certificate, or the fingerprint none.
    pub fn new(options: ClientOptions) -> Result<Client, ApiError> {
        Client::with_oldest_tls(options, TlsVersion::default())
    }

    /// As [`Client::new`], and refuses servers that speak only older versions of TLS than this one.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn with_oldest_tls(options: ClientOptions, oldest: TlsVersion) -> Result<Client, ApiError> {
        let fault = |message: String| ApiError {
            operation: format!("connect to {}", options.endpoint),
            message,
            parameters: BTreeMap::new(),
            kind: ErrorKind::Unreachable,
        };
        let Some(endpoint) = origin(&options.endpoint) else {
            return Err(fault("the endpoint must be a URL such as https://HOST:8006/".into()));
        };
        let mut builder = reqwest::Client::builder().timeout(options.timeout).http1_only();
        builder = builder.tls_version_min(oldest.for_http());
        builder = match &options.trust {
            Trust::System => builder,
            Trust::Authority(pem) => {
                let certificate = reqwest::Certificate::from_pem(pem);
                builder.tls_certs_merge([certificate.map_err(|error| fault(error.to_string()))?])
            }
            Trust::Fingerprint(fingerprint) => {
                builder.tls_backend_preconfigured(tls::trust_fingerprint(fingerprint, oldest).map_err(fault)?)
            }
            Trust::Anything => builder.tls_danger_accept_invalid_certs(true),
        };
        Ok(Client {
            http: builder.build().map_err(|error| fault(error.to_string()))?,
            base: format!("{endpoint}/api2/json/"),
            credentials: options.credentials,
            ticket: Mutex::new(None),
            permits: Semaphore::new(options.parallelism.max(1)),
        })
    }

    /// The host of the endpoint, without brackets.
    pub fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.base).ok();
        let host = url.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']').to_string()
    }

    /// The scheme, host and port of the endpoint: what is the same for one cluster that is named in two ways.
    pub fn server(&self) -> String {
        origin(&self.base).unwrap_or_else(|| self.base.clone())
    }

    /// Sends a request and returns its `data`. Reads are repeated when the connection fails; nothing else is.
    ///
    /// # Errors
    /// As [`ErrorKind`] tells apart.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<Json, ApiError> {
        data(format!("{} {path}", method.name()), self.send_whole(method, path, params).await?)
    }

    /// As [`Client::send`], with what the answer says beside its data, for instance `changes` of a node's network.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_whole(
        &self,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let mut pause = Duration::from_millis(100);
        for _ in 1..READ_TRIES {
            match self.send_once(method, path, params).await {
                Err(error)
                    if method == Method::Get
                        && matches!(error.kind, ErrorKind::Lost | ErrorKind::Unreachable) =>
                {
                    tokio::time::sleep(pause).await;
                    pause *= 4;
                }
                answer => return answer,
            }
        }
        self.send_once(method, path, params).await
    }

    /// A ticket that is not taken any more is renewed once: a refused login has no other effect.
    async fn send_once(
        &self,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let begun = Instant::now();
        match self.request(method, path, params).await {
            Err(error) if error.status() == Some(401) && self.forget_ticket_before(begun).await => {
                self.request(method, path, params).await
            }
            answer => answer,
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let operation = format!("{} {path}", method.name());
        let headers = self.login(method).await?;
        let _permit = self.permits.acquire().await;
        let mut request =
            self.http.request(method.name(), format!("{}{}", self.base, path.trim_start_matches('/')));
        request = match method {
            Method::Get | Method::Delete if params.is_empty() => request,
            Method::Get | Method::Delete => request.query(params),
            Method::Post | Method::Put => request.form(params),
        };
        tracing::debug!(%operation, "request");
        let answer = request.headers(headers).send().await;
        read_whole(operation, answer).await
    }

    /// The address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{}", self.base, path.trim_start_matches('/'))
    }
}

/// The part of an endpoint that tells one server from another, `https://HOST` or `https://HOST:PORT`; nothing where it
/// is no address of an API. Proxmox VE speaks nothing but HTTPS, and a login would go over the wire in plain text.
///
/// ```
/// assert_eq!(pve_api_client::origin("https://pve:8006/api2/json/").as_deref(), Some("https://pve:8006"));
/// assert_eq!(pve_api_client::origin("pve:8006"), None);
/// ```
pub fn origin(endpoint: &str) -> Option<String> {
    let url = reqwest::Url::parse(endpoint.trim()).ok()?;
    (url.scheme() == "https" && url.host_str().is_some()).then(|| url.origin().ascii_serialization())
}
