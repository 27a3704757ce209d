//! The attributes of data sources that list objects.

use pve_model::Type;

use super::lists::{DEVICE, FILTERS};
use crate::definition::{Fields, flag, number, object, object_list, of_type, text, text_set, texts};
use crate::limits;

/// The names and attributes of these data sources.
pub(super) fn sources() -> Vec<(&'static [&'static str], Fields)> {
    vec![
        (&["proxmox_acme_account", "proxmox_virtual_environment_acme_account"], acme_account()),
        (
            &["proxmox_acme_accounts", "proxmox_virtual_environment_acme_accounts"],
            vec![("accounts", text_set().read_only())],
        ),
        (&["proxmox_acme_plugins", "proxmox_virtual_environment_acme_plugins"], acme_plugins()),
        (&["proxmox_backup_jobs"], backup_jobs()),
        (&["proxmox_ceph_status"], ceph_status()),
        (
            &["proxmox_hagroups", "proxmox_virtual_environment_hagroups"],
            vec![("group_ids", text_set().read_only()), ("id", text().read_only())],
        ),
        (
            &["proxmox_haresources", "proxmox_virtual_environment_haresources"],
            vec![
                ("id", text().read_only()),
                ("resource_ids", text_set().read_only()),
                ("type", text().one_of(&["ct", "vm"])),
            ],
        ),
        (&["proxmox_hardware_mappings", "proxmox_virtual_environment_hardware_mappings"], mappings()),
        (&["proxmox_hardware_pci"], devices()),
        (
            &["proxmox_replications", "proxmox_virtual_environment_replications"],
            vec![("replications", of_type(Type::list(replication())).read_only())],
        ),
        (
            &["proxmox_sdn_vnets", "proxmox_virtual_environment_sdn_vnets"],
            vec![("vnets", of_type(Type::list(vnet())).read_only())],
        ),
        (
            &["proxmox_sdn_zones", "proxmox_virtual_environment_sdn_zones"],
            vec![
                ("type", text().one_of(&["simple", "vlan", "qinq", "vxlan", "evpn"])),
                ("zones", of_type(Type::list(zone())).read_only()),
            ],
        ),
        (
            &["proxmox_virtual_environment_groups"],
            vec![
                ("comments", texts().read_only()),
                ("group_ids", texts().read_only()),
                ("id", text().read_only()),
            ],
        ),
        (
            &["proxmox_virtual_environment_pools"],
            vec![("id", text().read_only()), ("pool_ids", texts().read_only())],
        ),
        (&["proxmox_virtual_environment_roles"], roles()),
        (&["proxmox_virtual_environment_users"], users()),
    ]
}

fn acme_account() -> Fields {
    let account = vec![
        ("contact", texts().read_only()),
        ("created_at", text().read_only().param("createdAt")),
        ("status", text().read_only()),
    ];
    vec![
        ("account", object(account).read_only()),
        ("directory", text().read_only()),
        ("location", text().read_only()),
        ("name", text()),
        ("tos", text().read_only()),
    ]
}

fn acme_plugins() -> Fields {
    let plugin = vec![
        ("api", text().read_only()),
        ("data", of_type(Type::map(Type::String)).read_only()),
        ("digest", text().read_only()),
        ("plugin", text().read_only()),
        ("type", text().read_only()),
        ("validation_delay", number().read_only()),
    ];
    vec![("plugins", object_list(plugin).read_only())]
}

fn backup_jobs() -> Fields {
    let job = vec![
        ("all", flag().read_only()),
        ("compress", text().read_only()),
        ("enabled", flag().read_only()),
        ("id", text().read_only()),
        ("mailnotification", text().read_only()),
        ("mailto", texts().read_only()),
        ("mode", text().read_only()),
        ("node", text().read_only()),
        ("notes_template", text().read_only()),
        ("pool", text().read_only()),
        ("protected", flag().read_only()),
        ("prune_backups", of_type(Type::map(Type::String)).read_only()),
        ("schedule", text().read_only()),
        ("storage", text().read_only()),
        ("vmid", texts().read_only()),
    ];
    vec![("id", text().read_only()), ("jobs", object_list(job).read_only())]
}

fn ceph_status() -> Fields {
    vec![
        ("fsid", text().read_only()),
        ("health_status", text().read_only()),
        ("id", text().read_only()),
        ("node_name", text().checked(limits::not_empty)),
        ("quorum_names", texts().read_only()),
    ]
}

fn mappings() -> Fields {
    let check = ["mapping_id", "message", "severity"].map(|name| (name, text().read_only()));
    vec![
        ("check_node", text()),
        ("checks", object_list(check.into()).read_only()),
        ("id", text().read_only()),
        ("ids", text_set().read_only()),
        ("type", text().required().one_of(&["dir", "pci", "usb"])),
    ]
}

fn devices() -> Fields {
    let mut device: Fields = DEVICE.iter().map(|(name, _)| (*name, text().read_only())).collect();
    device.extend([("iommu_group", number().read_only()), ("mdev", flag().read_only())]);
    vec![
        ("devices", object_list(device).read_only()),
        ("filters", object(FILTERS.iter().map(|(name, _)| (*name, text())).collect())),
        ("node_name", text().required()),
        ("pci_class_blacklist", texts()),
    ]
}

fn replication() -> Type {
    Type::object([
        ("comment", Type::String),
        ("disable", Type::Bool),
        ("guest", Type::Number),
        ("id", Type::String),
        ("jobnum", Type::Number),
        ("rate", Type::Number),
        ("remove_job", Type::String),
        ("schedule", Type::String),
        ("source", Type::String),
        ("target", Type::String),
        ("type", Type::String),
    ])
}

fn vnet() -> Type {
    Type::object([
        ("alias", Type::String),
        ("id", Type::String),
        ("isolate_ports", Type::Bool),
        ("tag", Type::Number),
        ("vlan_aware", Type::Bool),
        ("zone", Type::String),
    ])
}

pub(super) fn zone() -> Type {
    let set = || Type::set(Type::String);
    Type::object([
        ("advertise_subnets", Type::Bool),
        ("bridge", Type::String),
        ("controller", Type::String),
        ("dhcp", Type::String),
        ("disable_arp_nd_suppression", Type::Bool),
        ("dns", Type::String),
        ("dns_zone", Type::String),
        ("exit_nodes", set()),
        ("exit_nodes_local_routing", Type::Bool),
        ("id", Type::String),
        ("ipam", Type::String),
        ("mtu", Type::Number),
        ("nodes", set()),
        ("peers", set()),
        ("pending", Type::Bool),
        ("primary_exit_node", Type::String),
        ("reverse_dns", Type::String),
        ("rt_import", Type::String),
        ("service_vlan", Type::Number),
        ("service_vlan_protocol", Type::String),
        ("state", Type::String),
        ("type", Type::String),
        ("vrf_vxlan", Type::Number),
    ])
}

fn roles() -> Fields {
    vec![
        ("id", text().read_only()),
        ("privileges", of_type(Type::list(Type::set(Type::String))).read_only()),
        ("role_ids", texts().read_only()),
        ("special", of_type(Type::list(Type::Bool)).read_only()),
    ]
}

fn users() -> Fields {
    let column = ["comments", "emails", "expiration_dates", "first_names", "keys", "last_names", "user_ids"];
    let mut fields: Fields = column.map(|name| (name, texts().read_only())).into();
    fields.extend([
        ("enabled", of_type(Type::list(Type::Bool)).read_only()),
        ("groups", of_type(Type::list(Type::list(Type::String))).read_only()),
        ("id", text().read_only()),
    ]);
    fields
}
