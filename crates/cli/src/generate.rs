//! Resource blocks for what `import` blocks name and nobody has written yet: `pve plan -generate-config-out=FILE`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pve_config::configuration::{
    DiskFiles, Import, Loaded, OverlaidFiles, is_configuration_name, load, undeclared_imports, write_resource,
};
use pve_config::syntax::{Diagnostic, ExprKind, SourceMap};
use pve_executor::ports::Provider;
use pve_model::rules::RulesRegistry as _;
use pve_model::state::State;
use pve_model::{InstanceAddress, ResourceAddress, Value};
use pve_planner::generation::{Generated, configuration_of};

use crate::arguments::VariableOptions;
use crate::failure::Failure;
use crate::project::Project;
use crate::replace_file::write_new;
use crate::session::read_imports;
use crate::workspace::Workspace;

/// What is to be generated.
pub struct Generation {
    /// The file.
    path: PathBuf,
    /// Where the file counts as standing: in the folder of the root module, so that its blocks are part of it.
    place: PathBuf,
    wanted: Vec<Wanted>,
}

/// A resource that has no block yet.
struct Wanted {
    address: ResourceAddress,
    /// As the `import` block has it.
    provider: Option<String>,
}

impl Generation {
    /// What there is to generate into a file, which must not exist. `None` where every import has its resource block.
    ///
    /// # Errors
    /// When there is such a file, or a block cannot be generated.
    pub fn begin(project: &Project, path: &Path, state: &State) -> Result<Option<Generation>, Failure> {
        let path = project.root.join(path);
        refuse_place(&path)?;
        // What is wrong with the configuration is told when it is loaded with what is missing here.
        let Loaded { configuration, sources, .. } = load(&DiskFiles, &project.root);
        let registry = pve_resources::registry();
        let (mut wanted, mut faults) = (Vec::new(), Vec::new());
        for (import, address) in undeclared_imports(&configuration.root) {
            let known = registry.resource(&address.kind).is_some();
            let is_managed = state.instances.keys().any(|instance| instance.resource == address);
            match refused(import, &address, known, is_managed) {
                Some(fault) => faults.push(fault),
                None => wanted.push(Wanted { address, provider: provider(import, &sources) }),
            }
        }
        if !faults.is_empty() {
            return Err(Failure::Diagnosed { diagnostics: faults, sources });
        }
        let place = place(project, &path);
        Ok((!wanted.is_empty()).then_some(Generation { path, place, wanted }))
    }

    /// The configuration with an empty block for everything that is to be generated.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn load(&self, project: &Project, options: &VariableOptions) -> Result<Workspace, Failure> {
        let stub = |wanted: &Wanted| {
            let ResourceAddress { kind, name, .. } = &wanted.address;
            let provider =
                wanted.provider.as_ref().map(|it| format!("  provider = {it}\n")).unwrap_or_default();
            format!("resource \"{kind}\" \"{name}\" {{\n{provider}}}\n")
        };
        let text: String = self.wanted.iter().map(stub).collect();
        let files = OverlaidFiles::new(Arc::new(DiskFiles), &self.place, text.into_bytes());
        let mut workspace = Workspace::load_from(project, options, Arc::new(files))?;
        workspace.unwritten = self.place.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(workspace)
    }

    /// Reads the objects, writes the file, and returns the configuration with what is in it.
    ///
    /// # Errors
    /// When an object cannot be read, or the file cannot be written.
    pub async fn complete(
        &self,
        project: &Project,
        stubs: &Workspace,
        state: &State,
        provider: &dyn Provider,
    ) -> Result<Workspace, Failure> {
        let wanted: BTreeSet<ResourceAddress> = self.wanted.iter().map(|one| one.address.clone()).collect();
        let found = read_imports(stubs, state, provider, &wanted).await?;
        let blocks: Vec<String> = self.wanted.iter().filter_map(|one| block(stubs, one, &found)).collect();
        let text = format!("{HEAD}\n{}", blocks.join("\n"));
        write_new(&self.path, text.as_bytes()).map_err(Failure::writing(&self.path))?;
        self.tell(project, &text);
        let files = OverlaidFiles::new(Arc::new(DiskFiles), &self.place, text.into_bytes());
        stubs.with_files(project, Arc::new(files))
    }

    fn tell(&self, project: &Project, text: &str) {
        let path = self.path.strip_prefix(&project.root).unwrap_or(&self.path).display();
        let count = match self.wanted.len() {
            1 => "1 resource block".to_string(),
            more => format!("{more} resource blocks"),
        };
        eprintln!("Wrote {count} to {path}; this plan is made with what is in it.");
        if text.contains(" = null # sensitive\n") {
            eprintln!("Secrets are not written: what is `null # sensitive` stays as it is until you set it.");
        }
        if text.contains(" = null # required\n") {
            eprintln!("What is `null # required` is not told by the cluster: fill it in.");
        }
        if self.place != self.path {
            eprintln!(
                "Note: {path} is no file of the root module: put the blocks into one before you apply."
            );
        }
    }
}

