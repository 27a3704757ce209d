//! The cluster: version, status, resources, ids, options, permissions.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::Options;
use crate::{guests, nodes};

mod config;
pub(crate) mod log;
mod members;
mod options;
#[cfg(test)]
mod tests;

pub(crate) use config::{ROUTES as CONFIG_ROUTES, name};
pub(crate) use members::{Member, Standing, arrive, standing};
pub(crate) use options::ROUTES as OPTION_ROUTES;

const INDEX: [&str; 21] = [
    "acme",
    "backup",
    "backup-info",
    "bulk-action",
    "ceph",
    "config",
    "firewall",
    "ha",
    "jobs",
    "log",
    "mapping",
    "metrics",
    "notifications",
    "nextid",
    "options",
    "qemu",
    "replication",
    "resources",
    "status",
    "tasks",
    "sdn",
];

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/", |_| subdirectories(&["version", "cluster", "nodes", "storage", "access", "pools"])),
    ("GET", "/version", version),
    ("GET", "/nodes/{node}/version", version),
    ("GET", "/cluster/status", status),
    ("GET", "/cluster/resources", resources),
    ("GET", "/cluster/nextid", next_id),
    ("GET", "/cluster", |_| Ok(INDEX.iter().map(|name| json!({ "name": name })).collect())),
    ("GET", "/cluster/log", log::read),
];

pub(crate) fn subdirectories(names: &[&str]) -> Answer {
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

fn version(_: &mut Request<'_>) -> Answer {
    Ok(json!({ "version": "9.2.11", "release": "9.2", "repoid": "14a22df35955d97d" }))
}

fn status(request: &mut Request<'_>) -> Answer {
    // The file system has to start anew before it tells of a cluster that was made.
    let name = config::name(request).filter(|_| request.state.cluster_since <= request.now);
    let single = name.is_none();
    let (state, settings, now) = (&*request.state, request.options, request.now);
    let nodes = settings.nodes().enumerate().map(|(at, name)| {
        let online = standing(state, settings, name, now) != Standing::Offline;
        let mut row = json!({
            "id": format!("node/{name}"), "type": "node", "name": name,
            "nodeid": if single { 0 } else { at + 1 }, "local": u8::from(*name == request.node),
            "online": u8::from(online), "level": "",
        });
        if online {
            row["ip"] = json!(nodes::address(settings, at));
        }
        row
    });
    let count = settings.nodes().count();
    let cluster = json!({
        "id": "cluster", "type": "cluster", "name": name, "nodes": count,
        "quorate": u8::from(members::is_quorate(state, settings, now)), "version": count,
    });
    Ok((!single).then_some(cluster).into_iter().chain(nodes).collect())
}

/// The cluster's log; what it has here are the tasks, which are most of it.
fn resources(request: &mut Request<'_>) -> Answer {
    let wanted = request.get("type").map(str::to_owned);
    let wants = |kind: &str| wanted.as_deref().is_none_or(|wanted| wanted == kind);
    let mut rows = Vec::new();
    if wants("pool") {
        rows.extend(
            request
                .state
                .pools
                .keys()
                .filter(|name| request.allows(&format!("/pool/{name}"), "Pool.Audit"))
                .map(|name| json!({ "id": format!("/pool/{name}"), "type": "pool", "pool": name })),
        );
    }
    if wants("vm") {
        let seen =
            request.state.guests.keys().filter(|vmid| request.allows(&format!("/vms/{vmid}"), "VM.Audit"));
        rows.extend(seen.map(|vmid| guest_resource(request, *vmid)));
    }
    for node in request.options.nodes() {
        if wants("node") {
            let mut row = nodes::row(request, node);
            row["cgroup-mode"] = json!(2);
            rows.push(row);
        }
        if wants("storage") {
            let seen = request.state.storages.iter();
            let seen =
                seen.filter(|(name, _)| request.allows(&format!("/storage/{name}"), "Datastore.Audit"));
            rows.extend(seen.map(|(name, options)| storage_resource(request, node, name, options)));
        }
        if wanted.is_none() && request.allows("/sdn/zones/localnetwork", "SDN.Audit") {
            rows.push(json!({
                "id": format!("network/{node}/zone/localnetwork"), "type": "network", "network": "localnetwork",
                "network-type": "zone", "node": node, "status": "ok",
            }));
            rows.extend(crate::sdn::resources(request, node));
        }
    }
    Ok(Value::Array(rows))
}

/// A storage on a node, as lists of resources and of members of a pool have it.
pub(crate) fn storage_resource(request: &Request<'_>, node: &str, name: &str, options: &Options) -> Value {
    let known = standing(request.state, request.options, node, request.now) == Standing::Known;
    let mut row = json!({
        "id": format!("storage/{node}/{name}"), "type": "storage", "storage": name, "node": node,
        "status": if known { "available" } else { "unknown" },
        "plugintype": options.get("type"), "content": options.get("content"),
        "shared": u8::from(options.get("shared").is_some_and(|value| value == "1")),
    });
    if known {
        row["maxdisk"] = json!(request.options.storage_size);
        row["disk"] = json!(crate::storage::used(request, name, options));
    }
    row
}

pub(crate) fn guest_resource(request: &Request<'_>, vmid: u32) -> Value {
    let guest = &request.state.guests[&vmid];
    let kind = guest.kind.name();
    let mut row = json!({
        "id": format!("{kind}/{vmid}"), "type": kind, "vmid": vmid, "node": guest.node, "status": "unknown",
    });
    let pool = guests::pool_of(request.state, vmid);
    if let Some(pool) = pool.filter(|pool| request.allows(&format!("/pool/{pool}"), "Pool.Audit")) {
        row["pool"] = json!(pool);
    }
    if let Some(state) = crate::ha::listed_state(request.state, vmid) {
        row["hastate"] = json!(state);
    }
    for key in ["lock", "tags"] {
        if let Some(value) = guest.config.get(key) {
            row[key] = json!(value);
        }
    }
    // Until the status daemon has seen the guest, nothing else is known about it, nor on a node that is lost.
    let lost = request.state.down.contains_key(&guest.node);
    if let Some(seen) = request.state.seen.get(&vmid).filter(|_| !lost) {
        for (key, value) in &seen.fields {
            row[key] = value.clone();
        }
    }
    row
}

/// `GET /cluster/nextid`: text.
fn next_id(request: &mut Request<'_>) -> Answer {
    if let Some(vmid) = request.number("vmid") {
        return match request.state.guests.get(&(vmid as u32)) {
            // Whatever it is, it is called a VM.
            Some(_) => Err(Failure::parameter("vmid", format!("VM {vmid} already exists"))),
            None => Ok(json!(vmid.to_string())),
        };
    }
    let range = request.state.cluster_options.get("next-id").cloned().unwrap_or_default();
    let bound = |key: &str| range.split(',').find_map(|part| part.strip_prefix(key)?.parse::<u32>().ok());
    let (lower, upper) = (bound("lower=").unwrap_or(100), bound("upper=").unwrap_or(1_000_000));
    let free = (lower..upper)
        .find(|vmid| !request.state.guests.contains_key(vmid))
        .ok_or_else(|| Failure::died(format!("unable to get any free VMID in range [{lower}, {upper}]")))?;
    Ok(json!(free.to_string()))
}
