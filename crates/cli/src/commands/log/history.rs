//! What is told of each event: what happened to what, by the events before it.

use std::collections::BTreeMap;

use pve_model::InstanceAddress;
use pve_model::address::Target;
use pve_model::event::{ActionIntended, ActionSucceeded, Event, Operation, Payload, RunResult};
use pve_model::state::State;
use uuid::Uuid;

use crate::arguments::LogOptions;
use crate::failure::{Failure, without_address};

/// The events that are shown, each with its text. Where a run was cut off is told to people only, and in the whole log.
pub(super) fn lines<'a>(
    events: &'a [Event],
    target: Option<&Target>,
    options: &LogOptions,
    is_json: bool,
) -> Result<Vec<(&'a Event, Described)>, Failure> {
    let is_json = is_json || options.jsonl;
    let tells_cuts = target.is_none() && !is_json;
    let mut history = History::default();
    let mut lines = Vec::new();
    for event in events {
        if let Some(cut) = history.cut_off(event).filter(|_| tells_cuts) {
            lines.push((cut.last, plain(cut.text, true)));
        }
        let described = history.describe(event);
        let wanted = match (target, &described.address) {
            (None, _) => true,
            (Some(target), Some(address)) => target.contains(address),
            (Some(_), None) => false,
        };
        if wanted && (options.events || is_json || described.is_short) {
            lines.push((event, described));
        }
        history.state.apply(event).map_err(|error| Failure::plain(error.to_string()))?;
    }
    if let Some(cut) = history.run.take().filter(|_| tells_cuts) {
        let text = "the run has no end yet: it goes on, or it was interrupted".to_string();
        lines.push((cut.last, plain(text, true)));
    }
    Ok(lines)
}

/// A run that has begun and not ended: its command, and the last event of it.
struct OpenRun<'e> {
    command: &'e str,
    last: &'e Event,
}

/// What came before an event: the run that it may be of, the actions that it may be about, and the state that it
/// changes.
#[derive(Default)]
struct History<'e> {
    run: Option<OpenRun<'e>>,
    intents: BTreeMap<Uuid, ActionIntended>,
    state: State,
}

/// What is said of a run that was cut off, after the last event of it.
struct CutOff<'e> {
    last: &'e Event,
    text: String,
}

/// What is told of an event.
pub(super) struct Described {
    pub(super) address: Option<InstanceAddress>,
    /// What programs are told.
    pub(super) text: String,
    /// What stands on the screen: what happened, then to what.
    pub(super) line: String,
    /// Whether the short listing has it.
    is_short: bool,
}

