//! Resource pools and what is in them.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::ReplaceReason;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Call, Cluster, Method, refused};
use crate::definition::{number, object_list, text};
use crate::families::PermissionChange;
use crate::families::storages::storage_claim;
use crate::guest::guest_claim;
use crate::object::{Delete, Hooks, Object, Planning, Read, Removal};
use crate::params::Params;
use crate::values::{int, text as text_of, with};

const PLACE: &str = "/pools?poolid={pool_id}";

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![pool(), membership()]
}

fn leaving(path: String, pool: &str, joins: Option<&str>) -> PermissionChange {
    let path_of = |pool: &str| format!("/pool/{pool}");
    PermissionChange::Leave { path, pool: path_of(pool), joins: joins.map(path_of) }
}

/// What it takes from whoever makes the change that a guest leaves its pool, if it does.
pub(crate) fn guest_leaves(vmid: u32, before: Option<&str>, wanted: Option<&str>) -> Vec<PermissionChange> {
    let left = before.filter(|pool| wanted != Some(pool));
    left.map(|pool| leaving(format!("/vms/{vmid}"), pool, wanted)).into_iter().collect()
}

/// `proxmox_virtual_environment_pool`
fn pool() -> Object {
    Object {
        names: &["proxmox_virtual_environment_pool"],
        what: "pool",
        about: "A resource pool. Only an empty one can be destroyed.",
        fields: vec![
            ("comment", text()),
            ("id", text().read_only()),
            (
                "members",
                object_list(vec![
                    ("datastore_id", text().read_only().param("storage")),
                    ("id", text().read_only()),
                    ("node_name", text().read_only().param("node")),
                    ("type", text().read_only()),
                    ("vm_id", number().read_only().param("vmid")),
                ])
                .read_only(),
            ),
            ("pool_id", text().required().replaces().param("poolid").only_made().checked(pool_name)),
        ],
        removal: Removal::Empty,
        made_first: true,
        example: r#"
  pool_id = "lab"
  comment = "experiments"
"#,
        ..Object::listed("/pools", PLACE, "{pool_id}")
    }
}

/// The last part of a name, behind those of the pools that it is in (PVE::API2::Pool).
fn pool_name(text: &str) -> Option<String> {
    let own = text.rsplit('/').next().unwrap_or_default();
    let fits = own.starts_with(|letter: char| letter.is_ascii_alphabetic());
    (!fits).then(|| format!("{text:?} is no name of a pool: it begins with a letter"))
}

/// `proxmox_pool_membership`
fn membership() -> Object {
    Object {
        names: &["proxmox_pool_membership", "proxmox_virtual_environment_pool_membership"],
        what: "membership in pool",
        about: "A guest or a storage in a pool. A guest that is in another pool already is refused, and one that \
                is in this one is taken in. With another `pool_id` a \
                guest goes there in one step, and a storage is replaced.",
        fields: vec![
            ("id", text().read_only()),
            ("pool_id", text().required().param("poolid").only_made().unread()),
            ("storage_id", text().replaces().param("storage").only_made().unread()),
            ("type", text().read_only()),
            ("vm_id", number().replaces().param("vms").only_made().unread()),
        ],
        create: (Method::Put, "/pools"),
        read: Read::At(PLACE),
        update: (Method::Put, "/pools"),
        delete: Delete::By(Method::Put, "/pools?poolid={pool_id}&vms={vm_id}&storage={storage_id}&delete=1"),
        id: "{pool_id}/{type}/{vm_id|storage_id}",
        import: "{pool_id}/{type}/{vm_id|storage_id}",
        one_of: &[&["storage_id", "vm_id"]],
        example: r#"
  pool_id    = proxmox_virtual_environment_pool.images.pool_id
  storage_id = "local"
"#,
        beside: r#"
resource "proxmox_virtual_environment_pool" "images" {
  pool_id = "images"
}
"#,
        hooks: &Membership,
        ..Object::default()
    }
}

struct Membership;

fn kind(value: &Value) -> &'static str {
    if int(value, "vm_id").is_some() { "vm" } else { "storage" }
}

#[async_trait]
impl Hooks for Membership {
    /// A guest or a storage that is destroyed leaves its pool (PVE::AccessControl, `remove_vm_access` and
    /// `remove_storage_access`).
    fn part_of(&self, present: &Value) -> Vec<String> {
        let storage = text_of(present, "storage_id").map(storage_claim);
        int(present, "vm_id").map(guest_claim).or(storage).into_iter().collect()
    }

