//! The named formats of the API (`pve-vmid`, `mac-addr`, ...), with PVE's error texts.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use regex::Regex;

use super::addresses::{
    firewall_addresses, is_address_or_network, is_alias, is_cidr4, is_cidr6, is_protocol, is_unicast_mac,
    ports,
};
use crate::firewall::is_icmp_type;

/// Checks `value` against the format; formats that are not known here accept everything.
pub(crate) fn check(format: &str, value: &str) -> Result<(), String> {
    if let Some(item_format) = format.strip_suffix("-list")
        && !matches!(format, "pve-tag-list" | "pve-qm-bootdev-list")
    {
        return split_list(value).try_for_each(|item| check(item_format, item));
    }
    let refuse = |what: &str| Err(format!("value does not look like a valid {what}"));
    match format {
        "pve-vmid" if !is_vmid(value) => refuse("VM ID"),
        "pve-node" if !matches(r"(?i)^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", value) => refuse("node name"),
        "dns-name" if !is_dns_name(value) => refuse("DNS name"),
        "pve-configid" if !matches(r"(?i)^[a-z][a-z0-9_-]+$", value) => {
            Err(format!("invalid configuration ID '{value}'"))
        }
        "pve-storage-id" => storage_id(value),
        "pve-poolid" if !matches(r"(?i)^[a-z0-9.\-_]+(/[a-z0-9.\-_]+){0,2}$", value) => {
            Err(format!("value '{value}' does not look like a valid pool name"))
        }
        "pve-bridge-id" if !matches(r"^[-_.\w]+$", value) => Err(format!("invalid bridge ID '{value}'")),
        "pve-iface" if !matches(r"(?i)^[a-z][a-z0-9_]{1,20}([:.]\d+)?$", value) => {
            Err(format!("invalid network interface name '{value}'"))
        }
        "mac-addr" if !is_unicast_mac(value) => refuse("unicast MAC address"),
        "ipv4" if value.parse::<Ipv4Addr>().is_err() => refuse("IPv4 address"),
        "ipv6" if value.parse::<Ipv6Addr>().is_err() => refuse("IPv6 address"),
        "ip" if value.parse::<std::net::IpAddr>().is_err() => refuse("IP address"),
        "pve-ipv4-config" if !matches!(value, "dhcp" | "manual") && !is_cidr4(value) => {
            refuse("ipv4 network configuration")
        }
        "pve-ipv6-config" if !matches!(value, "auto" | "dhcp" | "manual") && !is_cidr6(value) => {
            refuse("ipv6 network configuration")
        }
        "CIDR" if !is_cidr4(value) && !is_cidr6(value) => refuse("CIDR network"),
        "CIDRv4" if !is_cidr4(value) => refuse("IPv4 CIDR network"),
        "CIDRv6" if !is_cidr6(value) => refuse("IPv6 CIDR network"),
        "IPorCIDR" if !is_address_or_network(value) => refuse("IP address or CIDR network"),
        "IPorCIDRorAlias" if !is_address_or_network(value) && !is_alias(value) => {
            refuse("IP address or CIDR network")
        }
        "disk-size" if !matches(r"^(\d+(\.\d+)?)([KMGT])?$", value) => refuse("disk size"),
        "pve-volume-id" if !is_volume_id(value) => Err(format!("unable to parse volume ID '{value}'")),
        "pve-volume-id-or-qm-path"
            if !matches!(value, "none" | "cdrom") && !value.starts_with('/') && !is_volume_id(value) =>
        {
            Err(format!("unable to parse volume ID '{value}'"))
        }
        "pve-volume-id-or-absolute-path" if !value.starts_with('/') && !is_volume_id(value) => {
            Err(format!("unable to parse volume ID '{value}'"))
        }
        "urlencoded" if !matches(r"^[-%a-zA-Z0-9_.!~*'()]*$", value) => {
            Err(format!("invalid urlencoded string: {value}"))
        }
        "pve-storage-path" if !value.starts_with('/') => refuse("absolute path"),
        "pve-cpuset" if !matches(r"^\d+(-\d+)?(,\d+(-\d+)?)*$", value) => {
            Err("unable to parse cpuset option".to_owned())
        }
        "pve-ct-timezone" if value != "host" && !value.contains('/') && value != "UTC" => {
            Err(format!("invalid time zone '{value}'"))
        }
        "email-opt"
            if !value.is_empty() && !matches(r"^[\w+.~-]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$", value) =>
        {
            refuse("email address")
        }
        "pve-groupid" if !matches(r"^[A-Za-z0-9.\-_]+$", value) => {
            Err(format!("group name '{value}' contains invalid characters"))
        }
        "pve-roleid" if !matches(r"^[A-Za-z0-9.\-_]+$", value) => {
            Err(format!("role name '{value}' contains invalid characters"))
        }
        "pve-realm" if !matches(r"^[A-Za-z][A-Za-z0-9.\-_]+$", value) => refuse("realm"),
        "pve-storage-content" => storage_content(value),
        _ => guest_format(format, value),
    }
}

