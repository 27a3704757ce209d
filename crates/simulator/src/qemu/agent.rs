//! The guest agent of machines: answers when `agent` is enabled and the machine has run long enough.

use serde_json::{Value, json};

use super::KIND;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::property_string;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/agent", index),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", interfaces),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-host-name", host_name),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-osinfo", os_info),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-fsinfo", |request| empty_list(request)),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-users", |request| empty_list(request)),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-timezone", time_zone),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/ping", ping),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/fsfreeze-status", freeze_status),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/fstrim", trim),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/exec", |request| {
        alive(request).map(|()| json!({ "pid": 157 }))
    }),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/exec-status", exec_status),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent", by_name),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-time", |request| {
        alive(request)?;
        result(json!(request.now * 1_000_000))
    }),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-vcpus", processors),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/info", information),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-memory-blocks", memory_blocks),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-memory-block-info", |request| {
        alive(request)?;
        result(json!({ "size": MEMORY_BLOCK }))
    }),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/fsfreeze-freeze", |request| file_systems(request)),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/fsfreeze-thaw", |request| file_systems(request)),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/shutdown", ping),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/suspend-disk", ping),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/suspend-hybrid", ping),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/suspend-ram", ping),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/set-user-password", ping),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/file-read", read_file),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/file-write", write_file),
];

/// True if the `agent` option says so.
pub(crate) fn enabled(text: &str) -> bool {
    let first = text.split(',').next().unwrap_or_default();
    property_string::boolean(first.strip_prefix("enabled=").unwrap_or(first)) == Some(true)
}

/// Whether a running machine has an agent configured that does not answer.
pub(crate) fn lacks_agent(request: &Request<'_>, guest: &crate::state::Guest) -> bool {
    let ready = guest.started + request.options.agent_delay.as_millis() as u64 <= request.now;
    (guest.paused || !ready) && guest.config.get("agent").is_some_and(|text| enabled(text))
}

fn alive(request: &Request<'_>) -> Result<(), Failure> {
    let guest = request.guest(KIND)?;
    // The option's presence is asked for here, not what it says (`assert_agent_available`).
    let Some(text) = guest.config.get("agent") else {
        return Err(Failure::died("No QEMU guest agent configured"));
    };
    if !guest.running {
        return Err(Failure::died(format!("VM {} is not running", request.vmid())));
    }
    let ready = guest.started + request.options.agent_delay.as_millis() as u64 <= request.now;
    if enabled(text) && ready && !guest.paused {
        Ok(())
    } else {
        Err(Failure::died("QEMU guest agent is not running"))
    }
}

/// What Linux takes a block of memory as, on machines of less than 64 GiB.
const MEMORY_BLOCK: u64 = 128 << 20;

/// The endpoint from before there was one for each command.
fn by_name(request: &mut Request<'_>) -> Answer {
    match request.get("command").unwrap_or_default() {
        "network-get-interfaces" => interfaces(request),
        "get-host-name" => host_name(request),
        "get-osinfo" => os_info(request),
        "get-fsinfo" | "get-users" => empty_list(request),
        "get-timezone" => time_zone(request),
        "fsfreeze-status" => freeze_status(request),
        "fsfreeze-freeze" | "fsfreeze-thaw" => file_systems(request),
        "fstrim" => trim(request),
        "get-vcpus" => processors(request),
        "get-memory-blocks" => memory_blocks(request),
        "info" => information(request),
        _ => ping(request),
    }
}

fn processors(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let number = |key: &str| request.guest(KIND).ok()?.config.get(key)?.parse::<u64>().ok();
    let count = number("vcpus").unwrap_or(number("cores").unwrap_or(1) * number("sockets").unwrap_or(1));
    // The first one cannot be taken away.
    let row = |at: u64| json!({ "logical-id": at, "online": true, "can-offline": at > 0 });
    result((0..count).map(row).collect())
}

fn memory_blocks(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let memory = super::memory(&request.guest(KIND)?.config) << 20;
    let row = |at: u64| json!({ "phys-index": at, "online": true, "can-offline": true });
    result((0..memory.div_ceil(MEMORY_BLOCK)).map(row).collect())
}

fn information(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let names = [
        "exec",
        "exec-status",
        "file-close",
        "file-open",
        "file-read",
        "file-write",
        "fsfreeze-freeze",
        "fsfreeze-status",
        "fsfreeze-thaw",
        "fstrim",
        "get-fsinfo",
        "get-host-name",
        "get-osinfo",
        "get-time",
        "network-get-interfaces",
        "ping",
        "shutdown",
    ];
    let row = |name: &str| json!({ "name": format!("guest-{name}"), "enabled": true, "success-response": name != "shutdown" });
    result(json!({ "version": "10.0.13", "supported_commands": names.map(row) }))
}

/// Freezing and thawing answer how many file systems they did it to.
fn file_systems(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!(1))
}

