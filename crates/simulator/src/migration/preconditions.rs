//! What stands in the way of a migration (PVE::API2::Qemu and PVE::API2::LXC, `migrate_vm_precondition`).

use serde_json::{Map, Value, json};

use super::{attached, is_local};
use crate::guests;
use crate::qemu::drives;
use crate::request::{Answer, Request};
use crate::state::{GuestKind, Options};
use crate::volumes;

fn others(request: &Request<'_>) -> Vec<String> {
    request.options.nodes().filter(|node| **node != request.node).cloned().collect()
}

/// `GET migrate`: what stands in the way; does not look at `target`.
pub(crate) fn preconditions(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let guest = request.guest(kind)?;
    guests::check_lock(guest)?;
    let running = u8::from(guest.running);
    if kind == GuestKind::Lxc {
        let allowed = others(request);
        return Ok(json!({ "running": running, "allowed-nodes": allowed, "not-allowed-nodes": {} }));
    }
    // Every other node has its entry here, with the reasons if there are any.
    let refused: Map<String, Value> = others(request)
        .into_iter()
        .map(|node| (node.clone(), obstacles(request, &guest.config, &node)))
        .collect();
    let free = |node: &&String| refused[*node].as_object().is_some_and(Map::is_empty);
    let allowed: Vec<String> = refused.keys().filter(free).cloned().collect();
    let local: Vec<Value> = attached(&guest.config)
        .iter()
        .filter(|(_, file)| is_local(request, file))
        .map(|(name, file)| local_disk(&guest.config, name, file))
        .collect();
    let managed = crate::ha::is_managed(request.state, request.vmid());
    let mut answer = json!({
        "running": running, "allowed_nodes": allowed, "not_allowed_nodes": refused, "local_disks": local,
        "local_resources": local_resources(&guest.config, guest.running),
        "mapped-resources": mapped_resources(&guest.config).keys().collect::<Vec<_>>(),
        "mapped-resource-info": mapped_resources(&guest.config), "has-dbus-vmstate": 1,
    });
    if managed {
        answer["dependent-ha-resources"] = json!([]);
    }
    Ok(answer)
}

/// Why a machine cannot go to a node: storages and mapped devices that are not there.
fn obstacles(request: &Request<'_>, config: &Options, node: &str) -> Value {
    let mut found = Map::new();
    let storages: std::collections::BTreeSet<String> = attached(config)
        .iter()
        .filter(|(name, _)| !drives::is_unused(name))
        .filter_map(|(_, file)| Some(volumes::split(file)?.0.to_owned()))
        .filter(|name| volumes::usable(request.state, name, node).is_err())
        .collect();
    if !storages.is_empty() {
        found.insert("unavailable_storages".to_owned(), json!(storages));
    }
    let missing: Vec<&String> = config
        .iter()
        .filter(|(_, text)| {
            let mapping = text.split(',').find_map(|part| part.strip_prefix("mapping="));
            mapping.is_some_and(|id| !crate::datacenter::is_mapped(request.state, id, node))
        })
        .map(|(name, _)| name)
        .collect();
    if !missing.is_empty() {
        found.insert("unavailable-resources".to_owned(), json!(missing));
    }
    Value::Object(found)
}

/// Devices of the node that a machine uses (PVE::QemuMigrate::Helpers, `check_local_resources`).
pub(super) fn local_resources(config: &Options, running: bool) -> Vec<String> {
    let device = |(name, text): &(&String, &String)| match crate::schema::indexed(name).map(|(stem, _)| stem)
    {
        Some("usb") => !text.to_lowercase().split(',').any(|part| matches!(part, "spice" | "host=spice")),
        Some("hostpci") => running || !text.contains("mapping="),
        Some("serial") => *text != "socket",
        Some("parallel" | "virtiofs") => true,
        _ => *name == "ivshmem" || running && matches!(name.as_str(), "amd-sev" | "intel-tdx"),
    };
    config.iter().filter(device).map(|(name, _)| name.clone()).collect()
}

pub(super) fn mapped_resources(config: &Options) -> Map<String, Value> {
    let mapping =
        |text: &str| text.split(',').find_map(|part| part.strip_prefix("mapping=").map(str::to_owned));
    let shared = |name: &str, text: &str| {
        let first = text.split(',').next().unwrap_or_default();
        name.starts_with("virtiofs").then(|| first.strip_prefix("dirid=").unwrap_or(first).to_owned())
    };
    let named = |(name, text): (&String, &String)| {
        let id = mapping(text).or_else(|| shared(name, text))?;
        Some((name.clone(), json!({ "name": id })))
    };
    config.iter().filter_map(named).collect()
}

fn local_disk(config: &Options, name: &str, file: &str) -> Value {
    let values = drives::parse(name, &config[name]).unwrap_or_default();
    let unused = drives::is_unused(name);
    let mut row = json!({
        "volid": file, "is_attached": u8::from(!unused), "is_unused": u8::from(unused), "shared": 0, "replicate": 1,
        "cdrom": u8::from(drives::is_cdrom(&values)), "is_cloudinit": u8::from(drives::is_cloud_init(&values)),
        "is_tpmstate": u8::from(name == "tpmstate0"), "is_vmstate": 0,
    });
    if !unused {
        row["drivename"] = json!(name);
        row["size"] = json!(guests::disk_size(config, name));
    }
    row
}
