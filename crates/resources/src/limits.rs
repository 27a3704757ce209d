//! Limits on single values: what names, interfaces and ids look like.

mod processors;

pub(crate) use processors::{affinity, cpu_type, machine, numa_device, numa_range};

/// A drive of a VM: `ide0`-`ide3`, `sata0`-`sata5`, `scsi0`-`scsi30`, `virtio0`-`virtio15`
/// (`qm.conf(5)`).
pub(crate) fn disk_interface(text: &str) -> Option<String> {
    let buses = [("ide", 3), ("sata", 5), ("scsi", 30), ("virtio", 15)];
    let fits = buses.iter().any(|(bus, last)| {
        text.strip_prefix(bus).and_then(|number| number.parse::<u8>().ok()).is_some_and(|n| n <= *last)
    });
    (!fits).then(|| {
        format!(
            "{text:?} is no drive; it must be one of ide0-ide3, sata0-sata5, scsi0-scsi30, virtio0-virtio15"
        )
    })
}

/// The name of a guest is a DNS name.
pub(crate) fn guest_name(text: &str) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    (!text.is_empty() && !text.split('.').all(label))
        .then(|| format!("{text:?} is no DNS name: only letters, digits and hyphens, up to 63 between dots"))
}

/// A path of the access control list as it is kept (PVE::AccessControl, `normalize_path`).
pub(crate) fn acl_path(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let kept = format!("/{}", parts.join("/"));
    if text != kept {
        return Some(format!("Proxmox VE keeps this path as {kept:?}: write it so"));
    }
    let is_known = |area: &&str| ACL_AREAS.contains(area);
    if parts.first().is_some_and(|area| !is_known(area)) {
        return Some(format!(
            "{text:?} is no path of permissions: they begin with /{}",
            ACL_AREAS.join(", /")
        ));
    }
    match parts[..] {
        ["vms", id] if !is_guest_id(id) => {
            Some(format!("{text:?} is of no guest: their ids are 100 or more"))
        }
        _ => None,
    }
}

/// The number of a guest.
pub(crate) fn is_guest_id(text: &str) -> bool {
    text.len() > 2 && !text.starts_with('0') && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// What the paths of permissions begin with (PVE::AccessControl, `check_path`).
const ACL_AREAS: &[&str] = &["access", "mapping", "nodes", "pool", "sdn", "storage", "vms"];

/// Something must be written.
pub(crate) fn not_empty(text: &str) -> Option<String> {
    text.trim().is_empty().then(|| "it must not be empty".to_string())
}

/// A remark on an object: nothing is left out, not written empty.
pub(crate) fn comment(text: &str) -> Option<String> {
    (text.is_empty() || text.trim() != text)
        .then(|| "it must not be empty, nor begin or end with blank space: leave it out".to_string())
}

/// The address of a web service.
pub(crate) fn web_address(text: &str) -> Option<String> {
    let fits = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) && !text.contains('\n');
    (!fits).then(|| format!("{text:?} is no address of the web: it begins with https:// or http://"))
}

/// The name of a network interface (`pve-iface`), with a VLAN or the number of an alias behind it.
pub(crate) fn interface_name(text: &str) -> Option<String> {
    let (name, number) = text.split_once(['.', ':']).map_or((text, None), |(name, rest)| (name, Some(rest)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (2..=20).contains(&text.len())
        && name.len() > 1
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && number.is_none_or(digits);
    (!fits).then(|| {
        format!("{text:?} is no name of an interface: 2 to 20 letters, digits and '_', a letter first, like vmbr0 or eno1.30")
    })
}

/// A name in the hosts file, where blanks stand between names.
pub(crate) fn host_in_file(text: &str) -> Option<String> {
    let blank = text.is_empty() || text.contains(|letter: char| letter.is_whitespace() || letter == '#');
    blank.then(|| format!("{text:?} is no host name: write one name, without blanks"))
}

/// A tag as the cluster accepts it.
pub(crate) fn tag(text: &str) -> Option<String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "_+.-".contains(c));
    (!first || !rest).then(|| format!("{text:?} is no tag: only letters, digits and _ + . - are accepted"))
}

/// The same of each that a text is taken apart into: of that itself [`crate::definition::split_tags`] tells, and the cluster
/// refuses nothing for it.
pub(crate) fn tags(text: &str) -> Option<String> {
    text.split(crate::values::separates_tags).filter(|part| !part.is_empty()).find_map(tag)
}

