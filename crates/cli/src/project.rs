//! Where a project is, and what stands where in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pve_model::event::Actor;
use pve_state::Key;

use crate::arguments::GlobalOptions;
use crate::backend::Backend;
use crate::environments::{RESERVED, is_environment_name};
use crate::failure::Failure;
use crate::variables::{Missing, missing_policy};

/// The folder for everything that pve keeps in a project.
const DATA_FOLDER: &str = ".pve";
/// The name of the environment without a folder of tfvars, as of Terraform's first workspace.
pub const DEFAULT_ENVIRONMENT: &str = "default";

/// A project on disk.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder of the root module, absolute.
    pub root: PathBuf,
    /// The folder in which pve was called.
    pub working_directory: PathBuf,
    /// The environment, if one is chosen.
    pub environment: Option<String>,
    /// What is done about variables without a value.
    pub missing: Missing,
    /// Where the log is, once that was asked for.
    pub backend: Arc<OnceLock<Backend>>,
}

impl Project {
    /// The project that the options name.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn find(options: &GlobalOptions) -> Result<Project, Failure> {
        let working_directory = std::env::current_dir().map_err(Failure::reading(Path::new(".")))?;
        let root = match &options.directory {
            Some(folder) => working_directory.join(folder),
            None => working_directory.clone(),
        };
        let root = root.canonicalize().map_err(|_| {
            Failure::hinted(
                format!("there is no folder {}", root.display()),
                "Check -C, or make it with `pve init FOLDER`.",
            )
        })?;
        let environment = options.environment.clone().filter(|name| name != DEFAULT_ENVIRONMENT);
        if let Some(name) = environment.as_ref().filter(|name| !is_environment_name(name)) {
            return Err(Failure::hinted(
                format!("{name:?} is no name for an environment"),
                format!("Use letters, digits, `-`, `_` and `.`, and none of {}.", RESERVED.join(", ")),
            ));
        }
        Ok(Project {
            root,
            working_directory,
            environment,
            missing: missing_policy(options.input),
            backend: Arc::default(),
        })
    }

    /// The name of the environment's log and workspace.
    pub fn stream(&self) -> &str {
        self.environment.as_deref().unwrap_or(DEFAULT_ENVIRONMENT)
    }

    /// The folder for what environments share.
    pub fn project_data_folder(&self) -> PathBuf {
        self.root.join(DATA_FOLDER)
    }

    /// The folder for the environment's data.
    pub fn data_folder(&self) -> PathBuf {
        self.root.join(DATA_FOLDER).join(self.stream())
    }

    /// The file of the log, where no argument of a `backend` block names another place.
    pub fn log_path(&self) -> PathBuf {
        self.data_folder().join("log.db")
    }

    /// The file of SSH host keys that were accepted.
    pub fn known_hosts_path(&self) -> PathBuf {
        self.root.join(DATA_FOLDER).join("known_hosts")
    }

    /// Whether there is a key, without making one.
    pub fn has_key(&self) -> bool {
        Key::is_named_by_environment() || self.root.join(DATA_FOLDER).join("key").exists()
    }

    /// The key that everything at rest is sealed with.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn key(&self) -> Result<Key, Failure> {
        let folder = self.root.join(DATA_FOLDER);
        if !folder.join("key").exists()
            && !Key::is_named_by_environment()
            && let Some(sealed) = sealed_before(&folder)
        {
            // A new key would open nothing, and would stand where the old one has to be put back.
            return Err(Failure::hinted(
                format!(
                    "the key {} is gone, and {} was sealed with it",
                    folder.join("key").display(),
                    sealed.display()
                ),
                "Put the key back from its copy, or set PVE_ENCRYPTION_KEY_FILE or PVE_ENCRYPTION_PASSPHRASE.",
            ));
        }
        Ok(Key::find(&folder)?)
    }
}

/// A log of any environment that has something in it.
fn sealed_before(folder: &Path) -> Option<PathBuf> {
    let environments = std::fs::read_dir(folder).ok()?;
    let folders = environments.filter_map(|entry| Some(entry.ok()?.path()));
    let logs = folders.flat_map(|folder| ["log.db", "log.json"].map(|name| folder.join(name)));
    logs.into_iter().find(|log| std::fs::metadata(log).is_ok_and(|file| file.len() > 0))
}

/// Who runs this.
pub fn actor() -> Actor {
    let first = |names: &[&str]| {
        names.iter().find_map(|name| std::env::var(name).ok()).filter(|text| !text.is_empty())
    };
    let hostname = || {
        let file = std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_string());
        file.filter(|name| !name.is_empty()).or_else(|| said_by("uname", "-n"))
    };
    Actor {
        user: first(&["USER", "LOGNAME", "USERNAME"])
            .or_else(|| said_by("id", "-un"))
            .unwrap_or_else(|| "unknown".into()),
        host: first(&["HOSTNAME", "COMPUTERNAME"]).or_else(hostname).unwrap_or_else(|| "unknown".into()),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// What a program of POSIX says: jobs run without the variables of a login, and no shell exports the name of its host.
fn said_by(program: &str, option: &str) -> Option<String> {
    let output = std::process::Command::new(program).arg(option).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && !name.is_empty()).then_some(name)
}
