//! Virtual machines against the simulator.

use serde_json::{Value as Json, json};

use super::super::lives::VM;
use super::turns::{Kind, Samples, every_attribute};
use super::world;
use crate::cluster::Method;

fn kind(base: fn() -> Json) -> Kind {
    Kind {
        name: VM,
        api: "qemu",
        needed: &["hostpci.mapping", "usb.mapping"],
        base,
        companions,
        samples,
        recorded: RECORDED,
        replaces: &["disk.file_id", "efi_disk.type", "tpm_state.version"],
        unreadable: &["network_device.enabled", "initialization.user_account.password"],
    }
}

/// What only `pve` needs to know.
const RECORDED: &[&str] = &[
    "delete_unreferenced_disks_on_destroy",
    "migrate",
    "purge_on_destroy",
    "reboot",
    "reboot_after_update",
    "stop_on_destroy",
    "pool_id",
    // How long and for what the agent is waited for.
    "agent.timeout",
    "agent.wait_for_ip.disabled",
    "agent.wait_for_ip.ipv4",
    "agent.wait_for_ip.ipv6",
    // Made once.
    "disk.import_from",
    // Shown as asterisks.
    "initialization.user_account.password",
];

fn companions(path: &str) -> Json {
    match path {
        "disk" => json!({"interface": "scsi0", "size": 8}),
        "hostpci" => json!({"device": "hostpci0", "id": "0000:01:00.0"}),
        "numa" => json!({"device": "numa0", "cpus": "0", "memory": 512}),
        "usb" => json!({"host": "1234:5678"}),
        "virtiofs" => json!({"mapping": "share"}),
        "rng" => json!({"source": "/dev/urandom"}),
        "watchdog" => json!({"enabled": true}),
        path if path.starts_with("for memory.hugepages") || path.starts_with("for memory.keep") => {
            json!({"cpu": [{"numa": true}], "memory": [{"hugepages": "2", "dedicated": 1024}]})
        }
        "for boot_order" => json!({"disk": [{"interface": "scsi0"}], "network_device": [{}]}),
        "for disk.file_format" => {
            json!({"disk": [{"interface": "scsi0", "datastore_id": "files", "file_format": "raw"}]})
        }
        "for efi_disk.file_format" => json!({"efi_disk": [{"datastore_id": "files"}]}),
        "for initialization.file_format" => json!({"initialization": [{"datastore_id": "files"}]}),
        "for initialization.ip_config.ipv4.gateway" => {
            json!({"initialization": [{"ip_config": [{"ipv4": [{"address": "192.0.2.5/24"}]}]}]})
        }
        "for initialization.ip_config.ipv6.gateway" => {
            json!({"initialization": [{"ip_config": [{"ipv6": [{"address": "2001:db8::5/64"}]}]}]})
        }
        "for hostpci.mapping" => json!({"hostpci": [{"device": "hostpci0"}]}),
        "for usb.mapping" => json!({"usb": [{}]}),
        path if path.starts_with("for numa") => json!({"cpu": [{"numa": true}]}),
        _ => json!({}),
    }
}

