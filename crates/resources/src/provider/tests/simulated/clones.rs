//! Clones, templates and power against the simulator.

use pve_executor::ports::Provider;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::{CONTAINER, VM};
use super::super::{Recorder, World};
use super::turns::step;
use super::world;
use crate::cluster::Method;
use crate::values::{all_blocks, text};

async fn config(world: &World, kind: &str, vmid: u32) -> Json {
    world.api.send(Method::Get, &format!("/nodes/pve/{kind}/{vmid}/config"), &[]).await.unwrap()
}

async fn status(world: &World, kind: &str, vmid: u32) -> Json {
    let path = format!("/nodes/pve/{kind}/{vmid}/status/current");
    world.api.send(Method::Get, &path, &[]).await.unwrap()["status"].clone()
}

async fn must(world: &World, prior: Option<&Value>, json: Json) -> Value {
    step(world, prior, &json).await.unwrap_or_else(|fault| panic!("{json}: {fault}"))
}

fn template() -> Json {
    json!({
        "node_name": "pve", "vm_id": 9000, "name": "tpl", "template": true, "started": false,
        "description": "the template", "tags": ["tpl"], "machine": "q35", "bios": "ovmf",
        "cpu": [{"cores": 2, "type": "host"}], "memory": [{"dedicated": 2048}], "agent": [{"enabled": true}],
        "efi_disk": [{"type": "4m"}], "serial_device": [{}], "operating_system": [{"type": "l26"}],
        "disk": [{"interface": "scsi0", "size": 4, "discard": "on", "import_from": "local:import/d.qcow2"}],
        "network_device": [{"bridge": "vmbr0"}, {"bridge": "vmbr1"}],
        "initialization": [{"user_account": [{"username": "tpl"}], "ip_config": [{"ipv4": [{"address": "dhcp"}]}]}],
    })
}

#[tokio::test]
async fn a_full_clone_is_moved_grown_extended_and_changed() {
    let (world, _server) = world(VM).await;
    must(&world, None, template()).await;
    let clone = json!({
        "node_name": "pve", "vm_id": 600, "name": "web", "started": true, "on_boot": false,
        "clone": [{"vm_id": 9000, "datastore_id": "other", "retries": 3}],
        "agent": [{"enabled": false}], "cpu": [{"cores": 4}],
        "disk": [
            {"interface": "scsi0", "datastore_id": "other", "size": 20, "ssd": true},
            {"interface": "virtio1", "datastore_id": "local-lvm", "size": 3}],
        "network_device": [{"bridge": "vmbr1", "vlan_id": 7}],
        "initialization": [{
            "datastore_id": "other", "interface": "ide2",
            "user_account": [{"username": "me", "password": "p"}],
            "ip_config": [{"ipv4": [{"address": "192.0.2.9/24", "gateway": "192.0.2.1"}]}]}],
    });
    let made = must(&world, None, clone.clone()).await;
    let now = config(&world, "qemu", 600).await;
    let is = |name: &str, part: &str| {
        let found = now[name].as_str().map_or_else(|| now[name].to_string(), str::to_string);
        assert!(found.contains(part), "{name} is {found}, not {part}");
    };
    is("scsi0", "other:vm-600-");
    is("scsi0", "size=20G");
    is("virtio1", "size=3G");
    is("cores", "4");
    is("memory", "2048");
    is("net0", "bridge=vmbr1");
    is("ciuser", "me");
    is("ipconfig0", "192.0.2.9/24");
    assert_eq!(now.get("template"), None);
    assert_eq!(status(&world, "qemu", 600).await, "running");
    let mut next = clone;
    next["disk"] = json!([{"interface": "scsi0", "datastore_id": "local-lvm", "size": 24, "ssd": true}]);
    next["network_device"] = json!([{"bridge": "vmbr1", "vlan_id": 7}, {"bridge": "vmbr0"}]);
    next["tags"] = json!(["x"]);
    let updated = must(&world, Some(&made), next).await;
    let now = config(&world, "qemu", 600).await;
    assert!(now["scsi0"].as_str().unwrap().starts_with("local-lvm:vm-600-"), "{now}");
    assert_eq!((now.get("virtio1"), now.get("unused0")), (None, None), "{now}");
    let macs =
        |value: &Value| text(&all_blocks(value, "network_device")[0], "mac_address").map(str::to_string);
    assert_eq!(macs(&made), macs(&updated));
    world.try_apply(Some(&updated), None, &Recorder::default()).await.unwrap();
}

