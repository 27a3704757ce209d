//! Entries of the access control list.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::Value as Json;

use super::lockout;
use crate::cluster::{Call, Method};
use crate::definition::{flag, text};
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::values::{self, with};

/// `proxmox_acl`
pub(super) fn acl() -> Object {
    Object {
        names: &["proxmox_acl", "proxmox_virtual_environment_acl"],
        what: "permission",
        about: "A role for a user, a group or a token on a path and, where it propagates, on everything below it.",
        fields: vec![
            ("group_id", text().replaces().param("groups").unread()),
            ("id", text().read_only()),
            ("path", text().required().replaces()),
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
        one_of: &[&["group_id", "token_id", "user_id"]],
        example: r#"
  user_id = "ops@pve"
  path    = "/vms/100"
  role_id = "PVEVMUser"
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

#[async_trait]
impl Hooks for Acl {
    async fn guard(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        match (prior, planned) {
            (None, Some(planned)) => match holder(planned) {
                Some(holder) => lockout::guard_new_entry(call, holder, planned).await,
                None => Ok(()),
            },
            _ => lockout::guard_acl(call, prior.and_then(holder), prior, planned).await,
        }
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
