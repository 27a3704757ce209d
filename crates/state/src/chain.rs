//! Events as they are stored, each bound to the one before it by a hash. Checking the chain needs no key.

use jiff::Timestamp;
use pve_model::event::Actor;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::log::{Head, LogError};

/// The hash before the first event.
pub(crate) const ORIGIN: [u8; 32] = [0; 32];

/// One event as it is stored: the payload is sealed, the rest can be read without the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its place, from 1.
    pub sequence: u64,
    /// UUIDv7.
    pub id: Uuid,
    /// When it was written.
    pub time: Timestamp,
    /// The run.
    pub run: Uuid,
    /// Who wrote it.
    pub actor: Actor,
    /// The kind of the payload.
    pub kind: String,
    /// The sealed payload: nonce and ciphertext.
    pub sealed: Vec<u8>,
    /// SHA-256 over the hash of the event before and everything above.
    pub hash: [u8; 32],
}

impl StoredEvent {
    /// The hash that the event should have after one with the hash `before`.
    pub fn expected_hash(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(before);
        digest.update(self.sequence.to_be_bytes());
        digest.update(self.id.as_bytes());
        digest.update(self.run.as_bytes());
        // Lengths keep fields apart: no text can be moved from one into the next.
        for text in
            [&self.time.to_string(), &self.actor.user, &self.actor.host, &self.actor.version, &self.kind]
        {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        }
        digest.update((self.sealed.len() as u64).to_be_bytes());
        digest.update(&self.sealed);
        digest.finalize().into()
    }
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An event was edited, or the one before it was dropped, added or swapped.
    Changed {
        /// The event.
        sequence: u64,
    },
    /// Events are missing in front of this one.
    Missing {
        /// The first that is missing.
        sequence: u64,
    },
    /// The end is missing.
    Truncated {
        /// The last event that is there.
        last: u64,
        /// The last event that was written.
        written: u64,
    },
    /// Something beside the events that the log needs cannot be read.
    Beside {
        /// What it is called.
        object: String,
        /// Why.
        reason: String,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Changed { sequence } => {
                write!(f, "event {sequence} was changed, or an event before it was dropped, added or swapped")
            }
            Fault::Missing { sequence } => write!(f, "event {sequence} is missing"),
            Fault::Truncated { last, written } => {
                write!(f, "the log ends at event {last}, but event {written} was written: the end is missing")
            }
            Fault::Beside { object, reason } => {
                write!(f, "the events are as they were, but {object} {reason}")
            }
        }
    }
}

/// Checks that stored events follow the end of a log, and moves that end behind them.
///
/// # Errors
/// [`LogError::Conflict`] when the first one has another place; [`LogError::Damaged`] when the chain does not hold.
pub fn check_following(end: &mut Head, events: &[StoredEvent]) -> Result<(), LogError> {
    if let Some(first) = events.first().filter(|first| first.sequence != end.sequence + 1) {
        let expected = first.sequence.saturating_sub(1);
        return Err(LogError::Conflict { expected, found: end.sequence });
    }
    for event in events {
        let fault = if event.sequence != end.sequence + 1 {
            Fault::Missing { sequence: end.sequence + 1 }
        } else if event.hash != event.expected_hash(&end.hash) {
            Fault::Changed { sequence: event.sequence }
        } else {
            *end = Head::of(event);
            continue;
        };
        return Err(LogError::Damaged(fault.to_string()));
    }
    Ok(())
}

/// The result of checking a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How many events were checked.
    pub events: u64,
    /// The first fault.
    pub fault: Option<Fault>,
}

/// Checks events against each other and against the head that is kept apart from them.
pub fn verify_chain(events: &[StoredEvent], head: u64, head_hash: &[u8; 32]) -> Verification {
    let mut before = ORIGIN;
    let mut checked = 0;
    let fault = |events, fault| Verification { events, fault: Some(fault) };
    for event in events {
        if event.sequence != checked + 1 {
            return fault(checked, Fault::Missing { sequence: checked + 1 });
        }
        if event.hash != event.expected_hash(&before) {
            return fault(checked, Fault::Changed { sequence: event.sequence });
        }
        before = event.hash;
        checked += 1;
    }
    if checked < head {
        return fault(checked, Fault::Truncated { last: checked, written: head });
    }
    if before != *head_hash || checked > head {
        return fault(checked, Fault::Changed { sequence: checked });
    }
    Verification { events: checked, fault: None }
}
