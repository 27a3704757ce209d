//! `pve apply`, `pve destroy` and `pve refresh`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pve_executor::ports::Provider;
use pve_model::InstanceAddress;
use pve_model::event::NO_CLUSTER;
use pve_model::plan::PlanMode;
use pve_model::state::State;
use pve_planner::planning::Planning;
use pve_state::{EventLog, Writer};
use serde_json::json;

mod outcome;
mod saved;

use self::outcome::{Told, conclude, report_kept};
use self::saved::{
    in_environment_of, made_before_recovery, refuse_other_cluster, refuse_planning_again, saved_planning,
};
use super::plan::{add_diagnostics, plan_with, show, show_warnings};
use super::state::{refuse_unadopted, tell_unadopted, tell_unadopted_in_bucket};
use super::{is_approved, print_json};
use crate::arguments::{ApplyOptions, DestroyOptions, GlobalOptions, PlanningOptions, RefreshOptions};
use crate::backend::log_home;
use crate::connect::{Access, Clusters, Connecting, SIMULATOR, connect};
use crate::duration::parse_wait;
use crate::failure::{Ended, FAILED, Failure};
use crate::interrupt::listen_for_interrupts;
use crate::plan_file::SavedPlan;
use crate::progress::Progress;
use crate::project::{Project, actor};
use crate::provision::Runner;
use crate::render::paint::Paint;
use crate::session::{
    Application, LogJournal, StateRecords, identified, identities, is_needed, look_again, recall,
    refuse_doubted,
};
use crate::workspace::Workspace;

/// How a plan is applied.
struct Request<'a> {
    command: &'static str,
    saved: Option<&'a std::path::Path>,
    planning: &'a PlanningOptions,
    approved: bool,
    keep_protected: bool,
}

impl Request<'_> {
    /// The command that goes on with it: `apply` would make again what was destroyed, and a plan that leaves nothing out is
    /// refused where something is protected.
    fn again(&self) -> &'static str {
        match self.command {
            "destroy" if self.keep_protected => "pve destroy --keep-protected",
            "destroy" => "pve destroy",
            _ => "pve apply",
        }
    }
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
    let is_lost = lock.watch();
    lock.on_loss(stopping(&cancelled));
    let (log, state) = project.open_log_for_run(&cancelled).await?;
    let clusters = reach(&project, &workspace, &state, request, saved.as_ref()).await?;
    let writer = Writer::start(Arc::clone(&log), state, actor());
    let journal = LogJournal {
        writer: writer.clone(),
        is_lost: Arc::clone(&is_lost),
        cancelled: Arc::clone(&cancelled),
    };
    let found = writer.state().sequence;
    recover(&workspace, &journal, &clusters.provider).await?;
    let state = writer.state();
    if let Some(saved) = saved.as_ref().filter(|saved| saved.sequence == found && found != state.sequence) {
        return Err(made_before_recovery(saved));
    }
    let planning = agreed_plan(global, request, saved.as_ref(), &workspace, &state, &clusters).await?;
    if !request.planning.simulate {
        tell_unadopted_in_bucket(&project, &workspace.registry, &state, &planning).await;
    }
    let identities = identities_of(saved.as_ref(), &planning, &state, &clusters);
    let is_needed = is_needed(&planning);
    if !is_needed && !teaches(request, &planning, &state, &identities, &clusters) {
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
        identities: &identities,
        command: request.command,
        cluster: clusters.name.clone(),
        environment: project.stream().into(),
        parallelism: usize::from(request.planning.parallelism),
        home: log_home(&project)?,
        is_lost,
        cancelled,
    };
    let provisioners = Runner { root: project.root.clone() };
    let paint = Paint::for_stream(&std::io::stderr(), global.no_color);
    let progress = Progress::new(paint, planning.plan.steps.len());
    let applied = application.run(&writer, &clusters.provider, &provisioners, &progress).await?;
    keep_snapshot(&*log, &writer.state()).await;
    let told = if saved.is_some() { Told::Nothing } else { Told::Plan };
    conclude(global, &project, (&application, told, request.again()), applied, &writer.state(), paint)
}

/// Keeps where the log leads, for who opens it next.
async fn keep_snapshot(log: &dyn EventLog, state: &State) {
    if let Err(error) = log.save_snapshot(state).await {
        eprintln!("Note: no snapshot was kept ({error}); the log is complete without it.");
    }
}

/// What is done when the lock is lost.
fn stopping(cancelled: &Arc<AtomicBool>) -> impl FnOnce() + Send + 'static {
    let stop = Arc::clone(cancelled);
    move || {
        eprintln!("The lock was lost: what runs is finished, nothing more is started.");
        stop.store(true, Ordering::SeqCst);
    }
}

/// The clusters, which must be those that the log, and a saved plan, are about.
async fn reach(
    project: &Project,
    workspace: &Workspace,
    state: &State,
    request: &Request<'_>,
    saved: Option<&SavedPlan>,
) -> Result<Clusters, Failure> {
    if !request.planning.simulate {
        refuse_unadopted(project, &workspace.registry, state).await?;
        tell_unadopted(project, &workspace.registry, state).await;
    }
    let connecting = Connecting::as_planned(request.planning, Access::Writing);
    let clusters = connect(project, workspace, state, connecting).await?;
    if let Some(saved) = saved {
        refuse_other_cluster(saved, &clusters.name)?;
    }
    Ok(clusters)
}

/// The saved plan, looked at again, or one that is made and shown; unless it cannot be begun with.
async fn agreed_plan(
    global: &GlobalOptions,
    request: &Request<'_>,
    saved: Option<&SavedPlan>,
    workspace: &Workspace,
    state: &State,
    clusters: &Clusters,
) -> Result<Planning, Failure> {
    let planning = match saved {
        Some(saved) => {
            recall(workspace, state, &clusters.provider);
            let mut planning = saved_planning(saved, state)?;
            look_again(workspace, &mut planning, &clusters.provider).await;
            show_warnings(global, workspace, &planning);
            planning
        }
        None => {
            let planning =
                plan_with(workspace, state, clusters, request.planning, request.keep_protected).await?;
            show(global, workspace, state, &planning)?;
            planning
        }
    };
    refuse_blocked(state, &planning)?;
    refuse_doubted(workspace, &planning).or_else(|refused| {
        // A plan that was made here is told already, with what is wrong.
        if global.json && saved.is_some() {
            let mut told = json!({"format_version": "1.0", "complete": false});
            add_diagnostics(&mut told, workspace, &planning);
            print_json(&told)?;
        }
        Err(refused)
    })?;
    Ok(planning)
}

/// What told objects from others when they were read for the plan.
fn identities_of(
    saved: Option<&SavedPlan>,
    planning: &Planning,
    state: &State,
    clusters: &Clusters,
) -> BTreeMap<InstanceAddress, String> {
    match saved {
        Some(saved) => saved.identities.clone(),
        None => identities(planning, state, &clusters.provider),
    }
}

/// Whether a run without changes is worth an event: for what became known of objects that nothing else happens to, or
/// that an endpoint leads to the same cluster.
fn teaches(
    request: &Request<'_>,
    planning: &Planning,
    state: &State,
    identities: &BTreeMap<InstanceAddress, String>,
    clusters: &Clusters,
) -> bool {
    let is_new = |endpoint| request.planning.same_cluster && !state.endpoints.contains(endpoint);
    !identified(planning, state, identities, &clusters.provider).is_empty()
        || clusters.name.split(", ").any(is_new)
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