/// Two values where those of the type alone would be refused.
fn samples(path: &str) -> Samples {
    let two = Samples::Two;
    match path {
        // What they do is tested by itself: they are not changed, or have no effect on a stopped VM.
        "node_name" | "vm_id" | "started" | "template" | "mac_addresses" => Samples::LeftOut,
        path if path.starts_with("clone.") => Samples::LeftOut,
        // Deprecated switches, and one that has only a single value.
        "cdrom.enabled" | "disk.queues" | "audio_device.driver" => Samples::LeftOut,
        "protection" => two(json!(true), json!(false)),
        "agent.timeout" => two(json!("1m"), json!("2m")),
        "boot_order" => two(json!(["scsi0", "net0"]), json!(["net0"])),
        "cdrom.file_id" => two(json!("local:iso/a.iso"), json!("none")),
        "cdrom.interface" | "initialization.interface" => two(json!("ide0"), json!("sata1")),
        "cpu.affinity" | "numa.cpus" | "numa.hostnodes" => two(json!("0-1"), json!("0")),
        "cpu.flags" => two(json!(["+aes"]), json!(["+aes", "-pcid"])),
        "cpu.hotplugged" => two(json!(1), json!(2)),
        "cpu.limit" => two(json!(1.5), json!(2)),
        "cpu.type" => two(json!("host"), json!("x86-64-v2-AES")),
        path if path.ends_with("datastore_id") => two(json!("local-lvm"), json!("other")),
        path if path.ends_with("file_format") => two(json!("qcow2"), json!("raw")),
        "disk.discard" => two(json!("on"), json!("ignore")),
        "disk.file_id" | "disk.import_from" => {
            two(json!("local:import/d.qcow2"), json!("local:import/e.qcow2"))
        }
        "disk.interface" => two(json!("scsi1"), json!("virtio2")),
        "disk.path_in_datastore" => Samples::LeftOut,
        "disk.size" => two(json!(8), json!(11)),
        "hook_script_file_id" => two(json!("local:snippets/a.sh"), json!("local:snippets/b.sh")),
        path if path.ends_with("_data_file_id") => {
            two(json!("local:snippets/a.yaml"), json!("local:snippets/b.yaml"))
        }
        "hostpci.device" => two(json!("hostpci0"), json!("hostpci1")),
        "hostpci.id" => two(json!("0000:01:00.0"), json!("0000:02:00")),
        "hotplug" => two(json!("disk,usb"), json!("network")),
        "initialization.dns.servers" => two(json!(["192.0.2.1", "192.0.2.2"]), json!(["192.0.2.1"])),
        path if path.ends_with("ipv4.address") => two(json!("192.0.2.5/24"), json!("dhcp")),
        path if path.ends_with("ipv4.gateway") => two(json!("192.0.2.1"), json!("192.0.2.254")),
        path if path.ends_with("ipv6.address") => two(json!("2001:db8::5/64"), json!("auto")),
        path if path.ends_with("ipv6.gateway") => two(json!("2001:db8::1"), json!("2001:db8::2")),
        "initialization.user_account.keys" => two(
            json!(["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000 a@b"]),
            json!([
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000 a@b",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ111111111111111111111111111111111111111111 c+d@e"
            ]),
        ),
        "kvm_arguments" => two(json!("-no-hpet"), json!("-no-reboot")),
        "machine" => two(json!("q35"), json!("pc")),
        "memory.dedicated" => two(json!(1024), json!(2048)),
        "memory.floating" => two(json!(256), json!(128)),
        "network_device.mac_address" => two(json!("BC:24:11:00:00:01"), json!("BC:24:11:00:00:02")),
        "network_device.bridge" => two(json!("vmbr0"), json!("vmbr1")),
        "network_device.mtu" => two(json!(1400), json!(1500)),
        "network_device.trunks" => two(json!("10;20"), json!("30")),
        "network_device.rate_limit" => two(json!(1.5), json!(10)),
        "network_device.enabled" => two(json!(true), json!(false)),
        "numa.device" => two(json!("numa0"), json!("numa1")),
        "numa.memory" => two(json!(256), json!(512)),
        "pool_id" => two(json!("one"), json!("two")),
        "rng.source" => two(json!("/dev/urandom"), json!("/dev/random")),
        "serial_device.device" => two(json!("socket"), json!("/dev/ttyS0")),
        "smbios.uuid" => {
            two(json!("6f0c5e4e-43b4-4f5a-8f6f-0d1f7a9d4c01"), json!("6f0c5e4e-43b4-4f5a-8f6f-0d1f7a9d4c02"))
        }
        "startup.order" | "startup.up_delay" | "startup.down_delay" => two(json!(3), json!(0)),
        "tags" => two(json!(["b", "a"]), json!(["c"])),
        "usb.host" => two(json!("1234:5678"), json!("spice")),
        "watchdog.enabled" => two(json!(true), json!(false)),
        _ => Samples::OfType,
    }
}

