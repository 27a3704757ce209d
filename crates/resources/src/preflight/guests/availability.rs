//! What a guest cannot have otherwise than HA has it. Whoever migrates one under HA only tells its manager the node, and
//! whoever starts or stops it sets the state of its HA resource (PVE::API2::Qemu and PVE::API2::LXC, `migrate_vm`,
//! `vm_start` and `vm_stop`).

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, Value};

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use super::kind_of;
use crate::guest::{GuestKind, storages_left_behind};
use crate::values::{flag, int, text};

/// A guest under HA that goes to a node without its datastores: the others that are planned for it are not told to HA, and
/// the migration fails.
pub(in super::super) async fn left_behind_by_ha(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Update)?;
    let prior = change.prior.as_ref()?;
    let to = text(planned, "node_name").filter(|to| text(prior, "node_name") != Some(to))?;
    let resource = resource_of(change, prior)?;
    let there = facts.list(&format!("/nodes/{to}/storage"), "").await?;
    let left = storages_left_behind(prior, planned, &there)?;
    present_state(facts, &resource).await.filter(|state| state != "ignored")?;
    let datastores: Vec<&str> =
        left.split(',').map(|pair| pair.split_once(':').map_or(pair, |(old, _)| old)).collect();
    let detail = format!(
        "{to} does not have {}, and HA takes a guest to no other datastores: set state = \"ignored\" for the HA resource \
         {resource} and apply that first",
        datastores.join(", ")
    );
    let fault = Fault::certain(&resource, |resource| format!("HA migrates {resource}"), detail);
    // The same plan may take it out of HA before or behind.
    let is_let_go = changed_in(changes, &resource)
        .is_some_and(|of_it| of_it.planned.as_ref().is_none_or(|to| text(to, "state") == Some("ignored")));
    let fault = if is_let_go { fault.likely() } else { fault };
    Some(Doubt { may_come: false, ..fault.at(change, Path::attribute("node_name")) })
}

/// A guest that is to be started or stopped while its HA resource says otherwise, in the same plan or in the cluster: each
/// apply would take back what the one before did.
pub(in super::super) async fn at_odds_with_ha(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Doubt> {
    let planned = change.planned.as_ref()?;
    let runs = flag(planned, "started")?;
    if change.prior.as_ref().and_then(|prior| flag(prior, "started")) == Some(runs) {
        return None;
    }
    let resource = resource_of(change, planned)?;
    let wanted = match changed_in(changes, &resource) {
        Some(of_it) => {
            of_it.planned.as_ref()?.get("state").filter(|state| state.is_known())?.as_str()?.to_string()
        }
        None => present_state(facts, &resource).await?,
    };
    let keeps = match (&*wanted, runs) {
        ("started" | "enabled", false) => "running",
        ("stopped" | "disabled", true) => "stopped",
        _ => return None,
    };
    let detail = format!(
        "`started = {runs}` and its state {wanted:?} contradict each other, so that each apply would take back what the other \
         wants: let them agree"
    );
    let summary = |resource: &str| format!("HA is to keep {resource} {keeps}");
    let fault = Fault::certain(&format!("{resource:?}"), summary, detail).likely();
    Some(Doubt { may_come: false, ..fault.at(change, Path::attribute("started")) })
}

/// What a guest is called among HA resources: `vm:100`.
fn resource_of(change: &ApplyRequest, values: &Value) -> Option<String> {
    let sort = match kind_of(change)? {
        GuestKind::Vm => "vm",
        GuestKind::Container => "ct",
    };
    Some(format!("{sort}:{}", int(values, "vm_id")?))
}

/// The state that HA is to keep a guest in by now, if it manages it.
async fn present_state(facts: &mut Facts<'_>, resource: &str) -> Option<String> {
    let managed = facts.list("/cluster/ha/resources", "").await?;
    let row = managed.iter().find(|row| row["sid"] == *resource)?;
    Some(row["state"].as_str().unwrap_or("started").to_string())
}

/// What the same plan does with an HA resource.
fn changed_in<'c>(changes: &[&'c ApplyRequest], resource: &str) -> Option<&'c ApplyRequest> {
    let is_it = |change: &&&ApplyRequest| {
        let mut values = [&change.prior, &change.planned].into_iter().flatten();
        short(&change.address.resource.kind) == "haresource"
            && values.any(|value| text(value, "resource_id") == Some(resource))
    };
    changes.iter().find(is_it).copied()
}
