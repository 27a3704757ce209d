//! Compares the schemas of this crate with a JSON description of the provider's own: `check-schema FILE`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pve_model::rules::RulesRegistry;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json};

/// Changes that are made in place here, and read-only values that cannot be changed by themselves.
const IN_PLACE: &[&str] = &[
    "retries",
    "meta_data_file_id",
    "cidr",
    "comment",
    "name",
    "nomatch",
    "reference",
    "network_data_file_id",
    "type",
    "user_data_file_id",
    "vendor_data_file_id",
    "mount_point",
    "node_name",
    "pool_id",
    "template",
    "datastore_id",
    "keys",
    "password",
    "user_account",
    "size",
    "volume",
    "full",
    "file_id",
    "url",
    "checksum_algorithm",
    "decompression_algorithm",
    "source_file",
    "source_raw",
    "file_name",
    "operating_system",
    "template_file_id",
    "insecure",
    "min_tls",
    "file_modification_date",
    "file_size",
    "file_tag",
    "changed",
    "checksum",
    "path",
    "data",
    "resize",
];

fn main() {
    let file = std::env::args().nth(1).expect("usage: check-schema FILE");
    let facts: Json = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let registry = pve_resources::registry();
    let (mut passed, mut failed) = (0, 0);
    let mut report = |kind: &str, faults: Vec<String>, checked: usize| {
        passed += checked - faults.len().min(checked);
        failed += faults.len();
        for fault in faults {
            println!("{kind}: {fault}");
        }
    };
    for (list, data) in [("resources", false), ("data_sources", true)] {
        for entry in facts[list].as_array().unwrap() {
            for name in entry["names"].as_array().unwrap().iter().filter_map(Json::as_str) {
                let rules = if data { registry.data(name) } else { registry.resource(name) };
                let Some(rules) = rules else { continue };
                let (mut faults, mut checked) = (Vec::new(), 0);
                compare(
                    &rules.schema().block,
                    entry["attributes"].as_object().unwrap(),
                    "",
                    &mut faults,
                    &mut checked,
                );
                report(name, faults, checked);
            }
        }
    }
    println!("{passed} passed, {failed} failed");
}

fn compare(
    block: &Block,
    facts: &Map<String, Json>,
    at: &str,
    faults: &mut Vec<String>,
    checked: &mut usize,
) {
    for (name, fact) in facts {
        *checked += 1;
        let path = format!("{at}{name}");
        let is = |key: &str| fact[key].as_bool() == Some(true);
        if let Some(nested) = block.blocks.get(name.as_str()) {
            let Some(inner) = fact["block"].as_object() else {
                faults.push(format!("{path} is a block here"));
                continue;
            };
            if nested.max_items != fact["max_items"].as_u64().unwrap_or(0) {
                faults.push(format!("{path}: at most {} blocks here", nested.max_items));
            }
            if nested.replace != is("replace") && !IN_PLACE.contains(&name.as_str()) {
                faults.push(format!("{path}: replace is {} here", nested.replace));
            }
            compare(&nested.block, inner, &format!("{path}."), faults, checked);
        } else if let Some(attribute) = block.attributes.get(name.as_str()) {
            let flags = [
                ("required", attribute.required),
                ("optional", attribute.optional),
                ("computed", attribute.computed),
                ("sensitive", attribute.sensitive),
                ("replace", attribute.replace),
            ];
            for (key, here) in flags {
                let set_here = key == "replace" && (IN_PLACE.contains(&name.as_str()) || name == "vm_id");
                let nested = fact.get("block").is_some();
                if here != is(key) && !set_here && !nested {
                    faults.push(format!("{path}: {key} is {here} here"));
                }
            }
            let default = attribute.default.as_ref().map(pve_model::codec::to_plain_json);
            let wanted =
                Some(&fact["default"]).filter(|d| !d.is_null() && **d != "" && **d != Json::Array(vec![]));
            let text = |json: &Json| json.as_str().map_or(json.to_string(), str::to_string);
            if default.as_ref().map(text) != wanted.map(text) {
                faults.push(format!("{path}: default is {default:?} here, not {wanted:?}"));
            }
        } else {
            faults.push(format!("{path} is missing here"));
        }
    }
    for name in block.attributes.keys().chain(block.blocks.keys()) {
        if !facts.contains_key(&**name) && &**name != "id" {
            faults.push(format!("{at}{name} is only here"));
        }
    }
}
