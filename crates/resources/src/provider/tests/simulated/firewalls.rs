//! The firewall kinds against the simulator: each configuration in turn is applied and settles, and importing what is
//! there plans nothing.

use pve_executor::ports::Provider;
use serde_json::{Value as Json, json};

use super::super::{Recorder, World};
use super::turns::step;
use super::world;
use crate::cluster::Method;
use crate::values::same;

const GUEST: &str = "/nodes/pve/qemu/500/firewall";

/// A kind on a cluster that has VM 500.
async fn beside_a_vm(kind: &'static str) -> (World, pve_simulator::Server) {
    let (world, server) = world(kind).await;
    world.api.send(Method::Post, "/nodes/pve/qemu", &[("vmid".into(), "500".into())]).await.unwrap();
    (world, server)
}

async fn get(world: &World, path: &str) -> Json {
    world.api.send(Method::Get, path, &[]).await.unwrap()
}

/// Applies each configuration in turn, imports the last, destroys it. Returns what `path` shows after each.
async fn live(world: &World, id: &str, path: &str, configs: &[Json]) -> Vec<Json> {
    let (mut last, mut shown) = (None, Vec::new());
    for config in configs {
        let after = step(world, last.as_ref(), config).await;
        last = Some(after.unwrap_or_else(|fault| panic!("{config}: {fault}")));
        shown.push(get(world, path).await);
    }
    let config = world.config(configs.last().unwrap().clone());
    let imported = world.provider.import(&world.address, "proxmox", id).await.unwrap();
    let planned = world.plan(Some(&imported), &config).planned.unwrap();
    assert!(same(&imported, &planned), "{:?}", crate::values::changed(&imported, &planned));
    let gone = world.try_apply(last.as_ref(), None, &Recorder::default()).await.unwrap();
    assert_eq!(gone, None);
    shown
}

#[tokio::test]
async fn an_alias_is_renamed_and_given_another_network() {
    let kind = "proxmox_virtual_environment_firewall_alias";
    let (world, _server) = beside_a_vm(kind).await;
    let alias = |name: &str, cidr: &str| json!({"name": name, "cidr": cidr, "comment": "c"});
    let configs = [
        alias("office", "192.0.2.1/32"),
        alias("office", "198.51.100.0/24"),
        alias("Branch", "198.51.100.0/24"),
        json!({"name": "Branch", "cidr": "2001:db8::/32"}),
    ];
    let shown = live(&world, "cluster/Branch", "/cluster/firewall/aliases", &configs).await;
    assert_eq!(shown[0][0]["cidr"], "192.0.2.1");
    assert_eq!((&shown[2][0]["name"], shown[2].as_array().unwrap().len()), (&json!("Branch"), 1));
    assert_eq!(shown[3][0]["comment"], Json::Null);
    assert_eq!(get(&world, "/cluster/firewall/aliases").await, json!([]));
    let of_guest = json!({"node_name": "pve", "vm_id": 500, "name": "own", "cidr": "192.0.2.0/24"});
    live(&world, "vm/pve/500/own", &format!("{GUEST}/aliases"), &[of_guest]).await;
}

#[tokio::test]
async fn an_alias_of_somebody_else_is_not_taken_over() {
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_firewall_alias").await;
    let there =
        [("name".to_string(), "office".to_string()), ("cidr".to_string(), "192.0.2.0/24".to_string())];
    world.api.send(Method::Post, "/cluster/firewall/aliases", &there).await.unwrap();
    let config = world.config(json!({"name": "office", "cidr": "198.51.100.0/24"}));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("cluster/office"), "{}", error.message);
    assert_eq!(get(&world, "/cluster/firewall/aliases").await[0]["cidr"], "192.0.2.0/24");
}

#[tokio::test]
async fn entries_of_a_set_come_and_go_and_change_in_any_order() {
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_firewall_ipset").await;
    let entry = |name: &str| json!({"name": name});
    let set = |name: &str, entries: Vec<Json>| json!({"name": name, "comment": "c", "cidr": entries});
    let configs = [
        set("Local", vec![entry("192.0.2.7/24"), entry("198.51.100.1")]),
        set(
            "Local",
            vec![entry("198.51.100.1/32"), json!({"name": "192.0.2.0/24", "nomatch": true, "comment": "x"})],
        ),
        set("home", vec![entry("203.0.113.0/24"), entry("192.0.2.0/24")]),
        json!({"name": "home", "cidr": [entry("203.0.113.0/24")]}),
    ];
    let shown = live(&world, "cluster/home", "/cluster/firewall/ipset", &configs).await;
    assert_eq!(shown[0][0]["name"], "local");
    assert_eq!((&shown[2][0]["name"], shown[2].as_array().unwrap().len()), (&json!("home"), 1));
    assert_eq!(get(&world, "/cluster/firewall/ipset").await, json!([]));
    let of_guest =
        json!({"node_name": "pve", "vm_id": 500, "name": "ipfilter-net0", "cidr": [entry("192.0.2.1")]});
    live(&world, "vm/pve/500/ipfilter-net0", &format!("{GUEST}/ipset"), &[of_guest]).await;
}

