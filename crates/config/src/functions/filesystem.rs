//! Files, paths and templates in files.

use std::path::{Component, Path};

use base64::Engine as _;
use pve_model::{Type, Value};

use super::Kind::{Any, String as Text};
use super::strings::string;
use super::{
    Context, FunctionError, Outcome, any_type, bool_type, fail, fail_at, function, parameter, string_type,
    text,
};
use crate::evaluate::{Resolved, Scope, ScopeError, evaluate};
use crate::syntax::{SourceId, parse_template};

const PATH: super::Parameter = parameter("path", Text);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("file", [PATH], string_type, |a, context| string(read_text(text(a, 0), context)?)),
    function!("filebase64", [PATH], string_type, |a, context| {
        string(base64::engine::general_purpose::STANDARD.encode(read(text(a, 0), context)?))
    }),
    function!("fileexists", [PATH], bool_type, |a, context| {
        Ok(Value::bool(context.files.is_file(&context.path(text(a, 0)))))
    }),
    function!("fileset", [PATH, parameter("pattern", Text)], |_| Type::set(Type::String), file_set),
    function!("templatefile", [PATH, parameter("vars", Any)], any_type, |a, context| {
        let template = read_text(text(a, 0), context)?;
        render(&template, text(a, 0), &a[1], context)
    }),
    function!(
        "templatestring",
        [parameter("template", Text), parameter("vars", Any)],
        any_type,
        |a, context| { render(text(a, 0), "template", &a[1], context) }
    ),
    function!("abspath", [PATH], string_type, |a, context| {
        let path = context.path(text(a, 0));
        let absolute = std::path::absolute(&path).or_else(|error| fail_at(0, error.to_string()))?;
        string(clean(&absolute.to_string_lossy()))
    }),
    function!("pathexpand", [PATH], string_type, |a, _| string(expand_home(text(a, 0)))),
    function!("dirname", [PATH], string_type, |a, _| {
        let path = text(a, 0);
        string(match path.rsplit_once('/') {
            None => ".".to_string(),
            Some(("", _)) => "/".to_string(),
            Some((folder, _)) => clean(folder),
        })
    }),
    function!("basename", [PATH], string_type, |a, _| {
        let path = text(a, 0);
        let trimmed = path.trim_end_matches('/');
        string(match (path.is_empty(), trimmed.is_empty()) {
            (true, _) => ".",
            (false, true) => "/",
            _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
        })
    }),
];

/// `~` at the beginning is the home folder.
pub(super) fn expand_home(path: &str) -> String {
    let home = || std::env::home_dir().map(|home| home.to_string_lossy().into_owned());
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => match home() {
            Some(home) => format!("{home}{rest}"),
            None => path.to_string(),
        },
        _ => path.to_string(),
    }
}

/// A path without `.`, `..` and doubled separators.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir if parts.last().is_some_and(|part| *part != "..") => drop(parts.pop()),
            Component::ParentDir if absolute => {}
            Component::ParentDir => parts.push(".."),
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            _ => {}
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

pub(super) fn read(path: &str, context: &Context) -> Result<Vec<u8>, FunctionError> {
    context.files.read(&context.path(path)).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fail_at(0, format!("there is no file \"{path}\"")),
        _ => fail_at(0, format!("\"{path}\" cannot be read: {error}")),
    })
}

fn read_text(path: &str, context: &Context) -> Result<String, FunctionError> {
    String::from_utf8(read(path, context)?)
        .or_else(|_| fail_at(0, format!("\"{path}\" is no UTF-8 text; use filebase64() for it")))
}

/// The variables of a template are its only names.
struct Variables<'a> {
    values: &'a Value,
    context: &'a Context,
}

impl Scope for Variables<'_> {
    fn resolve(&self, root: &str, _: &[&str]) -> Result<Resolved, ScopeError> {
        match self.values.get(root) {
            Some(value) => Ok(Resolved { value: value.clone(), consumed: 0 }),
            None => Err(ScopeError {
                summary: "Unknown variable".into(),
                detail: format!("the template uses `{root}`, which is not among the variables given"),
                hint: None,
            }),
        }
    }

    fn functions(&self) -> &Context {
        self.context
    }
}

fn render(template: &str, name: &str, variables: &Value, context: &Context) -> Outcome {
    if variables.entries().is_none() {
        return fail_at(1, "a map or object of variables is needed");
    }
    let parsed = parse_template(SourceId::default(), template);
    let place = |offset: u32| {
        let before = template.get(..offset as usize).unwrap_or(template);
        format!("{name}, line {}", before.matches('\n').count() + 1)
    };
    let describe = |found: &[crate::syntax::Diagnostic]| {
        let first = found.first();
        let at = first.and_then(|d| d.span).map(|span| place(span.start)).unwrap_or_else(|| name.to_string());
        let what = first.map(|d| format!("{}: {}", d.summary, d.detail)).unwrap_or_default();
        format!("{at}: {}", what.trim_end_matches('.'))
    };
    let Some(expr) = parsed.value.as_ref().filter(|_| !parsed.has_errors()) else {
        return fail_at(0, describe(&parsed.diagnostics));
    };
    evaluate(expr, &Variables { values: variables, context }).or_else(|found| fail(describe(&found)))
}

fn file_set(arguments: &[Value], context: &Context) -> Outcome {
    let folder = context.path(text(arguments, 0));
    let pattern = glob(text(arguments, 1))?;
    let mut found = Vec::new();
    walk(&folder, "", context, &mut found);
    let matching = found.into_iter().filter(|path| pattern.is_match(path)).map(Value::string).collect();
    Ok(Value::set(Type::String, matching))
}

fn walk(folder: &Path, prefix: &str, context: &Context, found: &mut Vec<String>) {
    for (name, is_folder) in context.files.list(folder).unwrap_or_default() {
        let path = format!("{prefix}{name}");
        if is_folder {
            walk(&folder.join(&name), &format!("{path}/"), context, found);
        } else {
            found.push(path);
        }
    }
}

/// `*`, `**`, `?`, `[...]` and `{a,b}` as a regular expression over the whole path.
fn glob(pattern: &str) -> Result<regex::Regex, FunctionError> {
    let mut text = String::from("^");
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => {
                text.push_str(if characters.next_if_eq(&'/').is_some() { "(?:.*/)?" } else { ".*" });
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '{' => text.push_str("(?:"),
            '}' => text.push(')'),
            ',' => text.push('|'),
            '[' | ']' | '^' | '-' => text.push(c),
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    text.push('$');
    super::strings::compile(&text, 1)
}
