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
];

/// True if the `agent` option says so.
pub(crate) fn enabled(text: &str) -> bool {
    let first = text.split(',').next().unwrap_or_default();
    property_string::boolean(first.strip_prefix("enabled=").unwrap_or(first)) == Some(true)
}

fn alive(request: &Request<'_>) -> Result<(), Failure> {
    let guest = request.guest(KIND)?;
    if !guest.running {
        return Err(Failure::died(format!("VM {} is not running", request.vmid())));
    }
    let ready = guest.started + request.options.agent_delay.as_millis() as u64 <= request.now;
    match guest.config.get("agent") {
        Some(text) if enabled(text) && ready && !guest.paused => Ok(()),
        Some(text) if enabled(text) => Err(Failure::died("QEMU guest agent is not running")),
        _ => Err(Failure::died("No QEMU guest agent configured")),
    }
}

fn result(value: Value) -> Answer {
    Ok(json!({ "result": value }))
}

fn index(request: &mut Request<'_>) -> Answer {
    request.guest(KIND)?;
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
