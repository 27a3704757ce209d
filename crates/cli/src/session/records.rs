//! What the state has of the objects that recovery looks for.

use pve_executor::Records;
use pve_executor::ports::{Provider, ReadRequest};
use pve_model::codec::{encode, from_plain_json};
use pve_model::event::{ActionIntended, Operation};
use pve_model::rules::RulesRegistry as _;
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, Value};
use pve_planner::resolution::recorded_value;

use crate::workspace::Workspace;

/// What the state has of the objects that recovery looks for.
pub struct StateRecords<'a> {
    /// The configuration.
    pub workspace: &'a Workspace,
    /// The state before recovery.
    pub state: &'a State,
}

/// Lets the provider take note of what the log has of every object, whatever a plan is about: what earlier runs have left
/// staged is told from what others have by it.
pub fn recall(workspace: &Workspace, state: &State, provider: &dyn Provider) {
    let request = |address: &InstanceAddress, provider: &str, prior: Value| ReadRequest {
        address: address.clone(),
        provider: provider.to_string(),
        prior,
        identity: None,
    };
    for (address, instance) in &state.instances {
        let Some(rules) = workspace.registry.resource(&address.resource.kind) else { continue };
        for record in instance.current.iter().chain(instance.deposed.values()) {
            let prior = recorded_value(record, rules).unmark_deep().0;
            provider.recall(&request(address, &record.provider, prior), false);
        }
    }
    let records = StateRecords { workspace, state };
    for open in &state.open_actions {
        let intent = &open.intent;
        let wanted = from_plain_json(&intent.planned);
        for values in records.known(intent).into_iter().chain([wanted]) {
            provider.recall(&request(&intent.address, &intent.provider, values), true);
        }
    }
}

impl StateRecords<'_> {
    fn record(&self, intent: &ActionIntended) -> Option<&InstanceRecord> {
        let instance = self.state.instances.get(&intent.address)?;
        match &intent.deposed {
            Some(name) => instance.deposed.get(name),
            None => instance.current.as_ref(),
        }
    }
}

impl Records for StateRecords<'_> {
    fn known(&self, intent: &ActionIntended) -> Option<Value> {
        let rules = self.workspace.registry.resource(&intent.address.resource.kind)?;
        Some(recorded_value(self.record(intent)?, rules).unmark_deep().0)
    }

    fn identity(&self, intent: &ActionIntended) -> Option<String> {
        // What a create makes has nothing of what was there before.
        let known = self.record(intent).filter(|_| intent.operation != Operation::Create);
        known?.identity.clone()
    }

    fn successor(&self, intent: &ActionIntended) -> Option<InstanceAddress> {
        let registry = &self.workspace.registry;
        let id = |kind: &str, record: &InstanceRecord| {
            let rules = registry.resource(kind)?;
            registry.guest_id(kind, &recorded_value(record, rules).unmark_deep().0)
        };
        let wanted = id(&intent.address.resource.kind, self.record(intent)?)?;
        let others = self.state.instances.iter().filter(|(address, _)| **address != intent.address);
        let mut others = others.filter_map(|(address, instance)| Some((address, instance.current.as_ref()?)));
        let other = others.find(|(address, record)| {
            record.provider == intent.provider && id(&address.resource.kind, record) == Some(wanted)
        });
        other.map(|(address, _)| address.clone())
    }

    fn made(&self, intent: &ActionIntended, value: &Value) -> InstanceRecord {
        let made = recovered_record(self.workspace, intent, value);
        // The intent of a delete tells nothing of what it is about.
        match self.record(intent).filter(|_| intent.operation == Operation::Delete) {
            Some(known) => InstanceRecord { values: made.values, ..known.clone() },
            None => made,
        }
    }
}

fn recovered_record(workspace: &Workspace, intent: &ActionIntended, value: &Value) -> InstanceRecord {
    let rules = workspace.registry.resource(&intent.address.resource.kind);
    InstanceRecord {
        provider: intent.provider.clone(),
        schema_version: rules.map_or(0, |rules| rules.schema().version),
        values: match rules {
            Some(rules) => encode(value, &rules.schema().block.implied_type()),
            None => pve_model::codec::to_plain_json(value),
        },
        sensitive: intent.sensitive.clone(),
        dependencies: intent.dependencies.clone(),
        create_before_destroy: intent.create_before_destroy,
        keep: false,
        tainted: false,
        identity: None,
        unspoken: None,
    }
}
