//! Which machine is meant, of the newer kinds of virtual machines: wherever it is by now, and not another one with its id.

use pve_executor::ports::{Provider, Recovery};
use serde_json::{Value as Json, json};

use super::super::recovered::open_action;
use super::super::{Recorder, World};
use super::newer_vms::{CLONED, config, with_template};
use super::turns::step;
use super::world_with;
use crate::cluster::Method;

/// A cluster of two nodes with the template 900.
async fn two_nodes(kind: &'static str) -> (World, pve_simulator::Server) {
    let options = pve_simulator::Options {
        other_nodes: vec!["pve2".into()],
        status_cycle: std::time::Duration::ZERO,
        ha_cycle: std::time::Duration::from_millis(300),
        ..Default::default()
    };
    let (world, server) = world_with(kind, options).await;
    send(&world, "/nodes/pve/qemu", &[("vmid", "900"), ("name", "template"), ("cores", "2")]).await;
    (world, server)
}

async fn send(world: &World, path: &str, params: &[(&str, &str)]) {
    let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let answer = world.api.send(Method::Post, path, &params).await.unwrap();
    if let Some(upid) = answer.as_str().filter(|text| text.starts_with("UPID:")) {
        world.api.wait(upid, std::time::Duration::from_secs(60)).await.unwrap();
    }
}

async fn nodes_of(world: &World, vmid: &str) -> Vec<String> {
    let params = [("type".to_string(), "vm".to_string())];
    let list = world.api.send(Method::Get, "/cluster/resources", &params).await.unwrap();
    let own = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|guest| guest["vmid"].as_i64().is_some_and(|own| own.to_string() == vmid));
    own.map(|guest| guest["node"].as_str().unwrap().to_string()).collect()
}

