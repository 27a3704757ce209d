//! Virtual machines.

use pve_executor::ports::Provider;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::{CONTAINER, VM, changed, full_vm};
use crate::provider::tests::{Recorder, World};
use crate::values::{all_blocks, int, text};

#[tokio::test]
async fn a_vm_lives() {
    let world = World::new(VM);
    let made = world.apply(None, full_vm()).await;
    assert_eq!(world.option(511, "description").as_deref(), Some("first"));
    assert!(world.option(511, "scsi0").unwrap().ends_with("size=10G"), "the image was grown");
    let mac = text(&all_blocks(&made, "network_device")[1], "mac_address").unwrap().to_string();

    let mut next = changed(full_vm(), "/cpu/0/cores", json!(4));
    next = changed(next, "/disk/1/size", json!(6));
    next = changed(next, "/disk/1/datastore_id", json!("other"));
    next = changed(next, "/initialization/0/user_account/0/password", json!("another"));
    next = changed(next, "/network_device", json!([{"bridge": "vmbr1", "firewall": true}]));
    next = changed(next, "/tags", json!([]));
    let next = changed(next, "/description", json!(null));
    let updated = world.apply(Some(&made), next.clone()).await;
    assert_eq!(world.option(511, "cores").as_deref(), Some("4"));
    assert!(world.option(511, "scsi1").unwrap().starts_with("other:"));
    assert!(world.option(511, "net0").unwrap().contains(&mac), "the device that stays keeps its address");
    assert_eq!(world.option(511, "net1"), None);
    assert_eq!(world.option(511, "tags"), None);
    assert_eq!(world.option(511, "description"), None);

    let next = changed(next, "/disk", json!([full_vm()["disk"][0].clone()]));
    let updated = world.apply(Some(&updated), changed(next, "/started", json!(false))).await;
    assert_eq!((world.option(511, "scsi1"), world.option(511, "unused0")), (None, None));
    assert!(!world.double.0.lock().unwrap().guests[&511].running);
    world.destroy(&updated).await;
}

#[tokio::test]
async fn a_disk_that_the_api_does_not_import_is_a_step_of_its_own() {
    let world = World::new(VM);
    let disk = |interface: &str| {
        json!({"interface": interface, "datastore_id": "local-lvm", "size": 20, "discard": "on", "iothread": true,
               "file_id": "local:iso/d.img"})
    };
    let config =
        |disks: Json| json!({"node_name": "pve", "vm_id": 511, "name": "x", "started": false, "disk": disks});
    let recorder = Recorder::default();
    world.double.0.lock().unwrap().locked = true;
    let first = world.config(config(json!([disk("scsi0"), disk("virtio0")])));
    let made = world.try_apply(None, Some(&first), &recorder).await.unwrap().unwrap();
    world.assert_settled(&made, &first).await;
    let steps: Vec<String> = recorder.0.lock().unwrap().clone();
    let done: Vec<&str> = steps.iter().filter_map(|step| step.strip_prefix("done ")).collect();
    let expected =
        ["create", "import scsi0", "import virtio0", "configure", "resize scsi0", "resize virtio0"];
    assert_eq!(done, expected);
    for interface in ["scsi0", "virtio0"] {
        let drive = world.option(511, interface).unwrap();
        assert!(drive.starts_with("local-lvm:vm-511-disk-"), "{drive}");
        assert!(
            ["discard=on", "iothread=1", "size=20G"].iter().all(|option| drive.contains(option)),
            "{drive}"
        );
    }
    assert_eq!(world.option(511, "boot").as_deref(), Some("order=scsi0;virtio0"));

    let made = world.apply(Some(&made), config(json!([disk("scsi0"), disk("virtio0"), disk("scsi3")]))).await;
    assert!(world.option(511, "scsi3").unwrap().contains("size=20G"));
    assert_eq!(world.option(511, "boot").as_deref(), Some("order=scsi0;virtio0"), "as it was");
    world.destroy(&made).await;
}

#[tokio::test]
async fn a_minimal_vm_gets_the_next_id_and_settles() {
    let world = World::new(VM);
    let made = world.apply(None, json!({"node_name": "pve", "name": "x", "started": false})).await;
    assert_eq!(int(&made, "vm_id"), Some(100));
    assert_eq!(text(&made, "id"), Some("100"));
    assert_eq!(world.option(100, "description"), None);
}

