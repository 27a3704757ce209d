//! Makes `schema/endpoints.json` from the API's description: `cargo run -p pve-simulator --example schema -- SCHEMA >
//! crates/simulator/schema/endpoints.json`.
//!
//! The description is `{"paths": {PATH: {METHOD: {"parameters": {"properties": ...}}}}}`, as `pvesh` and the API viewer
//! of Proxmox VE have it. What checks need is kept of it, one endpoint a line.

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
    let path = std::env::args().nth(1).ok_or("usage: schema SCHEMA")?;
    let schema: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let paths = schema["paths"].as_object().ok_or("no paths in the description")?;
    let mut lines = Vec::new();
    for (path, methods) in paths {
        for (method, call) in methods.as_object().ok_or("a path without methods")? {
            let parameters = call["parameters"]["properties"].as_object().cloned().unwrap_or_default();
            lines.push((path, method, properties(&parameters)));
        }
    }
    lines.sort_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
    let lines: Vec<String> = lines
        .iter()
        .map(|(path, method, properties)| format!("{}:{properties}", json!(format!("{method} {path}"))))
        .collect();
    println!("{{\n{}\n}}", lines.join(",\n"));
    Ok(())
}

fn properties(all: &Map<String, Value>) -> Value {
    let mut sorted: Vec<(&String, &Value)> = all.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let kept = |property: &Value| -> Value {
        let fields = KEPT.iter().filter_map(|key| Some(((*key).to_owned(), field(key, property.get(key)?)?)));
        Value::Object(fields.collect())
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
