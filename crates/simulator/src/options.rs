//! How a simulator behaves: credentials, speed, and the failures it is told to have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

/// Options of a simulator. The default is a quick, healthy cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// The API token as clients send it: `USER@REALM!ID=UUID`. `None`: `root@pam!pve=` and a random UUID.
    pub token: Option<String>,
    /// Password of `root@pam` for tickets and for SSH.
    pub password: String,
    /// The node's name.
    pub node: String,
    /// The other nodes of the cluster; they have the same storages and networks.
    pub other_nodes: Vec<String>,
    /// The address that every node gives as its own. `None`: each has one of 10.0.0.0/24; a server puts its own here, so
    /// that nobody who asks the cluster goes to a machine that is none of it.
    pub address: Option<IpAddr>,
    /// How long a task runs.
    pub task_duration: Duration,
    /// The same for kinds of tasks that take another time: `qmclone`, `vzcreate`, `download`, ...
    pub task_durations: BTreeMap<String, Duration>,
    /// Added to every answer.
    pub latency: Duration,
    /// How long a refused login waits; 3 s in the real API.
    pub refusal_delay: Duration,
    /// How long `/cluster/resources` shows a new guest as `unknown`; about 10 s in the real API, where the
    /// status daemon has to see the guest first.
    pub status_cycle: Duration,
    /// Time between the rounds of the manager of high availability; about 10 s in the real one. The first round after
    /// a request comes one cycle later.
    pub ha_cycle: Duration,
    /// How long after a start the guest agent of a machine with `agent` enabled answers.
    pub agent_delay: Duration,
    /// Guests react to a request to shut down. Otherwise such tasks fail, unless they are told to force it.
    pub guests_obey: bool,
    /// Machines can be moved to another node while they run. Otherwise that fails, and they run on where they are.
    pub live_migration: bool,
    /// Processors of the node; a guest shows no more of them.
    pub cpus: u64,
    /// Free and used space that storages report.
    pub storage_size: u64,
    /// Failures to inject, the first that matches is taken.
    pub failures: Vec<FailureRule>,
    /// Seed of the failures with a probability.
    pub seed: u64,
}

impl Options {
    /// All nodes, the first one first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.node).chain(&self.other_nodes)
    }

    /// How long a task of a kind runs.
    pub(crate) fn duration_of(&self, kind: &str) -> Duration {
        self.task_durations.get(kind).copied().unwrap_or(self.task_duration)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            token: None,
            password: "simulator".to_owned(),
            node: "pve".to_owned(),
            other_nodes: Vec::new(),
            address: None,
            task_duration: Duration::from_millis(20),
            task_durations: BTreeMap::new(),
            latency: Duration::ZERO,
            refusal_delay: Duration::ZERO,
            status_cycle: Duration::from_secs(10),
            ha_cycle: Duration::from_secs(1),
            agent_delay: Duration::ZERO,
            guests_obey: true,
            live_migration: true,
            cpus: 16,
            storage_size: 500 << 30,
            failures: Vec::new(),
            seed: 0,
        }
    }
}

/// How a described cluster behaves; what is left out is as in [`Options`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// Added to every answer, in milliseconds.
    pub latency_ms: Option<u64>,
    /// How long a task runs, in milliseconds.
    pub task_ms: Option<u64>,
    /// The same for kinds of tasks that take another time, by the kind that their ids have (`qmclone`).
    pub tasks_ms: BTreeMap<String, u64>,
    /// How long lists of the whole cluster show what was, in milliseconds: the status daemon's cycle.
    pub status_ms: Option<u64>,
    /// Time between the rounds of the manager of high availability, in milliseconds.
    pub ha_ms: Option<u64>,
    /// How long after a start guest agents answer, in milliseconds.
    pub agent_ms: Option<u64>,
    /// How long a refused login waits, in milliseconds.
    pub refusal_ms: Option<u64>,
    /// Whether guests react to a request to shut down.
    pub guests_obey: Option<bool>,
    /// Whether machines can be moved while they run.
    pub live_migration: Option<bool>,
    /// Processors of a node.
    pub cpus: Option<u64>,
    /// Space of a storage, in bytes.
    pub storage_bytes: Option<u64>,
    /// Failures to inject, the first that matches is taken.
    pub failures: Vec<FailureRule>,
    /// Seed of the failures with a probability.
    pub seed: u64,
}

impl Options {
    /// These options with a described behaviour.
    #[must_use]
    pub fn behaving(self, behaviour: &Behaviour) -> Options {
        let time =
            |milliseconds: Option<u64>, otherwise| milliseconds.map_or(otherwise, Duration::from_millis);
        Options {
            latency: time(behaviour.latency_ms, self.latency),
            task_duration: time(behaviour.task_ms, self.task_duration),
            task_durations: behaviour
                .tasks_ms
                .iter()
                .map(|(kind, milliseconds)| (kind.clone(), Duration::from_millis(*milliseconds)))
                .collect(),
            status_cycle: time(behaviour.status_ms, self.status_cycle),
            ha_cycle: time(behaviour.ha_ms, self.ha_cycle),
            agent_delay: time(behaviour.agent_ms, self.agent_delay),
            refusal_delay: time(behaviour.refusal_ms, self.refusal_delay),
            guests_obey: behaviour.guests_obey.unwrap_or(self.guests_obey),
            live_migration: behaviour.live_migration.unwrap_or(self.live_migration),
            cpus: behaviour.cpus.unwrap_or(self.cpus),
            storage_size: behaviour.storage_bytes.unwrap_or(self.storage_size),
            failures: behaviour.failures.clone(),
            seed: behaviour.seed,
            ..self
        }
    }
}

/// Requests that fail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRule {
    /// `GET`, `POST`, ..., `SSH` for a command on a node, or `*`.
    pub method: String,
    /// The path below `/api2/json`, or the command line; `*` stands for any text.
    pub path: String,
    /// Which of the matching requests.
    pub when: When,
    /// What happens to them.
    pub how: How,
}

/// Which of the matching requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The first so many.
    First(u32),
    /// The one with this number, counted from 0.
    Nth(u32),
    /// Each with this probability (0 to 1), by the seed of the options.
    Probability(f64),
    /// All.
    Always,
}

/// How a request fails.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The status and text are answered and nothing is done.
    Refuse {
        /// HTTP status, for example 500 or 596.
        status: u16,
        /// Text of the status line.
        reason: String,
    },
    /// The request is carried out, then this status is answered.
    ApplyThenAnswer {
        /// HTTP status.
        status: u16,
        /// Text of the status line.
        reason: String,
    },
    /// The connection is closed and nothing is done.
    Disconnect,
    /// The request is carried out, then the connection is closed without an answer.
    ApplyThenDisconnect,
    /// The task that the request starts ends with this exit status; nothing is changed.
    FailTask(String),
}

impl FailureRule {
    pub(crate) fn matches(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method == method) && wildcard(&self.path, path)
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((prefix, rest)) => text.strip_prefix(prefix).is_some_and(|tail| {
            (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| wildcard(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(wildcard("/nodes/*/qemu/*/clone", "/nodes/pve/qemu/9000/clone"));
        assert!(!wildcard("/nodes/*/qemu", "/nodes/pve/qemu/100"));
        assert!(wildcard("*", "/version"));
    }
}
