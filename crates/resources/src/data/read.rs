//! Reading data sources.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Map, Value as Json, json};

use super::derived::{self, DERIVED};
use super::lists;
use crate::cluster::{Cluster, Guest, Method, failed, refused};
use crate::observed::overlay;
use crate::registry::Registry;
use crate::values::{all_blocks, flag, int, is_unset, text, texts, with};

/// Reads a data source of `kind` with the configured values.
pub(crate) async fn read(
    kind: &str,
    block: &Block,
    registry: &Registry,
    cluster: &Cluster,
    config: &Value,
) -> Result<Value, ProviderError> {
    if let Some(derived) = DERIVED.iter().find(|derived| derived.names.contains(&kind))
        && let Some(resource) = registry.kind(derived.resource)
    {
        let mut read = derived::read(derived, resource, cluster, config).await?;
        // What names it stays as it is written.
        read.retain(|name, _| config.get(name).is_none_or(Value::is_null));
        return Ok(overlay(block, config, read));
    }
    let short = kind.strip_prefix("proxmox_virtual_environment_").or_else(|| kind.strip_prefix("proxmox_"));
    let read = match short.unwrap_or(kind) {
        "nodes" => nodes(cluster).await?,
        "node" => node(cluster, config).await?,
        "datastores" => datastores(cluster, config).await?,
        "version" => version(cluster).await?,
        "vms" => guests(cluster, config, "qemu", "vms").await?,
        "containers" => guests(cluster, config, "lxc", "containers").await?,
        "vm" => guest(cluster, config, "qemu").await?,
        "container" => guest(cluster, config, "lxc").await?,
        "file" => file(cluster, config).await?,
        "files" => files(cluster, config).await?,
        other => match lists::read(other, cluster, config).await? {
            Some(read) => read,
            None => return Err(refused(format!("{kind} is not supported yet"), None)),
        },
    };
    let value = overlay(block, config, read);
    // Data sources have null where no filter is written, unlike resources.
    Ok(match value.get("filter") {
        Some(filter) if is_unset(filter) => with(&value, "filter", Value::null(filter.ty())),
        _ => value,
    })
}

pub(super) async fn get(cluster: &Cluster, what: &str, path: &str) -> Result<Json, ProviderError> {
    cluster.get(path).await.map_err(|error| failed(format!("read {what}"), &error))
}

pub(super) fn entries(list: &Json) -> Vec<Json> {
    list.as_array().cloned().unwrap_or_default()
}

async fn nodes(cluster: &Cluster) -> Result<Map<String, Json>, ProviderError> {
    let mut list = entries(&get(cluster, "nodes", "/nodes").await?);
    list.sort_by_key(|node| node.get("node").and_then(Json::as_str).unwrap_or_default().to_string());
    let column = |name: &str, absent: Json| -> Json {
        list.iter().map(|node| node.get(name).cloned().unwrap_or(absent.clone())).collect()
    };
    Ok(Map::from_iter([
        ("id".into(), json!("nodes")),
        ("cpu_count".into(), column("maxcpu", json!(0))),
        ("cpu_utilization".into(), column("cpu", json!(0))),
        // All memory, as the reference has it; `memory_available` of a single node is what is free.
        ("memory_available".into(), column("maxmem", json!(0))),
        ("memory_used".into(), column("mem", json!(0))),
        ("names".into(), column("node", json!(""))),
        (
            "online".into(),
            list.iter().map(|node| json!(node.get("status") == Some(&json!("online")))).collect(),
        ),
        ("ssl_fingerprints".into(), column("ssl_fingerprint", json!(""))),
        ("support_levels".into(), column("level", json!(""))),
        ("uptime".into(), column("uptime", json!(0))),
    ]))
}

async fn node(cluster: &Cluster, config: &Value) -> Result<Map<String, Json>, ProviderError> {
    let name = text(config, "node_name").unwrap_or_default();
    let status = get(cluster, &format!("node {name}"), &format!("/nodes/{name}/status")).await?;
    let at = |path: &str| status.pointer(path).cloned().unwrap_or(Json::Null);
    Ok(Map::from_iter([
        ("id".into(), json!(name)),
        ("cpu_cores".into(), at("/cpuinfo/cores")),
        ("cpu_count".into(), at("/cpuinfo/cpus")),
        ("cpu_model".into(), at("/cpuinfo/model")),
        ("cpu_sockets".into(), at("/cpuinfo/sockets")),
        ("cpu_utilization".into(), at("/cpu")),
        ("memory_available".into(), at("/memory/free")),
        ("memory_total".into(), at("/memory/total")),
        ("memory_used".into(), at("/memory/used")),
        ("uptime".into(), at("/uptime")),
    ]))
}

