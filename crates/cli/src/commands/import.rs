//! `pve import`

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_config::configuration::Import;
use pve_config::syntax::{Expr, SourceMap, parse_expression};
use pve_executor::ports::Provider as _;
use pve_model::address::Target;
use pve_model::codec::encode;
use pve_model::event::{ActionFailed, InstanceObserved, Payload, RunFinished, RunResult, RunStarted};
use pve_model::plan::Change;
use pve_model::rules::RulesRegistry as _;
use pve_model::state::{InstanceRecord, OpenAction};
use pve_planner::planning::{Observed, Options};
use pve_resources::{ProxmoxProvider, half_made_by};
use pve_state::Writer;
use serde_json::{Value as Json, json};

use super::state::refuse_unadopted;
use super::{parse_instance, print_json};
use crate::arguments::{GlobalOptions, ImportOptions};
use crate::backend::log_home;
use crate::connect::{Access, Connecting, connect};
use crate::duration::parse_wait;
use crate::edit::refuse_open;
use crate::failure::{Ended, Failure};
use crate::project::{Project, Workspace, actor};
use crate::render::value::quote;
use crate::session::{found_elsewhere, make_plan};

/// Takes an existing object into the state, as an `import` block would, and changes nothing else.
///
/// # Errors
/// When the resource is not in the configuration, is managed already, or the object cannot be read.
pub async fn run(global: &GlobalOptions, options: &ImportOptions) -> Ended {
    let address = parse_instance(&options.address)?;
    let project = Project::find(global)?;
    let mut workspace = Workspace::load(&project, &options.variables)?;
    let to = parsed(&address.to_string(), &mut workspace.sources)?;
    let id = parsed(&quote(&options.id), &mut workspace.sources)?;
    let import = Import { span: to.span, to, id, for_each: None };
    workspace.configuration.root.imports.insert(0, import);
    let _lock = project.lock("import", parse_wait(&options.lock.lock_timeout)?).await?;
    let (log, state) = project.open_log().await?;
    if state.instances.contains_key(&address) {
        return Err(Failure::hinted(
            format!("{address} is managed already"),
            "To import another object there, take this one out of the state first: pve state rm",
        ));
    }
    refuse_open(&state, std::slice::from_ref(&address))?;
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
    let change = planning.plan.changes.iter().find(|change| change.address == address);
    let Some(change) = change.filter(|change| change.importing.is_some()) else {
        return Err(Failure::hinted(
            format!("the configuration has no {address}"),
            "Write its resource block first; it may be empty of what is not required.",
        ));
    };
    if let Some(note) = found_elsewhere(change) {
        eprintln!("Note: {note}.");
    }
    let record = imported(&workspace, change, provider.identity(&address));
    let mut record = record.ok_or_else(|| Failure::plain("there is nothing to import"))?;
    record.unspoken = provider.beside(&address).and_then(|beside| beside.unspoken);
    let taken = change.before.as_ref().and_then(half_made_by);
    if taken.is_some() {
        let told = take_over(provider, change, &options.id).await?;
        record.values["description"] = told.map_or(Json::Null, Json::String);
    }
    let state_before = state.clone();
    let writer = Writer::start(Arc::clone(&log), state, actor());
    let seen = InstanceObserved { address: address.clone(), deposed: None, record };
    let home = log_home(&project)?;
    let started = RunStarted {
        command: "import".into(),
        environment: project.stream().into(),
        cluster: clusters.name.clone(),
        place: home.place,
        store: home.store,
    };
    let finished = RunFinished { result: RunResult::Succeeded, done: BTreeMap::new(), failed: 0 };
    let is_settled = |open: &&OpenAction| {
        // What is taken over is this address's from now on: nothing completes it under another one.
        let taken = taken == Some(open.intent.action);
        taken || open.intent.address == address && open.indeterminate.is_some()
    };
    let settled = state_before.open_actions.iter().filter(is_settled).map(|open| {
        let error = format!("settled by importing {}", options.id);
        Payload::ActionFailed(ActionFailed { action: open.intent.action, error, record: None })
    });
    let mut events = vec![Payload::RunStarted(started)];
    events.extend(settled);
    events.extend([Payload::InstanceImported(seen), Payload::RunFinished(finished)]);
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

fn imported(workspace: &Workspace, change: &Change, identity: Option<String>) -> Option<InstanceRecord> {
    let rules = workspace.registry.resource(&change.address.resource.kind)?;
    let value = change.before.as_ref()?;
    Some(InstanceRecord {
        provider: change.provider.clone(),
        schema_version: rules.schema().version,
        values: encode(value, &rules.schema().block.implied_type()),
        sensitive: value.sensitive_paths(),
        dependencies: change.dependencies.clone(),
        create_before_destroy: false,
        keep: false,
        tainted: false,
        identity,
        unspoken: None,
    })
}
