//! Network devices of guests and their addresses.

use std::collections::BTreeSet;

use pve_model::Value;
use serde_json::{Value as Json, json};

use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, block, text};

/// `ip=...,gw=...,ip6=...,gw6=...`
pub(crate) fn encode_ip_config(config: &Value) -> Properties {
    let part = |family: &str, name: &str| {
        block(config, family).and_then(|family| text(family, name)).map(str::to_string)
    };
    Properties::default()
        .with("ip", part("ipv4", "address"))
        .with("gw", part("ipv4", "gateway"))
        .with("ip6", part("ipv6", "address"))
        .with("gw6", part("ipv6", "gateway"))
}

/// `ip=...,gw=...,ip6=...,gw6=...`; a family that is neither known nor there stays absent.
pub(crate) fn decode_ip_config(config: &Properties, guide: Option<&Value>) -> Json {
    let family = |name: &str, address: &str, gateway: &str| {
        let known = guide.is_some_and(|guide| block(guide, name).is_some());
        let (address, gateway) = (config.get(address), config.get(gateway));
        if known || address.is_some() || gateway.is_some() {
            json!([{ "address": address, "gateway": gateway }])
        } else {
            json!([])
        }
    };
    json!({ "ipv4": family("ipv4", "ip", "gw"), "ipv6": family("ipv6", "ip6", "gw6") })
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

/// The MAC address in `virtio=BC:24:11:00:00:01,bridge=vmbr0`.
pub(crate) fn device_mac(device: &str) -> Option<String> {
    let device = Properties::parse(device);
    let mac = device.pairs().iter().find(|(_, value)| value.split(':').count() == 6);
    mac.map(|(_, mac)| mac.clone())
}
