//! The kinds that are described as data against the simulator: the same turns as against the store.

use std::time::Duration;

use pve_executor::ports::Provider;
use pve_model::Value;
use pve_model::rules::KindRules;
use pve_simulator::Options;
use serde_json::json;

use super::super::objects::{fault_of_generated, turns};
use super::super::watched::Watched;
use super::super::{Recorder, World};
use super::refused::Refusing;
use super::removals::known_after;
use super::turns::step;
use super::{world, world_in_time, world_with};
use crate::cluster::Method;
use crate::families;

/// What this cluster cannot have, with the reason.
const NOT_HERE: &[(&str, &str)] = &[("proxmox_hagroup", "the clusters of today have rules instead")];

async fn faults_of(kind: &'static str) -> Vec<String> {
    // A job copies to another node.
    let nodes: &[&str] = if kind == "proxmox_replication" { &["pve2", "pve3"] } else { &[] };
    let other_nodes = nodes.iter().map(|node| (*node).to_string()).collect();
    let options = Options { status_cycle: Duration::ZERO, other_nodes, ..Options::default() };
    let (world, _server) = world_with(kind, options).await;
    turns::prepare(&world).await;
    let mut faults = turns::every_attribute(&world).await;
    faults.extend(turns::imported(&world).await.err());
    faults
        .into_iter()
        .map(|fault| format!("{kind}: {}", fault.chars().take(400).collect::<String>()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attribute_of_every_kind_is_set_changed_taken_out_and_imported() {
    let mut kinds = tokio::task::JoinSet::new();
    let here = |kind: &&str| NOT_HERE.iter().all(|(other, _)| other != kind);
    for kind in families::objects().iter().map(|object| object.names[0]).filter(here) {
        kinds.spawn(faults_of(kind));
    }
    let faults = kinds.join_all().await.concat();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

async fn fault_of_generated_by(kind: &'static str) -> Option<String> {
    let nodes: &[&str] = if kind == "proxmox_replication" { &["pve2", "pve3"] } else { &[] };
    let other_nodes = nodes.iter().map(|node| (*node).to_string()).collect();
    let options = Options { status_cycle: Duration::ZERO, other_nodes, ..Options::default() };
    let (world, _server) = world_with(kind, options).await;
    turns::prepare(&world).await;
    fault_of_generated(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_every_kind_is_generated_and_plans_nothing() {
    let mut kinds = tokio::task::JoinSet::new();
    for kind in families::objects().iter().map(|object| object.names[0]) {
        if NOT_HERE.iter().all(|(other, _)| *other != kind) {
            kinds.spawn(fault_of_generated_by(kind));
        }
    }
    let faults: Vec<String> = kinds.join_all().await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

async fn faults_of_empty_objects(kind: &'static str) -> Vec<String> {
    let (world, _server) =
        world_with(kind, Options { status_cycle: Duration::ZERO, ..Options::default() }).await;
    turns::prepare(&world).await;
    let faults = turns::every_empty_object(&world).await;
    faults.into_iter().map(|fault| format!("{kind}: {fault}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_anything_in_them_settle_or_are_refused() {
    let mut kinds = tokio::task::JoinSet::new();
    for kind in families::objects().iter().map(|object| object.names[0]) {
        if NOT_HERE.iter().all(|(other, _)| *other != kind) {
            kinds.spawn(faults_of_empty_objects(kind));
        }
    }
    let faults = kinds.join_all().await.concat();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn a_change_of_another_object_in_the_same_file_is_no_collision() {
    let (world, _server) = world("proxmox_acme_dns_plugin").await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        world.api.send(method, path, &params).await.unwrap()
    };
    let config =
        |token: &str| world.config(json!({"plugin": "one", "api": "cf", "data": {"CF_Token": token}}));
    let apply = async |prior: Option<&Value>, token: &str| {
        world.try_apply(prior, Some(&config(token)), &Recorder::default()).await
    };
    let made = apply(None, "first").await.unwrap().unwrap();
    let other = [("id", "two"), ("type", "dns"), ("api", "cf")];
    send(Method::Post, "/cluster/acme/plugins", &other).await;
    let changed = apply(Some(&made), "second").await.unwrap().unwrap();
    send(Method::Put, "/cluster/acme/plugins/one", &[("validation-delay", "7")]).await;
    let refused = apply(Some(&changed), "third").await.unwrap_err();
    assert!(refused.message.contains("detected modified configuration"), "{}", refused.message);
}

#[tokio::test]
async fn a_ceph_pool_that_somebody_removed_is_gone() {
    let (world, _server) = world("proxmox_ceph_pool").await;
    let made = world.apply(None, json!({"node_name": "pve", "name": "vms"})).await;
    assert!(world.read(&made).await.is_some());
    world.api.send(Method::Delete, "/nodes/pve/ceph/pool/vms", &[]).await.unwrap();
    assert_eq!(world.read(&made).await, None);
    assert_eq!(world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap(), None);
}

#[tokio::test]
async fn what_pages_allow_settles_or_is_refused_while_planning() {
    let (world, _server) = world("proxmox_storage_directory").await;
    let storage = |content: serde_json::Value| json!({"id": "more", "path": "/srv/more", "content": content, "backups": {}});
    world.apply(None, storage(json!(["iso"]))).await;
    let faults = world.rules().validate(&world.config(storage(json!([]))));
    assert_eq!(faults.iter().map(|fault| fault.path.to_string()).collect::<Vec<_>>(), ["content"]);

    let (world, _server) = self::world("proxmox_virtual_environment_user").await;
    world.apply(None, json!({"user_id": "a@pve", "expiration_date": "2030-01-01T00:00:00.5Z"})).await;

    let (world, _server) = self::world("proxmox_virtual_environment_hosts").await;
    let hosts =
        |name: &str| json!({"node_name": "pve", "entry": [{"address": "192.0.2.1", "hostnames": [name]}]});
    assert!(world.rules().validate(&world.config(hosts("a"))).is_empty());
    for name in ["a b", "a#b", ""] {
        assert_eq!(world.rules().validate(&world.config(hosts(name))).len(), 1, "{name:?}");
    }
}

#[tokio::test]
async fn a_guest_that_does_not_exist_is_not_put_into_a_pool() {
    let (world, _server) = world("proxmox_pool_membership").await;
    let params = [("poolid".to_string(), "lab".to_string())];
    world.api.send(Method::Post, "/pools", &params).await.unwrap();
    let config = world.config(json!({"pool_id": "lab", "vm_id": 777}));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("there is no guest 777"), "{}", error.message);
    assert!(error.left.is_none());
}

#[tokio::test]
async fn a_key_that_the_cluster_generates_is_known() {
    const PBS: &str = "proxmox_storage_pbs";
    let config = json!({"id": "backups", "server": "192.0.2.30", "datastore": "main", "username": "pve@pbs",
                        "password": "one-password", "generate_encryption_key": true});
    let (world, _server) = world(PBS).await;
    let recorder = Recorder::default();
    let made = world.try_apply(None, Some(&world.config(config.clone())), &recorder).await.unwrap().unwrap();
    let key: serde_json::Value =
        serde_json::from_str(crate::values::text(&made, "generated_encryption_key").unwrap()).unwrap();
    let fingerprint = crate::values::text(&made, "encryption_key_fingerprint");
    assert_eq!(key["fingerprint"].as_str(), fingerprint);
    assert!(recorder.1.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_number_of_a_replication_job_is_that_of_its_id() {
    let options =
        Options { status_cycle: Duration::ZERO, other_nodes: vec!["pve2".into()], ..Options::default() };
    let (world, _server) = world_with("proxmox_replication", options).await;
    turns::prepare(&world).await;
    let made = world.apply(None, json!({"id": "100-2", "target": "pve2", "type": "local"})).await;
    assert_eq!(made.get("jobnum"), Some(&Value::number(2)));
}

/// A removal only marks a job: its id is free, and its guest may go, when the node has removed what the target has.
#[tokio::test]
async fn a_replication_job_is_removed_when_its_node_has_removed_it() {
    let options = Options {
        status_cycle: Duration::ZERO,
        task_duration: Duration::from_millis(300),
        other_nodes: vec!["pve2".into(), "pve3".into()],
        ..Options::default()
    };
    let (world, _server) = world_in_time("proxmox_replication", options).await;
    turns::prepare(&world).await;
    let job = |target: &str| json!({"id": "100-0", "target": target, "type": "local"});
    let made = world.apply(None, job("pve2")).await;
    world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap();
    let again = world.apply(None, job("pve3")).await;
    assert_eq!(crate::values::text(&again, "target"), Some("pve3"));
}

/// A crash between giving the new permission and taking the old one.
#[tokio::test]
async fn a_permission_that_was_to_be_taken_out_is_known_after_a_crash() {
    const GROUP: &str = "proxmox_virtual_environment_group";
    let (world, _server) = world(GROUP).await;
    let group = |role: &str| json!({"group_id": "ops", "acl": [{"path": "/", "role_id": role}]});
    let made = world.apply(None, group("PVEAuditor")).await;
    let recorder = Recorder::default();
    let next = world.config(group("PVEVMUser"));
    let changed = world.try_apply(Some(&made), Some(&next), &recorder).await.unwrap().unwrap();
    let done: Vec<String> = recorder.0.lock().unwrap().clone();
    let done: Vec<String> =
        done.iter().filter_map(|line| line.strip_prefix("done ")).map(String::from).collect();
    assert_eq!(done.first().map(String::as_str), Some("leave /?PVEAuditor"), "{done:?}");
    let registry = crate::registry::registry();
    let operations = registry.kind(GROUP).unwrap().operations().unwrap();
    let roles = |value: &Value| -> Vec<String> {
        let blocks = crate::values::all_blocks(value, "acl").iter();
        blocks.filter_map(|block| crate::values::text(block, "role_id").map(String::from)).collect()
    };
    assert_eq!(roles(&changed), ["PVEVMUser"]);
    let mut left = roles(&operations.unfinished(changed, (None, None), &done[..1]));
    left.sort();
    assert_eq!(left, ["PVEAuditor", "PVEVMUser"]);
}

/// No token may set the password of a user who is there: one that was not to be changed is still known where another
/// part of a change broke off, by the error and after a crash.
#[tokio::test]
async fn a_password_that_was_not_to_be_changed_is_known_after_a_change_that_broke_off() {
    const USER: &str = "proxmox_virtual_environment_user";
    for is_crash in [false, true] {
        let (plain, _server) = world(USER).await;
        let api = Watched::over(&plain.api, Refusing::default());
        let world = World::over(USER, api.clone());
        let user = |role: &str| json!({"user_id": "bob@pve", "password": "one-password", "acl": [{"path": "/vms", "role_id": role}]});
        let made = world.apply(None, user("PVEAuditor")).await;
        let config = world.config(user("PVEVMUser"));
        let recorder = Recorder::default();
        api.refuse_path(Some("/access/acl"));
        let error = world.try_apply(Some(&made), Some(&config), &recorder).await.unwrap_err();
        api.refuse_path(None);
        let crash = is_crash.then_some(None);
        let left = known_after(&world, &made, &config, &recorder, error.left, crash).await;
        assert_eq!(crate::values::text(&left, "password"), Some("one-password"), "crash {is_crash}");
    }
}

#[tokio::test]
async fn a_backup_job_goes_from_all_guests_to_certain_ones_and_back() {
    let (world, _server) = world("proxmox_backup_job").await;
    turns::prepare(&world).await;
    let job = |what: serde_json::Value| {
        let mut json = json!({"id": "nightly", "schedule": "02:30", "storage": "local"});
        json.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        json
    };
    let mut prior = world.apply(None, job(json!({"all": true}))).await;
    assert_eq!(prior.get("enabled"), Some(&Value::bool(true)), "which the cluster says of it");
    for next in
        [json!({"vmid": ["100"]}), json!({"all": true}), json!({"pool": "one"}), json!({"vmid": ["100"]})]
    {
        prior = world.apply(Some(&prior), job(next)).await;
    }
}

#[tokio::test]
async fn fleecing_that_is_switched_off_is_said_to_the_cluster() {
    let (world, _server) = world("proxmox_backup_job").await;
    let job = |enabled: Option<bool>| {
        let mut json = json!({"id": "nightly", "schedule": "02:30", "storage": "local", "all": true});
        if let Some(enabled) = enabled {
            let storage = enabled.then_some("local-lvm");
            json["fleecing"] = json!({"enabled": enabled, "storage": storage});
        }
        json
    };
    let mut prior = world.apply(None, job(None)).await;
    for next in [Some(false), Some(true), Some(false), None] {
        prior = world.apply(Some(&prior), job(next)).await;
    }
    world.destroy(&prior).await;
    world.apply(None, job(Some(false))).await;
}

#[tokio::test]
async fn vlans_of_a_bridge_are_the_same_with_commas_and_with_spaces() {
    let (world, _server) = world("proxmox_network_linux_bridge").await;
    let bridge = json!({"node_name": "pve", "name": "vmbr7", "vlan_aware": true, "vids": "10,20"});
    world.apply(None, bridge).await;
}

#[test]
fn what_the_cluster_would_keep_otherwise_is_refused_before_anything_is_sent() {
    let registry = crate::registry::registry();
    let long = "a".repeat(51);
    let job = |what: &str, value: serde_json::Value| {
        let mut json = json!({"id": "b", "schedule": "02:30", "storage": "local", "all": true});
        json[what] = value;
        ("proxmox_backup_job", json)
    };
    let vlan = |name: &str, extra: serde_json::Value| {
        let mut json = json!({"node_name": "pve", "name": name});
        json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        ("proxmox_network_linux_vlan", json)
    };
    let plugin = |data: serde_json::Value| {
        ("proxmox_acme_dns_plugin", json!({"plugin": "one", "api": "cf", "data": data}))
    };
    let folder = |path: &str| {
        ("proxmox_hardware_mapping_dir", json!({"name": "a", "map": [{"node": "pve", "path": path}]}))
    };
    let group = |propagate: bool| {
        let blocks = json!([{"path": "/vms", "role_id": "PVEAuditor"},
                            {"path": "/vms", "role_id": "PVEAuditor", "propagate": propagate}]);
        ("proxmox_virtual_environment_group", json!({"group_id": "ops", "acl": blocks}))
    };
    let raw = json!({"vlan": 61, "interface": "vmbr0"});
    let cases = [
        (job("id", json!(long)), vec!["id"]),
        (job("id", json!(&long[1..])), vec![]),
        (job("mailto", json!(["root", "a@example.test"])), vec![]),
        (job("mailto", json!(["not a mail"])), vec!["mailto[0]"]),
        (vlan("vmbr0.61", raw.clone()), vec![]),
        (vlan("vmbr0.62", raw.clone()), vec!["vlan"]),
        (vlan("vmbr1.61", raw.clone()), vec!["interface"]),
        (vlan("vlan62", raw.clone()), vec!["vlan"]),
        (vlan("lan62", raw), vec![]),
        (plugin(json!({"A": "l1"})), vec![]),
        (plugin(json!({"A": "l1\nl2"})), vec!["data[\"A\"]"]),
        (folder("/mnt/a"), vec![]),
        (folder("/mnt/a,b"), vec!["map[0].path"]),
        (group(false), vec![]),
        (group(true), vec!["acl[1]"]),
    ];
    for ((kind, json), wanted) in cases {
        let kind = registry.kind(kind).unwrap();
        let config = pve_model::codec::decode(&json, &kind.block().implied_type()).unwrap();
        let found: Vec<String> =
            KindRules::validate(kind, &config).iter().map(|problem| problem.path.to_string()).collect();
        assert_eq!(found, wanted, "{json}");
    }
}

#[tokio::test]
async fn what_stays_pending_of_a_network_is_told_as_long_as_it_does() {
    let (mut world, _server) = world("proxmox_sdn_zone_simple").await;
    let zone = step(&world, None, &json!({"id": "zone1"})).await.unwrap();
    let apply = async |world: &super::super::World| {
        world.api.send(Method::Put, "/cluster/sdn", &[]).await.unwrap();
    };
    let told = async |world: &super::super::World, value: &Value, after: &Value| -> Vec<String> {
        let read = world.read(value).await.unwrap();
        let beside = Provider::beside(&world.provider, &world.address);
        let kind = world.provider.registry.kind(world.kind).unwrap();
        beside.map(|beside| KindRules::remarks(kind, &beside, &read, Some(after))).unwrap_or_default()
    };
    let read = world.read(&zone).await.unwrap();
    assert!(told(&world, &zone, &read).await[0].contains("not applied yet: all of it is new"));
    apply(&world).await;
    let read = world.read(&zone).await.unwrap();
    assert_eq!(told(&world, &zone, &read).await, Vec::<String>::new());

    world.kind = "proxmox_sdn_vnet";
    world.address = "proxmox_sdn_vnet.a".parse().unwrap();
    let vnet = |alias: &str| json!({"id": "lab", "zone": "zone1", "alias": alias});
    let made = step(&world, None, &vnet("one")).await.unwrap();
    apply(&world).await;
    let changed = step(&world, Some(&made), &vnet("two")).await.unwrap();
    assert!(told(&world, &changed, &changed).await[0].contains("not applied yet: alias"));
    // Of what is planned, the change itself tells.
    assert_eq!(told(&world, &changed, &made).await, Vec::<String>::new());
}
