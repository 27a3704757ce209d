//! A VM's devices as parameters of the API, drives apart.

use pve_model::Value;

use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, block, flag, float, int, text};

pub(super) fn encode_devices(value: &Value, params: &mut Params) {
    for (index, device) in all_blocks(value, "network_device").iter().enumerate() {
        if flag(device, "enabled") != Some(false) {
            params.put(&format!("net{index}"), Some(encode_network_device(device)));
        }
    }
    for (index, device) in all_blocks(value, "serial_device").iter().enumerate() {
        params.put(&format!("serial{index}"), text(device, "device"));
    }
    for (index, device) in all_blocks(value, "usb").iter().enumerate() {
        let usb = Properties::default()
            .with("host", text(device, "host"))
            .with("mapping", text(device, "mapping"))
            .with_flag("usb3", flag(device, "usb3"));
        params.put(&format!("usb{index}"), Some(usb));
    }
    for (index, share) in all_blocks(value, "virtiofs").iter().enumerate() {
        let share = Properties::starting(text(share, "mapping").unwrap_or_default())
            .with("cache", text(share, "cache").filter(|cache| *cache != "auto"))
            .with_flag("direct-io", flag(share, "direct_io").filter(|on| *on))
            .with_flag("expose-acl", flag(share, "expose_acl").filter(|on| *on))
            .with_flag("expose-xattr", flag(share, "expose_xattr").filter(|on| *on));
        params.put(&format!("virtiofs{index}"), Some(share));
    }
    for device in all_blocks(value, "hostpci") {
        if let Some(name) = text(device, "device") {
            params.put(name, Some(encode_hostpci(device)));
        }
    }
    for node in all_blocks(value, "numa") {
        if let Some(name) = text(node, "device") {
            let node = Properties::default()
                .with("cpus", text(node, "cpus"))
                .with("hostnodes", text(node, "hostnodes"))
                .with("memory", int(node, "memory"))
                .with("policy", text(node, "policy"));
            params.put(name, Some(node));
        }
    }
    encode_single_devices(value, params);
}

fn encode_single_devices(value: &Value, params: &mut Params) {
    if let Some(audio) = block(value, "audio_device").filter(|audio| flag(audio, "enabled") != Some(false)) {
        let audio =
            Properties::default().with("device", text(audio, "device")).with("driver", text(audio, "driver"));
        params.put("audio0", Some(audio));
    }
    if let Some(rng) = block(value, "rng") {
        let rng = Properties::default()
            .with("source", text(rng, "source"))
            .with("max_bytes", int(rng, "max_bytes"))
            .with("period", int(rng, "period"));
        params.put("rng0", Some(rng));
    }
    if let Some(watchdog) =
        block(value, "watchdog").filter(|watchdog| flag(watchdog, "enabled") == Some(true))
    {
        let watchdog = Properties::default()
            .with("model", text(watchdog, "model"))
            .with("action", text(watchdog, "action"));
        params.put("watchdog", Some(watchdog));
    }
}

fn encode_network_device(device: &Value) -> Properties {
    let model = text(device, "model").unwrap_or("virtio");
    let properties = match text(device, "mac_address") {
        Some(mac) => Properties::default().with(model, Some(mac)),
        None => Properties::starting(model),
    };
    let number = |name: &str| int(device, name).filter(|number| *number != 0);
    properties
        .with("bridge", text(device, "bridge"))
        .with_flag("firewall", flag(device, "firewall"))
        .with_flag("link_down", flag(device, "disconnected").filter(|down| *down))
        .with("mtu", number("mtu"))
        .with("queues", number("queues"))
        .with("rate", float(device, "rate_limit").filter(|rate| *rate > 0.0))
        .with("tag", number("vlan_id"))
        .with("trunks", text(device, "trunks").map(trunks))
}

/// VLANs as the API has them: commas, which it refuses, are semicolons to it.
pub(super) fn trunks(text: &str) -> String {
    text.replace(',', ";")
}

fn encode_hostpci(device: &Value) -> Properties {
    Properties::default()
        .with("host", text(device, "id"))
        .with("mapping", text(device, "mapping"))
        .with("mdev", text(device, "mdev"))
        .with_flag("pcie", flag(device, "pcie"))
        .with_flag("rombar", flag(device, "rombar"))
        .with("romfile", text(device, "rom_file"))
        .with_flag("x-vga", flag(device, "xvga"))
}
