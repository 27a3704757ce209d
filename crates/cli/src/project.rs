//! Where a project is, and what stands in it: configuration, variables, log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pve_config::configuration::{
    Configuration, DiskFiles, Folders, Import, Module, RecordingFiles, Resource, Secrets, Seen,
    SnapshotFiles, VariableInput, VariableSource, collect_variables, load, secrets,
};
use pve_config::functions::Context;
use pve_config::syntax::{Diagnostic, SourceMap};
use pve_executor::Redaction;
use pve_model::event::Actor;
use pve_model::{InstanceAddress, Value};
use pve_planner::evaluation::Inputs;
use pve_planner::graph::Graph;
use pve_planner::scope::Surroundings;
use pve_resources::Registry;
use pve_state::Key;

use crate::arguments::{GlobalOptions, VariableOptions};
use crate::backend::Backend;
use crate::environments::{RESERVED, is_environment_name, with_variables_of_their_own};
use crate::failure::Failure;
use crate::secrets;
use crate::variables::{Missing, complete, forget_values, missing_policy, variable_inputs};

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

/// A configuration with everything that its evaluation needs.
pub struct Workspace {
    /// The declarations.
    pub configuration: Configuration,
    /// Texts for diagnostics.
    pub sources: SourceMap,
    /// Warnings so far.
    pub warnings: Vec<Diagnostic>,
    /// Values of the root module's variables.
    pub variables: BTreeMap<String, Value>,
    /// Functions.
    pub functions: Context,
    /// The run.
    pub surroundings: Surroundings,
    /// The order of declarations.
    pub graph: Graph,
    /// Kinds.
    pub registry: Registry,
    /// The name of a file that is not there yet: its blocks say nothing.
    pub unwritten: Option<String>,
    files: Arc<RecordingFiles>,
    secrets: Secrets,
    root: PathBuf,
}

