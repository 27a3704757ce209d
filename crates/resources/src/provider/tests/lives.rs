//! Objects are made, read, changed and destroyed.

use pve_executor::ports::{Provider, ReadRequest};
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::{Recorder, World};
use crate::values::{all_blocks, int, text};

pub(super) const VM: &str = "proxmox_virtual_environment_vm";

pub(super) fn full_vm() -> Json {
    json!({
        "node_name": "pve", "vm_id": 511, "name": "web-1", "description": "first", "tags": ["b", "a"],
        "started": true, "machine": "q35", "boot_order": ["scsi0"],
        "agent": [{"enabled": true, "timeout": "1s"}],
        "cpu": [{"cores": 2, "numa": true, "type": "x86-64-v2-AES", "flags": ["+aes"], "limit": 1.5}],
        "memory": [{"dedicated": 1024, "floating": 512}],
        "disk": [
            {"datastore_id": "local-lvm", "interface": "scsi0", "size": 10, "iothread": true, "discard": "on",
             "import_from": "local:import/d.qcow2", "speed": [{"read": 60}]},
            {"datastore_id": "local-lvm", "interface": "scsi1", "size": 4, "backup": false}],
        "efi_disk": [{"datastore_id": "local-lvm", "type": "4m"}],
        "tpm_state": [{"datastore_id": "local-lvm"}],
        "cdrom": [{"file_id": "none"}],
        "network_device": [{"bridge": "vmbr0", "vlan_id": 10}, {"bridge": "vmbr1", "firewall": true}],
        "initialization": [{
            "datastore_id": "local-lvm",
            "ip_config": [{"ipv4": [{"address": "198.51.100.10/24", "gateway": "198.51.100.1"}]}],
            "dns": [{"servers": ["198.51.100.2"], "domain": "example.test"}],
            "user_account": [{"username": "ops", "password": "secret", "keys": ["ssh-ed25519 AAAA a@b"]}],
            "vendor_data_file_id": "local:snippets/v.yaml"}],
        "operating_system": [{"type": "l26"}],
        "serial_device": [{}], "vga": [{"type": "serial0"}], "startup": [{"order": 3, "up_delay": 10}],
        "smbios": [{"manufacturer": "a, b", "serial": "7"}], "rng": [{"source": "/dev/urandom"}],
        "usb": [{"host": "1234:5678", "usb3": true}], "hostpci": [{"device": "hostpci0", "mapping": "gpu", "pcie": true}],
        "virtiofs": [{"mapping": "data"}], "watchdog": [{"enabled": true, "action": "reset"}],
        "audio_device": [{}], "numa": [{"device": "numa0", "cpus": "0-1", "memory": 512}],
    })
}

fn changed(mut json: Json, pointer: &str, value: Json) -> Json {
    *json.pointer_mut(pointer).unwrap() = value;
    json
}

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
async fn a_configured_id_that_is_taken_is_refused_and_the_guest_there_is_not_touched() {
    let world = World::new(VM);
    world.apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "old"})).await;
    let config = world.config(json!({"node_name": "pve", "vm_id": 500, "name": "new"}));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("import it"));
    assert_eq!(error.left, None);
    assert_eq!(world.option(500, "name").as_deref(), Some("old"));
}

#[tokio::test]
async fn an_id_lost_to_somebody_else_is_replaced_by_the_next() {
    let world = World::new(VM);
    let config = world.config(json!({"node_name": "pve", "name": "mine"}));
    let mut request = world.request(None, Some(&config));
    request.claim = world.provider.claim(&request, super::ACTION).await.unwrap();
    assert_eq!(request.claim.vmid, Some(100));
    World::apply(&world, None, json!({"node_name": "pve", "vm_id": 100, "name": "faster"})).await;
    let recorder = Recorder::default();
    let made = world.provider.apply(request, &recorder).await.unwrap().unwrap();
    assert_eq!(int(&made, "vm_id"), Some(101));
    assert_eq!(world.option(100, "name").as_deref(), Some("faster"));
    assert!(recorder.0.lock().unwrap().contains(&"done vmid 101".to_string()));
}

