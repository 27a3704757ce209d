//! A cluster, a journal and a resolver that do as a test says, with points at which the process can be killed.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod cluster;
mod journal;
mod resolver;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub use cluster::{Cluster, Fails};
pub use journal::{Accepts, MemoryJournal};
use pve_executor::{Options, Outcome, Records, Reporter, execute};
use pve_model::codec::to_plain_json;
use pve_model::event::{ActionIntended, Operation};
use pve_model::plan::{Action, Change, Plan, Step};
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, Value};
pub use resolver::ScriptedResolver;
use tokio::sync::Notify;

/// What happened, in order: requests, events and reports in one line each.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Where a line is. It must be there.
    pub fn at(&self, line: &str) -> usize {
        let lines = self.lines();
        lines.iter().position(|found| found == line).unwrap_or_else(|| panic!("no {line:?} in {lines:#?}"))
    }
}

/// What a state has of things.
pub struct Known(pub State);

impl Records for Known {
    fn known(&self, intent: &ActionIntended) -> Option<Value> {
        let record = self.0.current(&intent.address)?;
        Some(thing(&name_of(&intent.address), record.values["running"] == true))
    }

    fn made(&self, _: &ActionIntended, value: &Value) -> InstanceRecord {
        record_of(value)
    }
}

/// Counts the moments at which a process can die, and ends it at one of them: whoever gets there never goes on.
#[derive(Clone, Default)]
pub struct KillPoints {
    passed: Arc<AtomicUsize>,
    at: Option<usize>,
    dead: Arc<AtomicBool>,
    died: Arc<Notify>,
}

impl KillPoints {
    pub fn at(point: usize) -> KillPoints {
        KillPoints { at: Some(point), ..KillPoints::default() }
    }

    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    pub async fn pass(&self) {
        let passed = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if self.at == Some(passed) {
            self.dead.store(true, Ordering::SeqCst);
            self.died.notify_one();
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the process is dead.
    pub async fn death(&self) {
        self.died.notified().await;
    }
}

pub fn address(name: &str) -> InstanceAddress {
    format!("test_thing.{name}").parse().unwrap()
}

pub fn name_of(address: &InstanceAddress) -> String {
    address.to_string().trim_start_matches("test_thing.").to_string()
}

pub fn thing(name: &str, running: bool) -> Value {
    Value::object(BTreeMap::from([
        ("name".into(), Value::string(name)),
        ("running".into(), Value::bool(running)),
    ]))
}

pub fn record_of(value: &Value) -> InstanceRecord {
    InstanceRecord {
        provider: "test".into(),
        schema_version: 0,
        values: to_plain_json(value),
        sensitive: vec![],
        dependencies: vec![],
        create_before_destroy: false,
        keep: false,
        tainted: false,
        identity: None,
        unspoken: None,
    }
}

pub fn change(name: &str, action: Action) -> Change {
    Change {
        address: address(name),
        deposed: None,
        previous_address: None,
        provider: "test".into(),
        cluster: String::new(),
        action,
        reason: None,
        before: None,
        after: None,
        replace_paths: vec![],
        notes: vec![],
        importing: None,
        dependencies: vec![],
        create_before_destroy: false,
    }
}

/// A plan of one step a thing: its name, what is done, and the steps before it.
pub fn plan(steps: &[(&str, Operation, &[usize])]) -> Plan {
    let action = |operation| match operation {
        Operation::Create => Action::Create,
        Operation::Update => Action::Update,
        Operation::Delete => Action::Delete,
        Operation::Read => Action::Read,
        Operation::Forget => Action::Forget,
    };
    Plan {
        changes: steps.iter().map(|(name, operation, _)| change(name, action(*operation))).collect(),
        steps: steps
            .iter()
            .enumerate()
            .map(|(at, (_, operation, after))| Step {
                change: at,
                operation: *operation,
                deposed: None,
                provisioners: vec![],
                batch: None,
                after: after.to_vec(),
            })
            .collect(),
        ..Plan::default()
    }
}

pub fn creates(steps: &[(&str, &[usize])]) -> Plan {
    let steps: Vec<_> = steps.iter().map(|(name, after)| (*name, Operation::Create, *after)).collect();
    plan(&steps)
}

pub fn options(parallelism: usize) -> Options {
    Options { parallelism, cancelled: Arc::default() }
}

/// Carries out a plan with everything scripted.
pub async fn carry_out(
    plan: &Plan,
    cluster: &Cluster,
    journal: &MemoryJournal,
    options: &Options,
) -> Outcome {
    let mut resolver = ScriptedResolver::new(plan, cluster);
    execute(plan, cluster, cluster, &mut resolver, journal, &TraceReporter(cluster.trace.clone()), options)
        .await
}

pub struct TraceReporter(pub Trace);

impl Reporter for TraceReporter {
    fn started(&self, address: &InstanceAddress, _: Operation) {
        self.0.add(format!("started {}", name_of(address)));
    }
    fn status(&self, address: &InstanceAddress, text: &str) {
        if let Some(line) = text.strip_prefix("(local-exec) ") {
            self.0.add(format!("prints {}: {line}", name_of(address)));
        }
    }
    fn succeeded(&self, address: &InstanceAddress, _: Operation) {
        self.0.add(format!("succeeded {}", name_of(address)));
    }
    fn failed(&self, address: &InstanceAddress, _: Operation, _: &str) {
        self.0.add(format!("failed {}", name_of(address)));
    }
    fn skipped(&self, address: &InstanceAddress) {
        self.0.add(format!("skipped {}", name_of(address)));
    }
}
