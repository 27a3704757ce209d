//! Files, paths and templates.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pve_model::{Type, Value};

use super::parameter::{Call, Function, Outcome, Returns, any, text};
use super::string::string;
use super::{Context, Files, FunctionError, LocalFiles};
use crate::evaluate::{Resolved, Scope, ScopeError, evaluate};
use crate::syntax::{SourceId, parse_template};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("file", &[text("path")], Returns::Text, |c| string(read_text(c, 0)?)),
    Function::new("filebase64", &[text("path")], Returns::Text, |c| {
        Ok(Value::string(BASE64_STANDARD.encode(read(c, 0)?)))
    }),
    Function::new("fileexists", &[text("path")], Returns::Flag, |c| {
        let path = locate(c.context, c.text(0));
        let exists = c.context.files.exists(&path);
        exists
            .map(Value::bool)
            .map_err(|error| FunctionError::argument(0, format!("\"{}\": {error}", c.text(0))))
    }),
    Function::new(
        "fileset",
        &[text("path"), text("pattern")],
        Returns::Of(|_| Ok(Type::set(Type::String))),
        fileset,
    ),
    Function::new("templatefile", &[text("path"), any("vars")], Returns::Any, template_file).may_be_null(),
    Function::new("templatestring", &[text("template"), any("vars")], Returns::Any, |c| {
        render(c, c.text(0), c.text(0))
    })
    .may_be_null(),
    Function::new("basename", &[text("path")], Returns::Text, |c| string(base_name(c.text(0)))),
    Function::new("dirname", &[text("path")], Returns::Text, |c| string(directory_name(c.text(0)))),
    Function::new("abspath", &[text("path")], Returns::Text, |c| {
        let path = c.context.base_dir.join(c.text(0));
        let path = std::path::absolute(&path).unwrap_or(path);
        string(clean(&path.to_string_lossy()))
    }),
    Function::new("pathexpand", &[text("path")], Returns::Text, |c| string(expand(c.text(0)))),
];

impl Files for LocalFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(true),
            Ok(_) => Err(io::Error::other("it is there, but it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![(folder.to_path_buf(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let entries = match folder.read_dir() {
                Err(error) if prefix.is_empty() && is_no_folder(&error) => return Ok(found),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                // Through a symbolic link files count, but folders are not entered, so that loops end.
                let metadata = std::fs::metadata(entry.path());
                if metadata.is_ok_and(|metadata| metadata.is_file()) {
                    found.push(name);
                } else if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), format!("{name}/")));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A path as functions mean it: `~` is the home folder, relative ones start at the context's folder.
fn locate(context: &Context, path: &str) -> PathBuf {
    context.base_dir.join(expand(path))
}

pub(super) fn read(call: &Call<'_>, index: usize) -> Result<Vec<u8>, FunctionError> {
    let path = call.text(index);
    call.context.files.read(&locate(call.context, path)).map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no file \"{path}\""),
            _ => format!("\"{path}\" cannot be read: {error}"),
        };
        FunctionError::argument(index, message)
    })
}

fn read_text(call: &Call<'_>, index: usize) -> Result<String, FunctionError> {
    String::from_utf8(read(call, index)?).map_err(|_| {
        let path = call.text(index);
        FunctionError::argument(index, format!("\"{path}\" is not UTF-8; use filebase64() for other files"))
    })
}

fn expand(path: &str) -> String {
    let rest = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return path.to_string(),
    };
    match std::env::var("HOME") {
        Ok(home) => format!("{home}{rest}"),
        Err(_) => path.to_string(),
    }
}

fn base_name(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed.rsplit('/').next().unwrap_or(trimmed) }
}

fn directory_name(path: &str) -> String {
    let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
    clean(folder)
}

/// The shortest path that names the same place without asking the file system.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if !rooted => parts.push(".."),
                Some(_) => drop(parts.pop()),
                None => {}
            },
            other => parts.push(other),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_string(),
        (false, false) => parts.join("/"),
    }
}

fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn fileset(call: &Call<'_>) -> Outcome {
    let folder = locate(call.context, call.text(0));
    let pattern = super::pattern::from_glob(call.text(1))
        .ok_or_else(|| FunctionError::argument(1, "this is no pattern of file names"))?;
    let files = call
        .context
        .files
        .list(&folder)
        .map_err(|error| FunctionError::argument(0, format!("\"{}\": {error}", call.text(0))))?;
    let found = files.into_iter().filter(|name| pattern.is_match(name)).map(Value::string);
    Ok(Value::set(Type::String, found.collect()))
}

fn template_file(call: &Call<'_>) -> Outcome {
    let template = read_text(call, 0)?;
    render(call, &template, call.text(0))
}

/// The names of a template: its variables and no others.
struct TemplateScope<'a> {
    variables: BTreeMap<&'a str, &'a Value>,
    functions: Context,
}

impl Scope for TemplateScope<'_> {
    fn resolve(&self, root: &str, _steps: &[&str]) -> Result<Resolved, ScopeError> {
        match self.variables.get(root) {
            Some(value) => Ok(Resolved { value: (*value).clone(), consumed: 0 }),
            None => {
                let near = crate::evaluate::closest(root, self.variables.keys().copied());
                Err(ScopeError {
                    summary: format!("The template has no variable \"{root}\""),
                    detail: "A template sees only the variables of the call.".into(),
                    hint: near.map(|near| format!("Did you mean \"{near}\"?")),
                })
            }
        }
    }

    fn functions(&self) -> &Context {
        &self.functions
    }
}

/// Most templates inside templates.
const DEEPEST_TEMPLATES: u32 = 1024;

thread_local! {
    static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

fn render(call: &Call<'_>, template: &str, name: &str) -> Outcome {
    let variables = &call.arguments[1];
    let Some(entries) = variables.entries() else {
        return Err(FunctionError::argument(1, "a map or object of variables is required"));
    };
    for key in entries.keys() {
        if !is_name(key) {
            return Err(FunctionError::argument(1, format!("\"{key}\" cannot be the name of a variable")));
        }
    }
    let parsed = parse_template(SourceId(u32::MAX), template);
    let describe = |faults: Vec<crate::syntax::Diagnostic>| {
        let place = |fault: &crate::syntax::Diagnostic| {
            let start = fault.span.map_or(0, |span| span.start as usize).min(template.len());
            let before = template.get(..start).unwrap_or_default();
            before.matches('\n').count() + 1
        };
        let found = faults
            .iter()
            .find(|fault| fault.is_error())
            .map(|fault| format!("{name}, line {}: {}: {}", place(fault), fault.summary, fault.detail));
        FunctionError::argument(0, found.unwrap_or_else(|| "the template is wrong".into()))
    };
    let expr = match parsed.value {
        Some(expr) if !parsed.diagnostics.iter().any(crate::syntax::Diagnostic::is_error) => expr,
        _ => return Err(describe(parsed.diagnostics)),
    };
    let scope = TemplateScope {
        variables: entries.iter().map(|(key, value)| (&**key, value)).collect(),
        functions: call.context.clone(),
    };
    let depth = DEPTH.get();
    if depth >= DEEPEST_TEMPLATES {
        return Err(FunctionError::argument(0, "templates call each other without end"));
    }
    DEPTH.set(depth + 1);
    let result = evaluate(&expr, &scope);
    DEPTH.set(depth);
    result.map_err(describe)
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| unicode_ident::is_xid_start(c) || c == '_')
        && characters.all(|c| unicode_ident::is_xid_continue(c) || c == '-')
}
