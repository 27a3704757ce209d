//! The nodes: lists, status, networks, options.

use serde_json::{Map, Value, json};

use crate::cluster::subdirectories;
use crate::failure::Failure;
use crate::guests::hex;
use crate::options::Options as Settings;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::Options;
use sha1::Digest as _;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes", nodes),
    ("GET", "/nodes/{node}", |_| {
        subdirectories(&["qemu", "lxc", "storage", "tasks", "network", "status", "version", "firewall"])
    }),
    ("GET", "/nodes/{node}/status", node_status),
    ("GET", "/nodes/{node}/dns", |_| Ok(json!({ "dns1": "10.0.0.1", "search": "lan" }))),
    ("GET", "/nodes/{node}/time", time),
    ("GET", "/nodes/{node}/network", networks),
    ("GET", "/nodes/{node}/network/{iface}", network),
    ("GET", "/nodes/{node}/config", options),
    ("PUT", "/nodes/{node}/config", set_options),
];

/// The address of the node with this number, counted from 0.
pub(crate) fn address(settings: &Settings, number: usize) -> String {
    settings.address.map_or_else(|| format!("10.0.0.{}", 10 + number), |address| address.to_string())
}

/// The row of a node in lists.
pub(crate) fn row(request: &Request<'_>, node: &str) -> Value {
    if !request.allows(&format!("/nodes/{node}"), "Sys.Audit") {
        let id = format!("node/{node}");
        return json!({ "node": node, "id": id, "type": "node", "status": "online", "level": "" });
    }
    json!({
        "node": node, "id": format!("node/{node}"), "type": "node",
        "status": "online", "level": "", "maxcpu": request.options.cpus, "cpu": 0.01, "maxmem": 68719476736u64, "mem": 8589934592u64,
        "maxdisk": request.options.storage_size, "disk": 5368709120u64, "uptime": 86400,
    })
}

fn nodes(request: &mut Request<'_>) -> Answer {
    let rows = request.options.nodes().map(|node| {
        let mut row = row(request, node);
        row["ssl_fingerprint"] = json!("");
        row
    });
    Ok(rows.collect())
}

fn options_digest(options: &Options) -> String {
    hex(&sha1::Sha1::digest(serde_json::to_string(options).unwrap_or_default().as_bytes()))
}

fn options(request: &mut Request<'_>) -> Answer {
    let Some(options) = request.state.node_options.get(&request.node) else { return Ok(json!({})) };
    let mut row: Map<String, Value> = options.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
    row.insert("digest".to_owned(), json!(options_digest(options)));
    Ok(Value::Object(row))
}

fn set_options(request: &mut Request<'_>) -> Answer {
    let present = request.state.node_options.get(&request.node).cloned().unwrap_or_default();
    request.check_digest(
        &options_digest(&present),
        "detected modified configuration - file changed by other user? Try again.",
    )?;
    let call = ["node", "digest", "delete"];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    // A description is kept as comment lines.
    let text = |key: &str, value: &str| match key {
        "description" => format!("{}\n", value.trim_end()),
        _ => value.to_owned(),
    };
    let mut options = present;
    options.extend(set.map(|(key, value)| (key.clone(), text(key, value))));
    for key in crate::schema::formats::split_list(request.get("delete").unwrap_or_default()) {
        options.remove(key);
    }
    request.state.node_options.insert(request.node.clone(), options);
    Ok(Value::Null)
}

fn node_status(request: &mut Request<'_>) -> Answer {
    let total = request.options.storage_size;
    Ok(json!({
        "uptime": 86400, "cpu": 0.01, "idle": 0, "wait": 0, "loadavg": ["0.10", "0.10", "0.10"],
        "kversion": "Linux 6.14.11-4-pve #1 SMP PREEMPT_DYNAMIC", "pveversion": "pve-manager/9.2.11/14a22df35955d97d",
        "cpuinfo": {
            "cpus": request.options.cpus, "cores": request.options.cpus, "sockets": 1, "model": "AMD EPYC",
            "family": "26", "vendor": "AuthenticAMD", "mhz": "3000.000", "hvm": "1", "user_hz": 100, "flags": "" },
        "memory": { "total": 68719476736u64, "used": 8589934592u64, "free": 60129542144u64, "available": 60129542144u64 },
        "swap": { "total": 8589934592u64, "used": 0, "free": 8589934592u64 },
        "rootfs": { "total": total, "used": 5368709120u64, "free": total, "avail": total },
        "current-kernel": { "sysname": "Linux", "release": "6.14.11-4-pve", "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64" },
        "boot-info": { "mode": "efi", "secureboot": 0 }, "ksm": { "shared": 0 },
    }))
}

fn time(request: &mut Request<'_>) -> Answer {
    Ok(json!({ "timezone": "UTC", "time": request.seconds(), "localtime": request.seconds() }))
}

fn shown_network(name: &str, options: &Options) -> Value {
    let mut row: Map<String, Value> = options
        .iter()
        .map(|(key, text)| match text.parse::<i64>() {
            Ok(number) if matches!(key.as_str(), "active" | "autostart" | "exists" | "priority") => {
                (key.clone(), json!(number))
            }
            _ => (key.clone(), json!(text)),
        })
        .collect();
    row.insert("iface".to_owned(), json!(name));
    Value::Object(row)
}

fn networks(request: &mut Request<'_>) -> Answer {
    let wanted = request.get("type");
    let fits = |kind: &str| match wanted {
        None | Some("include_sdn") => true,
        Some("any_bridge" | "any_local_bridge") => matches!(kind, "bridge" | "OVSBridge"),
        Some(wanted) => wanted == kind,
    };
    let own = request.state.networks.iter();
    let own = own.filter(|(_, options)| fits(options.get("type").map(String::as_str).unwrap_or_default()));
    let mut rows: Vec<Value> = own.map(|(name, options)| shown_network(name, options)).collect();
    if matches!(wanted, Some("any_bridge" | "include_sdn" | "vnet")) {
        rows.extend(crate::sdn::interfaces(request));
    }
    Ok(Value::Array(rows))
}

fn network(request: &mut Request<'_>) -> Answer {
    let name = request.text("iface");
    match request.state.networks.get(&name) {
        Some(options) => Ok(shown_network(&name, options)),
        None => Err(Failure::parameter("iface", "interface does not exist")),
    }
}
