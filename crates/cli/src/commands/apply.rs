//! `pve apply`, `pve destroy` and `pve refresh`

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pve_executor::Outcome;
use pve_executor::ports::Provider;
use pve_model::event::{NO_CLUSTER, Operation};
use pve_model::plan::PlanMode;
use pve_model::state::State;
use pve_planner::planning::Planning;
use pve_state::Writer;
use serde_json::json;

use super::output::render_outputs;
use super::plan::{parse_wait, plan_with, show};
use super::state::refuse_unadopted;
use super::{is_approved, print_json};
use crate::arguments::{
    ApplyOptions, DestroyOptions, GlobalOptions, PlanningOptions, RefreshOptions, VariableOptions,
};
use crate::backend::{has_spool, log_place};
use crate::connect::{Access, Clusters, Connecting, SIMULATOR, connect};
use crate::failure::{Ended, FAILED, Failure, INTERRUPTED, without_address};
use crate::plan_file::SavedPlan;
use crate::progress::Progress;
use crate::project::{DEFAULT_ENVIRONMENT, Project, Workspace, actor};
use crate::provision::Runner;
use crate::render::paint::Paint;
use crate::session::{Application, Applied, LogJournal, StateRecords, is_needed};

/// How a plan is applied.
struct Request<'a> {
    command: &'static str,
    saved: Option<&'a std::path::Path>,
    planning: &'a PlanningOptions,
    approved: bool,
    keep_protected: bool,
}

/// Applies a saved plan, or makes one and asks.
///
/// # Errors
/// When something fails.
pub async fn run(global: &GlobalOptions, options: &ApplyOptions) -> Ended {
    let request = Request {
        command: if options.planning.destroy { "destroy" } else { "apply" },
        saved: options.plan.as_deref(),
        planning: &options.planning,
        approved: options.auto_approve,
        keep_protected: false,
    };
    apply(global, &request).await
}

/// Destroys what is managed.
///
/// # Errors
/// When something fails.
pub async fn run_destroy(global: &GlobalOptions, mut options: DestroyOptions) -> Ended {
    options.planning.destroy = true;
    let request = Request {
        command: "destroy",
        saved: None,
        planning: &options.planning,
        approved: options.auto_approve,
        keep_protected: options.keep_protected,
    };
    apply(global, &request).await
}

/// Takes in what changed in the cluster.
///
/// # Errors
/// When something fails.
pub async fn run_refresh(global: &GlobalOptions, mut options: RefreshOptions) -> Ended {
    options.planning.refresh_only = true;
    let request = Request {
        command: "refresh",
        saved: None,
        planning: &options.planning,
        approved: true,
        keep_protected: false,
    };
    apply(global, &request).await
}

async fn apply(global: &GlobalOptions, request: &Request<'_>) -> Ended {
    let (project, saved) = find(global, request)?;
    let mut workspace = match &saved {
        Some(saved) => saved.workspace(&project)?,
        None => Workspace::load(&project, &request.planning.variables)?,
    };
    let lock = project.lock(request.command, parse_wait(&request.planning.lock_timeout)?).await?;
    let cancelled = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&cancelled);
    let is_lost = lock.watch();
    lock.on_loss(move || {
        eprintln!("The lock was lost: what runs is finished, nothing more is started.");
        stop.store(true, Ordering::SeqCst);
    });
    let (log, state) = project.open_log_for_run(&cancelled).await?;
    if !request.planning.simulate {
        refuse_unadopted(&project, &workspace.registry, &state).await?;
    }
    let connecting = Connecting::as_planned(request.planning, Access::Writing);
    let clusters = connect(&project, &workspace, &state, connecting).await?;
    if let Some(saved) = &saved {
        refuse_other_cluster(saved, &clusters.name)?;
    }
    let writer = Writer::start(Arc::clone(&log), state, actor());
    let journal = LogJournal {
        writer: writer.clone(),
        is_lost: Arc::clone(&is_lost),
        cancelled: Arc::clone(&cancelled),
    };
    recover(&workspace, &journal, &clusters.provider).await?;
    let state = writer.state();
    let planning = match &saved {
        Some(saved) => {
            refuse_stale(saved, &state)?;
            saved.planning()
        }
        None => {
            let planning =
                plan_with(&workspace, &state, &clusters, request.planning, request.keep_protected).await?;
            show(global, &workspace, &state, &planning)?;
            planning
        }
    };
    refuse_blocked(&state, &planning)?;
    let is_needed = is_needed(&planning);
    // That an endpoint leads to the same cluster is worth an event, too.
    let names = |endpoint| request.planning.same_cluster && !state.endpoints.contains(endpoint);
    if !is_needed && !clusters.name.split(", ").any(names) {
        report_kept(&planning);
        return Ok(0);
    }
    if is_needed && saved.is_none() && !request.approved && !approve(global, &planning)? {
        eprintln!("Nothing was changed.");
        return Ok(FAILED);
    }
    workspace.functions.pure = false;
    keep_configured_ids_free(&planning, &clusters);
    listen_for_interrupts(Arc::clone(&cancelled));
    let application = Application {
        workspace: &workspace,
        planning: &planning,
        identities: saved.as_ref().map(|saved| &saved.identities),
        command: request.command,
        cluster: clusters.name.clone(),
        environment: project.stream().into(),
        parallelism: usize::from(request.planning.parallelism),
        place: log_place(&project)?,
        is_lost,
        cancelled,
    };
    let provisioners = Runner { root: project.root.clone() };
    let paint = Paint::for_stream(&std::io::stderr(), global.no_color);
    let progress = Progress::new(paint, planning.plan.steps.len());
    let applied = application.run(&writer, &clusters.provider, &provisioners, &progress).await?;
    let Applied { outcome, problems, unrecorded } = applied;
    if let Err(error) = log.save_snapshot(&writer.state()).await {
        eprintln!("Note: no snapshot was kept ({error}); the log is complete without it.");
    }
    report_kept(&planning);
    let is_kept = has_spool(&project);
    let code = report(global, &workspace, request.command, &outcome, paint, is_kept || unrecorded.is_some())?;
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
        show_outputs(global, request.command, &writer.state())?;
    }
    if problems.iter().any(pve_config::syntax::Diagnostic::is_error) {
        return Err(workspace.failure(problems));
    }
    Ok(code)
}

