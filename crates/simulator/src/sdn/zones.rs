//! Zones (PVE::API2::Network::SDN::Zones).

use serde_json::Value;

use super::view::{self, check_lock, plain};
use super::{others, subnets, vnets};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, Texts, Type, check_options};
use crate::state::Options;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/zones", list),
    ("POST", "/cluster/sdn/zones", create),
    ("GET", "/cluster/sdn/zones/{zone}", |request| view::read(request, &FILE, &request.text("zone"), plain)),
    ("PUT", "/cluster/sdn/zones/{zone}", update),
    ("DELETE", "/cluster/sdn/zones/{zone}", delete),
];

const fn zone(
    name: &'static str,
    required: &'static [&'static str],
    options: &'static [&'static str],
) -> Type {
    Type { name, required, options, fixed: &[] }
}

pub(super) const FILE: File = File {
    name: "sdn/zones.cfg",
    id: "zone",
    schema: "/cluster/sdn/zones",
    types: &[
        zone("simple", &[], &["nodes", "mtu", "dns", "reversedns", "dnszone", "ipam", "dhcp"]),
        zone(
            "vlan",
            &["bridge"],
            &["nodes", "bridge-disable-mac-learning", "mtu", "dns", "reversedns", "dnszone", "ipam"],
        ),
        zone(
            "qinq",
            &["tag", "bridge"],
            &[
                "nodes",
                "bridge-disable-mac-learning",
                "mtu",
                "vlan-protocol",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
            ],
        ),
        zone(
            "vxlan",
            &[],
            &["nodes", "peers", "vxlan-port", "mtu", "dns", "reversedns", "dnszone", "ipam", "fabric"],
        ),
        zone(
            "evpn",
            &["vrf-vxlan", "controller"],
            &[
                "nodes",
                "exitnodes",
                "exitnodes-local-routing",
                "exitnodes-primary",
                "advertise-subnets",
                "disable-arp-nd-suppression",
                "bridge-disable-mac-learning",
                "rt-import",
                "vxlan-port",
                "mtu",
                "mac",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
            ],
        ),
        zone("faucet", &["dp-id", "controller"], &["nodes", "dns", "reversedns", "dnszone", "ipam"]),
    ],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "create sdn zone object failed: ",
        update: "update sdn zone object failed: ",
        delete: "delete sdn zone object failed: ",
        exists: "sdn zone object ID '{}' already defined",
        missing: "sdn '{}' does not exist",
    },
};

fn list(request: &mut Request<'_>) -> Answer {
    let kind = request.get("type").map(str::to_owned);
    view::list(request, &FILE, plain, |id, options| {
        kind.as_ref().is_none_or(|kind| options.get("type") == Some(kind))
            && request.allows_any(&format!("/sdn/zones/{id}"), &["SDN.Audit", "SDN.Allocate"])
    })
}

/// Lists of nodes are kept in order; the lock is none of the zone's.
fn set(request: &Request<'_>) -> Options {
    let mut set = FILE.set(request);
    set.remove("lock-token");
    for key in ["nodes", "exitnodes"] {
        if let Some(text) = set.get(key) {
            let mut nodes: Vec<&str> = crate::schema::formats::split_list(text).collect();
            nodes.sort_unstable();
            let text = nodes.join(",");
            set.insert(key.to_owned(), text);
        }
    }
    set
}

/// Other objects that a zone names have to be there.
fn check_references(request: &Request<'_>, prefix: &str, set: &Options) -> Result<(), Failure> {
    for key in ["dns", "reversedns"] {
        let known = others::DNS.sections(request.state);
        if let Some(name) = set.get(key).filter(|name| !name.is_empty() && !known.contains_key(*name)) {
            return Err(Failure::nested(prefix, key, &format!("{name} don't exist")));
        }
    }
    if set.contains_key("dnszone") && !set.contains_key("dns") {
        return Err(Failure::nested(prefix, "dnszone", "missing dns server"));
    }
    match set.get("ipam") {
        Some(name) if !others::has_ipam(request.state, name) => {
            Err(Failure::nested(prefix, "ipam", &format!("{name} not existing")))
        }
        _ => Ok(()),
    }
}

