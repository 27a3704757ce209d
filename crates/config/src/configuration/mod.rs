//! The declarations of a configuration: its modules with everything in them, as far as that needs no values.

mod accept;
mod check;
mod declare;
mod decode;
mod encode;
mod files;
mod installed;
mod load;
mod overrides;
mod provisioners;
mod references;
mod secrets;
mod type_constraint;
mod variables;
mod version;

use std::collections::BTreeMap;

use pve_model::address::Target;
use pve_model::{Path, ResourceMode, Value};

pub use check::undeclared_imports;
pub use declare::{ProviderReference, constant};
pub use decode::{decode_body, span_of};
pub use encode::{expression, is_secret, write_resource};
pub use files::{DiskFiles, Folders, Lookups, OverlaidFiles, RecordingFiles, SnapshotFiles};
pub use installed::{
    InstalledModule, InstalledModules, MODULES_FOLDER, MODULES_MANIFEST, MissingModule, module_key,
    without_credentials,
};
pub use load::{Loaded, is_configuration_name, load, load_with};
pub use provisioners::Provisioner;
pub use secrets::{Secrets, secrets};
pub use type_constraint::parse_type_constraint;
pub use variables::{
    VariableInput, VariableSource, collect_variables, environment_files, read_variable_file,
};
pub use version::{Version, VersionConstraint, VersionError};

use crate::convert::TypeConstraint;
use crate::syntax::{Body, Diagnostic, Expr, Span, Traversal};

/// A root module with all modules that it calls.
#[derive(Debug, Default)]
pub struct Configuration {
    /// The root module.
    pub root: Module,
}

/// A module of the configuration.
#[derive(Debug, Default)]
pub struct Module {
    /// The names of the calls that lead to it; empty for the root.
    pub path: Vec<String>,
    /// Its folder, as `path.module` gives it.
    pub directory: String,
    /// By name.
    pub variables: BTreeMap<String, Variable>,
    /// By name.
    pub locals: BTreeMap<String, Local>,
    /// By name.
    pub outputs: BTreeMap<String, Output>,
    /// Resources and data sources, in the order of the files.
    pub resources: Vec<Resource>,
    /// By name.
    pub module_calls: BTreeMap<String, ModuleCall>,
    /// Provider configurations.
    pub providers: Vec<ProviderConfiguration>,
    /// Providers by local name.
    pub required_providers: BTreeMap<String, RequiredProvider>,
    /// The block that they stand in.
    pub required_providers_block: Option<Span>,
    /// The backend: its type and arguments.
    pub backend: Option<(String, Body)>,
    /// The `backend` or `cloud` block.
    pub state_block: Option<Span>,
    /// `provider_meta` blocks by local name.
    pub provider_metas: Vec<(String, Span)>,
    /// `moved` blocks.
    pub moved: Vec<Moved>,
    /// `import` blocks.
    pub imports: Vec<Import>,
    /// `removed` blocks.
    pub removed: Vec<Removed>,
    /// `check` blocks.
    pub checks: Vec<Check>,
}

/// An entry of `required_providers`.
#[derive(Debug, Clone)]
pub struct RequiredProvider {
    /// The source address, `hashicorp/NAME` if none is written.
    pub source: String,
    /// Configurations that a caller must give: `name.alias`.
    pub configuration_aliases: Vec<String>,
    /// The entry.
    pub span: Span,
}

/// A `variable` block.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What values it takes.
    pub constraint: TypeConstraint,
    /// The value if none is given.
    pub default: Option<Value>,
    /// The default as it is written.
    pub written_default: Option<Expr>,
    /// Its conditions.
    pub validations: Vec<Condition>,
    /// Never shown.
    pub sensitive: bool,
    /// Never stored.
    pub ephemeral: bool,
    /// Whether null is a value; else null means the default.
    pub nullable: bool,
    /// For people.
    pub description: String,
    /// Whether a type was written.
    pub typed: bool,
    /// The block.
    pub span: Span,
}

/// An entry of `locals`.
#[derive(Debug)]
pub struct Local {
    /// Its value.
    pub value: Expr,
    /// Its name.
    pub span: Span,
}

/// An `output` block.
#[derive(Debug)]
pub struct Output {
    /// Its value.
    pub value: Expr,
    /// Never shown.
    pub sensitive: bool,
    /// Never stored.
    pub ephemeral: bool,
    /// What must be done before it is known.
    pub depends_on: Vec<Traversal>,
    /// Conditions.
    pub preconditions: Vec<Condition>,
    /// The block.
    pub span: Span,
}

/// A `resource` or `data` block.
#[derive(Debug)]
pub struct Resource {
    /// Which of the two.
    pub mode: ResourceMode,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// `count`
    pub count: Option<Expr>,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// `enabled` of the lifecycle.
    pub enabled: Option<Expr>,
    /// `provider`
    pub provider: Option<ProviderReference>,
    /// `depends_on`
    pub depends_on: Vec<Traversal>,
    /// `lifecycle`
    pub lifecycle: Lifecycle,
    /// Its provisioners, in the order in which they run.
    pub provisioners: Vec<Provisioner>,
    /// Everything that the kind defines.
    pub body: Body,
    /// The header of the block.
    pub span: Span,
}