#[tokio::test]
async fn an_imported_vm_plans_no_change() {
    let world = World::new(VM);
    let config = world.config(full_vm());
    world.apply(None, full_vm()).await;
    let imported = world.provider.import(VM, "proxmox", "pve/511").await.unwrap();
    let response = world.plan(Some(&imported), &config);
    assert_eq!(response.replace, vec![]);
    let planned = response.planned.unwrap();
    let names: Vec<String> = crate::values::changed(&imported, &planned).into_iter().collect();
    // What cannot be read: a password, how long to wait for an agent. The last three are what the agent would tell
    // anew.
    let expected = ["agent", "initialization", "ipv4_addresses", "ipv6_addresses", "network_interface_names"];
    assert_eq!(names, expected);
}

pub(super) const CONTAINER: &str = "proxmox_virtual_environment_container";

pub(super) fn full_container() -> Json {
    json!({
        "node_name": "pve", "vm_id": 610, "description": "first", "tags": ["z", "a"], "started": true, "unprivileged": true,
        "cpu": [{"cores": 2}], "memory": [{"dedicated": 256, "swap": 128}],
        "disk": [{"datastore_id": "local-lvm", "size": 4}],
        "features": [{"nesting": true}], "console": [{"tty_count": 3}],
        "initialization": [{
            "hostname": "ct-1", "dns": [{"servers": ["198.51.100.2"]}],
            "ip_config": [{"ipv4": [{"address": "dhcp"}]}],
            "user_account": [{"keys": ["ssh-ed25519 AAAA"], "password": "secret"}]}],
        "network_interface": [{"name": "eth0", "bridge": "vmbr0", "vlan_id": 30}],
        "mount_point": [{"volume": "local-lvm", "size": "4G", "path": "/srv"}],
        "operating_system": [{"template_file_id": "local:vztmpl/d.tar.zst", "type": "debian"}],
        "startup": [{"order": 2}],
    })
}

#[tokio::test]
async fn a_container_lives() {
    let world = World::new(CONTAINER);
    let config = full_container();
    let made = world.apply(None, config.clone()).await;
    assert_eq!(world.option(610, "description").as_deref(), Some("first\n"));
    let mut next = changed(config, "/memory/0/dedicated", json!(512));
    next = changed(next, "/disk/0/size", json!(8));
    next = changed(next, "/network_interface/0/vlan_id", json!(31));
    next = changed(next, "/features", json!([]));
    next = changed(next, "/initialization/0/user_account/0/password", json!("another"));
    let next = changed(next, "/mount_point/0/size", json!("6G"));
    let updated = world.apply(Some(&made), next).await;
    assert!(world.option(610, "rootfs").unwrap().ends_with("size=8G"));
    assert!(world.option(610, "mp0").unwrap().ends_with("size=6G"));
    assert!(world.option(610, "net0").unwrap().contains("tag=31"));
    assert_eq!(world.option(610, "features"), None);
    world.destroy(&updated).await;
}

#[tokio::test]
async fn files_live() {
    let world = World::new("proxmox_virtual_environment_download_file");
    let config = json!({
        "node_name": "pve", "datastore_id": "local", "content_type": "import",
        "url": "https://images.example.test/d.qcow2"});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), int(&made, "size")), (Some("local:import/d.qcow2"), Some(4096)));
    let made = world.apply(Some(&made), changed_insert(config, "overwrite", json!(false))).await;
    world.destroy(&made).await;

    let world = World::new("proxmox_virtual_environment_file");
    let config = json!({
        "node_name": "pve", "datastore_id": "local", "content_type": "snippets",
        "source_raw": [{"data": "#cloud-config\n", "file_name": "u.yaml"}]});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), int(&made, "file_size")), (Some("local:snippets/u.yaml"), Some(14)));
    let updated =
        world.apply(Some(&made), changed(config, "/source_raw/0/data", json!("#!/bin/sh\necho\n"))).await;
    assert_eq!((text(&updated, "id"), int(&updated, "file_size")), (Some("local:snippets/u.yaml"), Some(15)));
    world.destroy(&updated).await;
}

fn changed_insert(mut json: Json, name: &str, value: Json) -> Json {
    json[name] = value;
    json
}

