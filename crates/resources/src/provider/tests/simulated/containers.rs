//! Containers against the simulator.

use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::CONTAINER;
use super::super::{Recorder, World};
use super::turns::{Kind, Samples, every_attribute};
use super::world;
use crate::cluster::Method;
use crate::values::{all_blocks, text};

fn kind() -> Kind {
    Kind {
        name: CONTAINER,
        api: "lxc",
        needed: &[],
        base: || {
            json!({"node_name": "pve", "started": false, "disk": [{"datastore_id": "local-lvm", "size": 4}],
                   "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}]})
        },
        companions,
        samples,
        recorded: RECORDED,
        replaces: &["operating_system.template_file_id"],
        // The second is a deprecated way to write the first of `servers`.
        unreadable: &["network_interface.enabled", "initialization.dns.server"],
    }
}

const RECORDED: &[&str] = &[
    "pool_id",
    // For what an address is waited.
    "wait_for_ip.ipv4",
    "wait_for_ip.ipv6",
    // Made once; the API has no place for changes.
    "initialization.user_account.keys",
    "initialization.user_account.password",
];

fn companions(path: &str) -> Json {
    match path {
        "network_interface" => json!({"name": "eth0"}),
        "mount_point" => json!({"path": "/srv", "volume": "local-lvm", "size": "4G"}),
        "device_passthrough" => json!({"path": "/dev/fuse"}),
        "idmap" => json!({"type": "uid", "container_id": 0, "host_id": 100000, "size": 65536}),
        path if path.starts_with("for initialization.ip_config.ipv4") => json!({
            "network_interface": [{"name": "eth0"}],
            "initialization": [{"ip_config": [{"ipv4": [{"address": "192.0.2.5/24"}]}]}]}),
        path if path.starts_with("for initialization.ip_config.ipv6") => json!({
            "network_interface": [{"name": "eth0"}],
            "initialization": [{"ip_config": [{"ipv6": [{"address": "2001:db8::5/64"}]}]}]}),
        _ => json!({}),
    }
}

/// Two values where those of the type alone would be refused.
fn samples(path: &str) -> Samples {
    let two = Samples::Two;
    match path {
        // What they do is tested by itself.
        "node_name" | "vm_id" | "started" | "template" => Samples::LeftOut,
        path if path.starts_with("clone.") => Samples::LeftOut,
        "protection" => two(json!(true), json!(false)),
        path if path.ends_with("cpu.limit") => two(json!(1.5), json!(2)),
        "device_passthrough.mode" => two(json!("0600"), json!("0666")),
        "device_passthrough.path" => two(json!("/dev/fuse"), json!("/dev/net/tun")),
        path if path.ends_with("mount_options") => two(json!(["noatime"]), json!(["noatime", "nosuid"])),
        path if path.ends_with("datastore_id") => two(json!("local-lvm"), json!("other")),
        "disk.size" => two(json!(4), json!(6)),
        "environment_variables" => two(json!({"A": "1"}), json!({"A": "2", "B": "x y"})),
        "features.mount" => two(json!(["nfs"]), json!(["nfs", "cifs"])),
        "hook_script_file_id" => two(json!("local:snippets/a.sh"), json!("local:snippets/b.sh")),
        "initialization.entrypoint" => two(json!("/sbin/init"), json!("/bin/app --serve")),
        "initialization.dns.servers" => two(json!(["192.0.2.1", "192.0.2.2"]), json!(["192.0.2.1"])),
        "initialization.dns.server" => two(json!("192.0.2.1"), json!("192.0.2.2")),
        path if path.ends_with("ipv4.address") => two(json!("192.0.2.6/24"), json!("dhcp")),
        path if path.ends_with("ipv4.gateway") => two(json!("192.0.2.1"), json!("192.0.2.254")),
        path if path.ends_with("ipv6.address") => two(json!("2001:db8::6/64"), json!("auto")),
        path if path.ends_with("ipv6.gateway") => two(json!("2001:db8::1"), json!("2001:db8::2")),
        "initialization.user_account.keys" => two(
            json!(["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000 a@b"]),
            json!(["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ111111111111111111111111111111111111111111 c@d"]),
        ),
        "mount_point.path" => two(json!("/srv"), json!("/data")),
        "mount_point.size" => two(json!("4G"), json!("6G")),
        "mount_point.volume" => two(json!("local-lvm"), json!("other")),
        "network_interface.bridge" => two(json!("vmbr0"), json!("vmbr1")),
        "network_interface.enabled" => two(json!(true), json!(false)),
        "network_interface.mac_address" => two(json!("BC:24:11:00:00:01"), json!("BC:24:11:00:00:02")),
        "network_interface.mtu" => two(json!(1400), json!(1500)),
        "network_interface.name" => two(json!("eth0"), json!("eth1")),
        "network_interface.rate_limit" => two(json!(1.5), json!(10)),
        "operating_system.template_file_id" => {
            two(json!("local:vztmpl/t.tar.zst"), json!("local:vztmpl/u.tar.zst"))
        }
        "operating_system.type" => two(json!("debian"), json!("ubuntu")),
        "pool_id" => two(json!("one"), json!("two")),
        "startup.order" | "startup.up_delay" | "startup.down_delay" => two(json!(3), json!(0)),
        "tags" => two(json!(["b", "a"]), json!(["c"])),
        _ => Samples::OfType,
    }
}

#[tokio::test]
async fn every_attribute_of_a_container_is_set_changed_and_taken_out() {
    let (world, _server) = world(CONTAINER).await;
    let faults = every_attribute(&world, &kind()).await;
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

// The reference: a volume is referred to by this, not by `volume`, which may be a datastore.
#[tokio::test]
async fn a_container_mounts_the_volume_of_another_by_its_path() {
    let (world, _server) = world(CONTAINER).await;
    let container = |id: i64, volume: &str, size: Json| {
        let mut config = (kind().base)();
        config["vm_id"] = json!(id);
        config["mount_point"] = json!([{"path": "/srv", "volume": volume, "size": size}]);
        config
    };
    let first = world.apply(None, container(610, "local-lvm", json!("2G"))).await;
    let path = |value: &Value, name: &str| {
        text(&all_blocks(value, name)[0], "path_in_datastore").unwrap_or_default().to_string()
    };
    let shared = path(&first, "mount_point");
    let second = world.apply(None, container(611, &shared, Json::Null)).await;
    assert_eq!(path(&second, "mount_point"), shared);
    assert!([shared, path(&first, "disk")].iter().all(|path| path.starts_with("local-lvm:vm-610-disk-")));
}

// Somebody destroyed the container and made another one with its id and its name.
#[tokio::test]
async fn a_container_that_took_the_place_and_the_name_of_another_is_not_taken_for_it() {
    let (world, _server) = world(CONTAINER).await;
    let mut config = (kind().base)();
    config["vm_id"] = json!(620);
    config["initialization"] = json!([{"hostname": "e"}]);
    config["network_interface"] = json!([{"name": "eth0"}]);
    let made = world.apply(None, config.clone()).await;
    let send = async |method: Method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let task = world.api.send(method, path, &params).await.unwrap();
        world.api.wait(task.as_str().unwrap(), std::time::Duration::from_secs(60)).await.unwrap();
    };
    send(Method::Delete, "/nodes/pve/lxc/620", &[]).await;
    let theirs = [
        ("vmid", "620"),
        ("hostname", "e"),
        ("ostemplate", "local:vztmpl/t.tar.zst"),
        ("rootfs", "local-lvm:4"),
        ("net0", "name=eth0,bridge=vmbr0"),
    ];
    send(Method::Post, "/nodes/pve/lxc", &theirs).await;
    let error = world.try_read(&made).await.unwrap_err();
    assert!(error.message.contains("is another one: it is named e"), "{}", error.message);
    for config in [Some(world.config(config)), None] {
        let error = world.try_apply(Some(&made), config.as_ref(), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("it may be another guest"), "{}", error.message);
    }
}

fn mounting(point: Json) -> Json {
    json!({
        "node_name": "pve", "vm_id": 630, "started": false,
        "operating_system": [{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}],
        "disk": [{"datastore_id": "local-lvm", "size": 1}], "mount_point": [point],
    })
}

async fn mount_point(world: &World) -> String {
    let config = world.api.send(Method::Get, "/nodes/pve/lxc/630/config", &[]).await.unwrap();
    config["mp0"].as_str().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_point_may_be_smaller_than_a_gibibyte() {
    let (world, _server) = world(CONTAINER).await;
    let point = |size: &str| mounting(json!({"path": "/m", "volume": "local-lvm", "size": size}));
    let made = world.apply(None, point("512M")).await;
    assert!(mount_point(&world).await.contains("size=512M"));
    world.apply(Some(&made), point("1536M")).await;
    assert!(mount_point(&world).await.contains("size=1536M"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_the_node_gives_way_to_a_volume_and_back() {
    let (world, _server) = world(CONTAINER).await;
    let bind = mounting(json!({"path": "/m", "volume": "/mnt/bind/x"}));
    let made = world.apply(None, bind.clone()).await;
    let volume = mounting(json!({"path": "/m", "volume": "local-lvm", "size": "1G"}));
    let made = world.apply(Some(&made), volume).await;
    assert!(mount_point(&world).await.starts_with("local-lvm:vm-630-disk-1,"));
    world.apply(Some(&made), bind).await;
    assert!(mount_point(&world).await.starts_with("/mnt/bind/x,"));
}

// The reference: `server` counts only without `servers`.
#[tokio::test]
async fn name_servers_in_the_older_and_the_newer_word_settle() {
    let (world, _server) = world(CONTAINER).await;
    let dns = |dns: Json| {
        let mut config = (kind().base)();
        config["vm_id"] = json!(640);
        config["initialization"] = json!([{"hostname": "a", "dns": [dns]}]);
        config
    };
    let steps = [
        (json!({"server": "192.0.2.9"}), "192.0.2.9"),
        (json!({"server": "192.0.2.9", "servers": ["192.0.2.1", "192.0.2.2"]}), "192.0.2.1 192.0.2.2"),
        (json!({"server": "192.0.2.8", "servers": ["192.0.2.2"]}), "192.0.2.2"),
        (json!({"servers": ["192.0.2.2"]}), "192.0.2.2"),
    ];
    let mut made: Option<Value> = None;
    for (config, kept) in steps {
        let config = dns(config);
        let now = super::turns::step(&world, made.as_ref(), &config).await.unwrap();
        let told = world.api.send(Method::Get, "/nodes/pve/lxc/640/config", &[]).await.unwrap();
        assert_eq!(told["nameserver"], kept, "{config}");
        made = Some(now);
    }
}
