//! Data sources that list objects.

use pve_executor::ports::ProviderError;
use pve_model::{Type, Value};
use serde_json::{Map, Value as Json, json};

use super::list_schema;
use super::read::{entries, get};
use crate::cluster::{Cluster, Method, failed};
use crate::object::{Absent, nothing, rows};
use crate::values::{text as text_of, texts as texts_of};

/// The texts of a device, with the names that the API has for them.
pub(super) const DEVICE: &[(&str, &str)] = &[
    ("class", "class"),
    ("device", "device"),
    ("device_name", "device_name"),
    ("id", "id"),
    ("subsystem_device", "subsystem_device"),
    ("subsystem_device_name", "subsystem_device_name"),
    ("subsystem_vendor", "subsystem_vendor"),
    ("subsystem_vendor_name", "subsystem_vendor_name"),
    ("vendor", "vendor"),
    ("vendor_name", "vendor_name"),
];

/// The filters of devices, with what they are compared with.
pub(super) const FILTERS: &[(&str, &str)] =
    &[("class", "class"), ("device_id", "device"), ("id", "id"), ("vendor_id", "vendor")];

/// The entries of a list, sorted by a text in them.
async fn sorted(cluster: &Cluster, what: &str, path: &str, by: &str) -> Result<Vec<Json>, ProviderError> {
    let mut list = entries(&get(cluster, what, path).await?);
    list.sort_by_key(|entry| entry.get(by).and_then(Json::as_str).unwrap_or_default().to_string());
    Ok(list)
}

fn column(list: &[Json], name: &str, absent: &Json) -> Json {
    list.iter().map(|entry| entry.get(name).cloned().unwrap_or_else(|| absent.clone())).collect()
}

fn truth(value: Option<&Json>, absent: bool) -> Json {
    let value = value.map(|value| ![json!(0), json!(false), json!("0"), json!("")].contains(value));
    json!(value.unwrap_or(absent))
}

/// The parts of a text between separators.
fn parts(value: Option<&Json>) -> Json {
    match value {
        Some(Json::Array(list)) => json!(list),
        Some(Json::String(text)) => {
            text.split([',', ' ']).filter(|part| !part.is_empty()).map(|part| json!(part)).collect()
        }
        _ => json!([]),
    }
}

/// Reads a data source of this short name. `None` when it is none of these.
pub(super) async fn read(
    short: &str,
    cluster: &Cluster,
    config: &Value,
) -> Result<Option<Map<String, Json>>, ProviderError> {
    let read = match short {
        "acme_account" => read_account(cluster, config).await?,
        "acme_accounts" => {
            let list = sorted(cluster, "ACME accounts", "/cluster/acme/account", "name").await?;
            json!({"accounts": column(&list, "name", &Json::Null)})
        }
        "acme_plugins" => {
            let list = sorted(cluster, "ACME plugins", "/cluster/acme/plugins", "plugin").await?;
            let mut plugins = rows("proxmox_acme_dns_plugin", &list, Absent::Nothing);
            for (row, entry) in plugins.iter_mut().zip(&list) {
                row.extend(["plugin", "type"].map(|name| (name.to_string(), entry[name].clone())));
            }
            json!({"plugins": plugins})
        }
        "backup_jobs" => {
            let list = sorted(cluster, "backup jobs", "/cluster/backup", "id").await?;
            json!({"id": "backup_jobs", "jobs": rows("proxmox_backup_job", &list, Absent::Null)})
        }
        "ceph_status" => read_ceph(cluster, config).await?,
        "hagroups" => {
            let list = sorted(cluster, "HA groups", "/cluster/ha/groups", "group").await?;
            json!({"id": "hagroups", "group_ids": column(&list, "group", &Json::Null)})
        }
        "haresources" => {
            let mut list = sorted(cluster, "HA resources", "/cluster/ha/resources", "sid").await?;
            let wanted = text_of(config, "type");
            list.retain(|entry| wanted.is_none() || entry["type"].as_str() == wanted);
            json!({"id": "haresources", "resource_ids": column(&list, "sid", &Json::Null)})
        }
        "hardware_mappings" => read_mappings(cluster, config).await?,
        "hardware_pci" => read_devices(cluster, config).await?,
        "replications" => {
            let list = sorted(cluster, "replications", "/cluster/replication", "id").await?;
            let mut replications = rows("proxmox_replication", &list, Absent::Nothing);
            for (row, entry) in replications.iter_mut().zip(&list) {
                row.insert("remove_job".into(), entry.get("remove_job").cloned().unwrap_or(json!("")));
            }
            json!({"replications": replications})
        }
        "sdn_vnets" => {
            let list = sorted(cluster, "vnets", "/cluster/sdn/vnets", "vnet").await?;
            json!({"vnets": rows("proxmox_sdn_vnet", &list, Absent::Nothing)})
        }
        "sdn_zones" => read_zones(cluster, config).await?,
        "groups" => {
            let list = sorted(cluster, "groups", "/access/groups", "groupid").await?;
            json!({"id": "groups", "comments": column(&list, "comment", &json!("")),
                   "group_ids": column(&list, "groupid", &Json::Null)})
        }
        "pools" => {
            let list = sorted(cluster, "pools", "/pools", "poolid").await?;
            json!({"id": "pools", "pool_ids": column(&list, "poolid", &Json::Null)})
        }
        "roles" => {
            let list = sorted(cluster, "roles", "/access/roles", "roleid").await?;
            let privileges: Json = list.iter().map(|role| parts(role.get("privs"))).collect();
            let special: Json = list.iter().map(|role| truth(role.get("special"), false)).collect();
            json!({"id": "roles", "role_ids": column(&list, "roleid", &Json::Null), "privileges": privileges,
                   "special": special})
        }
        "users" => read_users(cluster).await?,
        _ => return Ok(None),
    };
    Ok(read.as_object().cloned())
}

