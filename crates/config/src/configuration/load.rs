//! Reads the files of a root module and of the modules that it calls.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::check::check;
use super::declare::{Call, declare};
use super::files::Folders;
use super::installed::{InstalledModules, MODULES_FOLDER, MissingModule, Wanted, module_key};
use super::overrides::{is_override, merge};
use super::version::VersionConstraint;
use super::{Configuration, Module, located};
use crate::syntax::{Body, Diagnostic, SourceMap, Span, json, parse_body};

/// A configuration with its sources and what was found wrong.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The configuration, as far as it could be read.
    pub configuration: Configuration,
    /// The texts that spans point into.
    pub sources: SourceMap,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// Modules that come from elsewhere and are not there. What they call is not known.
    pub missing: Vec<MissingModule>,
}

/// Module calls within module calls; deeper ones call themselves in all likelihood.
const DEEPEST: usize = 32;

/// Loads the module in `root`. Paths of sources are relative to it. A module that comes from elsewhere is found by the
/// manifest of the project; one that is not there is an error.
pub fn load(files: &dyn Folders, root: &Path) -> Loaded {
    let (installed, fault) = match InstalledModules::read(files, root) {
        Ok(installed) => (installed, None),
        Err(detail) => {
            let fault = Diagnostic::error_without_span("The list of modules cannot be read", detail);
            let hint = "Run `pve init`; it writes the list anew.";
            (InstalledModules::default(), Some(fault.with_hint(hint)))
        }
    };
    let mut loaded = load_with(files, root, &installed);
    match fault {
        Some(fault) if !loaded.missing.is_empty() => loaded.diagnostics.push(fault),
        _ => loaded.diagnostics.extend(loaded.missing.iter().map(MissingModule::diagnostic)),
    }
    loaded
}

/// Loads the module in `root` with these modules from elsewhere. That one is missing is no error here.
pub fn load_with(files: &dyn Folders, root: &Path, installed: &InstalledModules) -> Loaded {
    let mut loader = Loader { files, root, installed, loaded: Loaded::default() };
    let place = Place { directory: PathBuf::new(), package: None };
    let module = loader.module(&place, Vec::new());
    loader.loaded.configuration.root = module;
    // What could not be read would look as if it were not there.
    if !loader.loaded.diagnostics.iter().any(Diagnostic::is_error) {
        let found = check(&loader.loaded.configuration);
        loader.loaded.diagnostics.extend(found);
    }
    loader.loaded
}

struct Loader<'a> {
    files: &'a dyn Folders,
    root: &'a Path,
    installed: &'a InstalledModules,
    loaded: Loaded,
}

/// Where a module stands.
struct Place {
    /// Its folder, relative to the root.
    directory: PathBuf,
    /// The folder that was fetched as a whole, if the module comes from elsewhere: its paths must not lead out.
    package: Option<PathBuf>,
}

