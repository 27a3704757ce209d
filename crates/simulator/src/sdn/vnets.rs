//! Virtual networks (PVE::API2::Network::SDN::Vnets).

use serde_json::Value;

use super::view::{self, check_lock, plain};
use super::{subnets, zones};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, MODIFIED, Texts, Type, check_options, delete_options, digest};
use crate::state::Options;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/vnets", list),
    ("POST", "/cluster/sdn/vnets", create),
    ("GET", "/cluster/sdn/vnets/{vnet}", read),
    ("PUT", "/cluster/sdn/vnets/{vnet}", update),
    ("DELETE", "/cluster/sdn/vnets/{vnet}", delete),
];

const TYPE: Type = Type {
    name: "vnet",
    required: &["zone"],
    options: &["tag", "alias", "vlanaware", "isolate-ports"],
    fixed: &[],
};

pub(super) const FILE: File = File {
    name: "sdn/vnets.cfg",
    id: "vnet",
    schema: "/cluster/sdn/vnets",
    types: &[TYPE],
    default_type: Some("vnet"),
    secrets: &[],
    texts: Texts {
        create: "create sdn vnet object failed: ",
        update: "update sdn vnet object failed: ",
        delete: "delete sdn vnet object failed: ",
        exists: "sdn vnet object ID '{}' already defined",
        missing: "sdn vnet '{}' does not exist",
    },
};

/// Refuses who may not look at or change a network.
pub(super) fn check_access(request: &Request<'_>, vnet: &str, privileges: &[&str]) -> Result<(), Failure> {
    let zone = FILE.sections(request.state).get(vnet).and_then(|vnet| vnet.get("zone"));
    request.check_any(&format!("/sdn/zones/{}/{vnet}", zone.map_or("", String::as_str)), privileges)
}

fn list(request: &mut Request<'_>) -> Answer {
    view::list(request, &FILE, plain, |id, vnet| {
        let zone = vnet.get("zone").map_or("", String::as_str);
        request.allows_any(&format!("/sdn/zones/{zone}/{id}"), &["SDN.Audit", "SDN.Allocate"])
    })
}

fn read(request: &mut Request<'_>) -> Answer {
    let id = request.text("vnet");
    check_access(request, &id, &["SDN.Audit", "SDN.Allocate"])?;
    view::read(request, &FILE, &id, plain)
}

fn set(request: &Request<'_>) -> Options {
    let mut set = FILE.set(request);
    set.remove("lock-token");
    set
}

