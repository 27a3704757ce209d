//! Which attributes name something that the cluster must have.

use pve_model::path::PathStep;
use pve_model::{Path, Value, ValueKind};

use crate::object::plain;
use crate::values::text;

/// What can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Node,
    Datastore,
    Pool,
    Bridge,
    Guest,
    Role,
    Group,
    Realm,
}

/// An attribute that names something.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) thing: Thing,
    pub(super) name: String,
    pub(super) path: Path,
    /// The node on which it is used.
    pub(super) node: Option<String>,
    /// What a datastore must be for.
    pub(super) content: Option<String>,
    /// The change itself uses it; otherwise the API takes down the name of what is not there, too.
    pub(super) is_used: bool,
}

/// The kind without what its names begin with.
fn short(kind: &str) -> &str {
    let prefixes = ["proxmox_virtual_environment_", "proxmox_"];
    let name = prefixes.iter().find_map(|prefix| kind.strip_prefix(prefix)).unwrap_or(kind);
    // The longer name of `proxmox_vm`.
    if name == "vm2" { "vm" } else { name }
}

/// What objects of a kind are to others, and the attribute with their name.
pub(super) fn makes(kind: &str) -> &'static [(Thing, &'static str)] {
    match short(kind) {
        kind if kind.starts_with("storage_") => &[(Thing::Datastore, "id")],
        "ceph_pool" | "node_disk_zfs" => &[(Thing::Datastore, "name")],
        "pool" => &[(Thing::Pool, "pool_id")],
        "network_linux_bridge" => &[(Thing::Bridge, "name")],
        "sdn_vnet" => &[(Thing::Bridge, "id")],
        "vm" | "container" => &[(Thing::Guest, "vm_id"), (Thing::Guest, "id")],
        "cloned_vm" => &[(Thing::Guest, "id")],
        "role" => &[(Thing::Role, "role_id")],
        "group" => &[(Thing::Group, "group_id")],
        "realm_ldap" | "realm_openid" => &[(Thing::Realm, "realm")],
        _ => &[],
    }
}

/// What the attribute at this place names, if it does, and what a datastore there is for.
fn named(kind: &str, place: &[&str]) -> Option<(Thing, Option<&'static str>)> {
    let images = Some(if kind == "container" { "rootdir" } else { "images" });
    Some(match (kind, place) {
        (_, ["node_name"] | ["clone", "node_name" | "source_node_name"] | ["map", "node"]) => {
            (Thing::Node, None)
        }
        ("backup_job" | "apt_repository" | "apt_standard_repository", ["node"]) => (Thing::Node, None),
        ("vm" | "cloned_vm" | "container", ["disk" | "efi_disk" | "tpm_state", "datastore_id"])
        | ("vm", ["initialization", "datastore_id"])
        | ("container", ["mount_point", "volume"])
        | ("vm" | "container", ["clone", "datastore_id"])
        | ("cloned_vm", ["clone", "target_datastore"]) => (Thing::Datastore, images),
        ("oci_image", ["datastore_id"]) => (Thing::Datastore, Some("vztmpl")),
        ("backup_job", ["storage"]) => (Thing::Datastore, Some("backup")),
        ("backup_job", ["fleecing", "storage"]) => (Thing::Datastore, images),
        ("file" | "download_file", ["datastore_id"])
        | ("pool_membership", ["storage_id"])
        | ("vm" | "cloned_vm", ["disk", "file_id" | "import_from"] | ["cdrom", "file_id"])
        | ("vm" | "container", ["hook_script_file_id"])
        | ("container", ["operating_system", "template_file_id"]) => (Thing::Datastore, None),
        ("vm", ["initialization", part]) if part.ends_with("_data_file_id") => (Thing::Datastore, None),
        ("vm" | "container" | "pool_membership", ["pool_id"])
        | ("cloned_vm", ["clone", "pool_id"])
        | ("backup_job", ["pool"]) => (Thing::Pool, None),
        (_, ["network_device" | "network_interface" | "network", "bridge"]) => (Thing::Bridge, None),
        (_, ["clone", "vm_id" | "source_vm_id"]) => (Thing::Guest, None),
        ("acl", ["role_id"]) | ("user" | "group", ["acl", "role_id"]) => (Thing::Role, None),
        ("acl", ["group_id"]) | ("user", ["groups"]) => (Thing::Group, None),
        ("user", ["user_id"]) | ("realm_sync", ["realm"]) => (Thing::Realm, None),
        _ => return None,
    })
}

/// What the values of an object name.
pub(super) fn of(kind: &str, planned: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(short(kind), planned, planned, &Path::default(), &mut found);
    found
}

