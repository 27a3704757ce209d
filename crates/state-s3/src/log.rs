//! The log over an object store: one object a batch, each written once.
//!
//! A batch is named by its first sequence. The one that follows the events up to `head` can only be named `head + 1`,
//! and only one writer can make that object: this is the compare-and-swap of `append`.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use pve_model::event::Event;
use pve_state::{
    Draft, EventLog, Fault, Key, LogError, StoredEvent, Verification, open_events, seal_batch, verify_chain,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::batch::{decode_batch, encode_batch};
use crate::conditional::{Created, create, list, read};
use crate::layout::Layout;
use crate::store::{ObjectStore, StoreError};

/// The newest format that this program writes and reads.
const FORMAT: u32 = 1;
/// Batches read at a time.
const READS: usize = 16;

/// What [`Layout::format`] holds. The log's id is the id of its writer too: whoever writes it first names the log.
#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
    writer: Uuid,
}

/// What [`Layout::probe`] holds.
#[derive(Serialize)]
struct Probe {
    writer: Uuid,
}

/// What [`Layout::head`] holds.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Head {
    sequence: u64,
    hash: [u8; 32],
}

/// A log in an object store.
pub struct S3Log {
    id: Uuid,
    key: Key,
    layout: Layout,
    store: Arc<dyn ObjectStore>,
    /// As far as the log is known. It may have become longer since, never shorter or other.
    known: Mutex<Head>,
}

impl S3Log {
    /// Opens the log with this layout, or makes it.
    ///
    /// # Errors
    /// When the store cannot be used, does not keep to conditions, or has a log of a newer program.
    pub async fn open(store: Arc<dyn ObjectStore>, layout: Layout, key: Key) -> Result<S3Log, LogError> {
        let fail = |error: StoreError| storage(&layout, &error);
        let found = read(&*store, &layout.format()).await.map_err(fail)?;
        if let Some(body) = &found {
            read_format(&layout, body)?;
        }
        probe(&*store, &layout).await?;
        let id = match found {
            Some(body) => read_format(&layout, &body)?,
            None => {
                let id = Uuid::now_v7();
                let body = to_json(&Format { format: FORMAT, writer: id })?;
                match create(&*store, &layout.format(), id, &body).await.map_err(fail)? {
                    Created::Mine => id,
                    Created::Other(body) => read_format(&layout, &body)?,
                }
            }
        };
        Ok(S3Log { id, key, layout, store, known: Mutex::default() })
    }

    fn fail(&self, error: StoreError) -> LogError {
        storage(&self.layout, &error)
    }

    /// Brings `known` up to date.
    async fn catch_up(&self, known: &mut Head) -> Result<(), LogError> {
        // The noted head first: what was noted before the listing must be in it, what is appended meanwhile need not.
        let written = if known.sequence == 0 { self.written_head().await? } else { *known };
        let after = self.layout.batch(known.sequence);
        let keys = list(&*self.store, &self.layout.batches(), &after).await.map_err(|e| self.fail(e))?;
        if let Some(key) = keys.iter().rev().find(|key| self.layout.first_of(key).is_some())
            && let Some(event) = self.read_batch(key).await?.pop()
        {
            *known = Head { sequence: event.sequence, hash: event.hash };
        }
        // Sequences are never used twice, so nothing may be appended where events were cut off.
        if known.sequence < written.sequence {
            let fault = Fault::Truncated { last: known.sequence, written: written.sequence };
            *known = Head::default();
            return Err(LogError::Damaged(fault.to_string()));
        }
        Ok(())
    }

    async fn written_head(&self) -> Result<Head, LogError> {
        let key = self.layout.head();
        match read(&*self.store, &key).await.map_err(|error| self.fail(error))? {
            Some(body) => serde_json::from_slice(&body)
                .map_err(|error| LogError::Damaged(format!("the object {key} cannot be read: {error}"))),
            None => Ok(Head::default()),
        }
    }

    async fn read_batch(&self, key: &str) -> Result<Vec<StoredEvent>, LogError> {
        let body = read(&*self.store, key).await.map_err(|error| self.fail(error))?;
        let body = body.ok_or_else(|| LogError::Damaged(format!("the object {key} was removed")))?;
        decode_batch(key, &body)
    }

