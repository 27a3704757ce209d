//! Whether the id that a guest is to have is free.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;
use pve_model::event::Operation;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::id_of;
use crate::guest::MARKER;

/// The ids that are not free.
pub(in super::super) async fn ids_in_use(facts: &mut Facts<'_>, changes: &[&ApplyRequest]) -> Vec<Doubt> {
    let mut found = Vec::new();
    for change in changes {
        let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Create);
        let Some((attribute, id)) = planned.and_then(|planned| id_of(change, planned)) else { continue };
        let frees = |other: &&ApplyRequest| {
            let prior = other.prior.as_ref().filter(|_| other.operation == Operation::Delete);
            prior.and_then(|prior| id_of(other, prior)).is_some_and(|(_, freed)| freed == id)
        };
        if changes.iter().any(frees) {
            continue;
        }
        let fault = taken(facts, id).await;
        found.extend(fault.map(|fault| fault.at(change, Path::attribute(attribute))));
    }
    found
}

/// The list is some seconds old: the guest itself is asked. One that some run began to make is for recovery.
async fn taken(facts: &mut Facts<'_>, id: i64) -> Option<Fault> {
    let guests = facts.guests().await?;
    let guest = guests.iter().find(|guest| i64::from(guest.vmid) == id)?;
    let path = format!("/nodes/{}/{}/{id}/config", guest.node, guest.kind);
    let config = facts.answer(&path, "").await?;
    if config["description"].as_str().is_some_and(|text| text.trim().starts_with(MARKER)) {
        return None;
    }
    let what = if guest.kind == "lxc" { "container" } else { "VM" };
    let name = guest.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
    let detail = format!("the {what}{name} on {}: import it, or take another id", guest.node);
    Some(Fault::certain(&id.to_string(), |id| format!("Guest {id} is there already"), detail))
}
