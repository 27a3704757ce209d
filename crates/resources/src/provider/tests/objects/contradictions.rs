//! What no cluster takes is told of the configuration alone, at the attribute that is to be changed.

use serde_json::{Value as Json, json};

use super::world;

/// The attributes of which a configuration is refused, by a kind's rules.
fn faults(kind: &'static str, config: &Json) -> Vec<String> {
    let (world, _) = world(kind);
    let config = world.config(config.clone());
    let rules = world.rules();
    let mut problems = rules.validate(&config);
    let proposed = crate::provider::tests::propose(&rules.schema().block, None, &config);
    let request = pve_model::rules::PlanRequest { prior: None, config: &config, proposed: &proposed };
    problems.extend(rules.plan(request).problems);
    problems.retain(|problem| !problem.warning);
    problems.into_iter().map(|problem| problem.path.to_string()).collect()
}

/// A configuration that is taken, with one part of it that is not, and the attribute that is told.
type Case = (&'static str, Json, Vec<(&'static str, Json, &'static str)>);

fn refused(cases: &[Case]) {
    for (kind, good, bad) in cases {
        assert_eq!(faults(kind, good), [""; 0], "{kind}: {good}");
        for (name, value, told) in bad {
            let mut config = good.clone();
            config[*name] = value.clone();
            assert!(faults(kind, &config).iter().any(|path| path == told), "{kind}: {config} at {told}");
        }
    }
}

#[test]
fn names_that_no_cluster_takes() {
    refused(&[
        (
            "proxmox_virtual_environment_role",
            json!({"role_id": "Apve", "privileges": ["VM.Audit"]}),
            vec![("role_id", json!("PVEAdmin2"), "role_id"), ("role_id", json!("pvex"), "role_id")],
        ),
        (
            "proxmox_virtual_environment_pool",
            json!({"pool_id": "a/b1"}),
            vec![("pool_id", json!("1p"), "pool_id"), ("pool_id", json!("a/1"), "pool_id")],
        ),
        (
            "proxmox_acl",
            json!({"path": "/vms/100", "role_id": "PVEAuditor", "user_id": "root@pam"}),
            vec![("path", json!("/vms/99"), "path"), ("path", json!("/foo"), "path")],
        ),
        (
            "proxmox_network_linux_vlan",
            json!({"node_name": "pve", "name": "vlan71", "interface": "eno1"}),
            vec![("interface", Json::Null, "name"), ("name", json!("vmbr0.5000"), "name")],
        ),
    ]);
}

#[test]
fn parts_that_contradict_each_other() {
    refused(&[
        (
            "proxmox_backup_job",
            json!({"id": "j", "schedule": "02:30", "storage": "local", "all": true}),
            vec![
                ("vmid", json!(["100"]), "vmid"),
                ("all", json!(false), "id"),
                ("all", Json::Null, "id"),
                ("starttime", json!("02:30"), "starttime"),
            ],
        ),
        (
            "proxmox_backup_job",
            json!({"id": "j", "schedule": "02:30", "storage": "local", "all": false, "pool": "crew"}),
            vec![("vmid", json!(["100"]), "vmid")],
        ),
        (
            "proxmox_cluster_options",
            json!({"next_id": {"lower": 200, "upper": 200}}),
            vec![("next_id", json!({"lower": 200, "upper": 199}), "next_id")],
        ),
        (
            "proxmox_metrics_server",
            json!({"name": "ab", "server": "s", "port": 1, "type": "graphite", "graphite_path": "p"}),
            vec![
                ("influx_bucket", json!("b"), "influx_bucket"),
                ("type", json!("influxdb"), "graphite_path"),
            ],
        ),
        (
            "proxmox_harule",
            json!({"rule": "rr", "type": "node-affinity", "resources": ["vm:100"], "nodes": {"pve": 1}}),
            vec![
                ("nodes", Json::Null, "type"),
                ("nodes", json!({}), "type"),
                ("affinity", json!("positive"), "affinity"),
            ],
        ),
        (
            "proxmox_harule",
            json!({"rule": "rr", "type": "resource-affinity", "resources": ["vm:100", "vm:101"],
                   "affinity": "positive"}),
            vec![("affinity", Json::Null, "type"), ("resources", json!(["vm:100"]), "resources")],
        ),
        (
            "proxmox_network_linux_bond",
            json!({"node_name": "pve", "name": "bond0", "slaves": ["eno1", "eno2"], "bond_primary": "eno2"}),
            vec![("bond_primary", json!("eno3"), "bond_primary")],
        ),
        (
            "proxmox_virtual_environment_dns",
            json!({"node_name": "pve", "domain": "lan", "servers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]}),
            vec![("servers", json!(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]), "servers")],
        ),
    ]);
}

#[test]
fn networks_that_do_not_fit() {
    refused(&[
        (
            "proxmox_sdn_subnet",
            json!({"vnet": "lab", "cidr": "192.0.2.0/24", "gateway": "192.0.2.1"}),
            vec![
                ("gateway", json!("192.0.3.1"), "gateway"),
                ("gateway", json!("2001:db8::1"), "gateway"),
                ("cidr", json!("2001:db8::/64"), "gateway"),
            ],
        ),
        (
            "proxmox_sdn_subnet",
            json!({"vnet": "lab", "cidr": "192.0.2.5/32", "gateway": "192.0.2.1"}),
            vec![],
        ),
        (
            "proxmox_sdn_zone_vxlan",
            json!({"id": "vx", "peers": ["192.0.2.1"], "dns": "d", "dns_zone": "lan"}),
            vec![("peers", json!([]), "peers"), ("dns", Json::Null, "dns_zone")],
        ),
        (
            "proxmox_sdn_controller_evpn",
            json!({"id": "evpn1", "asn": 65000, "peers": ["192.0.2.1"]}),
            vec![
                ("peers", json!([]), "peers"),
                ("peers", Json::Null, "fabric"),
                ("fabric", json!("f"), "fabric"),
            ],
        ),
    ]);
}

#[test]
fn content_that_is_not_for_a_type_of_storage_and_empty_maps() {
    let key = json!("{\"kdf\": null, \"data\": \"x\"}");
    refused(&[
        (
            "proxmox_storage_zfspool",
            json!({"id": "s", "zfs_pool": "tank", "content": ["images", "rootdir"]}),
            vec![
                ("content", json!(["iso"]), "content[0]"),
                ("content", json!(["images", "iso"]), "content[1]"),
            ],
        ),
        (
            "proxmox_storage_pbs",
            json!({"id": "s", "server": "s", "datastore": "d", "username": "u", "password": "p",
                   "content": ["backup"], "encryption_key": key}),
            vec![
                ("content", json!(["images"]), "content[0]"),
                ("encryption_key", json!("{}"), "encryption_key"),
            ],
        ),
        (
            "proxmox_hardware_mapping_usb",
            json!({"name": "u1", "map": [{"node": "pve", "id": "10c4:ea60"}]}),
            vec![("map", json!([]), "map")],
        ),
    ]);
}

/// The reference refuses these too (`validators` in its schema).
#[test]
fn values_that_have_no_meaning() {
    let texts = |name, texts: &[&str]| -> Vec<(&'static str, Json, &'static str)> {
        texts.iter().map(|text| (name, json!(text), name)).collect()
    };
    let mut rule = texts("comment", &["", " a"]);
    rule.extend([
        ("resources", json!([]), "resources"),
        ("resources", json!([""]), "resources[0]"),
        ("resources", json!(["vm:100", "scsi0"]), "resources[0]"),
        ("resources", json!(["vm:99"]), "resources[0]"),
    ]);
    let mut vnet = texts("alias", &["", "a:b", "a,b", "\u{fc}"]);
    vnet.extend(texts("zone", &["", "a b", "1", "toolongid"]));
    refused(&[
        (
            "proxmox_harule",
            json!({"rule": "rr", "type": "node-affinity", "resources": ["vm:100", "ct:101"], "nodes": {"pve": 1},
                   "comment": "a b"}),
            rule,
        ),
        ("proxmox_haresource", json!({"resource_id": "vm:100"}), texts("comment", &[""])),
        (
            "proxmox_hagroup",
            json!({"group": "fast", "nodes": {"pve": 1}}),
            vec![("nodes", json!({}), "nodes"), ("comment", json!(""), "comment")],
        ),
        ("proxmox_sdn_vnet", json!({"id": "lab", "zone": "zone1", "alias": "The (old) lab_1.0-x"}), vnet),
        (
            "proxmox_sdn_subnet",
            json!({"vnet": "lab", "cidr": "192.0.2.0/24"}),
            texts("vnet", &["", "a-b", "1"]),
        ),
        ("proxmox_sdn_zone_simple", json!({"id": "zone1"}), vec![("nodes", json!([""]), "nodes")]),
        (
            "proxmox_sdn_zone_vxlan",
            json!({"id": "zone1", "peers": ["192.0.2.1"]}),
            vec![("peers", json!(["192.0.2.1", ""]), "peers")],
        ),
        (
            "proxmox_network_linux_bond",
            json!({"node_name": "pve", "name": "bond0", "slaves": ["eno1"]}),
            texts("name", &["", "a b", "1", "-x", "a/b", "bond0-1"]),
        ),
        (
            "proxmox_network_linux_bridge",
            json!({"node_name": "pve", "name": "vm_br"}),
            texts("name", &["1", "a.b"]),
        ),
        (
            "proxmox_network_linux_vlan",
            json!({"node_name": "pve", "name": "eno1.30"}),
            texts("name", &["A", "-x"]),
        ),
        (
            "proxmox_acme_account",
            json!({"contact": "a@b.test", "directory": "https://a.test/dir"}),
            texts("directory", &["", "a.test", "/abs", "ftp://a.test"]),
        ),
        (
            "proxmox_hardware_mapping_usb",
            json!({"name": "u1", "comment": "c", "map": [{"node": "pve", "id": "10c4:ea60"}]}),
            vec![
                ("comment", json!(""), "comment"),
                ("map", json!([{"node": "pve", "id": "10c4:ea60", "comment": ""}]), "map[0].comment"),
            ],
        ),
    ]);
}

#[test]
fn parts_that_are_of_no_use_alone() {
    refused(&[
        (
            "proxmox_realm_ldap",
            json!({"realm": "corp", "server1": "s", "base_dn": "dc=x", "bind_dn": "cn=a", "bind_password": "p",
                   "cert_path": "/c", "cert_key_path": "/k"}),
            vec![
                ("bind_dn", Json::Null, "bind_password"),
                ("cert_path", Json::Null, "cert_key_path"),
                ("cert_key_path", Json::Null, "cert_path"),
            ],
        ),
        (
            "proxmox_realm_openid",
            json!({"realm": "sso", "issuer_url": "https://l.test", "client_id": "pve", "client_key_wo": "k",
                   "client_key_wo_version": 1}),
            vec![("client_key_wo", Json::Null, "client_key_wo_version")],
        ),
    ]);
}
