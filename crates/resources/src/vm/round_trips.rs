//! What is sent reads back as what was meant.

use proptest::prelude::*;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use super::decode::decode_vm;
use super::encode::encode_options;
use crate::definition::Definition;
use crate::guest::Extent;
use crate::observed::{Observed, defaults, overlay};
use crate::values::{block as block_of, changed, texts};

fn optional<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(value)
}

prop_compose! {
    fn scalars()(
        name in optional("[a-z][a-z0-9]{0,8}"),
        description in optional("[ -~]{1,20}[a-z]"),
        tags in prop::collection::btree_set("[a-z]{1,5}", 0..4),
        machine in optional(prop_oneof![Just("q35"), Just("pc")]),
        acpi in any::<bool>(), on_boot in any::<bool>(), protection in any::<bool>(), tablet in any::<bool>(),
        bios in prop_oneof![Just("seabios"), Just("ovmf")],
    ) -> Json {
        let tags = if tags.is_empty() { Json::Null } else { json!(tags) };
        json!({
            "name": name, "description": description, "tags": tags, "machine": machine, "acpi": acpi,
            "on_boot": on_boot, "protection": protection, "tablet_device": tablet, "bios": bios,
        })
    }
}

prop_compose! {
    fn cpu()(
        cores in 1..64, sockets in 1..4, limit in optional(0.5f64..8.0), units in optional(2..1000),
        numa in any::<bool>(), flags in prop::collection::vec(prop_oneof![Just("+aes"), Just("-pcid")], 0..3),
    ) -> Json {
        let flags = if flags.is_empty() { Json::Null } else { json!(flags) };
        json!({
            "cores": cores, "sockets": sockets, "limit": (limit.unwrap_or(0.0) * 10.0).round() / 10.0,
            "units": units, "numa": numa, "type": "host", "flags": flags, "hotplugged": 0,
        })
    }
}

prop_compose! {
    fn network()(
        bridge in "vmbr[0-9]", firewall in any::<bool>(), mtu in prop_oneof![Just(0), 576..9000], vlan in 0..4094,
        queues in 0..8, mac in "BC:24:11:[0-9A-F]{2}:[0-9A-F]{2}:[0-9A-F]{2}",
        model in prop_oneof![Just("virtio"), Just("e1000")], trunks in optional(Just("10;20")),
    ) -> Json {
        json!({
            "bridge": bridge, "firewall": firewall, "mtu": mtu, "vlan_id": vlan, "queues": queues,
            "mac_address": mac, "model": model, "rate_limit": 0, "trunks": trunks, "enabled": true,
        })
    }
}

prop_compose! {
    fn initialization()(
        address in optional(prop_oneof![Just("dhcp"), Just("192.0.2.7/24")]), six in optional(Just("auto")),
        user in optional("[a-z]{1,6}"), keys in prop::collection::vec("ssh-ed25519 [A-Z+/]{8} [a-z]@[a-z]", 0..3),
        vendor in optional(Just("local:snippets/v.yaml")), domain in optional(Just("example.test")),
        upgrade in any::<bool>(),
    ) -> Json {
        let family = |address: Option<&str>| match address {
            Some(address) => json!([{ "address": address }]),
            None => json!([]),
        };
        let keys = if keys.is_empty() { Json::Null } else { json!(keys) };
        json!({
            "datastore_id": "local-lvm", "file_format": "raw",
            "ip_config": [{ "ipv4": family(address), "ipv6": family(six) }],
            "dns": [{ "domain": domain }],
            "user_account": [{ "username": user, "keys": keys }],
            "vendor_data_file_id": vendor, "upgrade": upgrade,
        })
    }
}

/// The configuration as the API would show it.
fn observe(value: &Value) -> Observed {
    let options = encode_options(value, true).0.into_iter();
    let mut config: Map<String, Json> = options.map(|(name, text)| (name, json!(text))).collect();
    config.insert("ide2".into(), json!("local-lvm:vm-1-cloudinit,media=cdrom"));
    Observed { node: "pve".into(), vmid: 1, running: Some(true), pool: None, config, in_force: None }
}

proptest! {
    #[test]
    fn options_read_back_as_they_were_meant(
        scalars in scalars(), cpu in cpu(), network in prop::collection::vec(network(), 0..4), init in initialization(),
    ) {
        let block = Definition::new(super::fields()).schema.block;
        let Json::Object(mut json) = scalars else { unreachable!() };
        json.insert("cpu".into(), json!([cpu]));
        json.insert("memory".into(), json!([{ "dedicated": 2048, "floating": 0 }]));
        json.insert("network_device".into(), json!(network));
        json.insert("initialization".into(), json!([init]));
        let wanted = overlay(&block, &defaults(&block), json);
        let read = decode_vm(&block, &observe(&wanted), &wanted, Extent::Guided);
        // What only the cluster knows is not part of the comparison.
        let theirs = ["id", "vm_id", "node_name", "started", "boot_order", "hotplug", "mac_addresses",
                      "ipv4_addresses", "ipv6_addresses", "network_interface_names"];
        let names: Vec<String> =
            changed(&wanted, &read).into_iter().filter(|name| !theirs.contains(&name.as_str())).collect();
        prop_assert!(names.is_empty(), "{:?}", names.iter().map(|n| (wanted.get(n), read.get(n))).collect::<Vec<_>>());
        // Reading once more with what was read changes nothing at all.
        let again = decode_vm(&block, &observe(&wanted), &read, Extent::Guided);
        prop_assert!(changed(&read, &again).is_empty());
    }
}

// A file of keys ends with an empty line, and two lists of keys may have one in common.
#[test]
fn keys_are_as_they_are_written_whatever_empty_lines_and_repetitions_they_have() {
    let block = Definition::new(super::fields()).schema.block;
    let keys_of = |value: &Value| {
        let account = block_of(value, "initialization").and_then(|init| block_of(init, "user_account"));
        texts(account.unwrap(), "keys")
    };
    let with_keys = |keys: Json| {
        let json = json!({"initialization": [{"user_account": [{ "keys": keys }]}]});
        let Json::Object(json) = json else { unreachable!() };
        overlay(&block, &defaults(&block), json)
    };
    for keys in
        [json!(["ssh-rsa A a", "ssh-rsa B b", "ssh-rsa A a", ""]), json!(["ssh-rsa A a\nssh-rsa B b\n"])]
    {
        let wanted = with_keys(keys);
        let observed = observe(&wanted);
        assert_eq!(observed.text("sshkeys").as_deref(), Some("ssh-rsa%20A%20a%0Assh-rsa%20B%20b"));
        let read = decode_vm(&block, &observed, &wanted, Extent::Guided);
        assert_eq!(keys_of(&read), keys_of(&wanted));
        let others = with_keys(json!(["ssh-rsa A a"]));
        let read = decode_vm(&block, &observed, &others, Extent::Guided);
        assert_eq!(keys_of(&read), ["ssh-rsa A a", "ssh-rsa B b"]);
    }
}
