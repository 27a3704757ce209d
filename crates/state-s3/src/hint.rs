//! The object that is overwritten behind appends: what a reader needs first, and how far the log went at least.

use std::sync::Arc;

use pve_state::{Head, Keyring, LogError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::layout::Layout;
use crate::store::ObjectStore;

/// The newest format of a log that this program writes and reads.
pub(crate) const FORMAT: u32 = 2;
/// The format of logs of before there were keyrings, which have none.
pub(crate) const WITHOUT_KEYRING: u32 = 1;

/// What [`Layout::head`] holds. It may be behind, since two writers may cross: it never says too much.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hint {
    pub(crate) format: u32,
    /// The log's id.
    pub(crate) log: Uuid,
    #[serde(flatten)]
    pub(crate) head: Head,
    /// The event that a snapshot goes up to; 0 for none.
    pub(crate) snapshot: u64,
    /// Whom the log is sealed for, so that a reader need not ask; it may be behind, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ring: Option<Keyring>,
}

/// Reads a JSON object of the log that has its format in it.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    layout: &Layout,
    place: &str,
    body: &[u8],
) -> Result<T, LogError> {
    let damaged = |error| LogError::Damaged(format!("the object {place} cannot be read: {error}"));
    // A newer format may have other fields: its number is read first.
    let value: serde_json::Value = serde_json::from_slice(body).map_err(damaged)?;
    if let Some(found) = value["format"].as_u64().filter(|found| *found > u64::from(FORMAT)) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        return Err(LogError::Newer { place: layout.name().into(), found, known: FORMAT });
    }
    serde_json::from_value(value).map_err(damaged)
}

/// Writes hints without anybody waiting for them: one at a time, and of those that come meanwhile only the last one.
/// What it was given last is still written when it is dropped, if the runtime goes on.
pub(crate) struct HintWriter {
    given: watch::Sender<(u64, Vec<u8>)>,
    /// The number of the last one that was tried.
    tried: watch::Receiver<u64>,
}

impl HintWriter {
    /// A writer of the object `key`. Must be called within a runtime.
    pub(crate) fn start(store: Arc<dyn ObjectStore>, key: String) -> HintWriter {
        let (given, mut hints) = watch::channel((0, Vec::new()));
        let (done, tried) = watch::channel(0);
        tokio::spawn(async move {
            while hints.changed().await.is_ok() {
                let (number, body) = hints.borrow_and_update().clone();
                // The events are durable whether or not this is.
                let _ = store.put(&key, body).await;
                let _ = done.send(number);
            }
        });
        HintWriter { given, tried }
    }

    /// Takes a hint in the place of one that is not on its way yet.
    pub(crate) fn give(&self, body: Vec<u8>) {
        self.given.send_modify(|(number, last)| {
            *number += 1;
            *last = body;
        });
    }

    /// Waits until the last one was tried.
    pub(crate) async fn settle(&self) {
        let last = self.given.borrow().0;
        // An error means that the runtime ends: there is nobody left to write it.
        let _ = self.tried.clone().wait_for(|tried| *tried >= last).await;
    }
}
