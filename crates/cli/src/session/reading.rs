//! Reading what a plan is about: what the state has, the data sources and the objects to import.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use pve_executor::ports::{Provider, ProviderError, ReadRequest};
use pve_model::rules::RulesRegistry as _;
use pve_model::state::{InstanceRecord, InstanceState, State};
use pve_model::{InstanceAddress, ResourceAddress, Value};
use pve_planner::planning::{DataRequest, ImportRequest, Observed, Options, Outcome as Planned, plan};
use pve_planner::resolution::{provider_configurations, recorded_value};
use pve_planner::selection::Selection;
use pve_resources::half_made_by;

use crate::failure::{Failure, without_address};
use crate::progress::Waiting;
use crate::workspace::Workspace;

/// Layers of data sources that need each other; more are a fault of ours, not of the configuration.
pub(super) const MOST_ROUNDS: usize = 64;

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
    let requests: Vec<(Seen, ReadRequest)> = state
        .instances
        .iter()
        .filter(|(address, _)| selection.looks_at(&workspace.graph, address))
        .flat_map(|(address, instance)| read_requests(workspace, address, instance))
        .collect();
    let _waiting = Waiting::on(format!("Reading {} objects from the cluster", requests.len()));
    let read = |(seen, request): (Seen, ReadRequest)| async move { (seen, provider.read(request).await) };
    let read: BTreeMap<_, _> =
        futures::stream::iter(requests).map(read).buffer_unordered(parallelism.max(1)).collect().await;
    let (mut instances, mut deposed) = (BTreeMap::new(), BTreeMap::new());
    let mut faults = Vec::new();
    for ((address, name), value) in read {
        match (value, name) {
            (Ok(value), None) => drop(instances.insert(address, value)),
            (Ok(value), Some(name)) => drop(deposed.insert((address, name), value)),
            (Err(error), _) => faults.push((address, error)),
        }
    }
    if !faults.is_empty() {
        let hint = faults.iter().find_map(|(_, error)| error.hint.clone());
        let recorded = faults.iter().filter_map(|(address, _)| recorded_at(workspace, state, address));
        let recorded: Vec<Value> = recorded.collect();
        let faults = faults.iter().map(|(address, error)| (address.clone(), unread(address, error)));
        return Err(workspace.failure_about(faults, hint, &recorded));
    }
    let waiting = instances.keys().filter(|address| provider.waits(address)).cloned().collect();
    let beside = instances.keys().filter_map(|address| Some((address.clone(), provider.beside(address)?)));
    let beside = beside.collect();
    Ok(Observed { instances, deposed, waiting, beside, ..Observed::default() })
}

/// An object that is read: an instance, or a deposed one of it by its name.
type Seen = (InstanceAddress, Option<String>);

/// What is read of an instance. Of its deposed objects those that a plan may take back.
fn read_requests(
    workspace: &Workspace,
    address: &InstanceAddress,
    instance: &InstanceState,
) -> Vec<(Seen, ReadRequest)> {
    let Some(rules) = workspace.registry.resource(&address.resource.kind) else { return Vec::new() };
    let current = instance.current.iter().map(|record| (None, record));
    let deposed = instance.deposed.iter().filter(|_| rules.makes_room_first());
    let all = current.chain(deposed.map(|(name, record)| (Some(name.clone()), record)));
    let request = |(name, record): (Option<String>, &InstanceRecord)| {
        let request = ReadRequest {
            address: address.clone(),
            provider: record.provider.clone(),
            prior: recorded_value(record, rules).unmark_deep().0,
            identity: record.identity.clone(),
        };
        ((address.clone(), name), request)
    };
    all.map(request).collect()
}

/// What the state has of an instance, marked.
fn recorded_at(workspace: &Workspace, state: &State, address: &InstanceAddress) -> Option<Value> {
    let rules = workspace.registry.resource(&address.resource.kind)?;
    Some(recorded_value(state.current(address)?, rules))
}

fn unread(address: &InstanceAddress, error: &ProviderError) -> String {
    format!("{address} cannot be read: {}", without_address(&error.to_string(), address))
}

/// Reads what a plan needs.
pub(super) async fn read_needs(
    workspace: &Workspace,
    state: &State,
    provider: &dyn Provider,
    (data, imports): (Vec<DataRequest>, Vec<ImportRequest>),
    observed: &mut Observed,
    take_over: bool,
) -> Result<(), Failure> {
    for request in data {
        let kind = &request.address.resource.kind;
        let config = request.config.unmark_deep().0;
        let value = provider.read_data(kind, &request.provider, config).await;
        let value = value.map_err(|error| {
            let fault = (request.address.clone(), unread(&request.address, &error));
            workspace.failure_about([fault], error.hint, [&request.config])
        })?;
        observed.data.insert(request.address, value);
    }
    for request in imports {
        let value = provider.import(&request.address, &request.provider, &request.id).await;
        let value = value.map_err(|error| {
            let address = request.address.clone();
            let said = format!("{address} cannot be imported as {}: {error}", request.id);
            workspace.failure_about([(address, said)], error.hint, [])
        })?;
        if !take_over {
            refuse_half_made(workspace, &request, &value, state)?;
        }
        observed.imports.insert(request.address, value);
    }
    Ok(())
}

/// Reads the objects that `import` blocks name for these resources, whose blocks say nothing yet.
///
/// # Errors
/// When an id cannot be evaluated or an object cannot be read.
pub async fn read_imports(
    workspace: &Workspace,
    state: &State,
    provider: &dyn Provider,
    wanted: &BTreeSet<ResourceAddress>,
) -> Result<Vec<(InstanceAddress, Value)>, Failure> {
    let options = Options { generated: wanted.clone(), ..Options::default() };
    let same_cluster = same_clusters(workspace, provider);
    let mut observed = Observed { same_cluster, ..Observed::default() };
    for _ in 0..MOST_ROUNDS {
        let outcome = plan(workspace.inputs(), &workspace.graph, state, &observed, &options);
        if let Planned::Needs(data, imports) = outcome.map_err(|found| workspace.failure(found))? {
            read_needs(workspace, state, provider, (data, imports), &mut observed, false).await?;
        }
        let read = observed.imports.iter().filter(|(address, _)| wanted.contains(&address.resource));
        let read: Vec<_> = read.map(|(address, value)| (address.clone(), value.clone())).collect();
        if read.len() == wanted.len() {
            return Ok(read);
        }
    }
    Err(Failure::plain("what is to be imported depends on what the import is for; write its resource block"))
}

/// The provider blocks, and the first one that leads to the same cluster as each.
pub(super) fn same_clusters(workspace: &Workspace, provider: &dyn Provider) -> BTreeMap<String, String> {
    let blocks = workspace.configuration.root.providers.iter().map(|block| block.address());
    blocks.map(|block| (block.clone(), provider.same_cluster(&block))).collect()
}

/// Refuses a guest that a run, perhaps of another log, began to make: that run may be at it, or make it anew elsewhere.
fn refuse_half_made(
    workspace: &Workspace,
    request: &ImportRequest,
    guest: &Value,
    state: &State,
) -> Result<(), Failure> {
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
    let said = format!(
        "{address} cannot be imported as {id}: a run began to make this guest{begun} and has not finished it (action \
         {action}; {whose})"
    );
    let hint = format!(
        "That run may be at it still, or go on when it is started again: `pve log` names it where its log is. If nobody \
         makes it any more: pve import -take-over '{address}' {id}"
    );
    Err(workspace.failure_about([(address.clone(), said)], Some(hint), []))
}
