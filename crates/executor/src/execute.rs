//! The walk over the steps of a plan: as many at a time as allowed, each after those it waits for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use pve_model::codec::to_plain_json;
use pve_model::event::{
    ActionFailed, ActionIndeterminate, ActionIntended, ActionSucceeded, Claim, InstanceRemoved, Operation,
    Payload, StepCompleted, TaskSubmitted,
};
use pve_model::plan::{Action, Change, Plan, Step};
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, Value};
use uuid::Uuid;

use crate::errors::{journal_failed, plain_error, sent, unrecorded, without};
use crate::ports::{
    ActionProgress, ApplyRequest, Journal, Provider, ProviderError, Provisioners, ResolvedStep, Resolver,
};
use crate::replaced::kept_beside;
use crate::report::Reporter;
use crate::walk::{Staged, Walk};

/// How to walk.
#[derive(Clone, Debug)]
pub struct Options {
    /// Steps at a time, at least 1.
    pub parallelism: usize,
    /// Set to start no further step; those that run are finished.
    pub cancelled: Arc<AtomicBool>,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The instance.
    pub address: InstanceAddress,
    /// What was to be done.
    pub operation: Operation,
    /// Why it failed, without secrets.
    pub error: String,
    /// What the user can do.
    pub hint: Option<String>,
}

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Steps done.
    pub done: BTreeMap<Operation, u64>,
    /// Steps that failed.
    pub failures: Vec<Failure>,
    /// Instances whose steps were not started.
    pub skipped: Vec<InstanceAddress>,
    /// Whether the run was stopped by the user or lost its log before everything was started.
    pub interrupted: bool,
}

impl Outcome {
    /// Whether every step was done.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.skipped.is_empty() && !self.interrupted
    }
}

pub(crate) struct Run<'a> {
    plan: &'a Plan,
    provider: &'a dyn Provider,
    pub(crate) provisioners: &'a dyn Provisioners,
    pub(crate) resolver: Mutex<&'a mut dyn Resolver>,
    journal: &'a dyn Journal,
    pub(crate) reporter: &'a dyn Reporter,
    options: &'a Options,
    /// The journal takes nothing more: no request may be sent.
    closed: AtomicBool,
    /// What deletions have left of the present objects, by the places of the changes.
    undestroyed: Mutex<BTreeMap<usize, InstanceRecord>>,
    /// Takes steps that are staged.
    staged: mpsc::UnboundedSender<Staged>,
}

/// Carries out the steps of a plan. A failed step stops those that wait for it, not the rest.
pub async fn execute(
    plan: &Plan,
    provider: &dyn Provider,
    provisioners: &dyn Provisioners,
    resolver: &mut dyn Resolver,
    journal: &dyn Journal,
    reporter: &dyn Reporter,
    options: &Options,
) -> Outcome {
    let (staged, waiting) = mpsc::unbounded();
    let run = Run {
        plan,
        provider,
        provisioners,
        resolver: Mutex::new(resolver),
        journal,
        reporter,
        options,
        closed: AtomicBool::new(false),
        undestroyed: Mutex::default(),
        staged,
    };
    run.walk(waiting).await
}