fn wanted(kind: &str) -> Json {
    match kind {
        CLONED => json!({"node_name": "pve", "id": 720, "started": false, "clone": {"source_vm_id": 900}}),
        _ => json!({"node_name": "pve", "id": 720}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_moved_is_brought_back_changed_and_destroyed_where_it_is() {
    for kind in ["proxmox_vm", CLONED] {
        let (world, _server) = two_nodes(kind).await;
        let config = wanted(kind);
        let made = step(&world, None, &config).await.unwrap();
        send(&world, "/nodes/pve/qemu/720/migrate", &[("target", "pve2")]).await;
        let read = world.read(&made).await.unwrap();
        assert_eq!(crate::values::text(&read, "node_name"), Some("pve2"));
        let back = step(&world, Some(&read), &config).await.unwrap();
        assert_eq!(nodes_of(&world, "720").await, ["pve"]);

        // Between the plan and its application, too.
        send(&world, "/nodes/pve/qemu/720/migrate", &[("target", "pve2")]).await;
        let mut more = config.clone();
        more["cpu"] = json!({"cores": 3});
        let changed = step(&world, Some(&back), &more).await.unwrap();
        send(&world, "/nodes/pve/qemu/720/migrate", &[("target", "pve2")]).await;
        let gone = world.try_apply(Some(&changed), None, &Recorder::default()).await.unwrap();
        assert_eq!((gone, nodes_of(&world, "720").await), (None, vec![]));
        assert!(world.try_apply(Some(&changed), None, &Recorder::default()).await.is_ok(), "it is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ha_manages_has_moved_when_its_change_is_done() {
    let (world, _server) = two_nodes("proxmox_vm").await;
    let made = step(&world, None, &wanted("proxmox_vm")).await.unwrap();
    send(&world, "/cluster/ha/resources", &[("sid", "vm:720"), ("state", "stopped")]).await;
    // What is asked for before the manager knows the machine is dropped.
    let settled = async || {
        let status = world.api.send(Method::Get, "/cluster/ha/status/current", &[]).await.unwrap();
        status
            .as_array()
            .unwrap()
            .iter()
            .any(|service| service["sid"] == "vm:720" && service["crm_state"] == "stopped")
    };
    while !settled().await {}
    let next = json!({"node_name": "pve2", "id": 720, "cpu": {"cores": 3}});
    let moved = step(&world, Some(&made), &next).await.unwrap();
    assert_eq!(nodes_of(&world, "720").await, ["pve2"]);
    assert_eq!(crate::values::text(&moved, "node_name"), Some("pve2"));
}

/// Somebody destroyed the machine and made another one with its id: it is neither taken for it nor touched.
#[tokio::test(flavor = "multi_thread")]
async fn another_machine_with_the_id_of_a_known_one_is_not_touched() {
    for kind in ["proxmox_vm", CLONED] {
        let (world, _server) = two_nodes(kind).await;
        let mut config = wanted(kind);
        config["name"] = json!("mine");
        if kind == CLONED {
            config["network"] =
                json!({"net0": {"bridge": "vmbr0", "model": "virtio", "mac_address": "BC:24:11:00:00:01"}});
        }
        let made = step(&world, None, &config).await.unwrap();
        let theirs = [("name", "theirs"), ("net0", "virtio=BC:24:11:00:00:02,bridge=vmbr0")];
        send(&world, "/nodes/pve/qemu/720/config", &theirs).await;
        if kind == CLONED {
            let error = world.try_read(&made).await.unwrap_err();
            assert!(error.message.contains("is another one: it is named theirs"), "{}", error.message);
        }
        config["cpu"] = json!({"cores": 3});
        let there = self::config(&world, 720).await;
        for config in [None, Some(world.config(config))].iter().cycle().take(4) {
            let error =
                world.try_apply(Some(&made), config.as_ref(), &Recorder::default()).await.unwrap_err();
            assert!(error.message.contains("it may be another guest"), "{}", error.message);
            assert_eq!((error.left, error.indeterminate), (None, false));
        }
        assert_eq!(self::config(&world, 720).await, there, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_somebody_put_in_the_place_of_a_known_one_is_not_taken_out_of_a_machine() {
    let (world, _server) = with_template().await;
    let made = step(&world, None, &wanted(CLONED)).await.unwrap();
    let set = async |name: &str, option: &str| {
        send(&world, "/nodes/pve/qemu/720/config", &[(name, option)]).await;
    };
    set("scsi1", "local-lvm:2").await;
    let read = world.read(&made).await.unwrap();
    let identity = world.provider.identity(&world.address);
    set("delete", "scsi1").await;
    set("scsi1", "local-lvm:3").await;
    let there = self::config(&world, 720).await;
    let mut without = wanted(CLONED);
    without["delete"] = json!({"disk": ["scsi1"]});
    for (config, told) in [
        (
            Some(world.config(without)),
            "scsi1 has local-lvm:vm-720-disk-2 now, and had local-lvm:vm-720-disk-1",
        ),
        (None, "scsi1 has local-lvm:vm-720-disk-2 now, and had nothing"),
    ] {
        let mut request = world.request(Some(&read), config.as_ref());
        request.identity.clone_from(&identity);
        let error = world.provider.apply(request, &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains(told), "{}", error.message);
    }
    assert_eq!(self::config(&world, 720).await, there);
}

/// Somebody restored another machine under the id and the name of a known one, which has no network device.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_known_by_its_uuid_and_generation() {
    for kind in ["proxmox_vm", CLONED] {
        let (world, _server) = two_nodes(kind).await;
        let made = step(&world, None, &wanted(kind)).await.unwrap();
        let identity = world.provider.identity(&world.address).unwrap();
        assert!(identity.contains("uuid=") && identity.contains("vmgenid="), "{identity}");
        let read = async |identity: &str| {
            let request = pve_executor::ports::ReadRequest {
                address: world.address.clone(),
                provider: "proxmox".into(),
                prior: made.clone(),
                identity: Some(identity.to_string()),
            };
            world.provider.read(request).await
        };
        assert!(read(&identity).await.unwrap().is_some());
        let there = self::config(&world, 720).await;
        let other = "uuid=00000000-0000-4000-8000-000000000000,ctime=1";
        let error = read(other).await.unwrap_err();
        assert!(error.message.contains("is another one") && error.message.contains("UUID"), "{error}");
        let mut next = wanted(kind);
        next["cpu"] = json!({"cores": 3});
        for config in [None, Some(world.config(next.clone()))] {
            let mut request = world.request(Some(&made), config.as_ref());
            request.identity = Some(other.to_string());
            let error = world.provider.apply(request, &Recorder::default()).await.unwrap_err();
            assert!(error.message.contains("has another UUID than when this was planned"), "{error}");
            assert_eq!((error.left, error.indeterminate), (None, false));
        }
        assert_eq!(self::config(&world, 720).await, there, "{kind}");
        assert!(read(&identity).await.unwrap().is_some(), "it is as it was");
        step(&world, Some(&made), &next).await.unwrap();
    }
}

/// A run ended before it could say that its machine was made; somebody destroyed that and made another one with its id.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_the_id_of_a_machine_that_was_destroyed_is_not_recovered_as_that() {
    for kind in ["proxmox_vm", CLONED] {
        let (world, _server) = two_nodes(kind).await;
        let config = world.config(wanted(kind));
        let recorder = Recorder::default();
        world.try_apply(None, Some(&config), &recorder).await.unwrap();
        let mut open = open_action(&world, &config, &recorder).await;
        open.intent.claim.vmid = Some(720);
        assert!(
            matches!(world.provider.recover(&open, None, None).await.unwrap(), Recovery::Exists(_)),
            "{kind}"
        );
        world.api.send(Method::Delete, "/nodes/pve/qemu/720", &[]).await.unwrap();
        while world.api.send(Method::Get, "/nodes/pve/qemu/720/config", &[]).await.is_ok() {}
        send(&world, "/nodes/pve/qemu", &[("vmid", "720"), ("name", "theirs")]).await;
        // Times of tasks are whole seconds: ours began some earlier.
        for (_, upid) in &mut open.tasks {
            let mut parts: Vec<String> = upid.split(':').map(str::to_string).collect();
            parts[4] = format!("{:08X}", i64::from_str_radix(&parts[4], 16).unwrap() - 5);
            *upid = parts.join(":");
        }
        assert!(!open.tasks.is_empty() && !open.completed.is_empty(), "{kind}");
        match world.provider.recover(&open, None, None).await {
            Ok(Recovery::Unclear(why)) => assert!(why.contains("was destroyed after this run"), "{why}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_being_made_is_not_imported() {
    for kind in ["proxmox_vm", CLONED] {
        let (world, _server) = two_nodes(kind).await;
        step(&world, None, &wanted(kind)).await.unwrap();
        world.provider.import(&world.address, "proxmox", "pve/720").await.unwrap();
        send(&world, "/nodes/pve/qemu/720/config", &[("lock", "clone")]).await;
        let error = world.provider.import(&world.address, "proxmox", "pve/720").await.unwrap_err();
        assert!(error.message.contains("the guest is being made (lock: clone)"), "{error}");
    }
}
