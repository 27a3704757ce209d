//! Module registries: which service a host has, which versions a module has, where one version is.
//! <https://developer.hashicorp.com/terraform/internals/module-registry-protocol>

use std::collections::HashMap;
use std::sync::Arc;

use pve_config::configuration::{Version, VersionConstraint};
use reqwest::{Client, StatusCode};
use serde_json::Value as Json;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::download::{address_header, get, refusal, text_of};
use crate::error::FetchError;
use crate::settings::Settings;
use crate::source::RegistryModule;

/// Answers by what was asked, so that nothing is asked twice in a run.
struct Memory<T>(Mutex<HashMap<String, Arc<OnceCell<T>>>>);

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory(Mutex::default())
    }
}

impl<T> Memory<T> {
    async fn cell(&self, key: &str) -> Arc<OnceCell<T>> {
        self.0.lock().await.entry(key.into()).or_default().clone()
    }
}

/// The registries of a run.
pub(crate) struct Registries<'a> {
    client: &'a Client,
    settings: &'a Settings,
    services: Memory<Url>,
    versions: Memory<Vec<Version>>,
}

impl<'a> Registries<'a> {
    pub(crate) fn new(client: &'a Client, settings: &'a Settings) -> Registries<'a> {
        Registries { client, settings, services: Memory::default(), versions: Memory::default() }
    }

    /// The newest version that fits.
    ///
    /// # Errors
    /// When the registry cannot be asked or has none.
    pub(crate) async fn select(
        &self,
        module: &RegistryModule,
        wanted: Option<&VersionConstraint>,
    ) -> Result<Version, FetchError> {
        let cell = self.versions.cell(&format!("{}/{}", module.host, module.path())).await;
        let versions = cell.get_or_try_init(|| self.list(module)).await?;
        let fits = |version: &&Version| match wanted {
            Some(wanted) => wanted.selects(version),
            None => !version.is_pre_release(),
        };
        versions.iter().filter(fits).max().cloned().ok_or_else(|| none_fits(module, wanted, versions))
    }

    async fn list(&self, module: &RegistryModule) -> Result<Vec<Version>, FetchError> {
        let url = self.address(module, "versions").await?;
        let (_, body) = self.ask(module, &url).await?;
        let answer: Json = serde_json::from_str(&body)
            .map_err(|_| FetchError::plain(format!("{url}: the registry's answer is no JSON")))?;
        let listed = answer["modules"][0]["versions"].as_array();
        let listed =
            listed.ok_or_else(|| FetchError::plain(format!("{url}: the registry lists no versions")))?;
        Ok(listed.iter().filter_map(|entry| entry["version"].as_str()?.parse().ok()).collect())
    }

    /// Where a version is: a source address.
    ///
    /// # Errors
    /// When the registry does not say.
    pub(crate) async fn locate(
        &self,
        module: &RegistryModule,
        version: &Version,
    ) -> Result<String, FetchError> {
        let url = self.address(module, &format!("{version}/download")).await?;
        let (header, body) = self.ask(module, &url).await?;
        let in_body = || {
            let answer: Json = serde_json::from_str(&body).ok()?;
            answer["location"].as_str().map(String::from)
        };
        let Some(location) = header.or_else(in_body).filter(|location| !location.is_empty()) else {
            return Err(FetchError::plain(format!("{url}: the registry does not say where the module is")));
        };
        if ["/", "./", "../"].iter().any(|start| location.starts_with(start)) {
            return match url.join(&location) {
                Ok(joined) => Ok(joined.into()),
                Err(error) => {
                    Err(FetchError::plain(format!("{url}: the registry's answer is no URL: {error}")))
                }
            };
        }
        Ok(location)
    }

    /// Asks a registry: the header that says where a module is, and the text.
    async fn ask(&self, module: &RegistryModule, url: &Url) -> Result<(Option<String>, String), FetchError> {
        let token = self.settings.tokens.get(&module.host);
        let answer = get(self.client, url, token).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok((address_header(&answer), text_of(answer).await?));
        }
        Err(match status {
            StatusCode::NOT_FOUND => FetchError::hinted(
                format!("{} has no module {}", module.host, module.path()),
                "Check the name. A private module needs a token; a local path starts with ./ or ../.",
            ),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let variable = format!("TF_TOKEN_{}", module.host.replace('-', "__").replace('.', "_"));
                let what = if token.is_some() { "does not accept the token" } else { "wants a token" };
                FetchError::hinted(
                    format!("{} {what} for module {} ({status})", module.host, module.path()),
                    format!(
                        "Set {variable}, or put a `credentials \"{}\"` block in ~/.tofurc or ~/.terraformrc.",
                        module.host
                    ),
                )
            }
            _ => refusal(url, status),
        })
    }

    async fn address(&self, module: &RegistryModule, last: &str) -> Result<Url, FetchError> {
        let cell = self.services.cell(&module.host).await;
        let base = cell.get_or_try_init(|| self.discover(&module.host)).await?;
        base.join(&format!("{}/{last}", module.path()))
            .map_err(|error| FetchError::plain(format!("{}: this is no registry: {error}", module.host)))
    }

    /// The address of a host's registry of modules.
    /// <https://developer.hashicorp.com/terraform/internals/remote-service-discovery>
    async fn discover(&self, host: &str) -> Result<Url, FetchError> {
        let none = || {
            let hint = "Check the host in the module's source.";
            FetchError::hinted(format!("{host} has no registry of modules"), hint)
        };
        let wrong = |error: url::ParseError| {
            FetchError::plain(format!("{host}: its registry's address is no URL: {error}"))
        };
        let (base, written) = match self.settings.services.get(host) {
            Some(services) => (None, services.get("modules.v1").cloned()),
            None => {
                let url = Url::parse(&format!("https://{host}/.well-known/terraform.json")).map_err(wrong)?;
                let answer = get(self.client, &url, self.settings.tokens.get(host)).await?;
                match answer.status() {
                    StatusCode::NOT_FOUND => return Err(none()),
                    status if !status.is_success() => return Err(refusal(&url, status)),
                    _ => {}
                }
                let base = answer.url().clone();
                let services: Json = serde_json::from_str(&text_of(answer).await?).map_err(|_| none())?;
                (Some(base), services["modules.v1"].as_str().map(String::from))
            }
        };
        let mut written = written.ok_or_else(none)?;
        if !written.ends_with('/') {
            written.push('/');
        }
        match base {
            Some(base) => base.join(&written),
            None => Url::parse(&written),
        }
        .map_err(wrong)
    }
}

fn none_fits(
    module: &RegistryModule,
    wanted: Option<&VersionConstraint>,
    versions: &[Version],
) -> FetchError {
    let name = format!("{}/{}", module.host, module.path());
    let message = match wanted {
        Some(wanted) => format!("{name} has no version that fits \"{wanted}\""),
        None => format!("{name} has no released version"),
    };
    let mut sorted: Vec<&Version> = versions.iter().collect();
    sorted.sort();
    let newest: Vec<String> = sorted.iter().rev().take(5).map(|version| version.to_string()).collect();
    if newest.is_empty() {
        return FetchError::plain(message);
    }
    FetchError::hinted(message, format!("The newest versions are {}.", newest.join(", ")))
}
