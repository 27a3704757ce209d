//! Pools on the disks of nodes: ZFS and Ceph.

use async_trait::async_trait;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use crate::cluster::Method;
use crate::definition::{flag, number, object, text, texts};
use crate::limits;
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::operations::Proof;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![zfs(), ceph()]
}

/// `proxmox_node_disk_zfs`
fn zfs() -> Object {
    Object {
        names: &["proxmox_node_disk_zfs"],
        what: "ZFS pool of node",
        about: "A ZFS pool on disks of a node. The API does not tell what it was made with: that is null after an import \
                and not compared then. Destroying it destroys the data on it.",
        fields: vec![
            ("add_storage", flag().replaces().unread()),
            ("ashift", number().replaces().range(9, 16).unread()),
            ("cleanup_config", flag().computed().or(false).local()),
            ("cleanup_disks", flag().computed().or(false).local()),
            (
                "compression",
                text().replaces().one_of(&["on", "off", "gzip", "lz4", "lzjb", "zle", "zstd"]).unread(),
            ),
            ("devices", texts().required().replaces().unread()),
            (
                "draid_config",
                object(vec![
                    ("data", number().required().range(1, i64::MAX)),
                    ("spares", number().required().range(0, i64::MAX)),
                ])
                .replaces()
                .param("draid-config")
                .unread(),
            ),
            ("errors", text().read_only()),
            ("id", text().read_only()),
            ("name", text().required().replaces().checked(limits::not_empty)),
            ("node_name", text().required().replaces().unsent()),
            (
                "raidlevel",
                text()
                    .required()
                    .replaces()
                    .one_of(&[
                        "single", "mirror", "raid10", "raidz", "raidz2", "raidz3", "draid", "draid2",
                        "draid3",
                    ])
                    .unread(),
            ),
            ("state", text().read_only()),
        ],
        create: (Method::Post, "/nodes/{node_name}/disks/zfs"),
        read: Read::At("/nodes/{node_name}/disks/zfs/{name}"),
        update: (Method::Put, ""),
        delete: Delete::At(
            "/nodes/{node_name}/disks/zfs/{name}?cleanup-config={cleanup_config}&cleanup-disks={cleanup_disks}",
        ),
        id: "{node_name}/{name}",
        import: "{node_name}/{name}",
        proof: Proof::Steps,
        example: r#"
  node_name = "pve"
  name      = "tank"
  raidlevel = "mirror"
  devices   = ["/dev/sdb", "/dev/sdc"]
"#,
        ..Object::default()
    }
}

/// `proxmox_ceph_pool`
fn ceph() -> Object {
    Object {
        names: &["proxmox_ceph_pool"],
        what: "Ceph pool",
        about: "A pool of Ceph. Destroying it destroys the data on it.",
        fields: vec![
            ("add_storages", flag().replaces().only_made().unread()),
            ("application", text().computed().one_of(&["rbd", "cephfs", "rgw"])),
            ("crush_rule", text().computed()),
            ("erasure_coding", text().replaces().param("erasure-coding").only_made().unread()),
            ("force_destroy", flag().computed().or(false).local()),
            ("id", text().read_only()),
            ("min_size", number().computed().range(1, 7)),
            ("name", text().required().replaces().only_made()),
            ("node_name", text().required().replaces().unsent()),
            ("pg_autoscale_mode", text().computed().one_of(&["on", "off", "warn"])),
            ("pg_num", number().computed().range(1, 32768)),
            ("pg_num_min", number().computed()),
            ("remove_ecprofile", flag().computed().or(true).local()),
            ("remove_storages", flag().computed().or(false).local()),
            ("size", number().computed().range(1, 7)),
            ("target_size", text().unread()),
            ("target_size_ratio", number().unread()),
        ],
        create: (Method::Post, "/nodes/{node_name}/ceph/pool"),
        read: Read::At("/nodes/{node_name}/ceph/pool/{name}/status?verbose=1"),
        update: (Method::Put, "/nodes/{node_name}/ceph/pool/{name}"),
        delete: Delete::At(
            "/nodes/{node_name}/ceph/pool/{name}?force={force_destroy}&remove_ecprofile={remove_ecprofile}\
             &remove_storages={remove_storages}",
        ),
        removal: Removal::Never,
        id: "{node_name}/{name}",
        import: "{node_name}/{name}",
        proof: Proof::Steps,
        example: r#"
  node_name = "pve"
  name      = "vms"
  size      = 3
  min_size  = 2
"#,
        hooks: &Ceph,
        ..Object::default()
    }
}

struct Ceph;

#[async_trait]
impl Hooks for Ceph {
    fn read(&self, _: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let first = answer.get("application_list").and_then(|list| list.get(0));
        if let Some(application) = first.or(answer.get("application")) {
            read.insert("application".into(), application.clone());
        } else {
            read.remove("application");
        }
    }
}
