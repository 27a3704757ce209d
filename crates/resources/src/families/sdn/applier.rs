//! Applying what is pending of all software-defined networks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::rules::Staging;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Call, Method, Step};
use crate::definition::{flag, text};
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::params::Params;
use crate::values::{flag as flag_of, text as text_of};

const MOST: Duration = Duration::from_secs(600);

const NAMES: &[&str] = &["proxmox_sdn_applier", "proxmox_virtual_environment_sdn_applier"];

/// What an applier applies, as the plan names it.
const AREA: &str = "software-defined networks";

/// Whether objects of a kind are staged, or apply what is.
pub(crate) fn staging(object: &Object, value: &Value) -> Option<Staging> {
    if object.names == NAMES {
        let wants = |name| flag_of(value, name) != Some(false);
        return Some(Staging::Applies {
            area: AREA,
            made: wants("on_create"),
            destroyed: wants("on_destroy"),
        });
    }
    object.create.1.starts_with(PLACES).then_some(Staging::Staged(AREA))
}

/// Whether a kind is a network that is staged, or applies those.
pub(crate) fn is_of_networks(object: &Object) -> bool {
    object.names == NAMES || object.create.1.starts_with(PLACES)
}

/// The network that an object is, as [`super::pending::pending_networks`] names it: `zone lab`.
pub(crate) fn network(object: &Object, values: &Value) -> Option<String> {
    let own = |name| text_of(values, name);
    match object.create.1.strip_prefix(PLACES)? {
        "fabrics/fabric" => Some(format!("fabric {}", own("id")?)),
        "fabrics/node/{fabric_id}" => Some(super::pending::node_of(own("node_id")?, own("fabric_id")?)),
        "vnets/{vnet}/subnets" => Some(super::pending::subnet_of(own("cidr")?, own("vnet")?)),
        place => Some(format!("{} {}", place.split('?').next()?.strip_suffix('s')?, own("id")?)),
    }
}

const PLACES: &str = "/cluster/sdn/";

/// `proxmox_sdn_applier`
pub(super) fn applier() -> Object {
    Object {
        names: NAMES,
        what: "application of SDN",
        about: "Applies what is pending of all software-defined networks, when it is made and when it is destroyed. A run \
                that makes, changes or destroys zones, vnets, subnets, controllers or fabrics applies them once, at its \
                end: it replaces an applier after all of them, with or without `replace_triggered_by`. When everything is \
                destroyed, networks that go after their applier are applied as they go. A second applier that networks \
                depend on (a finalizer) does no harm and is not needed. Where nothing applies a change, since there is no \
                applier, or one with `on_create = false` or `prevent_destroy`, the plan says that it stays pending: add \
                an applier, or apply it in the cluster's settings of software-defined networks.",
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

/// Applies that an object is gone which is destroyed after an applier was made or destroyed.
pub(crate) async fn apply_leaving(call: &Call<'_>, place: &str) -> Result<(), ProviderError> {
    if !place.starts_with(PLACES) || !call.cluster.shared.applies_sdn.load(Ordering::SeqCst) {
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
            (Some(prior), None) if !call.recreated => flag_of(prior, "on_destroy"),
            _ => None,
        };
        if wanted != Some(true) {
            return Ok(());
        }
        // What it depends on is destroyed after it, and so is what is still used until it has applied the rest.
        call.cluster.shared.applies_sdn.store(true, Ordering::SeqCst);
        call.step(Step::APPLY, Method::Put, "/cluster/sdn", &Params::default(), MOST).await
    }
}
