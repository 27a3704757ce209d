//! Values of attributes whose limits do not give any, and what the API answers beyond what it was told.

use std::collections::BTreeMap;

use pve_model::Type;
use serde_json::{Map, Value as Json, json};

use super::values::{VALUES, fits};
use crate::cluster::Method;
use crate::definition::Check;
use crate::object::Field;
use crate::registry::Kind;

/// Two values of an attribute by its path, neither of them the default where there is a choice.
pub(super) fn of(kind: &str, rules: &Kind, path: &str, field: &Field) -> (Json, Json) {
    if let Some(pair) = special(kind, path) {
        return pair;
    }
    let default = field.default.as_ref().map(pve_model::codec::to_plain_json);
    if !field.inner.is_empty() {
        let inside = |second: bool| {
            let parts = field.inner.iter().filter(|inner| !inner.fixed).map(|inner| {
                let (first, other) = of(kind, rules, &format!("{path}.{}", inner.name), inner);
                (inner.name.to_string(), if second { other } else { first })
            });
            let object = Json::Object(parts.collect());
            if matches!(field.ty, Type::List(_) | Type::Set(_)) { json!([object]) } else { object }
        };
        return (inside(false), inside(true));
    }
    match (&field.ty, rules.check_at(path)) {
        (Type::Bool, _) => {
            let default = default == Some(json!(true));
            (json!(!default), json!(default))
        }
        (Type::List(_) | Type::Set(_), Some(Check::OneOf(accepted))) => {
            (json!([accepted[0]]), json!([accepted[1]]))
        }
        (_, Some(Check::OneOf(accepted))) => {
            let mut other = accepted.iter().filter(|one| !one.is_empty() && default != Some(json!(one)));
            let first = other.next().or(accepted.first()).unwrap();
            (
                json!(first),
                json!(other.next().unwrap_or(accepted.iter().find(|one| *one != first).unwrap_or(first))),
            )
        }
        (Type::Number, Some(Check::Range(least, _))) => (json!(least.max(0) + 2), json!(least.max(0) + 3)),
        (Type::Number, _) => (json!(3), json!(5)),
        (Type::String, _) => (json!("alpha"), json!("beta")),
        (Type::Map(element), _) if **element == Type::Number => {
            (json!({"one": 1}), json!({"one": 2, "two": null}))
        }
        (Type::Map(_), _) => (json!({"one": "1"}), json!({"one": "2", "two": "3"})),
        (Type::List(_) | Type::Set(_), _) => (json!(["alpha"]), json!(["beta", "gamma"])),
        (ty, _) => panic!("{path} of {ty:?} needs samples of its own"),
    }
}

/// Values of the table; the last line that fits counts.
fn special(kind: &str, path: &str) -> Option<(Json, Json)> {
    let (_, _, first, second) =
        VALUES.iter().rfind(|(pattern, at, ..)| *at == path && fits(pattern, kind))?;
    let parse =
        |text: &str| serde_json::from_str(text).unwrap_or_else(|error| panic!("{path}: {text}: {error}"));
    Some((parse(first), parse(second)))
}

