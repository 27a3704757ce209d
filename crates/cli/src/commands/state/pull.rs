//! `pve state pull`: the state as Terraform's state file, version 4.

use pve_model::codec::{decode, encode, to_plain_json};
use pve_model::rules::RulesRegistry as _;
use pve_model::state::{InstanceRecord, State};
use pve_model::{InstanceAddress, InstanceKey, Path, PathStep, ResourceAddress, ResourceMode};
use serde_json::{Map, Value as Json, json};

use super::super::{decode_record, print_json, provider_name};
use crate::failure::Ended;
use crate::project::Project;
use crate::terraform_json::LANGUAGE_VERSION;

/// Prints the state.
///
/// # Errors
/// When the log cannot be read.
pub async fn run(project: &Project) -> Ended {
    let (lineage, state) = if project.has_log()? {
        let (log, state) = project.open_log().await?;
        (log.id().to_string(), state)
    } else {
        (String::new(), State::default())
    };
    print_json(&state_file(&lineage, &state))?;
    Ok(0)
}

fn state_file(lineage: &str, state: &State) -> Json {
    let mut resources: Vec<(ResourceAddress, Json)> = Vec::new();
    let registry = pve_resources::registry();
    for (address, instance) in &state.instances {
        let deposed = instance.deposed.iter().map(|(name, record)| (Some(name.as_str()), record));
        let objects = instance.current.iter().map(|record| (None, record)).chain(deposed);
        for (deposed, record) in objects {
            let marked = decode_record(&registry, address, record);
            let sensitive: Vec<Json> = marked.sensitive_paths().iter().map(sensitive_path).collect();
            let value = marked.unmark_deep().0;
            // What has no type of its own is told with one.
            let attributes = match registry.resource(&address.resource.kind) {
                Some(rules) => encode(&value, &rules.schema().block.implied_type()),
                None => to_plain_json(&value),
            };
            let object = object(address, deposed, record, attributes, &sensitive);
            match resources.last_mut().filter(|(resource, _)| *resource == address.resource) {
                Some((_, entry)) => {
                    if let Some(instances) = entry["instances"].as_array_mut() {
                        instances.push(object);
                    }
                }
                None => resources.push((address.resource.clone(), resource(address, record, object))),
            }
        }
    }
    let outputs: Map<String, Json> = state
        .outputs
        .iter()
        .map(|(name, output)| {
            let value = decode(&output.value, &output.ty).map_or(Json::Null, |value| to_plain_json(&value));
            let mut fields = json!({"value": value, "type": output.ty.to_json()});
            if output.sensitive {
                fields["sensitive"] = json!(true);
            }
            (name.clone(), fields)
        })
        .collect();
    json!({
        "version": 4,
        "terraform_version": LANGUAGE_VERSION,
        "serial": state.sequence,
        "lineage": lineage,
        "outputs": outputs,
        "resources": resources.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(),
        "check_results": null,
    })
}

fn resource(address: &InstanceAddress, record: &InstanceRecord, object: Json) -> Json {
    let source = match provider_name(&address.resource.kind) {
        name if name.starts_with("terraform.io/") => name,
        name => format!("registry.terraform.io/{name}"),
    };
    let alias = record.provider.split_once('.').map(|(_, alias)| format!(".{alias}")).unwrap_or_default();
    let mut fields = json!({
        "mode": if address.resource.mode == ResourceMode::Data { "data" } else { "managed" },
        "type": address.resource.kind,
        "name": address.resource.name,
        "provider": format!("provider[\"{source}\"]{alias}"),
        "instances": [object],
    });
    if !address.resource.module.0.is_empty() {
        fields["module"] = json!(address.resource.module.to_string());
    }
    fields
}

fn object(
    address: &InstanceAddress,
    deposed: Option<&str>,
    record: &InstanceRecord,
    attributes: Json,
    sensitive: &[Json],
) -> Json {
    let mut fields = json!({
        "schema_version": record.schema_version,
        "attributes": attributes,
        "sensitive_attributes": sensitive,
    });
    match &address.key {
        Some(InstanceKey::Index(index)) => fields["index_key"] = json!(index),
        Some(InstanceKey::Key(key)) => fields["index_key"] = json!(key),
        None => {}
    }
    if let Some(name) = deposed {
        fields["deposed"] = json!(name);
    }
    if record.tainted {
        fields["status"] = json!("tainted");
    }
    if record.create_before_destroy {
        fields["create_before_destroy"] = json!(true);
    }
    if !record.dependencies.is_empty() {
        fields["dependencies"] = record.dependencies.iter().map(ToString::to_string).collect();
    }
    fields
}

/// A path as Terraform's state files have it.
fn sensitive_path(path: &Path) -> Json {
    let step = |step: &PathStep| match step {
        PathStep::Attribute(name) => json!({"type": "get_attr", "value": name}),
        PathStep::Index(index) => json!({"type": "index", "value": {"value": index, "type": "number"}}),
        PathStep::Key(key) => json!({"type": "index", "value": {"value": key, "type": "string"}}),
    };
    path.0.iter().map(step).collect()
}
