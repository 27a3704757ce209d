//! Whether the guest that has an id now is the one that is known by it.

use std::collections::BTreeSet;

use pve_model::Value;

use crate::values::{all_blocks, block, text, texts};

/// Whether an id was given to another guest: it has another name, and none of the hardware addresses, which Proxmox VE
/// draws anew for each guest. A guest that was renamed keeps those, one that got new devices keeps its name, and one that
/// was restored from a backup has at least its name.
pub(super) fn is_another(known: &Value, found: &Value) -> bool {
    let (addresses, now) = (hardware_addresses(known), hardware_addresses(found));
    name(known).is_some_and(|known| name(found) != Some(known))
        && !addresses.is_empty()
        && addresses.is_disjoint(&now)
}

fn name(guest: &Value) -> Option<&str> {
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
