//! Makes `schema/endpoints.json` and `schema/permissions.json` from the API's description: `cargo run -p pve-simulator
//! --example endpoints -- SCHEMA crates/simulator/schema`.
//!
//! The description is `{"paths": {PATH: {METHOD: {"parameters": {"properties": ...}}}}}`, as `pvesh` and the API viewer
//! of Proxmox VE have it. What checks need is kept of it, one endpoint a line.

use std::path::Path;

use serde_json::{Map, Value, json};

/// What checks need of a parameter.
const KEPT: [&str; 13] = [
    "type",
    "optional",
    "format",
    "enum",
    "minimum",
    "maximum",
    "pattern",
    "minLength",
    "maxLength",
    "requires",
    "default_key",
    "alias",
    "keyAlias",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (path, folder) = arguments.next().zip(arguments.next()).ok_or("usage: endpoints SCHEMA FOLDER")?;
    let schema: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let paths = schema["paths"].as_object().ok_or("no paths in the description")?;
    let mut calls = Vec::new();
    for (path, methods) in paths {
        for (method, call) in methods.as_object().ok_or("a path without methods")? {
            calls.push((path, method, call));
        }
    }
    calls.sort_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
    let write = |name: &str, value: fn(&Value) -> Value| {
        let line = |(path, method, call): &(&String, &String, &Value)| {
            format!("{}:{}", json!(format!("{method} {path}")), value(call))
        };
        let lines: Vec<String> = calls.iter().map(line).collect();
        std::fs::write(Path::new(&folder).join(name), format!("{{\n{}\n}}\n", lines.join(",\n")))
    };
    write("endpoints.json", |call| {
        properties(&call["parameters"]["properties"].as_object().cloned().unwrap_or_default())
    })?;
    write("permissions.json", permissions)?;
    Ok(())
}

/// Who may call: `user` or `check`; `null` where only root itself may. `token` is 0 where a token may not.
fn permissions(call: &Value) -> Value {
    let mut rules = call["permissions"].clone();
    if let Some(rules) = rules.as_object_mut() {
        rules.remove("description");
        if call["allowtoken"] != json!(1) {
            rules.insert("token".to_owned(), json!(0));
        }
    }
    rules
}

fn properties(all: &Map<String, Value>) -> Value {
    let mut sorted: Vec<(&String, &Value)> = all.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let kept = |property: &Value| -> Value {
        let fields = KEPT.iter().filter_map(|key| Some(((*key).to_owned(), field(key, property.get(key)?)?)));
        let mut fields: Map<String, Value> = fields.collect();
        // One that differs by type may be left out if each type lets it (PVE::JSONSchema, `check_prop`).
        if property["oneOf"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().all(|kind| kind["optional"] == json!(1)))
        {
            fields.insert("optional".to_owned(), json!(1));
        }
        Value::Object(fields)
    };
    Value::Object(sorted.into_iter().map(|(name, property)| (name.clone(), kept(property))).collect())
}

/// One field; limits that are written as text become numbers, absent lists are left out.
fn field(key: &str, value: &Value) -> Option<Value> {
    match (key, value) {
        (_, Value::Null) => None,
        ("format", Value::Object(keys)) => Some(properties(keys)),
        ("minimum" | "maximum" | "minLength" | "maxLength", Value::String(text)) => {
            text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from)).ok()
        }
        _ => Some(value.clone()),
    }
}
