//! Modules that come from elsewhere: where `pve init` put them, and which are still to be fetched.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::files::Folders;
use super::version::{Version, VersionConstraint};
use crate::syntax::{Diagnostic, Span};

/// The folder, in the root module, of modules that come from elsewhere. Each stands in a folder named by its key.
pub const MODULES_FOLDER: &str = ".pve/modules";

/// The file, in the root module, that says where each module stands.
pub const MODULES_MANIFEST: &str = ".pve/modules.json";

/// A module that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModule {
    /// The `source` for which it was fetched, as it was written.
    pub source: String,
    /// The version, if it comes from a registry.
    pub version: Option<Version>,
    /// Its folder, relative to the root module.
    pub directory: PathBuf,
}

/// The modules that were fetched, by key: the names of the calls that lead to each, with dots between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledModules(pub BTreeMap<String, InstalledModule>);

/// A call of a module that is not there and comes from elsewhere.
#[derive(Debug, Clone)]
pub struct MissingModule {
    /// The names of the calls that lead to it.
    pub path: Vec<String>,
    /// `source`, as it is written.
    pub source: String,
    /// The expression of `source`.
    pub span: Span,
    /// `version`
    pub version: Option<VersionConstraint>,
    /// The expression of `version`.
    pub version_span: Option<Span>,
    /// The folder of the module that calls it, relative to the root module.
    pub caller: PathBuf,
    /// Why it is not there, in a sentence.
    pub reason: String,
}

/// What a call asks for.
pub(super) struct Wanted<'a> {
    pub source: &'a str,
    pub version: Option<&'a VersionConstraint>,
}

/// The key of a module by the names of the calls that lead to it.
pub fn module_key(path: &[String]) -> String {
    path.join(".")
}

impl MissingModule {
    /// The key in the manifest.
    pub fn key(&self) -> String {
        module_key(&self.path)
    }

    /// What is said when the module is needed and nobody is there to fetch it.
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::error(self.span, "A module is not installed", self.reason.clone())
            .with_hint("Run `pve init`; it fetches every module that the configuration needs.")
    }
}

impl InstalledModules {
    /// Reads the manifest of a project; nothing is installed where there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no manifest, in a sentence.
    pub fn read(files: &dyn Folders, root: &Path) -> Result<InstalledModules, String> {
        match files.read(&root.join(MODULES_MANIFEST)) {
            Ok(bytes) => InstalledModules::parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(InstalledModules::default()),
            Err(error) => Err(format!("{MODULES_MANIFEST} cannot be read: {error}.")),
        }
    }

    /// Reads a manifest, which has the form of Terraform's `modules.json`.
    fn parse(bytes: &[u8]) -> Result<InstalledModules, String> {
        let fault = |what: &str| format!("{MODULES_MANIFEST} is damaged: {what}.");
        let manifest: Json = serde_json::from_slice(bytes).map_err(|error| fault(&error.to_string()))?;
        let listed = manifest["Modules"].as_array().ok_or_else(|| fault("it has no list of modules"))?;
        let mut modules = BTreeMap::new();
        for module in listed {
            let text = |name: &str| module[name].as_str();
            let (Some(key), Some(source), Some(directory)) = (text("Key"), text("Source"), text("Dir"))
            else {
                return Err(fault("a module has no key, source or folder"));
            };
            let version = text("Version").map(str::parse).transpose();
            let version = version.map_err(|error: super::version::VersionError| fault(&error.to_string()))?;
            if !key.is_empty() {
                let module = InstalledModule { source: source.into(), version, directory: directory.into() };
                modules.insert(key.to_string(), module);
            }
        }
        Ok(InstalledModules(modules))
    }

    /// The manifest as a file has it.
    pub fn to_json(&self) -> String {
        let mut listed = vec![json!({"Key": "", "Source": "", "Dir": "."})];
        for (key, module) in &self.0 {
            let directory = module.directory.to_string_lossy().replace('\\', "/");
            let mut entry = json!({"Key": key, "Source": module.source, "Dir": directory});
            if let Some(version) = &module.version {
                entry["Version"] = Json::String(version.to_string());
            }
            listed.push(entry);
        }
        json!({ "Modules": listed }).to_string()
    }

