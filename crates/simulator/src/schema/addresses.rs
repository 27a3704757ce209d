//! Formats of addresses, networks, protocols and ports.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::formats::matches;
use crate::firewall::is_icmp_type;

pub(super) fn is_unicast_mac(value: &str) -> bool {
    matches(r"(?i)^[a-f0-9][02468ace](:[a-f0-9]{2}){5}$", value)
}

/// A network of IPv4 as Proxmox VE's own formats take it: with a prefix of 8 bits at least.
pub(super) fn is_cidr4(value: &str) -> bool {
    network::<Ipv4Addr>(value, 32).is_some_and(|bits| bits > 7)
}

/// A network of IPv6, with a prefix of 8 bits at least.
pub(super) fn is_cidr6(value: &str) -> bool {
    network::<Ipv6Addr>(value, 128).is_some_and(|bits| bits > 7)
}

/// The length of the prefix of `ADDRESS/BITS`.
fn network<Address: std::str::FromStr>(value: &str, most: u32) -> Option<u32> {
    let (address, prefix) = value.split_once('/').filter(|(_, prefix)| is_digits(prefix))?;
    address.parse::<Address>().ok()?;
    prefix.parse().ok().filter(|bits| *bits <= most)
}

/// True for an address or a network of any size in either family.
pub(crate) fn is_address_or_network(value: &str) -> bool {
    value.parse::<std::net::IpAddr>().is_ok()
        || network::<Ipv4Addr>(value, 32).is_some()
        || network::<Ipv6Addr>(value, 128).is_some()
}

pub(super) fn is_alias(value: &str) -> bool {
    let name = value.strip_prefix("dc/").or_else(|| value.strip_prefix("guest/")).unwrap_or(value);
    matches(r"(?i)^[a-z][a-z0-9\-_]+$", name) && name.len() >= 2 && name != "x"
}

/// Protocols by name, as Debian's `/etc/protocols` has them, and `icmpv6`.
const PROTOCOLS: &str = "\
    ah ax.25 dccp ddp egp eigrp encap esp etherip ethernet fc ggp gre hip hmp hopopt icmp icmpv6 \
    idpr-cmtp idrp igmp igp ip ipcomp ipencap ipip ipv6 ipv6-frag ipv6-icmp ipv6-nonxt ipv6-opts \
    ipv6-route isis iso-tp4 l2tp manet mobility-header mpls-in-ip mptcp ospf pim pup rdp rohc rspf rsvp \
    sctp shim6 skip st tcp udp udplite vmtp vrrp wesp xns-idp xtp";

/// Their numbers.
const PROTOCOL_NUMBERS: &str = "\
    0 1 2 3 4 5 6 8 9 12 17 20 22 27 29 33 36 37 38 41 43 44 45 46 47 50 51 57 58 59 60 73 81 88 89 93 \
    94 97 98 103 108 112 115 124 132 133 135 136 137 138 139 140 141 142 143 262";

pub(super) fn is_protocol(value: &str) -> bool {
    PROTOCOLS.split(' ').chain(PROTOCOL_NUMBERS.split(' ')).any(|known| known == value)
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

/// True for a name that Debian's `/etc/services` begins a line with; its other names of a service are not taken.
fn is_service(value: &str) -> bool {
    include_str!("../../schema/services.txt").split_whitespace().any(|known| known == value)
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
    let sixes = items.iter().filter(|item| item.contains(':')).count();
    if sixes != 0 && sixes != items.len() {
        return Err(format!("detected mixed ipv4/ipv6 addresses in address list '{value}'"));
    }
    Ok(())
}

/// Why this is no address or network (Net::IP): no bits may be set behind the prefix, and an address of IPv4 may be
/// short, `10/8`.
fn bad_address(item: &str) -> Option<String> {
    let (address, prefix) =
        item.split_once('/').map_or((item, None), |(address, bits)| (address, Some(bits)));
    let (value, most) = match address.parse::<Ipv6Addr>() {
        Ok(parsed) => (u128::from(parsed), 128),
        Err(_) => match short_ipv4(address) {
            Ok(parsed) => (u128::from(parsed), 32),
            Err(text) => return Some(text),
        },
    };
    let Some(bits) = prefix.map_or(Some(most), |bits| bits.parse::<u32>().ok()).filter(|bits| *bits <= most)
    else {
        return Some(format!("Invalid prefix length {}", prefix.unwrap_or_default()));
    };
    let host = value & 1u128.checked_shl(most - bits).map_or(u128::MAX, |bit| bit - 1);
    (host != 0).then(|| format!("Invalid prefix {value:0width$b}/{bits}", width = most as usize))
}

/// An address of one to four numbers; those that are missing are 0.
fn short_ipv4(address: &str) -> Result<u32, String> {
    let quads: Vec<&str> = address.split('.').collect();
    if quads.len() > 4 || !quads.iter().all(|quad| is_digits(quad)) {
        return Err(format!("Cannot determine IP version for {address}"));
    }
    let mut value = 0;
    for at in 0..4 {
        let quad = quads.get(at).copied().unwrap_or("0");
        let number: u8 =
            quad.parse().map_err(|_| format!("Invalid quad in IP address {address} - {quad}"))?;
        value = value << 8 | u32::from(number);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_of_rules_are_taken_as_the_firewall_takes_them() {
        for value in [
            "10.0.0.0/8",
            "10/8",
            "192.168.1",
            "10.0.0.1,10.0.0.2",
            "10.0.0.1-10.0.0.9",
            "2001:db8::/32",
            "::/0",
            "+dc/set",
            "guest/web",
            "0.0.0.0/0",
        ] {
            assert_eq!(firewall_addresses(value), Ok(()), "{value}");
        }
        for value in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "2001:db8::1/32",
            "10.0.0.1,::1",
            "1.2.3.4.5",
            "300.1.1.1",
            "a b",
            "10.0.0.1,",
        ] {
            assert!(firewall_addresses(value).is_err(), "{value}");
        }
        for value in
            ["22", "22,80:90", "ms-wbt-server", "imap2", "nfs,2049", "svn", "syslog-tls", "postgresql"]
        {
            assert_eq!(ports(value, false), Ok(()), "{value}");
        }
        for value in ["www", "no-such", "70000", "90:80"] {
            assert!(ports(value, false).is_err(), "{value}");
        }
        for value in ["tcp", "hopopt", "ax.25", "ipv6-icmp", "icmpv6", "mptcp", "47"] {
            assert!(is_protocol(value), "{value}");
        }
        assert!(!is_protocol("7") && !is_protocol("nope"));
    }
}