/// What the zone's type asks of the network's tag (`vnet_update_hook`), and the network of its subnets.
fn check_zone(request: &Request<'_>, prefix: &str, id: &str, vnet: &Options) -> Result<(), Failure> {
    let refuse = |name: &str, text: String| Err(Failure::nested(prefix, name, &text));
    let zone = vnet.get("zone").cloned().unwrap_or_default();
    let zones = zones::FILE.sections(request.state);
    let Some(kind) = zones.get(&zone).and_then(|zone| zone.get("type")) else {
        let text =
            "cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Network/SDN/Vnets.pm line 326.";
        return Err(Failure::died(format!("{prefix}{text}")));
    };
    let tag = vnet.get("tag").and_then(|tag| tag.parse::<u64>().ok());
    let others = FILE.sections(request.state).iter().filter(|(other, _)| *other != id);
    let in_zone = others.clone().filter(|(_, other)| other.get("zone") == Some(&zone));
    let same = |other: &Options| tag.is_some() && other.get("tag") == vnet.get("tag");
    match (kind.as_str(), tag) {
        ("simple", Some(_)) => return refuse("tag", "vlan tag is not allowed on simple zone".to_owned()),
        ("vlan", None) => return refuse("tag", "missing vlan tag".to_owned()),
        ("vlan", Some(tag)) if tag > 4096 => return refuse("tag", "vlan tag max value is 4096".to_owned()),
        ("vlan", Some(tag)) => {
            if let Some((other, _)) = in_zone.clone().find(|(_, other)| same(other)) {
                return refuse("tag", format!("tag {tag} already exist in vnet {other}"));
            }
        }
        ("qinq", Some(tag)) if tag > 4096 => {
            return refuse("tag", "VLAN tag maximal value is 4096".to_owned());
        }
        ("qinq", Some(tag)) => {
            if let Some((other, _)) = in_zone.clone().find(|(_, other)| same(other)) {
                return refuse("tag", format!("tag {tag} already exist in zone {zone} vnet {other}"));
            }
        }
        ("qinq", None) => {
            if let Some((other, _)) = in_zone.clone().find(|(_, other)| !other.contains_key("tag")) {
                return refuse("tag", format!("tag-less vnet already exists in zone {zone} vnet {other}"));
            }
        }
        ("vxlan" | "evpn", None) => return refuse("tag", "missing vxlan tag".to_owned()),
        ("vxlan" | "evpn", Some(tag)) if tag > 16_777_216 => {
            return refuse("tag", "vxlan tag max value is 16777216".to_owned());
        }
        ("evpn", Some(_)) if vnet.get("vlanaware").is_some_and(|value| value == "1") => {
            return refuse("vlan-aware", "vlan-aware option can't be enabled with evpn".to_owned());
        }
        ("vxlan" | "evpn", Some(tag)) => {
            let tunnel = |other: &Options| {
                let kind = other.get("zone").and_then(|zone| zones.get(zone)?.get("type"));
                kind.is_some_and(|kind| matches!(kind.as_str(), "vxlan" | "evpn"))
            };
            if let Some((name, other)) = others.clone().find(|(_, other)| tunnel(other) && same(other)) {
                let zone = other.get("zone").cloned().unwrap_or_default();
                return refuse(
                    "tag",
                    format!("vxlan tag {tag} already exist in vnet {name} in zone {zone} "),
                );
            }
        }
        _ => {}
    }
    if vnet.get("vlanaware").is_some_and(|value| value == "1") && subnets::any_of(request.state, id) {
        return refuse("vlanaware", "vlanaware vnet is not compatible with subnets".to_owned());
    }
    Ok(())
}

fn create(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (request.text("vnet"), FILE.texts.create);
    check_lock(request, prefix)?;
    let mut vnet = set(request);
    vnet.insert("type".to_owned(), "vnet".to_owned());
    check_options(&TYPE, &vnet, true).map_err(|failure| FILE.prefixed(prefix, failure))?;
    FILE.check_new(request.state, &id)?;
    check_zone(request, prefix, &id, &vnet)?;
    FILE.sections_mut(request.state).insert(id, vnet);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (id, prefix, set) = (request.text("vnet"), FILE.texts.update, set(request));
    check_access(request, &id, &["SDN.Allocate"])?;
    check_lock(request, prefix)?;
    let sections = FILE.sections(request.state);
    request.check_digest(&digest(sections), MODIFIED).map_err(|failure| FILE.prefixed(prefix, failure))?;
    let Some(mut vnet) = sections.get(&id).cloned() else {
        return Err(Failure::nested(prefix, "zone", "cannot delete zone"));
    };
    let zone = vnet.get("zone").cloned();
    delete_options(&TYPE, &mut vnet, &set, request.get("delete").unwrap_or_default())
        .map_err(|failure| FILE.prefixed(prefix, failure))?;
    vnet.extend(set);
    if vnet.get("zone") != zone.as_ref() && subnets::any_of(request.state, &id) {
        return Err(Failure::nested(prefix, "zone", "can't change zone if subnets exist"));
    }
    check_zone(request, prefix, &id, &vnet)?;
    FILE.sections_mut(request.state).insert(id, vnet);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (request.text("vnet"), FILE.texts.delete);
    check_access(request, &id, &["SDN.Allocate"])?;
    check_lock(request, prefix)?;
    if !FILE.sections(request.state).contains_key(&id) {
        return Err(FILE.missing(prefix, &id));
    }
    if subnets::any_of(request.state, &id) {
        return Err(Failure::nested(prefix, "vnet", "Can't delete vnet if subnets exists"));
    }
    FILE.sections_mut(request.state).remove(&id);
    Ok(Value::Null)
}