/// Requests that make what the samples of a kind name.
pub(super) fn prepared(kind: &str) -> &'static [(Method, &'static str, &'static str)] {
    const GROUPS: (Method, &str, &str) = (Method::Post, "/access/groups", "groupid=alpha");
    const MORE: (Method, &str, &str) = (Method::Post, "/access/groups", "groupid=beta");
    const MOST: (Method, &str, &str) = (Method::Post, "/access/groups", "groupid=gamma");
    match kind {
        "proxmox_virtual_environment_user" | "proxmox_acl" => &[GROUPS, MORE, MOST],
        "proxmox_user_token" => &[(Method::Post, "/access/users", "userid=alpha@pve")],
        "proxmox_realm_sync" => &[(
            Method::Post,
            "/access/domains",
            "realm=alpha&type=ldap&server1=a.example.test&base_dn=dc=a&user_attr=uid",
        )],
        "proxmox_pool_membership" => &[
            (Method::Post, "/pools", "poolid=alpha"),
            (Method::Post, "/pools", "poolid=beta"),
            (Method::Post, "/nodes/pve/qemu", "vmid=500"),
        ],
        "proxmox_network_linux_bridge" | "proxmox_network_linux_bond" => &[
            (Method::Post, "/nodes/pve/network", "iface=eno7&type=eth"),
            (Method::Post, "/nodes/pve/network", "iface=eno8&type=eth"),
            (Method::Post, "/nodes/pve/network", "iface=eno9&type=eth"),
        ],
        "proxmox_cloned_vm" => &[
            (
                Method::Post,
                "/nodes/pve/qemu",
                "vmid=900&name=t&scsi0=local-lvm:4&net0=virtio,bridge=vmbr0&net1=virtio,bridge=vmbr0&memory=512",
            ),
            (Method::Post, "/nodes/pve/qemu", "vmid=901"),
        ],
        "proxmox_haresource" => &[
            (Method::Post, "/nodes/pve/qemu", "vmid=100"),
            (Method::Post, "/nodes/pve/lxc", "vmid=101&ostemplate=local:vztmpl/t.tar.zst&rootfs=local-lvm:1"),
        ],
        "proxmox_harule" => &[
            (Method::Post, "/nodes/pve/qemu", "vmid=100"),
            (Method::Post, "/nodes/pve/qemu", "vmid=101"),
            (Method::Post, "/cluster/ha/resources", "sid=vm:100"),
            (Method::Post, "/cluster/ha/resources", "sid=vm:101"),
        ],
        "proxmox_storage_zfspool" => {
            &[(Method::Post, "/nodes/pve/disks/zfs", "name=alpha&raidlevel=single&devices=/dev/sdb")]
        }
        "proxmox_replication" => &[
            (Method::Post, "/nodes/pve/disks/zfs", "name=tank&raidlevel=single&devices=/dev/sdb"),
            (Method::Post, "/storage", "storage=tank&type=zfspool&pool=tank&content=images"),
            (Method::Post, "/nodes/pve/qemu", "vmid=100&scsi0=tank:1"),
        ],
        "proxmox_sdn_vnet" => &[
            (Method::Post, "/cluster/sdn/zones", "zone=alpha&type=vlan&bridge=vmbr0"),
            (Method::Post, "/cluster/sdn/zones", "zone=beta&type=vlan&bridge=vmbr0"),
        ],
        "proxmox_sdn_subnet" => &[
            (Method::Post, "/cluster/sdn/zones", "zone=zone1&type=simple&ipam=pve"),
            (Method::Post, "/cluster/sdn/vnets", "vnet=alpha&zone=zone1"),
        ],
        "proxmox_sdn_zone_evpn" => &[(
            Method::Post,
            "/cluster/sdn/controllers",
            "controller=alpha&type=evpn&asn=65000&peers=192.0.2.1",
        )],
        "proxmox_sdn_fabric_node_openfabric" => &[(
            Method::Post,
            "/cluster/sdn/fabrics/fabric",
            "id=alpha&protocol=openfabric&ip_prefix=192.0.2.0/24&ip6_prefix=2001:db8::/64",
        )],
        "proxmox_sdn_fabric_node_ospf" => &[(
            Method::Post,
            "/cluster/sdn/fabrics/fabric",
            "id=alpha&protocol=ospf&area=0&ip_prefix=192.0.2.0/24",
        )],
        _ => &[],
    }
}

/// Attributes that the API needs although the schema does not.
pub(super) fn needed(kind: &str, path: &str) -> bool {
    const NEEDED: &[(&str, &str)] = &[
        ("proxmox_realm_sync", "scope"),
        ("proxmox_backup_job", "vmid"),
        ("proxmox_harule", "nodes"),
        ("proxmox_sdn_vnet", "tag"),
        ("proxmox_sdn_controller_evpn", "peers"),
        ("proxmox_realm_ldap", "cert_path"),
        ("proxmox_realm_ldap", "cert_key_path"),
    ];
    NEEDED.contains(&(kind, path))
}

