//! The newer kinds of virtual machines against the simulator: ids are reserved, clones keep what is not configured,
//! machines that were migrated are found.

use pve_executor::ports::Provider;
use pve_model::Value;
use pve_model::codec::{decode, to_plain_json};
use serde_json::{Value as Json, json};

use super::super::{Recorder, World};
use super::turns::step;
use super::world;
use crate::cluster::Method;
use crate::values::int;

pub(super) const CLONED: &str = "proxmox_cloned_vm";

pub(super) async fn config(world: &World, vmid: i64) -> Json {
    world.api.send(Method::Get, &format!("/nodes/pve/qemu/{vmid}/config"), &[]).await.unwrap()
}

pub(super) async fn with_template() -> (World, pve_simulator::Server) {
    let (world, server) = world(CLONED).await;
    let params = [
        ("vmid", "900"),
        ("name", "template"),
        ("scsi0", "local-lvm:4,ssd=1"),
        ("net0", "virtio,bridge=vmbr0"),
        ("net1", "virtio,bridge=vmbr0"),
        ("memory", "512"),
        ("cores", "2"),
    ];
    let params = params.map(|(name, text)| (name.to_string(), text.to_string()));
    world.api.send(Method::Post, "/nodes/pve/qemu", &params).await.unwrap();
    (world, server)
}

#[tokio::test]
async fn a_clone_keeps_what_is_not_configured() {
    let (world, _server) = with_template().await;
    let wanted = json!({
        "node_name": "pve", "name": "clone-1", "clone": {"source_vm_id": 900},
        "cpu": {"cores": 4}, "disk": {"scsi0": {"size_gb": 6, "discard": "on"}},
        "network": {"net0": {"bridge": "vmbr1", "tag": 7}}, "delete": {"network": ["net1"]},
    });
    let made = step(&world, None, &wanted).await.unwrap();
    let vmid = int(&made, "id").unwrap();
    let there = config(&world, vmid).await;
    assert_eq!((&there["name"], &there["cores"]), (&json!("clone-1"), &json!(4)));
    assert!(there["memory"] == "512" || there["memory"] == 512, "{there}");
    let disk = there["scsi0"].as_str().unwrap();
    assert!(["size=6G", "discard=on", "ssd=1"].iter().all(|part| disk.contains(part)), "{disk}");
    let device = there["net0"].as_str().unwrap();
    assert!(device.contains("bridge=vmbr1") && device.contains("tag=7"), "{device}");
    assert_eq!(there.get("net1"), None);
    let status = world.api.send(Method::Get, &format!("/nodes/pve/qemu/{vmid}/status/current"), &[]).await;
    assert_eq!(status.unwrap()["status"], "running");

    let mac = device.split(',').next().unwrap().to_string();
    let mut next = wanted.clone();
    next["network"] = json!({"net0": {"bridge": "vmbr0"}});
    next["started"] = json!(false);
    let changed = step(&world, Some(&made), &next).await.unwrap();
    let there = config(&world, vmid).await;
    let device = there["net0"].as_str().unwrap();
    assert!(device.starts_with(&mac) && !device.contains("tag="), "{device}");
    let gone = world.try_apply(Some(&changed), None, &Recorder::default()).await.unwrap();
    assert_eq!(gone, None);
    assert_eq!(world.read(&changed).await, None);
}

#[tokio::test]
async fn a_clone_may_be_just_as_its_template() {
    let (world, _server) = with_template().await;
    let wanted = json!({"node_name": "pve", "clone": {"source_vm_id": 900}, "started": false});
    let made = step(&world, None, &wanted).await.unwrap();
    assert_eq!(config(&world, int(&made, "id").unwrap()).await["cores"], json!(2));
    let mut other = wanted.clone();
    other["clone"]["retries"] = json!(5);
    let (config, prior) = (world.config(other), world.read(&made).await.unwrap());
    let paths: Vec<String> =
        world.plan(Some(&prior), &config).replace.iter().map(|reason| reason.path.to_string()).collect();
    assert_eq!(paths, ["clone.retries"]);
}

#[tokio::test]
async fn a_machine_gets_an_id_and_its_data_source_tells_of_it() {
    let (world, _server) = world("proxmox_vm").await;
    let wanted = json!({"node_name": "pve", "name": "trial", "cpu": {"type": "host"}, "tags": ["b", "a"]});
    let made = step(&world, None, &wanted).await.unwrap();
    let vmid = int(&made, "id").unwrap();
    assert!(vmid >= 100);
    let ty = world.provider.registry.data_kind("proxmox_vm").unwrap().block().implied_type();
    let asked = decode(&json!({"node_name": "pve", "id": vmid}), &ty).unwrap();
    let told = to_plain_json(&world.provider.read_data("proxmox_vm", "proxmox", asked).await.unwrap());
    assert_eq!((&told["name"], &told["status"]), (&json!("trial"), &json!("stopped")));
    assert_eq!((&told["description"], &told["rng"]), (&json!(""), &Json::Null));
    assert_eq!((&told["cpu"]["type"], &told["tags"]), (&json!("host"), &json!(["a", "b"])));
    let imported = world.provider.import(&world.address, "proxmox", &format!("pve/{vmid}")).await.unwrap();
    assert_eq!(crate::values::text(&imported, "name"), Some("trial"));
}

