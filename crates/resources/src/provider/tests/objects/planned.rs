//! New objects as the reference plans them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pve_model::{Value, ValueKind};
use serde_json::{Value as Json, json};

use super::world;

/// Of the planned value of `attribute`: whether it is null, and whether it is known.
fn planned(kind: &'static str, config: Json, attribute: &str) -> (bool, bool) {
    let (world, _) = world(kind);
    let planned = world.plan(None, &world.config(config)).planned.unwrap();
    let part: &Value = planned.get(attribute).unwrap();
    (part.is_null(), part.is_known())
}

#[test]
fn an_empty_set_of_the_access_kinds_is_null() {
    let user = |groups: Json| {
        planned("proxmox_virtual_environment_user", json!({"user_id": "a@pve", "groups": groups}), "groups")
    };
    assert_eq!((user(json!([])), user(json!(["g"]))), ((true, true), (false, true)));
    let role = json!({"role_id": "r", "privileges": []});
    assert_eq!(planned("proxmox_virtual_environment_role", role, "privileges"), (true, true));
}

#[test]
fn a_bridge_that_does_not_know_vlans_has_no_vlan_ids() {
    let bridge = |aware: Json| {
        let config = json!({"node_name": "pve", "name": "vmbr1", "vlan_aware": aware});
        planned("proxmox_network_linux_bridge", config, "vids")
    };
    assert_eq!(bridge(json!(false)), (true, true));
    for aware in [json!(true), json!(null)] {
        assert_eq!(bridge(aware), (false, false));
    }
}

// The reference's documentation has one before and one after the networks.
#[test]
fn networks_may_be_applied_more_than_once() {
    let claim = |kind: &'static str, config: Json| {
        let (world, _) = world(kind);
        world.rules().claim(&world.config(config))
    };
    assert_eq!(claim("proxmox_sdn_applier", json!({})), None);
    assert!(claim("proxmox_sdn_vnet", json!({"id": "one", "zone": "z"})).is_some());
}

/// The value with maps of the type that evaluation gives them: nothing in it may be left out.
fn evaluated(value: &Value) -> Value {
    let inside = |entries: &BTreeMap<Arc<str>, Value>| -> BTreeMap<Arc<str>, Value> {
        entries.iter().map(|(name, part)| (name.clone(), evaluated(part))).collect()
    };
    match &value.kind {
        ValueKind::Object(entries) => Value::object(inside(entries)),
        ValueKind::Map(ty, entries) => {
            let ty = entries.values().next().map_or(ty.clone(), Value::ty);
            Value::map(ty, inside(entries))
        }
        _ => value.clone(),
    }
}

#[test]
fn devices_that_stay_as_they_are_written_are_no_change() {
    let (world, _) = world("proxmox_cloned_vm");
    let config = world.config(json!({
        "node_name": "pve", "id": 700, "clone": {"source_vm_id": 900}, "network": {"net0": {"bridge": "vmbr0"}},
        "disk": {"scsi0": {"size_gb": 6}}, "cdrom": {"ide2": {"file_id": "none"}},
    }));
    let made = world.plan(None, &config).planned.unwrap();
    let planned = world.plan(Some(&made), &evaluated(&config)).planned.unwrap();
    assert_eq!(crate::values::changed(&made, &planned), BTreeSet::new());
}

#[test]
fn an_older_word_for_a_state_is_no_change_and_a_comma_in_a_part_is_refused() {
    let (world, _) = world("proxmox_haresource");
    let config = world.config(json!({"resource_id": "vm:100", "state": "enabled"}));
    let read = world.config(json!({"resource_id": "vm:100", "state": "started"}));
    let planned = world.plan(Some(&read), &config).planned.unwrap();
    assert_eq!(planned.get("state"), read.get("state"));

    let (world, _) = self::world("proxmox_hardware_mapping_pci");
    let map = json!([{"node": "pve", "id": "10de:2684", "path": "0000:01:00.0", "comment": "a, b"}]);
    let problems = world.rules().validate(&world.config(json!({"name": "gpu", "map": map})));
    assert_eq!(problems.len(), 1, "{problems:?}");
}
