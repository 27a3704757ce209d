//! The port of an event log.

use async_trait::async_trait;
use jiff::Timestamp;
use pve_model::event::{Actor, Event, Payload};
use pve_model::state::{ProjectionError, State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::chain::{StoredEvent, Verification};
use crate::key::KeyError;
use crate::keyring::{Keyring, KeyringChange};
use crate::seal::KnownKeys;

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

impl Draft {
    /// The event that it is in this place.
    pub fn at(&self, sequence: u64) -> Event {
        Event {
            sequence,
            id: self.id,
            time: self.time,
            run: self.run,
            actor: self.actor.clone(),
            payload: self.payload.clone(),
        }
    }
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
    /// Nothing could be appended, and it cannot be kept here until it can either.
    #[error("{error}; and it cannot be kept here: {reason}")]
    Unkept {
        /// Why it could not be appended.
        error: Box<LogError>,
        /// Why it cannot be kept.
        reason: Box<LogError>,
    },
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
        match self {
            LogError::Unkept { error, .. } => error.is_conflict(),
            other => matches!(other, LogError::Conflict { .. }),
        }
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

    /// Keeps events of a run whose append was a conflict, where that is possible: others took over, and what was under
    /// way still comes to an end. They are not in the log.
    async fn keep(&self, _batch: Vec<Draft>) {}

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

    /// Waits until what helps readers, and nobody waits for otherwise, was written: called when a run is over.
    async fn settle(&self) {}

    /// The end of the log as far as it was read or written here. Asks nobody.
    ///
    /// # Errors
    /// When the storage fails.
    async fn known_end(&self) -> Result<Head, LogError>;

    /// The hash of an event, as far as it was read or written here. Asks nobody.
    ///
    /// # Errors
    /// When the storage fails.
    async fn known_hash(&self, _sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        Ok(None)
    }

    /// The revision of the log's keyring; 0 without one. Asks for newer ones only when it would be less than `hoped`.
    ///
    /// # Errors
    /// When the storage fails.
    async fn keyring_revision(&self, _hoped: u64) -> Result<u64, LogError> {
        Ok(0)
    }

    /// By what the first `count` data keys are known again, all of them without one; `None` when they are not known here.
    /// Asks nobody. Keyrings that follow begin with the same keys, and whoever has none of them cannot make one that does.
    ///
    /// # Errors
    /// When the storage fails.
    async fn known_keys(&self, _count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        Ok(None)
    }

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

    /// Appends stored events of a log with the same id, which must follow the last one here, with the keyrings of that
    /// log, of which those that are here must be some. Durable on return.
    ///
    /// # Errors
    /// [`LogError::Conflict`] when they do not follow; other errors when the keys were changed here as well, or the storage
    /// fails.
    async fn adopt(&self, events: &[StoredEvent], rings: &[Keyring]) -> Result<(), LogError>;

    /// Whom the log is sealed for; `None` for a log of before there were keyrings.
    ///
    /// # Errors
    /// When the storage fails.
    async fn keyring(&self) -> Result<Option<Keyring>, LogError>;

    /// All keyrings that there are, the newest last: those before it, too, as readers that know one of them look for the
    /// next.
    ///
    /// # Errors
    /// When one cannot be read, or the storage fails.
    async fn keyrings(&self) -> Result<Vec<Keyring>, LogError>;

    /// Changes whom the log is sealed for, and says whom from now on. `name` is who does it, for a log that has no
    /// keyring yet. Durable on return.
    ///
    /// # Errors
    /// [`KeyError::Overtaken`] when somebody else did at the same moment; other errors when the key does not fit, the
    /// change cannot be made, or the storage fails.
    async fn change_keyring(&self, name: &str, change: KeyringChange) -> Result<Keyring, LogError>;
}