impl<'e> History<'e> {
    /// Follows the runs. An event of another run tells that the one before was cut off: only one writes at a time.
    fn cut_off(&mut self, event: &'e Event) -> Option<CutOff<'e>> {
        let cut = self.run.take_if(|run| run.last.run != event.run).map(|run| {
            let open = match self.state.open_actions.len() {
                0 => String::new(),
                1 => ", with 1 action under way".to_string(),
                count => format!(", with {count} actions under way"),
            };
            CutOff {
                last: run.last,
                text: format!("run interrupted: {} did not come to its end{open}", run.command),
            }
        });
        match &event.payload {
            Payload::RunStarted(started) => {
                self.run = Some(OpenRun { command: &started.command, last: event });
            }
            Payload::RunFinished(_) => self.run = None,
            _ => {
                if let Some(run) = &mut self.run {
                    run.last = event;
                }
            }
        }
        cut
    }

    fn describe(&mut self, event: &Event) -> Described {
        match &event.payload {
            Payload::ActionIntended(intent) => {
                self.intents.insert(intent.action, intent.clone());
                self.action(&intent.action, "intended", None, false)
            }
            Payload::TaskSubmitted(task) => {
                let word = format!("{} submitted as {}", task.step, task.upid);
                self.action(&task.action, &word, None, false)
            }
            Payload::StepCompleted(step) => {
                self.action(&step.action, &format!("{} done", step.step), None, false)
            }
            Payload::ProvisionerStarted(started) => {
                let word = format!("{} provisioner started", started.kind.name());
                self.action(&started.action, &word, None, false)
            }
            Payload::ProvisionerPassed(passed) => match &passed.error {
                None => self.action(&passed.action, "provisioner passed", None, false),
                Some(error) => self.action(&passed.action, &format!("{error}; passed over"), None, true),
            },
            Payload::ActionSucceeded(done) => {
                let changed = self.changed(done);
                let described = self.action(&done.action, "done", changed.as_deref(), true);
                let names = changed.map(|names| format!(" ({names})")).unwrap_or_default();
                Described { text: self.told(&done.action, &format!("done{names}")), ..described }
            }
            Payload::ActionFailed(failed) => self.action(&failed.action, "failed", Some(&failed.error), true),
            Payload::ActionIndeterminate(open) => {
                self.action(&open.action, "cannot be told", Some(&open.reason), true)
            }
            payload => describe_other(payload),
        }
    }

    /// What became of an action, and why or with which result.
    fn action(&self, action: &Uuid, word: &str, detail: Option<&str>, is_short: bool) -> Described {
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        let text = self.told(action, &format!("{word}{detail}"));
        let Some(intent) = self.intents.get(action) else {
            return Described { address: None, line: text.clone(), text, is_short };
        };
        let detail = without_address(&detail, &intent.address);
        let line = format!("{} {word}: {}{detail}", verb(intent.operation), object(intent));
        Described { address: Some(intent.address.clone()), text, line, is_short }
    }

    /// The operation, its object and what is said of it.
    fn told(&self, action: &Uuid, word: &str) -> String {
        match self.intents.get(action) {
            Some(intent) => format!("{} {}: {word}", verb(intent.operation), object(intent)),
            None => word.to_string(),
        }
    }

    /// The attributes that an update changed.
    fn changed(&self, done: &ActionSucceeded) -> Option<String> {
        let intent = self.intents.get(&done.action)?;
        let before = &self.state.current(&intent.address)?.values;
        let after = &done.record.as_ref()?.values;
        let names = after.as_object()?.iter();
        let names: Vec<&str> =
            names.filter(|(name, value)| before.get(name) != Some(value)).map(|(name, _)| &**name).collect();
        (intent.operation == Operation::Update && !names.is_empty()).then(|| names.join(", "))
    }
}

fn describe_other(payload: &Payload) -> Described {
    match payload {
        Payload::RunStarted(run) => plain(format!("run started: {} on {}", run.command, run.cluster), true),
        Payload::RunFinished(run) => {
            let result = match run.result {
                RunResult::Succeeded => "succeeded",
                RunResult::Failed => "failed",
                RunResult::Interrupted => "interrupted",
            };
            let done: u64 = run.done.values().sum();
            plain(format!("run finished: {result}, {done} done, {} not", run.failed), true)
        }
        Payload::ConfigurationRecorded(c) => {
            plain(format!("configuration recorded: {} files, {:.12}", c.files.len(), c.digest), false)
        }
        Payload::PlanApproved(plan) => plain(format!("plan approved: {:.12}", plan.digest), false),
        Payload::InstanceObserved(seen) if seen.deposed.is_some() => {
            named(&seen.address, "is replaced; what it was before is not gone yet")
        }
        Payload::InstanceObserved(seen) => named(&seen.address, "had changed outside"),
        Payload::InstanceGone(gone) => named(&gone.address, "was found to be gone"),
        Payload::InstanceImported(seen) => named(&seen.address, "imported"),
        Payload::InstanceForgotten(gone) => named(&gone.address, "forgotten"),
        Payload::InstanceMoved(moved) => named(&moved.to, &format!("moved from {}", moved.from)),
        Payload::InstanceTainted(marked) => named(&marked.address, "marked to be replaced"),
        Payload::InstanceUntainted(marked) => named(&marked.address, "not to be replaced after all"),
        Payload::InstanceRestored(restored) => {
            named(&restored.address, "taken back, and what replaced it deposed")
        }
        Payload::OutputsRecorded(outputs) => {
            plain(format!("{} outputs recorded", outputs.outputs.len()), false)
        }
        Payload::LeaseTakenOver(lease) => plain(format!("lease taken over from {}", lease.from), true),
        Payload::LogMoved(moved) if moved.here.as_ref() == Some(&moved.place) => {
            plain(format!("the log's store is reached as {}", moved.stores.join(", ")), true)
        }
        Payload::LogMoved(moved) if moved.arrived => {
            plain(format!("the log came here from {}", moved.place), true)
        }
        Payload::LogMoved(moved) => plain(format!("the log was moved to {}", moved.place), true),
        Payload::EventsMerged(merged) => plain(
            format!(
                "kept events of an earlier run were taken in late: {}, and {} passed over",
                merged.taken_in,
                merged.passed_over.len()
            ),
            true,
        ),
        Payload::KeysChanged(keys) => {
            plain(format!("keys changed: {}; sealed for {}", keys.change, keys.recipients.join(", ")), true)
        }
        Payload::Unknown(unknown) => {
            plain(format!("{} (version {}): of a newer pve", unknown.kind, unknown.version), true)
        }
        // Those of an action are described with its intent.
        other => plain(other.kind().to_string(), true),
    }
}

fn plain(text: String, is_short: bool) -> Described {
    Described { address: None, line: text.clone(), text, is_short }
}

fn named(address: &InstanceAddress, text: &str) -> Described {
    let line = format!("{text}: {address}");
    Described { address: Some(address.clone()), text: format!("{address}: {text}"), line, is_short: true }
}

/// The object of an action, and the guest if it is one.
fn object(intent: &ActionIntended) -> String {
    let guest = intent.claim.vmid.map(|vmid| format!(" (guest {vmid})")).unwrap_or_default();
    format!("{}{guest}", intent.address)
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
