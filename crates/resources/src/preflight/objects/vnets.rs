//! What a zone asks of the tag of a vnet (PVE::Network::SDN::Zones, `vnet_update_hook`).

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use super::super::things::Thing;
use crate::values::{int, text};

/// What is wrong with the tag of a vnet.
pub(super) async fn unfit_tag(
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
        (_, tag) => {
            let other = holder(facts, changes, change, &kind, tag).await?;
            let tag = tag.map_or_else(|| "no tag".to_string(), |tag| format!("the tag {tag}"));
            let detail = format!("the vnet {other} has {tag}: choose another one");
            let summary = |zone: &str| format!("Two vnets have {tag} in the zone {zone}");
            let fault = Fault::certain(&format!("{zone:?}"), summary, detail);
            return Some(fault.at(change, Path::attribute("tag")));
        }
    };
    let summary = |zone: &str| format!("The zone {zone} of type {kind} does not take this tag");
    Some(Fault::certain(&format!("{zone:?}"), summary, detail).at(change, Path::attribute("tag")))
}

/// The vnet that has the tag of another one already. Tags are of one zone, or of all zones over VXLAN; a zone of QinQ has
/// one vnet without any. Those that the plan changes are as it makes them.
async fn holder(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
    kind: &str,
    tag: Option<i64>,
) -> Option<String> {
    let planned = change.planned.as_ref()?;
    let (zone, id) = (text(planned, "zone")?, text(planned, "id")?);
    let prior = change.prior.as_ref();
    if prior.is_some_and(|prior| int(prior, "tag") == tag && text(prior, "zone") == Some(zone)) {
        return None;
    }
    let is_vxlan = |kind: &str| matches!(kind, "vxlan" | "evpn");
    if kind == "simple" || tag.is_none() && kind != "qinq" {
        return None;
    }
    let vnets: Vec<&ApplyRequest> =
        changes.iter().copied().filter(|other| short(&other.address.resource.kind) == "sdn_vnet").collect();
    let own = |name: &str| {
        let values = vnets.iter().flat_map(|other| other.prior.iter().chain(&other.planned));
        values.into_iter().any(|value| text(value, "id") == Some(name))
    };
    let mut others: Vec<(String, String, Option<i64>)> = Vec::new();
    for entry in facts.list(Thing::Vnet.listing().path, "").await.unwrap_or_default().iter() {
        let (Some(name), Some(zone)) = (entry["vnet"].as_str(), entry["zone"].as_str()) else { continue };
        if !own(name) {
            others.push((name.into(), zone.into(), entry["tag"].as_i64()));
        }
    }
    // Of two that are planned, the second one is told of.
    let before = vnets.iter().take_while(|other| other.address != change.address);
    let planned = before.filter_map(|other| other.planned.as_ref());
    let planned = planned.filter(|other| other.get("tag").is_none_or(pve_model::Value::is_known));
    others.extend(planned.filter_map(|other| {
        Some((text(other, "id")?.to_string(), text(other, "zone")?.to_string(), int(other, "tag")))
    }));
    let same = others.into_iter().filter(|(name, _, its_tag)| name != id && *its_tag == tag);
    for (name, its_zone, _) in same {
        let shares = its_zone == zone
            || is_vxlan(kind) && zone_type(facts, changes, &its_zone).await.as_deref().is_some_and(is_vxlan);
        if shares {
            return Some(name);
        }
    }
    None
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
