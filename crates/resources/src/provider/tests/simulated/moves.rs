//! Volumes that go to another datastore, against the simulator: what the API moves only while a guest is stopped is moved then.

use pve_executor::ports::Provider;
use pve_model::Value;
use pve_simulator::Options;
use serde_json::{Value as Json, json};

use super::super::World;
use super::super::lives::{CONTAINER, VM};
use super::turns::step;
use super::{world, world_with};
use crate::cluster::Method;

async fn get(world: &World, path: &str) -> Json {
    world.api.send(Method::Get, &format!("/nodes/pve/{path}"), &[]).await.unwrap()
}

async fn must(world: &World, prior: Option<&Value>, json: Json) -> Value {
    step(world, prior, &json).await.unwrap_or_else(|fault| panic!("{json}: {fault}"))
}

/// On which datastores the volumes of a guest are, and whether it runs.
async fn places(world: &World, guest: &str, slots: [&str; 2]) -> [String; 3] {
    let config = get(world, &format!("{guest}/config")).await;
    let place = |slot: &str| config[slot].as_str().unwrap().split(':').next().unwrap().to_string();
    let status = get(world, &format!("{guest}/status/current")).await;
    [place(slots[0]), place(slots[1]), status["status"].as_str().unwrap().to_string()]
}

fn container(root: &str, volume: &str, started: bool) -> Json {
    json!({"node_name": "pve", "vm_id": 700, "started": started, "disk": [{"datastore_id": root, "size": 1}],
           "mount_point": [{"path": "/srv", "volume": volume, "size": "1G"}],
           "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}]})
}

#[tokio::test]
async fn the_volumes_of_a_running_container_move_while_it_is_shut_down() {
    let (world, _server) = world(CONTAINER).await;
    let mut made = must(&world, None, container("local-lvm", "local-lvm", true)).await;
    for (root, volume, started) in [
        ("other", "local-lvm", true),
        ("other", "other", true),
        ("local-lvm", "local-lvm", false),
        ("other", "local-lvm", true),
    ] {
        made = must(&world, Some(&made), container(root, volume, started)).await;
        let status = if started { "running" } else { "stopped" };
        assert_eq!(places(&world, "lxc/700", ["rootfs", "mp0"]).await, [root, volume, status]);
    }
}

#[tokio::test]
async fn the_tpm_state_of_a_running_vm_moves_while_it_is_shut_down() {
    let (world, _server) = world(VM).await;
    let vm = |tpm: &str, disk: &str, started: bool| {
        json!({"node_name": "pve", "vm_id": 701, "name": "n", "machine": "q35", "started": started,
               "reboot_after_update": false, "tpm_state": [{"datastore_id": tpm, "version": "v2.0"}],
               "disk": [{"interface": "scsi0", "datastore_id": disk, "size": 1}]})
    };
    let mut made = must(&world, None, vm("local-lvm", "local-lvm", true)).await;
    for (tpm, disk, started) in
        [("other", "local-lvm", true), ("other", "other", true), ("local-lvm", "local-lvm", false)]
    {
        made = must(&world, Some(&made), vm(tpm, disk, started)).await;
        let status = if started { "running" } else { "stopped" };
        assert_eq!(places(&world, "qemu/701", ["tpmstate0", "scsi0"]).await, [tpm, disk, status]);
    }
}

// The default of `disk.datastore_id` is a datastore that is not for containers on many clusters.
#[tokio::test]
async fn the_root_disk_of_a_clone_stays_where_no_datastore_is_written() {
    let (world, _server) = world(CONTAINER).await;
    let mut template = container("local-lvm", "local-lvm", false);
    template["template"] = json!(true);
    must(&world, None, template).await;
    for (vmid, clone, expected) in [
        (710, json!({"vm_id": 700}), "local-lvm"),
        (711, json!({"vm_id": 700, "datastore_id": "other"}), "other"),
        (712, json!({"vm_id": 700, "full": false}), "local-lvm"),
    ] {
        let mut config = json!({"node_name": "pve", "vm_id": vmid, "started": false, "clone": [clone], "disk": [{"size": 2}]});
        let made = must(&world, None, config.clone()).await;
        let guest = format!("lxc/{vmid}");
        assert_eq!(places(&world, &guest, ["rootfs", "mp0"]).await[0], expected);
        if vmid == 710 {
            config["disk"][0]["datastore_id"] = json!("other");
            must(&world, Some(&made), config).await;
            assert_eq!(places(&world, &guest, ["rootfs", "mp0"]).await[0], "other");
        }
    }
}

#[tokio::test]
async fn a_guest_that_goes_to_a_node_without_its_bridge_is_told_of_it() {
    let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
    let (world, _server) = world_with(VM, options).await;
    let bridge = [("iface", "vmbr77"), ("type", "bridge"), ("autostart", "1")];
    let bridge = bridge.map(|(name, text)| (name.to_string(), text.to_string()));
    world.api.send(Method::Post, "/nodes/pve/network", &bridge).await.unwrap();
    world.api.send(Method::Put, "/nodes/pve/network", &[]).await.unwrap();
    let vm = |node: &str, bridge: &str| {
        world.config(json!({"node_name": node, "vm_id": 720, "name": "n", "started": false,
                            "network_device": [{"bridge": bridge}]}))
    };
    for (bridge, node, told) in [("vmbr77", "pve2", 1), ("vmbr77", "pve", 0), ("vmbr0", "pve2", 0)] {
        let doubts = world
            .provider
            .doubts(&[world.request(Some(&vm("pve", bridge)), Some(&vm(node, bridge)))])
            .await
            .found;
        assert_eq!(doubts.len(), told, "{doubts:?}");
        assert!(doubts.iter().all(|doubt| format!("{doubt:?}").contains("vmbr77") && !doubt.is_certain));
    }
}

// A move to LVM-thin ignores the format (recorded: `lvmthin-move.json`), so that every run would copy the disk anew.
#[tokio::test]
async fn a_disk_is_not_moved_for_a_format_that_its_datastore_does_not_have() {
    let (world, _server) = world(VM).await;
    let content = [("content".to_string(), "images,iso".to_string())];
    world.api.send(Method::Put, "/storage/local", &content).await.unwrap();
    let vm = |datastore: &str, format: &str| {
        json!({"node_name": "pve", "vm_id": 702, "name": "n", "started": false,
               "disk": [{"interface": "scsi0", "datastore_id": datastore, "size": 1, "file_format": format}]})
    };
    let made = must(&world, None, vm("local-lvm", "raw")).await;
    let volume = async || get(&world, "qemu/702/config").await["scsi0"].as_str().unwrap().to_string();
    let before = volume().await;
    let fault = step(&world, Some(&made), &vm("local-lvm", "qcow2")).await.unwrap_err();
    assert_eq!(fault, "move scsi0: the datastore local-lvm (lvmthin) has raw disks only, not qcow2");
    assert_eq!(volume().await, before);
    let made = must(&world, Some(&made), vm("local", "qcow2")).await;
    assert!(step(&world, Some(&made), &vm("local-lvm", "qcow2")).await.is_err());
    must(&world, Some(&made), vm("local-lvm", "raw")).await;
}

#[tokio::test]
async fn a_migration_that_fails_tells_the_reason_that_its_log_has() {
    let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
    let (world, _server) = world_with(VM, options).await;
    let vm = |node: &str| {
        json!({"node_name": node, "vm_id": 730, "name": "n", "started": false, "migrate": true,
               "cdrom": [{"file_id": "local:iso/a.iso", "interface": "ide3"}]})
    };
    let made = must(&world, None, vm("pve")).await;
    let fault = step(&world, Some(&made), &vm("pve2")).await.unwrap_err();
    let reason = "migration aborted: can't migrate local disk 'local:iso/a.iso': local cdrom image";
    assert!(fault.ends_with(reason), "{fault}");
}
