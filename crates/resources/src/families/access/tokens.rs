//! API tokens: their secret is shown once, when they are made.

use async_trait::async_trait;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use super::lockout;
use super::permissions::Change;
use crate::cluster::Cluster;
use crate::definition::{flag, text};
use crate::limits;
use crate::object::{Form, Hooks, Object, Planning, Removal};
use crate::operations::Proof;
use crate::values::{flag as flag_of, text as text_of};

/// `proxmox_user_token`
pub(super) fn token() -> Object {
    const PLACE: &str = "/access/users/{user_id}/token/{token_name}";
    Object {
        names: &["proxmox_user_token", "proxmox_virtual_environment_user_token"],
        what: "token",
        about: "An API token of a user. `value` is known only from when the token is made: it is null after an import.",
        fields: vec![
            ("comment", text()),
            (
                "expiration_date",
                text().param("expire").form(Form::Seconds).checked(limits::date).same_as(limits::same_date),
            ),
            ("id", text().read_only()),
            ("privileges_separation", flag().computed().or(true).param("privsep")),
            ("token_name", text().required().replaces().unsent().checked(limits::token_name)),
            ("user_id", text().required().replaces().unsent()),
            ("value", text().read_only().sensitive().unread()),
        ],
        removal: Removal::Empty,
        // Another token of that name has another secret.
        proof: Proof::Steps,
        example: r#"
  user_id         = proxmox_virtual_environment_user.deployer.user_id
  token_name      = "deploy"
  expiration_date = "2030-01-01T00:00:00Z"
"#,
        beside: r#"
resource "proxmox_virtual_environment_user" "deployer" {
  user_id = "deployer@pve"
}
"#,
        hooks: &Token,
        ..Object::listed(PLACE, PLACE, "{user_id}!{token_name}")
    }
}

struct Token;

#[async_trait]
impl Hooks for Token {
    fn part_of(&self, present: &Value) -> Vec<String> {
        text_of(present, "user_id").map(|user| format!("user {user}")).into_iter().collect()
    }

    /// The API refuses to tell anything of the tokens of a user who does not exist.
    async fn went_with_another(&self, cluster: &Cluster, prior: &Value) -> bool {
        let user = text_of(prior, "user_id").unwrap_or_default();
        let owner = cluster.get(&format!("/access/users/{user}")).await;
        owner.is_err_and(|error| error.is_missing())
    }

    fn plan(&self, planning: &mut Planning<'_>) {
        let lost = |prior: &Value| prior.get("value").is_some_and(Value::is_null);
        if planning.prior.is_some_and(lost) {
            let note =
                "its secret is not known, since it is shown only once: replace the token to get a new one";
            planning.notes.push(note.into());
        }
    }

    fn permissions(&self, prior: Option<&Value>, planned: Option<&Value>) -> Vec<Change> {
        let Some(prior) = prior else { return Vec::new() };
        let id = text_of(prior, "user_id").zip(text_of(prior, "token_name"));
        let Some(id) = id.map(|(user, name)| format!("{user}!{name}")) else { return Vec::new() };
        if let Some(how) = lockout::shut(prior, planned) {
            return vec![Change::Shut(id, how)];
        }
        let separated = planned.and_then(|planned| flag_of(planned, "privileges_separation"));
        vec![Change::Separation(id, separated.unwrap_or(true))]
    }

    /// The reference gives it as it is used in a header: `USER!NAME=SECRET`.
    fn answered(&self, answer: &Json) -> Map<String, Json> {
        let part = |name: &str| answer.get(name).and_then(Json::as_str);
        let whole = part("full-tokenid").zip(part("value")).map(|(id, secret)| format!("{id}={secret}"));
        whole.map(|value| ("value".to_string(), Json::String(value))).into_iter().collect()
    }
}