/// The project, and the plan if one was saved.
fn find(global: &GlobalOptions, request: &Request<'_>) -> Result<(Project, Option<SavedPlan>), Failure> {
    let project = Project::find(global)?;
    let Some(path) = request.saved else { return Ok((project, None)) };
    refuse_planning_again(request.planning)?;
    let saved = SavedPlan::read(&project.root.join(path), &project.key()?)?;
    let project = in_environment_of(&saved, project, global)?;
    if (saved.cluster == SIMULATOR) != request.planning.simulate && saved.cluster != NO_CLUSTER {
        refuse_other_cluster(&saved, if request.planning.simulate { SIMULATOR } else { "a real cluster" })?;
    }
    Ok((project, Some(saved)))
}

/// A saved plan is applied as it was made.
fn refuse_planning_again(options: &PlanningOptions) -> Result<(), Failure> {
    let VariableOptions { variables, variable_files } = &options.variables;
    let given = [
        ("-var", !variables.is_empty()),
        ("-var-file", !variable_files.is_empty()),
        ("-target", !options.target.is_empty()),
        ("-exclude", !options.exclude.is_empty()),
        ("-replace", !options.replace.is_empty()),
        ("-destroy", options.destroy),
        ("-refresh-only", options.refresh_only),
        ("-refresh=false", !options.refresh),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::hinted(
            format!("{name} is an option of planning, and this plan is made already"),
            "Nothing was changed. Leave it out, or plan again with it: `pve plan -out FILE`.",
        )),
    }
}

fn refuse_stale(saved: &SavedPlan, state: &State) -> Result<(), Failure> {
    if saved.sequence == state.sequence {
        return Ok(());
    }
    let message = format!(
        "the saved plan is stale: it was made at event {}, and the log is at event {} now",
        saved.sequence, state.sequence
    );
    Err(Failure::hinted(message, "Nothing was changed. Plan again with `pve plan -out FILE`."))
}

/// A plan is applied where it was made, whether that is named again or not.
fn in_environment_of(
    saved: &SavedPlan,
    project: Project,
    global: &GlobalOptions,
) -> Result<Project, Failure> {
    let made_in = &saved.environment;
    if let Some(named) = global.environment.as_ref().filter(|named| *named != made_in) {
        return Err(Failure::hinted(
            format!("the saved plan was made in the environment {made_in}, not in {named}"),
            "Nothing was changed. Leave out -e (and PVE_ENVIRONMENT), or plan again.",
        ));
    }
    let environment = Some(made_in.clone()).filter(|name| name != DEFAULT_ENVIRONMENT);
    Ok(Project { environment, ..project })
}

/// A plan is about what it saw: on another cluster its steps would mean something else.
fn refuse_other_cluster(saved: &SavedPlan, cluster: &str) -> Result<(), Failure> {
    if saved.cluster == cluster {
        return Ok(());
    }
    let message = format!("the saved plan was made for {}, and this run would use {cluster}", saved.cluster);
    let hint =
        "Nothing was changed. Apply it with the same --simulate and endpoint that it was planned with.";
    Err(Failure::hinted(message, hint))
}

