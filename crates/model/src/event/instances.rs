//! Events of instances that no action made, and of outputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address::InstanceAddress;
use crate::state::{InstanceRecord, OutputRecord};

/// See [`Payload::InstanceObserved`](super::Payload::InstanceObserved) and [`Payload::InstanceImported`](super::Payload::InstanceImported).
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

/// See [`Payload::InstanceGone`](super::Payload::InstanceGone) and [`Payload::InstanceForgotten`](super::Payload::InstanceForgotten).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRemoved {
    /// The instance.
    pub address: InstanceAddress,
    /// Which deposed object, if not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
}

/// See [`Payload::InstanceMoved`](super::Payload::InstanceMoved).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceMoved {
    /// The address before.
    pub from: InstanceAddress,
    /// The address after.
    pub to: InstanceAddress,
}

/// See [`Payload::InstanceTainted`](super::Payload::InstanceTainted) and [`Payload::InstanceUntainted`](super::Payload::InstanceUntainted).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceMarked {
    /// The instance.
    pub address: InstanceAddress,
}

/// See [`Payload::InstanceRestored`](super::Payload::InstanceRestored).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRestored {
    /// The instance.
    pub address: InstanceAddress,
    /// The name that the object had while it was deposed; what stood in its place has it now.
    pub deposed: String,
}

/// See [`Payload::OutputsRecorded`](super::Payload::OutputsRecorded).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputsRecorded {
    /// By name.
    pub outputs: BTreeMap<String, OutputRecord>,
}
