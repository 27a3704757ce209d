//! The simulator itself: one cluster, one lock, and a file that is written before a change is answered.

mod dispatch;
mod file;
mod joining;
mod outside;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::Digest as _;

use crate::access::{self, Credentials};
use crate::failure::Failure;
use crate::options::{How, Options, When};
use crate::request::{Identity, Request, Upload};
use crate::schema::Raw;
use crate::state::State;
use crate::tasks;
use crate::tools::{self, Finished};

pub use file::{OpenError, StateFile};

/// A request that was made, for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// `GET`, `POST`, ..., or `SSH` for a command on a node.
    pub method: String,
    /// The path below `/api2/json`, as it was sent; the command line.
    pub path: String,
    /// The status that was answered; 0 if the connection was closed without one. For a command 200 or 500.
    pub status: u16,
}

/// How far the requests made so far keep to the API's description, whatever was answered to them. Those of callers who
/// were refused are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conformity {
    /// How many ask for an endpoint of the description, with parameters it has, each as described and none missing.
    pub conforming: u64,
    /// What the others have wrong: method, path and the parameters by name.
    pub violations: BTreeSet<String>,
}

/// A simulated cluster. Clones share it.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: State,
    options: Options,
    file: Option<Box<dyn StateFile>>,
    requests: Vec<RequestRecord>,
    /// How often each failure rule matched.
    matched: Vec<u32>,
    random: fastrand::Rng,
    conformity: Conformity,
    /// The time of a stopped clock, in milliseconds since the epoch.
    stopped: Option<u64>,
    /// Servers that it can reach.
    peers: Vec<Simulator>,
    joined: Option<joining::Joined>,
}

/// A request as the HTTP side hands it over.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub method: String,
    pub path: String,
    pub parameters: BTreeMap<String, Raw>,
    pub upload: Option<Upload>,
    pub credentials: Credentials,
    /// The node that was asked, if it is not the first one.
    pub asked: Option<String>,
    /// Set if the HTTP side refuses already; still recorded and authenticated.
    pub refusal: Option<Failure>,
}

/// What the HTTP side answers.
#[derive(Debug)]
pub(crate) enum Reply {
    Data { data: Value, total: Option<u64>, changes: Option<String> },
    Text(String),
    Failed(Failure),
    Disconnect,
}

impl Simulator {
    /// A new cluster, in memory only.
    pub fn new(options: Options) -> Self {
        Simulator::with(State::new(), options, None)
    }

    /// A cluster whose state is kept (a path: in a JSON file, made if it is not there). The state is written before a
    /// request that changed something is answered, so a killed process loses nothing that was answered; tasks that
    /// were running end by the clock, as on a server of its own. Requests that only read never write: any number of
    /// processes may read a state while one changes it.
    ///
    /// # Errors
    /// The state cannot be read or written, or is something else.
    pub fn open(file: impl StateFile + 'static, options: Options) -> Result<Self, OpenError> {
        let found = file.read()?;
        let is_new = found.is_none();
        let state = match found {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => State::new(),
        };
        let simulator = Simulator::with(state, options, Some(Box::new(file)));
        if is_new {
            simulator.lock().save()?;
        }
        Ok(simulator)
    }

    fn with(mut state: State, options: Options, file: Option<Box<dyn StateFile>>) -> Self {
        let matched = vec![0; options.failures.len()];
        let random = fastrand::Rng::with_seed(options.seed);
        let token = options.token.clone().unwrap_or_else(|| state.token.clone());
        access::register(&mut state, &token);
        let inner = Inner {
            state,
            options,
            file,
            requests: Vec::new(),
            matched,
            random,
            conformity: Conformity::default(),
            stopped: None,
            peers: Vec::new(),
            joined: None,
        };
        Simulator { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API token clients use, `USER@REALM!ID=UUID`.
    pub fn token(&self) -> String {
        let inner = self.lock();
        inner.options.token.clone().unwrap_or_else(|| inner.state.token.clone())
    }

    /// The options it was made with.
    pub fn options(&self) -> Options {
        self.lock().options.clone()
    }

    /// The requests made so far, but for the oldest of very many.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.lock().requests.clone()
    }

    /// Forgets the requests made so far.
    pub fn clear_requests(&self) {
        self.lock().requests.clear();
    }

    /// How far the requests made so far, also the forgotten ones, keep to the API's description.
    pub fn conformity(&self) -> Conformity {
        self.lock().conformity.clone()
    }

    /// A secret of the cluster for one purpose; the same in every process.
    pub(crate) fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        sha2::Sha256::digest(format!("{}|{purpose}", self.lock().state.secret)).into()
    }

