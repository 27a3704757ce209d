//! Applying what is pending of all software-defined networks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Call, Method, Step};
use crate::definition::{flag, text};
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::params::Params;
use crate::values::flag as flag_of;

const MOST: Duration = Duration::from_secs(600);

/// `proxmox_sdn_applier`
pub(super) fn applier() -> Object {
    Object {
        names: &["proxmox_sdn_applier", "proxmox_virtual_environment_sdn_applier"],
        what: "application of SDN",
        about: "Applies what is pending of all software-defined networks, when it is made and when it is destroyed. Let it \
                depend on them, and replace it when they change (`replace_triggered_by`). What is destroyed in the same \
                run after it, since it depends on that, is applied too. A network that is destroyed alone stays pending \
                until something is applied: replace the applier then (`-replace`).",
        fields: vec![
            ("id", text().read_only()),
            ("on_create", flag().computed().or(true).replaces().local()),
            ("on_destroy", flag().computed().or(true).replaces().local()),
        ],
        create: (Method::Put, ""),
        read: Read::Nowhere,
        update: (Method::Put, ""),
        delete: Delete::Stays,
        removal: Removal::Absence,
        example: r#"
  on_destroy = false
"#,
        hooks: &Applier,
        ..Object::default()
    }
}

struct Applier;

/// Applies that an object is gone which is destroyed after the applier.
pub(crate) async fn apply_leaving(call: &Call<'_>, place: &str) -> Result<(), ProviderError> {
    if !place.starts_with("/cluster/sdn/") || !call.cluster.applies_sdn.load(Ordering::SeqCst) {
        return Ok(());
    }
    call.step(Step::APPLY, Method::Put, "/cluster/sdn", &Params::default(), MOST).await
}

#[async_trait]
impl Hooks for Applier {
    /// When it was applied, in milliseconds since 1970, as the reference has it.
    fn answered(&self, _: &Json) -> Map<String, Json> {
        let now = jiff::Timestamp::now().as_millisecond().to_string();
        Map::from_iter([("id".to_string(), json!(now))])
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let wanted = match (prior, planned) {
            (None, Some(planned)) => flag_of(planned, "on_create"),
            (Some(prior), None) => flag_of(prior, "on_destroy"),
            _ => None,
        };
        if wanted == Some(false) || wanted.is_none() {
            return Ok(());
        }
        // What it depends on is destroyed after it.
        call.cluster.applies_sdn.store(planned.is_none(), Ordering::SeqCst);
        call.step(Step::APPLY, Method::Put, "/cluster/sdn", &Params::default(), MOST).await
    }
}
