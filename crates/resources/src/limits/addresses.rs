//! Limits on what a network knows something by: addresses, interfaces and hosts.

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

/// A MAC address.
pub(crate) fn mac_address(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    let good = parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()));
    (!good).then(|| format!("{text:?} is no MAC address such as BC:24:11:00:00:01"))
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