#[tokio::test]
async fn a_clone_keeps_what_it_is_not_asked_to_change() {
    let world = World::new(VM);
    let mut template = full_vm();
    template["template"] = json!(true);
    template["vm_id"] = json!(9000);
    world.apply(None, template).await;
    let config = json!({
        "node_name": "pve", "vm_id": 600, "name": "clone-1", "started": true,
        "clone": [{"vm_id": 9000, "datastore_id": "fast"}],
        "cpu": [{"cores": 8, "type": "host"}],
        "disk": [{"interface": "scsi0", "datastore_id": "fast", "size": 20, "iothread": true, "discard": "on"}],
        "network_device": [{"bridge": "vmbr7"}],
        "initialization": [{"datastore_id": "fast", "user_account": [{"username": "me"}]}],
    });
    let made = world.apply(None, config).await;
    assert_eq!(world.option(600, "cores").as_deref(), Some("8"));
    assert_eq!(world.option(600, "memory").as_deref(), Some("1024"), "from the template");
    assert!(world.option(600, "scsi0").unwrap().starts_with("fast:"));
    assert!(world.option(600, "scsi0").unwrap().contains("size=20G"));
    assert!(world.option(600, "net0").unwrap().contains("bridge=vmbr7"));
    assert_eq!(world.option(600, "template"), None);
    assert!(world.double.0.lock().unwrap().guests[&600].running);
    world.destroy(&made).await;
}

#[tokio::test]
async fn a_refresh_of_many_guests_is_one_request_each_and_one_list() {
    let world = World::new(VM);
    let mut made = Vec::new();
    for id in 700..720 {
        let config = json!({"node_name": "pve", "vm_id": id, "name": format!("n-{id}")});
        made.push(world.apply(None, config).await);
    }
    world.provider.cluster("proxmox").forget_guests().await;
    world.double.0.lock().unwrap().requests.clear();
    for value in &made {
        assert_eq!(world.read(value).await.as_ref(), Some(value));
    }
    assert_eq!(world.double.0.lock().unwrap().requests.len(), made.len() + 1);
}

#[tokio::test]
async fn a_plain_vm_costs_five_requests_beside_its_tasks() {
    let world = World::new(VM);
    let config = json!({
        "node_name": "pve", "vm_id": 700, "name": "n", "description": "d",
        "disk": [{"interface": "scsi0", "size": 8}], "network_device": [{}]});
    let config = world.config(config);
    world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
    let mut requests = world.double.0.lock().unwrap().requests.clone();
    requests.retain(|request| !request.starts_with("wait for "));
    let expected = [
        "Post /nodes/pve/qemu",
        "Get /nodes/pve/qemu/700/config",
        "Post /nodes/pve/qemu/700/config",
        "Post /nodes/pve/qemu/700/status/start",
        "Get /nodes/pve/qemu/700/config",
    ];
    assert_eq!(requests, expected);
}

