//! Events of the log itself: who writes it, where it is, whom it is sealed for, and what it does not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::Payload;

/// See [`Payload::LeaseTakenOver`](super::Payload::LeaseTakenOver).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseTakenOver {
    /// The holder that lost it.
    pub from: String,
    /// The epoch of the new lease.
    pub epoch: u64,
}

/// See [`Payload::LogMoved`](super::Payload::LogMoved).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogMoved {
    /// The other place.
    pub place: String,
    /// Whether this is the log that goes on; otherwise nothing follows here.
    pub arrived: bool,
    /// Where it goes on, as runs record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<String>,
    /// By what names its store is reached there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
}

/// See [`Payload::EventsMerged`](super::Payload::EventsMerged).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventsMerged {
    /// The event that they were to follow.
    pub after: u64,
    /// How many of them became events in front of this one.
    pub taken_in: u64,
    /// Those that say nothing any more, as they were.
    pub passed_over: Vec<PassedOver>,
}

/// An event that was kept and came too late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassedOver {
    /// UUIDv7.
    pub id: Uuid,
    /// When it was made.
    pub time: Timestamp,
    /// The run.
    pub run: Uuid,
    /// What happened.
    pub payload: Payload,
}

/// See [`Payload::KeysChanged`](super::Payload::KeysChanged).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeysChanged {
    /// Counts the log's keyrings.
    pub revision: u64,
    /// What was done, for instance `removed bob`.
    pub change: String,
    /// Who can open what comes.
    pub recipients: Vec<String>,
}

/// See [`Payload::Unknown`](super::Payload::Unknown).
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownPayload {
    /// The kind as it was written.
    pub kind: String,
    /// The version as it was written.
    pub version: u32,
    /// The content as it was written.
    pub body: Json,
}
