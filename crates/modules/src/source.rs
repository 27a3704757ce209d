//! Source addresses: the texts that `source` of a module can have, by the rules of Terraform.
//! <https://developer.hashicorp.com/terraform/language/modules/sources>

use std::path::{Component, Path, PathBuf};

use pve_config::configuration::without_credentials;
use url::Url;

use crate::archive::ArchiveKind;
use crate::error::FetchError;

/// Where a module comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A module of a registry.
    Registry(RegistryModule, PathBuf),
    /// A package, and the folder in it.
    Package(Package, PathBuf),
}

/// `host/namespace/name/provider`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryModule {
    /// The host, with its port if it has one.
    pub host: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The system that it is for.
    pub provider: String,
}

/// Something that is fetched as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Package {
    /// A git repository.
    Git(GitPackage),
    /// A file of a web server.
    Http(HttpPackage),
    /// A folder of this machine, which is used where it stands.
    Folder(PathBuf),
}

/// A git repository at one reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitPackage {
    /// The URL; it can hold credentials and is not to be shown.
    pub url: String,
    /// A branch, tag or commit; the repository's own choice without one.
    pub reference: Option<String>,
    /// How many commits to fetch.
    pub depth: Option<u32>,
}

/// A file of a web server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpPackage {
    /// The URL; it can hold credentials and is not to be shown.
    pub url: Url,
    /// The kind of the archive. Without one, the server is asked where the module is.
    pub archive: Option<ArchiveKind>,
    /// What the archive's hash must be: `sha256:...`.
    pub checksum: Option<String>,
}

impl RegistryModule {
    /// Its path at a registry: `namespace/name/provider`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.name, self.provider)
    }
}

