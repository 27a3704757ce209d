//! A state as Terraform's state JSON.

use std::collections::BTreeMap;

use pve_model::codec::{decode, to_plain_json};
use pve_model::state::{InstanceRecord, OutputRecord, State};
use pve_model::{InstanceAddress, Value};
use serde_json::{Map, Value as Json, json};

use super::parts::{known_parts, module_tree, naming, sensitive_parts};
use super::versions::{LANGUAGE_VERSION, STATE_FORMAT};

/// The state as JSON, with data sources that were read beside it.
pub fn state_json(
    state: &State,
    data: &BTreeMap<InstanceAddress, Value>,
    provider_name: &dyn Fn(&str) -> String,
    decode_record: &dyn Fn(&InstanceAddress, &InstanceRecord) -> Value,
) -> Json {
    let mut resources: Vec<(InstanceAddress, Json)> = Vec::new();
    for (address, instance) in &state.instances {
        let objects = instance.current.iter().map(|record| (None, record));
        let objects = objects.chain(instance.deposed.iter().map(|(name, record)| (Some(name), record)));
        for (deposed, record) in objects {
            let value = decode_record(address, record);
            let mut fields = resource(address, &value, record.schema_version, provider_name);
            if let Some(name) = deposed {
                fields.insert("deposed_key".into(), json!(name));
            }
            if record.tainted {
                fields.insert("tainted".into(), json!(true));
            }
            if !record.dependencies.is_empty() {
                let names: Vec<String> = record.dependencies.iter().map(ToString::to_string).collect();
                fields.insert("depends_on".into(), json!(names));
            }
            resources.push((address.clone(), Json::Object(fields)));
        }
    }
    for (address, value) in data {
        resources.push((address.clone(), Json::Object(resource(address, value, 0, provider_name))));
    }
    let mut fields = Map::new();
    fields.insert("format_version".into(), json!(STATE_FORMAT));
    if !resources.is_empty() || !state.outputs.is_empty() {
        let values = json!({"outputs": output_json(&state.outputs), "root_module": module_tree(&resources)});
        fields.insert("terraform_version".into(), json!(LANGUAGE_VERSION));
        fields.insert("values".into(), values);
    }
    Json::Object(fields)
}

fn resource(
    address: &InstanceAddress,
    value: &Value,
    schema_version: u64,
    provider_name: &dyn Fn(&str) -> String,
) -> Map<String, Json> {
    let mut fields = naming(address);
    fields.insert("provider_name".into(), json!(provider_name(&address.resource.kind)));
    fields.insert("schema_version".into(), json!(schema_version));
    fields.insert("values".into(), known_parts(value));
    fields.insert("sensitive_values".into(), sensitive_parts(value));
    fields
}

/// Outputs as `{name: {sensitive, type, value}}`, as `output -json` prints them.
pub fn output_json(outputs: &BTreeMap<String, OutputRecord>) -> Json {
    let entries: Map<String, Json> = outputs
        .iter()
        .map(|(name, output)| {
            let value = decode(&output.value, &output.ty).map_or(Json::Null, |value| to_plain_json(&value));
            (
                name.clone(),
                json!({"sensitive": output.sensitive, "type": output.ty.to_json(), "value": value}),
            )
        })
        .collect();
    Json::Object(entries)
}
