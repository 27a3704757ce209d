//! Saved plans: where and when one may be applied.

use pve_model::state::State;
use pve_planner::planning::Planning;

use crate::arguments::{GlobalOptions, PlanningOptions, VariableOptions};
use crate::failure::Failure;
use crate::plan_file::SavedPlan;
use crate::project::{DEFAULT_ENVIRONMENT, Project};

/// A saved plan is applied as it was made.
pub(super) fn refuse_planning_again(options: &PlanningOptions) -> Result<(), Failure> {
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

/// What was planned, unless something has happened since.
pub(super) fn saved_planning(saved: &SavedPlan, state: &State) -> Result<Planning, Failure> {
    if saved.sequence == state.sequence {
        return Ok(saved.planning());
    }
    let message = format!(
        "the saved plan is stale: it was made at event {}, and the log is at event {} now",
        saved.sequence, state.sequence
    );
    Err(Failure::hinted(message, "Nothing was changed. Plan again with `pve plan -out FILE`."))
}

/// What a plan does not know that was made while an action of an earlier run was open.
pub(super) fn made_before_recovery(saved: &SavedPlan) -> Failure {
    let message = format!(
        "the saved plan was made at event {}, before it was known what became of the run that was interrupted",
        saved.sequence
    );
    let hint = "That is in the log now, and nothing else was changed. Plan again with `pve plan -out FILE`: that plan can be \
                applied.";
    Failure::hinted(message, hint)
}

/// A plan is applied where it was made, whether that is named again or not.
pub(super) fn in_environment_of(
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
pub(super) fn refuse_other_cluster(saved: &SavedPlan, cluster: &str) -> Result<(), Failure> {
    if saved.cluster == cluster {
        return Ok(());
    }
    let message = format!("the saved plan was made for {}, and this run would use {cluster}", saved.cluster);
    let hint =
        "Nothing was changed. Apply it with the same --simulate and endpoint that it was planned with.";
    Err(Failure::hinted(message, hint))
}
