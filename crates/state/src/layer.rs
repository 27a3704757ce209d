//! Logs around other logs.

use async_trait::async_trait;
use pve_model::event::Event;
use pve_model::state::State;
use uuid::Uuid;

use crate::chain::Verification;
use crate::log::{Draft, EventLog, Head, LogError};
use crate::seal::KnownKeys;

/// A log around another one: an [`EventLog`] of which the other one does all that is not done here. What the log is, and
/// what is known of it without asking, is the other one's to say.
#[async_trait]
pub trait Layer: Send + Sync {
    /// The log that this one is around.
    fn inner(&self) -> &dyn EventLog;

    /// As [`EventLog::head`].
    ///
    /// # Errors
    /// As there.
    async fn head(&self) -> Result<u64, LogError> {
        self.inner().head().await
    }

    /// As [`EventLog::append`].
    ///
    /// # Errors
    /// As there.
    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        self.inner().append(expected_head, batch).await
    }

    /// As [`EventLog::keep`].
    async fn keep(&self, batch: Vec<Draft>) {
        self.inner().keep(batch).await;
    }

    /// As [`EventLog::read`].
    ///
    /// # Errors
    /// As there.
    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        self.inner().read(after).await
    }

    /// As [`EventLog::state`].
    ///
    /// # Errors
    /// As there.
    async fn state(&self) -> Result<State, LogError> {
        self.inner().state().await
    }

    /// As [`EventLog::save_snapshot`].
    ///
    /// # Errors
    /// As there.
    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        self.inner().save_snapshot(state).await
    }
}

#[async_trait]
impl<L: Layer> EventLog for L {
    fn id(&self) -> Uuid {
        self.inner().id()
    }

    async fn head(&self) -> Result<u64, LogError> {
        Layer::head(self).await
    }

    async fn append(&self, expected_head: u64, batch: Vec<Draft>) -> Result<Vec<Event>, LogError> {
        Layer::append(self, expected_head, batch).await
    }

    async fn keep(&self, batch: Vec<Draft>) {
        Layer::keep(self, batch).await;
    }

    async fn read(&self, after: u64) -> Result<Vec<Event>, LogError> {
        Layer::read(self, after).await
    }

    async fn state(&self) -> Result<State, LogError> {
        Layer::state(self).await
    }

    async fn save_snapshot(&self, state: &State) -> Result<(), LogError> {
        Layer::save_snapshot(self, state).await
    }

    async fn settle(&self) {
        self.inner().settle().await;
    }

    async fn known_end(&self) -> Result<Head, LogError> {
        self.inner().known_end().await
    }

    async fn known_hash(&self, sequence: u64) -> Result<Option<[u8; 32]>, LogError> {
        self.inner().known_hash(sequence).await
    }

    async fn keyring_revision(&self, hoped: u64) -> Result<u64, LogError> {
        self.inner().keyring_revision(hoped).await
    }

    async fn known_keys(&self, count: Option<usize>) -> Result<Option<KnownKeys>, LogError> {
        self.inner().known_keys(count).await
    }

    async fn verify(&self) -> Result<Verification, LogError> {
        self.inner().verify().await
    }
}
