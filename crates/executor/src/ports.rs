//! The ports through which the executor works: the provider, the journal and the resolver of planned values.

use async_trait::async_trait;
use pve_model::event::{Claim, Operation, Payload};
use pve_model::plan::Step;
use pve_model::provisioner::Provision;
use pve_model::rules::Beside;
use pve_model::state::{InstanceRecord, OpenAction};
use pve_model::{InstanceAddress, Path, Value};
use uuid::Uuid;

use crate::redaction::Redaction;

/// Why a provider could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// Which operation on what failed and why, without secrets.
    pub message: String,
    /// What the user can do, if anything is known.
    pub hint: Option<String>,
    /// What of the object is known to exist after the failure. `None` when nothing was made or changed.
    pub left: Option<Value>,
    /// Whether it cannot be told if the request took effect (a lost response whose outcome could not be read).
    pub indeterminate: bool,
}

/// Something in a change that the cluster will not take, as far as that can be told before it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The instance.
    pub address: InstanceAddress,
    /// Where in its values it is; of several that make up what is refused, the first is the one that changes.
    pub paths: Vec<Path>,
    /// What is wrong.
    pub told: Told,
    /// The same without the value, where one of `paths` is secret.
    pub hidden: Told,
    /// Whether the change is bound to fail; otherwise it may be that only whoever asks cannot see it.
    pub is_certain: bool,
    /// What somebody may yet make, such as a node; otherwise a value that nothing makes any better.
    pub may_come: bool,
}

/// What a provider doubts of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// What the cluster will not take.
    pub found: Vec<Doubt>,
    /// Why something could not be looked up, without secrets.
    pub unseen: Vec<String>,
}

/// What a cluster has to say of a change before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The instance.
    pub address: InstanceAddress,
    /// For instance that what others have staged would be applied with it.
    pub text: String,
    /// Whether it is that this could not be looked up.
    pub is_unseen: bool,
}

/// What is wrong, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// For instance `There is no node "pve9"`.
    pub summary: String,
    /// What there is instead, or what is taken.
    pub detail: String,
}

/// One instance to be read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The instance.
    pub address: InstanceAddress,
    /// The provider configuration, for instance `proxmox`.
    pub provider: String,
    /// The values as last known.
    pub prior: Value,
    /// What told it from another one with its id.
    pub identity: Option<String>,
}

/// One change to be made.
#[derive(Clone, Debug)]
pub struct ApplyRequest {
    /// The instance.
    pub address: InstanceAddress,
    /// The provider configuration, for instance `proxmox`.
    pub provider: String,
    /// Create, update or delete.
    pub operation: Operation,
    /// The values before; `None` for a create.
    pub prior: Option<Value>,
    /// The values wanted, unknown only where the provider decides; `None` for a delete.
    pub planned: Option<Value>,
    /// The configured values, absent attributes null; `None` for a delete.
    pub config: Option<Value>,
    /// The claim made for this action, recorded with its intent.
    pub claim: Claim,
    /// What told the object from another one with its id when it was known last.
    pub identity: Option<String>,
    /// Whether it is destroyed to be made anew in the same run.
    pub recreated: bool,
}

/// What became of an action that a crash left open.
#[derive(Clone, Debug)]
pub enum Recovery {
    /// Nothing came of it: the request never took effect.
    NothingDone,
    /// The object exists as read; what is missing of it shows as a difference in the next plan.
    Exists(Value),
    /// The object is gone: as a delete wanted, or while it was changed.
    Gone,
    /// A delete did not come to its end: the object is still there. The text tells how, for instance "it still exists,
    /// stopped".
    Kept(String),
    /// It cannot be proved what happened; the text tells the user what to look at.
    Unclear(String),
}

