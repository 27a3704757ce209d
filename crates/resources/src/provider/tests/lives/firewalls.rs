//! Firewalls.

use pve_model::Value;
use serde_json::{Value as Json, json};

use crate::provider::tests::{Recorder, World};

#[tokio::test]
async fn firewall_rules_keep_their_order() {
    let world = World::new("proxmox_virtual_environment_firewall_rules");
    let rule = |port: &str| json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port});
    let config = |rules: Vec<Json>| json!({"node_name": "pve", "vm_id": 100, "rule": rules});
    let ports = |world: &World| -> Vec<String> {
        let state = world.double.0.lock().unwrap();
        let rules = &state.rules["/nodes/pve/qemu/100/firewall"];
        rules.iter().map(|rule| rule.get("dport").and_then(Json::as_str).unwrap_or("-").to_string()).collect()
    };
    let made = world.apply(None, config(vec![rule("22"), rule("80"), rule("443")])).await;
    assert_eq!(ports(&world), ["22", "80", "443"]);
    let group = json!({"security_group": "web"});
    let updated = world
        .apply(Some(&made), config(vec![group, rule("80"), rule("22"), rule("443"), rule("8080")]))
        .await;
    assert_eq!(ports(&world), ["-", "80", "22", "443", "8080"]);
    let updated = world.apply(Some(&updated), config(vec![rule("22")])).await;
    assert_eq!(ports(&world), ["22"]);
    world.destroy(&updated).await;
}

#[tokio::test]
async fn firewall_options_go_back_to_what_the_cluster_does() {
    let world = World::new("proxmox_virtual_environment_firewall_options");
    let base = json!({"node_name": "pve", "vm_id": 100, "enabled": true, "ipfilter": true});
    let made = world.apply(None, base.clone()).await;
    let updated =
        world.apply(Some(&made), json!({"node_name": "pve", "vm_id": 100, "input_policy": "REJECT"})).await;
    let options = |world: &World| {
        world.double.0.lock().unwrap().options["/nodes/pve/qemu/100/firewall/options"].clone()
    };
    assert_eq!(options(&world).get("policy_in"), Some(&json!("REJECT")));
    assert_eq!(options(&world).get("ipfilter"), None);
    let gone = world.try_apply(Some(&updated), None, &Recorder::default()).await.unwrap();
    assert_eq!((gone, options(&world).len()), (None::<Value>, 0));
}