#[tokio::test]
async fn firewall_rules_keep_their_order() {
    let world = World::new("proxmox_virtual_environment_firewall_rules");
    let rule = |port: &str| json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port});
    let config = |rules: Vec<Json>| json!({"node_name": "pve", "vm_id": 100, "rule": rules});
    let ports = |world: &World| -> Vec<String> {
        let state = world.double.0.lock().unwrap();
        let rules = &state.rules["/nodes/pve/qemu/100/firewall"];
        rules.iter().map(|rule| rule.get("dport").and_then(Json::as_str).unwrap_or("-").to_string()).collect()
    };
    let made = world.apply(None, config(vec![rule("22"), rule("80"), rule("443")])).await;
    assert_eq!(ports(&world), ["22", "80", "443"]);
    let group = json!({"security_group": "web"});
    let updated = world
        .apply(Some(&made), config(vec![group, rule("80"), rule("22"), rule("443"), rule("8080")]))
        .await;
    assert_eq!(ports(&world), ["-", "80", "22", "443", "8080"]);
    let updated = world.apply(Some(&updated), config(vec![rule("22")])).await;
    assert_eq!(ports(&world), ["22"]);
    world.destroy(&updated).await;
}

#[tokio::test]
async fn firewall_options_go_back_to_what_the_cluster_does() {
    let world = World::new("proxmox_virtual_environment_firewall_options");
    let base = json!({"node_name": "pve", "vm_id": 100, "enabled": true, "ipfilter": true});
    let made = world.apply(None, base.clone()).await;
    let updated =
        world.apply(Some(&made), json!({"node_name": "pve", "vm_id": 100, "input_policy": "REJECT"})).await;
    let options = |world: &World| {
        world.double.0.lock().unwrap().options["/nodes/pve/qemu/100/firewall/options"].clone()
    };
    assert_eq!(options(&world).get("policy_in"), Some(&json!("REJECT")));
    assert_eq!(options(&world).get("ipfilter"), None);
    let gone = world.try_apply(Some(&updated), None, &Recorder::default()).await.unwrap();
    assert_eq!((gone, options(&world).len()), (None::<Value>, 0));
}