fn collect(kind: &str, whole: &Value, part: &Value, path: &Path, found: &mut Vec<Reference>) {
    let place: Vec<&str> = path
        .0
        .iter()
        .filter_map(|step| match step {
            PathStep::Attribute(name) => Some(&**name),
            PathStep::Index(_) | PathStep::Key(_) => None,
        })
        .collect();
    let node = |thing| text(whole, "node_name").filter(|_| thing != Thing::Node).map(String::from);
    // Nodes are elements of a set, or keys of a map with their priorities.
    if place == ["nodes"]
        && let ValueKind::Map(_, entries) = &part.kind
    {
        let names = entries.keys().map(|name| name.to_string());
        found.extend(names.map(|name| Reference {
            thing: Thing::Node,
            name,
            path: path.clone(),
            node: None,
            content: None,
            is_used: false,
        }));
        return;
    }
    for (step, child) in part.children() {
        collect(kind, whole, child, &path.child(step), found);
    }
    let named = if place == ["nodes"] { Some((Thing::Node, None)) } else { named(kind, &place) };
    let (Some((thing, content)), Some(text_of)) = (named, plain(part)) else { return };
    let name = match (thing, *place.last().unwrap_or(&"")) {
        // A volume: what stands before the colon is the datastore. Anything else there is a path, or an address.
        (Thing::Datastore, last) if last.ends_with("file_id") || last == "import_from" => {
            text_of.split_once(':').map(|(datastore, _)| datastore.to_string())
        }
        (Thing::Datastore, "volume") => Some(text_of).filter(|text| !text.contains([':', '/'])),
        (Thing::Realm, "user_id") => text_of.rsplit_once('@').map(|(_, realm)| realm.to_string()),
        _ => Some(text_of),
    };
    let content = match (kind, content) {
        ("file" | "download_file", None) => text(whole, "content_type").map(String::from),
        // What a clone has comes from its template: a default says nothing.
        _ if whole.get("clone").is_some_and(is_set) => None,
        (_, content) => content.map(String::from),
    };
    // A clone is made of a datastore of the node that has the template, or goes to another of the same name.
    let node = if place == ["clone", "datastore_id"] { None } else { node(thing) };
    let is_used = is_used(kind, thing, &place);
    found.extend(name.map(|name| Reference { thing, name, path: path.clone(), node, content, is_used }));
}

fn is_set(block: &Value) -> bool {
    !block.is_null() && block.elements().is_none_or(|elements| !elements.is_empty())
}

/// Whether a request of the change fails where it is not there. The API takes down the others for later.
fn is_used(kind: &str, thing: Thing, place: &[&str]) -> bool {
    match (kind, thing, place) {
        ("backup_job", ..) => false,
        (_, Thing::Node, ["map", _] | ["nodes"]) => false,
        (_, Thing::Datastore, ["cdrom", _] | ["hook_script_file_id"]) => false,
        (_, Thing::Datastore, ["initialization", part]) => *part == "datastore_id",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use pve_model::schema::Block;

    use super::*;

    /// Attributes that are named like one that names something of the cluster, and are something else, with the reason.
    const OTHERS: &[(&str, &str)] = &[
        ("storage_pbs", "datastore"),     // of the backup server
        ("sdn_zone_vlan", "bridge"),      // on every node, each has its own
        ("sdn_zone_qinq", "bridge"),      // the same
        ("node_disk_zfs", "add_storage"), // a switch
        ("haresource", "group"),          // Proxmox VE 9 has none
    ];

    fn leaves(block: &Block, path: &[&str], found: &mut Vec<Vec<String>>) {
        let here = |name: &str| path.iter().copied().chain([name]).map(String::from).collect::<Vec<_>>();
        let settable =
            block.attributes.iter().filter(|(_, attribute)| attribute.required || attribute.optional);
        found.extend(settable.map(|(name, _)| here(name)));
        for (name, nested) in &block.blocks {
            let inner: Vec<&str> = path.iter().copied().chain([&**name]).collect();
            leaves(&nested.block, &inner, found);
        }
    }

    #[test]
    fn whatever_is_named_like_a_thing_of_the_cluster_is_looked_up() {
        let names = [
            "node",
            "nodes",
            "node_name",
            "datastore",
            "datastore_id",
            "storage",
            "storage_id",
            "pool",
            "pool_id",
            "bridge",
            "role_id",
            "group_id",
            "groups",
            "realm",
            "source_vm_id",
        ];
        let registry = crate::registry();
        let mut forgotten = Vec::new();
        for (kinds, kind) in registry.by_kind(false) {
            let kind_name = short(kinds[0]);
            let mut places = Vec::new();
            leaves(kind.block(), &[], &mut places);
            for place in places {
                let place: Vec<&str> = place.iter().map(String::as_str).collect();
                let last = *place.last().unwrap();
                let is_own = makes(kinds[0]).iter().any(|(_, own)| place == [*own]);
                let is_known = named(kind_name, &place).is_some() || place == ["nodes"] || is_own;
                if names.contains(&last) && !is_known && !OTHERS.contains(&(kind_name, last)) {
                    forgotten.push(format!("{kind_name}: {}", place.join(".")));
                }
            }
        }
        assert!(forgotten.is_empty(), "{forgotten:#?}");
    }
}
