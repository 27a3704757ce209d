//! A log beside which every append keeps how far it went.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pve_model::event::Event;
use pve_model::state::State;
use pve_state::{Draft, EventLog, Head, KnownKeys, LogError, Verification};
use uuid::Uuid;

use super::marker::Marker;
use super::place::{Place, path};
use crate::failure::Failure;
use crate::project::Project;

/// Whether this process told that a marker cannot be written.
static TOLD: AtomicBool = AtomicBool::new(false);

/// A log with a marker beside it that follows every append.
pub(super) struct NotedLog {
    log: Arc<dyn EventLog>,
    place: Place,
    path: PathBuf,
}

impl NotedLog {
    pub(super) fn new(project: &Project, log: Arc<dyn EventLog>) -> Result<NotedLog, Failure> {
        Ok(NotedLog { log, place: Place::of(project, project.backend()?)?, path: path(project) })
    }

    /// The marker only makes noticing possible: an append does not fail for it.
    pub(super) async fn note(&self) {
        if let Ok(end) = self.log.known_end().await
            && let Ok(keyring) = self.log.keyring_revision(0).await
            && end.sequence > 0
        {
            let keys = self.log.known_keys(None).await.ok().flatten();
            let marker = Marker::new(self.place.clone(), self.log.id(), end, keyring);
            let written = marker.with_keys(keys).write(&self.path);
            if let Err(error) = written
                && !TOLD.swap(true, Ordering::SeqCst)
            {
                eprintln!(
                    "Note: {} cannot be written ({error}): a log that is emptied or replaced is not noticed here.",
                    self.path.display()
                );
            }
        }
    }
}

#[async_trait]
impl EventLog for NotedLog {
    fn id(&self) -> Uuid {
        self.log.id()
    }

    async fn head(&self) -> Result<u64, LogError> {
        self.log.head().await
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let events = self.log.append(expected_head, batch).await?;
        self.note().await;
        Ok(events)
    }

    async fn keep(&self, batch: Vec<Draft>) {
        self.log.keep(batch).await;
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        self.log.read(after).await
    }

    async fn state(&self) -> Result<State, LogError> {
        self.log.state().await
    }

    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        self.log.save_snapshot(state).await
    }

    async fn settle(&self) {
        self.log.settle().await;
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        self.log.known_end().await
    }

    async fn known_hash(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        self.log.known_hash(sequence).await
    }

    async fn keyring_revision(&self, hoped: u64) -> Result<u64, LogError> {
        self.log.keyring_revision(hoped).await
    }

    async fn known_keys(&self, count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        self.log.known_keys(count).await
    }

    async fn verify(&self) -> Result<Verification, LogError> {
        self.log.verify().await
    }
}