impl Workspace {
    /// Loads the configuration from disk with its variables.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn load(project: &Project, options: &VariableOptions) -> Result<Workspace, Failure> {
        Workspace::load_from(project, options, Arc::new(DiskFiles))
    }

    /// Loads the configuration from these files with its variables.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn load_from(
        project: &Project,
        options: &VariableOptions,
        files: Arc<dyn Folders>,
    ) -> Result<Workspace, Failure> {
        Workspace::read(project, files, jiff::Timestamp::now(), |root, files, sources| {
            let mut inputs = variable_inputs(files, project, options, sources)?;
            let others = if project.environment.is_none() {
                with_variables_of_their_own(project)
            } else {
                BTreeSet::new()
            };
            if project.missing == Missing::AnyValue {
                forget_values(root, &mut inputs)?;
            }
            complete(root, &mut inputs, project.missing, &others).map_err(|fault| vec![fault])?;
            Ok(inputs)
        })
    }

    /// Restores a configuration that a saved plan kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn restore(
        project: &Project,
        files: BTreeMap<String, Vec<u8>>,
        seen: Seen,
        variables: BTreeMap<String, Value>,
        timestamp: jiff::Timestamp,
    ) -> Result<Workspace, Failure> {
        let snapshot =
            SnapshotFiles::new(files.into_iter().map(|(path, bytes)| (project.root.join(path), bytes)))
                .with_seen(placed(seen, |path| project.root.join(path)));
        Workspace::given(project, Arc::new(snapshot), timestamp, variables)
    }

    /// The same with other files: its variables have the values that they have here.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn with_files(&self, project: &Project, files: Arc<dyn Folders>) -> Result<Workspace, Failure> {
        Workspace::given(project, files, self.functions.plan_timestamp, self.variables.clone())
    }

    fn given(
        project: &Project,
        files: Arc<dyn Folders>,
        timestamp: jiff::Timestamp,
        variables: BTreeMap<String, Value>,
    ) -> Result<Workspace, Failure> {
        let inputs = variables.clone().into_iter().map(|(name, value)| VariableInput {
            name,
            value: Ok(value),
            span: None,
            source: VariableSource::Environment,
        });
        let inputs: Vec<VariableInput> = inputs.collect();
        let mut workspace = Workspace::read(project, files, timestamp, |_, _, _| Ok(inputs))?;
        workspace.variables = variables;
        Ok(workspace)
    }

    fn read(
        project: &Project,
        files: Arc<dyn Folders>,
        timestamp: jiff::Timestamp,
        inputs: impl FnOnce(&Module, &dyn Folders, &mut SourceMap) -> Result<Vec<VariableInput>, Vec<Diagnostic>>,
    ) -> Result<Workspace, Failure> {
        let files = Arc::new(RecordingFiles::new(files));
        let loaded = load(&*files, &project.root);
        let (configuration, mut sources, mut found) =
            (loaded.configuration, loaded.sources, loaded.diagnostics);
        let registry = pve_resources::registry();
        let secrets = secrets(&configuration, &registry);
        sources.hide(secrets.spans.iter().copied());
        let stop = |found: Vec<Diagnostic>, sources: &SourceMap| Failure::Diagnosed {
            diagnostics: redacted_by(&secrets::written(&secrets), found),
            sources: sources.clone(),
        };
        if found.iter().any(Diagnostic::is_error) {
            return Err(stop(found, &sources));
        }
        let mut functions = Context::new(&project.root, timestamp);
        functions.files = files.clone();
        let inputs = inputs(&configuration.root, &*files, &mut sources);
        secrets::hide_variables(&mut sources, &secrets, inputs.as_deref().ok());
        let words = secrets::words_of_variables(&sources, &secrets, inputs.as_deref().ok());
        let variables = inputs
            .and_then(|inputs| collect_variables(&configuration.root, &inputs, &mut sources, &functions));
        secrets::hide_given(&mut sources, &secrets);
        let variables = match variables {
            Ok((variables, warnings)) => {
                found.extend(warnings);
                variables
            }
            Err(errors) => return Err(stop(redacted_by(&words, [found, errors].concat()), &sources)),
        };
        let graph = Graph::build(&configuration).map_err(|errors| stop(errors, &sources))?;
        let surroundings = Surroundings {
            workspace: project.stream().to_string(),
            working_directory: project.working_directory.to_string_lossy().into_owned(),
            root_directory: ".".into(),
        };
        Ok(Workspace {
            configuration,
            sources,
            warnings: found,
            variables,
            functions,
            surroundings,
            graph,
            registry,
            unwritten: None,
            files,
            secrets,
            root: project.root.clone(),
        })
    }

    /// What the planner needs.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            configuration: &self.configuration,
            variables: &self.variables,
            registry: &self.registry,
            functions: &self.functions,
            surroundings: &self.surroundings,
            only_checked: false,
        }
    }

    /// Whether the root module has any file.
    pub fn has_configuration(&self) -> bool {
        let ends = [".tf", ".tofu", ".tf.json", ".tofu.json"];
        let own = |path: &String| !path.contains('/') && ends.iter().any(|end| path.ends_with(end));
        self.recorded_files().keys().any(own)
    }

    /// Every file that was read, by its path relative to the root module.
    pub fn recorded_files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.recorded().into_iter().map(|(path, bytes)| (self.relative(&path), bytes)).collect()
    }

    /// What was asked of files beside their content, with paths relative to the root module.
    pub fn seen(&self) -> Seen {
        placed(self.files.seen(), |path| self.relative(path).into())
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// A failure with this workspace's sources.
    pub fn failure(&self, diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::Diagnosed { diagnostics: self.redacted(diagnostics), sources: self.sources.clone() }
    }

    /// What takes secrets out of messages: the values of sensitive variables, and what is written out for sensitive
    /// arguments.
    pub fn redaction(&self) -> Redaction {
        secrets::written(&self.secrets)
            .with(self.variables.values())
            .with(&secrets::values(&self.secrets, &self.variables))
    }

    /// What went wrong with instances: each with the line of its block, and without what is secret in `values` or the
    /// variables.
    pub fn failure_about<'v>(
        &self,
        faults: impl IntoIterator<Item = (InstanceAddress, String)>,
        hint: Option<String>,
        values: impl IntoIterator<Item = &'v Value>,
    ) -> Failure {
        let redaction = self.redaction().with(values);
        let told = |(address, fault): (InstanceAddress, String)| {
            let place = self.place(&address);
            let place = place.map(|(file, line, _)| format!("\n  on {file} line {line}")).unwrap_or_default();
            format!("{}{place}", redaction.redact(&fault))
        };
        let lines: Vec<String> = faults.into_iter().map(told).collect();
        Failure::Plain { message: lines.join("\n"), hint: hint.map(|hint| redaction.redact(&hint)) }
    }

    /// Where an instance stands: where its import does, if its block is still to be written.
    fn place(&self, address: &InstanceAddress) -> Option<(&str, usize, usize)> {
        let place = self.sources.place(self.declared(address)?.span)?;
        if self.unwritten.as_deref() != Some(place.0) {
            return Some(place);
        }
        let names = |import: &&Import| {
            let to = import.to.as_static_traversal();
            to.is_some_and(|to| to.address() == address.resource.to_string())
        };
        self.sources.place(self.configuration.root.imports.iter().find(names)?.span)
    }

    /// The block that an instance is of; `None` where it is not configured.
    pub fn declared(&self, address: &InstanceAddress) -> Option<&Resource> {
        let resource = &address.resource;
        let module = resource.module.0.iter().try_fold(&self.configuration.root, |module, step| {
            module.module_calls.get(&step.name)?.child.as_ref()
        })?;
        module.resource(resource.mode, &resource.kind, &resource.name)
    }

    /// Diagnostics without secrets: what kinds and functions say of a value repeats it.
    pub fn redacted(&self, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        redacted_by(&self.redaction(), diagnostics)
    }
}

fn redacted_by(redaction: &Redaction, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let redact = |text: String| redaction.redact(&text);
    let redacted = |diagnostic: Diagnostic| Diagnostic {
        summary: redact(diagnostic.summary),
        detail: redact(diagnostic.detail),
        hint: diagnostic.hint.map(redact),
        related: diagnostic.related.into_iter().map(|(span, what)| (span, redact(what))).collect(),
        ..diagnostic
    };
    diagnostics.into_iter().map(redacted).collect()
}

/// The same with other paths.
fn placed(seen: Seen, place: impl Fn(&Path) -> PathBuf) -> Seen {
    Seen {
        existing: seen.existing.into_iter().map(|(path, exists)| (place(&path), exists)).collect(),
        listings: seen.listings.into_iter().map(|(path, names)| (place(&path), names)).collect(),
    }
}
