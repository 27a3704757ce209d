//! Whether guests run, where the cluster's list does not tell.

use std::time::Duration;

use pve_executor::ports::{Provider, ReadRequest};
use pve_simulator::{FailureRule, How, Options, When};
use serde_json::json;

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
        assert!(error.message.starts_with("read guest 500: "), "{error:?}");
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
