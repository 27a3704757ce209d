//! Events of actions: what a run is about to do to one instance, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::address::{InstanceAddress, ResourceAddress};
use crate::path::Path;
use crate::provisioner::ProvisionerKind;
use crate::state::InstanceRecord;

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

/// See [`Payload::ActionIntended`](super::Payload::ActionIntended).
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
    pub sensitive: Vec<Path>,
    /// Whether the present object becomes a deposed one of this name first (replacement, create before destroy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depose_as: Option<String>,
    /// What the new object depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ResourceAddress>,
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

/// See [`Payload::TaskSubmitted`](super::Payload::TaskSubmitted).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSubmitted {
    /// The action.
    pub action: Uuid,
    /// The step, for instance `clone`, `resize scsi0`.
    pub step: String,
    /// The task.
    pub upid: String,
}

/// See [`Payload::StepCompleted`](super::Payload::StepCompleted).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCompleted {
    /// The action.
    pub action: Uuid,
    /// The step.
    pub step: String,
}

/// See [`Payload::ProvisionerStarted`](super::Payload::ProvisionerStarted).
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

/// See [`Payload::ProvisionerPassed`](super::Payload::ProvisionerPassed). A provisioner that ends the action is told by [`ActionFailed`].
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

/// See [`Payload::ActionSucceeded`](super::Payload::ActionSucceeded).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionSucceeded {
    /// The action.
    pub action: Uuid,
    /// The instance as it now is; `None` when it is gone.
    pub record: Option<InstanceRecord>,
}

/// See [`Payload::ActionFailed`](super::Payload::ActionFailed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionFailed {
    /// The action.
    pub action: Uuid,
    /// Why, without secrets.
    pub error: String,
    /// What is left of a create or was changed by an update; `None` leaves the state as it was.
    pub record: Option<InstanceRecord>,
}

/// See [`Payload::ActionIndeterminate`](super::Payload::ActionIndeterminate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionIndeterminate {
    /// The action.
    pub action: Uuid,
    /// What is not known and how the user can find out.
    pub reason: String,
}
