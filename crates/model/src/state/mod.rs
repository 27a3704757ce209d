//! State: the projection of the log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::address::{InstanceAddress, ResourceAddress};
use crate::event::{ActionIntended, Event, NO_CLUSTER, Operation, Payload};
use crate::path::Path;
use crate::types::Type;

/// The form in which a projection is kept. What another version kept lacks fields or has others: it is passed over, and the
/// events are read. Raise it with every change of [`State`] and what it holds.
pub const FORM: u32 = 3;

/// One object in the cluster as it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The provider configuration that manages it, for instance `proxmox`.
    pub provider: String,
    /// The version of the schema that `values` follow.
    pub schema_version: u64,
    /// Its attributes, encoded by the kind's type (see `codec::encode`).
    pub values: Json,
    /// Where sensitive values are, beside those that the schema states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<Path>,
    /// The resources that it depended on when it was last applied; decides the order of destruction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ResourceAddress>,
    /// Whether a replacement is created before it is destroyed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_before_destroy: bool,
    /// Whether it is taken out of the state rather than destroyed (`destroy = false`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// Whether it must be replaced, because its creation failed in a way that cannot be continued.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tainted: bool,
    /// What tells it from another object with its id, where the cluster has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What it has that no value tells, as it was last read: options by their names. `None` where that was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unspoken: Option<BTreeMap<String, String>>,
}

/// What is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceState {
    /// The present object.
    pub current: Option<InstanceRecord>,
    /// Objects that were replaced and not destroyed yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deposed: BTreeMap<String, InstanceRecord>,
}

/// An output of the root module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its value, encoded by its type.
    pub value: Json,
    /// Its type.
    pub ty: Type,
    /// Whether it is never shown.
    #[serde(default)]
    pub sensitive: bool,
}

/// An action whose result is not in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAction {
    /// What was intended.
    pub intent: ActionIntended,
    /// The tasks it submitted, in order: step and UPID.
    pub tasks: Vec<(String, String)>,
    /// The steps it completed, in order.
    pub completed: Vec<String>,
    /// When it was intended, in seconds since 1970 by the writer's clock.
    pub since: i64,
    /// How many of its provisioners have passed.
    #[serde(default)]
    pub provisioned: u64,
    /// The object as it was made, once its provisioners began to run.
    #[serde(default)]
    pub made: Option<InstanceRecord>,
    /// Why a run could not resolve it, if one tried.
    pub indeterminate: Option<String>,
}

/// The projection of a log up to some event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The sequence of the last event taken in; 0 for an empty log.
    pub sequence: u64,
    /// The cluster that the log is about.
    pub cluster: Option<String>,
    /// Every endpoint that it was reached by since there has been something to manage.
    #[serde(default)]
    pub endpoints: BTreeSet<String>,
    /// What is managed.
    pub instances: BTreeMap<InstanceAddress, InstanceState>,
    /// Outputs of the root module.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// Actions without a result, in the order of their intents.
    pub open_actions: Vec<OpenAction>,
    /// The digest of the configuration last recorded.
    pub configuration: Option<String>,
    /// Where the log was moved to: it goes on there, not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// Where the log is, as its last run recorded it; `None` on a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// By what names the store of that place was reached; empty while nobody recorded one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stores: BTreeSet<String>,
}

/// Why an event cannot be taken into a projection. The projection must stop, it never guesses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// An event of a newer program.
    #[error("event {sequence} is a {kind:?} of version {version}, which this version of pve does not know")]
    UnknownKind {
        /// The event.
        sequence: u64,
        /// Its kind.
        kind: String,
        /// The version of its payload.
        version: u32,
    },
    /// An event is missing.
    #[error("event {found} follows event {after}: the log has a gap")]
    Gap {
        /// The last event taken in.
        after: u64,
        /// The event that came.
        found: u64,
    },
    /// A result without an intent.
    #[error("event {sequence} is about action {action}, which is not open")]
    NoSuchAction {
        /// The event.
        sequence: u64,
        /// The action.
        action: Uuid,
    },
    /// A move from an address that has nothing or to one that has something.
    #[error("event {sequence} moves {from} to {to}, which does not fit the state before it")]
    ImpossibleMove {
        /// The event.
        sequence: u64,
        /// The address before.
        from: Box<InstanceAddress>,
        /// The address after.
        to: Box<InstanceAddress>,
    },
    /// A deposed object that is not there is the present one again.
    #[error("event {sequence} takes back an object of {address} that the state before it does not have")]
    NothingDeposed {
        /// The event.
        sequence: u64,
        /// The instance.
        address: Box<InstanceAddress>,
    },
}

