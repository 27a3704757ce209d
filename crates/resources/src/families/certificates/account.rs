//! Accounts at certificate authorities.

use async_trait::async_trait;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::definition::text;
use crate::limits;
use crate::object::{Hooks, Object, Removal};
use crate::values::text as text_of;

const PLACE: &str = "/cluster/acme/account/{name}";

/// `proxmox_acme_account`
pub(super) fn account() -> Object {
    Object {
        names: &["proxmox_acme_account", "proxmox_virtual_environment_acme_account"],
        what: "ACME account",
        about: "An account at a certificate authority. Only `root@pam` with its password can make one, no API token. Only its contact can be changed, another `tos` is recorded only; the API does not tell the keys of \
                the external account.",
        fields: vec![
            ("contact", text().required()),
            ("created_at", text().read_only()),
            (
                "directory",
                text()
                    .replaces()
                    .only_made()
                    .absent("https://acme-v02.api.letsencrypt.org/directory")
                    .checked(limits::web_address),
            ),
            ("eab_hmac_key", text().sensitive().replaces().param("eab-hmac-key").only_made().unread()),
            ("eab_kid", text().sensitive().replaces().param("eab-kid").only_made().unread()),
            ("location", text().read_only()),
            ("name", text().computed().or("default").replaces().only_made()),
            ("tos", text().param("tos_url").only_made().unread()),
        ],
        removal: Removal::Never,
        example: r#"
  name    = "letsencrypt"
  contact = "admin@example.test"
  tos     = "https://letsencrypt.org/documents/LE-SA-v1.3-September-21-2022.pdf"
"#,
        hooks: &Account,
        ..Object::listed("/cluster/acme/account", PLACE, "{name}")
    }
}

struct Account;

#[async_trait]
impl Hooks for Account {
    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let contacts = answer.pointer("/account/contact").and_then(Json::as_array).into_iter().flatten();
        let contacts: Vec<&str> = contacts.filter_map(Json::as_str).collect();
        let contacts: Vec<&str> =
            contacts.iter().map(|contact| contact.strip_prefix("mailto:").unwrap_or(contact)).collect();
        // Some authorities do not tell it.
        let contact = if contacts.is_empty() {
            text_of(prior, "contact").map(String::from)
        } else {
            Some(contacts.join(","))
        };
        read.insert("contact".into(), json!(contact));
        read.insert("created_at".into(), answer.pointer("/account/createdAt").cloned().unwrap_or(Json::Null));
    }
}
