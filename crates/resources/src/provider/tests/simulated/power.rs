//! Whether guests run, where the cluster's list does not tell.

use std::time::Duration;

use pve_executor::ports::{Provider, ReadRequest};
use pve_simulator::{FailureRule, How, Options, When};
use serde_json::json;

use super::super::Recorder;
use super::super::lives::{CONTAINER, VM};
use crate::cluster::Method;
use crate::values::flag;

#[tokio::test]
async fn a_guest_of_which_the_list_does_not_tell_whether_it_runs_is_asked_itself() {
    for (kind, api, config) in [
        (VM, "qemu", json!({"node_name": "pve", "vm_id": 500, "name": "x"})),
        (
            CONTAINER,
            "lxc",
            json!({"node_name": "pve", "vm_id": 500, "disk": [{"datastore_id": "local-lvm", "size": 1}],
                   "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}]}),
        ),
    ] {
        let options = Options { status_cycle: Duration::from_secs(3600), ..Options::default() };
        let (world, server) = super::world_with(kind, options).await;
        let made = world.apply(None, config).await;
        let stopped = world.api.send(Method::Post, &format!("/nodes/pve/{api}/500/status/stop"), &[]).await;
        world.api.wait(stopped.unwrap().as_str().unwrap(), Duration::from_secs(60)).await.unwrap();
        let read = world.read(&made).await.unwrap();
        assert_eq!((flag(&made, "started"), flag(&read, "started")), (Some(true), Some(false)), "{kind}");
        let rule = FailureRule {
            method: "GET".into(),
            path: format!("/nodes/pve/{api}/500/status/current"),
            when: When::Always,
            how: How::Refuse { status: 595, reason: "no route to host".into() },
        };
        server.simulator().set_failures(vec![rule]);
        let request = ReadRequest {
            address: world.address.clone(),
            provider: "proxmox".into(),
            prior: made.clone(),
            identity: None,
        };
        let error = world.provider.read(request).await.unwrap_err();
        assert!(error.message.starts_with("read guest 500 on pve: "), "{error:?}");
    }
}

#[tokio::test]
async fn a_list_from_before_a_start_does_not_make_a_guest_look_stopped() {
    let options = Options { status_cycle: Duration::from_secs(3600), ..Options::default() };
    let (world, _server) = super::world_with(VM, options).await;
    let config = |started: bool| json!({"node_name": "pve", "vm_id": 500, "name": "x", "started": started});
    let stopped = world.apply(None, config(false)).await;
    assert_eq!(flag(&world.read(&stopped).await.unwrap(), "started"), Some(false));
    let started = world.apply(Some(&stopped), config(true)).await;
    let list = world.api.send(Method::Get, "/cluster/resources", &[]).await.unwrap();
    let entry = list.as_array().unwrap().iter().find(|entry| entry["vmid"] == 500).unwrap();
    assert_ne!(entry["status"], "running", "the list is older");
    assert_eq!(flag(&world.read(&started).await.unwrap(), "started"), Some(true));
}

#[tokio::test]
async fn a_hibernated_vm_goes_on_before_it_is_changed_and_one_that_is_to_stay_off_says_so_at_once() {
    let (world, _server) = super::world(VM).await;
    let config = |name: &str, started: bool| json!({"node_name": "pve", "vm_id": 500, "name": name, "started": started});
    let hibernate = async || {
        let params = [("todisk".to_string(), "1".to_string())];
        let sent = world.api.send(Method::Post, "/nodes/pve/qemu/500/status/suspend", &params).await;
        world.api.wait(sent.unwrap().as_str().unwrap(), Duration::from_secs(60)).await.unwrap();
        world.provider.cluster("proxmox").forget_guests().await;
    };
    let made = world.apply(None, config("x", true)).await;
    hibernate().await;
    let read = world.read(&made).await.unwrap();
    assert_eq!(flag(&read, "started"), Some(false));
    let changed = world.apply(Some(&read), config("y", true)).await;
    let now = world.api.send(Method::Get, "/nodes/pve/qemu/500/config", &[]).await.unwrap();
    assert_eq!((&now["name"], now.get("lock"), now.get("vmstate")), (&json!("y"), None, None));
    hibernate().await;
    let read = world.read(&changed).await.unwrap();
    let recorder = Recorder::default();
    let refused =
        world.try_apply(Some(&read), Some(&world.config(config("z", false))), &recorder).await.unwrap_err();
    assert!(refused.message.contains("is locked (suspended)"), "{refused:?}");
    assert!(refused.hint.unwrap().contains("hibernated"));
    world.destroy(&read).await;
    let volumes = world.api.send(Method::Get, "/nodes/pve/storage/local-lvm/content", &[]).await.unwrap();
    assert_eq!(volumes, json!([]));
}

#[tokio::test]
async fn what_is_on_a_node_that_is_away_is_read_in_vain_and_the_error_names_the_node() {
    let away = |path: &str| FailureRule {
        method: "GET".into(),
        path: format!("/nodes/pve/{path}"),
        when: When::Always,
        how: How::Refuse { status: 595, reason: "No route to host".into() },
    };
    for (kind, config, path, told) in [
        (VM, json!({"node_name": "pve", "vm_id": 500, "name": "x"}), "qemu/500/*", "read guest 500 on pve: "),
        (
            "proxmox_network_linux_bridge",
            json!({"node_name": "pve", "name": "vmbr9"}),
            "network/*",
            "read proxmox_network_linux_bridge.a on pve: ",
        ),
    ] {
        let (world, server) = super::world(kind).await;
        let made = world.apply(None, config).await;
        server.simulator().set_failures(vec![away("network"), away(path)]);
        let error = world.try_read(&made).await.unwrap_err();
        assert!(error.message.starts_with(told), "{error:?}");
        assert!(error.hint.unwrap().contains("-exclude"));
    }
}