    /// A guest whose own `pool_id` brought it there stays there when this says so.
    async fn is_made(&self, cluster: &Cluster, planned: &Value) -> bool {
        let (Some(pool), Some(_)) = (text_of(planned, "pool_id"), int(planned, "vm_id")) else {
            return false;
        };
        let params = [("poolid".to_string(), pool.to_string())];
        let pools = cluster.api.send(Method::Get, "/pools", &params).await;
        let pools = pools.ok().and_then(|pools| pools.as_array().cloned()).unwrap_or_default();
        pools.iter().any(|pool| self.is_it(planned, pool))
    }

    /// A guest is in one pool.
    fn claims(&self, planned: &Value) -> Vec<String> {
        let pool = text_of(planned, "pool_id");
        let storage = text_of(planned, "storage_id").zip(pool);
        let storage = storage.map(|(storage, pool)| format!("storage {storage} in pool {pool}"));
        int(planned, "vm_id").map(|id| format!("pool of guest {id}")).or(storage).into_iter().collect()
    }

    /// A storage may be in several pools: it comes into one and leaves the other.
    fn plan(&self, planning: &mut Planning<'_>) {
        let pool = |value: &Value| value.get("pool_id").cloned();
        let goes = planning.prior.is_some_and(|prior| pool(prior) != pool(&planning.planned));
        if goes && int(&planning.planned, "vm_id").is_none() {
            let reason = "a storage does not go from pool to pool".to_string();
            planning.replace.push(ReplaceReason { path: Path::attribute("pool_id"), reason });
        }
    }

    /// A guest leaves one pool as it joins the other (PVE::API2::Pool, `update_pool`).
    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        let pool = text_of(planned, "pool_id");
        if prior.is_none_or(|prior| text_of(prior, "pool_id") == pool) {
            return;
        }
        params.put("poolid", pool);
        params.put("vms", int(planned, "vm_id"));
        params.put_flag("allow-move", Some(true));
    }

    /// What is in a pool is there for whoever has rights on the pool.
    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<PermissionChange> {
        let Some(prior) = prior else { return Vec::new() };
        if let Some(planned) = planned {
            let known = planned.get("pool_id").is_some_and(Value::is_known);
            let vmid = int(prior, "vm_id").and_then(|id| u32::try_from(id).ok()).filter(|_| known);
            let [before, wanted] = [prior, planned].map(|value| text_of(value, "pool_id"));
            return vmid.map(|vmid| guest_leaves(vmid, before, wanted)).unwrap_or_default();
        }
        let guest = int(prior, "vm_id").map(|id| format!("/vms/{id}"));
        let path = guest.or(text_of(prior, "storage_id").map(|id| format!("/storage/{id}")));
        path.zip(text_of(prior, "pool_id"))
            .map(|(path, pool)| leaving(path, pool, None))
            .into_iter()
            .collect()
    }

    /// Proxmox VE takes a guest that does not exist into a pool, and never shows it there.
    async fn before(&self, call: &Call<'_>, _: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
        let Some(id) = int(planned, "vm_id").map(|id| id.to_string()) else { return Ok(()) };
        let params = [("vmid".to_string(), id.clone())];
        let free = call.cluster.api.send(Method::Get, "/cluster/nextid", &params).await.ok();
        let told = free.map(|free| free.as_str().map_or_else(|| free.to_string(), str::to_string));
        if told.as_ref() == Some(&id) {
            let message = format!("create {}: there is no guest {id}", call.object);
            return Err(refused(message, Some("give the id of a guest, or make it first (depends_on)")));
        }
        Ok(())
    }

    fn is_it(&self, prior: &Value, pool: &Json) -> bool {
        let is_member = |member: &Json| match int(prior, "vm_id") {
            Some(id) => member.get("vmid").and_then(Json::as_i64) == Some(id),
            None => member.get("storage").and_then(Json::as_str) == text_of(prior, "storage_id"),
        };
        pool.get("members").and_then(Json::as_array).is_some_and(|members| members.iter().any(is_member))
    }

    fn read(&self, prior: &Value, _: &Json, read: &mut Map<String, Json>) {
        read.insert("type".into(), json!(kind(prior)));
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        let parts: Vec<&str> = id.rsplitn(3, '/').collect();
        let [member, kind, pool] = parts[..] else { return None };
        let value = with(base, "pool_id", Value::string(pool));
        match kind {
            "vm" => Some(with(&value, "vm_id", Value::number(member.parse::<i64>().ok()?))),
            "storage" => Some(with(&value, "storage_id", Value::string(member))),
            _ => None,
        }
    }
}
