//! Guests that HA manages, on a clock that moves only while it is waited for HA: what has to be stopped is stopped, and what
//! is to run runs when it is done.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::{ActionProgress, ProviderError};
use pve_model::Value;
use pve_simulator::{Options, Server, Simulator};
use serde_json::{Value as Json, json};

use super::super::World;
use super::super::lives::{CONTAINER, VM};
use super::world_with;
use crate::cluster::Method;

const CYCLE: Duration = Duration::from_secs(10);

/// Some rounds of HA's managers go by whenever something waits for them.
struct Patient<'a>(&'a Simulator);

#[async_trait]
impl ActionProgress for Patient<'_> {
    async fn task_submitted(&self, _: &str, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn step_completed(&self, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    fn status(&self, text: &str) {
        if text.starts_with("waiting for HA") {
            self.0.advance(CYCLE * 10);
        }
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

async fn cluster(kind: &'static str) -> (World, Server) {
    let options = Options { status_cycle: Duration::ZERO, ha_cycle: CYCLE, ..Options::default() };
    let (world, server) = world_with(kind, options).await;
    server.simulator().stop_clock();
    (world, server)
}

async fn send(world: &World, method: Method, path: &str, params: &[(&str, &str)]) -> Json {
    let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    world.api.send(method, path, &params).await.unwrap()
}

/// Puts the guest under HA, which has seen it when this ends.
async fn manage(world: &World, server: &Server, sid: &str, state: &str) {
    send(world, Method::Post, "/cluster/ha/resources", &[("sid", sid), ("state", state)]).await;
    server.simulator().advance(CYCLE * 5);
    send(world, Method::Get, "/version", &[]).await;
}

async fn apply(
    world: &World,
    server: &Server,
    prior: Option<&Value>,
    json: &Json,
) -> Result<Value, ProviderError> {
    let config = world.config(json.clone());
    let after = world.try_apply(prior, Some(&config), &Patient(server.simulator())).await?.unwrap();
    world.assert_settled(&after, &config).await;
    Ok(after)
}

/// Whether a guest runs, and what HA is to make of it.
async fn power(world: &World, guest: &str, sid: &str) -> [String; 2] {
    let status = send(world, Method::Get, &format!("/nodes/pve/{guest}/status/current"), &[]).await;
    let resource = send(world, Method::Get, &format!("/cluster/ha/resources/{sid}"), &[]).await;
    [&status["status"], &resource["state"]].map(|text| text.as_str().unwrap().to_string())
}

fn vm(tpm: &str, disk: &str) -> Json {
    json!({"node_name": "pve", "vm_id": 700, "name": "n", "tpm_state": [{"datastore_id": tpm, "version": "v2.0"}],
           "disk": [{"interface": disk, "datastore_id": "local-lvm", "size": 1}]})
}

fn container(datastore: &str) -> Json {
    json!({"node_name": "pve", "vm_id": 700, "disk": [{"datastore_id": datastore, "size": 1}],
           "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}]})
}

fn with(mut config: Json, more: &Json) -> Json {
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[tokio::test]
async fn a_vm_under_ha_is_stopped_for_what_it_does_not_take_while_it_runs_and_runs_again() {
    let (world, server) = cluster(VM).await;
    let mut made = apply(&world, &server, None, &vm("local-lvm", "scsi0")).await.unwrap();
    manage(&world, &server, "vm:700", "started").await;
    let stopped = with(vm("other", "virtio0"), &json!({"started": false}));
    for (config, expected) in [
        (vm("other", "scsi0"), ["running", "started"]),
        (vm("other", "virtio0"), ["running", "started"]),
        (with(vm("other", "virtio0"), &json!({"machine": "q35"})), ["running", "started"]),
        (stopped, ["stopped", "stopped"]),
        (vm("other", "virtio0"), ["running", "started"]),
    ] {
        let done = apply(&world, &server, Some(&made), &config).await;
        made = done.unwrap_or_else(|error| panic!("{config}: {error}"));
        assert_eq!(power(&world, "qemu/700", "vm:700").await, expected, "{config}");
        // Nothing comes later.
        server.simulator().advance(CYCLE * 5);
        assert_eq!(power(&world, "qemu/700", "vm:700").await, expected, "{config}");
    }
}

#[tokio::test]
async fn a_container_under_ha_is_stopped_for_what_it_does_not_take_while_it_runs_and_runs_again() {
    let (world, server) = cluster(CONTAINER).await;
    let mut made = apply(&world, &server, None, &container("local-lvm")).await.unwrap();
    manage(&world, &server, "ct:700", "started").await;
    let idmap = json!({"idmap": [{"type": "uid", "container_id": 0, "host_id": 100000, "size": 65536}]});
    for (config, expected) in [
        (container("other"), ["running", "started"]),
        (with(container("other"), &idmap), ["running", "started"]),
        (with(container("other"), &json!({"started": false})), ["stopped", "stopped"]),
        (container("other"), ["running", "started"]),
    ] {
        let done = apply(&world, &server, Some(&made), &config).await;
        made = done.unwrap_or_else(|error| panic!("{config}: {error}"));
        assert_eq!(power(&world, "lxc/700", "ct:700").await, expected, "{config}");
        server.simulator().advance(CYCLE * 5);
        assert_eq!(power(&world, "lxc/700", "ct:700").await, expected, "{config}");
    }
}

#[tokio::test]
async fn a_guest_under_ha_is_destroyed_once_it_has_stopped() {
    for at_once in [false, true] {
        for (kind, sid, mut config) in [
            (VM, "vm:700", with(vm("local-lvm", "scsi0"), &json!({"stop_on_destroy": at_once}))),
            (CONTAINER, "ct:700", container("local-lvm")),
        ] {
            config["started"] = json!(true);
            let (world, server) = cluster(kind).await;
            let made = apply(&world, &server, None, &config).await.unwrap();
            manage(&world, &server, sid, "started").await;
            let gone = world.try_apply(Some(&made), None, &Patient(server.simulator())).await;
            assert_eq!(gone.unwrap_or_else(|error| panic!("{kind}: {error}")), None);
            assert_eq!(world.read(&made).await, None);
        }
    }
}

#[tokio::test]
async fn a_guest_that_ha_cannot_start_is_told_of() {
    let (world, server) = cluster(VM).await;
    let config = |started: bool| {
        json!({"node_name": "pve", "vm_id": 700, "name": "n", "started": started,
               "network_device": [{"bridge": "vmbr77"}]})
    };
    let made = apply(&world, &server, None, &config(false)).await.unwrap();
    manage(&world, &server, "vm:700", "stopped").await;
    let error = apply(&world, &server, Some(&made), &config(true)).await.unwrap_err();
    assert!(error.message.contains("start vm 700 on pve: HA has given it up"), "{error:?}");
    assert!(error.hint.unwrap().contains("disabled"));
}
