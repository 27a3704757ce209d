//! Reading what a plan is about: what the state has, the data sources and the objects to import.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use pve_executor::ports::{Provider, ProviderError, ReadRequest};
use pve_model::rules::{KindRules, RulesRegistry as _};
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
    let about = || {
        let all = state.instances.iter();
        all.filter(|(address, _)| selection.looks_at(&workspace.graph, address))
    };
    let present: Vec<_> = about().filter_map(|instance| present_request(workspace, instance)).collect();
    let deposed: Vec<_> = about().flat_map(|instance| deposed_requests(workspace, instance)).collect();
    let count = present.len() + deposed.len();
    let _waiting = Waiting::on(format!("Reading {count} objects from the cluster"));
    // What a provider saw last at an address is to be of the present object.
    let deposed = read_all(deposed, provider, parallelism).await.into_iter();
    let deposed = deposed.map(|((address, name), value)| {
        // A plan can be made without it: no more follows than that it is not taken back.
        let value = value.map_err(|error| {
            let known = state.instances.get(&address).and_then(|instance| instance.deposed.get(&name));
            let known = known.and_then(|record| marked(workspace, &address, record));
            workspace.redaction().with(&known).redact(&unread(&address, &error))
        });
        ((address, name), value)
    });
    let deposed = deposed.collect();
    let mut instances = BTreeMap::new();
    let mut faults = Vec::new();
    for (address, value) in read_all(present, provider, parallelism).await {
        match value {
            Ok(value) => drop(instances.insert(address, value)),
            Err(error) => faults.push((address, error)),
        }
    }
    if !faults.is_empty() {
        let hint = faults.iter().find_map(|(_, error)| error.hint.clone());
        let known = |address| marked(workspace, address, state.current(address)?);
        let recorded: Vec<Value> = faults.iter().filter_map(|(address, _)| known(address)).collect();
        let faults = faults.iter().map(|(address, error)| (address.clone(), unread(address, error)));
        return Err(workspace.failure_about(faults, hint, &recorded));
    }
    let waiting = instances.keys().filter(|address| provider.waits(address)).cloned().collect();
    let beside = instances.keys().filter_map(|address| Some((address.clone(), provider.beside(address)?)));
    let beside = beside.collect();
    Ok(Observed { instances, deposed, waiting, beside, ..Observed::default() })
}

/// Reads objects, as many at once as there may be.
async fn read_all<K: Ord>(
    requests: Vec<(K, ReadRequest)>,
    provider: &dyn Provider,
    parallelism: usize,
) -> BTreeMap<K, Result<Option<Value>, ProviderError>> {
    let read = |(key, request)| async move { (key, provider.read(request).await) };
    futures::stream::iter(requests).map(read).buffer_unordered(parallelism.max(1)).collect().await
}

/// What is read of the present object of an instance.
fn present_request(
    workspace: &Workspace,
    (address, instance): (&InstanceAddress, &InstanceState),
) -> Option<(InstanceAddress, ReadRequest)> {
    let rules = workspace.registry.resource(&address.resource.kind)?;
    Some((address.clone(), request(address, instance.current.as_ref()?, rules)))
}

/// What is read of the deposed objects of an instance: of those that a plan may take back.
fn deposed_requests(
    workspace: &Workspace,
    (address, instance): (&InstanceAddress, &InstanceState),
) -> Vec<((InstanceAddress, String), ReadRequest)> {
    let Some(rules) = workspace.registry.resource(&address.resource.kind) else { return Vec::new() };
    let deposed = instance
        .deposed
        .iter()
        .map(|(name, record)| ((address.clone(), name.clone()), request(address, record, rules)));
    // What nobody else can have is what it is known again by.
    deposed.filter(|(_, request)| rules.claim(&request.prior).is_some()).collect()
}

fn request(address: &InstanceAddress, record: &InstanceRecord, rules: &dyn KindRules) -> ReadRequest {
    ReadRequest {
        address: address.clone(),
        provider: record.provider.clone(),
        prior: recorded_value(record, rules).unmark_deep().0,
        identity: record.identity.clone(),
    }
}

/// What was recorded of an object, marked.
fn marked(workspace: &Workspace, address: &InstanceAddress, record: &InstanceRecord) -> Option<Value> {
    Some(recorded_value(record, workspace.registry.resource(&address.resource.kind)?))
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
