//! Data sources that tell of one object what its resource has: all attributes are read, those that name it are given.

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::codec::to_plain_json;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Cluster, failed, refused};
use crate::definition::{Fields, flag, object, object_set, text, texts};
use crate::families::apt;
use crate::limits;
use crate::object::{Absent, Object};
use crate::observed::defaults;
use crate::registry::Kind;
use crate::values::with;

/// A data source that is made of a resource.
pub(crate) struct Derived {
    pub(crate) names: &'static [&'static str],
    /// The first name of the resource.
    pub(crate) resource: &'static str,
    /// The attributes that name the object.
    needs: &'static [&'static str],
    /// Attributes of the resource that are not told.
    without: &'static [&'static str],
    /// What is told of a parameter that the API leaves out, as the reference has it.
    absent: Absent,
}

macro_rules! derived {
    ($($absent:ident: $resource:literal, $($name:literal)|+, [$($need:literal),*]
       $(, without [$($without:literal),*])?;)+) => {
        &[$(Derived {
            names: &[$($name),+],
            resource: $resource,
            needs: &[$($need),*],
            without: &[$($($without),*)?],
            absent: Absent::$absent,
        }),+]
    };
}

/// All of them: what is told where the API says nothing, the resource, the names, what names the object.
pub(crate) const DERIVED: &[Derived] = derived! {
    Nothing: "proxmox_virtual_environment_role", "proxmox_virtual_environment_role", ["role_id"];
    Nothing: "proxmox_virtual_environment_group", "proxmox_virtual_environment_group", ["group_id"], without ["acl"];
    Nothing: "proxmox_virtual_environment_user", "proxmox_virtual_environment_user", ["user_id"],
        without ["acl", "groups", "password"];
    Nothing: "proxmox_virtual_environment_pool", "proxmox_virtual_environment_pool", ["pool_id"];
    Nothing: "proxmox_virtual_environment_dns", "proxmox_virtual_environment_dns", ["node_name"];
    Nothing: "proxmox_virtual_environment_time", "proxmox_virtual_environment_time", ["node_name"];
    Nothing: "proxmox_virtual_environment_hosts", "proxmox_virtual_environment_hosts", ["node_name"], without ["entry"];
    Nothing: "proxmox_node_config", "proxmox_node_config", ["node_name"];
    Nothing: "proxmox_acme_dns_plugin", "proxmox_acme_plugin" | "proxmox_virtual_environment_acme_plugin", ["plugin"],
        without ["data_wo", "data_wo_version", "disable"];
    Default: "proxmox_apt_repository", "proxmox_apt_repository" | "proxmox_virtual_environment_apt_repository",
        ["file_path", "index", "node"];
    Default: "proxmox_apt_standard_repository",
        "proxmox_apt_standard_repository" | "proxmox_virtual_environment_apt_standard_repository", ["handle", "node"];
    Default: "proxmox_hagroup", "proxmox_hagroup" | "proxmox_virtual_environment_hagroup", ["group"];
    Default: "proxmox_haresource", "proxmox_haresource" | "proxmox_virtual_environment_haresource", ["resource_id"];
    Default: "proxmox_hardware_mapping_dir",
        "proxmox_hardware_mapping_dir" | "proxmox_virtual_environment_hardware_mapping_dir", ["name"];
    Default: "proxmox_hardware_mapping_pci",
        "proxmox_hardware_mapping_pci" | "proxmox_virtual_environment_hardware_mapping_pci", ["name"];
    Default: "proxmox_hardware_mapping_usb",
        "proxmox_hardware_mapping_usb" | "proxmox_virtual_environment_hardware_mapping_usb", ["name"];
    Default: "proxmox_metrics_server", "proxmox_metrics_server" | "proxmox_virtual_environment_metrics_server", ["name"],
        without ["graphite_path", "graphite_proto", "influx_api_path_prefix", "influx_bucket", "influx_db_proto",
            "influx_max_body_size", "influx_organization", "influx_token", "influx_token_wo",
            "influx_token_wo_version", "influx_verify", "mtu", "timeout"];
    Default: "proxmox_replication", "proxmox_replication" | "proxmox_virtual_environment_replication", ["id"];
    Null: "proxmox_vm", "proxmox_vm" | "proxmox_virtual_environment_vm2", ["id", "node_name"],
        without ["delete_unreferenced_disks_on_destroy", "purge_on_destroy", "stop_on_destroy", "timeouts"];
    Nothing: "proxmox_sdn_controller_evpn", "proxmox_sdn_controller_evpn", ["id"];
    Default: "proxmox_sdn_fabric_node_openfabric",
        "proxmox_sdn_fabric_node_openfabric" | "proxmox_virtual_environment_sdn_fabric_node_openfabric",
        ["fabric_id", "node_id"];
    Default: "proxmox_sdn_fabric_node_ospf",
        "proxmox_sdn_fabric_node_ospf" | "proxmox_virtual_environment_sdn_fabric_node_ospf", ["fabric_id", "node_id"];
    Default: "proxmox_sdn_fabric_openfabric",
        "proxmox_sdn_fabric_openfabric" | "proxmox_virtual_environment_sdn_fabric_openfabric", ["id"];
    Default: "proxmox_sdn_fabric_ospf", "proxmox_sdn_fabric_ospf" | "proxmox_virtual_environment_sdn_fabric_ospf", ["id"];
    Default: "proxmox_sdn_subnet", "proxmox_sdn_subnet" | "proxmox_virtual_environment_sdn_subnet", ["cidr", "vnet"];
    Default: "proxmox_sdn_vnet", "proxmox_sdn_vnet" | "proxmox_virtual_environment_sdn_vnet", ["id"];
    Empty: "proxmox_sdn_zone_evpn", "proxmox_sdn_zone_evpn" | "proxmox_virtual_environment_sdn_zone_evpn", ["id"];
    Empty: "proxmox_sdn_zone_qinq", "proxmox_sdn_zone_qinq" | "proxmox_virtual_environment_sdn_zone_qinq", ["id"];
    Empty: "proxmox_sdn_zone_simple", "proxmox_sdn_zone_simple" | "proxmox_virtual_environment_sdn_zone_simple", ["id"];
    Empty: "proxmox_sdn_zone_vlan", "proxmox_sdn_zone_vlan" | "proxmox_virtual_environment_sdn_zone_vlan", ["id"];
    Empty: "proxmox_sdn_zone_vxlan", "proxmox_sdn_zone_vxlan" | "proxmox_virtual_environment_sdn_zone_vxlan", ["id"];
};