/// Reads a source address. A registry's module without a host is one of `default_host`.
///
/// # Errors
/// When it is none that can be fetched; the hint says what to write.
pub fn parse_source(text: &str, default_host: &str) -> Result<Source, FetchError> {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) || text.starts_with('-') {
        return Err(unknown(text));
    }
    let (main, folder) = split_folder(text);
    let folder = checked_folder(&folder)?;
    if main.starts_with('/') {
        return Ok(Source::Package(Package::Folder(main.into()), folder));
    }
    if let Some((forced, rest)) = forced(&main) {
        return Ok(Source::Package(forced_package(forced, rest, text)?, folder));
    }
    if let Some(module) = registry_module(&main, default_host) {
        return Ok(Source::Registry(module, folder));
    }
    if let Some((package, inner)) = hosted_repository(&main)? {
        let folder = checked_folder(&inner)?.join(folder).components().collect();
        return Ok(Source::Package(package, folder));
    }
    if let Some(url) = scp_url(&main) {
        return Ok(Source::Package(git_package(&url)?, folder));
    }
    match main.split_once("://") {
        Some(("http" | "https", _)) => Ok(Source::Package(http_package(&main)?, folder)),
        Some(("git", _)) => Ok(Source::Package(git_package(&main)?, folder)),
        Some(("ssh", _)) => {
            let shown = without_credentials(text);
            Err(FetchError::hinted(
                format!("{shown} does not say that it is git"),
                format!("Write git::{shown}."),
            ))
        }
        Some((scheme @ ("s3" | "gs" | "gcs" | "oci"), _)) => Err(refused(scheme, text)),
        _ if main.contains(".amazonaws.com/") => Err(refused("s3", text)),
        _ if main.starts_with("www.googleapis.com/storage/") => Err(refused("gcs", text)),
        _ => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> FetchError {
    let shown = without_credentials(text);
    let first = text.split('/').next().unwrap_or_default();
    let hint = if first == "gitlab.com" {
        format!("Write git::https://{shown}.git.")
    } else if !text.contains([':', '@', '?']) && !first.contains('.') {
        format!(
            "A local path starts with ./ or ../, such as ./{shown}; a registry's module is NAMESPACE/NAME/PROVIDER."
        )
    } else {
        "A source is a local path (./x), a registry's module (NAMESPACE/NAME/PROVIDER), a git repository (git::https://HOST/REPOSITORY.git?ref=v1) or an archive (https://HOST/x.tar.gz).".into()
    };
    FetchError::hinted(format!("\"{shown}\" is no source of a module"), hint)
}

fn refused(scheme: &str, text: &str) -> FetchError {
    let what = match scheme {
        "s3" => "Amazon S3 buckets are",
        "gs" | "gcs" => "Google Cloud Storage buckets are",
        "hg" => "Mercurial repositories are",
        "oci" => "OCI registries are",
        _ => return unknown(text),
    };
    let message = format!("{}: {what} no source that pve can fetch from", without_credentials(text));
    FetchError::hinted(
        message,
        "Fetch the module by HTTPS (https://HOST/x.tar.gz, for instance a presigned URL), from git (git::https://...) or a registry, or put a copy in the project.",
    )
}

/// A source without the part after `//`, and that part: `a//b?ref=c` is `a?ref=c` and `b`.
fn split_folder(text: &str) -> (String, String) {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let start = path.find("://").map_or(0, |at| at + 3);
    let (main, folder) = match path[start..].find("//") {
        Some(at) => (&path[..start + at], path[start + at..].trim_matches('/')),
        None => (path, ""),
    };
    let main = query.map_or(main.to_string(), |query| format!("{main}?{query}"));
    (main, folder.to_string())
}

/// A folder in a package; it must not lead out.
fn checked_folder(folder: &str) -> Result<PathBuf, FetchError> {
    let path = Path::new(folder);
    if path.components().all(|part| matches!(part, Component::Normal(_))) && !folder.contains('\\') {
        return Ok(path.to_path_buf());
    }
    let hint = "The part after `//` is a folder within the package, such as //modules/vm.";
    Err(FetchError::hinted(format!("\"{folder}\" leads out of the module's package"), hint))
}

/// `git::URL` as `git` and `URL`.
fn forced(text: &str) -> Option<(&str, &str)> {
    let (forced, rest) = text.split_once("::")?;
    (!forced.is_empty() && forced.chars().all(|c| c.is_ascii_alphanumeric())).then_some((forced, rest))
}

fn forced_package(forced: &str, rest: &str, text: &str) -> Result<Package, FetchError> {
    match forced {
        "git" => match scp_url(rest) {
            Some(url) => git_package(&url),
            None if rest.starts_with('/') => git_package(&format!("file://{rest}")),
            None => match hosted_repository(rest)? {
                Some((package, _)) => Ok(package),
                None => git_package(rest),
            },
        },
        "http" | "https" => http_package(rest),
        "file" => match rest.strip_prefix("file://").unwrap_or(rest) {
            path if path.starts_with('/') => Ok(Package::Folder(path.into())),
            _ => Err(unknown(text)),
        },
        other => Err(refused(other, text)),
    }
}

/// `[host/]namespace/name/provider`
fn registry_module(text: &str, default_host: &str) -> Option<RegistryModule> {
    let parts: Vec<&str> = text.split('/').collect();
    let (host, [namespace, name, provider]) = match parts[..] {
        [namespace, name, provider] => (default_host, [namespace, name, provider]),
        [host, namespace, name, provider] => (host, [namespace, name, provider]),
        _ => return None,
    };
    let plain = |part: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        part.len() <= 64
            && part.chars().all(inner)
            && ends(part.chars().next())
            && ends(part.chars().next_back())
    };
    let provider_fits = (1..=64).contains(&provider.len())
        && provider.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let reserved = ["github.com", "bitbucket.org", "gitlab.com"].contains(&host);
    let host = checked_host(host).filter(|_| !reserved)?;
    (plain(namespace) && plain(name) && provider_fits).then(|| RegistryModule {
        host,
        namespace: namespace.into(),
        name: name.into(),
        provider: provider.into(),
    })
}

/// A host as registries are known by: in lower case, with a dot or a port, or `localhost`.
fn checked_host(host: &str) -> Option<String> {
    let named = host.contains(['.', ':']) || host == "localhost";
    if !named || host.contains(['@', '?', '#']) {
        return None;
    }
    let url = Url::parse(&format!("https://{host}/")).ok()?;
    let name = url.host_str()?.to_string();
    Some(url.port().map_or(name.clone(), |port| format!("{name}:{port}")))
}

/// `github.com/owner/repository/folder?ref=x` and the same at Bitbucket, and the folder.
fn hosted_repository(text: &str) -> Result<Option<(Package, String)>, FetchError> {
    let Some(host) = ["github.com", "bitbucket.org"]
        .into_iter()
        .find(|host| text.strip_prefix(host).is_some_and(|rest| rest.starts_with('/')))
    else {
        return Ok(None);
    };
    let (path, query) = text.split_once('?').map_or((text, ""), |(path, query)| (path, query));
    let parts: Vec<&str> = path[host.len() + 1..].split('/').filter(|part| !part.is_empty()).collect();
    let [owner, repository, folder @ ..] = &parts[..] else {
        let hint = format!("Write {host}/OWNER/REPOSITORY.");
        return Err(FetchError::hinted(format!("\"{path}\" names no repository"), hint));
    };
    let repository = repository.trim_end_matches(".git");
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let package = git_package(&format!("https://{host}/{owner}/{repository}.git{query}"))?;
    Ok(Some((package, folder.join("/"))))
}

