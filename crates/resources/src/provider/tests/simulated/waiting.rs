//! Volumes whose lines wait for a reboot, by hand or by the plan: none is lost, exchanged or made anew beside what is there.

use pve_executor::ports::Provider;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::{CONTAINER, VM};
use super::super::{Recorder, World};
use super::exchanged::{options, put, volumes};
use super::removals::apply_known;
use super::turns::step;
use super::world;
use crate::cluster::Method;

const VM_PATH: &str = "/nodes/pve/qemu/600/config";
const CONTAINER_PATH: &str = "/nodes/pve/lxc/600/config";
const CLONED: &str = "proxmox_cloned_vm";

fn vm(disks: Json, more: Json) -> Json {
    let mut config = json!({"node_name": "pve", "vm_id": 600, "name": "v", "disk": disks});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn disk(interface: &str) -> Json {
    json!({"interface": interface, "size": 1})
}

fn container(point: Json) -> Json {
    json!({
        "node_name": "pve", "vm_id": 600, "mount_point": [point],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 1}],
    })
}

fn point(more: Json) -> Json {
    let mut point = json!({"path": "/data", "volume": "local-lvm", "size": "1G"});
    point.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    point
}

/// The options with which a guest runs.
async fn in_force(world: &World, path: &str) -> Json {
    let current = [("current".to_string(), "1".to_string())];
    let is_vm = path.contains("qemu");
    world.api.send(Method::Get, path, if is_vm { &current } else { &[] }).await.unwrap()
}

async fn restart(world: &World, path: &str) {
    let path = path.replace("/config", "/status/reboot");
    let upid = world.api.send(Method::Post, &path, &[]).await.unwrap();
    world.api.wait(upid.as_str().unwrap(), std::time::Duration::from_secs(60)).await.unwrap();
}

/// What the plan that goes from `read` to a configuration says beside its changes.
fn told(world: &World, read: &Value, config: &Json) -> Vec<String> {
    let beside = world.provider.beside(&world.address).unwrap_or_default();
    let planned = world.plan(Some(read), &world.config(config.clone())).planned.unwrap();
    world.rules().remarks(&beside, read, Some(&planned))
}

