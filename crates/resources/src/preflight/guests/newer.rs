//! What a newer machine cannot be cloned over, and that it is protected: its values tell neither.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;
use pve_model::event::Operation;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::is_of;
use super::templates::seen;
use crate::families::guests::{InTheWay, UNPROTECT_BY_HAND, in_the_way_of_newer, is_newer_vm};
use crate::values::{int, text};

/// Drives of a new clone where its template has something else.
pub(in super::super) async fn over_drives_of_template(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
) -> Vec<Doubt> {
    let mut found = Vec::new();
    for change in newer(changes, Operation::Create) {
        let Some(planned) = &change.planned else { continue };
        let clone = planned.get("clone").filter(|clone| text(clone, "snapshot_name").is_none());
        let Some(id) = clone.and_then(|clone| int(clone, "source_vm_id")) else { continue };
        // One that this plan changes or makes may be another one by then.
        if changes.iter().any(|other| is_of(other, id)) {
            continue;
        }
        let Some(seen) = seen(facts, "qemu", id).await else { continue };
        let in_the_way = in_the_way_of_newer(None, planned, &seen.config);
        found.extend(in_the_way.map(|InTheWay { path, slot, has }| {
            let summary = |slot: &str| format!("{slot} of template {id} has {has}");
            Fault::certain(&slot, summary, "take a slot that is free in the template").at(change, path)
        }));
    }
    found
}

/// Machines that are to be destroyed and are protected.
pub(in super::super) async fn kept_by_protection(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
) -> Vec<Doubt> {
    let mut found = Vec::new();
    for change in newer(changes, Operation::Delete) {
        let Some(id) = change.prior.as_ref().and_then(|prior| int(prior, "id")) else { continue };
        let seen = seen(facts, "qemu", id).await;
        if seen.and_then(|seen| seen.flag("protection")) == Some(true) {
            let summary = |id: &str| format!("Guest {id} is protected and cannot be destroyed");
            let fault = Fault::certain(&id.to_string(), summary, UNPROTECT_BY_HAND);
            found.push(Doubt { may_come: false, ..fault.at(change, Path::attribute("id")) });
        }
    }
    found
}

fn newer<'a>(changes: &[&'a ApplyRequest], operation: Operation) -> impl Iterator<Item = &'a ApplyRequest> {
    changes
        .iter()
        .copied()
        .filter(move |change| change.operation == operation && is_newer_vm(&change.address.resource.kind))
}
