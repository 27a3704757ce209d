//! Disks where a drive for media was: they are taken in or left alone, never destroyed.

use serde_json::{Value as Json, json};

use super::super::lives::VM;
use super::super::{Recorder, World};
use super::exchanged::{options, put, volumes};
use super::removals::{apply_known, break_off_in_turn};
use super::world;
use crate::cluster::Method;
use crate::values::same;

const PATH: &str = "/nodes/pve/qemu/600/config";

fn vm(started: bool, disks: &[&str], more: Json) -> Json {
    let disks: Vec<Json> = disks.iter().map(|slot| json!({"interface": slot, "size": 1})).collect();
    let mut config =
        json!({"node_name": "pve", "vm_id": 600, "name": "v", "started": started, "disk": disks});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn cdrom(interface: &str, file: &str) -> Json {
    json!({"cdrom": [{"interface": interface, "file_id": format!("local:iso/{file}.iso")}]})
}

/// The names of the volumes that a datastore has for the VM.
async fn stored(world: &World, datastore: &str) -> Vec<String> {
    let path = format!("/nodes/pve/storage/{datastore}/content?vmid=600");
    let content = world.api.send(Method::Get, &path, &[]).await.unwrap();
    let volumes =
        content.as_array().unwrap().iter().map(|volume| volume["volid"].as_str().unwrap().to_string());
    volumes.collect()
}

/// A VM whose drive for media somebody has exchanged for a disk of another datastore.
async fn exchanged(world: &World, media: Json, started: bool) -> pve_model::Value {
    let made = world.apply(None, vm(started, &["scsi0"], media)).await;
    let power = |state: &str| format!("/nodes/pve/qemu/600/status/{state}");
    if started {
        world.send(Method::Post, &power("stop")).await;
    }
    put(&*world.api, PATH, &[("delete", "ide3")]).await;
    put(&*world.api, PATH, &[("ide3", "other:3")]).await;
    if started {
        world.send(Method::Post, &power("start")).await;
    }
    made
}

impl World {
    /// A request of somebody else.
    async fn send(&self, method: Method, path: &str) {
        let upid = self.api.send(method, path, &[]).await.unwrap();
        self.api.wait(upid.as_str().unwrap(), std::time::Duration::from_secs(30)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stands_where_a_drive_for_media_was_outlives_its_block() {
    let cloud_init = json!({"initialization": [{"interface": "ide3", "datastore_id": "local-lvm"}]});
    for (media, moved) in
        [(cdrom("ide3", "a"), json!({})), (cdrom("ide3", "a"), cdrom("ide0", "a")), (cloud_init, json!({}))]
    {
        for (is_known, is_configured, started) in
            [(false, false, false), (true, false, false), (true, true, false), (true, false, true)]
        {
            let (world, _server) = world(VM).await;
            let made = exchanged(&world, media.clone(), started).await;
            let known = if is_known { world.read(&made).await.unwrap() } else { made };
            let disks: &[&str] = if is_configured { &["scsi0", "ide3"] } else { &["scsi0"] };
            let mut after = vm(started, disks, moved.clone());
            if is_configured {
                after["disk"][1] = json!({"interface": "ide3", "datastore_id": "other", "size": 3});
            }
            let config = world.config(after);
            apply_known(&world, &known, &config, &Recorder::default()).await.unwrap();
            let what = format!("{media} {moved} {is_known} {is_configured} {started}");
            let now = volumes(&options(&*world.api, PATH).await);
            let expected = [("ide3", "other:vm-600-disk-0"), ("scsi0", "local-lvm:vm-600-disk-0")];
            let now: Vec<(&str, &str)> = now.iter().map(|(slot, volume)| (&**slot, &**volume)).collect();
            assert_eq!(now, expected, "{what}");
            assert_eq!(stored(&world, "other").await, ["other:vm-600-disk-0"], "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cdrom_drive_does_not_push_out_a_disk_that_nobody_planned_to_lose() {
    for is_known in [false, true] {
        let (world, _server) = world(VM).await;
        let made = exchanged(&world, cdrom("ide3", "a"), false).await;
        let known = if is_known { world.read(&made).await.unwrap() } else { made };
        let found = options(&*world.api, PATH).await;
        let config = world.config(vm(false, &["scsi0"], cdrom("ide3", "b")));
        let error = apply_known(&world, &known, &config, &Recorder::default()).await.unwrap_err();
        assert!(
            error.message.contains("the CD-ROM drive would take ide3, which has other:vm-600-disk-0"),
            "{}",
            error.message
        );
        assert_eq!(options(&*world.api, PATH).await, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_and_a_drive_for_media_take_each_others_place_at_once() {
    for started in [false, true] {
        for slot in ["ide3", "scsi1"] {
            let (world, _server) = world(VM).await;
            let media = vm(started, &["scsi0"], cdrom(slot, "a"));
            let disk = vm(started, &["scsi0", slot], json!({}));
            let mut known = world.apply(None, media.clone()).await;
            for (config, has_disk) in [(&disk, true), (&media, false), (&disk, true)] {
                let config = world.config(config.clone());
                known = apply_known(&world, &known, &config, &Recorder::default()).await.unwrap().unwrap();
                let read = world.read(&known).await.unwrap();
                assert!(same(&read, &world.plan(Some(&read), &config).planned.unwrap()), "{slot} {started}");
                let now = options(&*world.api, PATH).await;
                assert_eq!(now[slot].as_str().unwrap().contains("media=cdrom"), !has_disk, "{now}");
                assert_eq!(now.get("unused0"), None, "{slot} {started}");
                assert_eq!(stored(&world, "local-lvm").await.len(), 1 + usize::from(has_disk));
                let pending = world.api.send(Method::Get, "/nodes/pve/qemu/600/pending", &[]).await.unwrap();
                let waits = pending.as_array().unwrap().iter().any(|row| row.get("pending").is_some());
                assert!(!waits, "{pending}");
            }
            let iso = "/nodes/pve/storage/local/content?content=iso";
            let images = world.api.send(Method::Get, iso, &[]).await.unwrap();
            assert!(images.to_string().contains("local:iso/a.iso"), "{images}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_in_place_of_a_cdrom_drive_is_there_whatever_request_was_refused() {
    for started in [false, true] {
        let before = vm(started, &["scsi0"], cdrom("ide3", "a"));
        let mut after = vm(started, &["scsi0", "ide3"], json!({"description": "later"}));
        after["disk"][0]["size"] = json!(2);
        break_off_in_turn(VM, "qemu", &before, &after, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_machine_keeps_a_disk_that_stands_where_a_cd_drive_was() {
    let (world, _server) = world("proxmox_cloned_vm").await;
    let params = [("vmid", "900"), ("name", "template"), ("scsi0", "local-lvm:1")];
    let params = params.map(|(name, text)| (name.to_string(), text.to_string()));
    world.api.send(Method::Post, "/nodes/pve/qemu", &params).await.unwrap();
    let config = |more: Json| {
        let mut config = json!({"node_name": "pve", "id": 600, "clone": {"source_vm_id": 900}});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let made = world.apply(None, config(json!({"cdrom": {"ide3": {"file_id": "local:iso/a.iso"}}}))).await;
    world.send(Method::Post, "/nodes/pve/qemu/600/status/stop").await;
    put(&*world.api, PATH, &[("delete", "ide3")]).await;
    put(&*world.api, PATH, &[("ide3", "other:3")]).await;
    let found = options(&*world.api, PATH).await;
    for after in [json!({}), json!({"cdrom": {"ide3": {"file_id": "local:iso/b.iso"}}})] {
        let after = world.config(config(after));
        let error = apply_known(&world, &made, &after, &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("ide3 has other:vm-600-disk-0 now"), "{}", error.message);
        assert_eq!(options(&*world.api, PATH).await, found);
    }
    let read = world.read(&made).await.unwrap();
    let after = world.config(config(json!({})));
    apply_known(&world, &read, &after, &Recorder::default()).await.unwrap();
    assert_eq!(options(&*world.api, PATH).await["ide3"], found["ide3"]);
}