/// What the file begins with.
const HEAD: &str = "# Generated by `pve plan -generate-config-out` from what the cluster has.\n";

fn block(workspace: &Workspace, wanted: &Wanted, found: &[(InstanceAddress, Value)]) -> Option<String> {
    let ResourceAddress { kind, name, .. } = &wanted.address;
    let rules = workspace.registry.resource(kind)?;
    let (_, value) = found.iter().find(|(address, _)| address.resource == wanted.address)?;
    let Generated { config, ignored } = configuration_of(rules, value);
    let block = &rules.schema().block;
    Some(write_resource((kind, name), wanted.provider.as_deref(), block, &config, &ignored))
}

/// Refuses a file that is there, or would be read as something else.
fn refuse_place(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    if path.symlink_metadata().is_ok() {
        return Err(Failure::hinted(
            format!("{shown} exists already"),
            "Generated blocks are written to a new file: name another one, or move this one away.",
        ));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.is_empty() || name.ends_with(".json") {
        return Err(Failure::hinted(
            format!("{shown} is no name for generated blocks"),
            "They are written in the native syntax, to a file such as generated.tf.",
        ));
    }
    Ok(())
}

/// Where the file counts as standing.
fn place(project: &Project, path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if folder.as_deref() == Some(&project.root) && is_configuration_name(&name) {
        return path.to_path_buf();
    }
    project.root.join(format!("{name}.generated.tf"))
}

fn refused(
    import: &Import,
    address: &ResourceAddress,
    is_known: bool,
    is_managed: bool,
) -> Option<Diagnostic> {
    let has_key = match &import.to.kind {
        ExprKind::Traversal(_, steps) => {
            steps.iter().any(|step| !matches!(step, pve_config::syntax::ast::Step::Attribute(_)))
        }
        _ => false,
    };
    let (summary, detail) = if import.for_each.is_some() {
        let detail = "It imports several objects by `for_each`, and a block is generated for one object.";
        ("No configuration can be generated for this import", detail.to_string())
    } else if has_key {
        let detail = format!("It names an instance of {address}, and a block without keys is generated.");
        ("No configuration can be generated for this import", detail)
    } else if !address.module.0.is_empty() {
        let detail = format!("{address} is in a module, and blocks are generated for the root module alone.");
        ("No configuration can be generated for this import", detail)
    } else if !is_known {
        ("There is no such kind of resource", format!("pve does not have {}.", address.kind))
    } else if is_managed {
        let detail = format!("{address} is in the state already: there is nothing to import.");
        ("This resource is managed already", detail)
    } else {
        return None;
    };
    let fault = Diagnostic::error(import.to.span, summary, detail);
    let hint = "Write its resource block, or leave this `import` block out while others are generated.";
    Some(fault.with_hint(hint))
}

fn provider(import: &Import, sources: &SourceMap) -> Option<String> {
    let text = sources.slice(import.provider.as_ref()?.span);
    // The JSON form has it in quotes.
    Some(text.trim_matches('"').to_string())
}
