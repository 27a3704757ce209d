//! Events: everything that `pve` knows to have happened, in the order in which it became durable.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod actions;
mod form;
mod instances;
mod logs;
mod runs;

pub use self::actions::{
    ActionFailed, ActionIndeterminate, ActionIntended, ActionSucceeded, Claim, Operation, ProvisionerPassed,
    ProvisionerStarted, StepCompleted, TaskSubmitted,
};
pub use self::instances::{
    InstanceMarked, InstanceMoved, InstanceObserved, InstanceRemoved, InstanceRestored, OutputsRecorded,
};
pub use self::logs::{EventsMerged, KeysChanged, LeaseTakenOver, LogMoved, PassedOver, UnknownPayload};
pub use self::runs::{ConfigurationRecorded, NO_CLUSTER, PlanApproved, RunFinished, RunResult, RunStarted};

/// The newest version of the payloads that this program writes and reads. A program of before stops at a newer one: raise
/// it with each field that must not be passed over. Version 2 has names of stores and options that no value tells.
pub const PAYLOAD_VERSION: u32 = 2;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place, from 1, without gaps.
    pub sequence: u64,
    /// UUIDv7.
    pub id: Uuid,
    /// When it was written, by the writer's clock.
    pub time: Timestamp,
    /// The run that wrote it.
    pub run: Uuid,
    /// Who wrote it.
    pub actor: Actor,
    /// What happened.
    pub payload: Payload,
}

/// Who wrote an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The login name.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The version of `pve`.
    pub version: String,
}

/// What happened. Kinds are in the past tense; a kind that is not known here is kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// A run began.
    RunStarted(RunStarted),
    /// A run ended.
    RunFinished(RunFinished),
    /// The files of a configuration, by their path, kept so that recovery needs no repository.
    ConfigurationRecorded(ConfigurationRecorded),
    /// The plan that is about to be applied.
    PlanApproved(PlanApproved),
    /// An action is about to send its first request.
    ActionIntended(ActionIntended),
    /// The cluster took a request as a task.
    TaskSubmitted(TaskSubmitted),
    /// A step of an action was done.
    StepCompleted(StepCompleted),
    /// A provisioner of an action is about to run.
    ProvisionerStarted(ProvisionerStarted),
    /// A provisioner of an action ended, and the action goes on.
    ProvisionerPassed(ProvisionerPassed),
    /// An action was done.
    ActionSucceeded(ActionSucceeded),
    /// An action failed, with what is known to be left.
    ActionFailed(ActionFailed),
    /// It cannot be told whether an action happened.
    ActionIndeterminate(ActionIndeterminate),
    /// An instance was read and differs from what was known.
    InstanceObserved(InstanceObserved),
    /// An instance was found to be gone.
    InstanceGone(InstanceRemoved),
    /// An existing object was taken into the state.
    InstanceImported(InstanceObserved),
    /// An instance has another address.
    InstanceMoved(InstanceMoved),
    /// An instance was taken out of the state, not out of the cluster.
    InstanceForgotten(InstanceRemoved),
    /// An instance is to be replaced by the next apply.
    InstanceTainted(InstanceMarked),
    /// An instance is not to be replaced after all.
    InstanceUntainted(InstanceMarked),
    /// An object that was replaced and not destroyed yet is the present one again; what stood in its place is deposed.
    InstanceRestored(InstanceRestored),
    /// The outputs of the root module.
    OutputsRecorded(OutputsRecorded),
    /// Somebody took the lease from a holder that did not renew it.
    LeaseTakenOver(LeaseTakenOver),
    /// The log was moved to another place, or came from one.
    LogMoved(LogMoved),
    /// What a run kept while the log was away, or after it was overtaken, was taken in behind what others did since.
    EventsMerged(EventsMerged),
    /// Whom the log is sealed for was changed, or it was given a new key.
    KeysChanged(KeysChanged),
    /// A kind or version of a newer program.
    Unknown(UnknownPayload),
}
