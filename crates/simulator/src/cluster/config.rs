//! Making a cluster and joining one (PVE::API2::ClusterConfig).

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::nodes;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/config", |_| {
        Ok(["nodes", "totem", "join", "qdevice", "apiversion"].map(|name| json!({ "name": name })).into())
    }),
    ("POST", "/cluster/config", create),
    ("GET", "/cluster/config/nodes", members),
    ("GET", "/cluster/config/join", information),
    ("POST", "/cluster/config/join", join),
    ("GET", "/cluster/config/totem", |request| {
        Ok(name(request).map_or(Value::Null, |name| totem(&name, request.options.nodes().count())))
    }),
    ("GET", "/cluster/config/qdevice", |_| Ok(json!({}))),
    ("GET", "/cluster/config/apiversion", |_| Ok(json!("1"))),
];

/// The cluster's name; `None` where there is one node alone.
pub(crate) fn name(request: &Request<'_>) -> Option<String> {
    let made = request.state.cluster_name.clone();
    made.or_else(|| (!request.options.other_nodes.is_empty()).then(|| "lab".to_owned()))
}

fn members(request: &mut Request<'_>) -> Answer {
    if name(request).is_none() {
        return Ok(json!([]));
    }
    let rows = request.options.nodes().enumerate().map(|(at, name)| {
        json!({
            "node": name, "name": name, "nodeid": (at + 1).to_string(), "quorum_votes": "1",
            "ring0_addr": nodes::address(request.options, at),
        })
    });
    Ok(rows.collect())
}

fn totem(name: &str, version: usize) -> Value {
    json!({
        "cluster_name": name, "config_version": version.to_string(), "interface": { "0": { "linknumber": "0" } },
        "ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "token_coefficient": "125", "version": "2",
    })
}

/// What a node needs to know to join.
fn information(request: &mut Request<'_>) -> Answer {
    let Some(name) = name(request) else {
        let text = "node is not in a cluster, no join info available!";
        return Err(Failure { status: 424, ..Failure::died(text) });
    };
    let wanted = request.get("node").unwrap_or(&request.options.node).to_owned();
    if !request.options.nodes().any(|node| *node == wanted) {
        return Err(Failure::died(format!("unknown node '{wanted}'")));
    }
    let count = request.options.nodes().count();
    let list = request.options.nodes().enumerate().map(|(at, node)| {
        let address = nodes::address(request.options, at);
        json!({
            "name": node, "nodeid": (at + 1).to_string(), "quorum_votes": "1", "ring0_addr": address,
            "pve_addr": address, "pve_fp": nodes::fingerprint(request.state, node),
        })
    });
    let list: Vec<Value> = list.collect();
    let digest = crate::sections::digest(
        &[("nodes".to_owned(), Map::from_iter([("n".to_owned(), json!(list))]))]
            .map(|(key, value)| (key, [("nodes".to_owned(), Value::Object(value).to_string())].into()))
            .into(),
    );
    Ok(json!({
        "config_digest": digest, "preferred_node": wanted, "nodelist": list, "totem": totem(&name, count),
    }))
}

/// One node becomes a cluster of one.
fn create(request: &mut Request<'_>) -> Answer {
    if name(request).is_some() {
        return Err(Failure::died("cluster config '/etc/pve/corosync.conf' already exists"));
    }
    let wanted = request.text("clustername");
    request.state.cluster_name = Some(wanted.clone());
    let mut outcome = Outcome::default();
    for line in [
        "Corosync Cluster Engine Authentication key generator.",
        "Gathering 2048 bits for key from /dev/urandom.",
        "Writing corosync key to /etc/corosync/authkey.",
        "Writing corosync config to /etc/pve/corosync.conf",
        "Restart corosync and cluster filesystem",
    ] {
        outcome.say(line);
    }
    Ok(request.submit("clustercreate", &wanted, outcome))
}

/// There is no other cluster to join: the node finds nobody at the address.
fn join(request: &mut Request<'_>) -> Answer {
    if name(request).is_some() {
        let text = "* cluster config '/etc/pve/corosync.conf' already exists";
        let mut outcome = Outcome::default();
        outcome.say("detected the following error(s):".to_owned());
        outcome.say(text);
        outcome.error = Some("Check if node may join a cluster failed!".to_owned());
        return Ok(request.submit("clusterjoin", "", outcome));
    }
    let host = request.text("hostname");
    let mut outcome = Outcome::default();
    outcome.say(format!("Establishing API connection with host '{host}'"));
    outcome.error = Some(format!("500 Can't connect to {host}:8006 (Connection refused)"));
    Ok(request.submit("clusterjoin", "", outcome))
}
