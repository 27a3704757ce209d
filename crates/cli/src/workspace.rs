//! A configuration with its variables, and what is said of it: places and faults, without secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pve_config::configuration::{
    Configuration, DiskFiles, Folders, Import, Lookups, Module, RecordingFiles, Resource, Secrets,
    SnapshotFiles, VariableInput, VariableSource, collect_variables, load, secrets,
};
use pve_config::functions::Context;
use pve_config::syntax::{Diagnostic, SourceMap};
use pve_executor::Redaction;
use pve_model::{InstanceAddress, Value};
use pve_planner::evaluation::Inputs;
use pve_planner::graph::Graph;
use pve_planner::scope::Surroundings;
use pve_resources::Registry;

use crate::arguments::VariableOptions;
use crate::environments::with_variables_of_their_own;
use crate::failure::Failure;
use crate::project::Project;
use crate::secrets;
use crate::variables::{Missing, complete, forget_values, variable_inputs};

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
        lookups: Lookups,
        variables: BTreeMap<String, Value>,
        timestamp: jiff::Timestamp,
    ) -> Result<Workspace, Failure> {
        let snapshot =
            SnapshotFiles::new(files.into_iter().map(|(path, bytes)| (project.root.join(path), bytes)))
                .with_lookups(placed(lookups, |path| project.root.join(path)));
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
    pub fn lookups(&self) -> Lookups {
        placed(self.files.lookups(), |path| self.relative(path).into())
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
fn placed(lookups: Lookups, place: impl Fn(&Path) -> PathBuf) -> Lookups {
    Lookups {
        existing: lookups.existing.into_iter().map(|(path, exists)| (place(&path), exists)).collect(),
        listings: lookups.listings.into_iter().map(|(path, names)| (place(&path), names)).collect(),
    }
}
