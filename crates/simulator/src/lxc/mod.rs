//! Containers: `/nodes/{node}/lxc`.

mod clone;
mod config;
mod create;
mod lifecycle;
pub(crate) mod mounts;
mod restore;

use serde_json::{Value, json};

use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Guest, GuestKind};

pub(crate) use clone::make_template;
pub(crate) use lifecycle::{shutdown_task, start_task};

const KIND: GuestKind = GuestKind::Lxc;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/lxc", list),
    ("POST", "/nodes/{node}/lxc", create::create),
    ("GET", "/nodes/{node}/lxc/{vmid}", index),
    ("DELETE", "/nodes/{node}/lxc/{vmid}", create::destroy),
    ("GET", "/nodes/{node}/lxc/{vmid}/config", |request| guests::read(request, KIND)),
    ("PUT", "/nodes/{node}/lxc/{vmid}/config", config::update),
    ("GET", "/nodes/{node}/lxc/{vmid}/pending", |request| guests::pending(request, KIND)),
    ("GET", "/nodes/{node}/lxc/{vmid}/interfaces", lifecycle::interfaces),
    ("GET", "/nodes/{node}/lxc/{vmid}/feature", clone::feature),
    ("POST", "/nodes/{node}/lxc/{vmid}/clone", clone::clone),
    ("POST", "/nodes/{node}/lxc/{vmid}/template", clone::template),
    ("PUT", "/nodes/{node}/lxc/{vmid}/resize", mounts::resize),
    ("POST", "/nodes/{node}/lxc/{vmid}/move_volume", mounts::move_volume),
    ("GET", "/nodes/{node}/lxc/{vmid}/status", lifecycle::index),
    ("GET", "/nodes/{node}/lxc/{vmid}/status/current", current),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/start", lifecycle::start),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/stop", lifecycle::stop),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/shutdown", lifecycle::shutdown),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/reboot", lifecycle::reboot),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/suspend", lifecycle::suspend),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/resume", lifecycle::resume),
    ("GET", "/nodes/{node}/lxc/{vmid}/migrate", |request| crate::migration::preconditions(request, KIND)),
    ("POST", "/nodes/{node}/lxc/{vmid}/migrate", |request| crate::migration::migrate(request, KIND)),
];

fn index(request: &mut Request<'_>) -> Answer {
    request.guest(KIND)?;
    let names = [
        "config",
        "pending",
        "status",
        "vncproxy",
        "termproxy",
        "vncwebsocket",
        "spiceproxy",
        "migrate",
        "clone",
        "rrd",
        "rrddata",
        "firewall",
        "snapshot",
        "resize",
        "interfaces",
    ];
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

fn list(request: &mut Request<'_>) -> Answer {
    let guests =
        request.state.guests.iter().filter(|(_, guest)| guest.kind == KIND && guest.node == request.node);
    let guests = guests.filter(|(vmid, _)| request.allows(&format!("/vms/{vmid}"), "VM.Audit"));
    Ok(guests.map(|(vmid, guest)| status(*vmid, guest, request.now)).collect())
}

fn current(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    let mut data = status(request.vmid(), guest, request.now);
    data["ha"] = crate::ha::guest_status(request.state, request.vmid());
    Ok(data)
}

/// The row of a container in lists, also the base of its status.
pub(crate) fn status(vmid: u32, guest: &Guest, now: u64) -> Value {
    let config = &guest.config;
    let number =
        |key: &str, default: u64| config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    let uptime = if guest.running { now.saturating_sub(guest.started) / 1000 } else { 0 };
    let mut row = json!({
        "vmid": vmid, "type": "lxc", "name": config.get("hostname").cloned().unwrap_or_else(|| format!("CT{vmid}")),
        "status": if guest.running { "running" } else { "stopped" },
        "cpus": number("cores", 4), "cpu": 0, "uptime": uptime,
        "mem": if guest.running { 4194304 } else { 0 }, "maxmem": number("memory", 512) * 1048576,
        "swap": 0, "maxswap": number("swap", 512) * 1048576,
        "disk": if guest.running { 2_334_720 } else { 0 }, "maxdisk": guests::disk_size(config, "rootfs"),
        "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
    });
    if let Some(tags) = config.get("tags").filter(|tags| *tags != " ") {
        row["tags"] = json!(tags);
    }
    if guest.is_template() {
        row["template"] = json!(1);
    }
    if let Some(lock) = config.get("lock") {
        row["lock"] = json!(lock);
    }
    if guest.running {
        row["pid"] = json!(guest.process);
        for key in ["cpufull", "cpusome", "iofull", "iosome", "memoryfull", "memorysome"] {
            row[format!("pressure{key}")] = json!("0.00");
        }
    }
    row
}