/// `git@host:path` as a URL.
fn scp_url(text: &str) -> Option<String> {
    if text.contains("://") {
        return None;
    }
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let plain = |part: &str| !part.is_empty() && !part.contains(['/', '?', '@']);
    (plain(user) && plain(host)).then(|| format!("ssh://{user}@{host}/{}", path.trim_start_matches('/')))
}

fn git_package(text: &str) -> Result<Package, FetchError> {
    let shown = without_credentials(text);
    let fault = |what: &str| FetchError::plain(format!("git repository {shown}: {what}"));
    let mut url = Url::parse(text).map_err(|error| fault(&format!("this is no URL ({error})")))?;
    // Anything else may run programs (`ext::`) or is not git's.
    if !["https", "http", "ssh", "git", "file"].contains(&url.scheme()) {
        let hint = "Write git::https://HOST/REPOSITORY.git or git::ssh://git@HOST/REPOSITORY.git.";
        return Err(FetchError::hinted(
            format!("git repository {shown}: {}: is not supported", url.scheme()),
            hint,
        ));
    }
    if url.username().starts_with('-') || url.host_str().is_some_and(|host| host.starts_with('-')) {
        return Err(fault("the host and the user must not start with `-`"));
    }
    let (mut reference, mut depth) = (None, None);
    for (name, value) in take_query(&mut url, &["ref", "depth", "sshkey"]) {
        match name.as_str() {
            "ref" => {
                reference = Some(
                    checked_reference(&value).ok_or_else(|| fault("`ref` is no branch, tag or commit"))?,
                )
            }
            "depth" => {
                depth = Some(
                    value
                        .parse()
                        .ok()
                        .filter(|depth| *depth > 0)
                        .ok_or_else(|| fault("`depth` is no number above 0"))?,
                );
            }
            _ => {
                let hint = "Give the key to an SSH agent, or set GIT_SSH_COMMAND.";
                return Err(FetchError::hinted(
                    format!("git repository {shown}: `sshkey` is not supported"),
                    hint,
                ));
            }
        }
    }
    Ok(Package::Git(GitPackage { url: url.into(), reference, depth }))
}

/// A reference that cannot be taken for an option or a range.
fn checked_reference(text: &str) -> Option<String> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let fits =
        !text.is_empty() && !text.starts_with('-') && !text.contains("..") && !text.contains(forbidden);
    fits.then(|| text.to_string())
}

fn http_package(text: &str) -> Result<Package, FetchError> {
    let shown = without_credentials(text);
    let fault = |what: String| FetchError::plain(format!("{shown}: {what}"));
    let mut url = Url::parse(text).map_err(|error| fault(format!("this is no URL ({error})")))?;
    if !["https", "http"].contains(&url.scheme()) {
        return Err(fault("this is no URL of a web server".into()));
    }
    let (mut archive, mut checksum) = (ArchiveKind::of_name(url.path()), None);
    for (name, value) in take_query(&mut url, &["archive", "checksum"]) {
        if name == "checksum" {
            checksum = Some(value);
        } else {
            let kind = ArchiveKind::of_name(&format!(".{value}"));
            archive = Some(kind.ok_or_else(|| {
                FetchError::hinted(
                    format!("{shown}: \"{value}\" is no kind of archive that pve can unpack"),
                    "Kinds are zip, tar, tar.gz (tgz) and tar.xz (txz).",
                )
            })?);
        }
    }
    if archive.is_none() && ArchiveKind::is_known_but_unsupported(url.path()) {
        let hint = "Offer the module as zip, tar.gz or tar.xz.";
        return Err(FetchError::hinted(format!("{shown}: pve cannot unpack this kind of archive"), hint));
    }
    Ok(Package::Http(HttpPackage { url, archive, checksum }))
}

/// Takes these parameters out of a URL's query.
fn take_query(url: &mut Url, names: &[&str]) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (taken, kept): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    if !taken.is_empty() {
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    taken
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