/// The attributes of a data source.
pub(super) fn fields(derived: &Derived, resource: Object) -> Fields {
    let told = resource.fields.into_iter().filter(|(name, _)| !derived.without.contains(name));
    let mut fields: Fields =
        told.map(|(name, item)| (name, item.told(derived.needs.contains(&name)))).collect();
    match derived.resource {
        "proxmox_virtual_environment_user" => {
            fields.extend([("acl", permissions()), ("groups", texts().read_only())]);
        }
        "proxmox_virtual_environment_group" => fields.push(("acl", permissions())),
        "proxmox_vm" => fields.extend([
            ("status", text().read_only()),
            ("timeouts", object(vec![("read", text().checked(limits::duration))])),
        ]),
        "proxmox_acme_dns_plugin" => {
            let shown = |(name, item): (&'static str, crate::definition::Item)| match name {
                "data" => (name, item.shown()),
                _ => (name, item),
            };
            fields = fields.into_iter().map(shown).collect();
            fields.push(("type", text().read_only()));
        }
        _ => {}
    }
    fields
}

fn permissions() -> crate::definition::Item {
    let entry = vec![
        ("path", text().read_only()),
        ("propagate", flag().read_only()),
        ("role_id", text().read_only().param("roleid")),
    ];
    object_set(entry).read_only()
}

/// Reads the object that the configured values name.
pub(super) async fn read(
    derived: &Derived,
    resource: &Kind,
    cluster: &Cluster,
    config: &Value,
) -> Result<Map<String, Json>, ProviderError> {
    let Some(Json::Object(mut read)) = found(derived, resource, cluster, config).await? else {
        return Ok(Map::new());
    };
    match derived.resource {
        "proxmox_virtual_environment_user" => add_permissions(&mut read, cluster, "user", "user_id").await?,
        "proxmox_virtual_environment_group" => {
            add_permissions(&mut read, cluster, "group", "group_id").await?;
        }
        _ => {}
    }
    // What names it stays as it is written, wherever a guest is.
    for name in derived.needs {
        if let Some(part) = config.get(name).filter(|part| !part.is_null()) {
            read.insert((*name).to_string(), to_plain_json(part));
        }
    }
    tell_as_reference(derived.resource, cluster, &mut read).await?;
    Ok(read)
}

