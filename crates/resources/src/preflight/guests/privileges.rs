//! What of a guest is for root alone, and what its protection holds.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, Value};

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::container_templates::template;
use super::kind_of;
use crate::families::guests::{is_newer_vm, newer_only_for_root};
use crate::guest::{GuestKind, UNPROTECT_FIRST};
use crate::values::{block, flag, with};
use crate::{container, vm};

/// Attributes that whoever asks may not set. A clone has the values of its template, which need not be set.
pub(in super::super) async fn only_for_root(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Vec<Doubt> {
    let user = facts.user();
    let is_asked = matches!(change.operation, Operation::Create | Operation::Update);
    let Some(planned) = change.planned.as_ref().filter(|_| is_asked && user != "root@pam") else {
        return Vec::new();
    };
    let prior = change.prior.as_ref();
    let paths = match kind_of(change) {
        Some(GuestKind::Vm) => vm::only_for_root(prior, planned),
        Some(GuestKind::Container) => {
            let told = match flag(planned, "unprivileged") {
                // Of the rest of it nothing depends on the template.
                None if block(planned, "features").is_some() => {
                    template(facts, changes, change).await.map(|seen| container::is_unprivileged(&seen))
                }
                known => known,
            };
            let whole = told.map(|told| with(planned, "unprivileged", Value::bool(told)));
            container::only_for_root(prior, whole.as_ref().unwrap_or(planned))
        }
        None if is_newer_vm(&change.address.resource.kind) => newer_only_for_root(prior, planned),
        None => Vec::new(),
    };
    // The newer clones set whatever is configured, be it as the template has it or not.
    let is_clone = prior.is_none() && block(planned, "clone").is_some();
    let doubt = |path: Path| {
        let summary = |_: &str| format!("Only root@pam itself may set {path}");
        let detail =
            format!("requests are made by {user}: log in as root@pam with a password, not with a token");
        let fault = Fault::certain("", summary, detail);
        let fault = if is_clone { fault.likely() } else { fault };
        Doubt { may_come: false, ..fault.at(change, path.clone()) }
    };
    paths.into_iter().map(doubt).collect()
}

/// Drives that a guest loses, and is protected against that before and after the change.
pub(in super::super) fn held_by_protection(change: &ApplyRequest) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Update)?;
    let prior = change.prior.as_ref()?;
    let is_protected = |value: &Value| flag(value, "protection") == Some(true);
    if !is_protected(prior) || !is_protected(planned) {
        return None;
    }
    let held = match kind_of(change)? {
        GuestKind::Vm => vm::held_by_protection(prior, planned),
        GuestKind::Container => container::held_by_protection(prior, planned),
    };
    if held.is_empty() {
        return None;
    }
    let summary = |held: &str| format!("It is protected, which holds {held}");
    let fault = Fault::certain(&held.join(", "), summary, UNPROTECT_FIRST);
    Some(Doubt { may_come: false, ..fault.at(change, Path::attribute("protection")) })
}