#[tokio::test]
async fn an_imported_vm_plans_no_change() {
    let world = World::new(VM);
    let config = world.config(full_vm());
    world.apply(None, full_vm()).await;
    let imported = world.provider.import(&world.address, "proxmox", "pve/511").await.unwrap();
    let response = world.plan(Some(&imported), &config);
    assert_eq!(response.replace, vec![]);
    let planned = response.planned.unwrap();
    let names: Vec<String> = crate::values::changed(&imported, &planned).into_iter().collect();
    // What cannot be read: a password, how long to wait for an agent. The last three are what the agent would tell
    // anew.
    let expected = ["agent", "initialization", "ipv4_addresses", "ipv6_addresses", "network_interface_names"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_disk_that_was_taken_out_by_hand_is_seen_and_put_back() {
    let world = World::new(VM);
    let disk = |name: &str, backup: bool| json!({"interface": name, "size": 4, "backup": backup});
    let config =
        json!({"node_name": "pve", "vm_id": 700, "disk": [disk("scsi0", true), disk("scsi1", false)]});
    let made = world.apply(None, config.clone()).await;
    world.double.0.lock().unwrap().guests.get_mut(&700).unwrap().config.remove("scsi0");
    let read = world.read(&made).await.unwrap();
    let left: Vec<_> = all_blocks(&read, "disk").iter().filter_map(|disk| text(disk, "interface")).collect();
    assert_eq!(left, ["scsi1"]);
    assert_eq!(all_blocks(&read, "disk")[0].get("backup"), Some(&Value::bool(false)));
    world.apply(Some(&read), config).await;
    assert!(world.option(700, "scsi0").is_some());
}

#[tokio::test]
async fn a_network_device_put_before_others_gets_an_address_of_its_own() {
    let addresses = |made: &Value, blocks: &str| -> Vec<String> {
        let devices = all_blocks(made, blocks).iter();
        devices.map(|device| text(device, "mac_address").unwrap().to_string()).collect()
    };
    let vm = |bridges: &[&str]| {
        let devices: Vec<Json> = bridges.iter().map(|bridge| json!({ "bridge": bridge })).collect();
        json!({"node_name": "pve", "vm_id": 500, "name": "x", "network_device": devices})
    };
    let container = |names: &[&str]| {
        let interfaces: Vec<Json> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({"node_name": "pve", "vm_id": 500, "network_interface": interfaces,
               "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]})
    };
    for kind in [VM, CONTAINER] {
        let blocks = if kind == VM { "network_device" } else { "network_interface" };
        let config = |names: &[&str]| if kind == VM { vm(names) } else { container(names) };
        for after in [["c", "a", "b"], ["a", "c", "b"], ["a", "b", "c"]] {
            let world = World::new(kind);
            let before = world.apply(None, config(&["a", "b"])).await;
            let known = addresses(&before, blocks);
            let updated = world.apply(Some(&before), config(&after)).await;
            let now = addresses(&updated, blocks);
            for (name, address) in after.iter().zip(&now) {
                let old = ["a", "b"].iter().position(|old| old == name);
                match old {
                    Some(old) => assert_eq!(*address, known[old], "{kind} {after:?}"),
                    None => assert!(!known.contains(address), "{kind} {after:?}: {now:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_reboot_is_planned_again_unless_somebody_else_sees_to_it() {
    let world = World::new(VM);
    let config = |cores: u32, urged: bool| {
        json!({"node_name": "pve", "vm_id": 500, "name": "x", "cpu": [{"cores": cores}],
               "reboot_after_update": urged})
    };
    let made = world.apply(None, config(2, true)).await;
    let cores = |value: &Value| int(&all_blocks(value, "cpu")[0], "cores");
    let waits = || world.double.0.lock().unwrap().waiting.insert((500, "cores".into()), json!(1));
    waits();
    let read = world.read(&made).await.unwrap();
    assert_eq!(cores(&read), Some(1));
    world.apply(Some(&read), config(2, true)).await;
    assert!(world.double.0.lock().unwrap().waiting.is_empty(), "it was rebooted");
    waits();
    let other = crate::values::with(&made, "reboot_after_update", Value::bool(false));
    assert_eq!(cores(&world.read(&other).await.unwrap()), Some(2));
    // Somebody else's change that waits is his, and shown as such.
    world.double.0.lock().unwrap().guests.get_mut(&500).unwrap().config.insert("cores".into(), json!(8));
    assert_eq!(cores(&world.read(&made).await.unwrap()), Some(8));
}

#[tokio::test]
async fn data_sources_filter_guests() {
    let world = World::new(VM);
    for (id, tags) in [(701, vec!["web"]), (702, vec!["db"])] {
        let config = json!({"node_name": "pve", "vm_id": id, "name": format!("n-{id}"), "tags": tags});
        world.apply(None, config).await;
    }
    let kind = "proxmox_virtual_environment_vms";
    let block = &world.provider.registry.data_kind(kind).unwrap().block();
    let config =
        json!({"filter": [{"name": "status", "regex": true, "values": ["^run"]}], "node_name": "pve"});
    let config = pve_model::codec::decode(&config, &block.implied_type()).unwrap();
    let read = world.provider.read_data(kind, "proxmox", config).await.unwrap();
    let ids: Vec<i64> = all_blocks(&read, "vms").iter().filter_map(|guest| int(guest, "vm_id")).collect();
    assert_eq!(ids, [701, 702]);
}
