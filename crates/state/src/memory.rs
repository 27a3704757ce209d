//! A log in memory, for tests and as the measure of the others.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pve_model::event::Event;
use uuid::Uuid;

use crate::chain::{ORIGIN, StoredEvent, Verification, check_following, verify_chain};
use crate::key::Key;
use crate::keyring::{Keyring, KeyringChange};
use crate::log::{Draft, EventLog, Head, LogError, MovableLog};
use crate::seal::{KnownKeys, Seal};

/// A log that is gone with the process.
pub struct MemoryLog {
    seal: Mutex<Arc<Seal>>,
    rings: Mutex<Vec<Keyring>>,
    events: Mutex<Vec<StoredEvent>>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(key: Key) -> MemoryLog {
        MemoryLog::named(Uuid::now_v7(), key)
    }

    /// An empty log with this id.
    pub fn named(id: Uuid, key: Key) -> MemoryLog {
        let seal = Mutex::new(Arc::new(Seal::new(id, key, None)));
        MemoryLog { seal, rings: Mutex::default(), events: Mutex::default() }
    }

    fn seal(&self) -> Arc<Seal> {
        Arc::clone(&self.seal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, ring: Keyring) -> Result<(), LogError> {
        let seal = Arc::new(self.seal().with_ring(ring.clone())?);
        self.rings().push(ring);
        *self.seal.lock().unwrap_or_else(PoisonError::into_inner) = seal;
        Ok(())
    }

    fn rings(&self) -> std::sync::MutexGuard<'_, Vec<Keyring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Vec<StoredEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn id(&self) -> Uuid {
        self.seal().log()
    }

    async fn head(&self) -> Result<u64, LogError> {
        Ok(self.events().len() as u64)
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let mut events = self.events();
        let found = events.len() as u64;
        if found != expected_head {
            return Err(LogError::Conflict { expected: expected_head, found });
        }
        let end = events.last().map_or(Head::default(), Head::of);
        if let (0, None, Some(first)) = (found, self.seal().ring(), batch.first()) {
            self.keep(self.seal().first_ring(&first.actor.user, false)?)?;
        }
        let stored = self.seal().seal_batch(end, &batch)?;
        events.extend(stored.clone());
        self.seal().open_events(end.hash, &stored)
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        let events = self.events();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(events.len());
        let before = events[..from].last().map_or(ORIGIN, |event| event.hash);
        self.seal().open_events(before, &events[from..])
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        Ok(self.events().last().map_or(Head::default(), Head::of))
    }

    async fn known_keys(&self, count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        Ok(self.seal().known_keys(count))
    }

    async fn verify(&self) -> Result<Verification, LogError> {
        let events = self.events();
        let hash = events.last().map_or(ORIGIN, |event| event.hash);
        Ok(verify_chain(&events, events.len() as u64, &hash))
    }
}

#[async_trait]
impl MovableLog for MemoryLog {
    async fn stored(&self, after: u64) -> Result<Vec<StoredEvent>, LogError> {
        let events = self.events();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(events.len());
        Ok(events[from..].to_vec())
    }

    async fn adopt(&self, events: &[StoredEvent], rings: &[Keyring]) -> Result<(), LogError> {
        let mut here = self.events();
        let mut end = here.last().map_or(Head::default(), Head::of);
        check_following(&mut end, events)?;
        here.extend_from_slice(events);
        let known = self.rings().len();
        rings.iter().skip(known).try_for_each(|ring| self.keep(ring.clone()))
    }

    async fn keyrings(&self) -> Result<Vec<Keyring>, LogError> {
        Ok(self.rings().clone())
    }

    async fn keyring(&self) -> Result<Option<Keyring>, LogError> {
        Ok(self.seal().ring().cloned())
    }

    async fn change_keyring(&self, name: &str, change: KeyringChange) -> Result<Keyring, LogError> {
        let next = self.seal().next_ring(name, !self.events().is_empty(), change)?;
        self.keep(next.clone())?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_log_is_a_log() {
        crate::conformance::run(|| async { Arc::new(MemoryLog::new(Key::from_bytes([7; 32]))) }).await;
    }
}
