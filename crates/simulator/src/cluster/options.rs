//! Options of the cluster: `datacenter.cfg` (PVE::DataCenterConfig).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema;
use crate::schema::formats::split_list;
use crate::sections::taken_apart;
use crate::state::Options;

const PATH: &str = "/cluster/options";

pub(crate) const ROUTES: &[Route] = &[("GET", PATH, read), ("PUT", PATH, set)];

/// Options that are read back taken apart.
const TAKEN_APART: [&str; 9] =
    ["crs", "migration", "replication", "next-id", "ha", "notify", "u2f", "webauthn", "tag-style"];

fn list(text: &str) -> Value {
    let mut tags: Vec<&str> = text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).collect();
    tags.sort_unstable();
    json!(tags)
}

fn shown(key: &str, text: &str) -> Value {
    let keys = schema::endpoint("PUT", PATH);
    match key {
        "description" => json!(format!("{}\n", text.trim_end())),
        "registered-tags" => list(text),
        "user-tag-access" => {
            let mut value = taken_apart(keys, key, text);
            if let Some(tags) = value.get("user-allow-list").and_then(Value::as_str).map(list) {
                value["user-allow-list"] = tags;
            }
            value
        }
        _ if TAKEN_APART.contains(&key) => taken_apart(keys, key, text),
        _ => json!(text),
    }
}

fn read(request: &mut Request<'_>) -> Answer {
    let options = &request.state.cluster_options;
    let audit = request.allows("/", "Sys.Audit");
    let open = ["console", "tag-style"];
    let seen = options.iter().filter(|(key, _)| audit || open.contains(&key.as_str()));
    let mut row: Map<String, Value> = seen.map(|(key, text)| (key.clone(), shown(key, text))).collect();
    if audit {
        row.entry("mac_prefix").or_insert(json!(crate::guests::PREFIX));
        row.entry("description").or_insert(json!(""));
    }
    row.insert("allowed-tags".to_owned(), json!(allowed_tags(request)));
    Ok(Value::Object(row))
}

/// Tags that the caller may give to guests (PVE::GuestHelpers, `get_allowed_tags`).
fn allowed_tags(request: &Request<'_>) -> BTreeSet<String> {
    let options = &request.state.cluster_options;
    let split = |text: &str| -> Vec<String> {
        text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    };
    let registered = options.get("registered-tags").map(|text| split(text)).unwrap_or_default();
    let access = options.get("user-tag-access").cloned().unwrap_or_default();
    let value = |key: &str| access.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    let listed = value("user-allow-list").map(split).unwrap_or_default();
    let mode = value("user-allow").unwrap_or("free");
    let privileged = request.allows("/", "Sys.Modify");
    let mut tags: BTreeSet<String> = listed.into_iter().filter(|_| mode != "none" || privileged).collect();
    if privileged {
        tags.extend(registered);
    }
    if matches!(mode, "free" | "existing") || privileged {
        let seen = request.state.guests.iter();
        let seen = seen.filter(|(vmid, _)| request.allows(&format!("/vms/{vmid}"), "VM.Audit"));
        tags.extend(seen.filter_map(|(_, guest)| guest.config.get("tags")).flat_map(|text| split(text)));
    }
    tags
}

fn check_range(options: &Options) -> Result<(), Failure> {
    let Some(text) = options.get("next-id") else { return Ok(()) };
    let bound = |key: &str, default: u64| {
        let found = text.split(',').find_map(|part| part.strip_prefix(key));
        found.and_then(|number| number.parse().ok()).unwrap_or(default)
    };
    let (lower, upper) = (bound("lower=", 100), bound("upper=", 1_000_000));
    if lower > upper {
        return Err(Failure::died(format!("lower ({lower}) <= upper ({upper}) boundary rule broken")));
    }
    Ok(())
}

fn set(request: &mut Request<'_>) -> Answer {
    let mut options = request.state.cluster_options.clone();
    let set = request.parameters.iter().filter(|(key, _)| *key != "delete");
    options.extend(set.map(|(key, value)| (key.clone(), value.clone())));
    for key in split_list(request.get("delete").unwrap_or_default()) {
        options.remove(key);
    }
    check_range(&options)?;
    if options.get("mac_prefix").is_some_and(|prefix| prefix.to_uppercase() == crate::guests::PREFIX) {
        options.remove("mac_prefix");
    }
    if options.get("console").is_some_and(|value| value == "applet") {
        options.insert("console".to_owned(), "html5".to_owned());
    }
    options.retain(|key, text| key != "description" || !text.is_empty());
    request.state.cluster_options = options;
    Ok(Value::Null)
}