fn read_file(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let file = request.text("file");
    let found = request.state.guest_files.get(&request.vmid()).and_then(|files| files.get(&file));
    let Some(content) = found else {
        let text =
            format!("Agent error: failed to open file '{file}' (mode: 'r'): No such file or directory");
        return Err(Failure::died(text));
    };
    Ok(json!({ "content": content, "bytes-read": content.len() }))
}

fn write_file(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let (vmid, file, content) = (request.vmid(), request.text("file"), request.text("content"));
    request.state.guest_files.entry(vmid).or_default().insert(file, content);
    Ok(Value::Null)
}

fn result(value: Value) -> Answer {
    Ok(json!({ "result": value }))
}

fn index(_: &mut Request<'_>) -> Answer {
    let names = [
        "exec",
        "exec-status",
        "file-read",
        "file-write",
        "fsfreeze-freeze",
        "fsfreeze-status",
        "fsfreeze-thaw",
        "fstrim",
        "get-fsinfo",
        "get-host-name",
        "get-memory-block-info",
        "get-memory-blocks",
        "get-osinfo",
        "get-time",
        "get-timezone",
        "get-users",
        "get-vcpus",
        "info",
        "network-get-interfaces",
        "ping",
        "set-user-password",
        "shutdown",
        "suspend-disk",
        "suspend-hybrid",
        "suspend-ram",
    ];
    Ok(names.iter().map(|name| json!({ "name": name })).collect())
}

/// Addresses as the guest would have them: the static ones of `ipconfigN`, else one by the MAC.
fn interfaces(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let guest = request.guest(KIND)?;
    let zero = json!({
        "rx-bytes": 0, "rx-packets": 0, "rx-errs": 0, "rx-dropped": 0,
        "tx-bytes": 0, "tx-packets": 0, "tx-errs": 0, "tx-dropped": 0,
    });
    let mut cards = vec![json!({
        "name": "lo", "hardware-address": "00:00:00:00:00:00", "statistics": zero,
        "ip-addresses": [
            { "ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8 },
            { "ip-address": "::1", "ip-address-type": "ipv6", "prefix": 128 },
        ],
    })];
    for index in 0..32 {
        let Some(card) = guest.config.get(&format!("net{index}")) else { continue };
        let mac = card.split(',').next().and_then(|first| first.split_once('=')).map_or("", |(_, mac)| mac);
        let (address, prefix) = address_of(guest.config.get(&format!("ipconfig{index}")), mac);
        cards.push(json!({
            "name": format!("eth{index}"), "hardware-address": mac.to_lowercase(), "statistics": zero,
            "ip-addresses": [
                { "ip-address": address, "ip-address-type": "ipv4", "prefix": prefix },
                { "ip-address": link_local(mac), "ip-address-type": "ipv6", "prefix": 64 },
            ],
        }));
    }
    result(Value::Array(cards))
}

/// The IPv4 address a guest has: the configured one, or one made from the MAC as a DHCP server would lease.
pub(crate) fn address_of(settings: Option<&String>, mac: &str) -> (String, u32) {
    let stated = settings.and_then(|text| text.split(',').find_map(|part| part.strip_prefix("ip=")));
    if let Some((address, prefix)) = stated.and_then(|cidr| cidr.split_once('/')) {
        return (address.to_owned(), prefix.parse().unwrap_or(24));
    }
    let bytes: Vec<u8> = mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let [.., high, low] = bytes[..] else { return ("10.0.1.1".to_owned(), 16) };
    (format!("10.0.{high}.{}", low.clamp(1, 254)), 16)
}

/// The link-local address of a MAC (RFC 4291, appendix A).
fn link_local(mac: &str) -> String {
    let bytes: Vec<u8> = mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let [a, b, c, d, e, f] = bytes[..] else { return "fe80::1".to_owned() };
    let words = [
        u16::from_be_bytes([a ^ 2, b]),
        u16::from_be_bytes([c, 0xff]),
        u16::from_be_bytes([0xfe, d]),
        u16::from_be_bytes([e, f]),
    ];
    std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, words[0], words[1], words[2], words[3]).to_string()
}

fn host_name(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    let name = request.guest(KIND)?.config.get("name").cloned().unwrap_or_default();
    result(json!({ "host-name": name }))
}

fn os_info(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!({
        "id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 13 (trixie)",
        "version": "13 (trixie)", "version-id": "13", "machine": "x86_64",
        "kernel-release": "6.12.107+deb13-cloud-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC",
    }))
}

fn empty_list(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!([]))
}

fn time_zone(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!({ "offset": 0, "zone": "UTC" }))
}

fn ping(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!({}))
}

fn freeze_status(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!("thawed"))
}

fn trim(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    result(json!({ "paths": [] }))
}

fn exec_status(request: &mut Request<'_>) -> Answer {
    alive(request)?;
    Ok(json!({ "exited": 1, "exitcode": 0, "out-data": "", "out-truncated": 0 }))
}
