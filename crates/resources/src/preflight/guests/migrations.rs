//! Migrations that HA makes: whoever asks for one only tells its manager the node, whatever else was asked for
//! (PVE::API2::Qemu and PVE::API2::LXC, `migrate_vm`; `ha-manager migrate`).

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, Value};

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use crate::guest::storages_left_behind;
use crate::values::{int, text};
use crate::{container, vm};

/// A guest under HA that goes to a node without its datastores: the others that are planned for it are not told to HA, and
/// the migration fails.
pub(in super::super) async fn left_behind_by_ha(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Update)?;
    let prior = change.prior.as_ref()?;
    let kind = change.address.resource.kind.as_str();
    let sort = match () {
        () if vm::NAMES.contains(&kind) => "vm",
        () if container::NAMES.contains(&kind) => "ct",
        () => return None,
    };
    let to = text(planned, "node_name").filter(|to| text(prior, "node_name") != Some(to))?;
    let resource = format!("{sort}:{}", int(prior, "vm_id")?);
    let there = facts.list(&format!("/nodes/{to}/storage"), "").await?;
    let left = storages_left_behind(prior, planned, &there)?;
    let managed = facts.list("/cluster/ha/resources", "").await?;
    managed.iter().find(|row| row["sid"] == *resource && row["state"] != "ignored")?;
    let datastores: Vec<&str> =
        left.split(',').map(|pair| pair.split_once(':').map_or(pair, |(old, _)| old)).collect();
    let detail = format!(
        "{to} does not have {}, and HA takes a guest to no other datastores: set state = \"ignored\" for the HA resource \
         {resource} and apply that first",
        datastores.join(", ")
    );
    let fault = Fault::certain(&resource, |resource| format!("HA migrates {resource}"), detail);
    let fault = if is_let_go(changes, &resource) { fault.likely() } else { fault };
    Some(Doubt { may_come: false, ..fault.at(change, Path::attribute("node_name")) })
}

/// Whether the same plan takes a guest out of HA. It may do so before or behind.
fn is_let_go(changes: &[&ApplyRequest], resource: &str) -> bool {
    let is_it = |value: &Value| text(value, "resource_id") == Some(resource);
    let mut of_it = changes.iter().filter(|change| {
        short(&change.address.resource.kind) == "haresource" && change.prior.as_ref().is_some_and(is_it)
    });
    of_it
        .any(|change| change.planned.as_ref().is_none_or(|planned| text(planned, "state") == Some("ignored")))
}
