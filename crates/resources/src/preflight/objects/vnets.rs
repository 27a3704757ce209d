//! What a zone asks of the tag of a vnet (PVE::Network::SDN::Zones, `vnet_update_hook`).

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use super::super::things::Thing;
use crate::values::{int, text};

/// What is wrong with the tag of a vnet.
pub(super) async fn look(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Doubt> {
    let planned = change.planned.as_ref()?;
    let zone = text(planned, "zone")?;
    let is_known = planned.get("tag").is_none_or(pve_model::Value::is_known);
    let kind = zone_type(facts, changes, zone).await.filter(|_| is_known)?;
    let detail = match (kind.as_str(), int(planned, "tag")) {
        ("simple", Some(_)) => "vnets of a simple zone have none: leave it out",
        ("vlan" | "vxlan" | "evpn", None) => "it needs one",
        ("vlan" | "qinq", Some(tag)) if tag > 4096 => "VLANs have tags from 1 to 4094",
        _ => return None,
    };
    let summary = |zone: &str| format!("The zone {zone} of type {kind} does not take this tag");
    Some(Fault::certain(&format!("{zone:?}"), summary, detail).at(change, Path::attribute("tag")))
}

/// Of what type a zone is, or will be.
async fn zone_type(facts: &mut Facts<'_>, changes: &[&ApplyRequest], zone: &str) -> Option<String> {
    let mut open = false;
    for change in changes {
        let Some(kind) = short(&change.address.resource.kind).strip_prefix("sdn_zone_") else { continue };
        match change.planned.as_ref() {
            Some(planned) if text(planned, "id") == Some(zone) => return Some(kind.to_string()),
            Some(planned) => open |= planned.get("id").is_some_and(|id| !id.is_known()),
            None => open |= change.prior.as_ref().and_then(|prior| text(prior, "id")) == Some(zone),
        }
    }
    let zones = facts.list(Thing::Zone.listing().path, "").await.filter(|_| !open)?;
    zones.iter().find(|entry| entry["zone"] == zone)?["type"].as_str().map(String::from)
}
