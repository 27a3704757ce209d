//! Making a cluster and joining one (PVE::API2::ClusterConfig).

use serde_json::{Map, Value, json};

use super::log::{self, Priority};
use super::members::Member;
use crate::failure::Failure;
use crate::nodes;
use crate::request::{Admission, Answer, Outcome, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/config", |_| {
        Ok(["nodes", "totem", "join", "qdevice", "apiversion"].map(|name| json!({ "name": name })).into())
    }),
    ("POST", "/cluster/config", create),
    ("GET", "/cluster/config/nodes", members),
    ("POST", "/cluster/config/nodes/{node}", add),
    ("DELETE", "/cluster/config/nodes/{node}", remove),
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
    request.state.cluster_since = request.now + 2 * request.options.task_duration.as_millis() as u64;
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

/// Asks the other server for a place in its cluster (PVE::Cluster::Setup, `join`).
fn join(request: &mut Request<'_>) -> Answer {
    let mut outcome = Outcome::default();
    let mut errors = Vec::new();
    if name(request).is_some() {
        errors.push("* authentication key '/etc/corosync/authkey' already exists");
        errors.push("* cluster config '/etc/pve/corosync.conf' already exists");
    }
    if request.state.guests.len() > 0 {
        errors.push("* this host already contains virtual guests");
    }
    if name(request).is_some() {
        errors.push("* corosync is already running, is this node already in a cluster?!");
    }
    let force = request.flag("force");
    if !errors.is_empty() {
        outcome.say("detected the following error(s):");
        errors.into_iter().for_each(|line| outcome.say(line));
        if !force {
            outcome.error = Some("Check if node may join a cluster failed!".to_owned());
            return Ok(request.submit("clusterjoin", "", outcome));
        }
        outcome.say("");
        outcome.say("WARNING : detected error but forced to continue!");
    }
    let host = request.text("hostname");
    outcome.say(format!("Establishing API connection with host '{host}'"));
    let asked = Admission {
        node: request.node.clone(),
        fingerprint: request.text("fingerprint"),
        password: request.text("password"),
        force,
    };
    let Some(peer) = request.peers.last().cloned() else {
        outcome.error = Some(format!("500 Can't connect to {host}:8006 (Connection refused)"));
        return Ok(request.submit("clusterjoin", "", outcome));
    };
    match peer.admit(&asked) {
        Err((lines, error)) => {
            if !lines.is_empty() {
                greeted(request, &mut outcome);
                lines.into_iter().for_each(|line| outcome.say(line));
            }
            outcome.error = Some(error);
        }
        Ok(()) => {
            greeted(request, &mut outcome);
            outcome.say("Join request OK, finishing setup locally");
            outcome.say("stopping pve-cluster service");
            outcome.say("waiting for quorum...OK");
            outcome.say("generated new node certificate, restart pveproxy and pvedaemon services");
            outcome.say(format!("successfully added node '{}' to cluster.", asked.node));
            request.joined = Some(peer);
        }
    }
    Ok(request.submit("clusterjoin", "", outcome))
}

/// What the log says up to the request for a place.
fn greeted(request: &Request<'_>, outcome: &mut Outcome) {
    outcome.say("Login succeeded.");
    outcome.say("check cluster join API version");
    if !request.parameters.keys().any(|key| key.starts_with("link")) {
        let address = nodes::address(request.options, 0);
        outcome.say(format!(
            "No cluster network links passed explicitly, fallback to local node IP '{address}'"
        ));
    }
    outcome.say("Request addition of this node");
}

/// Adds a node to the configuration, which does not make it join.
fn add(request: &mut Request<'_>) -> Answer {
    let node = request.text("node");
    let Some(name) = name(request) else { return Err(Failure::died("no cluster configuration")) };
    if request.options.nodes().any(|known| *known == node) && !request.flag("force") {
        return Err(Failure::died(format!("can't add existing node '{node}'")));
    }
    let links = request.parameters.keys().any(|key| key.starts_with("link"));
    if !links && request.get("new_node_ip").is_none() {
        let text = "no links and no fallback ip (new_node_ip) given, cannot join cluster";
        return Err(Failure::died(text));
    }
    log::write(request, Priority::Notice, "root@pam", format!("adding node {node} to cluster"));
    request.state.members.insert(node, Member { since: request.now, present: false });
    let configuration = format!("totem {{\n  cluster_name: {name}\n}}\n");
    Ok(json!({ "corosync_authkey": "", "corosync_conf": configuration, "warnings": [] }))
}

/// Takes a node out of the configuration.
fn remove(request: &mut Request<'_>) -> Answer {
    let node = request.text("node");
    if node == request.node {
        return Err(Failure::died("Cannot delete myself from cluster!"));
    }
    if !request.options.nodes().any(|known| *known == node) {
        return Err(Failure::died(format!("Node/IP: {node} is not a known host of the cluster.")));
    }
    log::write(request, Priority::Notice, "root@pam", format!("deleting node {node} from cluster"));
    request.state.members.remove(&node);
    request.removed = Some(node);
    Ok(Value::Null)
}
