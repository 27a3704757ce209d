//! Where an environment's log is, by the `backend` block: the file at hand, or a bucket.

mod copy;
mod given;
mod left_behind;
mod local;
mod lock;
mod logs;
mod marker;
mod migrate;
mod noted;
mod pin;
mod place;
mod push;
mod same_store;
mod spool;

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_config::configuration::{DiskFiles, constant, load};
use pve_config::syntax::{Body, Diagnostic, Item};
use pve_model::Value;
use pve_state_s3::{Settings, SettingsError};

pub use copy::{ADOPT, LogHome, Recorded, adopt_copy, keep_to_store, log_home, refuse_copied};
pub use given::{propose, tell_once};
pub use left_behind::{leave_behind, refuse_left_behind};
pub use local::Local;
pub use lock::{RunLock, is_passed_over, pass_over, tell_terraform_lock, unknown_lock};
pub use logs::{open_all, open_to_change, open_without_key, reach, unlike_remembered};
pub use migrate::{Moved, migrate};
pub use pin::log_id;
pub use push::push;
pub use spool::{discard_spool, has_spool};

use crate::failure::Failure;
use crate::project::Project;

/// Arguments of a `backend` block.
type Arguments = BTreeMap<Arc<str>, Value>;

/// Where logs are.
#[derive(Debug)]
pub enum Backend {
    /// A file.
    Local(Local),
    /// A bucket.
    Shared(Box<Bucket>),
}

/// A shared log's place.
#[derive(Debug)]
pub struct Bucket {
    /// The settings.
    pub settings: Settings,
    /// The arguments that they were made of.
    arguments: Arguments,
}

impl Bucket {
    /// The arguments that lead here again when the environment has changed.
    fn lasting_arguments(&self) -> Arguments {
        let mut all = self.arguments.clone();
        let Some(endpoint) = &self.settings.endpoint else { return all };
        let mut endpoints: Arguments =
            all.get("endpoints").and_then(Value::entries).cloned().unwrap_or_default();
        endpoints.insert("s3".into(), Value::string(endpoint.as_str()));
        all.remove("endpoint");
        all.insert("endpoints".into(), Value::object(endpoints));
        all
    }
}

impl std::ops::Deref for Bucket {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Project {
    /// The backend that the root module names, with the arguments that were given beside it; the local one without a
    /// block. Read once.
    ///
    /// # Errors
    /// When its arguments cannot be used, or it is of a type that pve does not have: a log somewhere else than where the
    /// configuration says would be a log that nobody shares.
    pub fn backend(&self) -> Result<&Backend, Failure> {
        if let Some(known) = self.backend.get() {
            return Ok(known);
        }
        let found = self.backend_with(|kind| given::given(self, kind))?;
        Ok(self.backend.get_or_init(|| found))
    }

    /// The backend with what is given beside its block.
    fn backend_with(
        &self,
        given: impl FnOnce(&str) -> Result<Arguments, Failure>,
    ) -> Result<Backend, Failure> {
        let loaded = load(&DiskFiles, &self.root);
        let Some((kind, body)) = &loaded.configuration.root.backend else {
            return Ok(Backend::Local(Local::default()));
        };
        if !["local", "s3"].contains(&&**kind) {
            return Err(Failure::hinted(
                format!("pve keeps no log in a backend \"{kind}\": it has \"local\" and \"s3\""),
                "Name one of them, for instance in a file backend_override.tf.",
            ));
        }
        let diagnosed = |diagnostics| Failure::Diagnosed { diagnostics, sources: loaded.sources.clone() };
        let mut all = arguments(body).map_err(diagnosed)?;
        all.extend(given(kind)?);
        if kind == "s3" { bucket(all) } else { Local::from_arguments(all).map(Backend::Local) }
    }
}

fn bucket(arguments: Arguments) -> Result<Backend, Failure> {
    let settings = Settings::from_arguments(&arguments, &|name| std::env::var(name).ok())
        .and_then(|settings| settings.with_profile().map_err(|error| vec![error]));
    settings.map(|settings| Backend::Shared(Box::new(Bucket { settings, arguments }))).map_err(|errors| {
        let missing = errors.iter().any(|error| matches!(error, SettingsError::Missing { .. }));
        let hint = if missing {
            "Nothing was read or written. What the block leaves out is given once with \
             `pve init -backend-config=KEY=VALUE` (or a file of such lines), or in PVE_BACKEND_CONFIG."
        } else {
            "Nothing was read or written."
        };
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::hinted(errors.join("\n"), hint)
    })
}

fn arguments(body: &Body) -> Result<Arguments, Vec<Diagnostic>> {
    let mut values = Arguments::new();
    for item in &body.items {
        match item {
            Item::Attribute(attribute) => {
                values.insert(Arc::from(attribute.name.as_str()), constant(&attribute.expr)?);
            }
            Item::Block(block) => {
                let nested = arguments(&block.body)?;
                values.insert(Arc::from(block.block_type.as_str()), Value::object(nested));
            }
        }
    }
    Ok(values)
}
