//! A batch of sealed events as one object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pve_model::event::Actor;
use pve_state::{LogError, StoredEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The object of a batch.
#[derive(Serialize, Deserialize)]
struct Batch {
    /// Names this write: two writers may have the same bytes to say.
    writer: Uuid,
    events: Vec<BatchEvent>,
}

#[derive(Serialize, Deserialize)]
struct BatchEvent {
    sequence: u64,
    id: Uuid,
    time: Timestamp,
    run: Uuid,
    actor: Actor,
    kind: String,
    sealed: String,
    hash: String,
}

/// Only what tells writes apart; the same field in every object that is written once.
#[derive(Deserialize)]
struct Written {
    writer: Uuid,
}

/// Writes a batch.
pub(crate) fn encode_batch(writer: Uuid, events: &[StoredEvent]) -> Result<Vec<u8>, LogError> {
    let events = events.iter().map(|event| BatchEvent {
        sequence: event.sequence,
        id: event.id,
        time: event.time,
        run: event.run,
        actor: event.actor.clone(),
        kind: event.kind.clone(),
        sealed: STANDARD.encode(&event.sealed),
        hash: STANDARD.encode(event.hash),
    });
    serde_json::to_vec(&Batch { writer, events: events.collect() })
        .map_err(|error| LogError::Damaged(format!("a batch cannot be written: {error}")))
}

/// Reads a batch.
pub(crate) fn decode_batch(key: &str, body: &[u8]) -> Result<Vec<StoredEvent>, LogError> {
    let damaged = |reason: &dyn std::fmt::Display| {
        LogError::Damaged(format!("the object {key} is no batch of events: {reason}"))
    };
    let batch: Batch = serde_json::from_slice(body).map_err(|error| damaged(&error))?;
    if batch.events.is_empty() {
        return Err(damaged(&"it has none"));
    }
    let read = |event: BatchEvent| {
        let hash = STANDARD.decode(&event.hash).map_err(|error| damaged(&error))?;
        Ok(StoredEvent {
            sequence: event.sequence,
            id: event.id,
            time: event.time,
            run: event.run,
            actor: event.actor,
            kind: event.kind,
            sealed: STANDARD.decode(&event.sealed).map_err(|error| damaged(&error))?,
            hash: hash.try_into().map_err(|_| damaged(&"a hash has another length"))?,
        })
    };
    batch.events.into_iter().map(read).collect()
}

/// The writer of an object that is written once.
pub(crate) fn writer_of(body: &[u8]) -> Option<Uuid> {
    serde_json::from_slice::<Written>(body).ok().map(|written| written.writer)
}
