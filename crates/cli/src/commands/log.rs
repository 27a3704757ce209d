//! `pve log`

use std::collections::BTreeMap;

use pve_model::InstanceAddress;
use pve_model::event::{Event, Operation, Payload, RunResult};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::print_json;
use crate::arguments::{GlobalOptions, LogCommand, LogOptions};
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// `format_version` of the log's JSON: one document with `events`, or one an event with `--jsonl`.
const FORMAT: &str = "1.0";

/// Shows or checks the log.
///
/// # Errors
/// When it cannot be read.
pub async fn run(global: &GlobalOptions, options: &LogOptions) -> Ended {
    let project = Project::find(global)?;
    if !project.has_log()? {
        eprintln!("There is no log yet; `pve apply` writes the first events.");
        if global.json && options.command.is_none() {
            print_json(&json!({"format_version": FORMAT, "events": []}))?;
        }
        return Ok(0);
    }
    if let Some(LogCommand::Verify) = options.command {
        return verify(global, &project).await;
    }
    let events = project.open_log().await?.0.read(0).await?;
    let mut intents: BTreeMap<Uuid, (InstanceAddress, Operation)> = BTreeMap::new();
    let mut lines = Vec::new();
    for event in &events {
        if let Payload::ActionIntended(intent) = &event.payload {
            intents.insert(intent.action, (intent.address.clone(), intent.operation));
        }
        let (address, text) = describe(event, &intents);
        let wanted = options.address.as_ref().is_none_or(|wanted| address.as_ref() == Some(wanted));
        if wanted && (options.events || global.json || options.jsonl || text.1) {
            lines.push((event, address, text.0));
        }
    }
    let skip = options.last.map_or(0, |last| lines.len().saturating_sub(last));
    let shown = &lines[skip..];
    if options.jsonl {
        for (event, address, text) in shown {
            let mut json = event_json(event, address.as_deref(), text);
            json["format_version"] = json!(FORMAT);
            print_json(&json)?;
        }
    } else if global.json {
        let events = shown.iter().map(|(event, address, text)| event_json(event, address.as_deref(), text));
        print_json(&json!({"format_version": FORMAT, "events": events.collect::<Vec<_>>()}))?;
    } else {
        for (event, _, text) in shown {
            let time = event.time.strftime("%Y-%m-%d %H:%M:%S");
            let id = if options.events { format!(" {}", event.id) } else { String::new() };
            println!("{:>5}{id} {time} {}@{} {text}", event.sequence, event.actor.user, event.actor.host);
        }
    }
    Ok(0)
}

fn event_json(event: &Event, address: Option<&str>, text: &str) -> Json {
    json!({
        "sequence": event.sequence, "id": event.id, "time": event.time.to_string(),
        "run": event.run, "user": event.actor.user, "host": event.actor.host,
        "version": event.actor.version, "kind": event.payload.kind(), "address": address, "text": text,
    })
}

async fn verify(global: &GlobalOptions, project: &Project) -> Ended {
    let found = crate::backend::open_without_key(project).await?.verify().await?;
    let fault = found.fault.as_ref().map(ToString::to_string);
    if global.json {
        print_json(&json!({"format_version": "1.0", "events": found.events, "fault": fault}))?;
        return Ok(u8::from(fault.is_some()));
    }
    match fault {
        None => {
            println!("{} events, none changed.", found.events);
            Ok(0)
        }
        Some(fault) => Err(Failure::hinted(
            fault,
            "Restore the log from a copy; what it is about in the cluster is untouched.",
        )),
    }
}

/// What an event is about, its text, and whether the short listing has it.
fn describe(
    event: &Event,
    intents: &BTreeMap<Uuid, (InstanceAddress, Operation)>,
) -> (Option<String>, (String, bool)) {
    let of =
        |action: &Uuid| intents.get(action).map(|(address, operation)| (address.to_string(), *operation));
    let about = |action: &Uuid, word: &str, shown: bool| match of(action) {
        Some((address, operation)) => {
            let text = format!("{} {address}: {word}", verb(operation));
            (Some(address), (text, shown))
        }
        None => (None, (word.to_string(), shown)),
    };
    match &event.payload {
        Payload::RunStarted(run) => {
            (None, (format!("run started: {} on {}", run.command, run.cluster), true))
        }
        Payload::RunFinished(run) => {
            let result = match run.result {
                RunResult::Succeeded => "succeeded",
                RunResult::Failed => "failed",
                RunResult::Interrupted => "interrupted",
            };
            let done: u64 = run.done.values().sum();
            (None, (format!("run finished: {result}, {done} done, {} not", run.failed), true))
        }
        Payload::ConfigurationRecorded(c) => {
            (None, (format!("configuration recorded: {} files, {:.12}", c.files.len(), c.digest), false))
        }
        Payload::PlanApproved(plan) => (None, (format!("plan approved: {:.12}", plan.digest), false)),
        Payload::ActionIntended(intent) => {
            let guest = intent.claim.vmid.map(|vmid| format!(" (guest {vmid})")).unwrap_or_default();
            about(&intent.action, &format!("intended{guest}"), false)
        }
        Payload::TaskSubmitted(task) => {
            about(&task.action, &format!("{} submitted as {}", task.step, task.upid), false)
        }
        Payload::StepCompleted(step) => about(&step.action, &format!("{} done", step.step), false),
        Payload::ProvisionerStarted(started) => {
            about(&started.action, &format!("{} provisioner started", started.kind.name()), false)
        }
        Payload::ProvisionerPassed(passed) => match &passed.error {
            None => about(&passed.action, "provisioner passed", false),
            Some(error) => about(&passed.action, &format!("{error}; passed over"), true),
        },
        Payload::ActionSucceeded(done) => about(&done.action, "done", true),
        Payload::ActionFailed(failed) => about(&failed.action, &format!("failed: {}", failed.error), true),
        Payload::ActionIndeterminate(open) => {
            about(&open.action, &format!("cannot be told: {}", open.reason), true)
        }
        Payload::InstanceObserved(seen) => named(&seen.address, "had changed outside"),
        Payload::InstanceGone(gone) => named(&gone.address, "was found to be gone"),
        Payload::InstanceImported(seen) => named(&seen.address, "imported"),
        Payload::InstanceForgotten(gone) => named(&gone.address, "forgotten"),
        Payload::InstanceMoved(moved) => named(&moved.to, &format!("moved from {}", moved.from)),
        Payload::InstanceTainted(marked) => named(&marked.address, "marked to be replaced"),
        Payload::InstanceUntainted(marked) => named(&marked.address, "not to be replaced after all"),
        Payload::OutputsRecorded(outputs) => {
            (None, (format!("{} outputs recorded", outputs.outputs.len()), false))
        }
        Payload::LeaseTakenOver(lease) => (None, (format!("lease taken over from {}", lease.from), true)),
        Payload::Unknown(unknown) => {
            (None, (format!("{} (version {}): of a newer pve", unknown.kind, unknown.version), true))
        }
    }
}

fn named(address: &InstanceAddress, text: &str) -> (Option<String>, (String, bool)) {
    (Some(address.to_string()), (format!("{address}: {text}"), true))
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "destroy",
        Operation::Read => "read",
        Operation::Forget => "forget",
    }
}
