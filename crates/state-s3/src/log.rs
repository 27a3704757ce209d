//! The log over an object store: one object a batch, each written once.
//!
//! A batch is named by its first sequence. The one that follows the events up to `head` can only be named `head + 1`,
//! and only one writer can make that object: this is the compare-and-swap of `append`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use pve_model::event::{Actor, Event};
use pve_model::state::State;
use pve_state::{
    Draft, EventLog, Fault, Head, Key, KeyError, Keyring, KeyringChange, KnownKeys, LogError, MovableLog,
    StoredEvent, Verification, check_following, verify_chain,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::batch::encode_batch;
use crate::conditional::{Created, create, read};
use crate::hint::{FORMAT, Hint, HintWriter, WITHOUT_KEYRING, read_json};
use crate::layout::Layout;
use crate::lease::S3Lease;
use crate::naming::{Naming, to_json};
use crate::probe::Probe;
use crate::snapshot::{Last, Snapshot, encode_snapshot, prune_snapshots};
use crate::store::{ObjectStore, StoreError};

/// The kind of the event that follows every change of the keyring.
const KEYS_CHANGED: &str = "keys_changed";

/// A log in an object store.
pub struct S3Log {
    naming: Naming,
    layout: Layout,
    store: Arc<dyn ObjectStore>,
    probe: Arc<Probe>,
    hints: HintWriter,
    known: Mutex<Known>,
}

/// What this process knows of the log.
#[derive(Default)]
struct Known {
    /// As far as it is known. It may have become longer since, never shorter or other.
    head: Head,
    /// Hashes of the last events up to there, as far as they were read or written.
    hashes: BTreeMap<u64, [u8; 32]>,
    /// The event at the head, if it was read or written.
    last: Option<Last>,
    /// The hint that was found.
    noted: Head,
    /// The event that a snapshot goes up to; 0 for none.
    snapshot: u64,
    /// Whether no batch was seen to be behind a gap, in a store that keeps to conditions.
    appendable: bool,
    /// Whether the keyring is the newest one. Who changes it appends an event, so that others' next append fails.
    sealable: bool,
}

impl Known {
    /// Takes in what follows the head.
    fn take_in(&mut self, events: &[StoredEvent]) {
        if let Some(event) = events.last() {
            let before = events.iter().rev().nth(1).map_or(self.head.hash, |event| event.hash);
            self.last = Some(Last { before, event: event.clone() });
        }
        self.hashes.extend(events.iter().map(|event| (event.sequence, event.hash)));
        self.head = events.last().map_or(self.head, Head::of);
    }

    /// An end that the log has reached or passed.
    fn bound(&self) -> Head {
        if self.noted.sequence > self.head.sequence { self.noted } else { self.head }
    }
}

impl S3Log {
    /// Opens the log with this layout. One request, when the log was written to before. Nothing is written: a log is
    /// made with its first event.
    ///
    /// # Errors
    /// When the store cannot be used, or has a log of a newer program.
    pub async fn open(store: Arc<dyn ObjectStore>, layout: Layout, key: Key) -> Result<S3Log, LogError> {
        S3Log::open_as(store, layout, key, Uuid::now_v7()).await
    }

    /// The same; where there is no log yet it is made with this id.
    ///
    /// # Errors
    /// As [`S3Log::open`].
    pub async fn open_as(
        store: Arc<dyn ObjectStore>,
        layout: Layout,
        key: Key,
        id: Uuid,
    ) -> Result<S3Log, LogError> {
        let hint = read_hint(&*store, &layout).await?;
        let naming = Naming::find(Arc::clone(&store), layout.clone(), key, hint.as_ref(), id).await?;
        let known = hint.map_or_else(Known::default, |hint| Known {
            noted: hint.head,
            snapshot: hint.snapshot,
            ..Known::default()
        });
        let probe = Arc::new(Probe::new(Arc::clone(&store), layout.clone()));
        let hints = HintWriter::start(Arc::clone(&store), layout.head());
        Ok(S3Log { naming, layout, store, probe, hints, known: Mutex::new(known) })
    }

    /// The lease of the log.
    pub fn lease(&self) -> S3Lease {
        S3Lease::new(Arc::clone(&self.store), self.layout.clone(), Arc::clone(&self.probe))
    }

    fn fail(&self, error: StoreError) -> LogError {
        storage(&self.layout, &error)
    }

    /// Brings `known` up to date.
    async fn catch_up(&self, known: &mut Known, thorough: bool) -> Result<(), LogError> {
        let tail = self.tail(known.head, known.bound(), thorough).await?;
        known.take_in(&tail);
        // What is sealed after that must be sealed with the keys that it tells of.
        known.sealable &= !tail.iter().any(|event| event.kind == KEYS_CHANGED);
        Ok(())
    }

    /// Makes sure, once, that the store keeps to conditions, that nothing is behind the end of the log, and that this end is
    /// there.
    async fn prepare(&self, known: &mut Known) -> Result<(), LogError> {
        if !known.appendable {
            self.probe.pass().await?;
            self.catch_up(known, true).await?;
            self.check_newest(known.head).await?;
            known.appendable = true;
        }
        Ok(())
    }

    /// Makes sure, once, that what is appended is sealed with the newest keys. The first event brings a name and keys.
    async fn prepare_seal(&self, known: &mut Known, actor: &Actor) -> Result<(), LogError> {
        if known.head.sequence == 0 {
            self.naming.name(FORMAT).await?;
            return self.naming.first_ring(&format!("{}@{}", actor.user, actor.host)).await;
        }
        if !known.sealable {
            self.naming.complete().await?;
            self.naming.refresh().await?;
            known.sealable = true;
        }
        Ok(())
    }

    /// Writes the next batch.
    async fn write_batch(&self, known: &mut Known, stored: &[StoredEvent]) -> Result<(), LogError> {
        if stored.is_empty() {
            return Ok(());
        }
        let expected = known.head.sequence;
        let writer = Uuid::now_v7();
        let body = encode_batch(writer, stored)?;
        let object = self.layout.batch(expected + 1);
        match create(&*self.store, &object, writer, &body).await.map_err(|error| self.fail(error))? {
            Created::Mine => {
                known.take_in(stored);
                self.note(known);
                Ok(())
            }
            Created::Other(_) => {
                self.catch_up(known, false).await?;
                Err(LogError::Conflict { expected, found: known.head.sequence })
            }
        }
    }

    /// Tells readers, behind the append, how far the log goes.
    fn note(&self, known: &Known) {
        let seal = self.naming.seal();
        let hint = Hint {
            format: self.naming.format(),
            log: seal.log(),
            head: known.head,
            snapshot: known.snapshot,
            ring: seal.ring().cloned(),
        };
        if let Ok(body) = to_json(&hint) {
            self.hints.give(body);
        }
    }
}

async fn read_hint(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Hint>, LogError> {
    let place = layout.head();
    let body = read(store, &place).await.map_err(|error| storage(layout, &error))?;
    body.map(|body| read_json(layout, &place, &body)).transpose()
}

#[async_trait]
impl EventLog for S3Log {
    fn id(&self) -> Uuid {
        self.naming.seal().log()
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
        let Some(first) = batch.first() else { return Ok(Vec::new()) };
        self.prepare_seal(&mut known, &first.actor).await?;
        let end = known.head;
        let seal = self.naming.seal();
        let sealed = seal.seal_batch(end, &batch);
        // Somebody may let this key in later.
        known.sealable &= sealed.is_ok();
        let stored = sealed?;
        self.write_batch(&mut known, &stored).await?;
        seal.open_events(end.hash, &stored)
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        let bound = self.known.lock().await.bound();
        if after == 0 {
            let stored = self.tail(Head::default(), bound, bound.sequence == 0).await?;
            return self.naming.open_events(0, Head::default().hash, &stored).await;
        }
        let mut stored = self.read_stored(after).await?;
        let before = stored.iter().find(|event| event.sequence == after).map(|event| event.hash);
        stored.retain(|event| event.sequence > after);
        for (event, sequence) in stored.iter().zip(after + 1..) {
            if event.sequence != sequence {
                return Err(LogError::Damaged(Fault::Missing { sequence }.to_string()));
            }
        }
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let before =
            before.ok_or_else(|| LogError::Damaged(Fault::Missing { sequence: after }.to_string()))?;
        self.naming.open_events(0, before, &stored).await
    }

    /// At most three requests, with the one that opened the log, when a snapshot has everything.
    async fn state(&self) -> Result<State, LogError> {
        let mut known = self.known.lock().await;
        if known.bound().sequence > 0 {
            self.naming.complete().await?;
        }
        let Snapshot { mut state, head: from, key } =
            self.snapshot(known.snapshot).await?.unwrap_or_default();
        let stored = self.tail(from, known.bound(), known.bound().sequence == 0).await?;
        for event in self.naming.open_events(key, from.hash, &stored).await? {
            state.apply(&event)?;
        }
        known.head = from;
        known.hashes.insert(from.sequence, from.hash);
        known.take_in(&stored);
        known.snapshot = from.sequence;
        Ok(state)
    }

    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        let mut known = self.known.lock().await;
        // The hash of another end is not known here.
        if state.sequence != known.head.sequence || state.sequence <= known.snapshot {
            return Ok(());
        }
        let Some(last) = known.last.as_ref().filter(|last| Head::of(&last.event) == known.head) else {
            return Ok(());
        };
        let writer = Uuid::now_v7();
        let body = encode_snapshot(&self.naming.seal(), writer, last, state)?;
        let object = self.layout.snapshot(state.sequence);
        create(&*self.store, &object, writer, &body).await.map_err(|error| self.fail(error))?;
        known.snapshot = state.sequence;
        self.note(&known);
        futures::join!(self.settle(), prune_snapshots(&*self.store, &self.layout, state.sequence));
        Ok(())
    }

    async fn settle(&self) {
        self.hints.settle().await;
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        Ok(self.known.lock().await.head)
    }

    async fn known_hash(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        Ok(self.known.lock().await.hashes.get(&sequence).copied())
    }

    async fn known_keys(&self, count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        Ok(self.naming.seal().known_keys(count))
    }

    async fn keyring_revision(&self, hoped: u64) -> Result<u64, LogError> {
        let known = || self.naming.seal().ring().map_or(0, |ring| ring.revision);
        if known() < hoped {
            self.naming.refresh().await?;
        }
        Ok(known())
    }

    /// A cut off end is noticed by the head that is kept apart, as far as that was written; whoever can remove batches
    /// and overwrite the head too leaves no trace here. Versioning or object lock on the bucket prevents that.
    async fn verify(&self) -> Result<Verification, LogError> {
        self.settle().await;
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
            None if stored.is_empty() => Ok(verification),
            _ if verification.fault.is_none() => {
                Ok(Verification { fault: self.fault_beside().await?, ..verification })
            }
            _ => Ok(verification),
        }
    }
}

