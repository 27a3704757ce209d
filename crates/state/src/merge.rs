//! What a run kept meets what others did since: which of it is still news.
//!
//! An action that is open, or that nobody can tell of, gets what the run knew. One that was settled as having come to
//! nothing, while its run knows that something was sent, is opened again: whoever settled it looked too early. All else
//! is settled better by what others found in the cluster since.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::InstanceAddress;
use pve_model::event::{ActionFailed, ActionIntended, Event, Operation, PassedOver, Payload};
use pve_model::state::{ProjectionError, State};
use uuid::Uuid;

use crate::log::Draft;
use crate::spool::draft_of;

/// What is to be appended, and what is not.
#[derive(Default)]
pub(crate) struct Merged {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) passed_over: Vec<PassedOver>,
    pub(crate) notes: Vec<(InstanceAddress, String)>,
}

/// What the log says of actions.
struct KnownActions<'a> {
    intents: BTreeMap<Uuid, (&'a Event, &'a ActionIntended)>,
    /// Creates that were settled as having come to nothing.
    came_to_nothing: BTreeSet<Uuid>,
    open: BTreeSet<Uuid>,
    /// Addresses that may get something.
    open_addresses: BTreeSet<InstanceAddress>,
    /// The event that brought what an address has: a replacement that failed leaves the object that was there before.
    brought: BTreeMap<InstanceAddress, u64>,
}

impl Merged {
    /// Judges kept events, which are not among `all` those of the log.
    ///
    /// # Errors
    /// When the log cannot be projected.
    pub(crate) fn of(all: &[Event], kept: Vec<Event>) -> Result<Merged, ProjectionError> {
        let mut known = KnownActions::of(all)?;
        let done: BTreeSet<Uuid> = all.iter().flat_map(passed_over_before).collect();
        let mut merged = Merged::default();
        for event in kept.into_iter().filter(|event| !done.contains(&event.id)) {
            let action = action_of(&event.payload);
            if let Some(action) = action {
                known.open_again(action, &event.payload, &mut merged);
            }
            if action.is_some_and(|action| known.open.contains(&action)) {
                if let (Some(action), true) = (action, closes(&event.payload)) {
                    known.open.remove(&action);
                }
                merged.drafts.push(draft_of(event));
            } else {
                let Event { id, time, run, payload, .. } = event;
                merged.passed_over.push(PassedOver { id, time, run, payload });
            }
        }
        Ok(merged)
    }
}

impl<'a> KnownActions<'a> {
    fn of(all: &'a [Event]) -> Result<KnownActions<'a>, ProjectionError> {
        let state = State::project(all)?;
        let mut known = KnownActions {
            intents: BTreeMap::new(),
            came_to_nothing: BTreeSet::new(),
            open: state.open_actions.iter().map(|open| open.intent.action).collect(),
            open_addresses: state.open_actions.iter().map(|open| open.intent.address.clone()).collect(),
            brought: BTreeMap::new(),
        };
        for event in all {
            known.note(event);
        }
        known.brought.retain(|address, _| state.current(address).is_some());
        Ok(known)
    }

    fn note(&mut self, event: &'a Event) {
        let brought = match &event.payload {
            Payload::ActionIntended(intent) => {
                self.intents.insert(intent.action, (event, intent));
                None
            }
            Payload::ActionFailed(ActionFailed { action, record: None, .. }) => {
                self.came_to_nothing.insert(*action);
                None
            }
            Payload::ActionFailed(ActionFailed { action, .. }) => self.created(*action),
            Payload::ActionSucceeded(done) => self.created(done.action),
            Payload::InstanceImported(seen) => Some(&seen.address),
            Payload::InstanceMoved(moved) => Some(&moved.to),
            _ => None,
        };
        if let Some(address) = brought {
            self.brought.insert(address.clone(), event.sequence);
        }
    }

    fn created(&self, action: Uuid) -> Option<&'a InstanceAddress> {
        let (_, intent) = self.intents.get(&action)?;
        (intent.operation == Operation::Create).then_some(&intent.address)
    }

    /// Opens an action again of which more is known than whoever settled it knew. Where its address has something else by
    /// now, that is told instead: what it made is nobody's.
    fn open_again(&mut self, action: Uuid, payload: &Payload, merged: &mut Merged) {
        let Some((event, intent)) = self.intents.get(&action).copied() else { return };
        let is_early = self.came_to_nothing.contains(&action) && intent.operation == Operation::Create;
        if !is_early || !was_sent(payload) {
            return;
        }
        self.came_to_nothing.remove(&action);
        let is_brought = self.brought.get(&intent.address).is_some_and(|brought| *brought > event.sequence);
        if !self.open_addresses.insert(intent.address.clone()) || is_brought {
            let guest = intent.claim.vmid.map(|vmid| format!(" as guest {vmid}")).unwrap_or_default();
            let text = format!(
                "the run that was overtaken made it{guest}, and another run has made it since: look for one that is in \
                 no state, and remove it"
            );
            merged.notes.push((intent.address.clone(), text));
            return;
        }
        self.open.insert(action);
        merged.drafts.push(Draft { id: Uuid::now_v7(), ..draft_of(event.clone()) });
    }
}

fn passed_over_before(event: &Event) -> Vec<Uuid> {
    match &event.payload {
        Payload::EventsMerged(merged) => merged.passed_over.iter().map(|event| event.id).collect(),
        _ => Vec::new(),
    }
}

/// The action that an event tells of. An intent tells nothing: one that is not in the log was given up by its run before
/// anything was sent.
fn action_of(payload: &Payload) -> Option<Uuid> {
    Some(match payload {
        Payload::TaskSubmitted(task) => task.action,
        Payload::StepCompleted(step) => step.action,
        Payload::ProvisionerStarted(started) => started.action,
        Payload::ProvisionerPassed(passed) => passed.action,
        Payload::ActionSucceeded(done) => done.action,
        Payload::ActionFailed(failed) => failed.action,
        Payload::ActionIndeterminate(unclear) => unclear.action,
        _ => return None,
    })
}

fn closes(payload: &Payload) -> bool {
    matches!(payload, Payload::ActionSucceeded(_) | Payload::ActionFailed(_))
}

/// Whether an event shows that a request may have taken effect.
fn was_sent(payload: &Payload) -> bool {
    !matches!(payload, Payload::ActionFailed(ActionFailed { record: None, .. }))
}