impl Run<'_> {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn may_start(&self) -> bool {
        !self.is_closed() && !self.options.cancelled.load(Ordering::SeqCst)
    }

    async fn walk(&self, mut staged: mpsc::UnboundedReceiver<Staged>) -> Outcome {
        let steps = &self.plan.steps;
        let mut walk = Walk::over(steps);
        let mut running = FuturesUnordered::new();
        let mut outcome = Outcome::default();
        loop {
            while self.may_start() {
                let Some(at) = walk.next(running.len(), self.options.parallelism.max(1)) else { break };
                running.push(async move {
                    // Pushed is not begun: the run may have been stopped since.
                    if self.may_start() { (at, Some(self.step(at, &steps[at]).await)) } else { (at, None) }
                });
            }
            walk.let_go(!self.may_start());
            let (at, result) = match select(running.next(), staged.next()).await {
                Either::Right((Some(one), _)) => {
                    walk.staged(one);
                    continue;
                }
                Either::Left((Some(ended), _)) => ended,
                Either::Left((None, _)) | Either::Right((None, _)) => break,
            };
            let Some(result) = result else { continue };
            walk.ended(at, result.is_ok());
            match result {
                Ok(()) => *outcome.done.entry(steps[at].operation).or_default() += 1,
                Err(failure) => outcome.failures.push(failure),
            }
        }
        for at in (0..steps.len()).filter(|at| !walk.is_ended(*at)) {
            let address = &self.plan.changes[steps[at].change].address;
            if !outcome.skipped.contains(address) {
                self.reporter.skipped(address);
                outcome.skipped.push(address.clone());
            }
        }
        let everything_done = outcome.failures.is_empty() && outcome.skipped.is_empty();
        outcome.interrupted = !self.may_start() && !everything_done;
        outcome
    }

    async fn step(&self, at: usize, step: &Step) -> Result<(), Failure> {
        let change = &self.plan.changes[step.change];
        self.reporter.started(&change.address, step.operation);
        let result = match step.operation {
            Operation::Forget => self.forget(change).await,
            Operation::Read => self.read(step, change).await,
            _ => self.act(at, step, change).await,
        };
        match result {
            Ok(()) => {
                self.reporter.succeeded(&change.address, step.operation);
                Ok(())
            }
            Err(error) => {
                self.reporter.failed(&change.address, step.operation, &error.message);
                Err(Failure {
                    address: change.address.clone(),
                    operation: step.operation,
                    error: error.message,
                    hint: error.hint,
                })
            }
        }
    }

    pub(crate) async fn record(&self, payload: Payload) -> Result<(), ProviderError> {
        self.journal.record(payload).await.map_err(|error| {
            // What is not known to be durable must not be built upon.
            self.closed.store(true, Ordering::SeqCst);
            journal_failed(&error)
        })
    }

    fn resolved(&self, step: &Step) -> Result<ResolvedStep, ProviderError> {
        self.resolver.lock().unwrap_or_else(PoisonError::into_inner).resolve(step).map_err(plain_error)
    }

    async fn forget(&self, change: &Change) -> Result<(), ProviderError> {
        let removed = InstanceRemoved { address: change.address.clone(), deposed: change.deposed.clone() };
        self.record(Payload::InstanceForgotten(removed)).await
    }

    async fn read(&self, step: &Step, change: &Change) -> Result<(), ProviderError> {
        let ResolvedStep { config, secrets, .. } = self.resolved(step)?;
        let config = config.unwrap_or_else(|| Value::null(pve_model::Type::Dynamic));
        let kind = &change.address.resource.kind;
        let value = self.provider.read_data(kind, &change.provider, config).await;
        let value = value.map_err(|error| without(&secrets, error))?;
        let mut resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let completed = resolver.completed(step, Some(&value)).map(drop);
        completed.map_err(|complaint| plain_error(secrets.redact(&complaint)))
    }

    /// Intent, request, tasks, provisioners, result: each durable before what follows.
    async fn act(&self, at: usize, step: &Step, change: &Change) -> Result<(), ProviderError> {
        let resolved = self.resolved(step)?;
        let action = Uuid::now_v7();
        let mut request = ApplyRequest {
            address: change.address.clone(),
            provider: change.provider.clone(),
            operation: step.operation,
            prior: resolved.prior,
            planned: resolved.planned,
            config: resolved.config,
            claim: Claim::default(),
            identity: resolved.identity,
            recreated: step.operation == Operation::Delete && change.action == Action::DeleteThenCreate,
        };
        let known = request.planned.iter().chain(&change.before).chain(&change.after);
        let secrets = resolved.secrets.with(known);
        let without_secrets = |error| without(&secrets, error);
        request.claim = self.provider.claim(&request, action).await.map_err(without_secrets)?;
        self.record(Payload::ActionIntended(intent(step, change, &request, action))).await?;
        if !self.may_start() {
            // The run was stopped while the intent became durable, perhaps because the log went away: nobody else may
            // see the intent, so nothing is sent.
            return self.failed(step, action, plain_error("not begun: the run was stopped".into())).await;
        }
        let (creates, deletes) = (step.operation == Operation::Create, step.operation == Operation::Delete);
        if deletes {
            self.provision_doomed(step, change, action).await?;
        }
        let progress = Progress { run: self, address: &change.address, action, at };
        match self.provider.apply(request, &progress).await {
            Ok(Some(made)) if creates && !step.provisioners.is_empty() => {
                self.provision_made(step, change, action, &made).await?;
                self.succeeded(step, action, Some(&made)).await.map_err(without_secrets)
            }
            Ok(value) => self.succeeded(step, action, value.as_ref()).await.map_err(without_secrets),
            Err(error) => self.failed(step, action, without_secrets(error)).await,
        }
    }

    async fn succeeded(&self, step: &Step, action: Uuid, value: Option<&Value>) -> Result<(), ProviderError> {
        let (record, complaint) = {
            let mut resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
            match resolver.completed(step, value) {
                Ok(record) => (record, None),
                // A postcondition failed: the object is there all the same.
                Err(complaint) => (value.map(|value| resolver.left(step, value)), Some(complaint)),
            }
        };
        let recorded = self.record(Payload::ActionSucceeded(ActionSucceeded { action, record })).await;
        let Some(complaint) = complaint else { return recorded };
        Err(unrecorded(plain_error(complaint), recorded))
    }

    async fn failed(&self, step: &Step, action: Uuid, error: ProviderError) -> Result<(), ProviderError> {
        if self.is_closed() {
            return Err(error);
        }
        let payload = if error.indeterminate {
            Payload::ActionIndeterminate(ActionIndeterminate { action, reason: error.message.clone() })
        } else {
            let left = error.left.as_ref();
            // The next plan would complete it, and nobody would run its provisioners.
            let tainted = step.operation == Operation::Create && !step.provisioners.is_empty();
            let record = left.map(|value| {
                let left = self.resolver.lock().unwrap_or_else(PoisonError::into_inner).left(step, value);
                InstanceRecord { tainted: tainted || left.tainted, ..left }
            });
            if let Err(unkept) = self.keep_replaced(step, action, record.as_ref()).await {
                return Err(unrecorded(error, Err(unkept)));
            }
            Payload::ActionFailed(ActionFailed { action, error: error.message.clone(), record })
        };
        Err(unrecorded(error, self.record(payload).await))
    }

    /// Of a replacement that failed as a whole both halves may be there: what was to be destroyed is not forgotten for what
    /// was made.
    async fn keep_replaced(
        &self,
        step: &Step,
        action: Uuid,
        left: Option<&InstanceRecord>,
    ) -> Result<(), ProviderError> {
        let Some(left) = left else { return Ok(()) };
        let is_current = step.deposed.is_none() && self.plan.changes[step.change].deposed.is_none();
        let replaced = {
            let mut undestroyed = self.undestroyed.lock().unwrap_or_else(PoisonError::into_inner);
            match step.operation {
                Operation::Delete if is_current => {
                    undestroyed.insert(step.change, left.clone());
                    None
                }
                Operation::Create => undestroyed.remove(&step.change),
                _ => None,
            }
        };
        let address = &self.plan.changes[step.change].address;
        match replaced.and_then(|replaced| kept_beside(address, action, replaced, left)) {
            Some(kept) => self.record(kept).await,
            None => Ok(()),
        }
    }
}

