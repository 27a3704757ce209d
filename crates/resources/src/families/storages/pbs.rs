//! Proxmox Backup Server as a storage.

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::rules::Problem;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json};

use super::{backups, fixed, no_content, shared, storage};
use crate::cluster::Call;
use crate::definition::{flag, problem, text};
use crate::object::{Hooks, Object};
use crate::params::Params;
use crate::values::{flag as flag_of, text as text_of};

/// `proxmox_storage_pbs`
pub(super) fn pbs() -> Object {
    let own = vec![
        ("backups", backups::block()),
        ("datastore", fixed()),
        ("encryption_key", text().sensitive().param("encryption-key").unread().checked(encryption_key)),
        ("encryption_key_fingerprint", text().read_only().param("encryption-key").follows()),
        ("fingerprint", text()),
        ("generate_encryption_key", flag().replaces().local()),
        ("generated_encryption_key", text().read_only().sensitive().unread()),
        ("namespace", text().replaces().only_made()),
        ("password", text().required().sensitive().unread()),
        ("server", fixed()),
        ("shared", shared(true)),
        ("username", fixed()),
    ];
    Object {
        about: "A datastore of a Proxmox Backup Server. The API does not tell the password and the encryption key; new \
                ones are set in place. A generated key is known only from when the storage is made.",
        example: r#"
  id        = "backups"
  server    = "192.0.2.30"
  datastore = "main"
  username  = "pve@pbs"
  password  = "correct horse"
"#,
        hooks: &Pbs,
        ..storage(
            &["proxmox_storage_pbs", "proxmox_virtual_environment_storage_pbs"],
            &[("type", "pbs")],
            &["backup"],
            own,
        )
    }
}

/// What `proxmox-backup-client key create` writes (PVE::Storage::PBSPlugin). It is not told: it is a secret.
fn encryption_key(text: &str) -> Option<String> {
    let key: Option<Json> = serde_json::from_str(text).ok();
    let fits = text == "autogen" || key.is_some_and(|key| key.get("data").is_some());
    (!fits).then(|| "it is no key of a backup server: JSON with its `data` in it".to_string())
}

struct Pbs;

#[async_trait]
impl Hooks for Pbs {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        if flag_of(config, "generate_encryption_key") == Some(true)
            && text_of(config, "encryption_key").is_some()
        {
            let detail = "leave encryption_key out, or generate_encryption_key";
            let at = Path::attribute("encryption_key");
            return vec![problem(at, "An encryption key is either given or generated", detail)];
        }
        no_content(config)
    }

    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        if prior.is_none() && flag_of(planned, "generate_encryption_key") == Some(true) {
            params.put("encryption-key", Some("autogen"));
        }
        backups::params(params, prior, planned);
    }

    fn answered(&self, answer: &Json) -> Map<String, Json> {
        let key = answer.pointer("/config/encryption-key").cloned().unwrap_or(Json::Null);
        Map::from_iter([("generated_encryption_key".to_string(), key)])
    }

    /// Nobody tells a generated key again.
    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let Some(planned) = planned.filter(|_| prior.is_none()) else { return Ok(()) };
        let generated = flag_of(planned, "generate_encryption_key") == Some(true);
        if generated && text_of(planned, "generated_encryption_key").is_none() {
            let id = text_of(planned, "id").unwrap_or_default();
            call.progress.status(&format!(
                "WARNING: the cluster did not tell the key that it generated: save /etc/pve/priv/storage/{id}.enc of a node"
            ));
        }
        Ok(())
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        backups::read(prior, answer, read);
    }
}
