//! One request in the hands of a handler: its parameters, who sent it, and the state it works on.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::failure::Failure;
use crate::options::Options;
use crate::simulator::Simulator;
use crate::state::{Effect, Guest, GuestKind, State, Task};

/// How many tasks are remembered, as the real task index forgets the oldest.
const TASKS_KEPT: usize = 2000;

/// What handlers return.
pub(crate) type Answer = Result<Value, Failure>;

/// Who asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    /// `root@pam`
    pub user: String,
    /// Token id, if a token was used.
    pub token: Option<String>,
}

impl Identity {
    /// The name in UPIDs: `root@pam!pve`.
    pub fn full_name(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    /// A token of root is not root (PVE checks `$authuser eq 'root@pam'`).
    pub fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }
}

/// A file that came as multipart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upload {
    pub file_name: String,
    pub bytes: bytes::Bytes,
}

/// What a server says that asks to join a cluster.
#[derive(Debug)]
pub(crate) struct Admission {
    pub node: String,
    /// Of the server that is asked.
    pub fingerprint: String,
    /// Of `root@pam` there.
    pub password: String,
    pub force: bool,
}

/// A request.
pub(crate) struct Request<'a> {
    pub state: &'a mut State,
    pub options: &'a Options,
    pub identity: &'a Identity,
    /// The node of the path, or the one that was asked.
    pub node: String,
    pub parameters: BTreeMap<String, String>,
    /// Parameters that were null in JSON, which PVE refuses late.
    pub undefined: Vec<String>,
    pub upload: Option<Upload>,
    /// Servers that the one that answers can reach.
    pub peers: Vec<Simulator>,
    /// The one whose cluster it joins.
    pub joined: Option<Simulator>,
    /// A node that the call takes out of the cluster.
    pub removed: Option<String>,
    /// Milliseconds since the epoch.
    pub now: u64,
    /// `total` beside `data`.
    pub total: Option<u64>,
    /// `changes` beside `data`.
    pub changes: Option<String>,
    /// Answered as plain text instead of JSON.
    pub text: Option<String>,
    /// Exit status the next task is forced to.
    pub forced_exit: Option<String>,
}

impl<'a> Request<'a> {
    /// One to the node that answers, without parameters.
    pub fn new(state: &'a mut State, options: &'a Options, identity: &'a Identity, now: u64) -> Request<'a> {
        Request {
            state,
            options,
            identity,
            node: options.node.clone(),
            parameters: BTreeMap::new(),
            undefined: Vec::new(),
            upload: None,
            peers: Vec::new(),
            joined: None,
            removed: None,
            now,
            total: None,
            changes: None,
            text: None,
            forced_exit: None,
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A parameter the schema demands.
    pub fn text(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_default()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|value| value.parse().ok())
    }

    pub fn vmid(&self) -> u32 {
        self.get("vmid").and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    pub fn seconds(&self) -> u64 {
        self.now / 1000
    }

    /// The guest of the path.
    pub fn guest(&self, kind: GuestKind) -> Result<&Guest, Failure> {
        guest(self.state, kind, self.vmid(), &self.node)
    }

    /// The guest of the path, to change it.
    pub fn guest_mut(&mut self, kind: GuestKind) -> Result<&mut Guest, Failure> {
        let vmid = self.vmid();
        let missing = missing_guest(kind, vmid, &self.node);
        let found = self.state.guests.get_mut(&vmid);
        found.filter(|guest| guest.kind == kind && guest.node == self.node).ok_or(missing)
    }

    /// Refuses if the digest that was sent is not the present one.
    pub fn check_digest(&self, present: &str, text: &str) -> Result<(), Failure> {
        match self.get("digest") {
            Some(digest) if digest != present => Err(Failure::died(text)),
            _ => Ok(()),
        }
    }

    /// Starts a task that ends with `outcome` after the configured time, behind the guest's other tasks.
    pub fn submit(&mut self, kind: &str, id: &str, outcome: Outcome) -> Value {
        let outcome = match self.forced_exit.take() {
            Some(exit) => Outcome { error: Some(exit), ..Outcome::default() },
            None => outcome,
        };
        let guest = id.split(['-', '@']).next().and_then(|text| text.parse::<u32>().ok());
        let begins = guest
            .and_then(|vmid| self.state.guests.get(&vmid))
            .map_or(self.now, |guest| guest.busy_until.max(self.now));
        let ends = begins + self.options.duration_of(kind).as_millis() as u64;
        if let Some(guest) = guest.and_then(|vmid| self.state.guests.get_mut(&vmid)) {
            guest.busy_until = ends;
        }
        let process = self.state.process();
        let process_start = (self.now / 10) as u32;
        let started = self.now;
        let node = self.node.clone();
        let id_text = id.replace(':', "\\x3a");
        let user = self.identity.full_name();
        let upid = format!(
            "UPID:{node}:{process:08X}:{process_start:08X}:{:08X}:{kind}:{id_text}:{user}:",
            started / 1000
        );
        let mut log = outcome.log;
        let exit = match outcome.error {
            None => {
                log.push("TASK OK".to_owned());
                "OK".to_owned()
            }
            Some(error) => {
                log.push(format!("TASK ERROR: {error}"));
                error
            }
        };
        let task = Task {
            upid: upid.clone(),
            node,
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: self.identity.user.clone(),
            token: self.identity.token.clone(),
            process,
            process_start,
            started,
            ends,
            exit,
            log,
            effects: outcome.effects,
            finished: false,
        };
        self.state.tasks.push(task, TASKS_KEPT);
        Value::String(upid)
    }

    /// Runs `work` as a task: its changes are kept only if it succeeds.
    pub fn task(
        &mut self,
        kind: &str,
        id: &str,
        work: impl FnOnce(&mut Request<'_>, &mut Outcome) -> Result<(), Failure>,
    ) -> Value {
        if let Some(exit) = self.forced_exit.take() {
            return self.submit(kind, id, Outcome { error: Some(exit), ..Outcome::default() });
        }
        let before = self.state.clone();
        let mut outcome = Outcome::default();
        if let Err(failure) = work(self, &mut outcome) {
            *self.state = before;
            outcome.effects.clear();
            outcome.error = Some(failure.in_task());
        }
        self.submit(kind, id, outcome)
    }
}

/// How a task goes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub log: Vec<String>,
    /// The exit status, if it fails.
    pub error: Option<String>,
    pub effects: Vec<Effect>,
    /// Volumes that were made on the way; a failed create removes them again.
    pub created: Vec<String>,
}

impl Outcome {
    pub fn say(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }
}

/// A guest of a kind, by id.
pub(crate) fn guest<'a>(
    state: &'a State,
    kind: GuestKind,
    vmid: u32,
    node: &str,
) -> Result<&'a Guest, Failure> {
    let found = state.guests.get(&vmid).filter(|guest| guest.kind == kind && guest.node == node);
    found.ok_or_else(|| missing_guest(kind, vmid, node))
}

/// The error for a guest that is not there.
pub(crate) fn missing_guest(kind: GuestKind, vmid: u32, node: &str) -> Failure {
    Failure::died(format!("Configuration file 'nodes/{node}/{}/{vmid}.conf' does not exist", kind.folder()))
}