#[tokio::test]
async fn an_imported_container_plans_no_replacement() {
    let world = World::new(CONTAINER);
    world.apply(None, full_container()).await;
    let imported = world.provider.import(CONTAINER, "proxmox", "pve/610").await.unwrap();
    let response = world.plan(Some(&imported), &world.config(full_container()));
    assert_eq!(response.replace, vec![]);
    let names = crate::values::changed(&imported, &response.planned.unwrap());
    // A password and keys cannot be read.
    let expected = ["initialization"];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_file_whose_local_source_changed_is_uploaded_again() {
    let world = World::new("proxmox_virtual_environment_file");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.iso");
    std::fs::write(&path, "one").unwrap();
    let config = json!({"node_name": "pve", "datastore_id": "local", "source_file": [{"path": path}]});
    let made = world.apply(None, config.clone()).await;
    assert_eq!((text(&made, "id"), text(&made, "content_type")), (Some("local:iso/d.iso"), Some("iso")));
    std::fs::write(&path, "three").unwrap();
    let read = world.read(&made).await.unwrap();
    let updated = world.apply(Some(&read), config).await;
    assert_eq!(int(&updated, "file_size"), Some(5));
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

/// Between plan and apply somebody destroyed the guest and made another one with its VMID.
#[tokio::test]
async fn a_guest_with_the_same_vmid_and_another_name_is_not_touched() {
    let vm = json!({"node_name": "pve", "vm_id": 500, "name": "mine"});
    let container = json!({"node_name": "pve", "vm_id": 500, "initialization": [{"hostname": "mine"}],
                           "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]});
    for (kind, name, json) in [(VM, "name", vm), (CONTAINER, "hostname", container)] {
        let world = World::new(kind);
        let made = world.apply(None, json.clone()).await;
        world
            .double
            .0
            .lock()
            .unwrap()
            .guests
            .get_mut(&500)
            .unwrap()
            .config
            .insert(name.into(), json!("theirs"));
        let mut changed = json;
        changed["description"] = json!("changed");
        let writes = world.double.0.lock().unwrap().writes();
        // Nothing of the other one is recorded, so that a second try meets the same.
        for config in [None, Some(world.config(changed))].iter().cycle().take(4) {
            let result = world.try_apply(Some(&made), config.as_ref(), &Recorder::default()).await;
            let error = result.unwrap_err();
            assert!(error.message.contains("it may be another guest"), "{}", error.message);
            assert_eq!((error.left, error.indeterminate), (None, false));
        }
        assert_eq!(world.double.0.lock().unwrap().writes(), writes, "{kind}");
    }
}

/// Somebody destroyed the guest and made another one with its VMID, before this plan.
#[tokio::test]
async fn a_guest_that_has_nothing_of_the_known_one_is_not_taken_for_it() {
    let vm = json!({"node_name": "pve", "vm_id": 500, "name": "mine", "network_device": [{}]});
    let container = json!({"node_name": "pve", "vm_id": 500, "initialization": [{"hostname": "mine"}],
                           "network_interface": [{"name": "veth0"}],
                           "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]});
    for (kind, name, json) in [(VM, "name", vm), (CONTAINER, "hostname", container)] {
        let world = World::new(kind);
        let made = world.apply(None, json).await;
        let set = |option: &str, value: &str| {
            let mut double = world.double.0.lock().unwrap();
            double.guests.get_mut(&500).unwrap().config.insert(option.into(), json!(value))
        };
        let device = set("net0", "").unwrap();
        set("net0", device.as_str().unwrap());
        set(name, "theirs");
        assert!(world.read(&made).await.is_some(), "a renamed {kind} is the same");
        let other =
            if kind == VM { "virtio=BC:24:11:00:00:01" } else { "name=veth0,hwaddr=BC:24:11:00:00:01" };
        set("net0", other);
        let error = world.try_read(&made).await.unwrap_err();
        assert!(error.message.contains("is another one: it is named theirs"), "{}", error.message);
        set(name, "mine");
        assert!(world.read(&made).await.is_some(), "a {kind} with a new network device is the same");
    }
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
async fn a_map_of_ids_is_written_and_a_running_container_starts_with_it() {
    let world = World::new(CONTAINER);
    let config = |maps: Json| {
        json!({"node_name": "pve", "vm_id": 500, "idmap": maps, "unprivileged": true,
               "operating_system": [{"template_file_id": "local:vztmpl/x.tar.zst"}]})
    };
    let map =
        |kind: &str, size: u32| json!({"type": kind, "container_id": 0, "host_id": 100000, "size": size});
    let lines = |world: &World| world.double.0.lock().unwrap().guests[&500].config.get("lxc").cloned();
    let made = world.apply(None, config(json!([map("uid", 9), map("gid", 9)]))).await;
    assert_eq!(lines(&world), Some(json!([["lxc.idmap", "u 0 100000 9"], ["lxc.idmap", "g 0 100000 9"]])));
    world.double.0.lock().unwrap().requests.clear();
    let made = world.apply(Some(&made), config(json!([map("uid", 7)]))).await;
    assert_eq!(lines(&world), Some(json!([["lxc.idmap", "u 0 100000 7"]])));
    let requests = world.double.0.lock().unwrap().requests.clone();
    let power = requests.iter().filter(|request| request.contains("/status/") && request.starts_with("Post"));
    let power: Vec<&str> = power.filter_map(|request| request.rsplit('/').next()).collect();
    assert_eq!(power, ["shutdown", "start"]);
    world.apply(Some(&made), config(json!([]))).await;
    assert_eq!(lines(&world), None);
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

/// The guest was renamed and its network device changed, or destroyed and made again with the same name and id.
#[tokio::test]
async fn a_vm_is_known_by_its_uuid_whatever_its_name_and_devices_are() {
    let world = World::new(VM);
    let made = world
        .apply(None, json!({"node_name": "pve", "vm_id": 500, "name": "mine", "network_device": [{}]}))
        .await;
    let set = |option: &str, value: &str| {
        let mut double = world.double.0.lock().unwrap();
        double.guests.get_mut(&500).unwrap().config.insert(option.into(), json!(value));
    };
    let read = async |identity: &str| {
        let request = ReadRequest {
            address: world.address.clone(),
            provider: "proxmox".into(),
            prior: made.clone(),
            identity: Some(identity.into()),
        };
        world.provider.read(request).await
    };
    let known = world.provider.identity(&world.address).unwrap();
    assert_eq!(known, "uuid=1");
    set("name", "renamed");
    set("net0", "virtio=BC:24:11:00:00:01");
    assert!(read(&known).await.unwrap().is_some());
    set("vmgenid", "restored");
    assert!(read("uuid=1,vmgenid=first").await.unwrap().is_some());
    set("name", "mine");
    set("smbios1", "uuid=2");
    set("meta", "creation-qemu=10.1.2,ctime=2");
    let error = read("uuid=1,vmgenid=first,ctime=1").await.unwrap_err();
    assert!(error.message.contains("it has another UUID"), "{}", error.message);
    assert!(read("uuid=1,ctime=2").await.unwrap().is_some(), "its UUID was set by hand");
}