impl State {
    /// The state after all of `events`.
    ///
    /// # Errors
    /// At the first event that cannot be taken in.
    pub fn project<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<State, ProjectionError> {
        let mut state = State::default();
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// When the event is of a newer program, leaves a gap, or does not fit what came before.
    pub fn apply(&mut self, event: &Event) -> Result<(), ProjectionError> {
        let sequence = event.sequence;
        if sequence != self.sequence + 1 {
            return Err(ProjectionError::Gap { after: self.sequence, found: sequence });
        }
        match &event.payload {
            Payload::RunStarted(started) => {
                self.start(&started.cluster);
                // A run that was kept and pushed late may be of where the log was before.
                self.place = self.place.take().or_else(|| started.place.clone());
                if self.place == started.place {
                    self.stores.extend(started.store.clone());
                }
            }
            Payload::RunFinished(_)
            | Payload::PlanApproved(_)
            | Payload::LeaseTakenOver(_)
            | Payload::KeysChanged(_)
            | Payload::EventsMerged(_) => {}
            Payload::LogMoved(moved) => {
                self.moved_to = (!moved.arrived).then(|| moved.place.clone());
                self.place.clone_from(&moved.here);
                self.stores = moved.stores.iter().cloned().collect();
            }
            Payload::ConfigurationRecorded(recorded) => self.configuration = Some(recorded.digest.clone()),
            Payload::ActionIntended(intent) => self.intend(intent, event.time.as_second()),
            Payload::TaskSubmitted(task) => {
                let open = self.open_action(task.action, sequence)?;
                open.tasks.push((task.step.clone(), task.upid.clone()));
            }
            Payload::StepCompleted(step) => {
                self.open_action(step.action, sequence)?.completed.push(step.step.clone());
            }
            Payload::ProvisionerStarted(started) => {
                let open = self.open_action(started.action, sequence)?;
                if let Some(record) = &started.record {
                    open.made = Some(record.clone());
                    let address = open.intent.address.clone();
                    let tainted = InstanceRecord { tainted: true, ..record.clone() };
                    self.set(&address, None, Some(tainted));
                }
            }
            Payload::ProvisionerPassed(passed) => {
                self.open_action(passed.action, sequence)?.provisioned += 1;
            }
            Payload::ActionSucceeded(succeeded) => {
                let open = self.close(succeeded.action, sequence)?;
                self.set(&open.intent.address, open.intent.deposed.as_deref(), succeeded.record.clone());
            }
            Payload::ActionFailed(failed) => {
                let open = self.close(failed.action, sequence)?;
                self.fail(&open.intent, failed.record.clone());
            }
            Payload::ActionIndeterminate(unclear) => {
                self.open_action(unclear.action, sequence)?.indeterminate = Some(unclear.reason.clone());
            }
            Payload::InstanceObserved(seen) | Payload::InstanceImported(seen) => {
                self.set(&seen.address, seen.deposed.as_deref(), Some(seen.record.clone()));
            }
            Payload::InstanceGone(gone) | Payload::InstanceForgotten(gone) => {
                self.set(&gone.address, gone.deposed.as_deref(), None);
            }
            Payload::InstanceMoved(moved) => self.rename(&moved.from, &moved.to, sequence)?,
            Payload::InstanceTainted(marked) => self.mark_tainted(&marked.address, true),
            Payload::InstanceUntainted(marked) => self.mark_tainted(&marked.address, false),
            Payload::InstanceRestored(restored) => {
                if !self.restore(&restored.address, &restored.deposed) {
                    return Err(ProjectionError::NothingDeposed {
                        sequence,
                        address: Box::new(restored.address.clone()),
                    });
                }
            }
            Payload::OutputsRecorded(recorded) => self.outputs = recorded.outputs.clone(),
            Payload::Unknown(unknown) => {
                return Err(ProjectionError::UnknownKind {
                    sequence,
                    kind: unknown.kind.clone(),
                    version: unknown.version,
                });
            }
        }
        self.sequence = sequence;
        Ok(())
    }

    /// The present object at an address.
    pub fn current(&self, address: &InstanceAddress) -> Option<&InstanceRecord> {
        self.instances.get(address)?.current.as_ref()
    }

    /// Makes a deposed object the present one, and the present one deposed under the same name. Whether there is such an
    /// object.
    #[must_use]
    pub fn restore(&mut self, address: &InstanceAddress, deposed: &str) -> bool {
        let Some(instance) = self.instances.get_mut(address) else { return false };
        let Some(restored) = instance.deposed.remove(deposed) else { return false };
        if let Some(replaced) = instance.current.replace(restored) {
            instance.deposed.insert(deposed.to_string(), replaced);
        }
        true
    }

    fn intend(&mut self, intent: &ActionIntended, since: i64) {
        if let Some(name) = &intent.depose_as
            && let Some(instance) = self.instances.get_mut(&intent.address)
            && let Some(current) = instance.current.take()
        {
            instance.deposed.insert(name.clone(), current);
        }
        self.open_actions.push(OpenAction {
            intent: intent.clone(),
            tasks: Vec::new(),
            completed: Vec::new(),
            since,
            provisioned: 0,
            made: None,
            indeterminate: None,
        });
    }

    /// A failed action changes the state only by what it is known to have left. A failed create that left nothing
    /// brings a deposed object back as the current one.
    fn fail(&mut self, intent: &ActionIntended, record: Option<InstanceRecord>) {
        if record.is_some() {
            self.set(&intent.address, intent.deposed.as_deref(), record);
        } else if let Some(name) = &intent.depose_as
            && intent.operation == Operation::Create
            && let Some(instance) = self.instances.get_mut(&intent.address)
            && instance.current.is_none()
        {
            instance.current = instance.deposed.remove(name);
        }
    }

    fn start(&mut self, cluster: &str) {
        if self.instances.is_empty() && self.open_actions.is_empty() {
            self.endpoints.clear();
        }
        self.endpoints.extend(cluster.split(", ").filter(|name| *name != NO_CLUSTER).map(String::from));
        self.cluster = Some(cluster.to_string());
    }

    fn open_action(&mut self, action: Uuid, sequence: u64) -> Result<&mut OpenAction, ProjectionError> {
        self.open_actions
            .iter_mut()
            .find(|open| open.intent.action == action)
            .ok_or(ProjectionError::NoSuchAction { sequence, action })
    }

    fn close(&mut self, action: Uuid, sequence: u64) -> Result<OpenAction, ProjectionError> {
        let at = self
            .open_actions
            .iter()
            .position(|open| open.intent.action == action)
            .ok_or(ProjectionError::NoSuchAction { sequence, action })?;
        Ok(self.open_actions.remove(at))
    }

    fn set(&mut self, address: &InstanceAddress, deposed: Option<&str>, record: Option<InstanceRecord>) {
        let instance = self.instances.entry(address.clone()).or_default();
        match (deposed, record) {
            (None, record) => instance.current = record,
            (Some(name), Some(record)) => {
                instance.deposed.insert(name.to_string(), record);
            }
            (Some(name), None) => {
                instance.deposed.remove(name);
            }
        }
        if instance.current.is_none() && instance.deposed.is_empty() {
            self.instances.remove(address);
        }
    }

    fn mark_tainted(&mut self, address: &InstanceAddress, tainted: bool) {
        let instance = self.instances.get_mut(address);
        if let Some(current) = instance.and_then(|instance| instance.current.as_mut()) {
            current.tainted = tainted;
        }
    }

    fn rename(
        &mut self,
        from: &InstanceAddress,
        to: &InstanceAddress,
        sequence: u64,
    ) -> Result<(), ProjectionError> {
        let impossible = || ProjectionError::ImpossibleMove {
            sequence,
            from: Box::new(from.clone()),
            to: Box::new(to.clone()),
        };
        if self.instances.contains_key(to) {
            return Err(impossible());
        }
        let instance = self.instances.remove(from).ok_or_else(impossible)?;
        self.instances.insert(to.clone(), instance);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
