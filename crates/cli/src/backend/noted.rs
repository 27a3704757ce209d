//! A log beside which every append keeps how far it went.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pve_model::event::Event;
use pve_state::{Draft, EventLog, Layer, LogError};

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
impl Layer for NotedLog {
    fn inner(&self) -> &dyn EventLog {
        &*self.log
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        let events = self.log.append(expected_head, batch).await?;
        self.note().await;
        Ok(events)
    }
}
