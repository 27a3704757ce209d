//! What is stored of a lease, and the port to where it is kept.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use pve_model::event::Actor;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::LogError;

/// Who holds a lease, as it is shown to those who wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// Names this taking of the lease.
    pub id: Uuid,
    /// User, machine, version.
    pub actor: Actor,
    /// The process.
    pub process: u32,
    /// What it does, for instance `apply`.
    pub command: String,
    /// Since when, by the holder's clock: to be shown, never to be reckoned with.
    pub since: Timestamp,
    /// The machine since it was started, with its processes' name space; `None` where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl LeaseHolder {
    /// This process, from now on.
    pub fn new(actor: Actor, command: impl Into<String>) -> LeaseHolder {
        LeaseHolder {
            id: Uuid::now_v7(),
            actor,
            process: std::process::id(),
            command: command.into(),
            since: Timestamp::now(),
            machine: machine(),
        }
    }

    /// Whether it is known that the process has ended: it ran on this machine, which has no such process.
    pub fn has_ended(&self) -> bool {
        self.machine.is_some()
            && self.machine == machine()
            && !Path::new(&format!("/proc/{}", self.process)).exists()
    }
}

/// What no other machine, no other start of this one and no other container of it has.
fn machine() -> Option<String> {
    let started = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", started.trim(), space.display()))
}

impl std::fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (actor, since) = (&self.actor, self.since.strftime("%Y-%m-%d %H:%M:%S UTC"));
        let (command, process) = (&self.command, self.process);
        write!(f, "{command} by {} on {} (process {process}) since {since}", actor.user, actor.host)
    }
}

/// What is stored of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Counts takings and breakings; only rises.
    pub epoch: u64,
    /// Who holds it; `None` when it was released: the record stays, so that the epoch does.
    pub holder: Option<LeaseHolder>,
    /// Whom it was taken from by `pve unlock`. That one may not know it before its lease would have run out, and may have a
    /// request under way until then: nobody takes it earlier, and whoever does records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Box<LeaseHolder>>,
    /// For how long it is good without being renewed, in milliseconds.
    pub time_to_live: u64,
    /// When it was last written, by the writer's clock: to be shown.
    pub renewed: Timestamp,
}

/// A record with what its store calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLease {
    /// The record.
    pub record: LeaseRecord,
    /// Another one after every write, even of the same record.
    pub version: String,
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseWrite {
    /// It was written, and has this version.
    Written(String),
    /// It was not, since this is what is there.
    Other(Option<Box<StoredLease>>),
}

/// Where a lease is kept.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// The present record; `None` when the lease was never taken.
    ///
    /// # Errors
    /// When the storage fails.
    async fn read(&self) -> Result<Option<StoredLease>, LogError>;

    /// Writes if the stored version is `expected` (`None`: if nothing is stored).
    ///
    /// # Errors
    /// When the storage fails: the write may have taken effect and may do so later.
    async fn write(&self, expected: Option<&str>, record: &LeaseRecord) -> Result<LeaseWrite, LogError>;
}
