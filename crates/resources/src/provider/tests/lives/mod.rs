//! Objects are made, read, changed and destroyed.

mod containers;
mod files;
mod firewalls;
mod identity;
mod vms;

use serde_json::{Value as Json, json};

use super::World;

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

fn changed_insert(mut json: Json, name: &str, value: Json) -> Json {
    json[name] = value;
    json
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

/// What the cluster takes apart it does not refuse.
#[test]
fn a_tag_with_a_separator_is_told_of_once() {
    for kind in [VM, CONTAINER] {
        let world = World::new(kind);
        let told = |tag: &str| -> Vec<String> {
            let config = world.config(json!({"node_name": "pve", "tags": [tag]}));
            let problems = world.rules().validate(&config).into_iter();
            let about = problems.filter(|problem| problem.path.to_string().starts_with("tags"));
            about.map(|problem| format!("{}: {}", problem.summary, problem.detail)).collect()
        };
        let split = told("a;b");
        assert!(split.len() == 1 && split[0].contains("becomes several tags"), "{kind}: {split:?}");
        assert_eq!(told("a.b"), [""; 0], "{kind}");
    }
}
