//! Reads the files of a root module and of the modules that it calls.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::declare::{Call, declare};
use super::files::Folders;
use super::overrides::{is_override, merge};
use super::{Configuration, Module};
use crate::evaluate::closest;
use crate::syntax::{Body, Diagnostic, SourceMap, json, parse_body};

/// A configuration with its sources and what was found wrong.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The configuration, as far as it could be read.
    pub configuration: Configuration,
    /// The texts that spans point into.
    pub sources: SourceMap,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Module calls within module calls; deeper ones call themselves in all likelihood.
const DEEPEST: usize = 32;

/// Loads the module in `root`. Paths of sources are relative to it.
pub fn load(files: &dyn Folders, root: &Path) -> Loaded {
    let mut loader = Loader { files, root, loaded: Loaded::default() };
    let module = loader.module(Path::new(""), Vec::new());
    loader.loaded.configuration.root = module;
    loader.loaded
}

struct Loader<'a> {
    files: &'a dyn Folders,
    root: &'a Path,
    loaded: Loaded,
}

impl Loader<'_> {
    fn module(&mut self, directory: &Path, path: Vec<String>) -> Module {
        let bodies = self.bodies(directory);
        let mut module = Module { path, directory: display(directory), ..Module::default() };
        let mut calls = Vec::new();
        for body in &bodies {
            declare(body, &mut module, &mut calls, &mut self.loaded.diagnostics);
        }
        for call in calls {
            self.call(call, directory, &mut module);
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
            self.loaded.diagnostics.push(Diagnostic::error_without_span("A module is empty", detail));
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

    fn call(&mut self, call: Call, directory: &Path, module: &mut Module) {
        let Call { mut call, source } = call;
        let mut path = module.path.clone();
        path.push(call.name.clone());
        match source {
            None => {
                let detail =
                    format!("Module \"{}\" needs a `source` that is a text without references.", call.name);
                self.loaded.diagnostics.push(Diagnostic::error(call.span, "A module has no source", detail));
            }
            Some((source, span)) if !(source.starts_with("./") || source.starts_with("../")) => {
                let detail = format!("\"{source}\" is no local path, and only local modules are supported.");
                let hint =
                    "Put a copy of the module in the project and use a path that starts with ./ or ../.";
                let fault = Diagnostic::error(span, "This module source is not supported", detail);
                self.loaded.diagnostics.push(fault.with_hint(hint));
            }
            Some((_, span)) if path.len() > DEEPEST => {
                let detail = format!("{DEEPEST} modules call each other, which never ends.");
                self.loaded.diagnostics.push(Diagnostic::error(
                    span,
                    "Modules call each other in a circle",
                    detail,
                ));
            }
            Some((source, span)) => {
                let target = joined(directory, &source);
                if self.files.entries(&self.root.join(&target)).is_err() {
                    let detail = format!("There is no folder {}.", display(&target));
                    self.loaded.diagnostics.push(Diagnostic::error(span, "There is no such module", detail));
                } else {
                    let child = self.module(&target, path);
                    self.check_arguments(&call, &child);
                    call.child = Some(child);
                }
            }
        }
        module.module_calls.insert(call.name.clone(), call);
    }

    fn check_arguments(&mut self, call: &super::ModuleCall, child: &Module) {
        for attribute in call.arguments.attributes() {
            if child.variables.contains_key(attribute.name.as_str()) {
                continue;
            }
            let detail = format!("Module \"{}\" has no variable \"{}\".", call.name, attribute.name);
            let fault = Diagnostic::error(attribute.name_span, "Unsupported argument", detail);
            let near = closest(&attribute.name, child.variables.keys().map(String::as_str));
            self.loaded.diagnostics.push(match near {
                Some(near) => fault.with_hint(format!("Did you mean \"{near}\"?")),
                None => fault,
            });
        }
        for variable in child.variables.values() {
            if variable.default.is_none() && call.arguments.attribute(&variable.name).is_none() {
                let detail = format!("Module \"{}\" needs the argument \"{}\".", call.name, variable.name);
                let fault = Diagnostic::error(call.span, "An argument is missing", detail);
                self.loaded
                    .diagnostics
                    .push(fault.with_related(variable.span, "the variable is declared here"));
            }
        }
    }
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
