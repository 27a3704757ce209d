//! Formats of users, storages, networks and jobs (the `register_format` calls of Proxmox VE's modules).

use std::net::{IpAddr, Ipv4Addr};

use super::formats::{is_dns_name, is_storage_id, matches};
use super::{Property, addresses};

/// Checks a value of a format; the text is what comes after `invalid format - `.
pub(super) fn check(format: &str, value: &str) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("value does not look like a valid {what}"));
    match format {
        "pve-userid" => user(value),
        "pve-tokenid"
            if !value.split_once('!').is_some_and(|(name, id)| user(name).is_ok() && !id.is_empty()) =>
        {
            Err(format!("value '{value}' does not look like a valid token ID"))
        }
        "pve-ha-resource-id" if !matches(r"^[a-z]+:\S+$", value) => refuse("ha resource id"),
        "pve-ha-resource-or-vm-id" if !matches(r"^([a-z]+:\S+|\d+)$", value) => refuse("ha resource id"),
        "pve-ha-node" if !matches(r"(?i)^([a-z0-9]([a-z0-9-]*[a-z0-9])?)(:\d+)?$", value) => {
            refuse("ha node")
        }
        "pve-calendar-event" if crate::calendar::parse(value).is_none() => {
            Err(format!("invalid calendar event '{value}' - unable to parse calendar event"))
        }
        "pve-day-of-week" if !["mon", "tue", "wed", "thu", "fri", "sat", "sun"].contains(&value) => {
            Err(format!("invalid day '{value}'"))
        }
        "pve-replication-job-id" if !matches(r"^[1-9]\d{2,8}-\d{1,9}$", value) => {
            Err(format!("invalid replication job id '{value}'"))
        }
        "pve-task-status-type" if !["ok", "error", "warning", "unknown"].contains(&value) => {
            Err(format!("unknown status type '{value}'"))
        }
        "acme-plugin-id" if !matches(r"(?i)^[a-z][a-z0-9\-_.]*[a-z0-9]$", value) => {
            Err(format!("ACME plugin ID '{value}' contains illegal characters"))
        }
        "email-or-username" if !matches(r"^[\w+.~-]+(@[\w.-]+)?$", value) => {
            refuse("email address or user name")
        }
        "ldap-simple-attr" if !matches(r"^[a-zA-Z0-9\-.;]+$", value) => {
            Err(format!("value '{value}' does not look like a simple ldap attribute name"))
        }
        "graphite-path" if !matches(r"^[a-zA-Z0-9_\-]+(\.[a-zA-Z0-9_\-]+)*$", value) => {
            Err("value does not look like a valid graphite path".to_owned())
        }
        "pem-string" if !is_pem(value) => {
            Err("value does not look like a valid PEM-formatted string".to_owned())
        }
        "pem-certificate-chain" if !is_pem(value) => {
            Err("value does not look like a valid PEM-formatted certificate chain".to_owned())
        }
        "pve-command-batch" if serde_json::from_str::<serde_json::Value>(value).is_err() => {
            Err("commands param did not contain valid JSON".to_owned())
        }
        _ => network(format, value),
    }
}

fn network(format: &str, value: &str) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("value does not look like a valid {what}"));
    let is_address = |value: &str| value.parse::<IpAddr>().is_ok();
    match format {
        "address" if !is_address(value) && !is_dns_name(value) => {
            Err(format!("value does not look like a valid address: {value}"))
        }
        "ipv4mask" if !is_mask(value) => refuse("IP netmask"),
        "mac-prefix" if !matches(r"(?i)^[a-f0-9][02468ace](?::[a-f0-9]{2}){0,2}:?$", value) => {
            Err("value is not a valid unicast MAC address prefix".to_owned())
        }
        "pve-vlan-id-or-range" => vlan(value),
        "pve-sdn-subnet-id" => {
            let cidr = if value.contains('/') {
                value.to_owned()
            } else {
                value.split('-').skip(1).take(2).collect::<Vec<_>>().join("/")
            };
            if addresses::is_cidr4(&cidr) || addresses::is_cidr6(&cidr) {
                Ok(())
            } else {
                refuse("CIDR network")
            }
        }
        "pve-storage-server" if !is_address(value) && !is_dns_name(value) => {
            refuse("server name or IP address")
        }
        "pve-storage-vgname" if !matches(r"(?i)^[a-z0-9][a-z0-9\-_.]*[a-z0-9]$", value) => {
            Err(format!("lvm name '{value}' contains illegal characters"))
        }
        "pve-storage-options" if value.is_empty() || value.contains(char::is_whitespace) => {
            Err(format!("invalid options '{value}'"))
        }
        "pve-storage-portal-dns" if !is_host(value) => refuse("portal address"),
        "pve-dir-override" if !matches(r"^[a-z]+=[^.]*(\.?[^.]+)+$", value) => {
            Err(format!("invalid override '{value}'"))
        }
        "storage-pair" => pair(value, "storage", is_storage_id),
        "bridge-pair" => pair(value, "bridge", |id| matches(r"^[-_.\w]+$", id)),
        "lxc-ip-with-ll-iface" if !is_address(value.split('%').next().unwrap_or_default()) => {
            refuse("IP address")
        }
        _ => Ok(()),
    }
}

