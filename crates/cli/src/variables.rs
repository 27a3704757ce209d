//! Values of the root module's variables: where they come from, and what is done about those that have none.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};

use pve_config::configuration::{
    Folders, Module, Variable, VariableInput, VariableSource, environment_files, read_variable_file,
};
use pve_config::syntax::{Diagnostic, SourceMap};
use pve_model::Value;

use crate::arguments::{Placed, VariableOptions};
use crate::project::Project;

/// What is done about a variable without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is an error.
    Refuse,
    /// The user is asked.
    Ask,
    /// It is unknown.
    Unknown,
    /// It is unknown, and so are those whose values nobody asked for: a configuration is checked for any values.
    AnyValue,
}

/// What to do about missing variables when `-input` says whether asking is allowed.
pub fn missing_policy(input: bool) -> Missing {
    if input && std::io::stdin().is_terminal() { Missing::Ask } else { Missing::Refuse }
}

/// Values of variables in Terraform's order of precedence: environment variables, then files, then the command line.
///
/// # Errors
/// With everything that cannot be read.
pub fn variable_inputs(
    files: &dyn Folders,
    project: &Project,
    options: &VariableOptions,
    sources: &mut SourceMap,
) -> Result<Vec<VariableInput>, Vec<Diagnostic>> {
    let mut inputs: Vec<VariableInput> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix("TF_VAR_")?.to_string();
            let text = value.to_str()?.to_string();
            Some(VariableInput { name, value: Err(text), span: None, source: VariableSource::Environment })
        })
        .collect();
    let mut found = Vec::new();
    let listed =
        environment_files(files, &project.root, project.environment.as_deref()).map_err(|d| vec![d])?;
    for path in listed {
        let shown = path.to_string_lossy().replace('\\', "/");
        match read_variable_file(files, &project.root.join(&path), &shown, sources) {
            Ok(read) => inputs.extend(read),
            Err(errors) => found.extend(errors),
        }
    }
    let given = options.variables.iter().map(|value| (value, false));
    let mut given: Vec<(&Placed, bool)> =
        given.chain(options.variable_files.iter().map(|file| (file, true))).collect();
    given.sort_by_key(|(value, _)| value.place);
    for (Placed { text, .. }, is_file) in given {
        if is_file {
            match read_variable_file(files, &project.root.join(text), text, sources) {
                Ok(read) => inputs.extend(read),
                Err(errors) => found.extend(errors),
            }
            continue;
        }
        match text.split_once('=') {
            Some((name, value)) => inputs.push(given_text(name.trim(), value)),
            None => {
                let detail = format!("-var {text:?} has no `=`.");
                let fault = Diagnostic::error_without_span("A value without a name", detail);
                found.push(fault.with_hint("Write -var 'name=value'."));
            }
        }
    }
    if found.is_empty() { Ok(inputs) } else { Err(found) }
}

fn given_text(name: &str, text: &str) -> VariableInput {
    VariableInput {
        name: name.to_string(),
        value: Err(text.to_string()),
        span: None,
        source: VariableSource::CommandLine,
    }
}

/// Adds values for variables that have none. `environments` are those that could have been chosen, and none was.
///
/// # Errors
/// When the user was asked and gave no answer, or an environment would have the values.
pub fn complete(
    root: &Module,
    inputs: &mut Vec<VariableInput>,
    missing: Missing,
    environments: &BTreeSet<String>,
) -> Result<(), Diagnostic> {
    let without = root.variables.values().filter(|variable| variable.default.is_none());
    let without: Vec<&Variable> =
        without.filter(|variable| !inputs.iter().any(|input| input.name == variable.name)).collect();
    if let (Some(first), Some(_)) = (environments.first(), without.first())
        && !matches!(missing, Missing::Unknown | Missing::AnyValue)
    {
        let names: Vec<String> = without.iter().map(|variable| format!("\"{}\"", variable.name)).collect();
        let known: Vec<&str> = environments.iter().map(String::as_str).collect();
        let detail = format!(
            "No value for {}. This project has environments with values of their own: {}.",
            names.join(", "),
            known.join(", ")
        );
        let fault = Diagnostic::error_without_span("No environment is chosen", detail);
        return Err(
            fault.with_hint(format!("Choose one, for instance -e {first} (or PVE_ENVIRONMENT={first})."))
        );
    }
    for variable in without {
        match missing {
            Missing::Refuse => {}
            Missing::Unknown | Missing::AnyValue => inputs.push(unknown_value(variable)),
            Missing::Ask => {
                let answer = ask(variable).map_err(|error| {
                    let summary = format!("No value for variable \"{}\"", variable.name);
                    let fault =
                        Diagnostic::error_without_span(summary, format!("Nothing was entered: {error}."));
                    fault.with_hint(format!("Give it with -var '{}=...'.", variable.name))
                })?;
                inputs.push(given_text(&variable.name, &answer));
            }
        }
    }
    Ok(())
}

fn unknown_value(variable: &Variable) -> VariableInput {
    VariableInput {
        name: variable.name.clone(),
        value: Ok(Value::unknown(variable.constraint.ty.plain())),
        span: None,
        source: VariableSource::Environment,
    }
}

/// Makes all variables unknown.
///
/// # Errors
/// When values from files are not of the right types.
pub fn forget_values(root: &Module, inputs: &mut Vec<VariableInput>) -> Result<(), Vec<Diagnostic>> {
    let mut found = Vec::new();
    for input in inputs.iter() {
        if let (Some(variable), Ok(value)) = (root.variables.get(&input.name), &input.value) {
            found.extend(variable.accept(value.clone(), input.span).err().into_iter().flatten());
        }
    }
    inputs.extend(root.variables.values().map(unknown_value));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Asks on standard error, so that what is printed can go into a file. A secret is not echoed.
fn ask(variable: &Variable) -> std::io::Result<String> {
    eprintln!("var.{}", variable.name);
    for line in variable.description.lines() {
        eprintln!("  {line}");
    }
    eprint!("\n  Enter a value: ");
    let mut answer = String::new();
    if variable.sensitive {
        answer = rpassword::read_password()?;
    } else if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        eprintln!();
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the input ended"));
    }
    eprintln!();
    Ok(answer.trim_end_matches(['\n', '\r']).to_string())
}
