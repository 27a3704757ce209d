//! A change of a container breaks off at any of its requests: the next run plans what is lacking, and nothing more after
//! that.

use std::time::Duration;

use pve_model::Value;
use pve_simulator::{FailureRule, How, Options, Server, When};
use serde_json::{Value as Json, json};

use super::super::lives::CONTAINER;
use super::super::{Recorder, World};
use super::removals::{apply_known, break_off_in_turn, present};
use super::world_with;
use crate::values::same;

/// A container, with these parts.
fn container(parts: &Json) -> Json {
    let mut config = json!({
        "node_name": "pve", "vm_id": 600, "started": false, "unprivileged": true,
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 1}], "network_interface": [{"name": "eth0"}],
    });
    config.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    config
}

fn address(last: u8) -> Json {
    json!({"ipv4": [{"address": format!("192.0.2.{last}/24")}]})
}

async fn change(before: Json, after: Json) -> Json {
    break_off_in_turn(CONTAINER, "lxc", &container(&before), &container(&after), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_were_to_go_are_gone_whatever_request_was_refused() {
    let two = json!([{"name": "eth0"}, {"name": "eth1"}]);
    let with = |configs: Json| json!({"network_interface": two, "initialization": [{"hostname": "h", "ip_config": configs}]});
    for left in [json!([address(5)]), json!([]), json!([json!({}), address(6)])] {
        change(with(json!([address(5), address(6)])), with(left)).await;
    }
    let none = json!({"network_interface": two});
    change(with(json!([address(5), address(6)])), none).await;
    let alone = json!({"network_interface": two, "initialization": [{"ip_config": [address(5)]}]});
    change(alone, json!({"network_interface": two})).await;
}

/// A clone may have the interfaces of its template alone: their addresses are the configuration's all the same.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_a_clone_that_were_to_go_are_gone_whatever_request_was_refused() {
    let template = json!({
        "node_name": "pve", "vm_id": 900, "started": false, "template": true, "unprivileged": true,
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 1}],
        "network_interface": [{"name": "eth0"}, {"name": "eth1"}],
    });
    let clone = |parts: Json| {
        let mut config =
            json!({"node_name": "pve", "vm_id": 600, "started": false, "clone": [{"vm_id": 900}]});
        config.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        config
    };
    let with = |configs: Json| clone(json!({"initialization": [{"hostname": "h", "ip_config": configs}]}));
    for (left, addressed) in [(with(json!([address(5)])), 1), (with(json!([])), 0), (clone(json!({})), 0)] {
        let before = with(json!([address(5), address(6)]));
        let now = break_off_in_turn(CONTAINER, "lxc", &before, &left, Some(&template)).await;
        let cards = ["net0", "net1"].map(|card| now["options"][card].as_str().unwrap().contains("ip="));
        assert_eq!(cards.iter().filter(|has_address| **has_address).count(), addressed, "{now}");
    }
}

