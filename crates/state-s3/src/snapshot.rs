//! Snapshots of the projection: objects that are written once. A cache: one that cannot be used is passed over.
//!
//! A snapshot brings the event that it ends with. That one must open with the keyring: a snapshot by keys that no event
//! was ever sealed with is of somebody who can write to the store and has no key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pve_model::state::{FORM, State};
use pve_state::{Head, LogError, Seal, StoredEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::batch::{decode_batch, encode_batch};
use crate::layout::Layout;
use crate::store::ObjectStore;

/// Snapshots that are kept: as many as a reader tries before it reads the log instead.
pub(crate) const KEPT: usize = 3;
/// Snapshots that are removed at a time. Only a store from before they were removed has more.
const REMOVED: usize = 16;

/// What a snapshot says.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// The end of the log that it goes up to.
    pub(crate) head: Head,
    /// The number of the data key that it is sealed with.
    pub(crate) key: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    writer: Uuid,
    head: Head,
    /// The hash of the event before the last one.
    before: [u8; 32],
    /// The last event, as a batch of it alone.
    last: serde_json::Value,
    sealed: String,
}

/// The last event of a log.
#[derive(Clone)]
pub(crate) struct Last {
    /// The hash of the event before it.
    pub(crate) before: [u8; 32],
    pub(crate) event: StoredEvent,
}

/// What a snapshot is bound to: its log, its place in it, and the chain up to there.
fn place(log: Uuid, head: &Head) -> String {
    format!("{log}/snapshot/{}/{}", head.sequence, STANDARD.encode(head.hash))
}

/// Writes the projection of a log up to its event `last`.
pub(crate) fn encode_snapshot(
    seal: &Seal,
    writer: Uuid,
    last: &Last,
    state: &State,
) -> Result<Vec<u8>, LogError> {
    let failed = |error| LogError::Damaged(format!("a snapshot cannot be written: {error}"));
    let json = zeroize::Zeroizing::new(serde_json::to_vec(state).map_err(failed)?);
    let head = Head::of(&last.event);
    let sealed = STANDARD.encode(seal.seal(&json, &place(seal.log(), &head))?);
    let event = encode_batch(writer, std::slice::from_ref(&last.event))?;
    let event = serde_json::from_slice(&event).map_err(failed)?;
    let stored = Stored { format: FORM, writer, head, before: last.before, last: event, sealed };
    serde_json::to_vec(&stored).map_err(failed)
}

/// Reads a snapshot; `None` when it cannot be used, for whatever reason.
pub(crate) fn decode_snapshot(seal: &Seal, body: &[u8]) -> Option<Snapshot> {
    let snapshot: Stored = serde_json::from_slice(body).ok()?;
    if snapshot.format != FORM || !ends_with_its_event(seal, &snapshot) {
        return None;
    }
    let sealed = STANDARD.decode(&snapshot.sealed).ok()?;
    let json = seal.open(&sealed, &place(seal.log(), &snapshot.head), "the snapshot").ok()?;
    let state: State = serde_json::from_slice(&json).ok()?;
    let key = seal.newest_number().ok()?;
    (state.sequence == snapshot.head.sequence).then_some(Snapshot { state, head: snapshot.head, key })
}

/// Removes the oldest snapshots: of those up to `newest`, the last ones stay. One request, and one more for each that goes.
/// Whoever reads one of them at that moment reads a newer one instead, or the log. What cannot be removed is in nobody's
/// way; the next run tries again.
pub(crate) async fn prune_snapshots(store: &dyn ObjectStore, layout: &Layout, newest: u64) {
    // The oldest come first.
    let Ok(page) = store.list(&layout.snapshots(), "").await else { return };
    let newest = layout.snapshot(newest);
    // Another folder's keys are not ours, and those of later runs are for them to count.
    let ours = |key: &&String| key.len() == newest.len() && **key <= newest;
    let found: Vec<&String> = page.keys.iter().filter(ours).collect();
    let old = found.len().saturating_sub(KEPT);
    let removed = found[..old].iter().take(REMOVED).map(|key| store.delete(key));
    futures::future::join_all(removed).await;
}

/// Whether the event that a snapshot ends with is the one of its head, and opens.
fn ends_with_its_event(seal: &Seal, snapshot: &Stored) -> bool {
    let Ok(body) = serde_json::to_vec(&snapshot.last) else { return false };
    let Ok(events) = decode_batch("the snapshot", &body) else { return false };
    let is_it = |last: &StoredEvent| {
        Head::of(last) == snapshot.head && last.hash == last.expected_hash(&snapshot.before)
    };
    matches!(&events[..], [last] if is_it(last)) && seal.open_events(snapshot.before, &events).is_ok()
}
