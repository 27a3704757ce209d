//! Drives and the life of the newer kinds of virtual machines against the simulator: options that nobody stated stay, nothing
//! is lost to a drive of another sort, a protected machine is left running.

use std::time::Duration;

use pve_executor::ports::Provider;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::VM;
use super::super::{Recorder, World};
use super::newer_vms::{config, with_template};
use super::turns::step;
use crate::cluster::Method;
use crate::values::int;

async fn set(world: &World, vmid: i64, name: &str, option: &str) {
    let path = format!("/nodes/pve/qemu/{vmid}/config");
    world.api.send(Method::Put, &path, &[(name.to_string(), option.to_string())]).await.unwrap();
}

fn has(there: &Json, slot: &str, parts: &[&str]) -> bool {
    let drive: Vec<&str> = there[slot].as_str().unwrap().split(',').collect();
    parts.iter().all(|part| drive.contains(part))
}

fn clone(more: Json) -> Json {
    let mut config = json!({"node_name": "pve", "id": 720, "started": false, "clone": {"source_vm_id": 900}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

const OTHERS: &[&str] = &["detect_zeroes=0", "mbps_rd=50", "ro=1", "wwn=0x5000c50015ea71ac"];

#[tokio::test]
async fn options_of_a_disk_that_no_attribute_is_for_outlive_its_change() {
    let (world, _server) = with_template().await;
    set(&world, 900, "scsi0", &format!("local-lvm:vm-900-disk-0,ssd=1,{}", OTHERS.join(","))).await;
    let wanted = clone(json!({"disk": {"scsi0": {"size_gb": 6, "discard": "on"}}}));
    let made = step(&world, None, &wanted).await.unwrap();
    let there = config(&world, 720).await;
    assert!(
        has(&there, "scsi0", OTHERS) && has(&there, "scsi0", &["size=6G", "discard=on", "ssd=1"]),
        "{there}"
    );
    let changed = step(&world, Some(&made), &clone(json!({"disk": {"scsi0": {"cache": "writeback"}}}))).await;
    let there = config(&world, 720).await;
    assert!(changed.is_ok() && has(&there, "scsi0", OTHERS) && has(&there, "scsi0", &["cache=writeback"]));
    assert!(!has(&there, "scsi0", &["discard=on"]), "{there}");

    let (world, _server) = super::world(VM).await;
    let wanted = |cache: &str| {
        json!({"node_name": "pve", "vm_id": 720, "started": false,
               "disk": [{"interface": "scsi0", "datastore_id": "local-lvm", "size": 4, "cache": cache}]})
    };
    let made = world.apply(None, wanted("none")).await;
    let others = ["detect_zeroes=0", "ro=1", "wwn=0x5000c50015ea71ac"];
    set(&world, 720, "scsi0", &format!("local-lvm:vm-720-disk-0,{}", others.join(","))).await;
    let read = world.read(&made).await.unwrap();
    world.apply(Some(&read), wanted("writeback")).await;
    let there = config(&world, 720).await;
    assert!(
        has(&there, "scsi0", &others) && has(&there, "scsi0", &["cache=writeback", "size=4G"]),
        "{there}"
    );
}

#[tokio::test]
async fn a_drive_of_a_clone_takes_no_other_drives_place() {
    let (world, _server) = with_template().await;
    set(&world, 900, "ide2", "local-lvm:cloudinit").await;
    set(&world, 900, "sata1", "local:iso/a.iso,media=cdrom").await;
    for (drives, told, path) in [
        (json!({"cdrom": {"ide2": {}}}), "ide2 of vm 900 has local-lvm:vm-900-cloudinit", "cdrom[\"ide2\"]"),
        (json!({"cdrom": {"scsi0": {}}}), "scsi0 of vm 900 has local-lvm:vm-900-disk-0", "cdrom[\"scsi0\"]"),
        (
            json!({"disk": {"sata1": {"size_gb": 4}}}),
            "sata1 of vm 900 has local:iso/a.iso",
            "disk[\"sata1\"]",
        ),
    ] {
        let wanted = world.config(clone(drives));
        let doubts = world.provider.doubts(&[world.request(None, Some(&wanted))]).await.found;
        let paths: Vec<String> =
            doubts.iter().flat_map(|doubt| &doubt.paths).map(ToString::to_string).collect();
        assert_eq!(paths, [path], "{doubts:?}");
        let error = world.try_apply(None, Some(&wanted), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains(told), "{}", error.message);
        assert!(error.left.is_none(), "nothing was cloned");
    }
    // A snapshot has drives of its own.
    let took = world
        .api
        .send(Method::Post, "/nodes/pve/qemu/900/snapshot", &[("snapname".into(), "snap".into())])
        .await;
    world.api.wait(took.unwrap().as_str().unwrap(), Duration::from_secs(30)).await.unwrap();
    let mut wanted = clone(json!({"cdrom": {"ide2": {}}}));
    wanted["clone"]["snapshot_name"] = json!("snap");
    let wanted = world.config(wanted);
    let error = world.try_apply(None, Some(&wanted), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("ide2 has ") && error.left.is_some(), "{}", error.message);
    assert!(config(&world, 720).await["ide2"].as_str().unwrap().contains("cloudinit"));
}

#[tokio::test]
async fn a_slot_has_one_drive() {
    let (world, _server) = with_template().await;
    let config = world.config(clone(json!({"cdrom": {"ide2": {}}, "disk": {"ide2": {"size_gb": 4}}})));
    let problems = world.rules().validate(&config);
    let paths: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
    assert_eq!(paths, ["disk[\"ide2\"]"]);
}

#[tokio::test]
async fn a_protected_machine_is_not_stopped_for_a_destroy_that_must_fail() {
    let (world, _server) = with_template().await;
    set(&world, 900, "protection", "1").await;
    let made = step(&world, None, &clone(json!({"started": true}))).await.unwrap();
    let doubts = world.provider.doubts(&[world.request(Some(&made), None)]).await.found;
    assert!(doubts.len() == 1 && doubts[0].is_certain, "{doubts:?}");
    let error = world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("is protected"), "{}", error.message);
    assert!(error.hint.unwrap().contains("--protection 0"));
    let status = world.api.send(Method::Get, "/nodes/pve/qemu/720/status/current", &[]).await.unwrap();
    assert_eq!(status["status"], "running");
    set(&world, 720, "protection", "0").await;
    assert_eq!(world.provider.doubts(&[world.request(Some(&made), None)]).await.found, []);
    world.destroy(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_ends_with_its_configured_time() {
    let task_durations = [("qmdestroy".to_string(), Duration::from_secs(60))].into();
    let options = pve_simulator::Options { task_durations, ..Default::default() };
    let (world, _server) = super::world_with("proxmox_vm", options).await;
    let wanted = json!({"node_name": "pve", "id": 720, "timeouts": {"delete": "1s"}});
    let made = step(&world, None, &wanted).await.unwrap();
    let error = world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap_err();
    assert!(error.indeterminate, "{error:?}");
}

/// Somebody attached a volume, and the configuration names it.
#[tokio::test]
async fn a_volume_that_the_plan_names_may_have_been_attached_since() {
    let (world, _server) = with_template().await;
    let made = step(&world, None, &clone(json!({}))).await.unwrap();
    let read: Value = world.read(&made).await.unwrap();
    let identity = world.provider.identity(&world.address);
    set(&world, 720, "scsi1", "local-lvm:2").await;
    let with_file = |file: &str| world.config(clone(json!({"disk": {"scsi1": {"file": file}}})));
    for (file, is_fine) in [("local-lvm:vm-720-disk-7", false), ("local-lvm:vm-720-disk-1", true)] {
        let mut request = world.request(Some(&read), Some(&with_file(file)));
        request.identity.clone_from(&identity);
        let done = world.provider.apply(request, &Recorder::default()).await;
        assert_eq!(done.is_ok(), is_fine, "{file}: {:?}", done.err());
    }
    assert!(config(&world, int(&made, "id").unwrap()).await["scsi1"].as_str().unwrap().contains("disk-1"));
}
