//! The form in which payloads are written: a kind, a version and a body.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{PAYLOAD_VERSION, Payload, UnknownPayload};

/// The form in which payloads are written: a kind, a version and a body.
#[derive(Serialize, Deserialize)]
struct Envelope {
    kind: String,
    version: u32,
    body: Json,
}

macro_rules! payload_kinds {
    ($($variant:ident => $name:literal),* $(,)?) => {
        impl Payload {
            /// The kind as it is written.
            pub fn kind(&self) -> &str {
                match self {
                    $(Payload::$variant(_) => $name,)*
                    Payload::Unknown(unknown) => &unknown.kind,
                }
            }
        }

        impl Serialize for Payload {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let (version, body) = match self {
                    $(Payload::$variant(body) => {
                        (PAYLOAD_VERSION, serde_json::to_value(body).map_err(serde::ser::Error::custom)?)
                    })*
                    Payload::Unknown(unknown) => (unknown.version, unknown.body.clone()),
                };
                Envelope { kind: self.kind().to_string(), version, body }.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for Payload {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
                let envelope = Envelope::deserialize(deserializer)?;
                let unknown = |envelope: Envelope| Payload::Unknown(UnknownPayload {
                    kind: envelope.kind, version: envelope.version, body: envelope.body,
                });
                if envelope.version > PAYLOAD_VERSION {
                    return Ok(unknown(envelope));
                }
                match envelope.kind.as_str() {
                    $($name => serde_json::from_value(envelope.body)
                        .map(Payload::$variant)
                        .map_err(serde::de::Error::custom),)*
                    _ => Ok(unknown(envelope)),
                }
            }
        }
    };
}

payload_kinds! {
    RunStarted => "run_started",
    RunFinished => "run_finished",
    ConfigurationRecorded => "configuration_recorded",
    PlanApproved => "plan_approved",
    ActionIntended => "action_intended",
    TaskSubmitted => "task_submitted",
    StepCompleted => "step_completed",
    ProvisionerStarted => "provisioner_started",
    ProvisionerPassed => "provisioner_passed",
    ActionSucceeded => "action_succeeded",
    ActionFailed => "action_failed",
    ActionIndeterminate => "action_indeterminate",
    InstanceObserved => "instance_observed",
    InstanceGone => "instance_gone",
    InstanceImported => "instance_imported",
    InstanceMoved => "instance_moved",
    InstanceForgotten => "instance_forgotten",
    InstanceTainted => "instance_tainted",
    InstanceUntainted => "instance_untainted",
    InstanceRestored => "instance_restored",
    OutputsRecorded => "outputs_recorded",
    LeaseTakenOver => "lease_taken_over",
    LogMoved => "log_moved",
    EventsMerged => "events_merged",
    KeysChanged => "keys_changed",
}
