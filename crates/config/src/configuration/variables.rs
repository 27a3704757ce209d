//! Values of the root module's variables, from files, the environment and the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pve_model::Value;

use super::declare::constant;
use super::files::Folders;
use super::{Module, Variable};
use crate::evaluate::{Resolved, Scope, ScopeError, closest};
use crate::functions::Context;
use crate::syntax::{Body, Diagnostic, SourceMap, Span, json, parse_body, parse_expression};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableSource {
    /// A file; undeclared names are only worth a warning.
    File,
    /// `TF_VAR_name`; undeclared names are passed over.
    Environment,
    /// `-var`; undeclared names are errors.
    CommandLine,
}

/// A value given for a variable; later ones win.
#[derive(Clone, Debug)]
pub struct VariableInput {
    /// The name.
    pub name: String,
    /// The value, or a text that is an expression where the variable's type is not a simple one.
    pub value: Result<Value, String>,
    /// Where it stands, if in a file.
    pub span: Option<Span>,
    /// Where it comes from.
    pub source: VariableSource,
}

/// The files of variables of a root module in their order: `terraform.tfvars`, `terraform.tfvars.json`, then
/// `*.auto.tfvars` and `*.auto.tfvars.json` by name; then those of the environment's folder.
///
/// # Errors
/// When there is no folder for the environment.
pub fn environment_files(
    files: &dyn Folders,
    root: &Path,
    environment: Option<&str>,
) -> Result<Vec<PathBuf>, Diagnostic> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = files.entries(&root.join(folder)).unwrap_or_default();
        entries.into_iter().filter(|(_, is_folder)| !is_folder).map(|(name, _)| name).collect()
    };
    let own = names(Path::new(""));
    let fixed = ["terraform.tfvars", "terraform.tfvars.json"]
        .into_iter()
        .filter(|name| own.iter().any(|n| n == name));
    let automatic =
        own.iter().filter(|name| name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json"));
    let mut found: Vec<PathBuf> = fixed.map(PathBuf::from).collect();
    found.extend(automatic.map(PathBuf::from));
    if let Some(environment) = environment {
        let folders = [PathBuf::from(environment), Path::new("environments").join(environment)];
        let folder = folders.into_iter().find(|folder| names(folder).iter().any(|name| is_tfvars(name)));
        let Some(folder) = folder else {
            let detail = format!(
                "There is no folder {environment}/ or environments/{environment}/ with a .tfvars file."
            );
            let hint = format!("Make {environment}/terraform.tfvars, or leave -e out.");
            return Err(
                Diagnostic::error_without_span("There is no such environment", detail).with_hint(hint)
            );
        };
        found.extend(names(&folder).into_iter().filter(|name| is_tfvars(name)).map(|name| folder.join(name)));
    }
    Ok(found)
}

fn is_tfvars(name: &str) -> bool {
    name.ends_with(".tfvars") || name.ends_with(".tfvars.json")
}

/// Reads a file of variables.
///
/// # Errors
/// When it cannot be read, parsed or evaluated.
pub fn read_variable_file(
    files: &dyn Folders,
    path: &Path,
    shown: &str,
    sources: &mut SourceMap,
) -> Result<Vec<VariableInput>, Vec<Diagnostic>> {
    let bytes = files.read(path).map_err(|error| {
        let detail = format!("{shown} cannot be read: {error}.");
        vec![Diagnostic::error_without_span("A file of variables cannot be read", detail)]
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        vec![Diagnostic::error_without_span("A file is no text", format!("{shown} is no UTF-8 text."))]
    })?;
    let source = sources.add(shown, text.as_str());
    let (body, mut found): (Body, Vec<Diagnostic>) = if shown.ends_with(".json") {
        let read = json::parse_body(source, &text);
        let content = read.value.attributes();
        (content.value, [read.diagnostics, content.diagnostics].concat())
    } else {
        let parsed = parse_body(source, &text);
        (parsed.value, parsed.diagnostics)
    };
    for block in body.blocks() {
        let detail = "A file of variables has only arguments, `name = value`.";
        found.push(Diagnostic::error(block.header_span, "A block in a file of variables", detail));
    }
    let mut inputs = Vec::new();
    for attribute in body.attributes() {
        match constant(&attribute.expr) {
            Ok(value) => inputs.push(VariableInput {
                name: attribute.name.to_string(),
                value: Ok(value),
                span: Some(attribute.expr.span),
                source: VariableSource::File,
            }),
            Err(errors) => found.extend(errors),
        }
    }
    if found.iter().any(Diagnostic::is_error) { Err(found) } else { Ok(inputs) }
}