/// Resolves what an earlier run left open.
async fn recover(
    workspace: &Workspace,
    journal: &LogJournal,
    provider: &dyn Provider,
) -> Result<(), Failure> {
    let state = journal.writer.state();
    let open = &state.open_actions;
    if open.is_empty() {
        return Ok(());
    }
    eprintln!("An earlier run was interrupted. Finding out what became of {} action(s) ...", open.len());
    let records = StateRecords { workspace, state: &state };
    let report = pve_executor::recover(open, provider, journal, &records)
        .await
        .map_err(|error| Failure::plain(format!("the log could not be written: {error}")))?;
    for (address, line) in &report.resolved {
        eprintln!("{address}: {line}");
    }
    for (address, reason) in &report.unclear {
        eprintln!("{address}: it cannot be told what happened: {reason}");
    }
    Ok(())
}

/// An id that is drawn for one guest must not be one that another guest of the plan is configured to have.
fn keep_configured_ids_free(planning: &Planning, clusters: &Clusters) {
    for change in &planning.plan.changes {
        if let Some(after) = &change.after {
            clusters.provider.keep_free(&change.provider, &change.address.resource.kind, after);
        }
    }
}

/// What cannot be proved is never touched.
fn refuse_blocked(state: &State, planning: &Planning) -> Result<(), Failure> {
    let steps = planning.plan.steps.iter().map(|step| &planning.plan.changes[step.change].address);
    let touched: std::collections::BTreeSet<_> = steps.collect();
    let blocked = state.open_actions.iter().find(|open| touched.contains(&open.intent.address));
    match blocked {
        None => Ok(()),
        Some(open) => {
            let reason = open.indeterminate.as_deref().unwrap_or("no result was recorded");
            let message = format!("it cannot be told what became of {}: {reason}", open.intent.address);
            let hint = format!(
                "Look at it in the cluster. If nothing there is of that run, `pve state rm '{0}'` gives the action up, and \
                 the next apply does it anew. Leave it out with -exclude '{0}' to apply the rest.",
                open.intent.address
            );
            Err(Failure::hinted(message, hint))
        }
    }
}

fn approve(global: &GlobalOptions, planning: &Planning) -> Result<bool, Failure> {
    let question = match planning.plan.mode {
        PlanMode::Destroy => "\nDestroy all of this? There is no undo.",
        _ => "\nDo this?",
    };
    is_approved(
        global,
        question,
        "Give --auto-approve, or save a plan with `pve plan -out FILE` and apply that.",
    )
}

/// The first Ctrl-C, or the first request of the system to end, lets what runs finish; a second one ends the process:
/// the log knows what was intended.
fn listen_for_interrupts(cancelled: Arc<AtomicBool>) {
    tokio::spawn(async move {
        while interrupt().await.is_ok() {
            if cancelled.swap(true, Ordering::SeqCst) {
                eprintln!("Stopped. `pve apply` finds out what became of what was running.");
                std::process::exit(i32::from(INTERRUPTED));
            }
            if std::io::stderr().is_terminal() {
                // Behind the echo of Ctrl-C.
                eprintln!();
            }
            eprintln!(
                "Stopping: what runs is finished, nothing more is started. Press Ctrl-C again to stop at once."
            );
        }
    });
}

#[cfg(unix)]
async fn interrupt() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        // The terminal was closed, or its connection cut.
        _ = hang_up.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupt() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn report_kept(planning: &Planning) {
    for address in &planning.kept {
        eprintln!("{address}: kept (protected, or needed by something protected)");
    }
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
    command: &str,
    outcome: &Outcome,
    paint: Paint,
    is_kept: bool,
) -> Ended {
    let done = |operation| outcome.done.get(&operation).copied().unwrap_or_default();
    let counts = format!(
        "{} added, {} changed, {} destroyed",
        done(Operation::Create),
        done(Operation::Update),
        done(Operation::Delete)
    );
    for failure in &outcome.failures {
        let error = without_address(&failure.error, &failure.address);
        eprintln!("{} {}: {error}", paint.red("Error:"), failure.address);
        if let Some((file, line)) = workspace.declared_at(&failure.address) {
            eprintln!("  on {file} line {line}");
        }
        if let Some(hint) = &failure.hint {
            eprintln!("{} {hint}", paint.cyan("Hint:"));
        }
    }
    let (failed, skipped) = (outcome.failures.len(), outcome.skipped.len());
    if global.json {
        print_json(&json!({
            "format_version": "1.0", "complete": outcome.is_complete(), "interrupted": outcome.interrupted,
            "added": done(Operation::Create), "changed": done(Operation::Update),
            "destroyed": done(Operation::Delete), "failed": failed, "not_started": skipped,
        }))?;
    } else if outcome.is_complete() {
        println!("Done: {counts}.");
    } else {
        println!("Not complete: {counts}; {failed} failed, {skipped} not started.");
    }
    if outcome.is_complete() {
        return Ok(0);
    }
    if !is_kept {
        // `apply` would make again what was destroyed.
        let again = if command == "destroy" { "destroy" } else { "apply" };
        eprintln!(
            "{} What was done is recorded. `pve {again}` again continues from here.",
            paint.cyan("Hint:")
        );
    }
    Ok(if outcome.interrupted { INTERRUPTED } else { FAILED })
}