#[tokio::test]
async fn a_linked_clone_that_states_nothing_keeps_what_the_template_has() {
    let (world, _server) = world(VM).await;
    must(&world, None, template()).await;
    let clone = json!({"node_name": "pve", "vm_id": 601, "name": "c", "started": false,
                       "bios": "ovmf", "machine": "q35", "clone": [{"vm_id": 9000, "full": false}]});
    let made = must(&world, None, clone.clone()).await;
    let now = config(&world, "qemu", 601).await;
    assert_eq!((&now["tags"], &now["ciuser"]), (&json!("tpl"), &json!("tpl")));
    assert_eq!(now.get("description"), None, "the marker is gone: {now}");
    let mut next = clone;
    next["started"] = json!(true);
    let started = must(&world, Some(&made), next.clone()).await;
    assert_eq!(status(&world, "qemu", 601).await, "running");
    next["started"] = json!(false);
    let stopped = must(&world, Some(&started), next.clone()).await;
    assert_eq!(status(&world, "qemu", 601).await, "stopped");
    next["protection"] = json!(true);
    let guarded = must(&world, Some(&stopped), next).await;
    let refused = world.try_apply(Some(&guarded), None, &Recorder::default()).await.unwrap_err();
    assert!(refused.hint.unwrap().contains("protection"));
}

#[tokio::test]
async fn a_vm_becomes_a_template_in_place() {
    let (world, _server) = world(VM).await;
    let mut json = template();
    json["template"] = json!(false);
    let made = must(&world, None, json).await;
    must(&world, Some(&made), template()).await;
    let now = config(&world, "qemu", 9000).await;
    assert_eq!(now["template"], json!(1));
    assert!(now["scsi0"].as_str().unwrap().contains("base-9000-disk"), "{now}");
}

#[tokio::test]
async fn a_container_is_cloned_and_changed() {
    let (world, _server) = world(CONTAINER).await;
    let template = json!({
        "node_name": "pve", "vm_id": 9100, "template": true, "started": false, "unprivileged": true,
        "disk": [{"datastore_id": "local-lvm", "size": 4}],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "features": [{"nesting": true}], "network_interface": [{"name": "eth0"}],
        "mount_point": [{"path": "/srv", "volume": "local-lvm", "size": "2G"}],
        "initialization": [{"hostname": "tpl"}],
    });
    must(&world, None, template).await;
    let clone = json!({
        "node_name": "pve", "vm_id": 610, "started": true, "unprivileged": true,
        "clone": [{"vm_id": 9100, "datastore_id": "other"}], "cpu": [{"cores": 2}],
        "disk": [{"datastore_id": "other", "size": 8}],
        "mount_point": [{"path": "/srv", "volume": "other", "size": "3G", "backup": true}],
        "network_interface": [{"name": "eth0", "bridge": "vmbr1"}],
        "initialization": [{"hostname": "ct", "ip_config": [{"ipv4": [{"address": "dhcp"}]}]}],
    });
    let made = must(&world, None, clone.clone()).await;
    let now = config(&world, "lxc", 610).await;
    assert!(now["rootfs"].as_str().unwrap().starts_with("other:"), "{now}");
    assert!(now["rootfs"].as_str().unwrap().contains("size=8G"), "{now}");
    assert!(
        now["mp0"].as_str().unwrap().contains("size=3G") && now["mp0"].as_str().unwrap().contains("backup=1")
    );
    assert_eq!(
        (&now["hostname"], &now["cores"], &now["features"]),
        (&json!("ct"), &json!(2), &json!("nesting=1"))
    );
    assert_eq!(status(&world, "lxc", 610).await, "running");
    let mut next = clone;
    next["mount_point"] = json!([{"path": "/data", "volume": "other", "size": "3G", "backup": true}]);
    next["started"] = json!(false);
    let updated = must(&world, Some(&made), next).await;
    let then = config(&world, "lxc", 610).await;
    let volume = |json: &Json| json["mp0"].as_str().unwrap().split(',').next().unwrap().to_string();
    assert_eq!(volume(&now), volume(&then), "another path, the same volume");
    assert!(then["mp0"].as_str().unwrap().contains("mp=/data"), "{then}");
    world.try_apply(Some(&updated), None, &Recorder::default()).await.unwrap();
}

