//! Limits on single values: what names, interfaces and ids look like.

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

/// Something must be written.
pub(crate) fn not_empty(text: &str) -> Option<String> {
    text.trim().is_empty().then(|| "it must not be empty".to_string())
}

/// A tag as the cluster accepts it.
pub(crate) fn tag(text: &str) -> Option<String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "_+.-".contains(c));
    (!first || !rest).then(|| format!("{text:?} is no tag: only letters, digits and _ + . - are accepted"))
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