/// The half of a provider that talks to the cluster. Every method may be called from many tasks at once.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Reads an instance. `None` when it is proved to be gone.
    ///
    /// # Errors
    /// When it cannot be told whether it is there.
    async fn read(&self, request: ReadRequest) -> Result<Option<Value>, ProviderError>;

    /// Whether what was read last of an instance is what it runs with, and changes that were made before still wait for a
    /// reboot.
    fn waits(&self, address: &InstanceAddress) -> bool {
        let _ = address;
        false
    }

    /// What was seen of an instance, when it was last read, that its values do not tell.
    fn beside(&self, address: &InstanceAddress) -> Option<Beside> {
        let _ = address;
        None
    }

    /// What tells the object of an instance from another one with its id, as it was when it was last read,
    /// changed, imported or recovered.
    fn identity(&self, address: &InstanceAddress) -> Option<String> {
        let _ = address;
        None
    }

    /// The first provider configuration that leads to the same cluster as this one, as far as is known.
    fn same_cluster(&self, provider: &str) -> String {
        provider.to_string()
    }

    /// Takes note of what the log has of an object before anything is read: as it is recorded, or, of an action that is
    /// open (`is_open`), as it was intended. What an earlier run has left staged is told from what others have by it.
    fn recall(&self, one: &ReadRequest, is_open: bool) {
        let _ = (one, is_open);
    }

    /// Takes note of what a plan is about before it is applied, as far as its values are known: what an earlier run has left
    /// staged of anything else is not applied with it.
    fn expect(&self, changes: &[ApplyRequest]) {
        let _ = changes;
    }

    /// Reads a data source with the configured values.
    ///
    /// # Errors
    /// When the data source cannot be read or what it asks for does not exist.
    async fn read_data(&self, kind: &str, provider: &str, config: Value) -> Result<Value, ProviderError>;

    /// Reserves what a create needs before its intent is recorded (a VMID when none is configured) and names the
    /// marker it will leave. Concurrent calls get different VMIDs.
    ///
    /// # Errors
    /// When nothing is left to reserve or the cluster cannot be asked.
    async fn claim(&self, request: &ApplyRequest, action: Uuid) -> Result<Claim, ProviderError>;

    /// Looks over changes before any of them is made, in an order that they may be made in: those that would be refused
    /// come back with the reason. What cannot be told yet is not refused.
    async fn review(&self, changes: &[ApplyRequest]) -> Vec<(InstanceAddress, ProviderError)> {
        let _ = changes;
        Vec::new()
    }

    /// What the cluster has to say about changes before any of them is made: for instance that somebody else's would be
    /// applied with them.
    async fn remarks(&self, changes: &[ApplyRequest]) -> Vec<Remark> {
        let _ = changes;
        Vec::new()
    }

    /// What is pending in the cluster that is none of these instances and that nothing of their changes applies. One that
    /// does not change has the same values before and after.
    async fn pending(&self, instances: &[ApplyRequest]) -> Vec<(InstanceAddress, String)> {
        let _ = instances;
        Vec::new()
    }

    /// What the cluster will not take of changes. It asks no more than it has to, and not at all where there are none.
    async fn doubts(&self, changes: &[ApplyRequest]) -> Doubts {
        let _ = changes;
        Doubts::default()
    }

    /// Makes one change and returns the values afterwards, wholly known (`None` after a delete). Each task is handed
    /// to `progress` as soon as its UPID is known, and each step when it is done; both are durable when they return.
    ///
    /// # Errors
    /// With what is left in [`ProviderError::left`].
    async fn apply(
        &self,
        request: ApplyRequest,
        progress: &dyn ActionProgress,
    ) -> Result<Option<Value>, ProviderError>;

    /// Finds out what became of an action without a result: by its tasks, else by the object and its marker. Waits
    /// for tasks that still run. Changes nothing. `identity` is what told the object from another one with its id before,
    /// `prior` what was known of it: what an update was to remove and may not have removed is still there.
    ///
    /// # Errors
    /// When the cluster cannot be asked; the action then stays open.
    async fn recover(
        &self,
        open: &OpenAction,
        identity: Option<&str>,
        prior: Option<&Value>,
    ) -> Result<Recovery, ProviderError>;

    /// What is left of an object that cannot be read any more and whose destruction broke off behind these steps: its
    /// deletion may be staged and not applied. `None` when it is gone.
    ///
    /// # Errors
    /// When it cannot be told.
    async fn remains(&self, request: ReadRequest, done: &[String]) -> Result<Option<Value>, ProviderError> {
        let _ = (request, done);
        Ok(None)
    }

    /// Reads an existing object, for an instance, by the id that users import it by.
    ///
    /// # Errors
    /// When there is none or the id is malformed.
    async fn import(
        &self,
        address: &InstanceAddress,
        provider: &str,
        id: &str,
    ) -> Result<Value, ProviderError>;
}

