//! The newer kinds of virtual machines against the simulator: ids are reserved, clones keep what is not configured,
//! machines that were migrated are found.

use pve_executor::ports::{Provider, Recovery};
use pve_model::Value;
use pve_model::codec::{decode, to_plain_json};
use serde_json::{Value as Json, json};

use super::super::recovered::open_action;
use super::super::{Recorder, World};
use super::turns::step;
use super::{world, world_with};
use crate::cluster::Method;
use crate::values::int;

const CLONED: &str = "proxmox_cloned_vm";

async fn config(world: &World, vmid: i64) -> Json {
    world.api.send(Method::Get, &format!("/nodes/pve/qemu/{vmid}/config"), &[]).await.unwrap()
}

async fn with_template() -> (World, pve_simulator::Server) {
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
