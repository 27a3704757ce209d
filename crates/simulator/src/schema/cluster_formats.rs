//! Formats of users, storages, networks and jobs (the `register_format` calls of Proxmox VE's modules).

use std::net::{IpAddr, Ipv4Addr};

use super::formats::{is_dns_name, is_storage_id, matches};
use super::{Property, addresses};

/// Checks a value of a format; the text is what comes after `invalid format - `.
pub(super) fn check(format: &str, value: &str) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("value does not look like a valid {what}"));
    match format {
        "pve-userid" => user(value),
        "pve-tokenid" if !is_token(value) => {
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
        "pve-task-status-type" if !matches(r"(?i)^(ok|error|warning|unknown)$", value) => {
            Err(format!("invalid status '{value}'"))
        }
        "acme-plugin-id" if value.chars().count() < 2 => {
            Err(format!("ACME plugin ID '{value}' cannot be shorter than 2 characters"))
        }
        "acme-plugin-id" if !matches(r"(?i)^[a-z][a-z0-9\-_.]*[a-z0-9]$", value) => {
            Err(format!("ACME plugin ID '{value}' contains illegal characters"))
        }
        "pve-acme-domain" if !matches(r"(?i)^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+$", value) => {
            Err(format!("value '{value}' does not look like a valid domain name!"))
        }
        "pve-acme-alias" if !matches(r"(?i)^[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_][a-z0-9_-]*)+$", value) => {
            Err(format!("value '{value}' does not look like a valid alias name!"))
        }
        "ldap-simple-attr" if !matches(r"^[a-zA-Z0-9\-.;]+$", value) => {
            Err(format!("value '{value}' does not look like a simple ldap attribute name"))
        }
        "graphite-path" if !is_dns_name(value) => {
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
        "mac-prefix" if !matches(r"(?i)^[a-f0-9][02468ace](?::[a-f0-9]{2}){0,2}(?::[a-f0-9]?)?$", value) => {
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
        "pve-sdn-bgp-rt" if !is_route_target(value) => refuse("bgp route-target"),
        "pve-sdn-isis-net" if !matches(r"^[a-fA-F0-9]{2}(\.[a-fA-F0-9]{4}){3,9}\.[a-fA-F0-9]{2}$", value) => {
            refuse("isis net")
        }
        "pve-lxc-mp-string" if matches(r"/\.\.?(/|$)|^\.\./", value) => {
            Err(format!("{value} contains illegal character sequences"))
        }
        "pve-lxc-dev-string" if !value.starts_with("/dev/") || matches(r"/\.\.?(/|$)", value) => {
            Err(format!("{value} is not a valid device path"))
        }
        "lxc-ip-with-ll-iface" if !is_address(value.split('%').next().unwrap_or_default()) => {
            refuse("IP address")
        }
        _ => Ok(()),
    }
}

fn user(value: &str) -> Result<(), String> {
    crate::access::verify_name(value).map(drop).map_err(|failure| failure.reason)
}

fn is_token(value: &str) -> bool {
    value
        .rsplit_once('!')
        .is_some_and(|(name, id)| user(name).is_ok() && matches(r"^[A-Za-z][A-Za-z0-9.\-_]+$", id))
}

/// `ASN:ID`, both of 32 bits.
fn is_route_target(value: &str) -> bool {
    let number = |text: &str| matches(r"^\d+$", text) && text.parse::<u32>().is_ok();
    value.split_once(':').is_some_and(|(asn, id)| number(asn) && number(id))
}

fn is_pem(value: &str) -> bool {
    value.contains("-----BEGIN ") && value.contains("-----END ")
}

fn is_mask(value: &str) -> bool {
    value.parse::<Ipv4Addr>().is_ok_and(|mask| {
        let bits = u32::from(mask);
        bits.leading_ones() + bits.trailing_zeros() == 32
    })
}

/// A host with or without a port: `host:3260`, `[fd00::1]:3260`, `fd00::1.3260`.
fn is_host(value: &str) -> bool {
    let is_name = |host: &str| matches(r"^[[:alnum:]\-.]+$", host);
    let is_port = |port: &str| matches(r"^\d+$", port);
    let is_six = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    if let Some((host, port)) = value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return (is_name(host) || is_six(host)) && port_fits;
    }
    let with_port = |separator| value.rsplit_once(separator).filter(|(_, port)| is_port(port));
    is_name(value)
        || is_six(value)
        || with_port(':').is_some_and(|(host, _)| is_name(host))
        || with_port('.').is_some_and(|(host, _)| is_six(host))
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
            ("mac-prefix", "BC:24:11:a", "BC:24:11:00:0"),
            ("mac-prefix", "02:", "03"),
            ("ipv4mask", "255.255.255.0", "255.0.255.0"),
            ("ipv4mask", "0.0.0.0", "24"),
            ("address", "host.example", "a b"),
            ("pve-vlan-id-or-range", "2-100", "1"),
            ("pve-sdn-subnet-id", "z1-10.0.0.0-24", "x"),
            ("pve-sdn-bgp-rt", "65000:4294967295", "65000"),
            ("pve-sdn-isis-net", "47.0023.0000.0000.0000.0000.0000.0000.1900.0004.00", "47.00"),
            ("pve-ha-resource-id", "vm:100", "100"),
            ("pve-ha-node", "pve-1:100", "pve1:high"),
            ("pve-calendar-event", "*/15", "often"),
            ("pve-calendar-event", "sat *-1..7 15:00", "0 2 * * *"),
            ("pve-task-status-type", "OK", "fine"),
            ("pve-tokenid", "root@pam!ci-1", "root@pam!1"),
            ("pve-acme-domain", "a_b.example.org", "*.example.org"),
            ("pve-acme-alias", "_acme.example.org", "example"),
            ("graphite-path", "a.b-c", "a_b"),
            ("pve-storage-portal-dns", "fd00::1", "[fd00::1"),
            ("pve-storage-portal-dns", "[fd00::1]:3260", "fd00::1:x"),
            ("pve-storage-portal-dns", "fd00::1.3260", "a b"),
            ("pve-storage-portal-dns", "san.example:3260", "san:iscsi"),
            ("pve-lxc-mp-string", "/mnt/.hidden/..a", "/mnt/../etc"),
            ("pve-lxc-dev-string", "/dev/dri/card0", "/etc/passwd"),
            ("storage-pair", "a1:b1", "a1:b1:c1"),
        ];
        for (format, good, bad) in cases {
            assert_eq!(check(format, good), Ok(()), "{format}");
            assert!(check(format, bad).is_err(), "{format}");
        }
    }
}
