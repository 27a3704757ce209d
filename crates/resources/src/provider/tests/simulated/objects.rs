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
];

#[tokio::test(flavor = "multi_thread")]
async fn every_attribute_of_described_kinds_is_set_changed_taken_out_and_imported() {
    let mut faults = Vec::new();
    for kind in KINDS {
        let (world, _server) = world(kind).await;
        turns::prepare(&world).await;
        faults
            .extend(turns::every_attribute(&world).await.into_iter().map(|fault| format!("{kind}: {fault}")));
        if let Err(fault) = turns::imported(&world).await {
            faults.push(format!("{kind}: {fault}"));
        }
    }
    let first: Vec<String> = faults.iter().take(12).map(|fault| fault.chars().take(400).collect()).collect();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), first.join("\n"));
}
