//! What runs on a node.

use serde_json::{Value, json};

use super::{running, vnets, zones};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::{Options, State};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/sdn", |_| {
        Ok(["fabrics", "vnets", "zones"].map(|name| json!({ "name": name })).into())
    }),
    ("GET", "/nodes/{node}/sdn/zones", list),
    ("GET", "/nodes/{node}/sdn/zones/{zone}", |_| {
        Ok(["bridges", "content", "ip-vrf"].map(|name| json!({ "subdir": name })).into())
    }),
    ("GET", "/nodes/{node}/sdn/zones/{zone}/content", content),
    ("GET", "/nodes/{node}/sdn/zones/{zone}/bridges", bridges),
    ("GET", "/nodes/{node}/sdn/zones/{zone}/ip-vrf", |_| Ok(json!([]))),
    ("GET", "/nodes/{node}/sdn/vnets/{vnet}", |_| Ok(json!([{ "subdir": "mac-vrf" }]))),
    ("GET", "/nodes/{node}/sdn/vnets/{vnet}/mac-vrf", |_| Ok(json!([]))),
    ("GET", "/nodes/{node}/sdn/fabrics/{fabric}", |_| {
        Ok(["interfaces", "neighbors", "routes"].map(|name| json!({ "subdir": name })).into())
    }),
    ("GET", "/nodes/{node}/sdn/fabrics/{fabric}/routes", |_| Ok(json!([]))),
    ("GET", "/nodes/{node}/sdn/fabrics/{fabric}/neighbors", |_| Ok(json!([]))),
    ("GET", "/nodes/{node}/sdn/fabrics/{fabric}/interfaces", |_| Ok(json!([]))),
];

fn is_on(zone: &Options, node: &str) -> bool {
    zone.get("nodes").is_none_or(|nodes| nodes.split(',').any(|name| name == node))
}

/// Zones that run on a node.
fn zones_on<'a>(state: &'a State, node: &'a str) -> impl Iterator<Item = (&'a String, &'a Options)> {
    running(state, zones::FILE.name).iter().filter(move |(_, zone)| is_on(zone, node))
}

/// Networks that run on a node.
fn vnets_on<'a>(state: &'a State, node: &'a str) -> impl Iterator<Item = (&'a String, &'a Options)> {
    let zones = running(state, zones::FILE.name);
    running(state, vnets::FILE.name).iter().filter(move |(_, vnet)| {
        vnet.get("zone").and_then(|zone| zones.get(zone)).is_some_and(|zone| is_on(zone, node))
    })
}

/// Whether a guest's network card finds this bridge on the node.
pub(crate) fn has_bridge(state: &State, node: &str, bridge: &str) -> bool {
    vnets_on(state, node).any(|(name, _)| name == bridge)
}

/// The networks as interfaces of the node.
pub(crate) fn interfaces(request: &Request<'_>) -> Vec<Value> {
    let zones = running(request.state, zones::FILE.name);
    let seen = vnets_on(request.state, &request.node).filter(|(name, vnet)| {
        let zone = vnet.get("zone").map_or("", String::as_str);
        request.allows_any(&format!("/sdn/zones/{zone}/{name}"), &["SDN.Audit", "SDN.Use"])
    });
    seen.map(|(name, vnet)| {
        let managed = vnet.get("zone").and_then(|zone| zones.get(zone)?.get("ipam")).is_some();
        let aware = vnet.get("vlanaware").is_some_and(|value| value == "1");
        json!({
            "iface": name, "type": "vnet", "active": "1", "comments": vnet.get("alias"),
            "ipam": u8::from(managed), "vlanaware": u8::from(aware),
        })
    })
    .collect()
}

/// Zones in the cluster's resources; every node tells about each.
pub(crate) fn resources(request: &Request<'_>, node: &str) -> Vec<Value> {
    let seen = running(request.state, zones::FILE.name)
        .iter()
        .filter(|(zone, _)| request.allows(&format!("/sdn/zones/{zone}"), "SDN.Audit"));
    seen.map(|(zone, options)| {
        json!({
            "id": format!("network/{node}/zone/{zone}"), "type": "network", "network-type": "zone", "network": zone,
            "node": node, "status": "available", "zone-type": options.get("type"),
        })
    })
    .collect()
}

fn list(request: &mut Request<'_>) -> Answer {
    let seen = zones_on(request.state, &request.node).filter(|(zone, _)| {
        request.allows_any(&format!("/sdn/zones/{zone}"), &["SDN.Audit", "SDN.Allocate"])
    });
    Ok(seen.map(|(zone, _)| json!({ "zone": zone, "status": "available" })).collect())
}

fn content(request: &mut Request<'_>) -> Answer {
    let zone = request.text("zone");
    let inside = vnets_on(request.state, &request.node).filter(|(_, vnet)| vnet.get("zone") == Some(&zone));
    Ok(inside.map(|(vnet, _)| json!({ "vnet": vnet, "status": "available", "statusmsg": null })).collect())
}

fn bridges(request: &mut Request<'_>) -> Answer {
    let zone = request.text("zone");
    if zone != "localnetwork" && !zones_on(request.state, &request.node).any(|(name, _)| *name == zone) {
        return Err(Failure::died(format!("could not find zone '{zone}'")));
    }
    let inside = vnets_on(request.state, &request.node).filter(|(_, vnet)| vnet.get("zone") == Some(&zone));
    let aware = |vnet: &Options| u8::from(vnet.get("vlanaware").is_some_and(|value| value == "1"));
    Ok(inside
        .map(|(name, vnet)| json!({ "name": name, "vlan_filtering": aware(vnet), "ports": [] }))
        .collect())
}
