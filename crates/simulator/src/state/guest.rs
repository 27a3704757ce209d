//! A guest as it is kept: its configuration, what waits for a stop, and its snapshots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Options;

/// Virtual machine or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GuestKind {
    Qemu,
    Lxc,
}

impl GuestKind {
    /// The folder of its configuration files.
    pub fn folder(self) -> &'static str {
        match self {
            GuestKind::Qemu => "qemu-server",
            GuestKind::Lxc => "lxc",
        }
    }

    /// How errors call it.
    pub fn label(self) -> &'static str {
        match self {
            GuestKind::Qemu => "VM",
            GuestKind::Lxc => "CT",
        }
    }

    /// Its name in paths and ids.
    pub fn name(self) -> &'static str {
        match self {
            GuestKind::Qemu => "qemu",
            GuestKind::Lxc => "lxc",
        }
    }
}

/// A guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Guest {
    pub kind: GuestKind,
    /// The node it is on.
    pub node: String,
    pub config: Options,
    /// Changes that wait for a stop: a new value, or `None` for a deletion.
    pub pending: BTreeMap<String, Option<String>>,
    /// Deletions among them that destroy the disk.
    #[serde(default)]
    pub forced: BTreeSet<String>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub running: bool,
    pub paused: bool,
    /// Process of the running guest.
    pub process: u32,
    /// Milliseconds since the epoch.
    pub started: u64,
    pub created: u64,
    /// Until when a task holds the guest's lock.
    pub busy_until: u64,
    /// A destroy task has been accepted and will remove it.
    pub destroying: bool,
    /// A task that makes it a template has been accepted.
    #[serde(default)]
    pub converting: bool,
    /// What the cloud-init drive was last generated from.
    pub cloud_init: Option<Options>,
    /// What containers were created with, to be told apart in tests.
    pub template: Option<String>,
}

impl Guest {
    pub fn new(kind: GuestKind, now: u64, node: &str) -> Self {
        Guest {
            kind,
            node: node.to_owned(),
            config: Options::new(),
            pending: BTreeMap::new(),
            forced: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            running: false,
            paused: false,
            process: 0,
            started: 0,
            created: now,
            busy_until: now,
            destroying: false,
            converting: false,
            cloud_init: None,
            template: None,
        }
    }

    /// The configuration with pending changes as if applied.
    pub fn effective(&self) -> Options {
        let mut config = self.config.clone();
        for (key, value) in &self.pending {
            match value {
                Some(value) => config.insert(key.clone(), value.clone()),
                None => config.remove(key),
            };
        }
        config
    }

    pub fn is_template(&self) -> bool {
        self.config.get("template").is_some_and(|value| value == "1")
    }

    pub fn is_protected(&self) -> bool {
        self.config.get("protection").is_some_and(|value| value == "1")
    }
}

/// A snapshot of a guest's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub config: Options,
    pub description: String,
    /// Seconds since the epoch.
    pub time: u64,
    pub parent: Option<String>,
    pub with_memory: bool,
}
