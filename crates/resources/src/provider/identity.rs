//! Whether the guest that has an id now is the one that is known by it.

use std::collections::BTreeSet;

use pve_model::Value;

use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, block, text, texts};

/// What tells a VM from another one with its id: the UUID that its operating system sees, the id of its generation, and
/// when it was made (`qm.conf(5)`). Containers have none of these.
pub(crate) fn identity_of(observed: &Observed) -> Option<String> {
    let key = |option: &str, key: &str| {
        let parts = Properties::parse(&observed.written(option)?);
        parts.get(key).map(|value| format!("{key}={value}"))
    };
    let generation = observed.written("vmgenid").map(|id| format!("vmgenid={id}"));
    let parts = [key("smbios1", "uuid"), generation, key("meta", "ctime")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Why the guest that was found is another one than the known one, if it is; both with their identities.
///
/// One that was restored from a backup has another generation, one whose UUID was set by hand another UUID: the same is
/// what has anything of the identity. Where none is known, another one has another name and none of the hardware
/// addresses, which Proxmox VE draws anew for each guest.
pub(super) fn is_another(
    (known, known_identity): (&Value, Option<&str>),
    (found, found_identity): (&Value, Option<&str>),
) -> Option<&'static str> {
    let parts = |identity: Option<&str>| Properties::parse(identity.unwrap_or_default());
    let (before, now) = (parts(known_identity), parts(found_identity));
    let comparable: Vec<bool> = before
        .pairs()
        .iter()
        .filter_map(|(key, value)| now.get(key).map(|now| now == value.as_str()))
        .collect();
    if !comparable.is_empty() {
        let same = comparable.contains(&true);
        return (!same).then_some("it has another UUID and was made at another time");
    }
    let (addresses, now) = (hardware_addresses(known), hardware_addresses(found));
    let other = name(known).is_some_and(|known| name(found) != Some(known))
        && !addresses.is_empty()
        && addresses.is_disjoint(&now);
    other.then_some("has none of the network devices of the one that is known")
}

pub(super) fn name(guest: &Value) -> Option<&str> {
    text(guest, "name").or_else(|| text(block(guest, "initialization")?, "hostname"))
}

fn hardware_addresses(guest: &Value) -> BTreeSet<String> {
    let devices =
        ["network_device", "network_interface"].into_iter().flat_map(|name| all_blocks(guest, name));
    let configured = devices.filter_map(|device| text(device, "mac_address"));
    let listed = texts(guest, "mac_addresses");
    let loopback = "00:00:00:00:00:00";
    let addresses = configured.map(str::to_uppercase).chain(listed.iter().map(|mac| mac.to_uppercase()));
    addresses.filter(|address| !address.is_empty() && address != loopback).collect()
}
