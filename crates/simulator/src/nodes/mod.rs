//! The nodes: lists, status, networks, options.

mod apt;
mod ceph;
mod ceph_services;
mod certificates;
mod consoles;
mod disks;
mod hardware;
mod interfaces;
mod network;
mod reports;
mod scan;
mod settings;

use serde_json::{Value, json};

use crate::cluster::{self, Standing};
use crate::options::Options as Settings;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::State;
use sha2::Digest as _;

pub(crate) use apt::{Files as AptFiles, ROUTES as APT_ROUTES};
pub(crate) use ceph::ROUTES as CEPH_ROUTES;
pub(crate) use ceph_services::ROUTES as CEPH_SERVICE_ROUTES;
pub(crate) use certificates::ROUTES as CERTIFICATE_ROUTES;
pub(crate) use consoles::ROUTES as CONSOLE_ROUTES;
pub(crate) use disks::{
    Pools as DiskPools, ROUTES as DISK_ROUTES, add_thin_pool, has_thin_pool, has_volume_group, has_zfs_pool,
};
pub(crate) use hardware::ROUTES as HARDWARE_ROUTES;
pub(crate) use network::{Network, ROUTES as NETWORK_ROUTES, has_bridge};
pub(crate) use reports::ROUTES as REPORT_ROUTES;
pub(crate) use scan::ROUTES as SCAN_ROUTES;
pub(crate) use settings::{ROUTES as SETTING_ROUTES, Settings as NodeSettings};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes", nodes),
    ("GET", "/nodes/{node}", |_| Ok(INDEX.iter().map(|name| json!({ "name": name })).collect())),
    ("GET", "/nodes/{node}/status", node_status),
];

const INDEX: [&str; 41] = [
    "aplinfo",
    "apt",
    "capabilities",
    "ceph",
    "certificates",
    "config",
    "disks",
    "dns",
    "firewall",
    "hardware",
    "hosts",
    "journal",
    "lxc",
    "migrateall",
    "netstat",
    "network",
    "qemu",
    "query-oci-repo-tags",
    "query-url-metadata",
    "replication",
    "report",
    "rrd",
    "rrddata",
    "scan",
    "sdn",
    "services",
    "spiceshell",
    "startall",
    "status",
    "stopall",
    "storage",
    "subscription",
    "suspendall",
    "syslog",
    "tasks",
    "termproxy",
    "time",
    "version",
    "vncshell",
    "vzdump",
    "wakeonlan",
];

/// The address of the node with this number, counted from 0.
pub(crate) fn address(settings: &Settings, number: usize) -> String {
    settings.address.map_or_else(|| format!("10.0.0.{}", 10 + number), |address| address.to_string())
}

/// The row of a node in lists.
pub(crate) fn row(request: &Request<'_>, node: &str) -> Value {
    let status = match cluster::standing(request.state, request.options, node, request.now) {
        Standing::Known => None,
        Standing::Young => Some("unknown"),
        Standing::Offline => Some("offline"),
    };
    if let Some(status) = status {
        return json!({ "node": node, "id": format!("node/{node}"), "type": "node", "status": status });
    }
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

/// The fingerprint of a node's certificate.
pub(crate) fn fingerprint(state: &State, node: &str) -> String {
    let bytes = sha2::Sha256::digest(format!("{}|{node}", state.secret));
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn nodes(request: &mut Request<'_>) -> Answer {
    let rows = request.options.nodes().map(|node| {
        let mut row = row(request, node);
        row["ssl_fingerprint"] = json!(fingerprint(request.state, node));
        row
    });
    Ok(rows.collect())
}

pub(crate) fn node_status(request: &mut Request<'_>) -> Answer {
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
