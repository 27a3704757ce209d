//! An action that nobody follows.

use async_trait::async_trait;
use pve_executor::ports::{ActionProgress, ProviderError};

/// Nobody listens: where something is only looked into.
pub(crate) struct Silent;

#[async_trait]
impl ActionProgress for Silent {
    async fn task_submitted(&self, _: &str, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn step_completed(&self, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    fn status(&self, _: &str) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}