#[tokio::test]
async fn an_id_that_another_guest_of_the_plan_is_to_have_is_not_drawn() {
    let (world, _server) = world("proxmox_vm").await;
    let next = world.api.send(Method::Get, "/cluster/nextid", &[]).await.unwrap();
    let next: i64 = next.as_str().unwrap().parse().unwrap();
    for (kind, name, vmid) in [(CLONED, "id", next), ("proxmox_virtual_environment_vm", "vm_id", next + 1)] {
        let planned = Value::object([(name.into(), Value::number(vmid))].into());
        world.provider.keep_free("proxmox", kind, &planned);
    }
    let made = step(&world, None, &json!({"node_name": "pve"})).await.unwrap();
    assert_eq!(int(&made, "id"), Some(next + 2));
}

#[tokio::test]
async fn flags_of_a_cpu_need_its_type_and_devices_a_slot() {
    for kind in ["proxmox_vm", CLONED] {
        let (world, _server) = world(kind).await;
        let problems = |name: &str, part: Json| -> Vec<String> {
            let mut config = json!({"node_name": "pve", name: part});
            if kind == CLONED {
                config["clone"] = json!({"source_vm_id": 900});
            }
            let problems = world.rules().validate(&world.config(config));
            problems.iter().map(|problem| problem.path.to_string()).collect()
        };
        assert_eq!(problems("cpu", json!({"flags": ["+aes"]})), ["cpu.flags"]);
        assert_eq!(problems("cpu", json!({"flags": ["+aes"], "type": "host"})), Vec::<String>::new());
        let media =
            json!({"virtio0": {"file_id": "none"}, "ide2": {"file_id": "x"}, "ide3": {"file_id": "none"}});
        assert_eq!(problems("cdrom", media), ["cdrom[\"ide2\"].file_id", "cdrom[\"virtio0\"]"]);
        if kind == CLONED {
            assert_eq!(problems("disk", json!({"scsi4": {"file": ""}})), ["disk[\"scsi4\"].file"]);
            let trunks = |list: Json| problems("network", json!({"net1": {"trunks": list}})).len();
            assert_eq!((trunks(json!([0, 4095])), trunks(json!([1, 4094]))), (2, 0));
        }
    }
}

#[tokio::test]
async fn an_imported_clone_keeps_what_its_devices_are_by_themselves() {
    let (world, _server) = with_template().await;
    let wanted = json!({"node_name": "pve", "name": "c", "clone": {"source_vm_id": 900}, "started": false,
                        "disk": {"scsi0": {"datastore_id": "local-lvm", "size_gb": 4, "ssd": true}},
                        "network": {"net0": {"bridge": "vmbr0"}, "net1": {"bridge": "vmbr0"}}});
    let made = step(&world, None, &wanted).await.unwrap();
    let id = format!("pve/{}", int(&made, "id").unwrap());
    let imported = world.provider.import(&world.address, "proxmox", &id).await.unwrap();
    let planned = world.plan(Some(&imported), &world.config(wanted)).planned.unwrap();
    let changes = crate::values::changed(&imported, &planned);
    assert!(!changes.contains("disk") && !changes.contains("network"), "{changes:?}");
}

#[tokio::test]
async fn what_is_left_open_in_a_machine_or_written_in_capitals_settles() {
    let (world, _server) = with_template().await;
    let wanted = json!({
        "node_name": "pve", "clone": {"source_vm_id": 900}, "started": false, "vga": {},
        "cdrom": {"ide2": {}}, "tags": ["B", "a", "b"],
    });
    let made = world.apply(None, wanted.clone()).await;
    assert_eq!(config(&world, int(&made, "id").unwrap()).await["ide2"], json!("cdrom,media=cdrom"));
    let mut next = wanted;
    next["cdrom"] = json!({"ide2": {"file_id": "local:iso/a.iso"}});
    let changed = world.apply(Some(&made), next.clone()).await;
    next["cdrom"] = json!({"ide2": {}});
    world.apply(Some(&changed), next).await;

    let (world, _server) = self::world("proxmox_vm").await;
    world.apply(None, json!({"node_name": "pve", "tags": ["B", "a"], "vga": {}})).await;
}

#[tokio::test]
async fn a_disk_of_a_clone_does_not_shrink() {
    let (world, _server) = with_template().await;
    let wanted = |size: u64| {
        json!({"node_name": "pve", "clone": {"source_vm_id": 900}, "started": false,
               "disk": {"scsi0": {"size_gb": size}}})
    };
    let small = world.config(wanted(3));
    let error = world.try_apply(None, Some(&small), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("scsi0 is 4G and cannot become 3G"), "{}", error.message);
    assert!(error.left.is_none(), "nothing was cloned");
    let made = world.apply(None, wanted(6)).await;
    let problems = world.plan(Some(&made), &world.config(wanted(5))).problems;
    let paths: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
    assert_eq!(paths, ["disk[\"scsi0\"].size_gb"]);
}

#[tokio::test]
async fn a_device_that_leaves_the_configuration_is_said_to_stay() {
    let (world, _server) = with_template().await;
    let mut wanted = json!({
        "node_name": "pve", "clone": {"source_vm_id": 900}, "started": false,
        "network": {"net0": {"bridge": "vmbr0"}, "net1": {"bridge": "vmbr0"}},
    });
    let made = world.apply(None, wanted.clone()).await;
    wanted["network"] = json!({"net0": {"bridge": "vmbr0"}});
    let notes = |wanted: &Json| world.plan(Some(&made), &world.config(wanted.clone())).notes;
    let told = notes(&wanted);
    assert!(told.len() == 1 && told[0].contains("keeps net1"), "{told:?}");
    wanted["delete"] = json!({"network": ["net1"]});
    assert!(notes(&wanted).is_empty());
}
