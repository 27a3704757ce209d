//! Whether a store keeps to conditions: everything that is written here relies on it, so it is asked first.

use std::sync::Arc;

use pve_state::LogError;
use serde::Serialize;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::conditional::write_if;
use crate::layout::Layout;
use crate::naming::to_json;
use crate::store::{ObjectStore, StoreError};

/// A version that no object has: all ETags are of content, and none is known for this one.
const NO_VERSION: &str = "00000000000000000000000000000000";

/// What [`Layout::probe`] holds.
#[derive(Serialize)]
struct Body {
    writer: Uuid,
}

/// The question, which is asked once in a process.
pub(crate) struct Probe {
    store: Arc<dyn ObjectStore>,
    layout: Layout,
    passed: OnceCell<()>,
}

impl Probe {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, layout: Layout) -> Probe {
        Probe { store, layout, passed: OnceCell::new() }
    }

    /// Refuses a store that ignores one of the two conditions: of two writes of one key at most one may succeed, and
    /// none over a version that is not there.
    ///
    /// # Errors
    /// When it ignores them, or cannot be asked.
    pub(crate) async fn pass(&self) -> Result<(), LogError> {
        self.passed.get_or_try_init(|| self.ask()).await.copied()
    }

    async fn ask(&self) -> Result<(), LogError> {
        if self.writes(None).await? && self.writes(None).await? {
            return Err(self.ignored("If-None-Match", "writers would overwrite each other's events"));
        }
        if self.writes(Some(NO_VERSION)).await? {
            return Err(self.ignored("If-Match", "runs would overwrite each other's lease"));
        }
        Ok(())
    }

    async fn writes(&self, version: Option<&str>) -> Result<bool, LogError> {
        let body = to_json(&Body { writer: Uuid::now_v7() })?;
        let written = write_if(&*self.store, &self.layout.probe(), version, &body).await;
        written.map(|version| version.is_some()).map_err(|error: StoreError| self.fail(error.to_string()))
    }

    fn ignored(&self, condition: &str, so: &str) -> LogError {
        self.fail(format!("the store ignores `{condition}`, so that {so}"))
    }

    fn fail(&self, reason: String) -> LogError {
        LogError::Storage { place: self.layout.name().into(), reason }
    }
}
