//! Controllers, address managers and name servers of virtual networks.

use serde_json::{Value, json};

use super::view::{self, check_lock, plain};
use super::zones;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, Texts, Type, check_options, digest};
use crate::state::{Options, State};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/controllers", |request| list(request, &CONTROLLERS, "/sdn/controllers")),
    ("POST", "/cluster/sdn/controllers", |request| create(request, &CONTROLLERS)),
    ("GET", "/cluster/sdn/controllers/{controller}", |request| read(request, &CONTROLLERS)),
    ("PUT", "/cluster/sdn/controllers/{controller}", |request| update(request, &CONTROLLERS)),
    ("DELETE", "/cluster/sdn/controllers/{controller}", delete_controller),
    ("GET", "/cluster/sdn/ipams", ipams),
    ("POST", "/cluster/sdn/ipams", |request| create(request, &IPAMS)),
    ("GET", "/cluster/sdn/ipams/{ipam}", ipam),
    ("PUT", "/cluster/sdn/ipams/{ipam}", |request| update(request, &IPAMS)),
    ("DELETE", "/cluster/sdn/ipams/{ipam}", |request| delete(request, &IPAMS)),
    ("GET", "/cluster/sdn/ipams/{ipam}/status", ipam_status),
    ("GET", "/cluster/sdn/dns", |request| list(request, &DNS, "/sdn/dns")),
    ("POST", "/cluster/sdn/dns", |request| create(request, &DNS)),
    ("GET", "/cluster/sdn/dns/{dns}", |request| read(request, &DNS)),
    ("PUT", "/cluster/sdn/dns/{dns}", |request| update(request, &DNS)),
    ("DELETE", "/cluster/sdn/dns/{dns}", |request| delete(request, &DNS)),
];

const fn kind(
    name: &'static str,
    required: &'static [&'static str],
    options: &'static [&'static str],
) -> Type {
    Type { name, required, options, fixed: &[] }
}

pub(super) const CONTROLLERS: File = File {
    name: "sdn/controllers.cfg",
    id: "controller",
    schema: "/cluster/sdn/controllers",
    types: &[
        kind("evpn", &["asn"], &["peers", "fabric"]),
        kind(
            "bgp",
            &["node", "asn", "peers"],
            &["bgp-multipath-as-path-relax", "ebgp", "ebgp-multihop", "loopback"],
        ),
        kind("isis", &["isis-domain", "isis-net", "isis-ifaces", "node"], &["loopback"]),
        kind("faucet", &[], &[]),
    ],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "create sdn controller object failed: ",
        update: "update sdn controller object failed: ",
        delete: "delete sdn controller object failed: ",
        exists: "sdn controller object ID '{}' already defined",
        missing: "sdn '{}' does not exist",
    },
};

pub(super) const IPAMS: File = File {
    name: "sdn/ipams.cfg",
    id: "ipam",
    schema: "/cluster/sdn/ipams",
    types: &[
        kind("pve", &[], &[]),
        kind("netbox", &["url", "token"], &["fingerprint"]),
        kind("phpipam", &["url", "token", "section"], &["fingerprint"]),
    ],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "create sdn ipam object failed: ",
        update: "update sdn ipam object failed: ",
        delete: "delete sdn zone object failed: ",
        exists: "sdn ipam object ID '{}' already defined",
        missing: "sdn '{}' does not exist",
    },
};

pub(super) const DNS: File = File {
    name: "sdn/dns.cfg",
    id: "dns",
    schema: "/cluster/sdn/dns",
    types: &[kind("powerdns", &["url", "key"], &["ttl", "reversemaskv6", "reversev6mask", "fingerprint"])],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "create sdn dns object failed: ",
        update: "update sdn dns object failed: ",
        delete: "delete sdn dns object failed: ",
        exists: "sdn dns object ID '{}' already defined",
        missing: "sdn '{}' does not exist",
    },
};

fn list(request: &mut Request<'_>, file: &File, path: &str) -> Answer {
    let wanted = request.get("type").map(str::to_owned);
    view::list(request, file, plain, |id, options| {
        wanted.as_ref().is_none_or(|wanted| options.get("type") == Some(wanted))
            && request.allows_any(&format!("{path}/{id}"), &["SDN.Audit", "SDN.Allocate"])
    })
}

fn read(request: &mut Request<'_>, file: &File) -> Answer {
    view::read(request, file, &request.text(file.id), plain)
}

fn set(request: &Request<'_>, file: &File) -> Options {
    let mut set = file.set(request);
    set.remove("lock-token");
    set
}

