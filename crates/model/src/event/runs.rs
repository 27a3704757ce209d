//! Events of runs: what they set out to do, and how they ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Operation;

/// What a run records as its cluster when it uses none.
pub const NO_CLUSTER: &str = "none";

/// See [`Payload::RunStarted`](super::Payload::RunStarted).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// `apply`, `destroy`, `refresh` ...
    pub command: String,
    /// The environment.
    pub environment: String,
    /// The cluster: its endpoint (several with `, ` between them), `simulator`, or [`NO_CLUSTER`].
    pub cluster: String,
    /// Where the log is, if that is a place of its own: a copy of it elsewhere is another log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// By what name that place's store was reached: under the same place of another store is a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Everything was done.
    Succeeded,
    /// Something failed; the rest was done as far as it could be.
    Failed,
    /// The user stopped it.
    Interrupted,
}

/// See [`Payload::RunFinished`](super::Payload::RunFinished).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    /// How it ended.
    pub result: RunResult,
    /// Actions done, by operation.
    pub done: BTreeMap<Operation, u64>,
    /// Actions that failed or did not start.
    pub failed: u64,
}

/// See [`Payload::ConfigurationRecorded`](super::Payload::ConfigurationRecorded).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRecorded {
    /// SHA-256 over paths and contents, in hex.
    pub digest: String,
    /// Contents by path relative to the root module. Base64 where a file is no UTF-8.
    pub files: BTreeMap<String, String>,
}

/// See [`Payload::PlanApproved`](super::Payload::PlanApproved).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanApproved {
    /// SHA-256 of the plan, in hex.
    pub digest: String,
    /// The configuration that it was made from.
    pub configuration: String,
    /// Changes by operation.
    pub changes: BTreeMap<Operation, u64>,
}