async fn datastores(cluster: &Cluster, config: &Value) -> Result<Map<String, Json>, ProviderError> {
    let node = text(config, "node_name").unwrap_or_default();
    let filters = config.get("filters").filter(|filters| !filters.is_null());
    // Only those that another node has as well.
    let target = filters.and_then(|filters| text(filters, "target"));
    let params: Vec<_> =
        target.map(|target| ("target".to_string(), target.to_string())).into_iter().collect();
    let list = cluster.api.send(Method::Get, &format!("/nodes/{node}/storage"), &params).await;
    let list = list.map_err(|error| failed(format!("read datastores of {node}"), &error))?;
    let wanted_id = filters.and_then(|filters| text(filters, "id"));
    let wanted = filters.map(|filters| texts(filters, "content_types")).unwrap_or_default();
    let mut found: Vec<Json> = entries(&list)
        .iter()
        .filter_map(|storage| {
            let id = storage.get("storage")?.as_str()?;
            let content = storage.get("content").and_then(Json::as_str).unwrap_or_default();
            let content: Vec<&str> = content.split(',').filter(|one| !one.is_empty()).collect();
            let fits = wanted_id.is_none_or(|wanted| wanted == id)
                && wanted.iter().all(|wanted| content.contains(&wanted.as_str()));
            let flag = |name: &str| json!(storage.get(name).and_then(Json::as_i64) == Some(1));
            let value = |name: &str| storage.get(name).cloned().unwrap_or(Json::Null);
            fits.then(|| {
                json!({
                    "id": id, "node_name": node, "type": value("type"), "content_types": content,
                    "active": flag("active"), "enabled": flag("enabled"), "shared": flag("shared"),
                    "space_available": value("avail"), "space_total": value("total"),
                    "space_used": value("used"), "space_used_fraction": value("used_fraction"),
                })
            })
        })
        .collect();
    found.sort_by_key(|storage| storage["id"].as_str().unwrap_or_default().to_string());
    Ok(Map::from_iter([("datastores".into(), Json::Array(found))]))
}

async fn version(cluster: &Cluster) -> Result<Map<String, Json>, ProviderError> {
    let version = get(cluster, "the version", "/version").await?;
    let part = |name: &str| version.get(name).cloned().unwrap_or(Json::Null);
    Ok(Map::from_iter([
        ("id".into(), json!("version")),
        ("release".into(), part("release")),
        ("repository_id".into(), part("repoid")),
        ("version".into(), part("version")),
    ]))
}

fn guest_json(guest: &Guest) -> Json {
    let tags = guest.tags.clone().unwrap_or_default();
    let tags: Vec<&str> = tags.split([';', ',']).map(str::trim).filter(|tag| !tag.is_empty()).collect();
    json!({
        "name": guest.name, "node_name": guest.node, "status": guest.status,
        "tags": tags, "template": guest.template, "vm_id": guest.vmid,
    })
}