/// Attributes that the API of version 9.1 does not take, or not together with the others.
pub(super) fn refused(kind: &str, path: &str) -> bool {
    match kind {
        "proxmox_realm_openid" => path == "audiences",
        "proxmox_vm" => path == "template",
        "proxmox_metrics_server" => path.starts_with("graphite") || path.starts_with("opentelemetry"),
        "proxmox_node_disk_zfs" => path == "draid_config",
        // The node has a gateway already.
        kind if kind.starts_with("proxmox_network") => path == "gateway",
        "proxmox_haresource" => path == "group",
        "proxmox_harule" => path == "affinity",
        "proxmox_sdn_controller_evpn" => path == "fabric",
        // A DNS server would have to answer.
        kind if kind.starts_with("proxmox_sdn_zone") => ["dns", "dns_zone", "reverse_dns"].contains(&path),
        "proxmox_backup_job" => ["all", "maxfiles", "pool", "starttime"].contains(&path),
        _ => false,
    }
}

/// Whether an attribute is a secret, by its name.
pub(super) fn is_secret(name: &str) -> bool {
    ["password", "key", "token", "headers", "kid"].iter().any(|part| name.contains(part))
        && name != "token_id"
}

/// Attributes that another one does not go with: they are left out in its turn.
pub(super) fn apart(kind: &str, path: &str) -> &'static [&'static str] {
    match (kind, path) {
        ("proxmox_network_linux_bridge", "vlan_aware") => &["vids"],
        ("proxmox_realm_ldap", "bind_dn") => &["bind_password"],
        _ => &[],
    }
}

/// Attributes that exclude others: they are not part of the full configuration.
pub(super) fn excluded(kind: &str, path: &str) -> bool {
    let of_kind = match kind {
        "proxmox_acl" => matches!(path, "token_id" | "user_id"),
        "proxmox_pool_membership" => path == "storage_id",
        "proxmox_haresource" => path == "type",
        "proxmox_acme_dns_plugin" => path == "digest",
        "proxmox_storage_pbs" => path == "generate_encryption_key",
        _ => false,
    };
    of_kind || path == "acl" || path.contains("_wo")
}

/// Attributes that the API decides as it makes an object.
pub(super) fn identify(kind: &str, named: &mut BTreeMap<String, String>) {
    if let ("proxmox_sdn_subnet", Some(cidr)) = (kind, named.get("cidr").cloned()) {
        named.insert("id".into(), format!("zone1-{}", cidr.replace('/', "-")));
    }
}

/// Whether an object stays when it is destroyed.
pub(super) fn is_always_there(kind: &str) -> bool {
    let objects = crate::families::objects();
    let object = objects.iter().find(|object| object.names[0] == kind).unwrap();
    matches!(object.delete, crate::object::Delete::Reset | crate::object::Delete::Stays)
}

/// Whether something is set beside the object that is read with it.
pub(super) fn is_beside(kind: &str, path: &str) -> bool {
    kind == "proxmox_acme_certificate" && path.ends_with("/config")
}