#[async_trait]
impl MovableLog for S3Log {
    async fn stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError> {
        let mut stored = self.read_stored(after).await?;
        stored.retain(|event| event.sequence > after);
        Ok(stored)
    }

    async fn adopt(&self, events: &[StoredEvent], rings: &[Keyring]) -> Result<(), LogError> {
        let mut known = self.known.lock().await;
        self.catch_up(&mut known, false).await?;
        self.prepare(&mut known).await?;
        check_following(&mut known.head.clone(), events)?;
        self.naming.name(if rings.is_empty() { WITHOUT_KEYRING } else { FORMAT }).await?;
        self.naming.adopt(rings).await?;
        self.write_batch(&mut known, events).await
    }

    async fn keyring(&self) -> Result<Option<Keyring>, LogError> {
        self.naming.refresh().await?;
        Ok(self.naming.seal().ring().cloned())
    }

    async fn keyrings(&self) -> Result<Vec<Keyring>, LogError> {
        self.naming.rings().await
    }

    async fn change_keyring(&self, name: &str, change: KeyringChange) -> Result<Keyring, LogError> {
        let mut known = self.known.lock().await;
        self.catch_up(&mut known, false).await?;
        self.prepare(&mut known).await?;
        self.naming.complete().await?;
        self.naming.refresh().await?;
        let next = self.naming.seal().next_ring(name, known.head.sequence > 0, change)?;
        if !self.naming.write(&next).await? {
            return Err(KeyError::Overtaken.into());
        }
        self.note(&known);
        Ok(next)
    }
}

fn storage(layout: &Layout, error: &StoreError) -> LogError {
    LogError::Storage { place: layout.name().into(), reason: error.to_string() }
}

#[path = "log_reading.rs"]
mod reading;

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod snapshot_tests;

#[cfg(test)]
#[path = "sealing_tests.rs"]
mod sealing_tests;
