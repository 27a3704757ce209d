//! The port of an event log.

use async_trait::async_trait;
use jiff::Timestamp;
use pve_model::event::{Actor, Event, Payload};
use pve_model::state::{ProjectionError, State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::chain::{StoredEvent, Verification};
use crate::key::{Key, KeyError};

/// An end of a log: its last event and that event's hash, which stands for all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The sequence; 0 for an empty log.
    pub sequence: u64,
    /// The hash.
    pub hash: [u8; 32],
}

impl Head {
    /// The end that a log has with this event as its last one.
    pub fn of(event: &StoredEvent) -> Head {
        Head { sequence: event.sequence, hash: event.hash }
    }
}

/// An event that has no place yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// UUIDv7.
    pub id: Uuid,
    /// When it was made.
    pub time: Timestamp,
    /// The run.
    pub run: Uuid,
    /// Who made it.
    pub actor: Actor,
    /// What happened.
    pub payload: Payload,
}

/// Why a log could not be read or appended to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else appended first. Nothing was written.
    #[error("the log ends at event {found}, not at event {expected}: somebody else wrote to it")]
    Conflict {
        /// The head that the writer expected.
        expected: u64,
        /// The head that there is.
        found: u64,
    },
    /// The log was written by a newer program. It was not touched.
    #[error("the log {place} has format {found}, and this version of pve knows formats up to {known}")]
    Newer {
        /// Where it is.
        place: String,
        /// Its format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// An event is not what it was when it was written.
    #[error("{0}")]
    Damaged(String),
    /// An event does not fit what came before it, or is of a newer program.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The key does not fit.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The storage failed; whether something was written can only be told by reading.
    #[error("the log {place} cannot be used: {reason}")]
    Storage {
        /// Where it is.
        place: String,
        /// What the storage said.
        reason: String,
    },
}

impl LogError {
    /// Whether another writer was faster: nothing was written, and the writer's view is old.
    pub fn is_conflict(&self) -> bool {
        matches!(self, LogError::Conflict { .. })
    }
}

/// A log of events. What `append` has returned for is durable and is seen by every later read; events are never
/// changed or removed; sequences have no gaps.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Names the log; sealed payloads are bound to it.
    fn id(&self) -> Uuid;

    /// The sequence of the last event; 0 for an empty log.
    ///
    /// # Errors
    /// When the storage fails.
    async fn head(&self) -> Result<u64, LogError>;

    /// Appends a batch after the event `expected_head`, all or nothing. Durable on return.
    ///
    /// # Errors
    /// [`LogError::Conflict`] when the log has another head; other errors when the storage fails.
    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError>;

    /// The events after the event `after`, in order.
    ///
    /// # Errors
    /// When the storage fails, the key does not fit, or an event is damaged.
    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError>;

    /// The projection of the whole log. A log that keeps snapshots begins with one.
    ///
    /// # Errors
    /// When the storage fails, the key does not fit, an event is damaged, or an event is of a newer program.
    async fn state(&self) -> Result<State, LogError> {
        Ok(State::project(&self.read(0).await?)?)
    }

    /// Keeps the projection of the whole log, so that later readers need not begin at its first event. A cache:
    /// nothing is lost when this fails or what it wrote is removed.
    ///
    /// # Errors
    /// When the storage fails.
    async fn save_snapshot(&self, _state: &State) -> Result<(), LogError> {
        Ok(())
    }

    /// The end of the log as far as it was read or written here. Asks nobody.
    ///
    /// # Errors
    /// When the storage fails.
    async fn known_end(&self) -> Result<Head, LogError>;

    /// Checks that no event was edited, dropped, added, swapped or cut off. Needs no key.
    ///
    /// # Errors
    /// When the storage fails.
    async fn verify(&self) -> Result<Verification, LogError>;
}

/// A log that can be moved: its events are handed on as they are stored, so that seals and hashes stay.
#[async_trait]
pub trait MovableLog: EventLog {
    /// The events after the event `after` as they are stored.
    ///
    /// # Errors
    /// When the storage fails or an event is missing.
    async fn stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError>;

    /// Appends stored events of a log with the same id, which must follow the last one here. Durable on return.
    ///
    /// # Errors
    /// [`LogError::Conflict`] when they do not follow; other errors when the storage fails.
    async fn adopt(&self, events: &[StoredEvent]) -> Result<(), LogError>;
}

fn place(log: Uuid, sequence: u64) -> String {
    format!("{log}/{sequence}")
}

/// Gives drafts their places after an event and seals their payloads.
///
/// # Errors
/// When a payload cannot be sealed.
pub fn seal_batch(
    key: &Key,
    log: Uuid,
    head: u64,
    head_hash: [u8; 32],
    batch: &[Draft],
) -> Result<Vec<StoredEvent>, LogError> {
    let mut before = head_hash;
    let mut stored = Vec::with_capacity(batch.len());
    for (sequence, draft) in (head + 1..).zip(batch) {
        let json = zeroize::Zeroizing::new(
            serde_json::to_vec(&draft.payload)
                .map_err(|error| LogError::Damaged(format!("an event cannot be written: {error}")))?,
        );
        let mut event = StoredEvent {
            sequence,
            id: draft.id,
            time: draft.time,
            run: draft.run,
            actor: draft.actor.clone(),
            kind: draft.payload.kind().to_string(),
            sealed: key.seal(&json, &place(log, sequence))?,
            hash: [0; 32],
        };
        event.hash = event.expected_hash(&before);
        before = event.hash;
        stored.push(event);
    }
    Ok(stored)
}

/// Opens stored events.
///
/// # Errors
/// When the key does not fit or a payload is no payload.
pub fn open_events(key: &Key, log: Uuid, stored: &[StoredEvent]) -> Result<Vec<Event>, LogError> {
    stored
        .iter()
        .map(|event| {
            let what = format!("event {}", event.sequence);
            let json = key.open(&event.sealed, &place(log, event.sequence), &what)?;
            let payload: Payload = serde_json::from_slice(&json).map_err(|error| {
                LogError::Damaged(format!("event {} cannot be read: {error}", event.sequence))
            })?;
            Ok(Event {
                sequence: event.sequence,
                id: event.id,
                time: event.time,
                run: event.run,
                actor: event.actor.clone(),
                payload,
            })
        })
        .collect()
}
