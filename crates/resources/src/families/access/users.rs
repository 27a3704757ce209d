//! Users, groups and roles.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::Problem;
use pve_model::{Type, Value};
use serde_json::{Value as Json, json};

use super::permissions::Change;
use super::{acl_blocks, lockout};
use crate::cluster::{ApiError, Call, Cluster, Method, Step};
use crate::definition::{block_set, flag, text, text_set};
use crate::limits;
use crate::object::{Form, Hooks, Object, Planning, Removal};
use crate::params::Params;
use crate::values::{self, with};

const MOST: Duration = Duration::from_secs(60);

/// The step that sets a new password.
const PASSWORD: Step<'_> = Step::of("set", "password");

/// The date that stands for none.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// `proxmox_virtual_environment_user`
pub(super) fn user() -> Object {
    Object {
        names: &["proxmox_virtual_environment_user"],
        what: "user",
        about: "A user. The API does not tell passwords: one that is changed elsewhere goes unnoticed. A user of an API \
                token cannot change passwords. Of its permissions, only those of `acl` blocks are its own; one and the \
                same cannot be in a `proxmox_acl` too.",
        fields: vec![
            ("acl", block_set(acl_blocks::fields()).unsent().deprecated("use proxmox_acl instead")),
            ("comment", text()),
            ("email", text()),
            ("enabled", flag().or(true).param("enable")),
            (
                "expiration_date",
                text()
                    .or(NEVER)
                    .param("expire")
                    .form(Form::Seconds)
                    .checked(limits::date)
                    .same_as(limits::same_date),
            ),
            ("first_name", text().param("firstname")),
            ("groups", text_set()),
            ("keys", text()),
            ("last_name", text().param("lastname")),
            ("password", text().sensitive().only_made().unread()),
            ("user_id", text().required().replaces().param("userid").only_made()),
            ("id", text().read_only()),
        ],
        removal: Removal::Empty,
        example: r#"
  user_id  = "ops@pve"
  comment  = "on call"
  password = "correct horse battery"
"#,
        hooks: &User,
        ..Object::listed("/access/users", "/access/users/{user_id}", "{user_id}")
    }
}

struct User;

/// Whether a change gives a user a new password.
pub(crate) fn sets_password(prior: &Value, planned: &Value) -> bool {
    let password = values::text(planned, "password");
    password.is_some() && values::text(prior, "password") != password
}

#[async_trait]
impl Hooks for User {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        acl_blocks::validate(config)
    }

    fn claims(&self, planned: &Value) -> Vec<String> {
        acl_blocks::claims(planned)
    }

    fn adopted(&self, imported: Value, config: &Value) -> Value {
        acl_blocks::adopted(&imported, config)
    }

    fn plan(&self, planning: &mut Planning<'_>) {
        planning.planned = values::null_where_empty(&planning.planned, "groups");
    }

    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<Change> {
        let Some(user) = planned.or(prior).and_then(|value| values::text(value, "user_id")) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        if let Some(prior) = prior {
            if let Some(how) = lockout::shut(prior, planned) {
                return vec![Change::Shut(user.into(), how)];
            }
            let groups = |value| BTreeSet::from_iter(values::texts(value, "groups"));
            let after = planned.map(groups).unwrap_or_default();
            if after != groups(prior) {
                changes.push(Change::Groups(user.into(), after));
            }
        }
        changes.extend(acl_blocks::changes(prior, planned));
        changes
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let Some(planned) = planned else { return Ok(()) };
        let user = values::text(planned, "user_id").unwrap_or_default();
        let password = values::text(planned, "password");
        if prior.is_some_and(|prior| sets_password(prior, planned)) {
            let mut params = Params::default();
            params.put("userid", Some(user));
            params.put("password", password);
            call.step(PASSWORD, Method::Put, "/access/password", &params, MOST).await?;
        }
        acl_blocks::bring(call, prior, planned).await
    }

    /// A new password is a request of its own.
    fn unfinished(&self, value: Value, done: &[String], kept: &[&str]) -> Value {
        let value = acl_blocks::unfinished(&value, done);
        if kept.contains(&"password") || Step::CREATE.is_in(done) || PASSWORD.is_in(done) {
            return value;
        }
        with(&value, "password", Value::null(Type::String))
    }

    async fn complete(&self, cluster: &Cluster, prior: &Value, answer: Json) -> Result<Json, ApiError> {
        acl_blocks::complete(cluster, prior, answer).await
    }
}