/// Formats of guests and their firewall.
fn guest_format(format: &str, value: &str) -> Result<(), String> {
    match format {
        "pve-tag-list" => {
            let valid = split_list(value).all(|tag| matches(r"(?i)^[a-z0-9_][a-z0-9_\-+.]*$", tag));
            if valid { Ok(()) } else { Err("invalid characters in tag".to_owned()) }
        }
        "pve-startup-order" => {
            let valid = matches(r"^(order=)?\d+(,.*)?$|^(up|down|order)=\d+(,(up|down|order)=\d+)*$", value)
                && value.split(',').skip(1).all(|part| matches(r"^(up|down|order)=\d+$", part));
            if valid { Ok(()) } else { Err("unable to parse startup options".to_owned()) }
        }
        "pve-hotplug-features" => hotplug(value),
        "pve-qm-bootdev-list" => value.split(';').try_for_each(|device| {
            let valid = super::indexed(device).is_some_and(|(stem, _)| {
                matches!(stem, "ide" | "sata" | "scsi" | "virtio" | "net" | "usb" | "hostpci")
                    && super::lookup(super::virtual_machine(), device).is_some()
            });
            if valid { Ok(()) } else { Err(format!("invalid boot device '{device}'")) }
        }),
        "pve-qm-bootdisk" if !is_drive(value) => Err(format!("invalid boot disk '{value}'")),
        "pve-cpu-type" => super::cpu::check_model(value),
        "pve-vm-cpu-conf" => super::cpu::check_configuration(value),
        "pve-fw-protocol-spec" if !value.is_empty() && !is_protocol(value) => {
            Err(format!("unknown protocol '{value}'"))
        }
        "pve-fw-sport-spec" | "pve-fw-dport-spec" => ports(value, format == "pve-fw-dport-spec"),
        "pve-fw-icmp-type-spec" if !value.is_empty() && !is_icmp_type(value) => {
            Err(format!("invalid icmp-type value '{value}'"))
        }
        "pve-fw-addr-spec" => firewall_addresses(value),
        _ => super::cluster_formats::check(format, value),
    }
}

/// Splits a list as PVE does: by comma, semicolon, NUL or white space.
pub(crate) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';', '\0', ' ', '\t', '\n', '\r']).filter(|item| !item.is_empty())
}

pub(super) fn matches(pattern: &'static str, value: &str) -> bool {
    static CACHE: OnceLock<std::sync::Mutex<std::collections::HashMap<&'static str, Regex>>> =
        OnceLock::new();
    let cache = CACHE.get_or_init(Default::default);
    let Ok(mut cache) = cache.lock() else { return true };
    if let Some(regex) = cache.get(pattern) {
        return regex.is_match(value);
    }
    let Ok(regex) = Regex::new(pattern) else { return true };
    let result = regex.is_match(value);
    cache.insert(pattern, regex);
    result
}

fn is_vmid(value: &str) -> bool {
    matches(r"^[1-9]\d{2,8}$", value)
}

pub(super) fn is_dns_name(value: &str) -> bool {
    let label = |part: &str| matches(r"(?i)^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", part);
    !value.is_empty() && value.len() <= 253 && value.split('.').all(label)
}

pub(super) fn is_storage_id(value: &str) -> bool {
    storage_id(value).is_ok()
}

fn storage_id(value: &str) -> Result<(), String> {
    if value.chars().count() < 2 {
        return Err(format!("storage ID '{value}' cannot be shorter than 2 characters"));
    }
    if !matches(r"(?i)^[a-z][a-z0-9\-_.]*[a-z0-9]$", value) {
        return Err(format!("storage ID '{value}' contains illegal characters"));
    }
    Ok(())
}

fn storage_content(value: &str) -> Result<(), String> {
    let known = ["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"];
    if known.contains(&value) { Ok(()) } else { Err(format!("invalid content type '{value}'")) }
}

/// True for `STORAGE:VOLUME`.
pub(crate) fn is_volume_id(value: &str) -> bool {
    matches(r"(?i)^([a-z][a-z0-9\-_.]*[a-z0-9]):(.+)$", value)
}

fn is_drive(value: &str) -> bool {
    super::indexed(value).is_some_and(|(stem, _)| matches!(stem, "ide" | "sata" | "scsi" | "virtio"))
}

fn hotplug(value: &str) -> Result<(), String> {
    if matches!(value, "0" | "1") {
        return Ok(());
    }
    let known = ["network", "disk", "cpu", "memory", "usb", "cloudinit"];
    match split_list(value).find(|feature| !known.contains(feature)) {
        Some(feature) => Err(format!("invalid hotplug feature '{feature}'")),
        None => Ok(()),
    }
}
