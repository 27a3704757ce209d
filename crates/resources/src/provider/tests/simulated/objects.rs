//! The kinds that are described as data against the simulator: the same turns as against the store.

use std::time::Duration;

use pve_simulator::Options;

use super::super::objects::turns;
use super::world_with;
use crate::families;

/// What this cluster cannot have, with the reason.
const NOT_HERE: &[(&str, &str)] = &[("proxmox_hagroup", "the clusters of today have rules instead")];

async fn faults_of(kind: &'static str) -> Vec<String> {
    // A job copies to another node.
    let nodes: &[&str] = if kind == "proxmox_replication" { &["pve2", "pve3"] } else { &[] };
    let other_nodes = nodes.iter().map(|node| (*node).to_string()).collect();
    let options = Options { status_cycle: Duration::ZERO, other_nodes, ..Options::default() };
    let (world, _server) = world_with(kind, options).await;
    turns::prepare(&world).await;
    let mut faults = turns::every_attribute(&world).await;
    faults.extend(turns::imported(&world).await.err());
    faults
        .into_iter()
        .map(|fault| format!("{kind}: {}", fault.chars().take(400).collect::<String>()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attribute_of_every_kind_is_set_changed_taken_out_and_imported() {
    let mut kinds = tokio::task::JoinSet::new();
    let here = |kind: &&str| NOT_HERE.iter().all(|(other, _)| other != kind);
    for kind in families::objects().iter().map(|object| object.names[0]).filter(here) {
        kinds.spawn(faults_of(kind));
    }
    let faults = kinds.join_all().await.concat();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
