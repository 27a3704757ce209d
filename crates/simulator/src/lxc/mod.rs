//! Containers: `/nodes/{node}/lxc`.

mod clone;
mod config;
mod create;
mod lifecycle;
pub(crate) mod mounts;
mod restore;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::guests;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Guest, GuestKind};

pub(crate) use clone::make_template;
pub(crate) use lifecycle::{shutdown_task, start_task, stop_task};

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
    Ok(guests.map(|(vmid, guest)| status(*vmid, guest, request.now, request.options.cpus)).collect())
}

fn current(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    let mut data = status(request.vmid(), guest, request.now, request.options.cpus);
    data["ha"] = crate::ha::guest_status(request.state, request.vmid());
    Ok(data)
}

/// Bytes that ext4 has for files and their indirect blocks on a volume, as `df` counts them: the volume without boot
/// blocks, copies of the superblock with their group descriptors, bitmaps, inodes and journal (mke2fs with its
/// defaults: below 512 MiB small blocks and many inodes; descriptors of 64 bytes were seen from 4 GiB on).
fn file_system_size(volume: u64) -> u64 {
    let small = volume < 512 << 20;
    let (block, inode_ratio) = if small { (1024, 4096) } else { (4096, 16_384) };
    let (blocks, per_group) = (volume / block, 8 * block);
    let groups = blocks.div_ceil(per_group);
    let per_block = block / if volume < 4 << 30 { 32 } else { 64 };
    let descriptors = groups.div_ceil(per_block);
    let reserved = ((blocks << 10).div_ceil(per_group).div_ceil(per_block) - descriptors).min(block / 4);
    let power = |group: u64, base: u64| {
        std::iter::successors(Some(base), |n| Some(n * base)).take_while(|n| *n <= group).any(|n| n == group)
    };
    let copies = (0..groups)
        .filter(|group| *group < 2 || [3, 5, 7].iter().any(|base| power(*group, *base)))
        .count() as u64;
    let inodes = volume / inode_ratio * 256 / block;
    let journal = match blocks {
        0..=32_767 => 1024,
        32_768..=262_144 => 4096,
        262_145..=524_288 => 8192,
        524_289..=4_194_303 => 16_384,
        4_194_304..=8_388_607 => 32_768,
        _ => 65_536,
    };
    let first = u64::from(small);
    (blocks - first - copies * (1 + descriptors + reserved) - 2 * groups - inodes - journal) * block
}

/// The row of a container in lists, also the base of its status.
pub(crate) fn status(vmid: u32, guest: &Guest, now: u64, node_cpus: u64) -> Value {
    let config = &guest.config;
    let number =
        |key: &str, default: u64| config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    // Fractions of a processor count as text does in Perl: as they are.
    let limit = config.get("cpulimit").and_then(|text| text.parse::<f64>().ok()).filter(|limit| *limit > 0.0);
    let cpus = match (number("cores", 0), limit) {
        (0, Some(limit)) if limit.fract() == 0.0 => json!((limit as u64).to_string()),
        (0, Some(limit)) => json!(limit.to_string()),
        (0, None) => json!(node_cpus),
        (cores, _) => json!(cores),
    };
    let size = match guests::disk_size(config, "rootfs") {
        0 => 4 << 30,
        size if guest.running => file_system_size(size),
        size => size,
    };
    let uptime = if guest.running { now.saturating_sub(guest.started) / 1000 } else { 0 };
    let mut row = json!({
        "vmid": vmid, "type": "lxc", "name": config.get("hostname").cloned().unwrap_or_else(|| format!("CT{vmid}")),
        "status": if guest.running { "running" } else { "stopped" },
        "cpus": cpus, "cpu": 0, "uptime": uptime,
        "mem": if guest.running { 4194304 } else { 0 }, "maxmem": number("memory", 512) * 1048576,
        "swap": 0, "maxswap": number("swap", 0) * 1048576,
        "disk": if guest.running { 2_334_720 } else { 0 }, "maxdisk": size,
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

#[cfg(test)]
mod sizes {
    use super::*;

    #[test]
    fn file_systems_have_what_was_measured_on_the_real_ones() {
        let measured = [
            (128 << 20, 120_015_872),
            (1 << 30, 1_038_790_656),
            (2 << 30, 2_077_073_408),
            (4 << 30, 4_143_677_440),
        ];
        for (volume, size) in measured {
            assert_eq!(file_system_size(volume), size, "{volume}");
        }
    }
}
