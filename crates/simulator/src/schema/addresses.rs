//! Formats of addresses, networks, protocols and ports.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::formats::matches;
use crate::firewall::is_icmp_type;

pub(super) fn is_unicast_mac(value: &str) -> bool {
    matches(r"(?i)^[a-f0-9][02468ace](:[a-f0-9]{2}){5}$", value)
}

pub(super) fn is_cidr4(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<Ipv4Addr>().is_ok() && prefix.parse::<u8>().is_ok_and(|bits| bits <= 32)
    })
}

pub(super) fn is_cidr6(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<Ipv6Addr>().is_ok() && prefix.parse::<u8>().is_ok_and(|bits| bits <= 128)
    })
}

/// True for an address or a network in either family.
pub(crate) fn is_address_or_network(value: &str) -> bool {
    value.parse::<std::net::IpAddr>().is_ok() || is_cidr4(value) || is_cidr6(value)
}

pub(super) fn is_alias(value: &str) -> bool {
    let name = value.strip_prefix("dc/").or_else(|| value.strip_prefix("guest/")).unwrap_or(value);
    matches(r"(?i)^[a-z][a-z0-9\-_]+$", name) && name.len() >= 2 && name != "x"
}

pub(super) fn is_protocol(value: &str) -> bool {
    let known = [
        "tcp",
        "udp",
        "icmp",
        "icmpv6",
        "ipv6-icmp",
        "igmp",
        "gre",
        "esp",
        "ah",
        "sctp",
        "dccp",
        "udplite",
        "ipip",
        "ospf",
        "vrrp",
        "ipencap",
        "ipv6",
        "l2tp",
        "pim",
        "rsvp",
        "egp",
        "igp",
        "eigrp",
        "mobility-header",
        "all",
    ];
    known.contains(&value) || value.parse::<u8>().is_ok()
}

/// Ports as a rule has them: numbers, ranges of numbers and services. Nothing is allowed, a rule's value is taken
/// away by it. Destination ports may name kinds of ICMP, alone.
pub(super) fn ports(value: &str, destination: bool) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    if value.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    let (mut numbers, mut kinds) = (0, 0);
    for item in value.split(',') {
        match item.split_once(':') {
            Some((low, high)) if is_digits(low) && is_digits(high) => {
                if port(low)? > port(high)? {
                    return Err(format!(
                        "backwards range '{low}:{high}' not allowed, did you mean '{high}:{low}'?"
                    ));
                }
                numbers += 2;
            }
            _ if is_digits(item) => {
                port(item)?;
                numbers += 1;
            }
            _ if destination && is_icmp_type(item) => kinds += 1,
            _ if is_service(item) => {}
            _ => return Err(format!("invalid port '{item}'")),
        }
    }
    if kinds > 0 && numbers > 0 {
        return Err("ICMP ports not allowed in port range".to_owned());
    }
    if numbers > 15 {
        return Err("too many entries in port list (> 15 numbers)".to_owned());
    }
    Ok(())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("invalid port '{text}'"))
}

pub(super) fn is_service(value: &str) -> bool {
    let known = [
        "ssh",
        "http",
        "https",
        "domain",
        "smtp",
        "ftp",
        "telnet",
        "ntp",
        "snmp",
        "ldap",
        "ldaps",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
        "mysql",
        "postgresql",
        "bootps",
        "bootpc",
        "tftp",
        "syslog",
        "nfs",
        "sunrpc",
        "rsync",
    ];
    known.contains(&value)
}

pub(super) fn firewall_addresses(value: &str) -> Result<(), String> {
    // Nothing takes a rule's address away.
    if value.is_empty() || value.starts_with('+') || is_alias(value) {
        return Ok(());
    }
    if value.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    let items: Vec<&str> = value.split(',').collect();
    for item in &items {
        if let Some((first, last)) = item.split_once('-') {
            if items.len() > 1 {
                return Err("you can't use a range in a list".to_owned());
            }
            if first.parse::<std::net::IpAddr>().is_ok() && last.parse::<std::net::IpAddr>().is_ok() {
                continue;
            }
        }
        if let Some(text) = bad_address(item) {
            return Err(format!("invalid IP address: {text}"));
        }
    }
    Ok(())
}

pub(super) fn bad_address(item: &str) -> Option<String> {
    let (address, prefix) = item.split_once('/').unwrap_or((item, ""));
    if let Ok(parsed) = address.parse::<Ipv4Addr>() {
        let bits: u32 = prefix.parse().unwrap_or(32).min(32);
        let host = u64::from(u32::from(parsed)) & ((1u64 << (32 - bits)) - 1);
        return (host != 0).then(|| format!("Invalid prefix {:032b}/{bits}", u32::from(parsed)));
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return None;
    }
    let bad = address.split('.').find(|quad| quad.parse::<u8>().is_err());
    Some(match bad {
        Some(quad) if address.split('.').count() == 4 => {
            format!("Invalid quad in IP address {address} - {quad}")
        }
        _ => format!("Cannot determine IP version for {address}"),
    })
}
