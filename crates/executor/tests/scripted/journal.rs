//! A journal in memory that can fail at one of its calls.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use pve_executor::ports::{Journal, JournalError};
use pve_model::event::{Actor, Event, Payload};
use pve_model::state::State;
use uuid::Uuid;

use super::{KillPoints, Trace, name_of};

/// What the journal takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accepts {
    /// Every event.
    #[default]
    All,
    /// As many events; then nothing, as a log that another run has taken over.
    Only(usize),
    /// As many events; of the next one the answer is lost, and then nothing.
    LosesAnswerAfter(usize),
}

/// The journal.
#[derive(Default)]
pub struct MemoryJournal {
    pub trace: Trace,
    pub points: KillPoints,
    pub accepts: Accepts,
    pub events: Mutex<Vec<Event>>,
    /// The instance of each action, for the trace.
    pub names: Mutex<BTreeMap<Uuid, String>>,
}

impl MemoryJournal {
    pub fn beside(cluster: &super::Cluster) -> MemoryJournal {
        MemoryJournal {
            trace: cluster.trace.clone(),
            points: cluster.points.clone(),
            ..MemoryJournal::default()
        }
    }

    /// The same events, in the hands of a process that starts anew.
    pub fn after_a_crash(self, cluster: &super::Cluster) -> MemoryJournal {
        MemoryJournal { events: self.events, names: self.names, ..MemoryJournal::beside(cluster) }
    }

    pub fn state(&self) -> State {
        State::project(&*self.events.lock().unwrap()).expect("events that follow from each other")
    }

    pub fn payloads(&self) -> Vec<Payload> {
        self.events.lock().unwrap().iter().map(|event| event.payload.clone()).collect()
    }

    fn keep(&self, payload: Payload) {
        let action = match &payload {
            Payload::ActionIntended(intent) => {
                self.names.lock().unwrap().insert(intent.action, name_of(&intent.address));
                Some(intent.action)
            }
            Payload::TaskSubmitted(task) => Some(task.action),
            Payload::StepCompleted(step) => Some(step.action),
            Payload::ProvisionerStarted(started) => Some(started.action),
            Payload::ProvisionerPassed(passed) => Some(passed.action),
            Payload::ActionSucceeded(done) => Some(done.action),
            Payload::ActionFailed(failed) => Some(failed.action),
            Payload::ActionIndeterminate(unclear) => Some(unclear.action),
            _ => None,
        };
        let names = self.names.lock().unwrap();
        let name = action.and_then(|action| names.get(&action)).map_or("", String::as_str);
        self.trace.add(format!("event {} {name}", payload.kind()));
        let mut events = self.events.lock().unwrap();
        let sequence = events.len() as u64 + 1;
        let actor = Actor { user: "ops".into(), host: "desk".into(), version: "0".into() };
        let event = Event {
            sequence,
            id: Uuid::nil(),
            time: Timestamp::UNIX_EPOCH,
            run: Uuid::nil(),
            actor,
            payload,
        };
        events.push(event);
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn record(&self, payload: Payload) -> Result<(), JournalError> {
        self.points.pass().await;
        tokio::task::yield_now().await;
        let recorded = self.events.lock().unwrap().len();
        let error = |text: &str| Err(JournalError { message: text.into(), lost: true });
        match self.accepts {
            Accepts::Only(most) if recorded >= most => {
                self.trace.add("refused");
                return error("taken over");
            }
            Accepts::LosesAnswerAfter(most) if recorded >= most => {
                self.trace.add("refused");
                if recorded == most {
                    self.keep(payload);
                }
                return error("no answer");
            }
            _ => self.keep(payload),
        }
        self.points.pass().await;
        Ok(())
    }
}