/// An address of a guest: `dhcp`, `auto`, `manual` or an address with a prefix length.
pub(crate) fn address(text: &str) -> Option<String> {
    if matches!(text, "" | "dhcp" | "auto" | "manual") {
        return None;
    }
    let good = text.split_once('/').is_some_and(|(address, length)| {
        let most = if address.contains(':') { 128 } else { 32 };
        address.parse::<std::net::IpAddr>().is_ok() && length.parse::<u8>().is_ok_and(|n| n <= most)
    });
    (!good)
        .then(|| format!("{text:?} is no address with a prefix length, such as 192.0.2.10/24, and not dhcp"))
}

/// The name of an alias, IP set or security group (`pve-firewall(8)`).
pub(crate) fn firewall_name(text: &str) -> Option<String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    (!first || !rest || text.len() < 2).then(|| {
        format!(
            "{text:?} is no name here: a letter first, then at least one letter, digit, hyphen or underscore"
        )
    })
}

/// A span of time: `15m`, `1h30m`, `90s`.
pub(crate) fn duration(text: &str) -> Option<String> {
    crate::vm::parse_duration(text)
        .is_none()
        .then(|| format!("{text:?} is no span of time such as 15m or 1h30m"))
}

/// What the API refuses in command lines and values of variables.
pub(crate) fn without_control_characters(text: &str) -> Option<String> {
    let is_refused = |c: char| matches!(c, '\0'..='\x08' | '\x10'..='\x1f' | '\x7f');
    text.contains(is_refused).then(|| format!("{text:?} has control characters"))
}

/// A command line (`pct.conf(5)`, `entrypoint`).
pub(crate) fn command(text: &str) -> Option<String> {
    not_empty(text).or_else(|| without_control_characters(text))
}

/// What is in a CD-ROM drive.
pub(crate) fn medium(text: &str) -> Option<String> {
    if matches!(text, "none" | "cdrom") {
        return None;
    }
    file_id(text)
        .map(|_| format!("{text:?} is neither none nor cdrom, nor a file such as local:iso/debian.iso"))
}

/// What is in a CD-ROM drive that is named.
pub(crate) fn some_medium(text: &str) -> Option<String> {
    not_empty(text).or_else(|| medium(text))
}

/// A MAC address.
pub(crate) fn mac_address(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    let good = parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()));
    (!good).then(|| format!("{text:?} is no MAC address such as BC:24:11:00:00:01"))
}

/// The slot of a network device: `net0`.
pub(crate) fn network_slot(text: &str) -> Option<String> {
    numbered(text, "net", 31)
}

/// The name of a numbered device.
fn numbered(text: &str, prefix: &str, most: u32) -> Option<String> {
    let number = text.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
    number.is_none_or(|number| number > most).then(|| format!("{text:?} is none of {prefix}0-{prefix}{most}"))
}

/// A drive that media can be in: not virtio.
pub(crate) fn media_interface(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    disk_interface(text).or_else(|| {
        text.starts_with("virtio").then(|| format!("{text:?} cannot be: use an ide, sata or scsi interface"))
    })
}

/// A drive for media that is named, as it has to be for a CD-ROM.
pub(crate) fn cdrom_interface(text: &str) -> Option<String> {
    not_empty(text).or_else(|| media_interface(text))
}

/// The serial number of a disk.
pub(crate) fn disk_serial(text: &str) -> Option<String> {
    (text.chars().count() > 20).then(|| format!("{text:?} is longer than 20 characters"))
}

/// What is plugged in while a VM runs (`qm.conf(5)`).
pub(crate) fn hotplug(text: &str) -> Option<String> {
    let words = ["cloudinit", "cpu", "disk", "memory", "network", "usb"];
    let good = matches!(text, "" | "0" | "1") || text.split(',').all(|word| words.contains(&word.trim()));
    (!good).then(|| format!("{text:?} must be 0, 1, or a list of {}", words.join(", ")))
}

/// A serial device: a socket, or a device of the host.
pub(crate) fn serial_device(text: &str) -> Option<String> {
    let good = text == "socket" || text.starts_with("/dev/");
    (!good).then(|| format!("{text:?} must be socket or a device such as /dev/ttyS0"))
}

/// The address of a server of a container: one of its own link comes with an interface (`pct.conf(5)`, `nameserver`).
pub(crate) fn server_of_container(text: &str) -> Option<String> {
    let is_local =
        |address: &str| address.parse::<std::net::Ipv6Addr>().is_ok_and(|ip| ip.is_unicast_link_local());
    let with_interface = text.split_once('%');
    let is_on_link = with_interface.is_some_and(|(address, name)| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        is_local(address) && !name.is_empty() && name.chars().all(is_name)
    });
    if is_on_link { None } else { server(text) }
}

