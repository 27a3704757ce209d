//! New objects as the reference plans them.

use pve_model::Value;
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
