//! A cluster of things. A thing is made by one task and started by another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use pve_executor::ports::{
    ActionProgress, ApplyRequest, Provider, ProviderError, ProvisionError, ProvisionOutput, Provisioners,
    ReadRequest, Recovery,
};
use pve_model::event::{Claim, Operation};
use pve_model::provisioner::Provision;
use pve_model::state::OpenAction;
use pve_model::{InstanceAddress, Value};
use uuid::Uuid;

use super::{KillPoints, Trace, name_of, thing};

/// How an action fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// Before it is claimed.
    Claim,
    /// Before anything is done.
    Clean,
    /// After it is made and before it is started.
    Halfway,
    /// It is made, but nobody can tell.
    Unclear,
}

/// The cluster.
#[derive(Default)]
pub struct Cluster {
    pub trace: Trace,
    pub points: KillPoints,
    /// What is there: whether it runs.
    pub things: Mutex<BTreeMap<String, bool>>,
    /// How often each was made.
    pub made: Mutex<BTreeMap<String, usize>>,
    pub fails: BTreeMap<String, Fails>,
    /// Provisioners that fail: `NAME PLACE`.
    pub failing_provisioners: BTreeSet<String>,
    /// What is made is staged, and started when its batch is.
    pub stages: bool,
    /// Recovery cannot tell what became of these.
    pub unclear: BTreeSet<String>,
    /// Set when the action of this thing begins.
    pub cancel_at: Option<(String, std::sync::Arc<AtomicBool>)>,
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
}

impl Cluster {
    pub fn failing(name: &str, how: Fails) -> Cluster {
        Cluster { fails: BTreeMap::from([(name.to_string(), how)]), ..Cluster::default() }
    }

    pub fn names(&self) -> Vec<String> {
        self.things.lock().unwrap().keys().cloned().collect()
    }

    /// The same cluster, reached by a process that starts anew.
    pub fn after_a_crash(self) -> Cluster {
        Cluster { things: self.things, made: self.made, stages: self.stages, ..Cluster::default() }
    }

    fn error(text: &str, left: Option<Value>, indeterminate: bool) -> ProviderError {
        ProviderError { message: text.into(), hint: Some("look".into()), left, indeterminate }
    }

    /// One request: the process can die before it takes effect and after.
    async fn request(&self, what: &str, name: &str, effect: impl FnOnce(&mut BTreeMap<String, bool>)) {
        self.points.pass().await;
        tokio::task::yield_now().await;
        self.trace.add(format!("request {what} {name}"));
        effect(&mut self.things.lock().unwrap());
        self.points.pass().await;
    }

    async fn create(&self, name: &str, progress: &dyn ActionProgress) -> Result<Value, ProviderError> {
        let fails = self.fails.get(name).copied();
        if fails == Some(Fails::Clean) {
            return Err(Self::error("no space", None, false));
        }
        self.request("make", name, |things| {
            assert!(things.insert(name.into(), false).is_none(), "{name} was made twice");
            *self.made.lock().unwrap().entry(name.into()).or_default() += 1;
        })
        .await;
        if fails == Some(Fails::Unclear) {
            return Err(Self::error("the answer was lost", None, true));
        }
        progress.task_submitted("make", &format!("UPID:make:{name}")).await?;
        progress.step_completed("make").await?;
        if self.stages {
            let is_whole = progress.staged(Some(&thing(name, false))).await;
            let batch = if is_whole { "whole" } else { "part" };
            self.trace.add(format!("{batch} batch of {name}"));
        }
        if fails == Some(Fails::Halfway) {
            return Err(Self::error("does not start", Some(thing(name, false)), false));
        }
        self.start(name, progress).await
    }

    async fn start(&self, name: &str, progress: &dyn ActionProgress) -> Result<Value, ProviderError> {
        self.request("start", name, |things| {
            *things.get_mut(name).expect("only what is there is started") = true;
        })
        .await;
        progress.task_submitted("start", &format!("UPID:start:{name}")).await?;
        Ok(thing(name, true))
    }

    async fn act(
        &self,
        request: &ApplyRequest,
        progress: &dyn ActionProgress,
    ) -> Result<Option<Value>, ProviderError> {
        let name = name_of(&request.address);
        match request.operation {
            Operation::Create => self.create(&name, progress).await.map(Some),
            Operation::Update => self.start(&name, progress).await.map(Some),
            Operation::Delete => {
                self.request("stop", &name, |things| {
                    things.entry(name.clone()).and_modify(|running| *running = false);
                })
                .await;
                self.request("delete", &name, |things| {
                    things.remove(&name);
                })
                .await;
                progress.task_submitted("delete", &format!("UPID:delete:{name}")).await?;
                Ok(None)
            }
            Operation::Read | Operation::Forget => panic!("{:?} is no request", request.operation),
        }
    }
}

#[async_trait]
impl Provider for Cluster {
    /// An apply reads nothing but what a delete left.
    async fn read(&self, request: ReadRequest) -> Result<Option<Value>, ProviderError> {
        let name = name_of(&request.address);
        Ok(self.things.lock().unwrap().get(&name).map(|running| thing(&name, *running)))
    }

    async fn read_data(&self, _: &str, _: &str, config: Value) -> Result<Value, ProviderError> {
        self.trace.add("request data");
        if self.fails.contains_key("data") {
            return Err(Self::error("no space", None, false));
        }
        Ok(config)
    }

    async fn claim(&self, request: &ApplyRequest, _: Uuid) -> Result<Claim, ProviderError> {
        let name = name_of(&request.address);
        if self.fails.get(&name) == Some(&Fails::Claim) {
            return Err(Self::error("no id is left", None, false));
        }
        Ok(Claim { marker: Some(format!("mark-{name}")), ..Claim::default() })
    }

    async fn apply(
        &self,
        request: ApplyRequest,
        progress: &dyn ActionProgress,
    ) -> Result<Option<Value>, ProviderError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        if let Some((name, cancelled)) = &self.cancel_at
            && *name == name_of(&request.address)
        {
            cancelled.store(true, Ordering::SeqCst);
        }
        let result = self.act(&request, progress).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        result
    }

    async fn recover(
        &self,
        open: &OpenAction,
        _: Option<&str>,
        _: Option<&Value>,
    ) -> Result<Recovery, ProviderError> {
        let name = name_of(&open.intent.address);
        if self.unclear.contains(&name) {
            return Ok(Recovery::Unclear("nobody knows".into()));
        }
        let there = self.things.lock().unwrap().get(&name).copied();
        Ok(match (open.intent.operation, there) {
            (Operation::Delete, None) => Recovery::Gone,
            (Operation::Delete, Some(_)) => Recovery::Kept("it still exists".into()),
            (_, None) => Recovery::NothingDone,
            (_, Some(running)) => Recovery::Exists(thing(&name, running)),
        })
    }

    async fn import(&self, _: &InstanceAddress, _: &str, _: &str) -> Result<Value, ProviderError> {
        panic!("an apply imports nothing")
    }
}

/// A provisioner says its name, and the process can die before it has done anything and after.
#[async_trait]
impl Provisioners for Cluster {
    async fn run(&self, provision: &Provision, output: &dyn ProvisionOutput) -> Result<(), ProvisionError> {
        let name = provision.arguments.as_str().expect("a name and a place");
        self.points.pass().await;
        tokio::task::yield_now().await;
        self.trace.add(format!("provision {name}"));
        output.line("secret");
        self.points.pass().await;
        match self.failing_provisioners.contains(name) {
            true => Err(ProvisionError { message: "exit code 3".into(), detail: None, hint: None }),
            false => Ok(()),
        }
    }
}