/// The address of a server.
pub(crate) fn server(text: &str) -> Option<String> {
    (text.parse::<std::net::IpAddr>().is_err()).then(|| format!("{text:?} is no address"))
}

/// A file in a datastore, or nothing.
pub(crate) fn file_id(text: &str) -> Option<String> {
    let good = text.is_empty()
        || text.split_once(':').is_some_and(|(store, file)| !store.is_empty() && !file.is_empty());
    (!good).then(|| format!("{text:?} is no file such as local:snippets/user.yaml"))
}

/// A path from the root.
pub(crate) fn absolute_path(text: &str) -> Option<String> {
    (!text.starts_with('/')).then(|| format!("{text:?} must begin with /"))
}

/// Permissions of a device in octal (`pct.conf(5)`, `dev`).
pub(crate) fn mode(text: &str) -> Option<String> {
    let good = text.len() == 4 && text.starts_with('0') && text.chars().all(|c| ('0'..='7').contains(&c));
    (!good).then(|| format!("{text:?} are no permissions such as 0660"))
}

/// Permissions of a file in octal.
pub(crate) fn file_mode(text: &str) -> Option<String> {
    let good = u32::from_str_radix(text, 8).is_ok_and(|mode| mode > 0) && !text.starts_with('+');
    (!good).then(|| format!("{text:?} are no permissions such as 0700"))
}

/// A size with its unit.
pub(crate) fn size(text: &str) -> Option<String> {
    let is_size = !text.contains(char::is_whitespace) && crate::size::parse_size(text).is_some();
    let good = text.is_empty() || is_size;
    (!good).then(|| format!("{text:?} is no size such as 8G"))
}

/// An address with the bits of its network.
pub(crate) fn host_in_network(text: &str) -> Option<String> {
    let fits = text.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
    });
    (!fits).then(|| format!("{text:?} is no address with the bits of its network, like 192.0.2.1/24"))
}

/// An address.
pub(crate) fn ip(text: &str) -> Option<String> {
    text.parse::<std::net::IpAddr>().err().map(|_| format!("{text:?} is no address"))
}

/// A date as RFC 3339 has it.
pub(crate) fn date(text: &str) -> Option<String> {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.err().map(|_| format!("{text:?} is no date like 2030-01-31T00:00:00Z"))
}

/// Whether two texts are the same wish for a service: `enabled` is the older word for `started` (PVE::HA::Config).
pub(crate) fn same_service_state(a: &str, b: &str) -> bool {
    let now = |text: &str| if text == "enabled" { "started".to_string() } else { text.to_string() };
    now(a) == now(b)
}

/// A text that becomes a part of a property string, which a comma would end.
pub(crate) fn part_of_property(text: &str) -> Option<String> {
    text.contains(',').then(|| "it must have no comma: Proxmox VE would cut it off there".to_string())
}

/// Whether two texts are the same tag: Proxmox VE keeps them in lower case unless a cluster is told otherwise.
pub(crate) fn same_tag(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// Whether two texts are the same moment.
pub(crate) fn same_date(a: &str, b: &str) -> bool {
    // Proxmox VE keeps whole seconds.
    let moment = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    a == b || moment(a).is_some() && moment(a) == moment(b)
}

/// A name of letters, digits and `.-_` that begins with a letter, of at least two characters.
fn is_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter))
}

/// The name of an API token.
pub(crate) fn token_name(text: &str) -> Option<String> {
    (!is_name(text)).then(|| format!("{text:?} is no name of a token: a letter first, then letters, digits, '.', '-' and '_', at least two together"))
}

/// The name of a section of a configuration file (`pve-configid`).
pub(crate) fn config_id(text: &str) -> Option<String> {
    let is_good = is_name(text) && !text.contains('.');
    (!is_good).then(|| format!("{text:?} is no id: two letters, digits, `-` and `_` or more, a letter first"))
}