/// Values by name, and warnings.
pub type Collected = (BTreeMap<String, Value>, Vec<Diagnostic>);

/// The values of all variables of the root module.
///
/// # Errors
/// With a diagnostic for every value that does not fit, every condition that is not met, and every missing variable.
pub fn collect_variables(
    root: &Module,
    inputs: &[VariableInput],
    sources: &mut SourceMap,
    functions: &Context,
) -> Result<Collected, Vec<Diagnostic>> {
    let mut values = BTreeMap::new();
    let mut found = undeclared(root, inputs);
    for variable in root.variables.values() {
        let given = inputs.iter().rev().find(|input| input.name == variable.name);
        let value = match given {
            Some(input) => {
                given_value(variable, input, sources).and_then(|value| variable.accept(value, input.span))
            }
            None => match &variable.default {
                Some(default) => Ok(variable.marked(default.clone())),
                None => Err(vec![missing(variable)]),
            },
        };
        match value {
            Ok(value) => drop(values.insert(variable.name.clone(), value)),
            Err(errors) => found.extend(errors),
        }
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let scope = VariableScope { values: &values, functions };
    // Conditions that refer to more than variables are checked where everything is evaluated.
    let simple = |variable: &&Variable| {
        let references = variable.validations.iter().flat_map(super::Condition::references);
        references.into_iter().all(|reference| reference.root.name == "var")
    };
    found.extend(root.variables.values().filter(simple).flat_map(|variable| variable.validate(&scope)));
    if found.iter().any(Diagnostic::is_error) { Err(found) } else { Ok((values, found)) }
}

struct VariableScope<'a> {
    values: &'a BTreeMap<String, Value>,
    functions: &'a Context,
}

impl Scope for VariableScope<'_> {
    fn resolve(&self, root: &str, steps: &[&str]) -> Result<Resolved, ScopeError> {
        match steps.first().and_then(|name| self.values.get(*name)).filter(|_| root == "var") {
            Some(value) => Ok(Resolved { value: value.clone(), consumed: 1 }),
            None => Err(ScopeError {
                summary: "This cannot be used here".into(),
                detail: format!("`{root}` has no such value while variables are checked."),
                hint: None,
            }),
        }
    }

    fn functions(&self) -> &Context {
        self.functions
    }
}

fn given_value(
    variable: &Variable,
    input: &VariableInput,
    sources: &mut SourceMap,
) -> Result<Value, Vec<Diagnostic>> {
    let text = match &input.value {
        Ok(value) => return Ok(value.clone()),
        Err(text) => text,
    };
    // A variable of a simple type takes the text as it is; any other takes an expression.
    if variable.constraint.ty.is_primitive() || !variable.typed {
        return Ok(Value::string(text.as_str()));
    }
    let name = match input.source {
        VariableSource::Environment => format!("<TF_VAR_{}>", variable.name),
        _ => format!("<-var {}>", variable.name),
    };
    let source = sources.add(name, text.as_str());
    let parsed = parse_expression(source, text);
    match parsed.value {
        Some(expr) if !parsed.diagnostics.iter().any(Diagnostic::is_error) => constant(&expr),
        _ => Err(parsed.diagnostics),
    }
}

fn undeclared(root: &Module, inputs: &[VariableInput]) -> Vec<Diagnostic> {
    let unknown = inputs.iter().filter(|input| !root.variables.contains_key(&input.name));
    unknown
        .filter_map(|input| {
            let near = closest(&input.name, root.variables.keys().map(String::as_str));
            let summary = format!("There is no variable \"{}\"", input.name);
            let detail = "The root module does not declare a variable of this name.";
            let mut diagnostic = match (&input.source, input.span) {
                (VariableSource::Environment, _) => return None,
                (VariableSource::CommandLine, _) => Diagnostic::error_without_span(summary, detail),
                (VariableSource::File, Some(span)) => Diagnostic::warning(span, summary, detail),
                (VariableSource::File, None) => return None,
            };
            diagnostic.hint = near.map(|near| format!("Did you mean \"{near}\"?"));
            Some(diagnostic)
        })
        .collect()
}

fn missing(variable: &Variable) -> Diagnostic {
    let name = &variable.name;
    let about =
        if variable.description.is_empty() { String::new() } else { format!(" ({})", variable.description) };
    let detail = format!("Variable \"{name}\" has no default{about}, and no value was given.");
    let hint =
        format!("Give it with -var '{name}=...', in a .tfvars file, or as TF_VAR_{name} in the environment.");
    Diagnostic::error(variable.span, format!("No value for variable \"{name}\""), detail).with_hint(hint)
}
