//! A log from one place to another: every event as it is stored, checked before and after.

use uuid::Uuid;

use crate::log::{LogError, MovableLog};

/// The kind of the event that a moved log goes on with.
const ARRIVAL: &str = "log_moved";
/// The kind of events about a lease, which either place may have got for itself since.
const LEASE: &str = "lease_taken_over";

/// Why a log cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The other place has a log with events of its own.
    #[error("there is a log with {events} events already, which are not the first ones of this log")]
    Occupied {
        /// How many.
        events: u64,
    },
    /// The other place has an empty log of another id, and seals are bound to the id.
    #[error("there is an empty log of another name already ({found})")]
    OtherLog {
        /// Its id.
        found: Uuid,
    },
    /// What arrived is not what was sent.
    #[error("the copy is not the same: {0}")]
    Different(String),
    /// A log failed, or the one to be copied is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many events both logs have.
    pub events: u64,
    /// Whether the copy has gone on by the event that says where it came from.
    pub arrived: bool,
}

/// Copies all events of `from` to `to` at once, so that nobody ever sees a part of them there. `to` must be empty, or
/// be the copy of an attempt that was interrupted.
///
/// # Errors
/// When `from` is damaged, `to` is another log, or a log fails. Nothing is changed in `from`.
pub async fn copy_log(from: &dyn MovableLog, to: &dyn MovableLog) -> Result<Copied, TransferError> {
    let checked = from.verify().await?;
    if let Some(fault) = checked.fault {
        return Err(LogError::Damaged(fault.to_string()).into());
    }
    let source = from.stored(0).await?;
    let present = to.stored(0).await?;
    let common = source.iter().zip(&present).take_while(|(one, other)| one == other).count();
    let (missing, beyond) = (&source[common..], &present[common..]);
    let own = beyond.iter().all(|event| [ARRIVAL, LEASE].contains(&&*event.kind));
    let is_own_lease = own && missing.iter().all(|event| event.kind == LEASE);
    if !(beyond.is_empty() || is_own_lease) {
        return Err(TransferError::Occupied { events: present.len() as u64 });
    }
    if from.id() != to.id() {
        return Err(TransferError::OtherLog { found: to.id() });
    }
    let arrived = beyond.iter().any(|event| event.kind == ARRIVAL);
    if !beyond.is_empty() {
        return Ok(Copied { events: common as u64, arrived });
    }
    to.adopt(missing, &from.keyrings().await?).await?;
    let written = to.verify().await?;
    if let Some(fault) = written.fault {
        return Err(TransferError::Different(fault.to_string()));
    }
    let copied = to.stored(0).await?;
    if copied != source || checked.events != source.len() as u64 {
        let counts = format!("{} of {} events", copied.len(), source.len());
        return Err(TransferError::Different(counts));
    }
    Ok(Copied { events: source.len() as u64, arrived })
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
