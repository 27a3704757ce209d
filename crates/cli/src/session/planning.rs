//! Making a plan, with what the provider has to say of it.

use pve_config::configuration::Module;
use pve_executor::ports::{ApplyRequest, Provider, Remark};
use pve_model::event::{Claim, Operation};
use pve_model::plan::{Action, Note, Plan, PlanMode};
use pve_model::rules::RulesRegistry as _;
use pve_model::state::State;
use pve_model::{InstanceAddress, ResourceMode, Type, Value};
use pve_planner::planning::{Observed, Options, Outcome as Planned, Planning, plan};

use super::reading::{MOST_ROUNDS, read_needs, same_clusters};
use super::{imports, preflight};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Plans, reading data sources and imports as the planner asks for them. A guest that some run began to make is imported
/// only to be taken over.
///
/// # Errors
/// When the configuration cannot be planned or something cannot be read.
pub async fn make_plan(
    workspace: &Workspace,
    state: &State,
    mut observed: Observed,
    provider: &dyn Provider,
    options: &Options,
    take_over: bool,
) -> Result<Planning, Failure> {
    observed.same_cluster = same_clusters(workspace, provider);
    for _ in 0..MOST_ROUNDS {
        let outcome = plan(workspace.inputs(), &workspace.graph, state, &observed, options);
        match outcome.map_err(|found| workspace.failure(found))? {
            Planned::Planned(mut planning) => {
                imports::refuse_managed(workspace, state, &planning)?;
                for change in &mut planning.plan.changes {
                    change.notes.extend(imports::found_elsewhere(change));
                }
                let requests = preflight::requests(&planning.plan);
                review(workspace, &mut planning.plan, &requests, provider).await?;
                tell_pending(workspace, &mut planning.plan, &requests, provider).await;
                let open = state.open_actions.iter().map(|open| open.intent.address.clone()).collect();
                preflight::look(workspace, &mut planning, &requests, provider, &open).await;
                return Ok(*planning);
            }
            Planned::Needs(data, imports) => {
                read_needs(workspace, state, provider, (data, imports), &mut observed, take_over).await?;
            }
        }
    }
    Err(Failure::plain("data sources ask for each other without end; please report this"))
}

/// Whether applying a plan would write anything.
pub fn is_needed(planning: &Planning) -> bool {
    let plan = &planning.plan;
    let imports =
        plan.changes.iter().any(|change| change.importing.is_some() && change.action == Action::NoOp);
    let refreshed = plan.mode == PlanMode::RefreshOnly && !plan.followed.is_empty();
    let takings = !planning.moves.is_empty() || !planning.restored.is_empty();
    !plan.is_empty() || takings || !plan.drift.is_empty() || imports || refreshed
}

/// Refuses a plan of which the provider knows that it will refuse it, and notes what it has to say of one that it will not.
async fn review(
    workspace: &Workspace,
    plan: &mut Plan,
    requests: &[ApplyRequest],
    provider: &dyn Provider,
) -> Result<(), Failure> {
    let refused = provider.review(requests).await;
    if !refused.is_empty() {
        let hint = refused.iter().find_map(|(_, error)| error.hint.clone());
        let faults = refused.iter().map(|(address, error)| (address.clone(), format!("{address}: {error}")));
        let values = plan.changes.iter().flat_map(|change| change.before.iter().chain(&change.after));
        return Err(workspace.failure_about(faults, hint, values));
    }
    for Remark { address, text, .. } in provider.remarks(requests).await {
        let about = plan.changes.iter_mut().filter(|change| change.address == address);
        about
            .filter(|change| change.deposed.is_none() && !change.notes.contains(&text))
            .for_each(|change| change.notes.push(text.clone()));
    }
    Ok(())
}

/// Notes what stays pending in the cluster of an area that the plan, or at least the configuration, has something of.
async fn tell_pending(
    workspace: &Workspace,
    plan: &mut Plan,
    requests: &[ApplyRequest],
    provider: &dyn Provider,
) {
    let is_staged = |kind: &str| {
        workspace
            .registry
            .resource(kind)
            .is_some_and(|rules| rules.staging(&Value::null(Type::Dynamic)).is_some())
    };
    let of_changes = requests.iter().filter(|request| is_staged(&request.address.resource.kind));
    let mut instances: Vec<ApplyRequest> = of_changes.cloned().collect();
    for change in plan.changes.iter().filter(|change| change.action == Action::NoOp) {
        if is_staged(&change.address.resource.kind) {
            let values = change.before.as_ref().map(|value| value.unmark_deep().0);
            instances.push(unchanged(change.address.clone(), &change.provider, values));
        }
    }
    if plan.changes.is_empty() {
        // What was destroyed may be left pending.
        instances.extend(managed(&workspace.configuration.root).into_iter().filter_map(|address| {
            let kind = &address.resource.kind;
            let provider = workspace.registry.provider_of(kind).filter(|_| is_staged(kind))?;
            Some(unchanged(address.clone(), provider, None))
        }));
    }
    if instances.is_empty() {
        return;
    }
    let pending = provider.pending(&instances).await;
    plan.notes.extend(pending.into_iter().map(|(address, text)| Note { address, text }));
}

/// What a module and those that it calls manage, without the keys of instances.
fn managed(module: &Module) -> Vec<InstanceAddress> {
    let lead: String = module.path.iter().map(|call| format!("module.{call}.")).collect();
    let own = module.resources.iter().filter(|resource| resource.mode == ResourceMode::Managed);
    let own = own.filter_map(|resource| format!("{lead}{}.{}", resource.kind, resource.name).parse().ok());
    let children = module.module_calls.values().filter_map(|call| call.child.as_ref());
    own.chain(children.flat_map(managed)).collect()
}

fn unchanged(address: InstanceAddress, provider: &str, values: Option<Value>) -> ApplyRequest {
    ApplyRequest {
        address,
        provider: provider.to_string(),
        operation: Operation::Update,
        prior: values.clone(),
        planned: values,
        config: None,
        claim: Claim::default(),
        identity: None,
        recreated: false,
    }
}