/// `proxmox_virtual_environment_group`
pub(super) fn group() -> Object {
    Object {
        names: &["proxmox_virtual_environment_group"],
        what: "group",
        about: "A group of users. Of its permissions, only those of `acl` blocks are its own; one and the same cannot be in \
                a `proxmox_acl` too.",
        fields: vec![
            ("acl", block_set(acl_blocks::fields()).unsent().deprecated("use proxmox_acl instead")),
            ("comment", text()),
            ("group_id", text().required().replaces().param("groupid").only_made()),
            ("id", text().read_only()),
            ("members", text_set().read_only()),
        ],
        removal: Removal::Empty,
        example: r#"
  group_id = "operators"
  comment  = "may start and stop"
"#,
        hooks: &Group,
        ..Object::listed("/access/groups", "/access/groups/{group_id}", "{group_id}")
    }
}

struct Group;

#[async_trait]
impl Hooks for Group {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        acl_blocks::validate(config)
    }

    fn unfinished(&self, value: Value, done: &[String], _: &[&str]) -> Value {
        acl_blocks::unfinished(&value, done)
    }

    fn claims(&self, planned: &Value) -> Vec<String> {
        acl_blocks::claims(planned)
    }

    fn adopted(&self, imported: Value, config: &Value) -> Value {
        acl_blocks::adopted(&imported, config)
    }

    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<Change> {
        match (planned, prior.and_then(|prior| values::text(prior, "group_id"))) {
            (None, Some(group)) => vec![Change::NoGroup(group.into())],
            _ => acl_blocks::changes(prior, planned),
        }
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let Some(planned) = planned else { return Ok(()) };
        acl_blocks::bring(call, prior, planned).await
    }

    async fn complete(&self, cluster: &Cluster, prior: &Value, answer: Json) -> Result<Json, ApiError> {
        acl_blocks::complete(cluster, prior, answer).await
    }
}

/// `proxmox_virtual_environment_role`
pub(super) fn role() -> Object {
    Object {
        names: &["proxmox_virtual_environment_role"],
        what: "role",
        about: "A set of privileges under a name.",
        fields: vec![
            ("id", text().read_only()),
            ("privileges", text_set().required().param("privs").form(Form::Keys)),
            ("role_id", text().required().replaces().param("roleid").only_made().checked(own_role)),
        ],
        removal: Removal::Empty,
        example: r#"
  role_id    = "Operator"
  privileges = ["VM.Audit", "VM.PowerMgmt"]
"#,
        hooks: &Role,
        ..Object::listed("/access/roles", "/access/roles/{role_id}", "{role_id}")
    }
}

/// Proxmox VE keeps these names for its own roles (PVE::API2::Role).
fn own_role(text: &str) -> Option<String> {
    let is_reserved = text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pve"));
    is_reserved
        .then(|| format!("{text:?} is a name of Proxmox VE's own: begin it with something else than PVE"))
}

struct Role;

#[async_trait]
impl Hooks for Role {
    fn plan(&self, planning: &mut Planning<'_>) {
        planning.planned = values::null_where_empty(&planning.planned, "privileges");
    }

    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<Change> {
        let Some(prior) = prior else { return Vec::new() };
        let role = values::text(prior, "role_id").unwrap_or_default().to_string();
        let privileges = |value| BTreeSet::from_iter(values::texts(value, "privileges"));
        match planned.map(privileges) {
            None => vec![Change::NoRole(role)],
            Some(after) if after.is_superset(&privileges(prior)) => Vec::new(),
            Some(after) => vec![Change::Role(role, after)],
        }
    }

    /// The answer is the object of the privileges itself.
    async fn complete(&self, _: &Cluster, _: &Value, answer: Json) -> Result<Json, ApiError> {
        Ok(json!({ "privs": answer }))
    }
}
