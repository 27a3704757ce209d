//! An interface as a change has asked for it, which tells what others have made of it since.

use std::collections::BTreeSet;

use pve_model::Value;
use serde_json::{Map, Value as Json};

use crate::values::{flag, int, text, texts};

/// An interface as it was asked for: what is there, with the planned values in the place of others. Its comment and what
/// is particular to bonds and VLANs is taken as it is found: the API tells it in other ways than it is asked for.
pub(super) fn intended(planned: &Value, mut entry: Map<String, Json>) -> Map<String, Json> {
    if entry.is_empty() {
        entry.insert("iface".into(), Json::from(text(planned, "name").unwrap_or_default()));
    }
    addresses(planned, &mut entry);
    lists(planned, &mut entry);
    numbers(planned, &mut entry);
    entry
}

fn addresses(planned: &Value, entry: &mut Map<String, Json>) {
    for (name, option) in
        [("address", "cidr"), ("gateway", "gateway"), ("address6", "cidr6"), ("gateway6", "gateway6")]
    {
        if !is_planned(planned, name) {
            continue;
        }
        let (wanted, found) = (text(planned, name), entry.get(option).and_then(Json::as_str));
        if wanted.map(plain_address) != found.map(plain_address) {
            put(entry, option, wanted.map(String::from));
        }
    }
}

fn lists(planned: &Value, entry: &mut Map<String, Json>) {
    for (name, option) in [("ports", "bridge_ports"), ("slaves", "slaves")] {
        if is_planned(planned, name) {
            set_list(entry, option, &texts(planned, name).join(" "));
        }
    }
    // Where none are configured, those that a bridge has are the cluster's choice.
    if let Some(wanted) = text(planned, "vids") {
        set_list(entry, "bridge_vids", wanted);
    }
}

fn numbers(planned: &Value, entry: &mut Map<String, Json>) {
    if is_planned(planned, "mtu") {
        let wanted = int(planned, "mtu").map(|number| number.to_string());
        if entry.get("mtu").map(plain) != wanted {
            put(entry, "mtu", wanted);
        }
    }
    for (name, option) in [("autostart", "autostart"), ("vlan_aware", "bridge_vlan_aware")] {
        let Some(wanted) = flag(planned, name) else { continue };
        let is_set =
            entry.get(option).is_some_and(|found| !["", "0", "false", "null"].contains(&&*plain(found)));
        if is_set != wanted {
            put(entry, option, wanted.then(|| "1".to_string()));
        }
    }
}

/// Whether it is known before apply what an attribute will be.
fn is_planned(planned: &Value, name: &str) -> bool {
    planned.get(name).is_some_and(Value::is_wholly_known)
}

/// Lists are the same in any order, separated as the API takes them.
fn set_list(entry: &mut Map<String, Json>, option: &str, wanted: &str) {
    let parts = |text: &str| -> BTreeSet<String> {
        text.split([' ', ',', ';']).filter(|part| !part.is_empty()).map(String::from).collect()
    };
    let found = entry.get(option).and_then(Json::as_str).unwrap_or_default();
    if parts(found) != parts(wanted) {
        put(entry, option, Some(wanted.to_string()));
    }
}

/// An address in one spelling.
fn plain_address(text: &str) -> String {
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => format!("{address}/{bits}"),
        Err(_) => text.to_string(),
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn put(entry: &mut Map<String, Json>, option: &str, wanted: Option<String>) {
    match wanted {
        Some(wanted) => drop(entry.insert(option.to_string(), Json::from(wanted))),
        None => drop(entry.remove(option)),
    }
}
