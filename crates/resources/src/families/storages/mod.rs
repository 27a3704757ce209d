//! Storages of the cluster. One that is destroyed is forgotten by Proxmox VE; what is on it stays.

mod backups;
mod pbs;

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json};

use crate::definition::{Fields, Item, flag, problem, text, text_set};
use crate::limits;
use crate::object::{Hooks, Object};
use crate::params::Params;

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![directory(), lvm(), lvmthin(), zfspool(), nfs(), cifs(), pbs::pbs()]
}

/// What a storage of folders may hold.
const FILES: &[&str] = &["backup", "images", "import", "iso", "rootdir", "snippets", "vztmpl"];

/// What a storage of volumes may hold.
const VOLUMES: &[&str] = &["images", "rootdir"];

type Constants = &'static [(&'static str, &'static str)];

/// A storage of one type, with the attributes that all have. Proxmox VE leaves out without a word what it is not for
/// (PVE::Storage::Plugin, `decode_value`).
fn storage(
    names: &'static [&'static str],
    kind: Constants,
    contents: &'static [&'static str],
    own: Fields,
) -> Object {
    let mut fields = vec![
        ("content", text_set().computed().one_of(contents)),
        ("disable", flag().computed().or(false)),
        ("id", text().required().replaces().param("storage").only_made().checked(limits::not_empty)),
        ("nodes", text_set().computed()),
    ];
    fields.extend(own);
    Object {
        names,
        what: "storage",
        fields,
        constants: kind,
        made_first: true,
        hooks: &Storage,
        ..Object::listed("/storage", "/storage/{id}", "{id}")
    }
}

/// What others are a part of that go away with a storage, whatever kind makes it: what is permitted on it, and its places in
/// pools (PVE::AccessControl, `remove_storage_access`).
pub(super) fn storage_claim(id: &str) -> String {
    format!("datastore {id}")
}

/// What cannot be changed.
fn fixed() -> Item {
    text().required().replaces().only_made()
}

/// Folders that Proxmox VE makes on the storage.
fn folders() -> Fields {
    vec![
        ("create_base_path", flag().computed().or(true).param("create-base-path")),
        ("create_subdirs", flag().computed().or(true).param("create-subdirs")),
    ]
}

/// Whether it is the same on all nodes, where that follows from its type.
fn shared(always: bool) -> Item {
    flag().read_only().absent(always)
}

fn volume_chain() -> Item {
    flag().replaces().param("snapshot-as-volume-chain").only_made()
}

struct Storage;

#[async_trait]
impl Hooks for Storage {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        no_content(config)
    }

    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        backups::params(params, prior, planned);
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        backups::read(prior, answer, read);
    }
}

/// A storage that holds nothing cannot be asked for.
fn no_content(config: &Value) -> Vec<Problem> {
    let empty = config.get("content").and_then(Value::elements).is_some_and(<[Value]>::is_empty);
    let detail =
        "Proxmox VE takes its default then: leave content out for that, or name what the storage may hold";
    let problem = problem(Path::attribute("content"), "content is empty", detail);
    empty.then_some(problem).into_iter().collect()
}

/// `proxmox_storage_directory`
fn directory() -> Object {
    let mut own = vec![
        ("backups", backups::block()),
        ("path", fixed()),
        ("preallocation", text()),
        ("shared", flag().computed().or(true)),
    ];
    own.extend(folders());
    Object {
        about: "A directory of the nodes.",
        example: r#"
  id      = "files"
  path    = "/srv/files"
  content = ["iso", "backup"]
"#,
        ..storage(
            &["proxmox_storage_directory", "proxmox_virtual_environment_storage_directory"],
            &[("type", "dir")],
            FILES,
            own,
        )
    }
}

/// `proxmox_storage_lvm`
fn lvm() -> Object {
    let own = vec![
        ("shared", flag().computed().or(false)),
        ("volume_group", fixed().param("vgname")),
        ("wipe_removed_volumes", flag().computed().or(false).param("saferemove")),
    ];
    Object {
        about: "A volume group of LVM.",
        example: r#"
  id           = "volumes"
  volume_group = "pve"
"#,
        ..storage(
            &["proxmox_storage_lvm", "proxmox_virtual_environment_storage_lvm"],
            &[("type", "lvm")],
            VOLUMES,
            own,
        )
    }
}

/// `proxmox_storage_lvmthin`
fn lvmthin() -> Object {
    let own = vec![
        ("shared", shared(false)),
        ("thin_pool", fixed().param("thinpool")),
        ("volume_group", fixed().param("vgname")),
    ];
    Object {
        about: "A thin pool of LVM.",
        example: r#"
  id           = "fast"
  volume_group = "pve"
  thin_pool    = "data"
"#,
        ..storage(
            &["proxmox_storage_lvmthin", "proxmox_virtual_environment_storage_lvmthin"],
            &[("type", "lvmthin")],
            VOLUMES,
            own,
        )
    }
}

/// `proxmox_storage_zfspool`
fn zfspool() -> Object {
    let own = vec![
        ("blocksize", text()),
        ("shared", shared(false)),
        ("thin_provision", flag().param("sparse")),
        ("zfs_pool", fixed().param("pool")),
    ];
    Object {
        about: "A pool of ZFS.",
        example: r#"
  id       = "tank"
  zfs_pool = "tank/vms"
"#,
        ..storage(
            &["proxmox_storage_zfspool", "proxmox_virtual_environment_storage_zfspool"],
            &[("type", "zfspool")],
            VOLUMES,
            own,
        )
    }
}

/// `proxmox_storage_nfs`
fn nfs() -> Object {
    let mut own = vec![
        ("backups", backups::block()),
        ("export", fixed()),
        ("options", text()),
        ("preallocation", text().replaces().only_made()),
        ("server", fixed()),
        ("shared", shared(true)),
        ("snapshot_as_volume_chain", volume_chain()),
    ];
    own.extend(folders());
    Object {
        about: "An export of an NFS server.",
        example: r#"
  id     = "nas"
  server = "192.0.2.20"
  export = "/export/pve"
"#,
        ..storage(
            &["proxmox_storage_nfs", "proxmox_virtual_environment_storage_nfs"],
            &[("type", "nfs")],
            FILES,
            own,
        )
    }
}

/// `proxmox_storage_cifs`
fn cifs() -> Object {
    let mut own = vec![
        ("backups", backups::block()),
        ("domain", text().replaces().only_made()),
        ("options", text()),
        ("password", text().required().sensitive().unread()),
        ("preallocation", text()),
        ("server", fixed()),
        ("share", fixed()),
        ("shared", shared(true)),
        ("snapshot_as_volume_chain", volume_chain()),
        ("subdirectory", text().replaces().param("subdir").only_made()),
        ("username", fixed()),
    ];
    own.extend(folders());
    Object {
        about: "A share of a Windows or Samba server. The API does not tell the password; a new one is set in place.",
        example: r#"
  id       = "share"
  server   = "192.0.2.21"
  share    = "pve"
  username = "pve"
  password = "correct horse"
"#,
        ..storage(
            &["proxmox_storage_cifs", "proxmox_virtual_environment_storage_cifs"],
            &[("type", "cifs")],
            FILES,
            own,
        )
    }
}
