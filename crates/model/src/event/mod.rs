//! Events: everything that `pve` knows to have happened, in the order in which it became durable.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::address::InstanceAddress;
use crate::provisioner::ProvisionerKind;
use crate::state::{InstanceRecord, OutputRecord};

mod form;

/// The newest version of the payloads that this program writes and reads.
pub const PAYLOAD_VERSION: u32 = 1;

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

/// What one step of a plan does to one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make it.
    Create,
    /// Change it in place.
    Update,
    /// Destroy it.
    Delete,
    /// Read a data source.
    Read,
    /// Take it out of the state, not out of the cluster.
    Forget,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Everything was done.
    Succeeded,
    /// Something failed; the rest was done as far as it could be.
    Failed,
    /// The user stopped it.
    Interrupted,
}

/// The guest or file that an action is about, reserved before the request goes out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The node that the requests go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The VMID that it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// The text left on the guest so that it can be recognised; empty where the kind has no place for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
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

/// What a run records as its cluster when it uses none.
pub const NO_CLUSTER: &str = "none";

/// See [`Payload::RunStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// `apply`, `destroy`, `refresh` ...
    pub command: String,
    /// The environment.
    pub environment: String,
    /// The cluster: its endpoint (several with `, ` between them), `simulator`, or [`NO_CLUSTER`].
    pub cluster: String,
    /// Where the log is, if that is a place of its own: a copy of it elsewhere is another log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// See [`Payload::RunFinished`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    /// How it ended.
    pub result: RunResult,
    /// Actions done, by operation.
    pub done: BTreeMap<Operation, u64>,
    /// Actions that failed or did not start.
    pub failed: u64,
}

/// See [`Payload::ConfigurationRecorded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRecorded {
    /// SHA-256 over paths and contents, in hex.
    pub digest: String,
    /// Contents by path relative to the root module. Base64 where a file is no UTF-8.
    pub files: BTreeMap<String, String>,
}

/// See [`Payload::PlanApproved`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanApproved {
    /// SHA-256 of the plan, in hex.
    pub digest: String,
    /// The configuration that it was made from.
    pub configuration: String,
    /// Changes by operation.
    pub changes: BTreeMap<Operation, u64>,
}

/// See [`Payload::ActionIntended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionIntended {
    /// Names the action in the events that follow.
    pub action: Uuid,
    /// The instance.
    pub address: InstanceAddress,
    /// Which deposed object of it, if not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    /// What is done.
    pub operation: Operation,
    /// The provider configuration, for instance `proxmox` or `proxmox.second`.
    pub provider: String,
    /// What it claims.
    #[serde(default)]
    pub claim: Claim,
    /// What is wanted, as far as it is known: typed by the kind's schema.
    pub planned: Json,
    /// Paths of sensitive values in `planned`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<crate::path::Path>,
    /// Whether the present object becomes a deposed one of this name first (replacement, create before destroy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depose_as: Option<String>,
    /// What the new object depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<crate::address::ResourceAddress>,
    /// Whether the new object is replaced by creating first.
    #[serde(default)]
    pub create_before_destroy: bool,
    /// How many provisioners run: after the request of a create, before that of a delete.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub provisioners: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// See [`Payload::TaskSubmitted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSubmitted {
    /// The action.
    pub action: Uuid,
    /// The step, for instance `clone`, `resize scsi0`.
    pub step: String,
    /// The task.
    pub upid: String,
}

/// See [`Payload::StepCompleted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCompleted {
    /// The action.
    pub action: Uuid,
    /// The step.
    pub step: String,
}

/// See [`Payload::ProvisionerStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvisionerStarted {
    /// The action.
    pub action: Uuid,
    /// Its place in the block, from 0.
    pub place: usize,
    /// What runs.
    pub kind: ProvisionerKind,
    /// With the first provisioner of a create: the object as it was made, tainted until all have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<InstanceRecord>,
}

/// See [`Payload::ProvisionerPassed`]. A provisioner that ends the action is told by [`ActionFailed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvisionerPassed {
    /// The action.
    pub action: Uuid,
    /// Its place in the block, from 0.
    pub place: usize,
    /// Why it failed, without secrets, when that is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// See [`Payload::ActionSucceeded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionSucceeded {
    /// The action.
    pub action: Uuid,
    /// The instance as it now is; `None` when it is gone.
    pub record: Option<InstanceRecord>,
}

/// See [`Payload::ActionFailed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionFailed {
    /// The action.
    pub action: Uuid,
    /// Why, without secrets.
    pub error: String,
    /// What is left of a create or was changed by an update; `None` leaves the state as it was.
    pub record: Option<InstanceRecord>,
}

/// See [`Payload::ActionIndeterminate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionIndeterminate {
    /// The action.
    pub action: Uuid,
    /// What is not known and how the user can find out.
    pub reason: String,
}

/// See [`Payload::InstanceObserved`] and [`Payload::InstanceImported`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceObserved {
    /// The instance.
    pub address: InstanceAddress,
    /// Which deposed object, if not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    /// As it was read.
    pub record: InstanceRecord,
}

/// See [`Payload::InstanceGone`] and [`Payload::InstanceForgotten`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRemoved {
    /// The instance.
    pub address: InstanceAddress,
    /// Which deposed object, if not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
}

/// See [`Payload::InstanceMoved`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceMoved {
    /// The address before.
    pub from: InstanceAddress,
    /// The address after.
    pub to: InstanceAddress,
}

/// See [`Payload::InstanceTainted`] and [`Payload::InstanceUntainted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceMarked {
    /// The instance.
    pub address: InstanceAddress,
}

/// See [`Payload::OutputsRecorded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputsRecorded {
    /// By name.
    pub outputs: BTreeMap<String, OutputRecord>,
}

/// See [`Payload::LeaseTakenOver`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseTakenOver {
    /// The holder that lost it.
    pub from: String,
    /// The epoch of the new lease.
    pub epoch: u64,
}

/// See [`Payload::LogMoved`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogMoved {
    /// The other place.
    pub place: String,
    /// Whether this is the log that goes on; otherwise nothing follows here.
    pub arrived: bool,
    /// Where it goes on, as runs record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<String>,
}

/// See [`Payload::EventsMerged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventsMerged {
    /// The event that they were to follow.
    pub after: u64,
    /// How many of them became events in front of this one.
    pub taken_in: u64,
    /// Those that say nothing any more, as they were.
    pub passed_over: Vec<PassedOver>,
}

/// An event that was kept and came too late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassedOver {
    /// UUIDv7.
    pub id: Uuid,
    /// When it was made.
    pub time: Timestamp,
    /// The run.
    pub run: Uuid,
    /// What happened.
    pub payload: Payload,
}

/// See [`Payload::KeysChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeysChanged {
    /// Counts the log's keyrings.
    pub revision: u64,
    /// What was done, for instance `removed bob`.
    pub change: String,
    /// Who can open what comes.
    pub recipients: Vec<String>,
}

/// See [`Payload::Unknown`].
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownPayload {
    /// The kind as it was written.
    pub kind: String,
    /// The version as it was written.
    pub version: u32,
    /// The content as it was written.
    pub body: Json,
}
