//! Snapshots of the projection: objects that are written once. A cache: one that cannot be used is passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pve_model::state::State;
use pve_state::{Head, LogError, Seal};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The form of the projection. Snapshots of another one are passed over; raise it when `State` changes.
const FORMAT: u32 = 1;

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
    sealed: String,
}

/// What a snapshot is bound to: its log, its place in it, and the chain up to there.
fn place(log: Uuid, head: &Head) -> String {
    format!("{log}/snapshot/{}/{}", head.sequence, STANDARD.encode(head.hash))
}

/// Writes the projection of a log up to `head`.
pub(crate) fn encode_snapshot(
    seal: &Seal,
    writer: Uuid,
    head: &Head,
    state: &State,
) -> Result<Vec<u8>, LogError> {
    let failed = |error| LogError::Damaged(format!("a snapshot cannot be written: {error}"));
    let json = zeroize::Zeroizing::new(serde_json::to_vec(state).map_err(failed)?);
    let sealed = STANDARD.encode(seal.seal(&json, &place(seal.log(), head))?);
    serde_json::to_vec(&Stored { format: FORMAT, writer, head: *head, sealed }).map_err(failed)
}

/// Reads a snapshot; `None` when it cannot be used, for whatever reason.
pub(crate) fn decode_snapshot(seal: &Seal, body: &[u8]) -> Option<Snapshot> {
    let snapshot: Stored = serde_json::from_slice(body).ok()?;
    if snapshot.format != FORMAT {
        return None;
    }
    let sealed = STANDARD.decode(&snapshot.sealed).ok()?;
    let json = seal.open(&sealed, &place(seal.log(), &snapshot.head), "the snapshot").ok()?;
    let state: State = serde_json::from_slice(&json).ok()?;
    let key = seal.newest_number().ok()?;
    (state.sequence == snapshot.head.sequence).then_some(Snapshot { state, head: snapshot.head, key })
}