    /// The stored events from the batch that has the event after `after`.
    async fn read_stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError> {
        let keys = list(&*self.store, &self.layout.batches(), "").await.map_err(|error| self.fail(error))?;
        let mut batches: Vec<(u64, String)> =
            keys.into_iter().filter_map(|key| Some((self.layout.first_of(&key)?, key))).collect();
        let from = batches.partition_point(|(first, _)| *first <= after.saturating_add(1)).saturating_sub(1);
        let reads = batches.drain(from..).map(|(_, key)| async move { self.read_batch(&key).await });
        let read: Vec<Vec<StoredEvent>> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The head is a lower bound: it may stay behind, when this is cut short or two writers cross.
    async fn note_head(&self, head: Head) {
        if let Ok(body) = to_json(&head) {
            // The events are durable whether or not this is.
            let _ = self.store.put(&self.layout.head(), body).await;
        }
    }
}

#[async_trait]
impl EventLog for S3Log {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn head(&self) -> Result<u64, LogError> {
        let mut known = self.known.lock().await;
        self.catch_up(&mut known).await?;
        Ok(known.sequence)
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let mut known = self.known.lock().await;
        if known.sequence != expected_head || known.sequence == 0 {
            self.catch_up(&mut known).await?;
        }
        let conflict = |found| Err(LogError::Conflict { expected: expected_head, found });
        if known.sequence != expected_head {
            return conflict(known.sequence);
        }
        let stored = seal_batch(&self.key, self.id, known.sequence, known.hash, &batch)?;
        let Some(last) = stored.last() else { return Ok(Vec::new()) };
        let writer = Uuid::now_v7();
        let body = encode_batch(writer, &stored)?;
        let object = self.layout.batch(expected_head + 1);
        match create(&*self.store, &object, writer, &body).await.map_err(|error| self.fail(error))? {
            Created::Mine => {
                *known = Head { sequence: last.sequence, hash: last.hash };
                self.note_head(*known).await;
                open_events(&self.key, self.id, &stored)
            }
            Created::Other(_) => {
                self.catch_up(&mut known).await?;
                conflict(known.sequence)
            }
        }
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        let mut stored = self.read_stored(after).await?;
        stored.retain(|event| event.sequence > after);
        for (event, sequence) in stored.iter().zip(after + 1..) {
            if event.sequence != sequence {
                return Err(LogError::Damaged(Fault::Missing { sequence }.to_string()));
            }
        }
        open_events(&self.key, self.id, &stored)
    }

    /// A cut off end is noticed by the head that is kept apart, as far as that was written; whoever can remove batches
    /// and overwrite the head too leaves no trace here. Versioning or object lock on the bucket prevents that.
    async fn verify(&self) -> Result<Verification, LogError> {
        let written = self.written_head().await?;
        let stored = self.read_stored(0).await?;
        // Events behind the noted head are as they should be: the chain alone must hold for them.
        let noted = stored.iter().find(|event| event.sequence == written.sequence);
        let end = stored.last().map(|event| Head { sequence: event.sequence, hash: event.hash });
        let end = end.filter(|end| end.sequence >= written.sequence).unwrap_or(written);
        let verification = verify_chain(&stored, end.sequence, &end.hash);
        match noted {
            Some(event) if verification.fault.is_none() && event.hash != written.hash => {
                Ok(Verification { fault: Some(Fault::Changed { sequence: event.sequence }), ..verification })
            }
            _ => Ok(verification),
        }
    }
}

/// Refuses a store that ignores conditions: of two writes of one key at most one may succeed.
async fn probe(store: &dyn ObjectStore, layout: &Layout) -> Result<(), LogError> {
    let key = layout.probe();
    let fail = |error: StoreError| storage(layout, &error);
    for _ in 0..2 {
        let writer = Uuid::now_v7();
        let body = to_json(&Probe { writer })?;
        if let Created::Other(_) = create(store, &key, writer, &body).await.map_err(fail)? {
            return Ok(());
        }
    }
    Err(LogError::Storage {
        place: layout.prefix().into(),
        reason: "the store ignores `If-None-Match`, so that writers would overwrite each other".into(),
    })
}

fn read_format(layout: &Layout, body: &[u8]) -> Result<Uuid, LogError> {
    let place = layout.format();
    let damaged = |error| LogError::Damaged(format!("the object {place} cannot be read: {error}"));
    // A newer format may have other fields: its number is read first.
    let value: serde_json::Value = serde_json::from_slice(body).map_err(damaged)?;
    if let Some(found) = value["format"].as_u64().filter(|found| *found > u64::from(FORMAT)) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(LogError::Newer { place: layout.prefix().into(), found, known: FORMAT });
    }
    serde_json::from_value(value).map(|format: Format| format.writer).map_err(damaged)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, LogError> {
    serde_json::to_vec(value)
        .map_err(|error| LogError::Damaged(format!("an object cannot be written: {error}")))
}

fn storage(layout: &Layout, error: &StoreError) -> LogError {
    LogError::Storage { place: layout.prefix().into(), reason: error.to_string() }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
