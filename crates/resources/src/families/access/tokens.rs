//! API tokens: their secret is shown once, when they are made.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use super::lockout;
use crate::cluster::{Call, Method};
use crate::definition::{flag, text};
use crate::limits;
use crate::object::{Delete, Form, Hooks, Object, Planning, Read, Removal};
use crate::operations::Proof;

/// `proxmox_user_token`
pub(super) fn token() -> Object {
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
        create: (Method::Post, "/access/users/{user_id}/token/{token_name}"),
        read: Read::At("/access/users/{user_id}/token/{token_name}"),
        update: (Method::Put, "/access/users/{user_id}/token/{token_name}"),
        delete: Delete::At("/access/users/{user_id}/token/{token_name}"),
        removal: Removal::Empty,
        id: "{user_id}!{token_name}",
        import: "{user_id}!{token_name}",
        // Another token of that name has another secret.
        proof: Proof::Steps,
        example: r#"
  user_id         = "ops@pve"
  token_name      = "deploy"
  expiration_date = "2030-01-01T00:00:00Z"
"#,
        hooks: &Token,
        ..Object::default()
    }
}

struct Token;

#[async_trait]
impl Hooks for Token {
    fn plan(&self, planning: &mut Planning<'_>) {
        let lost = |prior: &Value| prior.get("value").is_some_and(Value::is_null);
        if planning.prior.is_some_and(lost) {
            let note =
                "its secret is not known, since it is shown only once: replace the token to get a new one";
            planning.notes.push(note.into());
        }
    }

    async fn guard(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        lockout::guard_token(call, prior, planned)
    }

    /// The reference gives it as it is used in a header: `USER!NAME=SECRET`.
    fn answered(&self, answer: &Json) -> Map<String, Json> {
        let part = |name: &str| answer.get(name).and_then(Json::as_str);
        let whole = part("full-tokenid").zip(part("value")).map(|(id, secret)| format!("{id}={secret}"));
        whole.map(|value| ("value".to_string(), Json::String(value))).into_iter().collect()
    }
}
