//! Objects with pending changes: what will be once they are applied counts.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, Value};
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use super::subnets::network;
use crate::cluster::{ApiError, Cluster, Method};
use crate::definition::problem;
use crate::object::Hooks;
use crate::params::Params;
use crate::values::text;

/// An object as it will be.
pub(super) struct Pending;

/// Where the names are kept of what is pending.
const STAGED: &str = "staged";

/// What of an answer is pending.
pub(super) fn staged(answer: &Json) -> Vec<String> {
    let names = answer.get(STAGED).and_then(Json::as_array).into_iter().flatten();
    names.filter_map(Json::as_str).map(String::from).collect()
}

/// The answer with its pending values put over those that run.
pub(super) fn applied(mut answer: Json) -> Json {
    let pending = answer.get("pending").and_then(Json::as_object).cloned().unwrap_or_default();
    for (name, value) in &pending {
        match value.as_str() {
            Some("deleted") => {
                answer.as_object_mut().and_then(|answer| answer.remove(name));
            }
            _ => answer[name] = value.clone(),
        }
    }
    let is_new = answer.get("state").and_then(Json::as_str) == Some("new");
    let staged: Vec<&str> = pending.keys().map(String::as_str).collect();
    answer[STAGED] = if is_new { json!(["all of it is new"]) } else { json!(staged) };
    answer["pending"] = json!(!pending.is_empty());
    answer
}

/// Whether it is going to be deleted.
pub(super) fn is_leaving(answer: &Json) -> bool {
    answer.get("state").and_then(Json::as_str) == Some("deleted")
}

#[async_trait]
impl Hooks for Pending {
    /// Names of a zone's guests are written by a server (PVE::API2::Network::SDN::Zones).
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let is_set = |name| config.get(name).is_some_and(|part| !part.is_null());
        let detail = "name the server that has the zone: dns = ...";
        let problem = problem(Path::attribute("dns_zone"), "dns_zone needs dns", detail);
        let mut problems = empty_names(config);
        problems.extend((is_set("dns_zone") && !is_set("dns")).then_some(problem));
        problems
    }

    /// A zone's name in DNS is taken with its server alone, be that one known already.
    fn params(&self, params: &mut Params, _: Option<&Value>, planned: &Value) {
        if params.0.contains_key("dnszone") && !params.0.contains_key("dns") {
            params.put("dns", text(planned, "dns"));
        }
    }

    async fn complete(&self, _: &Cluster, _: &Value, answer: Json) -> Result<Json, ApiError> {
        Ok(applied(answer))
    }

    fn waits(&self, answer: &Json) -> Vec<String> {
        staged(answer)
    }

    fn is_it(&self, _: &Value, answer: &Json) -> bool {
        !is_leaving(answer)
    }
}

/// Names of nothing among nodes and peers.
fn empty_names(config: &Value) -> Vec<Problem> {
    let lists = ["nodes", "peers", "exit_nodes"].into_iter().filter(|name| {
        let elements = config.get(name).and_then(Value::elements).unwrap_or_default();
        elements.iter().any(|element| element.as_str() == Some(""))
    });
    let told = |name| problem(Path::attribute(name), format!("A name in {name} is empty"), "leave it out");
    lists.map(told).collect()
}

/// A subnet as the plan names it.
pub(super) fn subnet_of(cidr: &str, vnet: &str) -> String {
    format!("subnet {cidr} of vnet {vnet}")
}

/// A node of a fabric as the plan names it.
pub(super) fn node_of(node: &str, fabric: &str) -> String {
    format!("node {node} of fabric {fabric}")
}

/// What is pending in the cluster, of what is not one's own (`vnet lab`): `vnet lab (deleted)`.
///
/// # Errors
/// When something cannot be read, but for what the cluster does not have at all.
pub(crate) async fn pending_networks(
    cluster: &Cluster,
    own: &BTreeSet<String>,
) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::new();
    let mut take = |entry: &Json, name: Option<String>| {
        if let (Some(name), Some(state)) = (name, entry.get("state").and_then(Json::as_str))
            && !own.contains(&name)
        {
            found.push(format!("{name} ({state})"));
        }
    };
    let part = |entry: &Json, name: &str| {
        let told = entry.get(name).or_else(|| entry.get("pending")?.get(name));
        told.and_then(Json::as_str).map(String::from)
    };
    for what in ["zone", "vnet", "controller"] {
        let list = there(cluster.get(&format!("/cluster/sdn/{what}s?pending=1")).await)?;
        let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<Option<String>> = entries.iter().map(|entry| part(entry, what)).collect();
        let vnets = names.iter().flatten().filter(|_| what == "vnet");
        let mut subnets = subnets(cluster, vnets).await?;
        for (entry, name) in entries.iter().zip(names) {
            take(entry, name.as_ref().map(|name| format!("{what} {name}")));
            let Some((vnet, list)) = name.and_then(|name| subnets.remove_entry(&name)) else { continue };
            for subnet in list.as_array().into_iter().flatten() {
                let cidr = part(subnet, "cidr").or_else(|| network(&part(subnet, "subnet")?));
                take(subnet, cidr.map(|cidr| subnet_of(&cidr, &vnet)));
            }
        }
    }
    let fabrics = there(cluster.get("/cluster/sdn/fabrics/all?pending=1").await)?;
    let list = |name: &str| fabrics.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
    for fabric in list("fabrics") {
        take(&fabric, part(&fabric, "id").map(|id| format!("fabric {id}")));
    }
    for node in list("nodes") {
        let name = part(&node, "node_id").zip(part(&node, "fabric_id"));
        take(&node, name.map(|(node, fabric)| node_of(&node, &fabric)));
    }
    Ok(found)
}

/// The subnets of vnets, asked for together.
async fn subnets(
    cluster: &Cluster,
    vnets: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, Json>, ApiError> {
    let mut asked = JoinSet::new();
    for vnet in vnets.cloned() {
        let api = cluster.api.clone();
        asked.spawn(async move {
            let place = format!("/cluster/sdn/vnets/{vnet}/subnets?pending=1");
            let answer = there(api.send(Method::Get, &place, &[]).await)?;
            Ok((vnet, answer))
        });
    }
    let mut found = BTreeMap::new();
    // The first failure ends the others.
    while let Some(answer) = asked.join_next().await {
        let Ok(answer) = answer else { continue };
        found.extend([answer?]);
    }
    Ok(found)
}

/// What older versions do not have (501), and what has gone meanwhile, has nothing that is pending.
fn there(answer: Result<Json, ApiError>) -> Result<Json, ApiError> {
    match answer {
        Err(error) if matches!(error.status, Some(404 | 501)) || error.is_missing() => Ok(Json::Null),
        answer => answer,
    }
}
