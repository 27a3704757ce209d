//! The log over an object store: one object a batch, each written once.
//!
//! A batch is named by its first sequence. The one that follows the events up to `head` can only be named `head + 1`,
//! and only one writer can make that object: this is the compare-and-swap of `append`.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use pve_model::event::Event;
use pve_model::state::State;
use pve_state::{
    Draft, EventLog, Fault, Key, LogError, StoredEvent, Verification, open_events, seal_batch, verify_chain,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::batch::{decode_batch, encode_batch};
use crate::conditional::{Created, create, list, read};
use crate::hint::{FORMAT, Head, Hint, read_json};
use crate::layout::Layout;
use crate::snapshot::{decode_snapshot, encode_snapshot};
use crate::store::{ObjectStore, StoreError};

/// Batches read at a time.
const READS: usize = 16;
/// Batches read one after the other before the rest is listed.
const STEPS: usize = 4;

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

/// A log in an object store.
pub struct S3Log {
    id: Uuid,
    key: Key,
    layout: Layout,
    store: Arc<dyn ObjectStore>,
    known: Mutex<Known>,
}

/// What this process knows of the log.
#[derive(Default)]
struct Known {
    /// As far as it is known. It may have become longer since, never shorter or other.
    head: Head,
    /// The hint that was found.
    noted: Head,
    /// The event that a snapshot goes up to; 0 for none.
    snapshot: u64,
    /// Whether the store was seen to keep to conditions, and no batch to be behind a gap.
    appendable: bool,
}

impl Known {
    /// An end that the log has reached or passed.
    fn bound(&self) -> Head {
        if self.noted.sequence > self.head.sequence { self.noted } else { self.head }
    }
}

impl S3Log {
    /// Opens the log with this layout, or makes it. One request, when the log was written to before.
    ///
    /// # Errors
    /// When the store cannot be used, ignores conditions (then nothing is made), or has a log of a newer program.
    pub async fn open(store: Arc<dyn ObjectStore>, layout: Layout, key: Key) -> Result<S3Log, LogError> {
        if let Some(hint) = read_hint(&*store, &layout).await? {
            let (noted, snapshot) = (hint.head, hint.snapshot);
            let known = Mutex::new(Known { noted, snapshot, ..Known::default() });
            return Ok(S3Log { id: hint.log, key, layout, store, known });
        }
        let fail = |error: StoreError| storage(&layout, &error);
        let place = layout.format();
        let read_id = |body: &[u8]| read_json(&layout, &place, body).map(|format: Format| format.writer);
        let id = match read(&*store, &place).await.map_err(fail)? {
            Some(body) => read_id(&body)?,
            None => {
                probe(&*store, &layout).await?;
                let id = Uuid::now_v7();
                let body = to_json(&Format { format: FORMAT, writer: id })?;
                match create(&*store, &place, id, &body).await.map_err(fail)? {
                    Created::Mine => id,
                    Created::Other(body) => read_id(&body)?,
                }
            }
        };
        Ok(S3Log { id, key, layout, store, known: Mutex::default() })
    }

    fn fail(&self, error: StoreError) -> LogError {
        storage(&self.layout, &error)
    }

    /// Brings `known` up to date.
    async fn catch_up(&self, known: &mut Known, thorough: bool) -> Result<(), LogError> {
        let tail = self.tail(known.head, known.bound(), thorough).await?;
        known.head = tail.last().map_or(known.head, Head::of);
        Ok(())
    }

    /// The events after `from`, which is the end of a batch. The end of the log is where the store says that there is
    /// no next batch: a listing only says what can be read at once. Without a lower bound of the end, a listing shows
    /// whether there is something behind a gap.
    async fn tail(&self, from: Head, bound: Head, thorough: bool) -> Result<Vec<StoredEvent>, LogError> {
        let mut events = Vec::new();
        let mut end = from;
        let mut steps = 0;
        loop {
            let next = self.layout.batch(end.sequence + 1);
            if let Some(body) = read(&*self.store, &next).await.map_err(|error| self.fail(error))? {
                take_in(&mut events, &mut end, decode_batch(&next, &body)?)?;
                steps += 1;
                if steps == STEPS {
                    let after = self.layout.batch(end.sequence);
                    for batch in self.read_listed(self.list(&after).await?).await? {
                        take_in(&mut events, &mut end, batch)?;
                    }
                }
            } else if end.sequence < bound.sequence {
                return Err(self.cut_off(end, bound).await?);
            } else if !thorough || !self.goes_on(end).await? {
                return Ok(events);
            } else if read(&*self.store, &next).await.map_err(|error| self.fail(error))?.is_none() {
                // Batches are written in order: what is not there now was removed.
                return Err(self.cut_off(end, bound).await?);
            }
        }
    }

    async fn goes_on(&self, end: Head) -> Result<bool, LogError> {
        Ok(!self.list(&self.layout.batch(end.sequence + 1)).await?.is_empty())
    }

    /// What is wrong with a log that ends before the event that was noted.
    async fn cut_off(&self, end: Head, noted: Head) -> Result<LogError, LogError> {
        let beyond = self.list(&self.layout.batch(end.sequence + 1)).await?;
        let Some(first) = beyond.iter().find_map(|key| self.layout.first_of(key)) else {
            let fault = Fault::Truncated { last: end.sequence, written: noted.sequence };
            return Ok(LogError::Damaged(fault.to_string()));
        };
        Ok(LogError::Damaged(format!(
            "events {} to {} are missing: their objects were removed, and the log goes on at event {first}",
            end.sequence + 1,
            first - 1,
        )))
    }

    /// Keys of batches behind the key `after`.
    async fn list(&self, after: &str) -> Result<Vec<String>, LogError> {
        let keys = list(&*self.store, &self.layout.batches(), after).await;
        let mut keys = keys.map_err(|error| self.fail(error))?;
        keys.retain(|key| self.layout.first_of(key).is_some());
        Ok(keys)
    }

    async fn read_listed(&self, keys: Vec<String>) -> Result<Vec<Vec<StoredEvent>>, LogError> {
        let reads = keys.into_iter().map(|key| async move {
            let body = read(&*self.store, &key).await.map_err(|error| self.fail(error))?;
            let body = body.ok_or_else(|| LogError::Damaged(format!("the object {key} was removed")))?;
            decode_batch(&key, &body)
        });
        futures::stream::iter(reads).buffered(READS).try_collect().await
    }

    /// The stored events from the batch that has the event after `after`, as they are.
    async fn read_stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError> {
        let mut keys = self.list("").await?;
        let begins =
            |key: &String| self.layout.first_of(key).is_some_and(|first| first <= after.saturating_add(1));
        let from = keys.partition_point(begins).saturating_sub(1);
        let read = self.read_listed(keys.split_off(from)).await?;
        let mut stored: Vec<StoredEvent> = read.into_iter().flatten().collect();
        if let Some(end) = stored.last().map(Head::of) {
            stored.extend(self.tail(end, end, false).await?);
        }
        Ok(stored)
    }

    /// Makes sure, once, that the store keeps to conditions and that nothing is behind the end of the log.
    async fn prepare(&self, known: &mut Known) -> Result<(), LogError> {
        if !known.appendable {
            probe(&*self.store, &self.layout).await?;
            self.catch_up(known, true).await?;
            known.appendable = true;
        }
        Ok(())
    }

    async fn note(&self, known: &Known) {
        let hint = Hint { format: FORMAT, log: self.id, head: known.head, snapshot: known.snapshot };
        if let Ok(body) = to_json(&hint) {
            // The events are durable whether or not this is.
            let _ = self.store.put(&self.layout.head(), body).await;
        }
    }

    /// The newest snapshot that can be used.
    async fn snapshot(&self, hinted: u64) -> Result<Option<(State, Head)>, LogError> {
        let read_one = |key: String| async move {
            let body = read(&*self.store, &key).await.map_err(|error| self.fail(error))?;
            Ok::<_, LogError>(body.and_then(|body| decode_snapshot(&self.key, self.id, &body)))
        };
        if hinted > 0
            && let Some(found) = read_one(self.layout.snapshot(hinted)).await?
        {
            return Ok(Some(found));
        }
        let keys = list(&*self.store, &self.layout.snapshots(), "").await;
        for key in keys.map_err(|error| self.fail(error))?.into_iter().rev() {
            if let Some(found) = read_one(key).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Takes in the next batch, which must continue the chain.
fn take_in(events: &mut Vec<StoredEvent>, end: &mut Head, batch: Vec<StoredEvent>) -> Result<(), LogError> {
    for event in batch {
        let fault = if event.sequence != end.sequence + 1 {
            Fault::Missing { sequence: end.sequence + 1 }
        } else if event.hash != event.expected_hash(&end.hash) {
            Fault::Changed { sequence: event.sequence }
        } else {
            *end = Head::of(&event);
            events.push(event);
            continue;
        };
        return Err(LogError::Damaged(fault.to_string()));
    }
    Ok(())
}

async fn read_hint(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Hint>, LogError> {
    let place = layout.head();
    let body = read(store, &place).await.map_err(|error| storage(layout, &error))?;
    body.map(|body| read_json(layout, &place, &body)).transpose()
}

#[async_trait]
impl EventLog for S3Log {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn head(&self) -> Result<u64, LogError> {
        let mut known = self.known.lock().await;
        self.catch_up(&mut known, false).await?;
        Ok(known.head.sequence)
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let mut known = self.known.lock().await;
        if known.head.sequence != expected_head || known.head.sequence == 0 {
            self.catch_up(&mut known, false).await?;
        }
        self.prepare(&mut known).await?;
        let conflict = |found| Err(LogError::Conflict { expected: expected_head, found });
        if known.head.sequence != expected_head {
            return conflict(known.head.sequence);
        }
        let stored = seal_batch(&self.key, self.id, known.head.sequence, known.head.hash, &batch)?;
        let Some(last) = stored.last() else { return Ok(Vec::new()) };
        let writer = Uuid::now_v7();
        let body = encode_batch(writer, &stored)?;
        let object = self.layout.batch(expected_head + 1);
        match create(&*self.store, &object, writer, &body).await.map_err(|error| self.fail(error))? {
            Created::Mine => {
                known.head = Head::of(last);
                self.note(&known).await;
                open_events(&self.key, self.id, &stored)
            }
            Created::Other(_) => {
                self.catch_up(&mut known, false).await?;
                conflict(known.head.sequence)
            }
        }
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        let bound = self.known.lock().await.bound();
        let mut stored = match after {
            0 => self.tail(Head::default(), bound, bound.sequence == 0).await?,
            _ => self.read_stored(after).await?,
        };
        stored.retain(|event| event.sequence > after);
        for (event, sequence) in stored.iter().zip(after + 1..) {
            if event.sequence != sequence {
                return Err(LogError::Damaged(Fault::Missing { sequence }.to_string()));
            }
        }
        open_events(&self.key, self.id, &stored)
    }

    /// At most three requests, with the one that opened the log, when a snapshot has everything.
    async fn state(&self) -> Result<State, LogError> {
        let mut known = self.known.lock().await;
        let (mut state, from) = self.snapshot(known.snapshot).await?.unwrap_or_default();
        let stored = self.tail(from, known.bound(), known.bound().sequence == 0).await?;
        for event in open_events(&self.key, self.id, &stored)? {
            state.apply(&event)?;
        }
        known.head = stored.last().map_or(from, Head::of);
        known.snapshot = from.sequence;
        Ok(state)
    }

    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        let mut known = self.known.lock().await;
        // The hash of another end is not known here.
        if state.sequence != known.head.sequence || state.sequence <= known.snapshot {
            return Ok(());
        }
        let writer = Uuid::now_v7();
        let body = encode_snapshot(&self.key, self.id, writer, &known.head, state)?;
        let object = self.layout.snapshot(state.sequence);
        create(&*self.store, &object, writer, &body).await.map_err(|error| self.fail(error))?;
        known.snapshot = state.sequence;
        self.note(&known).await;
        Ok(())
    }

    /// A cut off end is noticed by the head that is kept apart, as far as that was written; whoever can remove batches
    /// and overwrite the head too leaves no trace here. Versioning or object lock on the bucket prevents that.
    async fn verify(&self) -> Result<Verification, LogError> {
        let written = read_hint(&*self.store, &self.layout).await?.map_or(Head::default(), |hint| hint.head);
        let stored = self.read_stored(0).await?;
        // Events behind the noted head are as they should be: the chain alone must hold for them.
        let noted = stored.iter().find(|event| event.sequence == written.sequence);
        let end = stored.last().map(Head::of);
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

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod snapshot_tests;
