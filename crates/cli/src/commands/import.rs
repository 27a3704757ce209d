//! `pve import`

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_config::configuration::Import;
use pve_config::syntax::{Expr, SourceMap, parse_expression};
use pve_executor::ports::Provider as _;
use pve_model::InstanceAddress;
use pve_model::address::Target;
use pve_model::codec::encode;
use pve_model::event::{ActionFailed, InstanceObserved, Payload, RunFinished, RunResult};
use pve_model::plan::Change;
use pve_model::rules::RulesRegistry as _;
use pve_model::state::{InstanceRecord, OpenAction, State};
use pve_planner::planning::{Observed, Options, Planning};
use pve_resources::{ProxmoxProvider, half_made_by};
use pve_state::Writer;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::state::refuse_unadopted;
use super::{parse_instance, print_json};
use crate::arguments::{GlobalOptions, ImportOptions};
use crate::backend::log_home;
use crate::connect::{Access, Connecting, connect};
use crate::duration::parse_wait;
use crate::edit::refuse_open;
use crate::failure::{Ended, Failure};
use crate::project::{Project, actor};
use crate::render::value::quote;
use crate::session::{found_elsewhere, make_plan};
use crate::workspace::Workspace;

/// Takes an existing object into the state, as an `import` block would, and changes nothing else.
///
/// # Errors
/// When the resource is not in the configuration, is managed already, or the object cannot be read.
pub async fn run(global: &GlobalOptions, options: &ImportOptions) -> Ended {
    let address = parse_instance(&options.address)?;
    let project = Project::find(global)?;
    let mut workspace = Workspace::load(&project, &options.variables)?;
    write_block(&mut workspace, &address, &options.id)?;
    let _lock = project.lock("import", parse_wait(&options.lock.lock_timeout)?).await?;
    let (log, state) = project.open_log().await?;
    refuse_managed(&state, &address)?;
    if !options.simulate {
        refuse_unadopted(&project, &workspace.registry, &state).await?;
    }
    let simulate = options.simulate.then_some(Access::Writing);
    let connecting =
        Connecting { simulate, parallelism: options.parallelism, same_cluster: options.same_cluster };
    let clusters = connect(&project, &workspace, &state, connecting).await?;
    let wanted = Options { targets: vec![Target::Instance(address.clone())], ..Options::default() };
    let (observed, provider) = (Observed::default(), &clusters.provider);
    let planning = make_plan(&workspace, &state, observed, provider, &wanted, options.take_over).await?;
    let change = importing(&planning, &address)?;
    if let Some(note) = found_elsewhere(change) {
        eprintln!("Note: {note}.");
    }
    let mut record = imported(&workspace, change, provider)?;
    let taken = change.before.as_ref().and_then(half_made_by);
    if taken.is_some() {
        let told = take_over(provider, change, &options.id).await?;
        record.values["description"] = told.map_or(Json::Null, Json::String);
    }
    let mut events = vec![log_home(&project)?.run_started("import", project.stream(), &clusters.name)];
    events.extend(settled(&state, &address, taken, &options.id));
    events.push(Payload::InstanceImported(InstanceObserved {
        address: address.clone(),
        deposed: None,
        record,
    }));
    events.push(Payload::RunFinished(RunFinished {
        result: RunResult::Succeeded,
        done: BTreeMap::new(),
        failed: 0,
    }));
    let writer = Writer::start(Arc::clone(&log), state, actor());
    writer.record_all(events).await.map_err(|error| {
        let message = format!("the log could not be written: {}", error.message);
        Failure::hinted(message, "Nothing is lost: try again.")
    })?;
    log.settle().await;
    if global.json {
        print_json(&json!({"format_version": "1.0", "address": address.to_string(), "id": options.id}))?;
    } else {
        println!("{address} is managed now. `pve plan` shows how it differs from the configuration.");
    }
    Ok(0)
}

/// Adds the `import` block to the configuration that stands for what was asked for.
fn write_block(workspace: &mut Workspace, address: &InstanceAddress, id: &str) -> Result<(), Failure> {
    let to = parsed(&address.to_string(), &mut workspace.sources)?;
    let id = parsed(&quote(id), &mut workspace.sources)?;
    let import = Import { span: to.span, to, id, for_each: None, provider: None };
    workspace.configuration.root.imports.insert(0, import);
    Ok(())
}

/// Refuses an address that has an object, or may have one.
fn refuse_managed(state: &State, address: &InstanceAddress) -> Result<(), Failure> {
    if state.instances.contains_key(address) {
        return Err(Failure::hinted(
            format!("{address} is managed already"),
            "To import another object there, take this one out of the state first: pve state rm",
        ));
    }
    refuse_open(state, std::slice::from_ref(address))
}

/// The change of the plan that imports the object.
fn importing<'a>(planning: &'a Planning, address: &InstanceAddress) -> Result<&'a Change, Failure> {
    let change = planning.plan.changes.iter().find(|change| change.address == *address);
    change.filter(|change| change.importing.is_some()).ok_or_else(|| {
        Failure::hinted(
            format!("the configuration has no {address}"),
            "Write its resource block first; it may be empty of what is not required.",
        )
    })
}

/// What ends actions that are open: those of the address of which it cannot be told what became, and the one that made what
/// is `taken` over, which is this address's from now on. Nothing completes it under another one.
fn settled<'a>(
    state: &'a State,
    address: &'a InstanceAddress,
    taken: Option<Uuid>,
    id: &'a str,
) -> impl Iterator<Item = Payload> + 'a {
    let is_settled = move |open: &&OpenAction| {
        taken == Some(open.intent.action) || open.intent.address == *address && open.indeterminate.is_some()
    };
    state.open_actions.iter().filter(is_settled).map(move |open| {
        let error = format!("settled by importing {id}");
        Payload::ActionFailed(ActionFailed { action: open.intent.action, error, record: None })
    })
}

/// Makes a guest nobody else's, before the log says so: whoever is stopped in between imports it again. Returns what its
/// description is now.
async fn take_over(provider: &ProxmoxProvider, change: &Change, id: &str) -> Result<Option<String>, Failure> {
    let actor = actor();
    let by = format!("{}@{}", actor.user, actor.host);
    let taken = provider.take_over_guest(&change.address.resource.kind, &change.provider, (id, &by)).await;
    taken.map_err(|error| Failure::Plain {
        message: format!("{} cannot be imported as {id}: {error}", change.address),
        hint: error.hint,
    })
}

fn parsed(text: &str, sources: &mut SourceMap) -> Result<Expr, Failure> {
    let source = sources.add("<import>", text);
    let parsed = parse_expression(source, text);
    parsed
        .value
        .ok_or_else(|| Failure::Diagnosed { diagnostics: parsed.diagnostics, sources: sources.clone() })
}

/// The record of the object as it was found.
fn imported(
    workspace: &Workspace,
    change: &Change,
    provider: &ProxmoxProvider,
) -> Result<InstanceRecord, Failure> {
    let rules = workspace.registry.resource(&change.address.resource.kind);
    let (Some(rules), Some(value)) = (rules, &change.before) else {
        return Err(Failure::plain("there is nothing to import"));
    };
    Ok(InstanceRecord {
        provider: change.provider.clone(),
        schema_version: rules.schema().version,
        values: encode(value, &rules.schema().block.implied_type()),
        sensitive: value.sensitive_paths(),
        dependencies: change.dependencies.clone(),
        create_before_destroy: false,
        keep: false,
        tainted: false,
        identity: provider.identity(&change.address),
        unspoken: provider.beside(&change.address).and_then(|beside| beside.unspoken),
    })
}
