//! Storages: their definitions, what is on them, and how files get there.

mod content;
mod definition;
mod maintenance;
mod transfer;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::Options;
use crate::volumes;

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
    ("PUT", "/nodes/{node}/storage/{storage}/content/{volume}", content::update),
    ("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}", content::delete),
    ("POST", "/nodes/{node}/storage/{storage}/download-url", transfer::download),
    ("POST", "/nodes/{node}/storage/{storage}/upload", transfer::upload),
    ("GET", "/nodes/{node}/query-url-metadata", transfer::metadata),
    ("GET", "/nodes/{node}/storage/{storage}/file-restore/list", restore_files),
    ("GET", "/nodes/{node}/storage/{storage}/file-restore/download", restore_files),
];

fn index(request: &mut Request<'_>) -> Answer {
    volumes::storage(request.state, &request.text("storage"))?;
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

fn is_enabled(options: &Options) -> bool {
    options.get("disable").is_none_or(|value| value != "1")
}

fn is_here(request: &Request<'_>, options: &Options) -> bool {
    options.get("nodes").is_none_or(|nodes| nodes.split(',').any(|node| node == request.node))
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
    let enabled = is_enabled(options) && is_here(request, options);
    let total = if enabled { request.options.storage_size } else { 0 };
    let used = used(request, name, options).min(total);
    let text = |key: &str| options.get(key).cloned().unwrap_or_default();
    json!({
        "type": text("type"), "content": text("content"),
        "active": u8::from(enabled), "enabled": u8::from(enabled), "shared": u8::from(text("shared") == "1"),
        "total": total, "used": used, "avail": total - used,
    })
}

fn list(request: &mut Request<'_>) -> Answer {
    if request.get("target").is_some_and(|target| target != request.node) {
        return Ok(json!([]));
    }
    let wanted: Vec<String> = crate::schema::formats::split_list(request.get("content").unwrap_or_default())
        .map(str::to_owned)
        .collect();
    let only = request.get("storage").map(str::to_owned);
    Ok(request
        .state
        .storages
        .iter()
        .filter(|(name, options)| {
            only.as_ref().is_none_or(|only| only == *name)
                && may_see(request, name)
                && (wanted.is_empty() || wanted.iter().any(|content| volumes::allows(options, content)))
                && (!request.flag("enabled") || is_enabled(options) && is_here(request, options))
        })
        .map(|(name, options)| {
            let mut row = row(request, name, options);
            row["storage"] = json!(name);
            let (used, total) = (row["used"].as_f64().unwrap_or(0.0), row["total"].as_f64().unwrap_or(1.0));
            if total > 0.0 {
                row["used_fraction"] = json!(used / total);
            }
            row
        })
        .collect())
}

fn status(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    match request.state.storages.get(&name) {
        Some(options) => Ok(row(request, &name, options)),
        None => Err(Failure::parameter("storage", "No such storage.")),
    }
}