fn volume(options: &Json, slot: &str) -> String {
    options[slot].as_str().unwrap_or_default().split(',').next().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_moves_while_an_option_of_it_waits_is_the_one_that_the_next_start_finds() {
    for (option, is_by_hand) in [("ssd", false), ("cache", true)] {
        let (world, _server) = world(VM).await;
        let more = json!({"reboot_after_update": is_by_hand});
        let config = |disk: Json| vm(json!([{"interface": "scsi0", "size": 1}, disk]), more.clone());
        let made = world.apply(None, config(disk("scsi1"))).await;
        let mut wanted = disk("scsi1");
        let mut now = made;
        if is_by_hand {
            let line = options(&*world.api, VM_PATH).await["scsi1"].as_str().unwrap().to_string();
            put(&*world.api, VM_PATH, &[("scsi1", &format!("{line},cache=writeback"))]).await;
            now = world.read(&now).await.unwrap();
        } else {
            wanted["ssd"] = json!(true);
            now = world.apply(Some(&now), config(wanted.clone())).await;
        }
        wanted["datastore_id"] = json!("other");
        let moved = world.apply(Some(&now), config(wanted)).await;
        let after = options(&*world.api, VM_PATH).await;
        assert_eq!(volume(&after, "scsi1"), "other:vm-600-disk-0", "{option}");
        assert_eq!(volume(&in_force(&world, VM_PATH).await, "scsi1"), "other:vm-600-disk-0", "{option}");
        assert_eq!(after["scsi1"].as_str().unwrap().contains("ssd=1"), !is_by_hand, "{after}");
        restart(&world, VM_PATH).await;
        assert_eq!(volumes(&options(&*world.api, VM_PATH).await).len(), 2, "nothing is set aside");
        assert_eq!(world.read(&moved).await.unwrap().get("disk"), moved.get("disk"));
    }
}

/// An earlier release left such lines behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_waits_and_names_another_volume_is_told_and_taken_back_by_a_move() {
    let (world, _server) = world(VM).await;
    let config = |store: &str| {
        let moved = json!({"interface": "sata1", "size": 1, "datastore_id": store});
        vm(json!([disk("scsi0"), moved]), json!({"reboot_after_update": false}))
    };
    let made = world.apply(None, config("other")).await;
    let line = [("disk".to_string(), "sata1".to_string()), ("storage".to_string(), "local-lvm".to_string())];
    put(&*world.api, VM_PATH, &[("sata1", "other:vm-600-disk-0,ssd=1,size=1G")]).await;
    let path = VM_PATH.replace("/config", "/move_disk");
    let delete = [("delete".to_string(), "1".to_string())];
    let upid = world.api.send(Method::Post, &path, &[&line[..], &delete].concat()).await.unwrap();
    world.api.wait(upid.as_str().unwrap(), std::time::Duration::from_secs(60)).await.unwrap();
    let read = world.read(&made).await.unwrap();
    let said = told(&world, &read, &config("other"));
    assert_eq!(
        said,
        ["waits for a reboot: sata1 (local-lvm:vm-600-disk-1 -> other:vm-600-disk-0)"],
        "the volume that it names is gone"
    );
    let moved = world.apply(Some(&read), config("local-lvm")).await;
    assert_eq!(volume(&options(&*world.api, VM_PATH).await, "sata1"), "local-lvm:vm-600-disk-1");
    assert_eq!(told(&world, &moved, &config("local-lvm")).len(), 1, "what was taken back is set aside");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_detached_and_waits_for_a_reboot_is_not_made_anew() {
    for (slot, more) in [("sata1", json!({})), ("scsi1", json!({"hotplug": "0"}))] {
        let (world, _server) = world(VM).await;
        let config = vm(json!([disk("scsi0"), disk(slot)]), more);
        let made = world.apply(None, config.clone()).await;
        let before = options(&*world.api, VM_PATH).await;
        put(&*world.api, VM_PATH, &[("delete", slot)]).await;
        let read = world.read(&made).await.unwrap();
        let said = told(&world, &read, &config);
        let volume = volume(&before, slot);
        let back = "which waits for a reboot; that is taken back, and no other volume is made";
        assert_eq!(said, [format!("{slot}: {volume} was taken out, {back}")]);
        let wanted = world.config(config.clone());
        let done = apply_known(&world, &read, &wanted, &Recorder::default()).await.unwrap().unwrap();
        world.assert_settled(&done, &wanted).await;
        assert_eq!(volumes(&options(&*world.api, VM_PATH).await), volumes(&before));
        assert_eq!(volumes(&in_force(&world, VM_PATH).await), volumes(&before));
        assert_eq!(told(&world, &done, &config), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_point_that_was_taken_away_and_waits_for_a_restart_is_not_made_anew() {
    let (world, _server) = world(CONTAINER).await;
    let config = container(point(json!({})));
    let made = world.apply(None, config.clone()).await;
    let before = options(&*world.api, CONTAINER_PATH).await;
    // Another volume of it lies unused, and is not the one.
    put(&*world.api, CONTAINER_PATH, &[("mp5", "local-lvm:1,mp=/old")]).await;
    put(&*world.api, CONTAINER_PATH, &[("delete", "mp5")]).await;
    restart(&world, CONTAINER_PATH).await;
    put(&*world.api, CONTAINER_PATH, &[("delete", "mp0")]).await;
    let read = world.read(&made).await.unwrap();
    let said = told(&world, &read, &config);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("mp0: local-lvm:vm-600-disk-1 at /data was taken out, which waits"),
        "{said:?}"
    );
    assert!(said[1].ends_with("set aside; left alone"), "{said:?}");
    world.apply(Some(&read), config.clone()).await;
    assert_eq!(volume(&options(&*world.api, CONTAINER_PATH).await, "mp0"), volume(&before, "mp0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_point_that_moves_while_an_option_of_it_waits_keeps_its_volume() {
    let (world, _server) = world(CONTAINER).await;
    let made = world.apply(None, container(point(json!({})))).await;
    put(&*world.api, CONTAINER_PATH, &[("mp0", "local-lvm:vm-600-disk-1,mp=/data,size=1G,ro=1")]).await;
    let read = world.read(&made).await.unwrap();
    let moved = world.apply(Some(&read), container(point(json!({"volume": "other"})))).await;
    let after = options(&*world.api, CONTAINER_PATH).await;
    assert_eq!(volume(&after, "mp0"), "other:vm-600-disk-0", "{after}");
    restart(&world, CONTAINER_PATH).await;
    assert_eq!(world.read(&moved).await.unwrap().get("mount_point"), moved.get("mount_point"));
    assert!(!after["mp0"].as_str().unwrap().contains("ro=1"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_grows_and_changes_at_once_has_its_size_after_the_reboot() {
    let (world, _server) = world(VM).await;
    let config = |parts: Json| vm(json!([disk("scsi0"), parts]), json!({"reboot_after_update": false}));
    let made = world.apply(None, config(disk("scsi1"))).await;
    let grown = json!({"interface": "scsi1", "size": 3, "ssd": true});
    let changed = world.apply(Some(&made), config(grown)).await;
    restart(&world, VM_PATH).await;
    assert_eq!(world.read(&changed).await.unwrap().get("disk"), changed.get("disk"));
}

/// The rollback of a snapshot from before a growth leaves the volume its size, and its line not.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_says_less_than_its_volume_has_is_corrected() {
    for (kind, path, config, part, slot) in [
        (VM, VM_PATH, vm(json!([disk("scsi0")]), json!({})), "disk", "scsi0"),
        (CONTAINER, CONTAINER_PATH, container(point(json!({}))), "mount_point", "mp0"),
    ] {
        let (world, _server) = world(kind).await;
        let config = |size: Json| {
            let mut config = config.clone();
            config["started"] = json!(false);
            config[part][0]["size"] = size;
            config
        };
        let sizes = if kind == VM { [json!(1), json!(3)] } else { [json!("1G"), json!("3G")] };
        let made = world.apply(None, config(sizes[0].clone())).await;
        for (step, params) in [("snapshot", "snapname=before"), ("", ""), ("snapshot/before/rollback", "")] {
            if step.is_empty() {
                world.apply(Some(&made), config(sizes[1].clone())).await;
                continue;
            }
            let params: Vec<_> = params.split_once('=').into_iter().collect();
            let params: Vec<_> = params.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            let path = path.replace("config", step);
            let upid = world.api.send(Method::Post, &path, &params).await.unwrap();
            world.api.wait(upid.as_str().unwrap(), std::time::Duration::from_secs(60)).await.unwrap();
        }
        assert!(options(&*world.api, path).await[slot].as_str().unwrap().contains("size=1G"));
        let read = world.read(&made).await.unwrap();
        world.apply(Some(&read), config(sizes[1].clone())).await;
        let now = options(&*world.api, path).await;
        assert!(now[slot].as_str().unwrap().contains("size=3G"), "{now}");
    }
}

async fn cloned(datastore: &str) -> (World, pve_simulator::Server, Json) {
    let (world, server) = world(CLONED).await;
    let params = [("vmid", "900"), ("name", "template"), ("scsi0", &*format!("{datastore}:1"))];
    let params = params.map(|(name, text)| (name.to_string(), text.to_string()));
    world.api.send(Method::Post, "/nodes/pve/qemu", &params).await.unwrap();
    let config = json!({"node_name": "pve", "id": 600, "clone": {"source_vm_id": 900}});
    (world, server, config)
}

fn with_disk(config: &Json, slot: &str, disk: Json) -> Json {
    let mut config = config.clone();
    config["disk"][slot] = disk;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_a_cloned_machine_is_told_and_its_disks_move_all_the_same() {
    let (world, _server, config) = cloned("local-lvm").await;
    let made = step(&world, None, &with_disk(&config, "scsi0", json!({"size_gb": 1}))).await.unwrap();
    let wanted = with_disk(&config, "scsi0", json!({"size_gb": 1, "ssd": true}));
    let changed = step(&world, Some(&made), &wanted).await.unwrap();
    let read = world.read(&changed).await.unwrap();
    assert_eq!(told(&world, &read, &wanted), ["waits for a reboot: scsi0"]);
    let wanted = with_disk(&config, "scsi0", json!({"size_gb": 1, "ssd": true, "datastore_id": "other"}));
    step(&world, Some(&read), &wanted).await.unwrap();
    for there in [options(&*world.api, VM_PATH).await, in_force(&world, VM_PATH).await] {
        assert_eq!(volume(&there, "scsi0"), "other:vm-600-disk-0");
    }
    restart(&world, VM_PATH).await;
    let there = options(&*world.api, VM_PATH).await;
    assert!(there["scsi0"].as_str().unwrap().contains("ssd=1"), "{there}");
    assert_eq!(volumes(&there).len(), 1, "{there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_a_cloned_machine_whose_removal_waits_is_not_made_anew() {
    let (world, _server, config) = cloned("local-lvm").await;
    let wanted =
        with_disk(&with_disk(&config, "scsi0", json!({"size_gb": 1})), "sata1", json!({"size_gb": 2}));
    let made = step(&world, None, &wanted).await.unwrap();
    let before = options(&*world.api, VM_PATH).await;
    put(&*world.api, VM_PATH, &[("delete", "sata1")]).await;
    let read = world.read(&made).await.unwrap();
    let said = told(&world, &read, &wanted);
    assert!(
        said.len() == 1 && said[0].starts_with("sata1: local-lvm:vm-600-disk-1 was taken out"),
        "{said:?}"
    );
    step(&world, Some(&read), &wanted).await.unwrap();
    assert_eq!(volumes(&options(&*world.api, VM_PATH).await), volumes(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_a_cloned_machine_moves_in_the_format_that_is_configured() {
    let (world, _server, config) = cloned("files").await;
    let wanted = with_disk(&config, "scsi0", json!({"size_gb": 1}));
    let made = step(&world, None, &wanted).await.unwrap();
    let wanted = with_disk(&config, "scsi0", json!({"size_gb": 1, "datastore_id": "other"}));
    let made = step(&world, Some(&made), &wanted).await.unwrap();
    let disk = |format: &str| json!({"size_gb": 1, "datastore_id": "files", "format": format});
    let mut now = made;
    for format in ["qcow2", "raw"] {
        now = step(&world, Some(&now), &with_disk(&config, "scsi0", disk(format))).await.unwrap();
        let there = volume(&options(&*world.api, VM_PATH).await, "scsi0");
        assert!(there.ends_with(&format!(".{format}")), "{there}");
    }
    // What the datastore would ignore is not recorded as done.
    let wanted = json!({"size_gb": 1, "datastore_id": "other", "format": "qcow2"});
    let refused = step(&world, Some(&now), &with_disk(&config, "scsi0", wanted)).await.unwrap_err();
    assert!(refused.ends_with("the datastore other (lvmthin) has raw disks only, not qcow2"), "{refused}");
}
