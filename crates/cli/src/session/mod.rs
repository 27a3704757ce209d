//! From a configuration and a log to a plan, and from a plan to events.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use pve_executor::ports::{ApplyRequest, Provider, ReadRequest};
use pve_model::event::{Claim, Operation};
use pve_model::plan::{Action, Plan, PlanMode, Step};
use pve_model::rules::RulesRegistry as _;
use pve_model::state::State;
use pve_model::{InstanceAddress, Value};
use pve_planner::planning::{ImportRequest, Observed, Options, Outcome as Planned, Planning, plan};
use pve_planner::resolution::{provider_configurations, recorded_value};
use pve_planner::selection::Selection;
use pve_resources::half_made_by;

use crate::failure::{Failure, without_address};
use crate::progress::Waiting;
use crate::project::Workspace;

mod application;
mod preflight;
mod records;

pub use application::{Application, Applied, LogJournal, identities};
pub use preflight::{look_again, refuse_doubted};
pub use records::StateRecords;

/// Layers of data sources that need each other; more are a fault of ours, not of the configuration.
const MOST_ROUNDS: usize = 64;

/// The values of the provider blocks, by address.
///
/// # Errors
/// When a provider block cannot be evaluated.
pub fn provider_values(workspace: &Workspace, state: &State) -> Result<BTreeMap<String, Value>, Failure> {
    provider_configurations(workspace.inputs(), &workspace.graph, state)
        .map_err(|found| workspace.failure(found))
}

/// Reads everything that the state has and that a plan with these options is about.
///
/// # Errors
/// When something cannot be read, with all that cannot; nothing is guessed.
pub async fn observe(
    workspace: &Workspace,
    state: &State,
    provider: &dyn Provider,
    options: &Options,
    parallelism: usize,
) -> Result<Observed, Failure> {
    let selection = Selection::new(&workspace.graph, options);
    let requests: Vec<(InstanceAddress, ReadRequest)> = state
        .instances
        .iter()
        .filter(|(address, _)| selection.looks_at(&workspace.graph, address))
        .filter_map(|(address, instance)| {
            let record = instance.current.as_ref()?;
            let rules = workspace.registry.resource(&address.resource.kind)?;
            let prior = recorded_value(record, rules).unmark_deep().0;
            let request = ReadRequest {
                address: address.clone(),
                provider: record.provider.clone(),
                prior,
                identity: record.identity.clone(),
            };
            Some((address.clone(), request))
        })
        .collect();
    let _waiting = Waiting::on(format!("Reading {} objects from the cluster", requests.len()));
    let read = |(address, request): (InstanceAddress, ReadRequest)| async move {
        (address, provider.read(request).await)
    };
    let read: BTreeMap<_, _> =
        futures::stream::iter(requests).map(read).buffer_unordered(parallelism.max(1)).collect().await;
    let mut instances = BTreeMap::new();
    let mut faults = Vec::new();
    for (address, value) in read {
        match value {
            Ok(value) => drop(instances.insert(address, value)),
            Err(error) => faults.push((address, error)),
        }
    }
    if let Some((_, first)) = faults.first() {
        let hint = first.hint.clone().or_else(|| faults.iter().find_map(|(_, error)| error.hint.clone()));
        let lines = faults.iter().map(|(address, error)| {
            format!("{address} cannot be read: {}", without_address(&error.to_string(), address))
        });
        return Err(Failure::Plain { message: lines.collect::<Vec<_>>().join("\n"), hint });
    }
    let waiting = instances.keys().filter(|address| provider.waits(address)).cloned().collect();
    let beside = instances.keys().filter_map(|address| Some((address.clone(), provider.beside(address)?)));
    let beside = beside.collect();
    Ok(Observed { instances, waiting, beside, ..Observed::default() })
}

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
    let redaction = workspace.redaction();
    for _ in 0..MOST_ROUNDS {
        let outcome = plan(workspace.inputs(), &workspace.graph, state, &observed, options);
        match outcome.map_err(|found| workspace.failure(found))? {
            Planned::Planned(mut planning) => {
                let requests = requests(&planning.plan);
                review(&mut planning.plan, &requests, provider).await?;
                preflight::look(workspace, &mut planning, &requests, provider).await;
                return Ok(*planning);
            }
            Planned::Needs(data, imports) => {
                for request in data {
                    let kind = &request.address.resource.kind;
                    let value = provider.read_data(kind, &request.provider, request.config).await;
                    let value = value.map_err(|error| {
                        let address = &request.address;
                        let said = without_address(&error.to_string(), address);
                        let message = redaction.redact(&format!("{address} cannot be read: {said}"));
                        Failure::Plain { message, hint: error.hint }
                    })?;
                    observed.data.insert(request.address, value);
                }
                for request in imports {
                    let kind = &request.address.resource.kind;
                    let value = provider.import(kind, &request.provider, &request.id).await;
                    let value = value.map_err(|error| Failure::Plain {
                        message: format!("{} cannot be imported as {}: {error}", request.address, request.id),
                        hint: error.hint,
                    })?;
                    if !take_over {
                        refuse_half_made(&request, &value, state)?;
                    }
                    observed.imports.insert(request.address, value);
                }
            }
        }
    }
    Err(Failure::plain("data sources ask for each other without end; please report this"))
}