/// What the API tells of the object; `None` for a resource that is no plain object of the API.
async fn found(
    derived: &Derived,
    resource: &Kind,
    cluster: &Cluster,
    config: &Value,
) -> Result<Option<Json>, ProviderError> {
    let Some(engine) = resource.engine() else { return Ok(None) };
    let named = |base: Value, name: &&str| match config.get(name) {
        Some(part) => with(&base, name, part.clone()),
        None => base,
    };
    let base = derived.needs.iter().fold(blank_object(resource), named);
    let what = engine.object.what;
    let fail = |error: &_| failed(format!("read {what}"), error);
    if let Some(found) = engine.tell(cluster, &base, derived.absent).await.map_err(|error| fail(&error))? {
        return Ok(Some(to_plain_json(&found)));
    }
    let told = apt::told_absent(derived.resource, cluster, &base).await.map_err(|error| fail(&error))?;
    told.map(|told| Some(Json::Object(told))).ok_or_else(|| {
        let names = derived.needs.iter().filter_map(|name| config.get(name)).map(to_plain_json);
        let names: Vec<String> =
            names.map(|name| name.as_str().map_or(name.to_string(), str::to_string)).collect();
        refused(
            format!("there is no {what} {}", names.join(", ")),
            Some("check its name, and that the user may see it"),
        )
    })
}

/// Adds the permissions of a user or a group, which `id` names.
async fn add_permissions(
    read: &mut Map<String, Json>,
    cluster: &Cluster,
    kind: &str,
    id: &str,
) -> Result<(), ProviderError> {
    let list = cluster.get("/access/acl").await.map_err(|error| failed("read permissions", &error))?;
    let own = list.as_array().into_iter().flatten();
    let own = own.filter(|entry| entry["type"] == kind && entry["ugid"] == read[id]).map(|entry| {
        json!({"path": entry["path"], "role_id": entry["roleid"], "propagate": entry["propagate"] != json!(0)})
    });
    let own = own.collect();
    read.insert("acl".into(), own);
    Ok(())
}

/// Changes what the reference tells in another way than the resource has it.
async fn tell_as_reference(
    resource: &str,
    cluster: &Cluster,
    read: &mut Map<String, Json>,
) -> Result<(), ProviderError> {
    match resource {
        "proxmox_acme_dns_plugin" => drop(read.insert("type".into(), json!("dns"))),
        "proxmox_virtual_environment_user" if read["expiration_date"] == "" => {
            read.insert("expiration_date".into(), json!("1970-01-01T00:00:00Z"));
        }
        "proxmox_node_config" => {
            let text = read["description"].as_str().unwrap_or_default();
            let text = json!(text.strip_suffix('\n').unwrap_or(text));
            read.insert("description".into(), text);
        }
        "proxmox_sdn_subnet" => {
            let parts = ["vnet", "cidr"].map(|name| read[name].as_str().unwrap_or_default());
            let id = json!(parts.join("/"));
            read.insert("id".into(), id);
        }
        "proxmox_vm" => {
            read.insert("status".into(), status(cluster, &read["id"]).await?);
            for (name, nothing) in
                [("description", json!("")), ("name", json!("")), ("template", json!(false))]
            {
                read.entry(name).and_modify(|told| {
                    if told.is_null() {
                        *told = nothing;
                    }
                });
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether a machine runs, from its own node: the list of the cluster is behind.
async fn status(cluster: &Cluster, id: &Json) -> Result<Json, ProviderError> {
    let fail = |error: &_| failed(format!("read the status of vm {id}"), error);
    let guests = cluster.guests().await.map_err(|error| fail(&error))?;
    let Some(own) = guests.iter().find(|guest| json!(guest.vmid) == *id) else { return Ok(Json::Null) };
    let current = cluster.get(&format!("/nodes/{}/qemu/{id}/status/current", own.node)).await;
    Ok(current.map_err(|error| fail(&error))?.get("status").cloned().unwrap_or(Json::Null))
}

/// An object of which nothing is known: not even its defaults.
fn blank_object(resource: &Kind) -> Value {
    let block = resource.block();
    block.attributes.iter().fold(defaults(block), |value, (name, attribute)| {
        with(&value, name, Value::null(attribute.ty.clone()))
    })
}
