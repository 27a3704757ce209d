//! Somebody sets what the configuration has neither a block nor an attribute for.

use std::collections::BTreeMap;

use pve_executor::ports::Provider;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::World;
use super::super::lives::{CONTAINER, VM};
use super::world;
use crate::cluster::Method;
use crate::values::{changed, with};

/// Options by hand, and the block that the provider's schema has for each. Those of the second list no attribute has.
const OF_VMS: &[(&str, &str, &str)] = &[
    ("agent", "enabled=1", "agent"),
    ("audio0", "device=ich9-intel-hda", "audio_device"),
    ("cores", "4", "cpu"),
    ("cpu", "host", "cpu"),
    ("cpulimit", "1", "cpu"),
    ("cpuunits", "200", "cpu"),
    ("hostpci0", "0000:01:00.0", "hostpci"),
    ("ide2", "local-lvm:cloudinit", "initialization"),
    ("ide3", "local:iso/a.iso,media=cdrom", "cdrom"),
    ("memory", "1024", "memory"),
    ("numa", "1", "cpu"),
    ("ostype", "l26", "operating_system"),
    ("rng0", "source=/dev/urandom", "rng"),
    ("serial0", "socket", "serial_device"),
    ("startup", "order=3", "startup"),
    ("usb0", "host=1234:5678", "usb"),
    ("watchdog", "model=ib700,action=reset", "watchdog"),
];
const OF_NO_ATTRIBUTE: &[(&str, &str)] = &[
    ("cicustom", "user=local:snippets/a.yaml"),
    ("freeze", "1"),
    ("kvm", "0"),
    ("localtime", "1"),
    ("sata1", "local:iso/a.iso,media=cdrom"),
];
const OF_CONTAINERS: &[(&str, &str, &str)] = &[
    ("cmode", "shell", "console"),
    ("cores", "4", "cpu"),
    ("cpulimit", "1", "cpu"),
    ("dev0", "/dev/net/tun", "device_passthrough"),
    ("features", "nesting=1", "features"),
    ("memory", "1024", "memory"),
    ("startup", "order=3", "startup"),
    ("swap", "256", "memory"),
];
const OF_NO_ATTRIBUTE_OF_CONTAINERS: &[(&str, &str)] = &[("nameserver", "192.0.2.1"), ("timezone", "host")];

async fn set(world: &World, path: &str, option: &str, value: &str) {
    let params = [(option.to_string(), value.to_string())];
    world.api.send(Method::Put, path, &params).await.unwrap();
}

async fn options(world: &World, path: &str) -> Json {
    world.api.send(Method::Get, path, &[]).await.unwrap()
}

fn unspoken(world: &World) -> BTreeMap<String, String> {
    world.provider.beside(&world.address).unwrap().unspoken.unwrap()
}

/// What a plan without changes says when options are no more as `recorded`.
fn remarks(world: &World, recorded: &BTreeMap<String, String>, value: &Value) -> Vec<String> {
    let beside = world.provider.beside(&world.address).unwrap().since(Some(recorded));
    world.rules().remarks(&beside, value, Some(value))
}

fn in_words(option: &str, before: Option<&str>, after: &str) -> String {
    let before = before.unwrap_or("not set");
    format!("{option}: {before} -> {after}, changed outside and not in the configuration; left alone")
}

