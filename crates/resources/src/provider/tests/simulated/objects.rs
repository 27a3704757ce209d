//! The kinds that are described as data against the simulator, as far as it has their endpoints: the same turns as
//! against the store.

use super::super::objects::turns;
use super::world;

/// The kinds whose endpoints the simulator has.
const KINDS: &[&str] = &[
    "proxmox_virtual_environment_user",
    "proxmox_virtual_environment_group",
    "proxmox_virtual_environment_role",
    "proxmox_user_token",
    "proxmox_acl",
    "proxmox_realm_ldap",
    "proxmox_realm_openid",
    "proxmox_realm_sync",
    "proxmox_virtual_environment_pool",
    "proxmox_pool_membership",
    "proxmox_cluster_options",
    "proxmox_backup_job",
    "proxmox_storage_directory",
    "proxmox_storage_lvm",
    "proxmox_storage_lvmthin",
    "proxmox_storage_zfspool",
    "proxmox_storage_nfs",
    "proxmox_storage_cifs",
    "proxmox_storage_pbs",
    "proxmox_node_config",
    "proxmox_vm",
    "proxmox_cloned_vm",
];

/// Kinds whose endpoints the simulator gets one after the other: until then there is nothing to run against.
const AWAITED: &[&str] = &[
    "proxmox_haresource",
    "proxmox_harule",
    "proxmox_sdn_zone_simple",
    "proxmox_sdn_zone_vlan",
    "proxmox_sdn_zone_qinq",
    "proxmox_sdn_zone_vxlan",
    "proxmox_sdn_zone_evpn",
    "proxmox_sdn_vnet",
    "proxmox_sdn_subnet",
    "proxmox_sdn_controller_evpn",
    "proxmox_sdn_applier",
    "proxmox_sdn_fabric_node_openfabric",
    "proxmox_sdn_fabric_node_ospf",
];

async fn faults_of(kind: &'static str) -> Vec<String> {
    let (world, _server) = world(kind).await;
    if !turns::prepare(&world).await && AWAITED.contains(&kind) {
        return Vec::new();
    }
    let mut faults = turns::every_attribute(&world).await;
    faults.extend(turns::imported(&world).await.err());
    if AWAITED.contains(&kind) {
        faults.retain(|fault| !fault.contains("not implemented"));
    }
    faults
        .into_iter()
        .map(|fault| format!("{kind}: {}", fault.chars().take(400).collect::<String>()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attribute_of_described_kinds_is_set_changed_taken_out_and_imported() {
    let mut faults = Vec::new();
    for kind in KINDS.iter().chain(AWAITED) {
        faults.extend(faults_of(kind).await);
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
