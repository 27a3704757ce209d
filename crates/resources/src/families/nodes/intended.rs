//! An interface as a change has asked for it, which tells what others have made of it since.

use std::collections::BTreeSet;

use pve_model::Value;
use serde_json::{Map, Value as Json};

use crate::values::{flag, int, text, texts};

/// An interface as it was asked for: what is there, with the planned values in the place of others. What the API may tell in
/// other ways than it is asked for is taken as it is found: options of bonds and VLANs that it leaves out or adds, and
/// comments that are not plain ASCII.
pub(super) fn intended(planned: &Value, mut entry: Map<String, Json>) -> Map<String, Json> {
    if entry.is_empty() {
        entry.insert("iface".into(), Json::from(text(planned, "name").unwrap_or_default()));
    }
    addresses(planned, &mut entry);
    lists(planned, &mut entry);
    numbers(planned, &mut entry);
    comment(planned, &mut entry);
    options(planned, &mut entry);
    entry
}

/// The file has a line of its own for each of a comment, which the API ends each.
fn comment(planned: &Value, entry: &mut Map<String, Json>) {
    let lines = |text: &str| text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let wanted = text(planned, "comment").unwrap_or_default();
    let found = entry.get("comments").and_then(Json::as_str).unwrap_or_default();
    if is_planned(planned, "comment") && wanted.is_ascii() && lines(wanted) != lines(found) {
        put(entry, "comments", Some(wanted.to_string()).filter(|text| !text.is_empty()));
    }
}

/// Proxmox VE writes some of them with certain modes of a bond alone (PVE::INotify), and tells others by the name.
fn options(planned: &Value, entry: &mut Map<String, Json>) {
    for (name, option) in [
        ("bond_mode", "bond_mode"),
        ("bond_primary", "bond-primary"),
        ("bond_xmit_hash_policy", "bond_xmit_hash_policy"),
        ("interface", "vlan-raw-device"),
        ("vlan", "vlan-id"),
    ] {
        let number = || int(planned, name).map(|number| number.to_string());
        let Some(wanted) = text(planned, name).map(String::from).or_else(number) else { continue };
        if entry.get(option).is_some_and(|found| plain(found) != wanted) {
            put(entry, option, Some(wanted));
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bond(mode: &str, comment: &str) -> Value {
        let parts = [("name", "bond0"), ("bond_mode", mode), ("bond_primary", "eno1"), ("comment", comment)];
        let parts = parts.into_iter().map(|(name, text)| (name.into(), Value::string(text)));
        Value::object(parts.collect())
    }

    fn after(planned: &Value, found: Json) -> Json {
        Json::Object(intended(planned, found.as_object().unwrap().clone()))
    }

    #[test]
    fn what_others_made_of_the_options_and_the_comment_of_an_interface_is_not_as_it_was_asked_for() {
        let planned = bond("active-backup", "a\nb");
        let own = json!({"bond_mode": "active-backup", "bond-primary": "eno1", "comments": "a\nb\n"});
        assert_eq!(after(&planned, own.clone()), own);
        for (option, theirs) in [("bond_mode", "802.3ad"), ("bond-primary", "eno2"), ("comments", "theirs\n")]
        {
            let mut found = own.clone();
            found[option] = json!(theirs);
            assert_ne!(after(&planned, found.clone()), found, "{option}");
        }
        // It has a primary device in one mode alone, and a comment in another encoding is told in several ways.
        let found = json!({"bond_mode": "802.3ad", "comments": "Ã¶\n"});
        assert_eq!(after(&bond("802.3ad", "ö"), found.clone()), found);
    }
}