async fn read_account(cluster: &Cluster, config: &Value) -> Result<Json, ProviderError> {
    let name = text_of(config, "name").unwrap_or("default");
    let account = get(cluster, "ACME account", &format!("/cluster/acme/account/{name}")).await?;
    let text = |place: &str| account.pointer(place).cloned().unwrap_or(json!(""));
    let contact = account.pointer("/account/contact").cloned().unwrap_or(json!([]));
    let told = json!({"contact": contact, "created_at": text("/account/createdAt"), "status": text("/account/status")});
    Ok(json!({
        "name": name, "account": told, "directory": text("/directory"), "location": text("/location"),
        "tos": text("/tos"),
    }))
}

async fn read_ceph(cluster: &Cluster, config: &Value) -> Result<Json, ProviderError> {
    let node = text_of(config, "node_name");
    let path = node.map_or("/cluster/ceph/status".to_string(), |node| format!("/nodes/{node}/ceph/status"));
    let status = get(cluster, "the status of Ceph", &path).await?;
    let fsid = status.get("fsid").cloned().unwrap_or(Json::Null);
    let health = status.pointer("/health/status").cloned().unwrap_or(Json::Null);
    let quorum = status.get("quorum_names").cloned().unwrap_or(json!([]));
    Ok(json!({"id": fsid, "fsid": fsid, "health_status": health, "quorum_names": quorum, "node_name": node}))
}

async fn read_mappings(cluster: &Cluster, config: &Value) -> Result<Json, ProviderError> {
    let kind = text_of(config, "type").unwrap_or_default();
    let node = text_of(config, "check_node");
    let params: Vec<_> = node.map(|node| ("check-node".to_string(), node.to_string())).into_iter().collect();
    let list = cluster.api.send(Method::Get, &format!("/cluster/mapping/{kind}"), &params).await;
    let mut list = entries(&list.map_err(|error| failed(format!("read {kind} mappings"), &error))?);
    list.sort_by_key(|mapping| mapping["id"].as_str().unwrap_or_default().to_string());
    let checks = list.iter().flat_map(|mapping| {
        // USB mappings have them under another name.
        let checks = [mapping.get("checks"), mapping.get("errors")].into_iter().flatten();
        let checks: Vec<Json> = checks.flat_map(entries).collect();
        checks.into_iter().map(|check| {
            let message = check["message"].as_str().unwrap_or_default().trim_end();
            json!({"mapping_id": mapping["id"], "message": message, "severity": check["severity"]})
        })
    });
    let checks: Vec<Json> = checks.collect();
    let checks = if checks.is_empty() { Json::Null } else { json!(checks) };
    Ok(json!({"id": "hardware_mappings", "ids": column(&list, "id", &Json::Null), "checks": checks}))
}