#[tokio::test]
async fn every_attribute_of_a_vm_is_set_changed_and_taken_out() {
    let (world, _server) = world(VM).await;
    let faults = every_attribute(
        &world,
        &kind(|| json!({"node_name": "pve", "name": "n", "started": false, "machine": "q35"})),
    )
    .await;
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn every_attribute_of_a_running_vm_is_set_changed_and_taken_out() {
    let (world, _server) = world(VM).await;
    let base = || json!({"node_name": "pve", "name": "n", "machine": "q35"});
    let faults = every_attribute(&world, &kind(base)).await;
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn root_itself_imports_from_any_path_without_ssh() {
    let (world, _server) = super::world(VM).await;
    let config = json!({
        "node_name": "pve", "vm_id": 500, "name": "x", "started": false,
        "disk": [{"interface": "scsi0", "datastore_id": "local-lvm", "file_id": "local:iso/a.iso", "size": 3, "ssd": true}],
    });
    let made = world.apply(None, config).await;
    assert_eq!(crate::values::texts(&made, "boot_order"), ["scsi0"]);
    world.destroy(&made).await;
}

// By the schema of the API: what a plan refuses or warns of, the API refuses, and nothing else.
#[tokio::test]
async fn the_options_that_a_bus_does_not_have_are_told_of_at_plan_as_the_api_refuses_them() {
    let (world, _server) = super::world(VM).await;
    let mut vmid = 600;
    for bus in ["ide", "sata", "scsi", "virtio"] {
        for (name, on) in [
            ("aio", json!("native")),
            ("backup", json!(false)),
            ("cache", json!("directsync")),
            ("discard", json!("on")),
            ("iothread", json!(true)),
            ("queues", json!(2)),
            ("replicate", json!(false)),
            ("serial", json!("a1")),
            ("ssd", json!(true)),
        ] {
            let mut config = json!({"node_name": "pve", "name": "x",
                                    "disk": [{"interface": format!("{bus}0"), "datastore_id": "local-lvm", "size": 1}]});
            config["disk"][0][name] = on.clone();
            let config = world.config(config);
            let told_at_plan = !world.rules().validate(&config).is_empty();
            let option = match &on {
                Json::Bool(on) => u8::from(*on).to_string(),
                Json::String(text) => text.clone(),
                number => number.to_string(),
            };
            vmid += 1;
            let params =
                [("vmid", vmid.to_string()), (&*format!("{bus}0"), format!("local-lvm:1,{name}={option}"))]
                    .map(|(name, text)| (name.to_string(), text));
            let answer = world.api.send(Method::Post, "/nodes/pve/qemu", &params).await;
            assert_eq!(told_at_plan, answer.is_err(), "{bus} {name}: {answer:?}");
        }
    }
}

// The reference does not send them either, so that configurations with them work.
#[tokio::test]
async fn options_that_a_bus_does_not_have_are_not_sent_and_stay_as_configured() {
    let (world, _server) = super::world(VM).await;
    let disk = |interface: &str| json!({"interface": interface, "datastore_id": "local-lvm", "size": 1, "ssd": true, "iothread": true});
    let config =
        json!({"node_name": "pve", "name": "x", "started": false, "disk": [disk("virtio0"), disk("sata0")]});
    let made = world.apply(None, config).await;
    world.destroy(&made).await;
}

// The API adds each new CD-ROM drive to the boot order.
#[tokio::test]
async fn a_configured_boot_order_stays_when_a_cdrom_is_there_or_comes() {
    let (world, _server) = super::world(VM).await;
    let vm = |cdrom: Json| {
        json!({"node_name": "pve", "name": "x", "started": false, "boot_order": ["scsi0"], "cdrom": cdrom,
               "disk": [{"interface": "scsi0", "datastore_id": "local-lvm", "size": 1}]})
    };
    let cdrom = |interface: &str| json!([{"interface": interface, "file_id": "none"}]);
    let mut made = world.apply(None, vm(cdrom("ide3"))).await;
    for config in [vm(cdrom("ide3")), vm(json!([])), vm(cdrom("ide0"))] {
        made = world.apply(Some(&made), config).await;
        assert_eq!(crate::values::texts(&made, "boot_order"), ["scsi0"]);
    }
    world.destroy(&made).await;
}

#[tokio::test]
async fn what_is_written_empty_is_the_clusters_to_tell() {
    let (world, _server) = super::world(VM).await;
    let vm = json!({"node_name": "pve", "started": false, "hotplug": "", "mac_addresses": [],
        "smbios": [{"uuid": "", "family": "f"}],
        "disk": [{"interface": "scsi0", "datastore_id": "local-lvm", "size": 1, "discard": ""}],
        "network_device": [{"mac_address": ""}],
        "initialization": [{"datastore_id": "", "ip_config": [{"ipv4": [{"address": "dhcp"}]}]}]});
    let container = json!({"node_name": "pve", "started": false, "disk": [{"datastore_id": "local-lvm", "size": 4}],
        "network_interface": [{"name": "eth0", "mac_address": ""}],
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}]});
    let (other, _other_server) = super::world(super::super::lives::CONTAINER).await;
    for (world, config) in [(&world, vm), (&other, container)] {
        let made = world.apply(None, config.clone()).await;
        let read = world.read(&made).await.unwrap();
        let planned = world.plan(Some(&read), &world.config(config)).planned.unwrap();
        assert_eq!(crate::values::changed(&read, &planned), Default::default());
        world.destroy(&read).await;
    }
}

/// Those of single devices decide the addresses of the whole VM.
#[tokio::test]
async fn addresses_that_are_written_for_the_whole_vm_change_nothing() {
    let (world, _server) = super::world(VM).await;
    let config = |devices: Json| {
        json!({"node_name": "pve", "started": false, "mac_addresses": ["02:00:00:00:00:01"],
               "network_device": devices})
    };
    let made = world.apply(None, config(json!([{}]))).await;
    let changed = world.apply(Some(&made), config(json!([{}, {}]))).await;
    assert_eq!(crate::values::texts(&changed, "mac_addresses").len(), 2);
    world.destroy(&changed).await;
}

// `qm.conf(5)`: 1024 bytes every 1000 milliseconds, which the reference tells as well.
#[tokio::test]
async fn a_source_of_random_numbers_without_a_configured_rate_tells_the_one_that_it_has() {
    let (world, _server) = world(VM).await;
    let config = json!({"node_name": "pve", "started": false, "rng": [{"source": "/dev/urandom"}]});
    let made = world.apply(None, config.clone()).await;
    let rng = &crate::values::all_blocks(&made, "rng")[0];
    assert_eq!(["max_bytes", "period"].map(|name| crate::values::int(rng, name)), [Some(1024), Some(1000)]);
    let planned = world.plan(Some(&world.read(&made).await.unwrap()), &world.config(config)).planned.unwrap();
    assert_eq!(crate::values::changed(&made, &planned), Default::default());
    world.destroy(&made).await;
}