impl Loader<'_> {
    fn module(&mut self, place: &Place, path: Vec<String>) -> Module {
        let before = self.loaded.diagnostics.len();
        let bodies = self.bodies(&place.directory);
        let mut module = Module { path, directory: display(&place.directory), ..Module::default() };
        let mut calls = Vec::new();
        for body in &bodies {
            declare(body, &self.loaded.sources, &mut module, &mut calls, &mut self.loaded.diagnostics);
        }
        located(&mut self.loaded.diagnostics[before..], &module.path);
        for call in calls {
            self.call(call, place, &mut module);
        }
        module
    }

    /// The bodies of the files of a folder, override files merged in.
    fn bodies(&mut self, directory: &Path) -> Vec<Body> {
        let names = match self.files.entries(&self.root.join(directory)) {
            Ok(entries) => entries.into_iter().filter(|(_, folder)| !folder).map(|(name, _)| name).collect(),
            Err(error) => {
                let detail = format!("The folder {} cannot be read: {error}.", display(directory));
                self.loaded
                    .diagnostics
                    .push(Diagnostic::error_without_span("A module cannot be read", detail));
                BTreeSet::new()
            }
        };
        let wanted: Vec<&String> = names.iter().filter(|name| is_configuration(name, &names)).collect();
        if wanted.is_empty() && !directory.as_os_str().is_empty() {
            let detail = format!("The folder {} has no .tf or .tofu file.", display(directory));
            self.loaded.diagnostics.push(Diagnostic::warning_without_span("A module is empty", detail));
        }
        let (over, primary): (Vec<&String>, Vec<&String>) =
            wanted.into_iter().partition(|name| is_override(name));
        let mut bodies: Vec<Body> = primary.iter().filter_map(|name| self.body(directory, name)).collect();
        for name in over {
            if let Some(body) = self.body(directory, name) {
                merge(&mut bodies, &body, &mut self.loaded.diagnostics);
            }
        }
        bodies
    }

    fn body(&mut self, directory: &Path, name: &str) -> Option<Body> {
        let path = directory.join(name);
        let bytes = match self.files.read(&self.root.join(&path)) {
            Ok(bytes) => bytes,
            Err(error) => {
                let detail = format!("{} cannot be read: {error}.", display(&path));
                self.loaded.diagnostics.push(Diagnostic::error_without_span("A file cannot be read", detail));
                return None;
            }
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                let detail = format!("{} is no UTF-8 text.", display(&path));
                self.loaded.diagnostics.push(Diagnostic::error_without_span("A file is no text", detail));
                return None;
            }
        };
        let source = self.loaded.sources.add(display(&path), text.as_str());
        let parsed = if name.ends_with(".json") {
            let read = json::parse_body(source, &text);
            let mut content = read.value.content(&json::language_blocks);
            content.diagnostics.splice(0..0, read.diagnostics);
            content
        } else {
            parse_body(source, &text)
        };
        self.loaded.diagnostics.extend(parsed.diagnostics);
        Some(parsed.value)
    }

    fn call(&mut self, call: Call, caller: &Place, module: &mut Module) {
        let mut path = module.path.clone();
        path.push(call.call.name.clone());
        let place = self.place(&call, caller, &path);
        let mut call = call.call;
        if let Some(place) = place {
            let child = self.module(&place, path);
            call.child = Some(child);
        }
        module.module_calls.insert(call.name.clone(), call);
    }

    /// Where the module of a call stands; none when that is not known, which is told.
    fn place(&mut self, call: &Call, caller: &Place, path: &[String]) -> Option<Place> {
        // Told already if there is none.
        let (source, span) = call.source.as_ref()?;
        if path.len() > DEEPEST {
            let detail = format!("{DEEPEST} modules call each other, which never ends.");
            return self.fault(Diagnostic::error(*span, "Modules call each other in a circle", detail));
        }
        let version = match call.version.as_ref().map(|(text, span)| (text.parse(), *span)) {
            None => None,
            Some((Ok(version), span)) => Some((version, span)),
            Some((Err(error), span)) => {
                let error: super::version::VersionError = error;
                let detail = format!("{error}.");
                return self.fault(Diagnostic::error(span, "Wrong version constraint", detail));
            }
        };
        if is_local(source) {
            return match version {
                Some((_, span)) => {
                    let detail = format!("{source} is a local path, and a folder has no versions.");
                    let fault = Diagnostic::error(span, "A local module has no version", detail);
                    self.fault(fault.with_hint("Take `version` out."))
                }
                None => self.local(source, *span, caller),
            };
        }
        self.installed(source, *span, version, caller, path)
    }

    fn local(&mut self, source: &str, span: Span, caller: &Place) -> Option<Place> {
        let directory = joined(&caller.directory, source);
        if caller.package.as_ref().is_some_and(|package| !directory.starts_with(package)) {
            let detail = format!("{source} leads out of what was fetched for this module.");
            let fault = Diagnostic::error(span, "A path leads out of the module's package", detail);
            let hint = "Name the whole package in the outer `source` and the folder in it after `//`.";
            return self.fault(fault.with_hint(hint));
        }
        if self.files.entries(&self.root.join(&directory)).is_err() {
            let detail = format!("There is no folder {}.", display(&directory));
            return self.fault(Diagnostic::error(span, "There is no such module", detail));
        }
        Some(Place { directory, package: caller.package.clone() })
    }

    fn installed(
        &mut self,
        source: &str,
        span: Span,
        version: Option<(VersionConstraint, Span)>,
        caller: &Place,
        path: &[String],
    ) -> Option<Place> {
        let (version, version_span) = version.unzip();
        let wanted = Wanted { source, version: version.as_ref() };
        match self.installed.find(self.files, self.root, path, &wanted) {
            Ok(directory) => {
                // A folder elsewhere on this machine is used where it stands, with all that is around it.
                let package = Path::new(MODULES_FOLDER).join(module_key(path));
                let package = directory.starts_with(&package).then_some(package);
                Some(Place { directory: directory.to_path_buf(), package })
            }
            Err(reason) => {
                self.loaded.missing.push(MissingModule {
                    path: path.to_vec(),
                    source: source.into(),
                    span,
                    version,
                    version_span,
                    caller: caller.directory.clone(),
                    reason,
                });
                None
            }
        }
    }

    fn fault<T>(&mut self, fault: Diagnostic) -> Option<T> {
        self.loaded.diagnostics.push(fault);
        None
    }
}

/// Whether a source is a path relative to the module that has it.
fn is_local(source: &str) -> bool {
    ["./", "../", ".\\", "..\\"].iter().any(|prefix| source.starts_with(prefix))
}

/// Whether a file of this name is part of a module in the native syntax, whatever stands beside it.
pub fn is_configuration_name(name: &str) -> bool {
    is_configuration(name, &BTreeSet::new()) && !name.ends_with(".json") && !is_override(name)
}

/// Whether a file is part of a module. A `.tofu` file stands in for the `.tf` file of its name.
fn is_configuration(name: &str, all: &BTreeSet<String>) -> bool {
    if name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#')) {
        return false;
    }
    if name.ends_with(".tofu") || name.ends_with(".tofu.json") {
        return true;
    }
    match (name.strip_suffix(".tf"), name.strip_suffix(".tf.json")) {
        (Some(stem), _) => !all.contains(&format!("{stem}.tofu")),
        (_, Some(stem)) => !all.contains(&format!("{stem}.tofu.json")),
        _ => false,
    }
}

/// A path inside the root, or out of it with `..` in front.
fn joined(directory: &Path, source: &str) -> PathBuf {
    let mut parts = PathBuf::new();
    for component in directory.join(source).components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if parts.file_name().is_some() => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts
}

/// A path with forward slashes, `.` for the root itself.
fn display(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    if text.is_empty() { ".".into() } else { text }
}
