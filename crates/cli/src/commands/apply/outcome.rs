//! What became of a plan, as its user reads it.

use pve_executor::Outcome;
use pve_model::event::Operation;
use pve_model::state::State;
use pve_planner::planning::Planning;
use serde_json::{Value as Json, json};

use super::super::output::render_outputs;
use super::super::plan::add_diagnostics;
use super::super::print_json;
use crate::arguments::GlobalOptions;
use crate::backend::has_spool;
use crate::failure::{Ended, FAILED, Failure, INTERRUPTED, without_address};
use crate::project::Project;
use crate::render::paint::Paint;
use crate::session::{Application, Applied};
use crate::workspace::Workspace;

/// What a program that reads along was told before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The plan with its warnings.
    Plan,
    /// Nothing: the plan was saved.
    Nothing,
}

/// Says what was not destroyed although everything was to be.
pub(super) fn report_kept(planning: &Planning) {
    for address in &planning.kept {
        eprintln!("{address}: kept (protected, or needed by something protected)");
    }
}

/// Tells what became of a plan, and with which code the process ends.
pub(super) fn conclude(
    global: &GlobalOptions,
    project: &Project,
    (application, told, again): (&Application<'_>, Told, &str),
    applied: Applied,
    state: &State,
    paint: Paint,
) -> Ended {
    let Applied { outcome, problems, unrecorded } = applied;
    let (workspace, command) = (application.workspace, application.command);
    let mut document = json!({"format_version": "1.0"});
    if told == Told::Nothing {
        add_diagnostics(&mut document, workspace, application.planning);
    }
    report_kept(application.planning);
    let is_kept = has_spool(project);
    let changes = application.planning.plan.changes.iter();
    let imported = changes.filter(|change| change.importing.is_some()).count();
    let is_unrecorded = is_kept || unrecorded.is_some();
    let code = report(global, workspace, again, (&outcome, imported, document), paint, is_unrecorded)?;
    if is_kept {
        return Err(Failure::hinted(
            "what happened since the log went away, or was taken over, is not in it: it is kept here",
            "`pve log push` appends it once the log is back; `pve apply` then continues from there.",
        ));
    }
    if let Some(failure) = unrecorded {
        return Err(failure);
    }
    if outcome.is_complete() {
        show_outputs(global, command, state)?;
    }
    if problems.iter().any(pve_config::syntax::Diagnostic::is_error) {
        return Err(workspace.failure(problems));
    }
    Ok(code)
}

/// The outputs as they are now, as Terraform shows them behind an apply.
fn show_outputs(global: &GlobalOptions, command: &str, state: &State) -> Result<(), Failure> {
    if global.json || command == "destroy" || state.outputs.is_empty() {
        return Ok(());
    }
    print!("\nOutputs:\n\n{}", render_outputs(&state.outputs)?);
    Ok(())
}

/// What became of it: a sentence, or a JSON document of its own behind that of the plan.
fn report(
    global: &GlobalOptions,
    workspace: &Workspace,
    again: &str,
    (outcome, imported, document): (&Outcome, usize, Json),
    paint: Paint,
    is_kept: bool,
) -> Ended {
    for failure in &outcome.failures {
        let error = without_address(&failure.error, &failure.address);
        let fault = (failure.address.clone(), format!("{}: {error}", failure.address));
        workspace.failure_about([fault], failure.hint.clone(), []).report(paint);
    }
    print_counts(global, (outcome, imported, document))?;
    if outcome.is_complete() {
        return Ok(0);
    }
    if !is_kept {
        // What a failure asks for comes first; a step that was stopped asks for no more than the next run.
        let asks = !outcome.interrupted && outcome.failures.iter().any(|failure| failure.hint.is_some());
        let once = if asks { "Once what failed is settled, " } else { "" };
        eprintln!(
            "{} What was done is recorded. {once}`{again}` again continues from here.",
            paint.cyan("Hint:")
        );
    }
    Ok(if outcome.interrupted { INTERRUPTED } else { FAILED })
}

/// What was done: a sentence, or a JSON document.
fn print_counts(
    global: &GlobalOptions,
    (outcome, imported, mut document): (&Outcome, usize, Json),
) -> Result<(), Failure> {
    let done = |operation| outcome.done.get(&operation).copied().unwrap_or_default();
    let imported = match imported {
        0 => String::new(),
        imported => format!("{imported} imported, "),
    };
    let forgotten = match done(Operation::Forget) {
        0 => String::new(),
        forgotten => format!(", {forgotten} forgotten"),
    };
    let counts = format!(
        "{imported}{} added, {} changed, {} destroyed{forgotten}",
        done(Operation::Create),
        done(Operation::Update),
        done(Operation::Delete)
    );
    let (failed, skipped) = (outcome.failures.len(), outcome.skipped.len());
    if global.json {
        for (name, value) in [
            ("complete", json!(outcome.is_complete())),
            ("interrupted", json!(outcome.interrupted)),
            ("added", json!(done(Operation::Create))),
            ("changed", json!(done(Operation::Update))),
            ("destroyed", json!(done(Operation::Delete))),
            ("forgotten", json!(done(Operation::Forget))),
            ("failed", json!(failed)),
            ("not_started", json!(skipped)),
        ] {
            document[name] = value;
        }
        print_json(&document)?;
    } else if outcome.is_complete() {
        println!("Done: {counts}.");
    } else {
        println!("Not complete: {counts}; {failed} failed, {skipped} not started.");
    }
    Ok(())
}
