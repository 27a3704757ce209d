//! `pve plan`

use std::collections::BTreeSet;

use pve_config::syntax::Diagnostic;
use pve_model::ResourceMode;
use pve_model::address::Target;
use pve_model::plan::{Plan, PlanMode};
use pve_model::rules::RulesRegistry;
use pve_model::state::State;
use pve_planner::planning::{Observed, Options, Planning};
use serde_json::{Value as Json, json};

use super::state::{refuse_unadopted, tell_unadopted};
use super::{decode_record, parse_instance, parse_target, print_json, provider_name};
use crate::arguments::{GlobalOptions, PlanOptions, PlanningOptions};
use crate::connect::{Access, Clusters, Connecting, connect};
use crate::environment::is_automation;
use crate::failure::{Ended, Failure};
use crate::generate::Generation;
use crate::plan_file::SavedPlan;
use crate::project::Project;
use crate::render::diagnostics::{diagnostics_json, distinct, render_diagnostics};
use crate::render::paint::Paint;
use crate::render::plan::render_plan;
use crate::session::{identities, make_plan, observe, recall};
use crate::terraform_json::{PlanContext, masked, plan_json};
use crate::workspace::Workspace;

/// The exit code for "there are changes" with `-detailed-exitcode`.
const CHANGES: u8 = 2;

/// Plans and shows the plan.
///
/// # Errors
/// When there is no plan.
pub async fn run(global: &GlobalOptions, options: &PlanOptions) -> Ended {
    let project = Project::find(global)?;
    let generation = match &options.generate_config_out {
        Some(path) => Generation::begin(&project, path, &project.state().await?)?,
        None => None,
    };
    let mut workspace = match &generation {
        Some(generation) => generation.load(&project, &options.planning.variables)?,
        None => Workspace::load(&project, &options.planning.variables)?,
    };
    let state = project.state().await?;
    for open in &state.open_actions {
        eprintln!(
            "Note: a run is working on {}, or was interrupted while it did; `pve apply` finds out what became of it.",
            open.intent.address
        );
    }
    if !options.planning.simulate {
        refuse_unadopted(&project, &workspace.registry, &state).await?;
        tell_unadopted(&project, &workspace.registry, &state).await;
    }
    let connecting = Connecting::as_planned(&options.planning, Access::Reading);
    let clusters = connect(&project, &workspace, &state, connecting).await?;
    match &generation {
        Some(generation) => {
            workspace = generation.complete(&project, &workspace, &state, &clusters.provider).await?;
        }
        None if options.generate_config_out.is_some() => {
            eprintln!("Every import has its resource block: there is nothing to generate.");
        }
        None => {}
    }
    let planning = plan_with(&workspace, &state, &clusters, &options.planning, false).await?;
    show(global, &workspace, &state, &planning)?;
    if let Some(path) = &options.out {
        let path = project.root.join(path);
        let seen = (&*clusters.name, identities(&planning, &state, &clusters.provider));
        let saved = SavedPlan::new(&project, &workspace, &planning, seen, state.sequence);
        saved.write(&path, &project.key()?)?;
        if !global.json && !is_automation() {
            let simulate = if options.planning.simulate { "--simulate " } else { "" };
            let path = path.display();
            if state.open_actions.is_empty() {
                eprintln!("Saved to {path}. Apply exactly this with `pve apply {simulate}{path}`.");
            } else {
                eprintln!(
                    "Saved to {path}. It cannot be applied: a run comes first that finds out what became of the one before. \
                     `pve refresh` does no more than that; plan again after it."
                );
            }
        }
    }
    Ok(if options.detailed_exitcode && has_changes(&planning) { CHANGES } else { 0 })
}

/// What `-detailed-exitcode` counts, as Terraform does.
fn has_changes(planning: &Planning) -> bool {
    planning.plan.has_changes() || !planning.moves.is_empty() || !planning.restored.is_empty()
}

/// Makes the plan that the options ask for.
///
/// # Errors
/// When there is no plan.
pub async fn plan_with(
    workspace: &Workspace,
    state: &State,
    clusters: &Clusters,
    options: &PlanningOptions,
    keep_protected: bool,
) -> Result<Planning, Failure> {
    let wanted = planner_options(options, keep_protected)?;
    if wanted.mode == PlanMode::Normal && !workspace.has_configuration() {
        // Terraform refuses it too: everything in the state would be destroyed, for want of a -chdir perhaps.
        return Err(Failure::hinted(
            "there are no configuration files (*.tf, *.tofu) in this folder",
            "Go to the project or name it with -C FOLDER; `pve init FOLDER` makes one; `pve destroy` needs none.",
        ));
    }
    recall(workspace, state, &clusters.provider);
    let observed = if options.refresh {
        observe(workspace, state, &clusters.provider, &wanted, usize::from(options.parallelism)).await?
    } else {
        Observed::default()
    };
    make_plan(workspace, state, observed, &clusters.provider, &wanted, false).await
}

