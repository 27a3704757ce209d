//! Entries of the access control list.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::Value as Json;

use super::acl_blocks::{Grantor, claimed_twice};
use super::permissions::{Change, Entry, Holder};
use crate::cluster::{ApiError, Call, Cluster, Method};
use crate::definition::{flag, text};
use crate::families::storages::storage_claim;
use crate::guest::guest_claim_of;
use crate::limits;
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::values::{self, with};

/// `proxmox_acl`
pub(super) fn acl() -> Object {
    Object {
        names: &["proxmox_acl", "proxmox_virtual_environment_acl"],
        what: "permission",
        about: "A role for a user, a group or a token on a path and, where it propagates, on everything below it. Exactly one \
                of `user_id`, `group_id` and `token_id` must be set. An entry that an `acl` block had before is taken \
                over. One with another role is given before the old one is taken.",
        fields: vec![
            ("group_id", text().replaces().param("groups").unread()),
            ("id", text().read_only()),
            ("path", text().required().replaces().checked(limits::acl_path)),
            ("propagate", flag().computed().or(true)),
            ("role_id", text().required().replaces().param("roles").unread()),
            ("token_id", text().replaces().param("tokens").unread()),
            ("user_id", text().replaces().param("users").unread()),
        ],
        create: (Method::Put, "/access/acl"),
        read: Read::Among("/access/acl", &[("path", "path"), ("role_id", "roleid")]),
        update: (Method::Put, "/access/acl"),
        delete: Delete::By(
            Method::Put,
            "/access/acl?path={path}&roles={role_id}&users={user_id}&groups={group_id}&tokens={token_id}&delete=1",
        ),
        removal: Removal::Absence,
        whole: true,
        id: "{path}?{group_id|token_id|user_id}?{role_id}",
        import: "{path}?{group_id|token_id|user_id}?{role_id}",
        made_first: true,
        one_of: &[&["group_id", "token_id", "user_id"]],
        example: r#"
  user_id = proxmox_virtual_environment_user.auditor.user_id
  path    = "/vms/100"
  role_id = "PVEVMUser"
"#,
        beside: r#"
resource "proxmox_virtual_environment_user" "auditor" {
  user_id = "auditor@pve"
}
"#,
        hooks: &Acl,
        ..Object::default()
    }
}

struct Acl;

/// The kind of holder and its name.
fn holder(value: &Value) -> Option<(&'static str, &str)> {
    let kinds = [("group", "group_id"), ("token", "token_id"), ("user", "user_id")];
    kinds.into_iter().find_map(|(kind, name)| Some((kind, values::text(value, name)?)))
}

/// The entry with its propagation. `None` while a part of it is not known.
fn entry(value: &Value) -> Option<(Entry, bool)> {
    let holder = match holder(value)? {
        ("group", name) => Holder::Group(name.into()),
        ("token", name) => Holder::Token(name.into()),
        (_, name) => Holder::User(name.into()),
    };
    let (path, role) = (values::text(value, "path")?.into(), values::text(value, "role_id")?.into());
    Some((Entry { path, holder, role }, values::flag(value, "propagate").unwrap_or(true)))
}

#[async_trait]
impl Hooks for Acl {
    /// What is permitted on a guest, a storage or a pool goes with it, what somebody may goes with them, and nothing is left of
    /// an entry whose role is gone (PVE::AccessControl, `remove_vm_access`, `remove_storage_access`, `delete_pool_acl` and
    /// `parse_user_config`).
    fn part_of(&self, present: &Value) -> Vec<String> {
        let path = values::text(present, "path").unwrap_or_default();
        let guest = path.strip_prefix("/vms/").and_then(guest_claim_of);
        let pool = path.strip_prefix("/pool/").map(|pool| format!("pool {pool}"));
        let storage = path.strip_prefix("/storage/").map(storage_claim);
        let holder = holder(present).map(|(kind, name)| format!("{kind} {name}"));
        let role = values::text(present, "role_id").map(|role| format!("role {role}"));
        [guest, storage, pool, holder, role].into_iter().flatten().collect()
    }

    /// From now on the entry is this object's, whoever had it.
    async fn before(&self, call: &Call<'_>, _: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
        if let Some((entry, _)) = entry(planned) {
            let mut granted = call.cluster.shared.granted.lock().await;
            if granted.get(&entry) == Some(&Grantor::Block) {
                return Err(claimed_twice(&entry));
            }
            granted.insert(entry, Grantor::Object);
        }
        Ok(())
    }

    fn takes_over(&self) -> bool {
        true
    }

    /// Two objects may swap their roles: each entry is then the other one's.
    fn is_given_anew(&self, prior: &Value, granted: &BTreeMap<Entry, Grantor>) -> bool {
        entry(prior).is_some_and(|(entry, _)| granted.contains_key(&entry))
    }

    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<Change> {
        match (planned.and_then(entry), prior.and_then(entry)) {
            (Some((entry, propagate)), _) => vec![Change::Grant(entry, propagate)],
            (None, Some((entry, _))) => vec![Change::Revoke(entry)],
            (None, None) => Vec::new(),
        }
    }

    /// PVE::API2::ACL lists the entries that the user may audit or change, and leaves out the others without a word.
    async fn absent(&self, cluster: &Cluster, prior: &Value) -> Result<(), ApiError> {
        let path = values::text(prior, "path").unwrap_or_default();
        let own = match path.split('/').nth(1) {
            Some("storage") => "Datastore.Allocate",
            Some("vms") => "VM.Allocate",
            Some("pool") => "Pool.Allocate",
            _ => "Permissions.Modify",
        };
        for (path, privileges) in
            [("/access", ["Sys.Audit", "Sys.Audit"]), (path, ["Permissions.Modify", own])]
        {
            let params = [("path".to_string(), path.to_string())];
            let mine = cluster.api.send(Method::Get, "/access/permissions", &params).await?;
            if privileges
                .iter()
                .any(|privilege| mine.get(path).and_then(|mine| mine.get(privilege)).is_some())
            {
                return Ok(());
            }
        }
        let message = format!("the permissions on {path} are not shown to {}", cluster.api.user());
        let hint = format!("give it Sys.Audit on /access, or Permissions.Modify on {path}");
        Err(ApiError { message, hint: Some(hint), status: None, lost: false })
    }

    fn is_it(&self, prior: &Value, entry: &Json) -> bool {
        let text = |name: &str| entry.get(name).and_then(Json::as_str);
        holder(prior).is_some_and(|(kind, name)| text("type") == Some(kind) && text("ugid") == Some(name))
    }

    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        let parts: Vec<&str> = id.split('?').collect();
        let [path, holder, role] = parts[..] else { return None };
        let attribute = match holder {
            _ if holder.contains('!') => "token_id",
            _ if holder.contains('@') => "user_id",
            _ => "group_id",
        };
        let value = with(base, "path", Value::string(path));
        let value = with(&value, "role_id", Value::string(role));
        (!path.is_empty() && !holder.is_empty() && !role.is_empty())
            .then(|| with(&value, attribute, Value::string(holder)))
    }
}