/// Everything that a container has, in one way and in another.
fn rich(started: bool) -> [Json; 2] {
    let point = |path: &str, volume: &str, size: &str| json!({"path": path, "volume": volume, "size": size});
    let map = |host: u32| json!({"type": "uid", "container_id": 0, "host_id": host, "size": 65536});
    let before = json!({
        "started": started, "description": "one", "tags": ["a"], "pool_id": "one", "protection": true,
        "start_on_boot": false, "environment_variables": {"A": "1"}, "hook_script_file_id": "local:snippets/a.sh",
        "console": [{"tty_count": 3}], "cpu": [{"cores": 2}], "memory": [{"dedicated": 256}],
        "features": [{"nesting": true}], "startup": [{"order": 1}], "idmap": [map(100_000)],
        "device_passthrough": [{"path": "/dev/fuse"}, {"path": "/dev/kvm"}],
        "mount_point": [point("/a", "local-lvm", "1G"), point("/b", "local-lvm", "1G"), point("/c", "other", "1G")],
        "network_interface": [{"name": "eth0"}, {"name": "eth1", "bridge": "vmbr1"}],
        "initialization": [{"hostname": "one", "entrypoint": "/bin/one", "dns": [{"servers": ["192.0.2.1"]}],
                            "ip_config": [address(5), address(6)]}],
    });
    let after = json!({
        "started": started, "description": "two", "tags": ["b"], "pool_id": "two", "start_on_boot": true,
        "environment_variables": {"B": "2"}, "console": [{"type": "shell"}], "cpu": [{"cores": 3, "limit": 2}],
        "memory": [{"dedicated": 512}], "features": [{"keyctl": true}], "startup": [{"order": 2}],
        "idmap": [map(200_000)], "device_passthrough": [{"path": "/dev/kvm", "mode": "0600"}],
        "disk": [{"datastore_id": "other", "size": 2, "replicate": false, "mount_options": ["noatime"]}],
        "mount_point": [point("/a", "other", "2G"), point("/d", "other", "1G"), point("/e", "local-lvm", "1G")],
        "network_interface": [{"name": "eth0", "vlan_id": 5}],
        "initialization": [{"hostname": "two", "dns": [{"domain": "example.test"}], "ip_config": [address(7)]}],
    });
    [before, after]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_container_becomes_what_is_planned_whatever_request_was_refused() {
    let [before, after] = rich(false);
    change(before, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_becomes_what_is_planned_whatever_request_was_refused() {
    let [before, after] = rich(true);
    change(before, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_started_and_stopped_with_other_changes_whatever_request_was_refused() {
    for is_started in [false, true] {
        let [before, mut after] = rich(is_started);
        after["started"] = json!(!is_started);
        change(before, after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_goes_to_another_node_whatever_request_was_refused() {
    for is_started in [false, true] {
        let [before, mut after] = rich(is_started);
        after["node_name"] = json!("pve2");
        change(before, after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_becomes_a_template_whatever_request_was_refused() {
    for is_started in [false, true] {
        let [before, mut after] = rich(is_started);
        after["template"] = json!(true);
        change(before, after).await;
    }
}

/// A container as it is before a change, and what it is to become.
async fn made(before: &Json, after: &Json) -> (World, Server, Value, Value) {
    let options =
        Options { other_nodes: vec!["pve2".into()], status_cycle: Duration::ZERO, ..Options::default() };
    let (world, server) = world_with(CONTAINER, options).await;
    let config = world.config(container(before));
    let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap().unwrap();
    server.simulator().clear_requests();
    let config = world.config(container(after));
    (world, server, made, config)
}

/// Lets each task of a change end with an error in turn, and the next run finish it.
async fn fail_tasks_in_turn(before: Json, after: Json) {
    let (world, server, prior, config) = made(&before, &after).await;
    apply_known(&world, &prior, &config, &Recorder::default()).await.unwrap();
    let mut written = server.requests();
    written.retain(|request| !["GET", "SSH"].contains(&request.method.as_str()));
    let undisturbed = present(&world, "lxc", &config).await;
    let mut broken = 0;
    for (index, request) in written.iter().enumerate() {
        let (world, server, prior, config) = made(&before, &after).await;
        let is_same = |other: &&pve_simulator::RequestRecord| {
            (&other.method, &other.path) == (&request.method, &request.path)
        };
        let number = written[..index].iter().filter(is_same).count();
        server.simulator().set_failures(vec![FailureRule {
            method: request.method.clone(),
            path: request.path.clone(),
            when: When::Nth(u32::try_from(number).unwrap()),
            how: How::FailTask("no space left".into()),
        }]);
        let Err(error) = apply_known(&world, &prior, &config, &Recorder::default()).await else { continue };
        broken += 1;
        server.simulator().set_failures(Vec::new());
        let read = world.read(error.left.as_ref().unwrap_or(&prior)).await.unwrap();
        let planned = world.plan(Some(&read), &config).planned.unwrap();
        let context = format!("{} {}: {}", request.method, request.path, error.message);
        assert!(!same(&read, &planned), "nothing is planned after {context}");
        let done = apply_known(&world, &read, &config, &Recorder::default()).await;
        let done = done.unwrap_or_else(|error| panic!("{}, after {context}", error.message));
        world.assert_settled(&done.unwrap(), &config).await;
        assert_eq!(present(&world, "lxc", &config).await, undisturbed, "{context}");
    }
    assert!(broken > 0, "no task has failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_becomes_what_is_planned_whatever_task_failed() {
    for is_started in [false, true] {
        for node in ["pve", "pve2"] {
            let [before, mut after] = rich(is_started);
            after["node_name"] = json!(node);
            fail_tasks_in_turn(before.clone(), after.clone()).await;
            after["started"] = json!(!is_started);
            fail_tasks_in_turn(before, after).await;
        }
    }
}
