//! The pieces that plans and states share: values with what is unknown or sensitive beside them, module trees.

use std::collections::BTreeMap;

use pve_model::codec::to_plain_json;
use pve_model::{InstanceAddress, InstanceKey, ModulePath, ResourceMode, Value, ValueKind};
use serde_json::{Map, Value as Json, json};

/// The value as JSON; unknown attributes are left out, unknown elements are null.
pub fn known_parts(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Object(entries) | ValueKind::Map(_, entries) => entries
            .iter()
            .filter(|(_, value)| value.is_known())
            .map(|(name, value)| (name.to_string(), known_parts(value)))
            .collect::<Map<_, _>>()
            .into(),
        ValueKind::List(_, elements) | ValueKind::Set(_, elements) | ValueKind::Tuple(elements) => {
            elements.iter().map(known_parts).collect()
        }
        _ => to_plain_json(value),
    }
}

/// `true` where the value is unknown, in its own shape.
pub fn unknown_parts(value: &Value) -> Json {
    flagged(value, &|value| !value.is_known())
}

/// `true` where the value is sensitive, in its own shape.
pub fn sensitive_parts(value: &Value) -> Json {
    flagged(value, &|value| value.marks.is_sensitive())
}

fn flagged(value: &Value, flag: &dyn Fn(&Value) -> bool) -> Json {
    if flag(value) {
        return json!(true);
    }
    match &value.kind {
        ValueKind::Object(entries) | ValueKind::Map(_, entries) => entries
            .iter()
            .map(|(name, value)| (name.to_string(), flagged(value, flag)))
            .filter(|(_, flags)| *flags != json!(false))
            .collect::<Map<_, _>>()
            .into(),
        ValueKind::List(_, elements) | ValueKind::Set(_, elements) | ValueKind::Tuple(elements) => {
            elements.iter().map(|element| flagged(element, flag)).collect()
        }
        _ => json!(false),
    }
}

/// The fields that name an instance.
pub fn naming(address: &InstanceAddress) -> Map<String, Json> {
    let mut fields = Map::new();
    fields.insert("address".into(), json!(address.to_string()));
    let resource = &address.resource;
    fields.insert("mode".into(), json!(if resource.mode == ResourceMode::Data { "data" } else { "managed" }));
    fields.insert("type".into(), json!(resource.kind));
    fields.insert("name".into(), json!(resource.name));
    match &address.key {
        Some(InstanceKey::Index(index)) => {
            fields.insert("index".into(), json!(index));
        }
        Some(InstanceKey::Key(key)) => {
            fields.insert("index".into(), json!(key));
        }
        None => {}
    }
    fields
}

/// Resources by module, as the tree `{resources, child_modules: [{address, ...}]}`.
pub fn module_tree(resources: &[(InstanceAddress, Json)]) -> Json {
    let mut by_module: BTreeMap<ModulePath, Vec<Json>> = BTreeMap::new();
    for (address, json) in resources {
        by_module.entry(address.resource.module.clone()).or_default().push(json.clone());
    }
    for depth in by_module.keys().cloned().collect::<Vec<_>>() {
        for length in 0..depth.0.len() {
            by_module.entry(ModulePath(depth.0[..length].to_vec())).or_default();
        }
    }
    subtree(&ModulePath::root(), &by_module)
}

fn subtree(module: &ModulePath, by_module: &BTreeMap<ModulePath, Vec<Json>>) -> Json {
    let mut fields = Map::new();
    if !module.0.is_empty() {
        fields.insert("address".into(), json!(module.to_string()));
    }
    if let Some(resources) = by_module.get(module).filter(|resources| !resources.is_empty()) {
        fields.insert("resources".into(), json!(resources));
    }
    let children: Vec<Json> = by_module
        .keys()
        .filter(|path| path.0.len() == module.0.len() + 1 && path.0.starts_with(&module.0))
        .map(|path| subtree(path, by_module))
        .collect();
    if !children.is_empty() {
        fields.insert("child_modules".into(), json!(children));
    }
    Json::Object(fields)
}
