//! Whether a container can be what its template is not.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Value;
use pve_model::event::Operation;
use serde_json::{Map, json};

use super::super::facts::Facts;
use super::super::references::short;
use super::id_of;
use super::templates::{seen, told};
use crate::container::unlike_template;
use crate::observed::Observed;
use crate::values::{block, flag, int};

/// What the template of a new container has otherwise than is planned and cannot be changed.
pub(in super::super) async fn at_odds_with_container_template(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Vec<Doubt> {
    let Some((id, planned)) = cloned(change) else { return Vec::new() };
    let has_parts = ["disk", "mount_point"].iter().any(|name| block(planned, name).is_some());
    if !has_parts && flag(planned, "unprivileged").is_none() {
        return Vec::new();
    }
    let template = template(facts, changes, change).await;
    let unlike = template.map(|template| unlike_template(&template, planned)).unwrap_or_default();
    unlike.into_iter().map(|unlike| told(unlike, id, change)).collect()
}

/// The template of a new container: as it is, or what is known of one that this plan makes or changes.
pub(super) async fn template(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Observed> {
    let (id, _) = cloned(change)?;
    let mut planned = changes.iter().filter_map(|other| Some((other, other.planned.as_ref()?)));
    let is_it =
        |(other, planned): &(&&ApplyRequest, &Value)| id_of(other, planned).is_some_and(|(_, own)| own == id);
    let Some((_, made)) = planned.find(is_it) else {
        return seen(facts, "lxc", id).await;
    };
    let is_unprivileged = u8::from(flag(made, "unprivileged")?);
    let config = Map::from_iter([("unprivileged".to_string(), json!(is_unprivileged))]);
    Some(Observed { config, ..Observed::default() })
}

/// The id of the template of a container that is to be made, and what the container is to be.
fn cloned(change: &ApplyRequest) -> Option<(i64, &Value)> {
    let is_new = change.operation == Operation::Create && short(&change.address.resource.kind) == "container";
    let planned = change.planned.as_ref().filter(|_| is_new)?;
    Some((int(block(planned, "clone")?, "vm_id")?, planned))
}
