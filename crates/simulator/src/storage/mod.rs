//! Storages: their definitions, what is on them, and how files get there.

mod content;
mod definition;
mod maintenance;
mod pruning;
mod transfer;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::nodes::has_volume_group;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::state::Options;
use crate::volumes;

pub(crate) use definition::forget;
pub(crate) use maintenance::ROUTES as MAINTENANCE_ROUTES;
pub(crate) use transfer::{checksums, store_file, virtual_size};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/storage", definition::list),
    ("POST", "/storage", definition::create),
    ("GET", "/storage/{storage}", definition::read),
    ("PUT", "/storage/{storage}", definition::update),
    ("DELETE", "/storage/{storage}", definition::delete),
    ("GET", "/nodes/{node}/storage", list),
    ("GET", "/nodes/{node}/storage/{storage}", index),
    ("GET", "/nodes/{node}/storage/{storage}/status", status),
    ("GET", "/nodes/{node}/storage/{storage}/content", content::list),
    ("POST", "/nodes/{node}/storage/{storage}/content", content::allocate),
    ("GET", "/nodes/{node}/storage/{storage}/content/{volume}", content::read),
    ("POST", "/nodes/{node}/storage/{storage}/content/{volume}", content::copy),
    ("PUT", "/nodes/{node}/storage/{storage}/content/{volume}", content::update),
    ("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}", content::delete),
    ("POST", "/nodes/{node}/storage/{storage}/download-url", transfer::download),
    ("POST", "/nodes/{node}/storage/{storage}/upload", transfer::upload),
    ("GET", "/nodes/{node}/query-url-metadata", transfer::metadata),
    ("GET", "/nodes/{node}/storage/{storage}/file-restore/list", restore_files),
    ("GET", "/nodes/{node}/storage/{storage}/file-restore/download", restore_files),
];

/// Does not look whether the storage is there.
fn index(_: &mut Request<'_>) -> Answer {
    let names = [
        "content",
        "download-url",
        "file-restore",
        "import-metadata",
        "identity",
        "oci-registry-pull",
        "prunebackups",
        "rrd",
        "rrddata",
        "status",
        "upload",
    ];
    Ok(names.iter().map(|name| json!({ "subdir": name })).collect())
}

/// Single files come from backup servers only.
fn restore_files(request: &mut Request<'_>) -> Answer {
    let (storage, volume) = (request.text("storage"), request.text("volume"));
    let id = match volumes::split(&volume) {
        Some((other, _)) if other != storage => {
            return Err(Failure::parameter("volume", format!("storage ID mismatch ({other} != {storage}).")));
        }
        Some(_) => volume,
        None if volume.starts_with("backup/") => format!("{storage}:{volume}"),
        None => format!("{storage}:backup/{volume}"),
    };
    let kind = volumes::storage(request.state, &storage)?.get("type").cloned().unwrap_or_default();
    let name = volumes::split(&id).map_or("", |(_, name)| name);
    volumes::check_name(request.state, &storage, name)?;
    if !name.starts_with("backup/") {
        return Err(Failure::died(format!("unable to use volume {id} - content type needs to be 'backup'")));
    }
    if kind != "pbs" {
        return Err(Failure::parameter("storage", "Only PBS storages supported for file-restore."));
    }
    Ok(Value::Array(Vec::new()))
}

/// What the system itself takes.
const SYSTEM_BYTES: u64 = 2 << 30;

/// Whether lists have the storage.
fn may_see(request: &Request<'_>, name: &str) -> bool {
    request.allows_any(&format!("/storage/{name}"), &["Datastore.Audit", "Datastore.AllocateSpace"])
}

/// Bytes in use on a storage.
pub(crate) fn used(request: &Request<'_>, name: &str, options: &Options) -> u64 {
    if request.state.full_storages.contains(name) {
        return request.options.storage_size;
    }
    let used: u64 = request
        .state
        .volumes
        .iter()
        .filter(|(id, _)| volumes::split(id).is_some_and(|(storage, _)| storage == name))
        // Thin volumes and sparse files take what was written, not what was promised.
        .map(|(_, volume)| if volume.owner.is_some() { volume.file_size / 16 } else { volume.file_size })
        .sum();
    // The system lies on the same file system as directories do.
    let system = if volumes::is_block(options) { 0 } else { SYSTEM_BYTES };
    (used + system).min(request.options.storage_size)
}

fn row(request: &Request<'_>, name: &str, options: &Options) -> Value {
    let enabled = is_usable(request, options);
    let is_active = enabled && has_volume_group(request.state, Some(&request.node), options);
    let total = if is_active { request.options.storage_size } else { 0 };
    let used = used(request, name, options).min(total);
    let text = |key: &str| options.get(key).cloned().unwrap_or_default();
    json!({
        "type": text("type"), "content": text("content"),
        "active": u8::from(is_active), "enabled": u8::from(enabled), "shared": u8::from(text("shared") == "1"),
        "total": total, "used": used, "avail": total - used,
    })
}

fn is_usable(request: &Request<'_>, options: &Options) -> bool {
    !volumes::is_disabled(options) && volumes::serves(options, &request.node)
}

/// Whether a list of these types of content has the storage; without any, it has what is disabled too
/// (`storage_info`).
fn is_listed(request: &Request<'_>, options: &Options) -> bool {
    request.get("content").is_none_or(|list| {
        is_usable(request, options) && split_list(list).any(|content| volumes::allows(options, content))
    })
}

fn list(request: &mut Request<'_>) -> Answer {
    let storages = &request.state.storages;
    let only = request.get("storage");
    if only.is_some_and(|name| !storages.get(name).is_some_and(|options| is_listed(request, options))) {
        return Err(Failure::parameter("storage", "No such storage."));
    }
    let target = request.get("target").filter(|target| *target != request.node && *target != "localhost");
    let reaches = |options: &Options| {
        target.is_none_or(|target| {
            volumes::is_shared(options)
                && volumes::serves(options, &request.node)
                && volumes::serves(options, target)
        })
    };
    Ok(storages
        .iter()
        .filter(|(name, options)| {
            only.is_none_or(|only| only == *name)
                && may_see(request, name)
                && is_listed(request, options)
                && !(request.flag("enabled") && volumes::is_disabled(options))
                && reaches(options)
        })
        .map(|(name, options)| {
            let mut row = row(request, name, options);
            row["storage"] = json!(name);
            let (used, total) = (row["used"].as_f64().unwrap_or(0.0), row["total"].as_f64().unwrap_or(1.0));
            if total > 0.0 {
                row["used_fraction"] = json!(used / total);
            }
            if request.flag("format") && is_usable(request, options) {
                add_formats(&mut row, options);
            }
            row
        })
        .collect())
}

/// The formats of disks that a kind of storage takes.
fn add_formats(row: &mut Value, options: &Options) {
    let (all, mut default): (&[&str], &str) = match options.get("type").map(String::as_str) {
        Some("dir" | "nfs" | "cifs") => (&["qcow2", "raw", "subvol", "vmdk"], "raw"),
        Some("btrfs" | "zfspool") => (&["raw", "subvol"], "raw"),
        _ => (&["raw"], "raw"),
    };
    if let Some(format) = options.get("format") {
        default = format;
    }
    let valid: serde_json::Map<String, Value> =
        all.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
    row["formats"] = json!({ "supported": all, "default": default });
    row["format"] = json!([valid, default]);
}

fn status(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    match request.state.storages.get(&name).filter(|options| is_listed(request, options)) {
        Some(options) => Ok(row(request, &name, options)),
        None => Err(Failure::parameter("storage", "No such storage.")),
    }
}