    /// The folder of a module, relative to the root module, or why it must be fetched.
    pub(super) fn find(
        &self,
        files: &dyn Folders,
        root: &Path,
        path: &[String],
        wanted: &Wanted<'_>,
    ) -> Result<&Path, String> {
        let name = path.join("\", module \"");
        let Some(module) = self.0.get(&module_key(path)) else {
            let source = without_credentials(wanted.source);
            return Err(format!("Module \"{name}\" comes from {source} and was not fetched yet."));
        };
        if module.source != wanted.source {
            let (was, is) = (without_credentials(&module.source), without_credentials(wanted.source));
            return Err(format!("The source of module \"{name}\" was {was} and is {is} now."));
        }
        match (&module.version, wanted.version) {
            (Some(version), Some(constraint)) if !constraint.allows(version) => {
                return Err(format!(
                    "Module \"{name}\" is installed in version {version}, but \"{constraint}\" is asked for."
                ));
            }
            (None, Some(constraint)) => {
                return Err(format!(
                    "Module \"{name}\" is installed without a version, but \"{constraint}\" is asked for."
                ));
            }
            _ => {}
        }
        if files.entries(&root.join(&module.directory)).is_err() {
            let directory = module.directory.display();
            return Err(format!("The folder {directory} of module \"{name}\" is gone."));
        }
        Ok(&module.directory)
    }
}

/// A source as it may be printed: what stands before the host of a URL, and its query, can hold secrets.
pub fn without_credentials(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else { return source.to_string() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = match authority.rsplit_once('@') {
        Some((user, host)) if scheme.ends_with("ssh") && !user.contains(':') => format!("{user}@{host}"),
        Some((_, host)) => host.to_string(),
        None => authority.to_string(),
    };
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name @ ("ref" | "depth" | "archive" | "checksum"), value)) => format!("{name}={value}"),
        Some((name, _)) => format!("{name}=..."),
        None => pair.to_string(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(shown).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{host}{path}{}", query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let module = |version: Option<&str>| InstalledModule {
            source: "a/b/c".into(),
            version: version.and_then(|version| version.parse().ok()),
            directory: format!("{MODULES_FOLDER}/x/sub").into(),
        };
        let written =
            InstalledModules([("x".into(), module(Some("1.2.3"))), ("x.y".into(), module(None))].into());
        assert_eq!(InstalledModules::parse(written.to_json().as_bytes()), Ok(written));
    }

    #[test]
    fn a_manifest_of_terraform_is_read() {
        let text = r#"{"Modules":[{"Key":"","Source":"","Dir":"."},
            {"Key":"vpc","Source":"registry.terraform.io/a/vpc/aws","Version":"3.14.0","Dir":".terraform/modules/vpc"}]}"#;
        let read = InstalledModules::parse(text.as_bytes()).map(|modules| modules.0);
        let module = read.ok().and_then(|mut modules| modules.remove("vpc"));
        assert_eq!(module.and_then(|module| module.version).map(|v| v.to_string()), Some("3.14.0".into()));
    }

    #[test]
    fn a_damaged_manifest_is_told_and_not_guessed() {
        for text in [
            "",
            "{}",
            r#"{"Modules":[{"Key":"a"}]}"#,
            r#"{"Modules":[{"Key":"a","Source":"s","Dir":"d","Version":"x"}]}"#,
        ] {
            let error = InstalledModules::parse(text.as_bytes()).err().unwrap_or_default();
            assert!(error.contains("is damaged"), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        for (source, shown) in [
            ("git::https://user:secret@host/x.git?ref=v1", "git::https://host/x.git?ref=v1"),
            ("git::https://secret@host/x.git", "git::https://host/x.git"),
            ("git::ssh://git@host/x.git", "git::ssh://git@host/x.git"),
            ("git::ssh://git:secret@host/x.git", "git::ssh://host/x.git"),
            ("https://host/x.zip?token=secret&archive=zip", "https://host/x.zip?token=...&archive=zip"),
            ("git::ssh://git@host/x.git?sshkey=secret", "git::ssh://git@host/x.git?sshkey=..."),
            ("a/b/c", "a/b/c"),
        ] {
            assert_eq!(without_credentials(source), shown);
        }
    }
}
