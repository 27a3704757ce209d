//! Whether a guest runs is for HA to say where it manages the guest: starting or stopping it sets the state of its HA resource
//! (PVE::API2::Qemu and PVE::API2::LXC::Status, `vm_start` and `vm_stop`).

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::{Path, Value};

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use crate::values::{flag, int, text};
use crate::{container, vm};

/// A guest that is to be started or stopped while its HA resource says otherwise, in the same plan or in the cluster: each
/// apply would take back what the one before did.
pub(in super::super) async fn at_odds_with_ha(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Doubt> {
    let kind = change.address.resource.kind.as_str();
    let sort = match () {
        () if vm::NAMES.contains(&kind) => "vm",
        () if container::NAMES.contains(&kind) => "ct",
        () => return None,
    };
    let planned = change.planned.as_ref()?;
    let runs = flag(planned, "started")?;
    if change.prior.as_ref().and_then(|prior| flag(prior, "started")) == Some(runs) {
        return None;
    }
    let resource = format!("{sort}:{}", int(planned, "vm_id")?);
    let wanted = match planned_state(changes, &resource) {
        Some(wanted) => wanted?,
        None => {
            let managed = facts.list("/cluster/ha/resources", "").await?;
            let row = managed.iter().find(|row| row["sid"] == *resource)?;
            row["state"].as_str().unwrap_or("started").to_string()
        }
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
    let fault = Fault::certain(
        &format!("{resource:?}"),
        |resource| format!("HA is to keep {resource} {keeps}"),
        detail,
    );
    Some(Doubt { may_come: false, ..fault.likely().at(change, Path::attribute("started")) })
}

/// The state that the same plan gives an HA resource: `Some(None)` where it is not known yet, or where HA lets it go.
fn planned_state(changes: &[&ApplyRequest], resource: &str) -> Option<Option<String>> {
    let is_it = |value: &Value| text(value, "resource_id") == Some(resource);
    let of_it = changes.iter().find(|change| {
        let values = [&change.planned, &change.prior];
        short(&change.address.resource.kind) == "haresource" && values.into_iter().flatten().any(is_it)
    })?;
    let state = of_it.planned.as_ref().and_then(|planned| planned.get("state"));
    Some(state.filter(|state| state.is_known()).map(|state| state.as_str().unwrap_or("started").to_string()))
}
