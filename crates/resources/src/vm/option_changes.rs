//! Which options of a VM are sent, and what of the present ones goes with them.

use std::collections::BTreeSet;

use pve_model::Value;

use super::decode_devices::device_mac;
use super::drives::following_boot_order;
use super::encode::encode_options;
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, block, text};

/// The options to set and to delete. What only the cluster can tell stays as it is.
pub(super) fn changed_options(prior: &Value, planned: &Value) -> (Params, BTreeSet<String>) {
    let before = encode_options(prior, true);
    let mut wanted = encode_options(planned, true);
    for (attribute, option) in [("boot_order", "boot"), ("hotplug", "hotplug")] {
        if planned.get(attribute).is_some_and(|value| !value.is_known()) {
            wanted.put(option, before.0.get(option));
        }
    }
    let told = block(planned, "initialization");
    for (attribute, option) in [("type", "citype"), ("upgrade", "ciupgrade")] {
        if told.and_then(|told| told.get(attribute)).is_some_and(|value| !value.is_known()) {
            wanted.put(option, before.0.get(option));
        }
    }
    if planned.get("boot_order").is_some_and(|order| !order.is_known())
        && let Some(order) = following_boot_order(prior, planned).filter(|order| !order.is_empty())
    {
        wanted.put("boot", Some(format!("order={}", order.join(";"))));
    }
    wanted.since(&before)
}

pub(super) fn with_uuid(params: &mut Params, uuid: impl FnOnce() -> String) {
    let Some(smbios) = params.0.get("smbios1").map(|smbios| Properties::parse(smbios)) else { return };
    if smbios.get("uuid").is_none() {
        params.put("smbios1", Some(Properties::default().with("uuid", Some(uuid())).joined(&smbios)));
    }
}

/// A VM stays itself to its operating system, whatever else it is told of its hardware.
pub(super) fn keep_uuid(observed: &Observed, set: &mut Params, delete: &BTreeSet<String>) {
    let now = observed.text("smbios1").map(|smbios| Properties::parse(&smbios));
    let Some(uuid) = now.as_ref().and_then(|now| now.get("uuid")) else { return };
    if delete.contains("smbios1") {
        set.put("smbios1", Some(format!("uuid={uuid}")));
    }
    with_uuid(set, || uuid.to_string());
}

/// Puts the present MAC address into each device that is to be sent without one, except into a new one that takes the
/// slot of another: its address is drawn by the cluster, and the present one has gone with its device.
pub(super) fn keep_addresses(observed: &Observed, planned: &Value, set: &mut Params) {
    for (name, device) in &mut set.0 {
        let Some(index) = name.strip_prefix("net").and_then(|index| index.parse::<usize>().ok()) else {
            continue;
        };
        if draws_address(planned, "network_device", index) {
            continue;
        }
        let has_mac = device_mac(device).is_some();
        let now = observed.text(name).and_then(|now| device_mac(&now));
        if let (false, Some(mac)) = (has_mac, now) {
            let (model, rest) = device.split_once(',').unwrap_or((device.as_str(), ""));
            let comma = if rest.is_empty() { "" } else { "," };
            *device = format!("{model}={mac}{comma}{rest}");
        }
    }
}

/// The slots of network devices that the plan takes out and that are not where the plan would look for them: a device is
/// planned by its place among the others, and somebody may have left slots free. Of a guest that was not just made only
/// those go that were in the plan, by their addresses.
pub(crate) fn surplus_devices(
    observed: &Observed,
    prior: Option<&Value>,
    planned: &Value,
    blocks: &str,
    set: &Params,
) -> Vec<String> {
    let addresses = |value: &Value| -> BTreeSet<String> {
        let devices = all_blocks(value, blocks).iter();
        devices.filter_map(|device| text(device, "mac_address")).map(str::to_uppercase).collect()
    };
    let count = all_blocks(planned, blocks).len();
    if prior.is_none() && count == 0 {
        return Vec::new();
    }
    let (known, kept) = (prior.map(addresses), addresses(planned));
    let surplus = observed.numbered("net").into_iter().filter(|(index, slot)| {
        let Some(address) = observed.text(slot).and_then(|device| device_mac(&device)) else { return false };
        let address = address.to_uppercase();
        let goes_on = set.0.iter().any(|(name, device)| {
            name.starts_with("net") && name != slot && device.to_uppercase().contains(&address)
        });
        let is_known = known.as_ref().is_none_or(|known| known.contains(&address));
        *index as usize >= count && is_known && (goes_on || !kept.contains(&address))
    });
    surplus.map(|(_, slot)| slot).collect()
}

/// Whether the address of a network device is still to be drawn.
pub(crate) fn draws_address(planned: &Value, blocks: &str, index: usize) -> bool {
    let address = all_blocks(planned, blocks).get(index).and_then(|device| device.get("mac_address"));
    address.is_some_and(|address| !address.is_known())
}