/// What the types check beyond their options (`on_update_hook`).
fn check_type(request: &Request<'_>, prefix: &str, id: &str, zone: &mut Options) -> Result<(), Failure> {
    let has = |zone: &Options, key: &str| zone.get(key).is_some_and(|value| !value.is_empty());
    match zone.get("type").map(String::as_str) {
        Some("vxlan") if has(zone, "peers") == has(zone, "fabric") => {
            let text = "must have exactly one of peers / fabric defined";
            Err(Failure::died(format!(
                "{prefix}400 Parameter verification failed.\nfabric: {text}\npeers: {text}"
            )))
        }
        Some("evpn") => {
            let at =
                |line: u32| format!("at /usr/share/perl5/PVE/Network/SDN/Zones/EvpnPlugin.pm line {line}.");
            let name = zone.get("controller").cloned().unwrap_or_default();
            let controller = others::CONTROLLERS.sections(request.state).get(&name);
            let Some(controller) = controller else {
                return Err(Failure::died(format!("{prefix}controller {name} don't exist {}", at(370))));
            };
            if controller.get("type").is_none_or(|kind| kind != "evpn") {
                return Err(Failure::died(format!(
                    "{prefix}{name} is not a evpn controller type {}",
                    at(372)
                )));
            }
            let number = zone.get("vrf-vxlan").cloned();
            let mut others = FILE.sections(request.state).iter().filter(|(other, _)| *other != id);
            if let Some((other, _)) = others.find(|(_, other)| other.get("vrf-vxlan") == number.as_ref()) {
                let number = number.unwrap_or_default();
                return Err(Failure::died(format!(
                    "{prefix}vrf-vxlan {number} is already declared in {other} {}",
                    at(382)
                )));
            }
            zone.entry("mac".to_owned()).or_insert_with(|| crate::guests::new_mac(request.state));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn create(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (request.text("zone"), FILE.texts.create);
    let mut zone = set(request);
    if let Some(kind) = FILE.kind(&request.text("type")) {
        check_options(kind, &zone, true)?;
    }
    check_lock(request, prefix)?;
    FILE.check_new(request.state, &id)?;
    check_references(request, prefix, &zone)?;
    check_type(request, prefix, &id, &mut zone)?;
    FILE.sections_mut(request.state).insert(id, zone);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (prefix, set) = (FILE.texts.update, set(request));
    check_lock(request, prefix)?;
    request.parameters.remove("lock-token");
    let before = FILE.sections(request.state).get(&request.text("zone")).cloned().unwrap_or_default();
    let (id, mut zone) = FILE.changed(request)?;
    zone.extend(set.clone());
    let mut in_zone = subnets::FILE.sections(request.state).values();
    if zone.get("ipam") != before.get("ipam")
        && in_zone.any(|subnet| subnets::zone(request.state, subnet) == Some(&id))
    {
        let text = "can't change ipam if a subnet is already defined in this zone";
        return Err(Failure::nested(prefix, "ipam", text));
    }
    check_references(request, prefix, &set)?;
    check_type(request, prefix, &id, &mut zone)?;
    FILE.sections_mut(request.state).insert(id, zone);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let (id, prefix) = (request.text("zone"), FILE.texts.delete);
    check_lock(request, prefix)?;
    if !FILE.sections(request.state).contains_key(&id) {
        return Err(FILE.missing(prefix, &id));
    }
    let mut vnets = vnets::FILE.sections(request.state).iter();
    if let Some((vnet, _)) = vnets.find(|(_, vnet)| vnet.get("zone") == Some(&id)) {
        let at = "at /usr/share/perl5/PVE/Network/SDN/Zones/Plugin.pm line 149.";
        return Err(Failure::died(format!("{prefix}zone {id} is used by vnet {vnet} {at}")));
    }
    FILE.sections_mut(request.state).remove(&id);
    Ok(Value::Null)
}