async fn read_devices(cluster: &Cluster, config: &Value) -> Result<Json, ProviderError> {
    let node = text_of(config, "node_name").unwrap_or_default();
    let mut params = Vec::new();
    if config.get("pci_class_blacklist").is_some_and(|list| !list.is_null()) {
        params.push(("pci-class-blacklist".to_string(), texts_of(config, "pci_class_blacklist").join(";")));
    }
    let list = cluster.api.send(Method::Get, &format!("/nodes/{node}/hardware/pci"), &params).await;
    let list = entries(&list.map_err(|error| failed(format!("read the PCI devices of {node}"), &error))?);
    let plain = |text: &str| text.trim_start_matches("0x").to_lowercase();
    let wanted = |device: &&Json| {
        FILTERS.iter().all(|(name, param)| {
            let filter = config.get("filters").and_then(|filters| text_of(filters, name)).map(plain);
            let found = device.get(param).and_then(Json::as_str).map(plain).unwrap_or_default();
            filter.is_none_or(|filter| found.starts_with(&filter))
        })
    };
    let row = |device: &Json| {
        let texts = DEVICE
            .iter()
            .map(|(name, param)| ((*name).to_string(), device.get(param).cloned().unwrap_or(json!(""))));
        let mut row: Map<String, Json> = texts.collect();
        // -1 stands for none.
        row.insert("iommu_group".into(), device.get("iommugroup").cloned().unwrap_or(json!(0)));
        row.insert("mdev".into(), truth(device.get("mdev"), false));
        Json::Object(row)
    };
    let devices: Json = list.iter().filter(wanted).map(row).collect();
    Ok(json!({"devices": devices}))
}

async fn read_zones(cluster: &Cluster, config: &Value) -> Result<Json, ProviderError> {
    let mut list = sorted(cluster, "zones", "/cluster/sdn/zones", "zone").await?;
    let wanted = text_of(config, "type");
    list.retain(|zone| wanted.is_none() || zone["type"].as_str() == wanted);
    let mut zones = Vec::new();
    for zone in &list {
        let kind = zone["type"].as_str().unwrap_or_default();
        let entry = std::slice::from_ref(zone);
        let mut row = rows(&format!("proxmox_sdn_zone_{kind}"), entry, Absent::Nothing).remove(0);
        row.insert("type".into(), json!(kind));
        // Every row has every attribute.
        if let Type::Object(attributes) = list_schema::zone() {
            for (name, attribute) in &*attributes {
                row.entry(name.to_string()).or_insert_with(|| match (&attribute.ty, zone.get(&**name)) {
                    (Type::Set(_), found @ Some(_)) => parts(found),
                    _ => nothing(&attribute.ty),
                });
            }
        }
        zones.push(Json::Object(row));
    }
    Ok(json!({"zones": zones}))
}

async fn read_users(cluster: &Cluster) -> Result<Json, ProviderError> {
    // The groups are part of the full list only.
    let params = [("full".to_string(), "1".to_string())];
    let list = cluster.api.send(Method::Get, "/access/users", &params).await;
    let mut list = entries(&list.map_err(|error| failed("read users", &error))?);
    list.sort_by_key(|user| user["userid"].as_str().unwrap_or_default().to_string());
    let users = rows("proxmox_virtual_environment_user", &list, Absent::Meaning);
    let of = |name: &str| -> Json {
        users
            .iter()
            .map(|user| user.get(name).filter(|text| !text.is_null()).cloned().unwrap_or(json!("")))
            .collect()
    };
    let groups: Json = list.iter().map(|user| parts(user.get("groups"))).collect();
    Ok(json!({
        "id": "users", "comments": of("comment"), "emails": of("email"), "enabled": of("enabled"),
        "expiration_dates": of("expiration_date"), "first_names": of("first_name"), "groups": groups,
        "keys": of("keys"), "last_names": of("last_name"), "user_ids": column(&list, "userid", &Json::Null),
    }))
}