/// One controller of this kind is enough (`on_update_hook` of its plugin).
fn check_evpn(request: &Request<'_>, prefix: &str, id: &str, options: &Options) -> Result<(), Failure> {
    if options.get("type").is_none_or(|name| name != "evpn") {
        return Ok(());
    }
    let at =
        |line: u32| format!("at /usr/share/perl5/PVE/Network/SDN/Controllers/EvpnPlugin.pm line {line}.");
    let mut others = CONTROLLERS.sections(request.state).iter().filter(|(other, _)| *other != id);
    if others.any(|(_, other)| other.get("type").is_some_and(|name| name == "evpn")) {
        return Err(Failure::died(format!(
            "{prefix}only 1 global evpn controller can be defined {}",
            at(425)
        )));
    }
    if options.contains_key("peers") == options.contains_key("fabric") {
        return Err(Failure::died(format!(
            "{prefix}must have exactly one of peers / fabric defined {}",
            at(431)
        )));
    }
    Ok(())
}

fn create(request: &mut Request<'_>, file: &File) -> Answer {
    let (id, prefix) = (request.text(file.id), file.texts.create);
    let options = set(request, file);
    if let Some(kind) = file.kind(&request.text("type")) {
        check_options(kind, &options, true)?;
    }
    check_lock(request, prefix)?;
    if file.name == IPAMS.name && id == "pve" {
        return Err(Failure::died(format!("{prefix}{}", file.texts.exists.replace("{}", &id))));
    }
    file.check_new(request.state, &id)?;
    check_evpn(request, prefix, &id, &options)?;
    file.sections_mut(request.state).insert(id, options);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>, file: &File) -> Answer {
    let prefix = file.texts.update;
    check_lock(request, prefix)?;
    request.parameters.remove("lock-token");
    let (id, options) = file.changed(request)?;
    check_evpn(request, prefix, &id, &options)?;
    file.sections_mut(request.state).insert(id, options);
    Ok(Value::Null)
}

/// Zones that use what is to be deleted.
fn used_by<'a>(state: &'a State, keys: &[&str], id: &str) -> Option<&'a String> {
    let mut zones = zones::FILE.sections(state).iter();
    zones
        .find(|(_, zone)| keys.iter().any(|key| zone.get(*key).is_some_and(|name| name == id)))
        .map(|(name, _)| name)
}

fn delete(request: &mut Request<'_>, file: &File) -> Answer {
    let (id, prefix) = (request.text(file.id), file.texts.delete);
    check_lock(request, prefix)?;
    if !file.sections(request.state).contains_key(&id) {
        return Err(file.missing(prefix, &id));
    }
    let (what, keys): (_, &[&str]) = match file.id {
        "controller" => ("controller", &["controller"]),
        "ipam" => ("ipam", &["ipam"]),
        _ => ("dns", &["dns", "reversedns"]),
    };
    if let Some(zone) = used_by(request.state, keys, &id) {
        return Err(Failure::died(format!("{prefix}{what} {id} is used by {zone}")));
    }
    file.sections_mut(request.state).remove(&id);
    Ok(Value::Null)
}

fn delete_controller(request: &mut Request<'_>) -> Answer {
    delete(request, &CONTROLLERS)
}

/// Whether an address manager is there; Proxmox's own always is.
pub(super) fn has_ipam(state: &State, name: &str) -> bool {
    name == "pve" || IPAMS.sections(state).contains_key(name)
}

fn built_in(request: &Request<'_>) -> Value {
    json!({ "ipam": "pve", "type": "pve", "digest": digest(IPAMS.sections(request.state)) })
}

fn ipams(request: &mut Request<'_>) -> Answer {
    let mut rows = match list(request, &IPAMS, "/sdn/ipams")? {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    };
    let wanted = request.get("type").is_none_or(|kind| kind == "pve");
    if wanted && request.allows_any("/sdn/ipams/pve", &["SDN.Audit", "SDN.Allocate"]) {
        rows.push(built_in(request));
    }
    Ok(Value::Array(rows))
}

fn ipam(request: &mut Request<'_>) -> Answer {
    if request.text("ipam") == "pve" { Ok(built_in(request)) } else { read(request, &IPAMS) }
}

fn ipam_status(request: &mut Request<'_>) -> Answer {
    if request.text("ipam") != "pve" {
        return Err(Failure::died(
            "Currently only PVE IPAM is supported! at /usr/share/perl5/PVE/API2/Network/SDN/Ipams.pm line 319.",
        ));
    }
    Ok(Value::Array(super::addresses::rows(request)))
}