/// What the API answers about one object.
pub(super) fn answer(kind: &str, mut object: Map<String, Json>) -> Json {
    match kind {
        "proxmox_virtual_environment_role" => {
            let privileges = object.get("privs").and_then(Json::as_str).unwrap_or_default();
            privileges
                .split(',')
                .map(|privilege| (privilege.to_string(), json!(1)))
                .collect::<Map<_, _>>()
                .into()
        }
        "proxmox_acl" => {
            let kinds = [("groups", "group"), ("tokens", "token"), ("users", "user")];
            for (param, kind) in kinds {
                if let Some(name) = object.remove(param) {
                    object.insert("type".into(), json!(kind));
                    object.insert("ugid".into(), name);
                }
            }
            object.into()
        }
        "proxmox_pool_membership" => {
            let number = |text: &Json| text.as_str().and_then(|text| text.parse::<i64>().ok());
            let member =
                json!({"vmid": object.get("vms").map(|text| number(text).map_or(text.clone(), Json::from))});
            json!({"poolid": "alpha", "members": [member]})
        }
        "proxmox_haresource" => {
            let kind = object["sid"].as_str().and_then(|sid| sid.split(':').next()).map(String::from);
            object.insert("type".into(), json!(kind));
            object.into()
        }
        "proxmox_replication" => {
            object.extend([("guest".to_string(), json!(100)), ("jobnum".into(), json!(0))]);
            object.insert("source".into(), json!("pve"));
            object.into()
        }
        "proxmox_sdn_subnet" => {
            let cidr = object["subnet"].as_str().unwrap_or_default().replace('/', "-");
            object.insert("subnet".into(), json!(format!("zone1-{cidr}")));
            object.into()
        }
        "proxmox_acme_account" => {
            let contact = format!("mailto:{}", object["contact"].as_str().unwrap());
            object
                .insert("account".into(), json!({"contact": [contact], "createdAt": "2026-01-01T00:00:00Z"}));
            object.into()
        }
        "proxmox_acme_dns_plugin" => {
            let data = object.get("data").and_then(Json::as_str).and_then(crate::base64::decode);
            object.insert("data".into(), json!(data));
            object.into()
        }
        "proxmox_virtual_environment_certificate" => {
            object.insert("filename".into(), json!("pveproxy-ssl.pem"));
            object.insert("pem".into(), object["certificates"].clone());
            object.into()
        }
        "proxmox_apt_repository" => {
            let index = object["index"].as_i64().unwrap();
            let repository = json!({"Enabled": object["enabled"], "Components": ["main"], "Comment": "a\n"});
            let repositories = vec![repository; usize::try_from(index).unwrap() + 1];
            json!({"files": [{"path": object["path"], "repositories": repositories}]})
        }
        "proxmox_apt_standard_repository" => {
            json!({"standard-repos": [{"handle": object["handle"], "name": "n", "status": 1}]})
        }
        "proxmox_virtual_environment_time" => {
            object.extend([
                ("time".to_string(), json!(1_800_000_000)),
                ("localtime".into(), json!(1_800_003_600)),
            ]);
            object.into()
        }
        _ => object.into(),
    }
}

/// What the API answers when an object was made.
pub(super) fn made(kind: &str, named: &BTreeMap<String, String>) -> Json {
    match kind {
        "proxmox_user_token" => json!({
            "full-tokenid": format!("{}!{}", named["user_id"], named["token_name"]),
            "value": "00000000-0000-4000-8000-000000000000",
        }),
        _ => Json::Null,
    }
}

/// Answers of places that are not the kind's own.
pub(super) fn elsewhere(kind: &str, method: Method, path: &str) -> Option<Json> {
    match (method, path) {
        (Method::Put, "/access/password") => Some(Json::Null),
        (Method::Get, "/access/permissions") => Some(json!({"/access": {"Sys.Audit": 1}})),
        (Method::Get, "/access/users/root@pam/token/test") if kind != "proxmox_user_token" => {
            Some(json!({"privsep": 0}))
        }
        (Method::Put, "/cluster/sdn") => {
            Some(json!("UPID:pve:00000001:00000002:00000003:reloadnetworkall::root@pam:"))
        }
        (Method::Get, path) if path.ends_with("/certificates/info") && kind == "proxmox_acme_certificate" => {
            Some(
                json!([{"filename": "pveproxy-ssl.pem", "san": ["c.example.test"], "notafter": 2_000_000_000}]),
            )
        }
        (Method::Get, path) if path.ends_with("/config") && kind == "proxmox_acme_certificate" => None,
        (Method::Put, "/nodes/pve/network") => {
            Some(json!("UPID:pve:00000001:00000002:00000003:srvreload:networking:root@pam:"))
        }
        (Method::Get | Method::Delete, "/nodes/pve/network") => Some(Json::Null),
        // Whether a job that was deleted is still being removed.
        (Method::Get, "/cluster/replication") => Some(json!([])),
        (Method::Get, "/access/acl") if kind != "proxmox_acl" => Some(json!([])),
        _ => None,
    }
}