/// A `lifecycle` block.
#[derive(Debug, Default)]
pub struct Lifecycle {
    /// Replace by creating first.
    pub create_before_destroy: bool,
    /// Take out of the state and leave in the cluster instead of destroying.
    pub keep: bool,
    /// Whether it must never be destroyed.
    pub prevent_destroy: Option<Expr>,
    /// Changes that are passed over.
    pub ignore_changes: IgnoreChanges,
    /// What replaces it when it changes.
    pub replace_triggered_by: Vec<Expr>,
    /// Checked before.
    pub preconditions: Vec<Condition>,
    /// Checked afterwards.
    pub postconditions: Vec<Condition>,
}

/// `ignore_changes`
#[derive(Debug, Default)]
pub enum IgnoreChanges {
    /// No change is passed over.
    #[default]
    None,
    /// All are.
    All,
    /// Those at these places.
    Paths(Vec<Path>),
}

/// A condition with the message for when it is not met.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What must be true.
    pub condition: Expr,
    /// What is said otherwise.
    pub message: Expr,
}

/// A provider configuration that a module is given: its name in the module, and its name in the caller.
pub type PassedProvider = (ProviderReference, ProviderReference);

/// A `module` block.
#[derive(Debug)]
pub struct ModuleCall {
    /// The name.
    pub name: String,
    /// `count`
    pub count: Option<Expr>,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// `enabled` of the lifecycle.
    pub enabled: Option<Expr>,
    /// `depends_on`
    pub depends_on: Vec<Traversal>,
    /// `providers`: the name in the module, the name here.
    pub providers: Vec<PassedProvider>,
    /// Values of the module's variables.
    pub arguments: Body,
    /// The module; none when it could not be loaded.
    pub child: Option<Module>,
    /// The header of the block.
    pub span: Span,
}

/// A `provider` block.
#[derive(Debug)]
pub struct ProviderConfiguration {
    /// The local name.
    pub name: String,
    /// The alias.
    pub alias: Option<String>,
    /// Its arguments.
    pub body: Body,
    /// The header of the block.
    pub span: Span,
}

/// A `moved` block.
#[derive(Debug)]
pub struct Moved {
    /// The address before.
    pub from: Traversal,
    /// The address after.
    pub to: Traversal,
    /// The block.
    pub span: Span,
}

/// An `import` block.
#[derive(Debug)]
pub struct Import {
    /// The address; keys in it may be expressions.
    pub to: Expr,
    /// The id.
    pub id: Expr,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// The provider configuration, for a resource block that is generated.
    pub provider: Option<Expr>,
    /// The block.
    pub span: Span,
}

/// A `removed` block.
#[derive(Debug)]
pub struct Removed {
    /// What is not in the configuration any more.
    pub from: Target,
    /// Whether it is destroyed.
    pub destroy: bool,
    /// Provisioners that run before it is.
    pub provisioners: Vec<Provisioner>,
    /// The block.
    pub span: Span,
}

/// A `check` block.
#[derive(Debug)]
pub struct Check {
    /// The name.
    pub name: String,
    /// Kind and name of the data source that it alone may use.
    pub data: Option<(String, String)>,
    /// Its conditions.
    pub assertions: Vec<Condition>,
    /// The block.
    pub span: Span,
}

impl Configuration {
    /// The provider configuration of the root module that a resource uses: `proxmox` or `proxmox.second`.
    pub fn provider_address(&self, module: &Module, resource: &Resource) -> String {
        let named = resource.provider.as_ref().map(|provider| provider.address.clone());
        let own = named.unwrap_or_else(|| default_provider(&resource.kind).to_string());
        let mut calls: Vec<&ModuleCall> = Vec::new();
        let mut at = &self.root;
        for name in &module.path {
            let Some(call) = at.module_calls.get(name) else { break };
            calls.push(call);
            let Some(child) = &call.child else { break };
            at = child;
        }
        calls.iter().rev().fold(own, |address, call| {
            let passed = call.providers.iter().find(|(inside, _)| inside.address == address);
            passed.map_or(address, |(_, outside)| outside.address.clone())
        })
    }

    /// The module and address of the `provider` block that a resource uses, if there is one.
    pub fn provider_node(&self, module: &Module, resource: &Resource) -> Option<(Vec<String>, String)> {
        let address = self.provider_address(module, resource);
        let declared = self.root.providers.iter().any(|provider| provider.address() == address);
        declared.then(|| (Vec::new(), address))
    }

    /// What `removed` blocks leave in the cluster.
    pub fn forgotten(&self) -> Vec<Target> {
        self.root
            .removed
            .iter()
            .filter(|removed| !removed.destroy)
            .map(|removed| removed.from.clone())
            .collect()
    }
}

/// Says which module errors are about.
fn located(found: &mut [Diagnostic], path: &[String]) {
    if path.is_empty() {
        return;
    }
    let place = format!("(in module.{})", path.join(".module."));
    for diagnostic in found.iter_mut().filter(|diagnostic| !diagnostic.detail.contains("(in module.")) {
        diagnostic.detail = format!("{} {place}", diagnostic.detail).trim_start().to_string();
    }
}

/// The local name of the provider that a kind belongs to by its prefix.
pub fn default_provider(kind: &str) -> &str {
    if kind == "terraform_data" { "terraform" } else { kind.split('_').next().unwrap_or(kind) }
}

impl Module {
    /// A resource or data source.
    pub fn resource(&self, mode: ResourceMode, kind: &str, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.mode == mode && r.kind == kind && r.name == name)
    }
}

impl ProviderConfiguration {
    /// `name` or `name.alias`
    pub fn address(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{}.{alias}", self.name),
            None => self.name.clone(),
        }
    }
}