fn planner_options(options: &PlanningOptions, keep_protected: bool) -> Result<Options, Failure> {
    let targets = |texts: &[String]| -> Result<Vec<Target>, Failure> {
        texts.iter().map(|text| parse_target(text)).collect()
    };
    let replace = options.replace.iter().map(|text| parse_instance(text));
    Ok(Options {
        mode: match (options.destroy, options.refresh_only) {
            (true, true) => return Err(Failure::plain("-destroy and -refresh-only exclude each other")),
            (true, false) => PlanMode::Destroy,
            (false, true) => PlanMode::RefreshOnly,
            (false, false) => PlanMode::Normal,
        },
        targets: targets(&options.target)?,
        excludes: targets(&options.exclude)?,
        replace: replace.collect::<Result<_, _>>()?,
        keep_protected,
        generated: BTreeSet::new(),
    })
}

/// Prints a plan and its warnings.
///
/// # Errors
/// When it cannot be written out.
pub fn show(
    global: &GlobalOptions,
    workspace: &Workspace,
    state: &State,
    planning: &Planning,
) -> Result<(), Failure> {
    show_warnings(global, workspace, planning);
    if global.json {
        // Terraform's machine-readable output of a run tells no secrets either.
        let variables = &workspace.configuration.root.variables;
        let secret = |name: &str| variables.get(name).is_some_and(|variable| variable.sensitive);
        let mut told = masked(as_json(workspace, state, planning), &secret);
        add_diagnostics(&mut told, workspace, planning);
        return print_json(&told);
    }
    let registry = &workspace.registry;
    let schema = |mode: ResourceMode, kind: &str| match mode {
        ResourceMode::Managed => registry.resource(kind).map(|rules| rules.schema()),
        ResourceMode::Data => registry.data(kind).map(|rules| rules.schema()),
    };
    let paint = Paint::for_stream(&std::io::stdout(), global.no_color);
    print!("{}", render_plan(&as_shown(&planning.plan, registry), &schema, paint));
    Ok(())
}

/// A plan without what only pve keeps in the values of objects.
fn as_shown(plan: &Plan, registry: &dyn RulesRegistry) -> Plan {
    let mut plan = plan.clone();
    for change in &mut plan.changes {
        let rules = registry.resource(&change.address.resource.kind).zip(change.before.as_ref());
        if let Some(before) = rules.and_then(|(rules, before)| rules.shown(before, change.after.as_ref())) {
            change.before = Some(before);
        }
    }
    plan
}

/// Adds the warnings to a document, in the form in which `validate` gives them to programs. Those that an apply does not
/// begin with say so.
pub fn add_diagnostics(told: &mut Json, workspace: &Workspace, planning: &Planning) {
    let warnings: Vec<Diagnostic> = distinct(&warnings(workspace, planning)).into_iter().cloned().collect();
    let doubts = workspace.redacted(planning.doubts.clone());
    let mut listed = diagnostics_json(&warnings, &workspace.sources);
    for (entry, warning) in listed.as_array_mut().into_iter().flatten().zip(&warnings) {
        entry["stops_apply"] = json!(doubts.contains(warning));
    }
    if !warnings.is_empty() {
        told["diagnostics"] = listed;
    }
}

fn warnings(workspace: &Workspace, planning: &Planning) -> Vec<Diagnostic> {
    let all = workspace.warnings.iter().chain(&planning.warnings).chain(&planning.doubts);
    workspace.redacted(all.cloned().collect())
}

/// Prints what is worth a warning.
pub fn show_warnings(global: &GlobalOptions, workspace: &Workspace, planning: &Planning) {
    let warnings = warnings(workspace, planning);
    let stderr = Paint::for_stream(&std::io::stderr(), global.no_color);
    eprint!("{}", render_diagnostics(&warnings, &workspace.sources, stderr));
}

/// The plan in Terraform's JSON format, secrets and all: for the plan that somebody keeps.
pub fn as_json(workspace: &Workspace, state: &State, planning: &Planning) -> serde_json::Value {
    let context = PlanContext {
        variables: &workspace.variables,
        prior_state: state,
        provider_name: &provider_name,
        decode: &|address, record| decode_record(&workspace.registry, address, record),
        timestamp: workspace.functions.plan_timestamp.to_string(),
    };
    plan_json(&as_shown(&planning.plan, &workspace.registry), &context)
}
