//! The kinds that are described as data against the simulator: the same turns as against the store.

use std::time::Duration;

use pve_model::Value;
use pve_simulator::Options;
use serde_json::json;

use super::super::Recorder;
use super::super::objects::turns;
use super::{world, world_with};
use crate::cluster::Method;
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

#[tokio::test]
async fn a_change_of_another_object_in_the_same_file_is_no_collision() {
    let (world, _server) = world("proxmox_acme_dns_plugin").await;
    let send = async |method, path: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        world.api.send(method, path, &params).await.unwrap()
    };
    let config =
        |token: &str| world.config(json!({"plugin": "one", "api": "cf", "data": {"CF_Token": token}}));
    let apply = async |prior: Option<&Value>, token: &str| {
        world.try_apply(prior, Some(&config(token)), &Recorder::default()).await
    };
    let made = apply(None, "first").await.unwrap().unwrap();
    let other = [("id", "two"), ("type", "dns"), ("api", "cf")];
    send(Method::Post, "/cluster/acme/plugins", &other).await;
    let changed = apply(Some(&made), "second").await.unwrap().unwrap();
    send(Method::Put, "/cluster/acme/plugins/one", &[("validation-delay", "7")]).await;
    let refused = apply(Some(&changed), "third").await.unwrap_err();
    assert!(refused.message.contains("detected modified configuration"), "{}", refused.message);
}
