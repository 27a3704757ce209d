//! What the objects of access, storages, networks, pools and the cluster name.

use super::references::Named;
use super::things::Thing;

/// What objects of a kind are to others, and the attribute with their name.
pub(super) fn makes(kind: &str) -> &'static [(Thing, &'static str)] {
    match kind {
        kind if kind.starts_with("storage_") => &[(Thing::Datastore, "id")],
        "ceph_pool" | "node_disk_zfs" => &[(Thing::Datastore, "name")],
        "pool" => &[(Thing::Pool, "pool_id")],
        "network_linux_bridge" => &[(Thing::Bridge, "name")],
        "sdn_vnet" => &[(Thing::Bridge, "id")],
        "role" => &[(Thing::Role, "role_id")],
        "group" => &[(Thing::Group, "group_id")],
        "realm_ldap" | "realm_openid" => &[(Thing::Realm, "realm")],
        _ => &[],
    }
}

/// What the attribute at this place names, if it does.
pub(super) fn named(kind: &str, place: &[&str]) -> Option<Named> {
    Some(match (kind, place) {
        ("backup_job", ["node"]) => Named::of(Thing::Node).for_later(),
        ("apt_repository" | "apt_standard_repository", ["node"]) => Named::of(Thing::Node),
        ("backup_job", ["storage"]) => Named::datastore("backup").for_later(),
        ("backup_job", ["fleecing", "storage"]) => Named::datastore("images").for_later(),
        ("backup_job", ["pool"]) => Named::of(Thing::Pool).for_later(),
        ("pool_membership", ["storage_id"]) => Named::of(Thing::Datastore),
        ("pool_membership", ["pool_id"]) => Named::of(Thing::Pool),
        ("acl", ["role_id"]) | ("user" | "group", ["acl", "role_id"]) => Named::of(Thing::Role),
        ("acl", ["group_id"]) | ("user", ["groups"]) => Named::of(Thing::Group),
        ("user", ["user_id"]) | ("realm_sync", ["realm"]) => Named::of(Thing::Realm),
        _ => return None,
    })
}