    /// Runs `work` on the state and saves it; for the SFTP side.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> std::io::Result<T> {
        let mut inner = self.lock();
        let seconds = inner.now() / 1000;
        let result = work(&mut inner.state, seconds);
        inner.save()?;
        Ok(result)
    }

    /// Answers a request.
    pub(crate) fn handle(&self, incoming: Incoming) -> Reply {
        if let Some((cluster, node)) = self.cluster() {
            return cluster.handle(Incoming { asked: Some(node), ..incoming });
        }
        let mut inner = self.lock();
        let how = inner.injected(&incoming.method, &incoming.path);
        let record = (incoming.method.clone(), incoming.path.clone());
        let reply = match how {
            Some(How::Disconnect) => Reply::Disconnect,
            Some(How::Refuse { status, reason }) => Reply::Failed(injected_failure(status, &reason)),
            Some(How::ApplyThenDisconnect) => {
                inner.answer(incoming, None);
                Reply::Disconnect
            }
            Some(How::ApplyThenAnswer { status, reason }) => {
                inner.answer(incoming, None);
                Reply::Failed(injected_failure(status, &reason))
            }
            Some(How::FailTask(exit)) => inner.answer(incoming, Some(exit)),
            None => inner.answer(incoming, None),
        };
        let status = match &reply {
            Reply::Data { .. } | Reply::Text(_) => 200,
            Reply::Failed(failure) => failure.status,
            Reply::Disconnect => 0,
        };
        inner.record(RequestRecord { method: record.0, path: record.1, status });
        reply
    }

    /// Runs a command line as root; nothing if the connection is to end without an answer. For the SSH side.
    pub(crate) fn execute(&self, line: &str, input: &[u8]) -> Option<Finished> {
        let mut inner = self.lock();
        let finished = match inner.injected(SSH, line) {
            Some(How::Disconnect) => None,
            Some(How::Refuse { reason, .. } | How::FailTask(reason)) => Some(Finished::failed(&reason)),
            Some(How::ApplyThenDisconnect) => {
                inner.execute(line, input);
                None
            }
            Some(How::ApplyThenAnswer { reason, .. }) => {
                inner.execute(line, input);
                Some(Finished::failed(&reason))
            }
            None => Some(inner.execute(line, input)),
        };
        let status = finished.as_ref().map_or(0, |finished| if finished.code == 0 { 200 } else { 500 });
        inner.record(RequestRecord { method: SSH.to_owned(), path: line.to_owned(), status });
        finished
    }
}

/// The method of commands in records and rules.
const SSH: &str = "SSH";

fn is_login(path: &str) -> bool {
    path.trim_end_matches('/') == "/access/ticket"
}

fn injected_failure(status: u16, reason: &str) -> Failure {
    // 59x come from the proxy, which has no body.
    if status >= 590 { Failure::bare(status, reason) } else { Failure { status, ..Failure::died(reason) } }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// How many requests are remembered; the oldest are forgotten.
const REQUESTS_KEPT: usize = 100_000;

impl Inner {
    fn now(&self) -> u64 {
        self.stopped.unwrap_or_else(now)
    }

    fn record(&mut self, request: RequestRecord) {
        if self.requests.len() >= REQUESTS_KEPT {
            self.requests.drain(..REQUESTS_KEPT / 10);
        }
        self.requests.push(request);
    }

    fn injected(&mut self, method: &str, path: &str) -> Option<How> {
        for (at, rule) in self.options.failures.iter().enumerate() {
            if !rule.matches(method, path) {
                continue;
            }
            let number = self.matched[at];
            self.matched[at] += 1;
            let fails = match rule.when {
                When::Always => true,
                When::First(count) => number < count,
                When::Nth(wanted) => number == wanted,
                When::Probability(chance) => self.random.f64() < chance,
            };
            if fails {
                return Some(rule.how.clone());
            }
        }
        None
    }

    fn answer(&mut self, incoming: Incoming, forced_exit: Option<String>) -> Reply {
        // A login leaves nothing behind: somebody who only reads may log in beside a process that writes.
        let changes = incoming.method != "GET" && !is_login(&incoming.path);
        let reply = match self.dispatch(incoming, forced_exit) {
            Ok(reply) => reply,
            Err(failure) => Reply::Failed(failure),
        };
        if changes && let Err(error) = self.save() {
            return Reply::Failed(Failure::died(format!("unable to write state - {error}")));
        }
        reply
    }

    fn execute(&mut self, line: &str, input: &[u8]) -> Finished {
        let now = self.now();
        tasks::settle(&mut self.state, now);
        let identity = Identity { user: "root@pam".to_owned(), token: None };
        let mut request = Request::new(&mut self.state, &self.options, &identity, now);
        let finished = tools::run(&mut request, line, input);
        match self.save() {
            Ok(()) => finished,
            Err(error) => Finished::failed(&format!("unable to write state - {error}")),
        }
    }

    fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write(&serde_json::to_vec(&self.state).map_err(std::io::Error::other)?)
    }
}

/// The body of a successful answer.
pub(crate) fn success(data: &Value, total: Option<u64>, changes: Option<String>) -> Value {
    let mut body = json!({ "data": data });
    if let Some(total) = total.filter(|total| *total > 0) {
        body["total"] = json!(total);
    }
    if let Some(changes) = changes {
        body["changes"] = json!(changes);
    }
    body
}