#[tokio::test]
async fn another_order_of_a_set_is_no_change() {
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_firewall_ipset").await;
    let of = |names: [&str; 2]| json!({"name": "home", "cidr": names.map(|name| json!({"name": name}))});
    let made = step(&world, None, &of(["192.0.2.0/24", "198.51.100.1"])).await.unwrap();
    let config = world.config(of(["198.51.100.1/32", "192.0.2.0/24"]));
    assert!(same(&made, &world.plan(Some(&made), &config).planned.unwrap()));
}

#[tokio::test]
async fn a_security_group_is_renamed_with_its_rules() {
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_cluster_firewall_security_group").await;
    let rule = |port: &str| json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port});
    let configs = [
        json!({"name": "web", "comment": "c", "rule": [rule("80"), rule("443")]}),
        json!({"name": "web", "comment": "c", "rule": [rule("22"), rule("80"), rule("443")]}),
        json!({"name": "site", "comment": "d", "rule": [rule("443")]}),
        json!({"name": "site", "rule": [rule("443")]}),
    ];
    let shown = live(&world, "site", "/cluster/firewall/groups", &configs).await;
    assert_eq!(shown[2].as_array().unwrap().len(), 1);
    assert_eq!(shown[2][0]["group"], "site");
    assert_eq!(get(&world, "/cluster/firewall/groups").await, json!([]));
}

#[tokio::test]
async fn settings_of_cluster_and_node_go_back_when_they_are_destroyed() {
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_cluster_firewall").await;
    let limit = json!([{"enabled": false, "burst": 10, "rate": "5/second"}]);
    let configs = [
        json!({"enabled": true, "ebtables": false, "input_policy": "REJECT", "log_ratelimit": limit}),
        json!({"enabled": true, "output_policy": "DROP", "log_ratelimit": [{}]}),
        json!({"enabled": true}),
    ];
    let shown = live(&world, "any", "/cluster/firewall/options", &configs).await;
    assert_eq!((&shown[0]["enable"], &shown[0]["policy_in"]), (&json!(1), &json!("REJECT")));
    assert_eq!(shown[2].get("log_ratelimit"), None);
    assert_eq!(get(&world, "/cluster/firewall/options").await.get("enable"), None);
    let (world, _server) = beside_a_vm("proxmox_node_firewall").await;
    let configs = [
        json!({"node_name": "pve"}),
        json!({"node_name": "pve", "enabled": false, "log_level_in": "info", "nf_conntrack_max": 300000}),
        json!({"node_name": "pve", "nftables": true, "nosmurfs": false}),
    ];
    let shown = live(&world, "pve", "/nodes/pve/firewall/options", &configs).await;
    assert_eq!((&shown[1]["enable"], &shown[1]["nf_conntrack_max"]), (&json!(0), &json!(300000)));
    assert_eq!(get(&world, "/nodes/pve/firewall/options").await.get("nftables"), None);
}

#[tokio::test]
async fn rules_and_options_of_every_owner_settle() {
    let rule =
        |port: &str| json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port, "log": "info"});
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_firewall_rules").await;
    for (owner, id, path) in [
        (json!({}), "cluster", "/cluster/firewall"),
        (json!({"node_name": "pve"}), "node/pve", "/nodes/pve/firewall"),
        (json!({"node_name": "pve", "vm_id": 500}), "vm/pve/500", GUEST),
    ] {
        let with = |rules: Vec<Json>| {
            let mut config = owner.clone();
            config["rule"] = json!(rules);
            config
        };
        let configs = [with(vec![rule("22"), rule("80")]), with(vec![rule("80"), rule("22"), rule("443")])];
        let shown = live(&world, id, &format!("{path}/rules"), &configs).await;
        assert_eq!(shown[1][0]["dport"], "80");
        assert_eq!(get(&world, &format!("{path}/rules")).await, json!([]));
    }
    let (world, _server) = beside_a_vm("proxmox_virtual_environment_firewall_options").await;
    let configs = [
        json!({"node_name": "pve", "vm_id": 500, "enabled": true, "ipfilter": true, "log_level_in": "info"}),
        json!({"node_name": "pve", "vm_id": 500, "dhcp": true, "output_policy": "REJECT"}),
    ];
    let shown = live(&world, "vm/pve/500", &format!("{GUEST}/options"), &configs).await;
    assert_eq!((&shown[0]["ipfilter"], shown[1].get("ipfilter")), (&json!(1), None));
}