/// Refuses a guest that a run, perhaps of another log, began to make: that run may be at it, or make it anew elsewhere.
fn refuse_half_made(request: &ImportRequest, guest: &Value, state: &State) -> Result<(), Failure> {
    let Some(action) = half_made_by(guest) else { return Ok(()) };
    let (address, id) = (&request.address, &request.id);
    let begun = action.get_timestamp().and_then(|time| {
        let (seconds, _) = time.to_unix();
        jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
    });
    let begun = begun.map(|time| format!(" at {time}")).unwrap_or_default();
    let open = state.open_actions.iter().find(|open| open.intent.action == action);
    let whose = match open {
        Some(open) => format!("in this log it is {}", open.intent.address),
        None => "it is none that is open in this log".to_string(),
    };
    Err(Failure::hinted(
        format!(
            "{address} cannot be imported as {id}: a run began to make this guest{begun} and has not finished it (action \
             {action}; {whose})"
        ),
        format!(
            "That run may be at it still, or go on when it is started again: `pve log` names it where its log is. If nobody \
             makes it any more: pve import -take-over '{address}' {id}"
        ),
    ))
}

/// What the provider will be asked to do, as far as it is known.
fn requests(plan: &Plan) -> Vec<ApplyRequest> {
    let known = |value: &Option<Value>| value.as_ref().map(|value| value.unmark_deep().0);
    let request = |step: &Step| {
        let change = &plan.changes[step.change];
        let (makes, takes) = (step.operation != Operation::Delete, step.operation != Operation::Create);
        ApplyRequest {
            address: change.address.clone(),
            provider: change.provider.clone(),
            operation: step.operation,
            prior: known(&change.before).filter(|_| takes),
            planned: known(&change.after).filter(|_| makes),
            config: None,
            claim: Claim::default(),
            identity: None,
            recreated: step.operation == Operation::Delete && change.action == Action::DeleteThenCreate,
        }
    };
    let changes =
        |step: &&Step| matches!(step.operation, Operation::Create | Operation::Update | Operation::Delete);
    plan.steps.iter().filter(changes).map(request).collect()
}

/// Refuses a plan of which the provider knows that it will refuse it, and notes what it has to say of one that it will not.
async fn review(plan: &mut Plan, requests: &[ApplyRequest], provider: &dyn Provider) -> Result<(), Failure> {
    let refused = provider.review(requests).await;
    let hint = refused.iter().find_map(|(_, error)| error.hint.clone());
    let lines: Vec<String> = refused.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    if !lines.is_empty() {
        return Err(Failure::Plain { message: lines.join("\n"), hint });
    }
    for (address, remark) in provider.remarks(requests).await {
        let mut about = plan.changes.iter_mut().filter(|change| change.address == address);
        about
            .by_ref()
            .filter(|change| change.deposed.is_none())
            .for_each(|change| change.notes.push(remark.clone()));
    }
    Ok(())
}

/// Whether applying a plan would write anything.
pub fn is_needed(planning: &Planning) -> bool {
    let plan = &planning.plan;
    let imports =
        plan.changes.iter().any(|change| change.importing.is_some() && change.action == Action::NoOp);
    let refreshed = plan.mode == PlanMode::RefreshOnly && !plan.followed.is_empty();
    !plan.is_empty() || !planning.moves.is_empty() || !plan.drift.is_empty() || imports || refreshed
}
