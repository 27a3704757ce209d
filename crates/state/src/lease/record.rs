//! What is stored of a lease, and the port to where it is kept.

use async_trait::async_trait;
use jiff::Timestamp;
use pve_model::event::Actor;
use serde::{Deserialize, Deserializer, Serialize};
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
        self.machine.is_some() && self.machine == machine() && is_gone(self.process)
    }
}

#[cfg(unix)]
fn is_gone(process: u32) -> bool {
    is_none(signalled(process))
}

/// Not told elsewhere.
#[cfg(not(unix))]
fn is_gone(_: u32) -> bool {
    false
}

/// What the system says to a signal that is only asked for.
#[cfg(unix)]
fn signalled(process: u32) -> rustix::io::Result<()> {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::test_kill_process(process.ok_or(rustix::io::Errno::INVAL)?)
}

/// Whether that shows that there is no such process. One of another user may not be signalled, and `/proc` may not even
/// show it (`hidepid`).
#[cfg(unix)]
fn is_none(signalled: rustix::io::Result<()>) -> bool {
    signalled == Err(rustix::io::Errno::SRCH)
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
    #[serde(deserialize_with = "count")]
    pub epoch: u64,
    /// Who holds it; `None` when it was released: the record stays, so that the epoch does.
    pub holder: Option<LeaseHolder>,
    /// Whom it was taken from by `pve unlock`. That one may not know it before its lease would have run out, and may have a
    /// request under way until then: nobody takes it earlier, and whoever does records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Box<LeaseHolder>>,
    /// For how long it is good without being renewed, in milliseconds.
    #[serde(deserialize_with = "at_most_a_day")]
    pub time_to_live: u64,
    /// When it was last written, by the writer's clock: to be shown.
    pub renewed: Timestamp,
}

/// More than any lease is good for, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Whoever counts on from there must have room for it.
fn count<'de, D: Deserializer<'de>>(stored: D) -> Result<u64, D::Error> {
    at_most(u64::MAX / 2, "takings", stored)
}

/// One that were good for longer would be waited for for ever.
fn at_most_a_day<'de, D: Deserializer<'de>>(stored: D) -> Result<u64, D::Error> {
    at_most(DAY, "milliseconds", stored)
}

fn at_most<'de, D: Deserializer<'de>>(most: u64, what: &str, stored: D) -> Result<u64, D::Error> {
    let found = u64::deserialize(stored)?;
    if found <= most {
        return Ok(found);
    }
    Err(serde::de::Error::custom(format!("{found} {what} are more than a lease has")))
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

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_process_has_ended_only_when_the_system_knows_none() {
        assert!(is_none(Err(Errno::SRCH)));
        for still in [Ok(()), Err(Errno::PERM), Err(Errno::ACCESS), signalled(0), signalled(u32::MAX)] {
            assert!(!is_none(still), "{still:?}");
        }
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let actor = Actor { user: "ann".into(), host: "desk".into(), version: "0".into() };
        let holder = LeaseHolder { process: child.id(), ..LeaseHolder::new(actor, "apply") };
        assert!(!holder.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder.has_ended(), holder.machine.is_some());
    }
}
