//! What a node finds when it looks for storage (PVE::API2::Storage::Scan). No other machine answers.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/scan", |_| {
        Ok(["cifs", "iscsi", "lvm", "nfs", "pbs", "zfs"].map(|name| json!({ "method": name })).into())
    }),
    ("GET", "/nodes/{node}/scan/nfs", |request| {
        let server = request.text("server");
        Err(Failure::died(format!(
            "command '/sbin/showmount --no-headers --exports {server}' failed: exit code 1"
        )))
    }),
    ("GET", "/nodes/{node}/scan/cifs", |_| Ok(json!([]))),
    ("GET", "/nodes/{node}/scan/iscsi", |request| {
        let portal = request.text("portal");
        Err(Failure::died(format!("iscsi scan failed: unable to connect to portal '{portal}'")))
    }),
    ("GET", "/nodes/{node}/scan/pbs", |request| {
        let (server, port) = (request.text("server"), request.number("port").unwrap_or(8007));
        Err(Failure::died(format!(
            "error fetching datastores - 500 Can't connect to {server}:{port} (Connection refused)"
        )))
    }),
    ("GET", "/nodes/{node}/scan/lvm", groups),
    ("GET", "/nodes/{node}/scan/lvmthin", thin_pools),
    ("GET", "/nodes/{node}/scan/zfs", pools),
];

/// The names that one kind of storage has in an option, and what was made of the node's disks.
fn names(request: &Request<'_>, kinds: &[&str], option: &str, made: &str) -> Vec<String> {
    let storages = request.state.storages.values();
    let used =
        storages.filter(|storage| storage.get("type").is_some_and(|kind| kinds.contains(&kind.as_str())));
    let mut names: Vec<String> = used.filter_map(|storage| storage.get(option).cloned()).collect();
    names.extend(super::disks::names(request, made));
    names.sort();
    names.dedup();
    names
}

fn groups(request: &mut Request<'_>) -> Answer {
    let found = super::disks::volume_groups(request);
    let row = |group: &Value| json!({ "vg": group["name"], "size": group["size"], "free": group["free"], "lvcount": group["lvcount"] });
    let mut rows: Vec<Value> = found.iter().map(row).collect();
    for name in names(request, &["lvm", "lvmthin"], "vgname", "lvm") {
        if !rows.iter().any(|row| row["vg"] == json!(name)) {
            let size = request.options.storage_size;
            rows.push(json!({ "vg": name, "size": size, "free": 0, "lvcount": 0 }));
        }
    }
    Ok(Value::Array(rows))
}

fn thin_pools(request: &mut Request<'_>) -> Answer {
    let group = request.text("vg");
    let known =
        groups(request)?.as_array().is_some_and(|rows| rows.iter().any(|row| row["vg"] == json!(group)));
    if !known {
        return Err(Failure::died(format!(
            "command '/sbin/lvs --separator : --noheadings --units b --unbuffered --nosuffix --config 'report/time_format=\"%s\"' --options vg_name,lv_name,lv_size,lv_attr,pool_lv,data_percent,metadata_percent,snap_percent,uuid,tags,metadata_size,time {group}' failed: exit code 5"
        )));
    }
    let mut rows = super::disks::thin_pools(request);
    rows.retain(|row| row["vg"] == json!(group));
    let storages = request.state.storages.values().filter(|storage| storage.get("vgname") == Some(&group));
    for pool in storages.filter_map(|storage| storage.get("thinpool")) {
        if !rows.iter().any(|row| row["lv"] == json!(pool)) {
            rows.push(super::disks::thin_pool(pool, &group, request.options.storage_size));
        }
    }
    Ok(Value::Array(rows))
}

fn pools(request: &mut Request<'_>) -> Answer {
    let names = names(request, &["zfspool"], "pool", "zfs");
    Ok(Value::Array(names.iter().map(|name| json!({ "pool": name })).collect()))
}