#[tokio::test]
async fn a_system_that_is_named_for_a_clone_without_its_type_leaves_the_type_of_the_template() {
    let (world, _server) = world(CONTAINER).await;
    let template = json!({
        "node_name": "pve", "vm_id": 9100, "template": true, "started": false,
        "disk": [{"datastore_id": "local-lvm", "size": 4}],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
    });
    must(&world, None, template).await;
    let mut clone =
        json!({"node_name": "pve", "vm_id": 610, "started": false, "clone": [{"vm_id": 9100, "full": true}]});
    let made = must(&world, None, clone.clone()).await;
    clone["operating_system"] = json!([{"template_file_id": "local:vztmpl/t.tar.zst"}]);
    let named = must(&world, Some(&made), clone.clone()).await;
    assert_eq!(config(&world, "lxc", 610).await["ostype"], "debian");
    let mut beside = clone.clone();
    beside["vm_id"] = json!(611);
    must(&world, None, beside).await;
    assert_eq!(config(&world, "lxc", 611).await["ostype"], "debian");
    clone["operating_system"][0]["type"] = json!("ubuntu");
    must(&world, Some(&named), clone).await;
    assert_eq!(config(&world, "lxc", 610).await["ostype"], "ubuntu");
}

/// What the next run knows of a clone that was taken out of the state and imported again, by the same configuration.
async fn imported_again(world: &World, vmid: u32, json: Json) {
    let made = must(world, None, json.clone()).await;
    let config = world.config(json);
    let found = world.provider.import(&world.address, "proxmox", &format!("pve/{vmid}")).await.unwrap();
    let adopted = world.rules().adopted(&found, &config);
    let read = world.read(&adopted).await.unwrap();
    let planned = world.plan(Some(&read), &config);
    let names = crate::values::changed(&read, planned.planned.as_ref().unwrap());
    assert!(names.is_empty() && planned.replace.is_empty(), "{names:?}, replaced {:?}", planned.replace);
    // What each disk was made from no import tells, and the display is the cluster's to tell.
    let mut names = crate::values::changed(&made, &adopted);
    names.retain(|name| !matches!(name.as_str(), "disk" | "vga"));
    assert!(names.is_empty(), "{names:?} are not as they were made");
    let interfaces = |value: &Value| {
        let disks = all_blocks(value, "disk").iter().map(|disk| text(disk, "interface").map(str::to_string));
        disks.collect::<Vec<_>>()
    };
    assert_eq!(interfaces(&made), interfaces(&adopted));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_clone_is_what_its_configuration_made() {
    let (world, _server) = world(VM).await;
    must(&world, None, template()).await;
    let bare = json!({"node_name": "pve", "vm_id": 601, "name": "a", "clone": [{"vm_id": 9000}]});
    imported_again(&world, 601, bare.clone()).await;
    let mut more = bare;
    more["vm_id"] = json!(602);
    more["started"] = json!(false);
    more["memory"] = json!([{"dedicated": 1024}]);
    more["disk"] = json!([{"interface": "scsi1", "size": 2}]);
    imported_again(&world, 602, more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_clone_of_a_container_is_what_its_configuration_made() {
    let (world, _server) = world(CONTAINER).await;
    let template = json!({
        "node_name": "pve", "vm_id": 9100, "template": true, "started": false, "unprivileged": true,
        "description": "t", "tags": ["tpl"], "memory": [{"dedicated": 1024}],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 2}],
        "mount_point": [{"path": "/data", "volume": "local-lvm", "size": "1G"}],
        "network_interface": [{"name": "eth0"}],
        "initialization": [{"hostname": "t", "ip_config": [{"ipv4": [{"address": "dhcp"}]}]}],
    });
    must(&world, None, template).await;
    let clone = json!({"node_name": "pve", "vm_id": 603, "started": false, "clone": [{"vm_id": 9100}],
                       "initialization": [{"hostname": "cc"}]});
    imported_again(&world, 603, clone).await;
}

#[tokio::test]
async fn a_cloud_init_drive_takes_no_disk_of_the_template_away() {
    let (world, _server) = world(VM).await;
    let template = json!({"node_name": "pve", "vm_id": 9000, "template": true, "started": false,
                          "disk": [{"interface": "ide2", "size": 1}]});
    must(&world, None, template).await;
    let clone = |interface: Json| {
        json!({"node_name": "pve", "vm_id": 600, "started": false, "clone": [{"vm_id": 9000}],
               "initialization": [{"interface": interface}]})
    };
    let refused = step(&world, None, &clone(Json::Null)).await.unwrap_err();
    assert!(refused.contains("the cloud-init drive would take ide2, which has"), "{refused}");
    let now = config(&world, "qemu", 600).await;
    assert!(now["ide2"].as_str().unwrap().contains("vm-600-disk"), "{now}");
    assert_eq!(now.get("unused0"), None);
}
