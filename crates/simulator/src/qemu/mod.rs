//! Virtual machines: `/nodes/{node}/qemu`.

mod agent;
mod checks;
mod clone;
mod cloud_init;
pub(crate) mod config;
mod create;
mod disks;
pub(crate) mod drives;
mod hotplug;
mod lifecycle;
mod pending;
mod restore;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Value, json};

use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Guest, GuestKind};

const KIND: GuestKind = GuestKind::Qemu;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu", list),
    ("POST", "/nodes/{node}/qemu", create::create),
    ("GET", "/nodes/{node}/qemu/{vmid}", index),
    ("DELETE", "/nodes/{node}/qemu/{vmid}", create::destroy),
    ("GET", "/nodes/{node}/qemu/{vmid}/config", |request| guests::read(request, KIND)),
    ("PUT", "/nodes/{node}/qemu/{vmid}/config", config::update),
    ("POST", "/nodes/{node}/qemu/{vmid}/config", config::update_in_background),
    ("GET", "/nodes/{node}/qemu/{vmid}/pending", |request| guests::pending(request, KIND)),
    ("GET", "/nodes/{node}/qemu/{vmid}/cloudinit", cloud_init::pending),
    ("PUT", "/nodes/{node}/qemu/{vmid}/cloudinit", cloud_init::regenerate),
    ("GET", "/nodes/{node}/qemu/{vmid}/cloudinit/dump", cloud_init::dump),
    ("GET", "/nodes/{node}/qemu/{vmid}/feature", clone::feature),
    ("POST", "/nodes/{node}/qemu/{vmid}/clone", clone::clone),
    ("POST", "/nodes/{node}/qemu/{vmid}/template", clone::template),
    ("PUT", "/nodes/{node}/qemu/{vmid}/resize", disks::resize),
    ("PUT", "/nodes/{node}/qemu/{vmid}/unlink", disks::unlink),
    ("POST", "/nodes/{node}/qemu/{vmid}/move_disk", disks::move_disk),
    ("GET", "/nodes/{node}/qemu/{vmid}/migrate", |request| crate::migration::preconditions(request, KIND)),
    ("POST", "/nodes/{node}/qemu/{vmid}/migrate", |request| crate::migration::migrate(request, KIND)),
    ("GET", "/nodes/{node}/qemu/{vmid}/status", lifecycle::index),
    ("GET", "/nodes/{node}/qemu/{vmid}/status/current", current),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/start", lifecycle::start),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/stop", lifecycle::stop),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/shutdown", lifecycle::shutdown),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/reboot", lifecycle::reboot),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/reset", lifecycle::reset),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/suspend", lifecycle::suspend),
    ("POST", "/nodes/{node}/qemu/{vmid}/status/resume", lifecycle::resume),
    ("POST", "/nodes/{node}/qemu/{vmid}/monitor", lifecycle::monitor),
    ("PUT", "/nodes/{node}/qemu/{vmid}/sendkey", lifecycle::send_key),
];

pub(crate) use agent::{ROUTES as AGENT_ROUTES, address_of, lacks_agent};
pub(crate) use clone::to_base;
pub(crate) use lifecycle::{shutdown_task, start_task, stop_task};