async fn guests(
    cluster: &Cluster,
    config: &Value,
    kind: &str,
    attribute: &str,
) -> Result<Map<String, Json>, ProviderError> {
    let list = cluster.guests().await.map_err(|error| failed(format!("read {attribute}"), &error))?;
    let tags = texts(config, "tags");
    let node = text(config, "node_name");
    let mut found: Vec<(u32, Json)> = list
        .iter()
        .filter(|guest| guest.kind == kind && node.is_none_or(|node| node == guest.node))
        .map(|guest| (guest.vmid, guest_json(guest)))
        .filter(|(_, guest)| {
            tags.iter().all(|tag| guest["tags"].as_array().is_some_and(|own| own.contains(&json!(tag))))
        })
        .collect();
    for filter in all_blocks(config, "filter") {
        let name = text(filter, "name").unwrap_or_default();
        let values = texts(filter, "values");
        let mut patterns = Vec::new();
        if flag(filter, "regex") == Some(true) {
            for value in &values {
                let pattern = regex::Regex::new(value);
                patterns.push(pattern.map_err(|error| refused(format!("read {attribute}: {error}"), None))?);
            }
        }
        found.retain(|(_, guest)| {
            let own = match &guest[name] {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            values.contains(&own) || patterns.iter().any(|pattern| pattern.is_match(&own))
        });
    }
    found.sort_by_key(|(id, _)| *id);
    let found = found.into_iter().map(|(_, guest)| guest).collect();
    let filters = all_blocks(config, "filter");
    let filters = filters.iter().map(|filter| json!({ "regex": flag(filter, "regex").unwrap_or(false) }));
    Ok(Map::from_iter([
        ("id".into(), json!(attribute)),
        (attribute.into(), found),
        ("filter".into(), filters.collect()),
        ("tags".into(), if tags.is_empty() { Json::Null } else { json!(tags) }),
    ]))
}

async fn guest(cluster: &Cluster, config: &Value, kind: &str) -> Result<Map<String, Json>, ProviderError> {
    let vmid = int(config, "vm_id").unwrap_or_default();
    let list = cluster.guests().await.map_err(|error| failed(format!("read guest {vmid}"), &error))?;
    let guest = list.iter().find(|guest| i64::from(guest.vmid) == vmid && guest.kind == kind);
    let guest = guest.ok_or_else(|| {
        refused(format!("there is no guest {vmid}"), Some("check vm_id, and that the user may see it"))
    })?;
    if let Some(node) = text(config, "node_name").filter(|node| *node != guest.node) {
        let message = format!("guest {vmid} is not on {node}: it is on {}", guest.node);
        return Err(refused(message, Some(&format!("set node_name = {:?}", guest.node))));
    }
    let Json::Object(mut read) = guest_json(guest) else { return Ok(Map::new()) };
    read.insert("id".into(), json!(vmid.to_string()));
    Ok(read)
}

/// The volumes of the configured datastore.
async fn volumes(cluster: &Cluster, config: &Value) -> Result<Vec<Json>, ProviderError> {
    let field = |name: &str| text(config, name).unwrap_or_default().to_string();
    let (node, datastore) = (field("node_name"), field("datastore_id"));
    let list = cluster.content(&node, &datastore).await;
    let list = list.map_err(|error| failed(format!("read the files of {datastore}"), &error))?;
    Ok(list.to_vec())
}

/// The name in `local:iso/x.iso` and `local-lvm:vm-100-disk-0`.
fn name_of(entry: &Json) -> &str {
    let id = entry.get("volid").and_then(Json::as_str).unwrap_or_default();
    id.rsplit(['/', ':']).next().unwrap_or_default()
}

async fn files(cluster: &Cluster, config: &Value) -> Result<Map<String, Json>, ProviderError> {
    let content = text(config, "content_type");
    let pattern = text(config, "file_name_regex").map(regex::Regex::new).transpose();
    let pattern = pattern.map_err(|error| refused(format!("read files: {error}"), None))?;
    let entries = volumes(cluster, config).await?;
    let found = entries.iter().filter(|entry| {
        content.is_none_or(|content| entry.get("content").and_then(Json::as_str) == Some(content))
            && pattern.as_ref().is_none_or(|pattern| pattern.is_match(name_of(entry)))
    });
    let mut found: Vec<Json> = found
        .map(|entry| {
            let part = |name: &str| entry.get(name).cloned().unwrap_or(Json::Null);
            json!({
                "content_type": part("content"), "file_format": part("format"), "file_name": name_of(entry),
                "file_size": part("size"), "id": part("volid"), "vmid": part("vmid"),
            })
        })
        .collect();
    found.sort_by_key(|file| file["id"].as_str().unwrap_or_default().to_string());
    Ok(Map::from_iter([("files".into(), Json::Array(found))]))
}

async fn file(cluster: &Cluster, config: &Value) -> Result<Map<String, Json>, ProviderError> {
    let field = |name: &str| text(config, name).unwrap_or_default().to_string();
    let (datastore, content, name) = (field("datastore_id"), field("content_type"), field("file_name"));
    let list = volumes(cluster, config).await?;
    let entry = list.iter().find(|entry| {
        entry.get("content").and_then(Json::as_str) == Some(&content) && name_of(entry) == name
    });
    let entry = entry.ok_or_else(|| refused(format!("{datastore} has no {content} file {name}"), None))?;
    let part = |name: &str| entry.get(name).cloned().unwrap_or(Json::Null);
    Ok(Map::from_iter([
        ("id".into(), part("volid")),
        ("file_format".into(), part("format")),
        ("file_size".into(), part("size")),
        ("vmid".into(), part("vmid")),
    ]))
}