fn user(value: &str) -> Result<(), String> {
    crate::access::verify_name(value).map(drop).map_err(|failure| failure.reason)
}

fn is_pem(value: &str) -> bool {
    value.contains("-----BEGIN ") && value.contains("-----END ")
}

fn is_mask(value: &str) -> bool {
    value.parse::<Ipv4Addr>().is_ok_and(|mask| {
        let bits = u32::from(mask);
        (8..=32).contains(&bits.leading_ones()) && bits.leading_ones() + bits.trailing_zeros() == 32
    })
}

fn is_host(value: &str) -> bool {
    let host = match value.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host.trim_matches(['[', ']']),
        _ => value,
    };
    host.parse::<IpAddr>().is_ok() || is_dns_name(host)
}

fn vlan(value: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<u32>().ok();
    let (first, last) = match value.split_once('-') {
        Some((first, last)) => (number(first), Some(number(last))),
        None => (number(value), None),
    };
    let Some(first) = first.filter(|_| last != Some(None)) else {
        return Err(format!("invalid VLAN configuration '{value}'"));
    };
    let last = last.flatten();
    if let Some(tag) = [Some(first), last].into_iter().flatten().find(|tag| !(2..=4094).contains(tag)) {
        return Err(format!("invalid VLAN tag '{tag}'"));
    }
    match last {
        Some(last) if first >= last => Err(format!("VLAN range must go from lower to higher tag '{value}'")),
        _ => Ok(()),
    }
}

/// `A:B`, or one name for all, or `1` for the same.
fn pair(value: &str, what: &str, is_id: impl Fn(&str) -> bool) -> Result<(), String> {
    let valid = value == "1" || value.split(':').all(is_id) && value.split(':').count() <= 2;
    if valid { Ok(()) } else { Err(format!("unable to parse {what} pair '{value}'")) }
}

/// Rules that come with a format beyond the description: standard options whose pattern it leaves out.
pub(super) fn standard(format: &str) -> Option<&'static Property> {
    use std::sync::OnceLock;
    static SHORT: OnceLock<Property> = OnceLock::new();
    static WORD: OnceLock<Property> = OnceLock::new();
    static CONTROLLER: OnceLock<Property> = OnceLock::new();
    static FABRIC: OnceLock<Property> = OnceLock::new();
    let rules = |pattern: &str, minimum: usize, maximum: usize| Property {
        pattern: Some(pattern.to_owned()),
        minimum_length: Some(minimum),
        maximum_length: Some(maximum),
        ..Property::default()
    };
    let word = "[a-zA-Z][a-zA-Z0-9]*[a-zA-Z0-9]";
    match format {
        "pve-sdn-zone-id" | "pve-sdn-vnet-id" => Some(SHORT.get_or_init(|| rules(word, 2, 8))),
        "pve-sdn-dns-id" | "pve-sdn-ipam-id" => Some(WORD.get_or_init(|| rules(word, 2, 4096))),
        "pve-sdn-controller-id" => {
            Some(CONTROLLER.get_or_init(|| rules("[a-zA-Z][a-zA-Z0-9_-]*[a-zA-Z0-9]", 2, 64)))
        }
        "pve-sdn-fabric-id" => Some(FABRIC.get_or_init(|| rules("[a-zA-Z0-9][a-zA-Z0-9-]*", 1, 8))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_refuse_what_proxmox_refuses() {
        let cases = [
            ("pve-replication-job-id", "100-0", "bad"),
            ("mac-prefix", "BC:24:11", "zz"),
            ("ipv4mask", "255.255.255.0", "255.0.255.0"),
            ("address", "host.example", "a b"),
            ("pve-vlan-id-or-range", "2-100", "1"),
            ("pve-sdn-subnet-id", "z1-10.0.0.0-24", "x"),
            ("pve-ha-resource-id", "vm:100", "100"),
            ("pve-calendar-event", "*/15", "often"),
            ("storage-pair", "a1:b1", "a1:b1:c1"),
        ];
        for (format, good, bad) in cases {
            assert_eq!(check(format, good), Ok(()), "{format}");
            assert!(check(format, bad).is_err(), "{format}");
        }
    }
}
