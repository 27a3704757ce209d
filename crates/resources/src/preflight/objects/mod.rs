//! What the objects of access, storages, networks, pools and the cluster name.

mod access;
mod availability;
mod interfaces;
mod storages;
mod taken;
mod vnets;

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;

use super::facts::Facts;
use super::made::Made;
use super::references::{Named, short};
use super::things::Thing;

/// What objects of a kind are to others, and the attribute with their name.
pub(super) fn made_by_object(kind: &str) -> &'static [(Thing, &'static str)] {
    match kind {
        kind if kind.starts_with("storage_") => &[(Thing::Datastore, "id")],
        "ceph_pool" | "node_disk_zfs" => &[(Thing::Datastore, "name")],
        "pool" => &[(Thing::Pool, "pool_id")],
        "network_linux_bridge" => &[(Thing::Interface, "name"), (Thing::Bridge, "name")],
        kind if kind.starts_with("network_linux_") => &[(Thing::Interface, "name")],
        kind if kind.starts_with("sdn_zone_") => &[(Thing::Zone, "id")],
        "sdn_vnet" => &[(Thing::Vnet, "id"), (Thing::Bridge, "id")],
        "sdn_controller_evpn" => &[(Thing::Controller, "id")],
        "sdn_fabric_openfabric" | "sdn_fabric_ospf" => &[(Thing::Fabric, "id")],
        "haresource" => &[(Thing::HaResource, "resource_id")],
        "harule" => &[(Thing::HaRule, "rule")],
        "replication" => &[(Thing::Replication, "id")],
        "backup_job" => &[(Thing::BackupJob, "id")],
        "metrics_server" => &[(Thing::MetricsServer, "name")],
        "hardware_mapping_dir" => &[(Thing::DirectoryMapping, "name")],
        "hardware_mapping_pci" => &[(Thing::PciMapping, "name")],
        "hardware_mapping_usb" => &[(Thing::UsbMapping, "name")],
        "acme_account" => &[(Thing::AcmeAccount, "name")],
        "acme_dns_plugin" => &[(Thing::AcmePlugin, "plugin")],
        "cluster_firewall_security_group" => &[(Thing::SecurityGroup, "name")],
        "firewall_alias" => &[(Thing::FirewallAlias, "name")],
        "firewall_ipset" => &[(Thing::FirewallSet, "name")],
        "user" => &[(Thing::User, "user_id")],
        "user_token" => &[(Thing::Token, "id")],
        "role" => &[(Thing::Role, "role_id")],
        "group" => &[(Thing::Group, "group_id")],
        "realm_ldap" | "realm_openid" => &[(Thing::Realm, "realm")],
        _ => &[],
    }
}

/// What the attribute at this place names, if it does.
pub(super) fn named_by_object(kind: &str, place: &[&str]) -> Option<Named> {
    Some(match (kind, place) {
        ("backup_job", ["node"]) => Named::of(Thing::Node).for_later(),
        ("apt_repository" | "apt_standard_repository", ["node"]) => Named::of(Thing::Node),
        ("backup_job", ["storage"]) => Named::datastore("backup").for_later(),
        ("backup_job", ["fleecing", "storage"]) => Named::datastore("images").for_later(),
        ("backup_job", ["pool"]) | ("pool", ["pool_id"]) => Named::of(Thing::Pool),
        ("pool_membership", ["storage_id"]) => Named::of(Thing::Datastore),
        ("pool_membership", ["pool_id"]) => Named::of(Thing::Pool),
        ("backup_job", ["vmid"]) => Named::of(Thing::Guest).for_later(),
        ("acme_certificate", ["account"]) => Named::of(Thing::AcmeAccount),
        ("acme_certificate", ["domains", "plugin"]) => Named::of(Thing::AcmePlugin),
        // A rule of a group that is not there is taken, and does nothing (PVE::Firewall, `generate_ruleset`).
        (_, ["rule", "security_group"]) => Named::of(Thing::SecurityGroup).for_later(),
        ("replication", ["id"]) => Named::of(Thing::Guest),
        ("replication", ["target"]) => Named::of(Thing::Node),
        ("harule", ["resources"]) => Named::of(Thing::HaResource),
        ("role", ["privileges"]) => Named::of(Thing::Privilege),
        ("acl", ["role_id"]) | ("user" | "group", ["acl", "role_id"]) => Named::of(Thing::Role),
        ("acl", ["group_id"]) | ("user", ["groups"]) => Named::of(Thing::Group),
        ("acl" | "user_token", ["user_id"]) => Named::of(Thing::User),
        ("acl", ["token_id"]) => Named::of(Thing::Token),
        ("realm_sync", ["realm"]) => Named::of(Thing::Realm),
        ("user", ["user_id"]) => Named::of(Thing::Realm).for_later(),
        ("network_linux_bridge", ["ports"]) | ("network_linux_bond", ["slaves"]) => {
            Named::of(Thing::Interface)
        }
        ("network_linux_vlan", ["interface" | "name"]) => Named::of(Thing::Interface),
        ("sdn_vnet", ["zone"]) => Named::of(Thing::Zone),
        ("sdn_subnet", ["vnet"]) => Named::of(Thing::Vnet),
        ("sdn_zone_evpn", ["controller"]) => Named::of(Thing::Controller),
        ("sdn_zone_evpn", ["exit_nodes" | "primary_exit_node"]) => Named::of(Thing::Node).for_later(),
        ("sdn_controller_evpn", ["fabric"]) => Named::of(Thing::Fabric).for_later(),
        (_, ["fabric_id"]) => Named::of(Thing::Fabric),
        (_, ["node_id"]) => Named::of(Thing::Node).for_later(),
        (kind, ["ipam"]) if kind.starts_with("sdn_zone_") => Named::of(Thing::Ipam),
        (kind, ["dns" | "reverse_dns"]) if kind.starts_with("sdn_zone_") => Named::of(Thing::Dns),
        _ => return None,
    })
}

/// What else a cluster refuses of the changes: what has to do with more than one name.
pub(super) async fn conflicts(facts: &mut Facts<'_>, changes: &[&ApplyRequest], made: &Made) -> Vec<Doubt> {
    let mut found = Vec::new();
    for (index, change) in changes.iter().enumerate().filter(|(_, change)| is_wanted(change)) {
        let kind = short(&change.address.resource.kind);
        found.extend(taken::name_in_use(facts, changes, change, kind).await);
        found.extend(access::only_for_root(&facts.user(), change, kind));
        found.extend(availability::unfit_guest(facts, change, kind, made).await);
        found.extend(storages::missing_base(facts, changes, change, kind).await);
        match kind {
            "sdn_vnet" => found.extend(vnets::unfit_tag(facts, changes, change).await),
            kind if kind.starts_with("network_linux_") => {
                found.extend(interfaces::held_by_others(facts, changes, index).await);
            }
            _ => {}
        }
    }
    found
}

fn is_wanted(change: &ApplyRequest) -> bool {
    matches!(change.operation, Operation::Create | Operation::Update)
}
