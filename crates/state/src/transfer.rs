//! A log from one place to another: every event as it is stored, checked before and after.

use uuid::Uuid;

use crate::chain::StoredEvent;
use crate::log::{LogError, MovableLog};

/// Events that are handed on at a time.
const CHUNK: usize = 500;
/// The kind of the event that a moved log goes on with.
const ARRIVAL: &str = "log_moved";

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

/// Copies all events of `from` to `to`, which must be empty or hold the first of them from a copy that was interrupted,
/// and says how many events `from` has. `to` may have gone on by the event that says where it came from.
///
/// # Errors
/// When `from` is damaged, `to` is another log, or a log fails. Nothing is changed in `from`.
pub async fn copy_log(from: &dyn MovableLog, to: &dyn MovableLog) -> Result<u64, TransferError> {
    let checked = from.verify().await?;
    if let Some(fault) = checked.fault {
        return Err(LogError::Damaged(fault.to_string()).into());
    }
    let source = from.stored(0).await?;
    let present = to.stored(0).await?;
    let here = agreeing(&source, &present)?;
    if from.id() != to.id() {
        return Err(TransferError::OtherLog { found: to.id() });
    }
    for chunk in source[here..].chunks(CHUNK) {
        to.adopt(chunk).await?;
    }
    let arrived = to.verify().await?;
    if let Some(fault) = arrived.fault {
        return Err(TransferError::Different(fault.to_string()));
    }
    let copied = to.stored(0).await?;
    let same = copied.len() >= source.len() && source.iter().zip(&copied).all(|(one, other)| one == other);
    if !same || checked.events != source.len() as u64 {
        let counts = format!("{} of {} events", copied.len(), source.len());
        return Err(TransferError::Different(counts));
    }
    Ok(source.len() as u64)
}

/// How many events are there from before.
fn agreeing(source: &[StoredEvent], present: &[StoredEvent]) -> Result<usize, TransferError> {
    let occupied = || TransferError::Occupied { events: present.len() as u64 };
    let (copied, beyond) = present.split_at(present.len().min(source.len()));
    let same = source.iter().zip(copied).all(|(one, other)| one == other);
    let arrived = match beyond {
        [] => true,
        [event] => event.kind == ARRIVAL,
        _ => false,
    };
    if same && arrived { Ok(copied.len()) } else { Err(occupied()) }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