/// Takes what an action reports while it runs.
#[async_trait]
pub trait ActionProgress: Send + Sync {
    /// A task was submitted. Durable on return.
    ///
    /// # Errors
    /// When it could not be recorded: the action must send no further request.
    async fn task_submitted(&self, step: &str, upid: &str) -> Result<(), ProviderError>;

    /// A step was completed. Durable on return.
    ///
    /// # Errors
    /// When it could not be recorded: the action must send no further request.
    async fn step_completed(&self, step: &str) -> Result<(), ProviderError>;

    /// The change is staged, and reads back as `value` (`None` for a delete): the steps of its round that need it may
    /// begin. Returns when all others of the batch are staged too, as far as they will be, and those that it needs are
    /// at their end: what is staged is to be applied now. Whether that is the whole batch: otherwise something of it
    /// failed, or will not begin.
    async fn staged(&self, value: Option<&Value>) -> bool {
        let _ = value;
        true
    }

    /// A line for the screen, for instance a percentage.
    fn status(&self, text: &str);

    /// Whether the run was interrupted: finish what cannot be left, start no further step.
    fn is_cancelled(&self) -> bool;
}

/// Why something could not be recorded.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct JournalError {
    /// What failed.
    pub message: String,
    /// Whether another writer has taken over: nothing more may be sent.
    pub lost: bool,
}

/// Makes events durable, in order. Concurrent calls are committed together.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends one event. Durable on return.
    ///
    /// # Errors
    /// When it is not known to be durable.
    async fn record(&self, payload: Payload) -> Result<(), JournalError>;
}

/// Why a provisioner failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProvisionError {
    /// What failed. It goes to the log: it has nothing of the arguments and nothing of the output.
    pub message: String,
    /// Why, with paths and the like from the arguments: not told when something of them is sensitive.
    pub detail: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
}

/// Takes what a provisioner prints, from several tasks at once.
pub trait ProvisionOutput: Send + Sync {
    /// One line, without its end.
    fn line(&self, text: &str);
}

/// Runs provisioners.
#[async_trait]
pub trait Provisioners: Send + Sync {
    /// Runs one to its end.
    ///
    /// # Errors
    /// When it did not do all of what it was asked; how much it did is not known.
    async fn run(&self, provision: &Provision, output: &dyn ProvisionOutput) -> Result<(), ProvisionError>;
}

/// What is to be done in one step, with everything that is known by now.
#[derive(Clone, Debug)]
pub struct ResolvedStep {
    /// The values before, for update and delete.
    pub prior: Option<Value>,
    /// The values wanted, for create and update.
    pub planned: Option<Value>,
    /// The configured values, for create, update and read.
    pub config: Option<Value>,
    /// What told the object from another one with its id when it was known last, for update and delete.
    pub identity: Option<String>,
    /// What is secret of all these, by its marks and by the schema.
    pub secrets: Redaction,
}

/// Completes planned values during apply: what was unknown in the plan becomes known step by step.
pub trait Resolver: Send {
    /// The values of a step whose predecessors are all done.
    ///
    /// # Errors
    /// With rendered text when an expression or condition fails, or when the result contradicts the plan.
    fn resolve(&mut self, step: &Step) -> Result<ResolvedStep, String>;

    /// Takes in the outcome of a step. Returns the record to be kept, `None` after a delete.
    ///
    /// # Errors
    /// With rendered text when a postcondition fails.
    fn completed(&mut self, step: &Step, after: Option<&Value>) -> Result<Option<InstanceRecord>, String>;

    /// A provisioner of a step, by its place in the block, evaluated now. `made` is the object after a create.
    ///
    /// # Errors
    /// With rendered text when its arguments cannot be evaluated.
    fn provision(&self, step: &Step, place: usize, made: Option<&Value>) -> Result<Provision, String>;

    /// The record for what a failed step left.
    fn left(&mut self, step: &Step, left: &Value) -> InstanceRecord;
}
