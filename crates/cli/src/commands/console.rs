//! `pve console`

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use pve_planner::inspection::inspect;
use rustyline::error::ReadlineError;

use crate::arguments::{ConsoleOptions, GlobalOptions};
use crate::console::{Reply, Session, wants_more};
use crate::environments::with_variables_of_their_own;
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::render::diagnostics::render_diagnostics;
use crate::render::paint::Paint;
use crate::variables::Missing;
use crate::workspace::Workspace;

/// Evaluates expressions, from a prompt or from standard input. Reads the log; neither locks it nor asks the cluster.
///
/// # Errors
/// When the configuration cannot be loaded, or an expression from standard input has no value.
pub async fn run(global: &GlobalOptions, options: &ConsoleOptions) -> Ended {
    let project = Project { missing: Missing::Unknown, ..Project::find(global)? };
    let mut workspace = Workspace::load(&project, &options.variables)?;
    workspace.functions.pure = false;
    let state = project.state().await?;
    let evaluation = inspect(workspace.inputs(), &workspace.graph, &state);
    let paint = Paint::for_stream(&std::io::stderr(), global.no_color);
    let without_value = tell_missing(&project, &workspace);
    let mut found = workspace.redacted(evaluation.diagnostics.clone());
    // What depends on a variable without a value will not be known after an apply either.
    found.retain(|fault| !(without_value && fault.summary.ends_with("only known after apply")));
    if !found.is_empty() {
        eprint!("{}", render_diagnostics(&found, &workspace.sources, paint));
        eprintln!("What could not be evaluated is unknown below.");
    }
    let session = Session::new(&evaluation, &workspace.sources, global.json);
    if std::io::stdin().is_terminal() { converse(&session, paint) } else { read_all(&session) }
}

/// Says which variables have no value, if any.
fn tell_missing(project: &Project, workspace: &Workspace) -> bool {
    let missing = workspace.variables.iter().filter(|(_, value)| !value.is_known());
    let missing: Vec<String> = missing.map(|(name, _)| format!("var.{name}")).collect();
    if missing.is_empty() {
        return false;
    }
    let hint = match with_variables_of_their_own(project).first() {
        Some(first) if project.environment.is_none() => {
            format!("Choose an environment, for instance -e {first}.")
        }
        _ => "Give values with -var 'NAME=VALUE' or -var-file FILE.".to_string(),
    };
    let names = missing.join(", ");
    eprintln!("Note: without a value, and unknown below with all that depends on it: {names}. {hint}");
    true
}

/// As Terraform: the result of the last expression is printed, and the first one that fails ends it.
fn read_all(session: &Session<'_>) -> Ended {
    let mut last = String::new();
    let mut entered = String::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(Failure::reading(Path::new("standard input")))?;
        entered.push_str(&line);
        if wants_more(&entered) {
            continue_below(&mut entered);
            continue;
        }
        match session.handle(&std::mem::take(&mut entered))? {
            Reply::Text(text) => last = text,
            Reply::Nothing => last.clear(),
            Reply::Exit => return Ok(0),
        }
    }
    if !entered.is_empty() {
        session.handle(&entered)?;
    }
    println!("{last}");
    Ok(0)
}

fn continue_below(entered: &mut String) {
    if entered.ends_with('\\') {
        entered.pop();
    }
    entered.push('\n');
}

/// Reads from a terminal until the user ends it. What was entered is forgotten then: there may be secrets in it.
fn converse(session: &Session<'_>, paint: Paint) -> Ended {
    let failed = |error: ReadlineError| Failure::plain(format!("the terminal cannot be read: {error}"));
    let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
    let mut entered = String::new();
    loop {
        match editor.readline(if entered.is_empty() { "> " } else { ": " }) {
            Ok(line) => entered.push_str(&line),
            Err(ReadlineError::Interrupted) => {
                entered.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        }
        if wants_more(&entered) {
            continue_below(&mut entered);
            continue;
        }
        let text = std::mem::take(&mut entered);
        // A line that is not remembered is no loss.
        let _ = editor.add_history_entry(text.as_str());
        match session.handle(&text) {
            Ok(Reply::Text(text)) => println!("{text}"),
            Ok(Reply::Nothing) => {}
            Ok(Reply::Exit) => break,
            Err(failure) => drop(failure.report(paint)),
        }
    }
    Ok(0)
}
