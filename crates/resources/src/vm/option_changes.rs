//! Which options of a VM are sent, and what of the present ones goes with them.

use std::collections::BTreeSet;

use pve_model::Value;

use super::drives::following_boot_order;
use super::encode::encode_options;
use crate::guest::{device_mac, draws_address};
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::values::block;

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
