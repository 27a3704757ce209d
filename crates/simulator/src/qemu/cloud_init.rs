//! Cloud-init data of machines.

use serde_json::{Value, json};

use super::{KIND, drives};
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Request};
use crate::volumes;

const KEYS: &[&str] =
    &["cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys"];

/// `GET cloudinit`: what the drive has and what a new one would have.
pub(crate) fn pending(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    let shown = guest.cloud_init.as_ref().filter(|_| guest.running).unwrap_or(&guest.config);
    // What is off counts as not set.
    let set = |key: &str| guest.config.get(key).filter(|value| *value != "0" && !value.is_empty());
    let mut rows = Vec::new();
    for key in KEYS {
        let Some(new) = set(key) else { continue };
        let new_row = guests::typed(KIND, key, new);
        rows.push(match shown.get(*key) {
            Some(old) if old == new => json!({ "key": key, "value": new_row }),
            Some(old) => json!({ "key": key, "value": guests::typed(KIND, key, old), "pending": new_row }),
            None => json!({ "key": key, "pending": new_row }),
        });
    }
    let data = |key: &&String| {
        let stem = crate::schema::indexed(key).map_or(key.as_str(), |(stem, _)| stem);
        KEYS.contains(&stem) || matches!(stem, "name" | "net" | "ipconfig")
    };
    let gone = shown.keys().filter(data).filter(|key| set(key).is_none());
    rows.extend(gone.map(|key| json!({ "key": key, "delete": 1 })));
    Ok(Value::Array(rows))
}

/// `PUT cloudinit`: makes the drive anew.
pub(crate) fn regenerate(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    if has_drive(&guest.config) {
        check_files(request, guest.config.get("cicustom").map(String::as_str))?;
        let guest = request.guest_mut(KIND)?;
        guest.cloud_init = Some(guest.config.clone());
    }
    Ok(Value::Null)
}

fn has_drive(config: &crate::state::Options) -> bool {
    config.iter().any(|(name, text)| {
        drives::is_drive(name)
            && drives::parse(name, text).is_some_and(|values| drives::is_cloud_init(&values))
    })
}

/// The snippets that cloud-init's data is made from have to be there.
pub(super) fn check_files(request: &Request<'_>, custom: Option<&str>) -> Result<(), Failure> {
    let file = |kind: &str| custom?.split(',').find_map(|part| part.strip_prefix(kind));
    for file in ["network=", "user=", "meta=", "vendor="].into_iter().filter_map(file) {
        let Some((storage, name)) = volumes::split(file) else { continue };
        volumes::storage(request.state, storage)?;
        volumes::check_name(request.state, storage, name)?;
        if !name.starts_with("snippets/") {
            return Err(Failure::died(format!("{file} is not in the snippets directory")));
        }
        volumes::usable(request.state, storage, &request.node)?;
        if !volumes::is_on(request.state, file, &request.node) {
            return Err(volumes::missing_volume(request.state, file));
        }
    }
    Ok(())
}

/// `GET cloudinit/dump`.
pub(crate) fn dump(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    let config = request.guest(KIND)?.effective();
    if !has_drive(&config) {
        return Err(Failure::died("no cloudinit config found"));
    }
    Ok(json!(match request.get("type") {
        Some("network") => network(&config),
        Some("meta") => format!("instance-id: {}\n", guests::hex(&sha1_of(&user(vmid, &config)))),
        _ => user(vmid, &config),
    }))
}

fn sha1_of(text: &str) -> Vec<u8> {
    use sha1::Digest as _;
    sha1::Sha1::digest(text.as_bytes()).to_vec()
}

fn user(vmid: u32, config: &crate::state::Options) -> String {
    let name = config.get("name").cloned().unwrap_or_else(|| format!("VM{vmid}"));
    let domain = config.get("searchdomain").map(|domain| format!(".{domain}")).unwrap_or_default();
    let mut text = format!("#cloud-config\nhostname: {name}\nmanage_etc_hosts: true\nfqdn: {name}{domain}\n");
    if let Some(user) = config.get("ciuser") {
        text.push_str(&format!("user: {user}\n"));
    } else {
        text.push_str("disable_root: False\n");
    }
    if let Some(password) = config.get("cipassword") {
        text.push_str(&format!("password: {password}\n"));
    }
    if let Some(keys) = config.get("sshkeys") {
        text.push_str("ssh_authorized_keys:\n");
        for key in crate::server::percent_decode(keys).lines().filter(|line| !line.trim().is_empty()) {
            text.push_str(&format!("  - {key}\n"));
        }
    }
    text.push_str("chpasswd:\n  expire: False\nusers:\n  - default\n");
    let upgrade = config.get("ciupgrade").is_none_or(|value| value != "0");
    text.push_str(if upgrade { "package_upgrade: true\n" } else { "" });
    text
}

fn network(config: &crate::state::Options) -> String {
    let mut text = "version: 1\nconfig:\n".to_owned();
    for index in 0..32 {
        let Some(card) = config.get(&format!("net{index}")) else { continue };
        let mac =
            card.split(',').next().and_then(|first| first.split_once('=')).map(|(_, mac)| mac.to_lowercase());
        text.push_str(&format!(
            "    - type: physical\n      name: eth{index}\n      mac_address: '{}'\n      subnets:\n",
            mac.unwrap_or_default()
        ));
        let part = |key: &str| {
            let settings = config.get(&format!("ipconfig{index}"));
            settings.and_then(|text| {
                text.split(',').find_map(|part| part.strip_prefix(&format!("{key}="))).map(str::to_owned)
            })
        };
        match part("ip").as_deref() {
            Some("dhcp") => text.push_str("      - type: dhcp4\n"),
            Some(cidr) => {
                let (address, bits) = cidr.split_once('/').unwrap_or((cidr, "32"));
                let bits: u32 = bits.parse().unwrap_or(32);
                let mask = std::net::Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0));
                text.push_str(&format!(
                    "      - type: static\n        address: '{address}'\n        netmask: '{mask}'\n"
                ));
                if let Some(gateway) = part("gw") {
                    text.push_str(&format!("        gateway: '{gateway}'\n"));
                }
            }
            None => {}
        }
    }
    text.push_str("    - type: nameserver\n");
    for (key, label) in [("nameserver", "address"), ("searchdomain", "search")] {
        if let Some(list) = config.get(key) {
            text.push_str(&format!("      {label}:\n"));
            for item in list.split([' ', ',']).filter(|item| !item.is_empty()) {
                text.push_str(&format!("      - '{item}'\n"));
            }
        }
    }
    text
}