/// Does not look whether the machine is there.
fn index(_: &mut Request<'_>) -> Answer {
    let names = [
        "config",
        "cloudinit",
        "pending",
        "status",
        "unlink",
        "vncproxy",
        "termproxy",
        "migrate",
        "resize",
        "move",
        "rrd",
        "rrddata",
        "monitor",
        "agent",
        "snapshot",
        "spiceproxy",
        "sendkey",
        "firewall",
        "mtunnel",
        "remote_migrate",
    ];
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

fn list(request: &mut Request<'_>) -> Answer {
    let full = request.flag("full");
    let guests =
        request.state.guests.iter().filter(|(_, guest)| guest.kind == KIND && guest.node == request.node);
    let guests = guests.filter(|(vmid, _)| request.allows(&format!("/vms/{vmid}"), "VM.Audit"));
    Ok(guests
        .map(|(vmid, guest)| {
            let mut row = status(*vmid, guest, request.now, request.options.cpus);
            if !full && let Some(row) = row.as_object_mut() {
                row.remove("qmpstatus");
                row.remove("nics");
            }
            row
        })
        .collect())
}

fn current(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    let mut data = status(request.vmid(), guest, request.now, request.options.cpus);
    data["ha"] = crate::ha::guest_status(request.state, request.vmid());
    if guest.config.get("agent").is_some_and(|text| agent::enabled(text)) {
        data["agent"] = json!(1);
    }
    if let Some(vga) = guest.config.get("vga") {
        let part = |key: &str| vga.split(',').find_map(|part| part.strip_prefix(key));
        let kind = part("type=").or(vga.split(',').next().filter(|first| !first.contains('=')));
        if kind.is_some_and(|kind| kind.starts_with("virtio") || kind.starts_with("qxl")) {
            data["spice"] = json!(1);
        }
        data["clipboard"] = json!(part("clipboard="));
    }
    Ok(data)
}

/// Memory in MiB.
fn memory(config: &crate::state::Options) -> u64 {
    let text = config.get("memory").map(|text| text.strip_prefix("current=").unwrap_or(text));
    text.and_then(|text| text.parse().ok()).unwrap_or(512)
}

/// The row of a machine in lists, also the base of its status.
pub(crate) fn status(vmid: u32, guest: &Guest, now: u64, node_cpus: u64) -> Value {
    // Running machines show what they were started with: the configuration without pending changes.
    let config = &guest.config;
    let number =
        |key: &str, default: u64| config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    let memory = memory(config);
    let cpus = match number("vcpus", 0) {
        0 => number("sockets", 1) * number("cores", 1),
        vcpus => vcpus,
    };
    let boot_disk = drives::disks(config).into_iter().find(|(name, _)| drives::rank(name).0 < 4);
    let uptime = if guest.running { (now.saturating_sub(guest.started)) / 1000 } else { 0 };
    let used = if guest.running { memory * 1048576 / 4 } else { 0 };
    let status = if guest.running { "running" } else { "stopped" };
    let mut row = json!({
        "vmid": vmid,
        "name": config.get("name").cloned().unwrap_or_else(|| format!("VM {vmid}")),
        "status": status,
        "qmpstatus": if guest.running && guest.paused { "paused" } else { status },
        "cpus": cpus.min(node_cpus), "cpu": 0, "mem": used, "maxmem": memory * 1048576, "memhost": used,
        "disk": 0, "maxdisk": boot_disk.map_or(0, |(name, _)| guests::disk_size(config, &name)),
        "netin": 0, "netout": 0, "uptime": uptime,
    });
    if let Some(tags) = config.get("tags").filter(|tags| *tags != " ") {
        row["tags"] = json!(tags);
    }
    if guest.is_template() {
        row["template"] = json!(1);
    }
    if config.keys().any(|key| key.starts_with("serial")) {
        row["serial"] = json!(1);
    }
    if let Some(lock) = config.get("lock") {
        row["lock"] = json!(lock);
    }
    if let Some(shares) = config.get("shares").and_then(|text| text.parse::<u64>().ok()) {
        row["shares"] = json!(shares);
    }
    if let Some(balloon) = config.get("balloon").and_then(|text| text.parse::<u64>().ok()).filter(|b| *b > 0)
    {
        row["balloon_min"] = json!(balloon * 1048576);
    }
    if guest.running {
        row["pid"] = json!(guest.process);
        for key in ["cpufull", "cpusome", "iofull", "iosome", "memoryfull", "memorysome"] {
            row[format!("pressure{key}")] = json!(0);
        }
        let cards: serde_json::Map<String, Value> = config
            .keys()
            .filter_map(|key| key.strip_prefix("net"))
            .map(|index| (format!("tap{vmid}i{index}"), json!({ "netin": 0, "netout": 0 })))
            .collect();
        if !cards.is_empty() {
            row["nics"] = Value::Object(cards);
        }
    }
    row
}
