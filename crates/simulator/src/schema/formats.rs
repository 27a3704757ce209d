//! The named formats of the API (`pve-vmid`, `mac-addr`, ...), with PVE's error texts.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use regex::Regex;

use super::addresses::{
    firewall_addresses, is_address_or_network, is_alias, is_cidr4, is_cidr6, is_protocol, is_unicast_mac,
    ports,
};
use super::property_string::Values;
use crate::firewall::is_icmp_type;

/// Checks `value` against the format; formats that are not known here accept everything.
pub(crate) fn check(format: &str, value: &str) -> Result<(), String> {
    if let Some(item_format) = format.strip_suffix("-list") {
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
        "pve-poolid" if value.trim_end_matches('/').split('/').count() > 3 => {
            Err(format!("pool name '{value}' nested too deeply (max levels = 3)"))
        }
        "pve-poolid" if !matches(r"(?i)^[a-z0-9.\-_]+(/[a-z0-9.\-_]+){0,2}$", value) => {
            Err(format!("pool name '{value}' contains invalid characters"))
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
        "disk-size" if !matches(r"^\d+(\.\d+)?([KMGT](iB)?)?$", value) => {
            Err(format!("value does not look like a valid disk size: {value}"))
        }
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
        "pve-storage-path" if !matches(r"^/[^;()]", value) => refuse("absolute path"),
        "pve-cpuset" if !is_cpu_set(value) => Err("unable to parse cpuset option".to_owned()),
        "pve-ct-timezone" if value != "host" && !value.contains('/') && value != "UTC" => {
            Err(format!("invalid time zone '{value}'"))
        }
        "email" if !is_email(value) => refuse("email address"),
        "email-opt" if !value.is_empty() && !is_email(value) => refuse("email address"),
        "email-or-username" if !is_email(value) && !is_mail_user(value) => {
            refuse("email address or user name")
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
        "pve-tag" if !matches(r"(?i)^[a-z0-9_][a-z0-9_\-+.]*$", value) => {
            Err("invalid characters in tag".to_owned())
        }
        "pve-startup-order" if !is_startup_order(value) => Err("unable to parse startup options".to_owned()),
        "pve-hotplug-features" => hotplug(value),
        "pve-qm-bootdev" if !is_drive(value) && !is_device(value, &["net", "usb", "hostpci"]) => {
            Err(format!("invalid boot device '{value}'"))
        }
        "pve-qm-bootdisk" if !is_drive(value) && !matches!(value, "efidisk0" | "tpmstate0") => {
            Err(format!("invalid boot disk '{value}'"))
        }
        "pve-cpu-type" => super::cpu::check_model(value),
        "pve-vm-cpu-conf" => super::cpu::check_configuration(value),
        "pve-phys-bits" if value != "host" && !value.parse().is_ok_and(|bits| (8..=64).contains(&bits)) => {
            Err("value must be an integer between 8 and 64 or 'host'".to_owned())
        }
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

/// Splits a list as PVE does: by NUL where there is one, by comma, semicolon or white space otherwise.
pub(crate) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let by_nul = value.contains('\0');
    let separates = move |sign: char| match by_nul {
        true => sign == '\0',
        false => matches!(sign, ',' | ';') || sign.is_whitespace(),
    };
    value.split(separates).filter(|item| !item.is_empty())
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
    value.split('.').all(label)
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

/// True for a drive that a VM can have and boot from.
fn is_drive(value: &str) -> bool {
    is_device(value, &["ide", "sata", "scsi", "virtio"])
}

fn is_device(value: &str, stems: &[&str]) -> bool {
    super::indexed(value).is_some_and(|(stem, _)| stems.contains(&stem))
        && super::lookup(super::virtual_machine(), value).is_some()
}

/// CPUs of a node: `0, 2-5`.
fn is_cpu_set(value: &str) -> bool {
    let number = |text: &str| matches(r"^\d+$", text).then(|| text.parse::<u64>().ok()).flatten();
    let is_range = |part: &str| match part.trim().split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(part.trim()).is_some(),
    };
    let parts = value.trim_end_matches(',');
    parts.is_empty() || parts.split(',').all(is_range)
}

/// `[[order=]N][,up=N][,down=N]` in any order; a lone `0` counts as nothing.
fn is_startup_order(value: &str) -> bool {
    let mut parts = value.split(',').filter(|part| !part.trim().is_empty());
    !matches!(value, "" | "0") && parts.all(|part| matches(r"^(order=|up=|down=)?\d+$", part))
}

fn is_mail_user(value: &str) -> bool {
    matches(r"^[\w+~-]+(\.[\w+~-]+)*$", value)
}

fn is_email(value: &str) -> bool {
    value.split_once('@').is_some_and(|(user, domain)| {
        is_mail_user(user) && matches(r"^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$", domain)
    })
}

/// What keys of a property string exclude each other, though each is right by itself.
pub(super) fn check_together(format: &str, values: &Values) -> Result<(), String> {
    let is_set = |key: &str| values.get(key).is_some_and(|value| value == "1");
    match format {
        "prune-backups" => {
            let keeps = |(key, value): (&String, &String)| {
                key != "keep-all" && value.parse::<i64>().is_ok_and(|count| count > 0)
            };
            if is_set("keep-all") && values.iter().any(keeps) {
                return Err("keep-all cannot be set together with other options.".to_owned());
            }
        }
        "backup-fleecing" if is_set("enabled") && !values.contains_key("storage") => {
            return Err("'storage' parameter is required when 'enabled' is set".to_owned());
        }
        _ => {}
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Values at the edges of what Proxmox VE takes (`PVE::JSONSchema`, qemu-server, pve-storage), then some that it refuses.
    #[test]
    fn formats_take_what_proxmox_takes_and_no_more() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("pve-vmid-list", &["100", "100,101;102 103", "100\x00101", ""], &["99", "0100", "1000000000"]),
            ("pve-node-list", &["a", "pve-1,PVE2"], &["-a", "a_b", "a.b"]),
            ("dns-name", &["a", "1.2", "x.example", "A-b.c"], &["", "a..b", "a_b", "-a"]),
            ("pve-poolid", &["a", "a/b/c", "1.x-_"], &["a/b/c/d", "a b", "/a", ""]),
            ("pve-storage-id", &["ab", "a.b-c_9"], &["a", "1a", "a-"]),
            (
                "mac-addr",
                &["BC:24:11:00:00:01", "02:00:00:00:00:00"],
                &["01:00:00:00:00:00", "bc-24-11-00-00-01"],
            ),
            ("ip", &["::1", "::ffff:10.0.0.1", "10.0.0.1"], &["fe80::1%eth0", "10.0.0.01", "1.2.3"]),
            (
                "pve-ipv4-config",
                &["dhcp", "manual", "10.0.0.1/8", "10.0.0.1/32"],
                &["auto", "10.0.0.1", "10.0.0.1/7", "10.0.0.1/33"],
            ),
            (
                "pve-ipv6-config",
                &["auto", "dhcp", "manual", "fd00::1/64"],
                &["fd00::1", "fd00::1/129", "fd00::/7"],
            ),
            ("CIDR", &["10.0.0.5/24", "fd00::/8"], &["10.0.0.0/4", "10.0.0.0/", "10.0.0.0/+8"]),
            ("IPorCIDR", &["10.0.0.5/4", "fd00::/0", "::1"], &["10.0.0.0/33", "host"]),
            ("IPorCIDRorAlias", &["dc/web", "guest/web-1", "ab"], &["1a", "x/web"]),
            ("disk-size", &["1", "1.5G", "8GiB", "4MiB"], &["1g", "1GB", "", "1 G"]),
            ("pve-volume-id-or-qm-path", &["none", "cdrom", "/dev/sda", "a1:x"], &["a:x", "x"]),
            ("pve-storage-path", &["/mnt", "/mnt/a b"], &["/", "mnt", "/;"]),
            ("pve-cpuset", &["0", "0,2-5", "0, 2 ,3-3,", " 1-2 "], &["5-2", "a", "0,,1", "1-"]),
            ("email-opt", &["", "a@b", "a.b+c~d-e@x-1.example"], &["a", ".a@b", "a@b_c", "a@"]),
            ("email-list", &["a@b,c@d", ""], &["a", "a@b c"]),
            ("email-or-username-list", &["root a@b", "first.last"], &["a@b@c", ".root", "a!"]),
            ("pve-tag-list", &["a;b", "_x,1+2.3-4", "A"], &["-a", "a=b"]),
            (
                "pve-startup-order",
                &["1", "order=0", "up=10,5", "down=3,order=1,up=2", "order=1,"],
                &["0", "", "up", "order=x", "on=1"],
            ),
            ("pve-hotplug-features", &["0", "1", "disk,network", "cloudinit;usb", ""], &["disks", "2"]),
            (
                "pve-qm-bootdev-list",
                &["scsi0;net0", "usb0", "hostpci3;", "virtio15"],
                &["scsi31", "efidisk0", "mp0", "scsi"],
            ),
            ("pve-qm-bootdisk", &["scsi0", "efidisk0"], &["scsi31", "net0", "unused0"]),
            ("pve-fw-icmp-type-spec", &["", "echo-request", "no-route"], &["8", "ping"]),
            ("string-list", &["", "a,b"], &[]),
        ];
        for (format, taken, refused) in cases {
            for value in *taken {
                assert_eq!(check(format, value), Ok(()), "{format} {value:?}");
            }
            for value in *refused {
                assert!(check(format, value).is_err(), "{format} {value:?}");
            }
        }
    }
}