/// Each option is read as its block, planned away and taken back; what no attribute has is said and stays.
async fn are_taken_back(
    (name, config, path): (&'static str, Json, &str),
    options_of_blocks: &[(&str, &str, &str)],
    others: &[(&str, &str)],
) {
    let (world, _server) = world(name).await;
    let made = world.apply(None, config.clone()).await;
    let recorded = unspoken(&world);
    assert!(remarks(&world, &recorded, &made).is_empty());
    let untouched = options(&world, path).await;
    for (option, value, block) in options_of_blocks {
        set(&world, path, option, value).await;
        let read = world.read(&made).await.unwrap();
        assert_eq!(changed(&made, &read).into_iter().collect::<Vec<_>>(), [*block], "{option}");
        assert!(remarks(&world, &recorded, &read).is_empty(), "{option}: the plan tells it");
        world.apply(Some(&read), config.clone()).await;
        let mut now = options(&world, path).await;
        now["digest"] = untouched["digest"].clone();
        assert_eq!(now, untouched, "{option}");
    }
    for (option, value) in others {
        set(&world, path, option, value).await;
        let read = world.read(&made).await.unwrap();
        assert!(changed(&made, &read).is_empty(), "{option}");
        assert_eq!(remarks(&world, &recorded, &read), [in_words(option, None, &unspoken(&world)[*option])]);
        set(&world, path, "delete", option).await;
    }
    assert_eq!(world.read(&made).await.as_ref(), Some(&made));
    assert!(remarks(&world, &recorded, &made).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vm_has_no_block_for_goes_back_to_its_default() {
    let config = json!({"node_name": "pve", "vm_id": 500, "started": false});
    are_taken_back((VM, config, "/nodes/pve/qemu/500/config"), OF_VMS, OF_NO_ATTRIBUTE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_has_no_block_for_goes_back_to_its_default() {
    let config = json!({
        "node_name": "pve", "vm_id": 500, "started": false, "disk": [{"datastore_id": "local-lvm"}],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst"}],
    });
    let place = (CONTAINER, config, "/nodes/pve/lxc/500/config");
    are_taken_back(place, OF_CONTAINERS, OF_NO_ATTRIBUTE_OF_CONTAINERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_display_that_nobody_configured_is_told_and_left() {
    let (world, _server) = world(VM).await;
    let config = json!({"node_name": "pve", "vm_id": 500, "started": false});
    let made = world.apply(None, config.clone()).await;
    set(&world, "/nodes/pve/qemu/500/config", "vga", "qxl").await;
    let read = world.read(&made).await.unwrap();
    assert_eq!(changed(&made, &read).into_iter().collect::<Vec<_>>(), ["vga"]);
    let planned = world.plan(Some(&read), &world.config(config)).planned.unwrap();
    assert!(changed(&read, &planned).is_empty());
}

/// A clone has whatever its template has: what is different from then on is told, and stays.
async fn of_a_clone_is_told(
    (name, path, template): (&'static str, &str, &str),
    config: Json,
    options_by_hand: impl Iterator<Item = (&'static str, &'static str)>,
    by_template: &[(&str, &str)],
) {
    let (world, _server) = world(name).await;
    let params = template.split_whitespace().filter_map(|pair| pair.split_once('='));
    let params: Vec<_> = params.map(|(name, text)| (name.to_string(), text.to_string())).collect();
    world.api.send(Method::Post, path, &params).await.unwrap();
    let made = world.apply(None, config).await;
    let recorded = unspoken(&world);
    assert!(remarks(&world, &recorded, &made).is_empty());
    let path = format!("{path}/500/config");
    for (option, value) in options_by_hand {
        let before = options(&world, &path).await.get(option).map(|value| match value {
            Json::String(text) => text.clone(),
            value => value.to_string(),
        });
        set(&world, &path, option, value).await;
        let read = world.read(&made).await.unwrap();
        assert!(changed(&made, &read).is_empty(), "{option}");
        let now = unspoken(&world)[option].clone();
        assert_eq!(remarks(&world, &recorded, &read), [in_words(option, before.as_deref(), &now)]);
        let back = before.as_deref().map_or(("delete", option), |before| (option, before));
        set(&world, &path, back.0, back.1).await;
    }
    for (option, value) in by_template {
        assert_eq!(recorded.get(*option).map(String::as_str), Some(*value), "{recorded:?}");
    }
    let (slot, volume) = if name == VM { ("scsi5", "local-lvm:1") } else { ("mp5", "local-lvm:1,mp=/data") };
    set(&world, &path, slot, volume).await;
    let read = world.read(&made).await.unwrap();
    let beside = world.provider.beside(&world.address).unwrap().since(Some(&recorded));
    let lost = world.rules().remarks(&beside, &read, None);
    assert!(
        lost.len() == 1 && lost[0].starts_with(slot) && lost[0].ends_with("destroyed with the guest"),
        "{lost:?}"
    );
    set(&world, &path, "delete", slot).await;
    let text = Value::string("by hand");
    set(&world, &path, "description", "by hand").await;
    let read = world.read(&made).await.unwrap();
    let said = remarks(&world, &recorded, &read);
    assert!(said.iter().any(|said| said.starts_with("description: ")), "{said:?}");
    let configured = with(&read, "description", text);
    let beside = world.provider.beside(&world.address).unwrap().since(Some(&recorded));
    let said = world.rules().remarks(&beside, &read, Some(&configured));
    assert!(!said.iter().any(|said| said.starts_with("description: ")), "it is configured now: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clone_of_a_vm_has_no_block_for_is_told_and_left() {
    let template = "vmid=900 template=1 memory=2048 cores=2 scsi0=local-lvm:2 net0=virtio,bridge=vmbr0 kvm=0";
    let config = json!({"node_name": "pve", "vm_id": 500, "started": false, "clone": [{"vm_id": 900}]});
    let blocks = OF_VMS.iter().map(|(option, value, _)| (*option, *value));
    let all = blocks
        .filter(|(option, _)| !["ide2", "ide3"].contains(option))
        .chain([("vga", "qxl"), ("freeze", "1")]);
    let by_template = [("memory", "2048"), ("cores", "2"), ("kvm", "0")];
    of_a_clone_is_told((VM, "/nodes/pve/qemu", template), config, all, &by_template).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clone_of_a_container_has_no_block_for_is_told_and_left() {
    let template = "vmid=900 ostemplate=local:vztmpl/t.tar.zst rootfs=local-lvm:4 memory=2048 template=1";
    let config = json!({"node_name": "pve", "vm_id": 500, "started": false, "clone": [{"vm_id": 900}]});
    let all = OF_CONTAINERS.iter().map(|(option, value, _)| (*option, *value));
    let by_template = [("memory", "2048")];
    of_a_clone_is_told((CONTAINER, "/nodes/pve/lxc", template), config, all, &by_template).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_of_the_newer_kinds_leaves_open_is_told_and_left() {
    let (world, _server) = world("proxmox_vm").await;
    let config = json!({"node_name": "pve", "id": 500, "cpu": {"cores": 2}});
    let made = world.apply(None, config).await;
    let recorded = unspoken(&world);
    assert!(remarks(&world, &recorded, &made).is_empty());
    let path = "/nodes/pve/qemu/500/config";
    for (option, value) in [("memory", "1024"), ("scsi3", "local-lvm:1"), ("vga", "qxl")] {
        set(&world, path, option, value).await;
        let read = world.read(&made).await.unwrap();
        let said = remarks(&world, &recorded, &read);
        assert!(said.len() == 1 && said[0].starts_with(&format!("{option}: ")), "{said:?}");
        let before = recorded.get(option).map_or(("delete", option), |before| (option, before.as_str()));
        set(&world, path, before.0, before.1).await;
    }
    set(&world, path, "cores", "4").await;
    let read = world.read(&made).await.unwrap();
    assert_eq!(changed(&made, &read).into_iter().collect::<Vec<_>>(), ["cpu"]);
    assert!(remarks(&world, &recorded, &read).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_option_of_a_container_that_is_configured_wholly_is_told() {
    let (world, _server) = world(CONTAINER).await;
    let config = json!({
        "node_name": "pve", "vm_id": 500, "started": false, "disk": [{"datastore_id": "local-lvm"}],
        "cpu": [{"cores": 1}], "memory": [{"dedicated": 512}], "console": [{}], "features": [{"nesting": true}],
        "initialization": [{"hostname": "whole"}], "network_interface": [{"name": "eth0"}],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
    });
    let made = world.apply(None, config).await;
    let recorded = unspoken(&world);
    assert_eq!(recorded, BTreeMap::new(), "every option is configured");
    assert_eq!(world.read(&made).await.as_ref(), Some(&made));
    assert_eq!(unspoken(&world), BTreeMap::new());
    set(&world, "/nodes/pve/lxc/500/config", "timezone", "host").await;
    let read = world.read(&made).await.unwrap();
    assert_eq!(remarks(&world, &recorded, &read), [in_words("timezone", None, "host")]);
}