fn intent(step: &Step, change: &Change, request: &ApplyRequest, action: Uuid) -> ActionIntended {
    let creates = step.operation == Operation::Create;
    let deposes = creates && change.action == Action::CreateThenDelete;
    let deposed = if step.operation == Operation::Delete {
        change.deposed.clone().or_else(|| step.deposed.clone())
    } else {
        None
    };
    let planned = request.planned.as_ref();
    ActionIntended {
        action,
        address: change.address.clone(),
        deposed,
        operation: step.operation,
        provider: change.provider.clone(),
        claim: request.claim.clone(),
        planned: planned.map(to_plain_json).unwrap_or_default(),
        sensitive: planned.map(Value::sensitive_paths).unwrap_or_default(),
        depose_as: if deposes { step.deposed.clone() } else { None },
        dependencies: change.dependencies.clone(),
        create_before_destroy: change.create_before_destroy,
        provisioners: step.provisioners.len() as u64,
    }
}

struct Progress<'r, 'a> {
    run: &'r Run<'a>,
    address: &'r InstanceAddress,
    action: Uuid,
    /// The place of the step in the plan.
    at: usize,
}

#[async_trait]
impl ActionProgress for Progress<'_, '_> {
    async fn task_submitted(&self, step: &str, upid: &str) -> Result<(), ProviderError> {
        let task = TaskSubmitted { action: self.action, step: step.into(), upid: upid.into() };
        self.run.record(Payload::TaskSubmitted(task)).await.map_err(|error| sent(step, Some(upid), error))
    }

    async fn step_completed(&self, step: &str) -> Result<(), ProviderError> {
        let completed = StepCompleted { action: self.action, step: step.into() };
        self.run.record(Payload::StepCompleted(completed)).await.map_err(|error| sent(step, None, error))
    }

    async fn staged(&self, value: Option<&Value>) -> bool {
        let step = &self.run.plan.steps[self.at];
        if step.batch.is_none() {
            return true;
        }
        let is_as_wanted = {
            let mut resolver = self.run.resolver.lock().unwrap_or_else(PoisonError::into_inner);
            resolver.completed(step, value).is_ok()
        };
        let (door, opened) = oneshot::channel();
        let staged = Staged { at: self.at, is_as_wanted, door };
        // A walk that is at its end lets everybody go.
        self.run.staged.unbounded_send(staged).is_ok() && opened.await.unwrap_or(false)
    }

    fn status(&self, text: &str) {
        self.run.reporter.status(self.address, text);
    }

    fn is_cancelled(&self) -> bool {
        !self.run.may_start()
    }
}