/// The name of a realm.
pub(crate) fn realm(text: &str) -> Option<String> {
    let fits = is_name(text) && text.len() <= 32;
    (!fits).then(|| format!("{text:?} is no name of a realm: 2 to 32 letters, digits, '.', '-' and '_'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_takes_what_the_cluster_takes() {
        type Limit = fn(&str) -> Option<String>;
        let cases: &[(Limit, &[&str], &[&str])] = &[
            (duration, &["15m", "1h30m", "0", "500ms"], &["", "15", "m", "x", "1ms2"]),
            (affinity, &["0", "0,2-5", "0-3,"], &["", ",", "a", "0-", "0;1"]),
            (
                cpu_type,
                &[
                    "host",
                    "x86-64-v2-AES",
                    "custom-mine",
                    "SapphireRapids-v2",
                    "GraniteRapids",
                    "EPYC-Milan-v2",
                    "EPYC-Turin-v2",
                    "neoverse-n1",
                ],
                &["", "bogus", "custom-", "HOST", "x86-64", "EPYC-Foo", "EPYC-v"],
            ),
            (
                machine,
                &[
                    "",
                    "pc",
                    "q35",
                    "q35,viommu=intel",
                    "pc-q35-9.2+pve1",
                    "pc-i440fx-8.1",
                    "virt-10.0",
                    "pc-8.1.pxe",
                ],
                &["bogus", "q36", "pc-q35", "pc-q35-9", "q35,x=1", "q35,viommu"],
            ),
            (without_control_characters, &["", "a\tb\n"], &["a\0", "\x1b[m", "\x7f"]),
            (command, &["/sbin/init", "/bin/sh -c\tx"], &["", "a\0"]),
            (medium, &["", "none", "cdrom", "local:iso/a.iso"], &["NONE", "a.iso"]),
            (numa_range, &["0-3", "0-3;8"], &["", "0,1"]),
            (numa_device, &["numa0", "numa7"], &["numa8", "numa", "0"]),
            (media_interface, &["", "ide2", "scsi30"], &["virtio0", "ide4"]),
            (cdrom_interface, &["ide2", "scsi30"], &["", "virtio0", "ide4"]),
            (disk_serial, &["12345678901234567890"], &["123456789012345678901"]),
            (hotplug, &["0", "network,disk,usb,cloudinit"], &["network,sound", "2"]),
            (serial_device, &["socket", "/dev/ttyS0"], &["ttyS0"]),
            (server, &["192.0.2.1", "2001:db8::1"], &["dns.example.test", "fe80::1%eth0"]),
            (
                server_of_container,
                &["192.0.2.1", "fe80::1", "fe80::1%eth0"],
                &["dns.example.test", "fe80::1%", "2001:db8::1%eth0", "192.0.2.1%eth0"],
            ),
            (file_id, &["", "local:snippets/u.yaml"], &["u.yaml", ":x"]),
            (absolute_path, &["/dev/fuse"], &["dev/fuse"]),
            (file_mode, &["0700", "755", "1"], &["", "0", "0888", "+7"]),
            (
                mac_address,
                &["BC:24:11:00:00:01", "bc:24:11:aa:bb:cc"],
                &["", "BC:24:11:00:00", "BC:24:11:00:00:+1"],
            ),
            (network_slot, &["net0", "net31"], &["net32", "net", "eth0"]),
            (some_medium, &["none", "local:iso/a.iso"], &["", "bogus"]),
            (mode, &["0660", "0777"], &["0888", "7", "660", "7777"]),
            (size, &["", "8G", "512M", "8.5g"], &["8X", "8 G"]),
            (firewall_name, &["ab", "a-b_1"], &["a", "1a", "a b"]),
            (config_id, &["ab", "a-b_1"], &["a", "a b", "1a", "a.b"]),
            (comment, &["a", "a b", "ü"], &["", " a", "a\n"]),
            (
                web_address,
                &["https://a.test/d", "http://a"],
                &["", "a.test", "ftp://a", "https:/a", "https://a\nb"],
            ),
            (
                interface_name,
                &["vmbr0", "eno1.30", "bond_lan", "eno1:0", "vlan1234567890123456"],
                &["", "a", "1a", "a b", "-x", "a.b", "eno1.", "eno1.3.4", "a/b", "vlan12345678901234567"],
            ),
            (
                acl_path,
                &["/", "/vms", "/vms/100", "/sdn/zones/a/b", "/mapping/pci/x", "/access/realm/pam"],
                &["vms", "/vms/", "/foo", "/vms/99", "/vms/0100", "/datastore/local"],
            ),
        ];
        for (limit, good, bad) in cases {
            for text in *good {
                assert_eq!(limit(text), None, "{text:?}");
            }
            for text in *bad {
                assert!(limit(text).is_some(), "{text:?}");
            }
        }
    }
}
