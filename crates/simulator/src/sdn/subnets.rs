//! Subnets of virtual networks (PVE::API2::Network::SDN::Subnets).

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::view::{self, check_lock};
use super::{vnets, zones};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema;
use crate::sections::{File, MODIFIED, Texts, Type, check_options, delete_options, digest};
use crate::state::{Options, State};

const ALL: &str = "/cluster/sdn/vnets/{vnet}/subnets";
const ONE: &str = "/cluster/sdn/vnets/{vnet}/subnets/{subnet}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", ALL, list),
    ("POST", ALL, create),
    ("GET", ONE, read),
    ("PUT", ONE, update),
    ("DELETE", ONE, delete),
];

const TYPE: Type = Type {
    name: "subnet",
    required: &["vnet"],
    options: &["gateway", "snat", "dnszoneprefix", "dhcp-range", "dhcp-dns-server"],
    fixed: &[],
};

pub(super) const FILE: File = File {
    name: "sdn/subnets.cfg",
    id: "subnet",
    schema: ALL,
    types: &[TYPE],
    default_type: Some("subnet"),
    secrets: &[],
    texts: Texts {
        create: "create sdn subnet object failed: ",
        update: "update sdn subnet object failed: ",
        delete: "delete sdn subnet object failed: ",
        exists: "sdn subnet object ID '{}' already defined",
        missing: "sdn subnet '{}' does not exist",
    },
};

/// The zone, address and prefix length in an id: `z1-10.0.0.0-24`.
fn parts(id: &str) -> Option<(&str, &str, &str)> {
    let (head, mask) = id.rsplit_once('-')?;
    let (zone, network) = head.split_once('-')?;
    Some((zone, network, mask))
}

/// Fields that the id says.
fn derive(id: &str, options: &Options, row: &mut Map<String, Value>) {
    let Some((zone, network, mask)) = parts(id) else { return };
    let ranges = options.get("dhcp-range").map(String::as_str).unwrap_or_default();
    let ranges = view::value(schema::endpoint("POST", ALL), "dhcp-range", ranges);
    let cidr = format!("{network}/{mask}");
    let fields =
        [("id", id), ("zone", zone), ("network", network), ("mask", mask), ("cidr", &cidr), ("subnet", id)];
    row.extend(fields.map(|(key, text)| (key.to_owned(), json!(text))));
    row.insert("dhcp-range".to_owned(), ranges);
    if let Some(changes) = row.get_mut("pending").and_then(Value::as_object_mut) {
        changes.remove("dhcp-range");
    }
}

/// Whether a network has subnets.
pub(super) fn any_of(state: &State, vnet: &str) -> bool {
    FILE.sections(state).values().any(|subnet| subnet.get("vnet").is_some_and(|name| name == vnet))
}

/// The zone of a subnet's network.
pub(super) fn zone<'a>(state: &'a State, subnet: &Options) -> Option<&'a String> {
    vnets::FILE.sections(state).get(subnet.get("vnet")?)?.get("zone")
}

fn list(request: &mut Request<'_>) -> Answer {
    let vnet = request.text("vnet");
    vnets::check_access(request, &vnet, &["SDN.Audit", "SDN.Allocate"])?;
    view::list(request, &FILE, derive, |_, subnet| subnet.get("vnet") == Some(&vnet))
}

fn read(request: &mut Request<'_>) -> Answer {
    vnets::check_access(request, &request.text("vnet"), &["SDN.Audit", "SDN.Allocate"])?;
    view::read(request, &FILE, &request.text("subnet"), derive)
}

fn set(request: &Request<'_>) -> Options {
    let mut set = FILE.set(request);
    set.remove("lock-token");
    set
}

/// Whether an address is in a network.
pub(crate) fn contains(network: &str, mask: &str, address: &str) -> bool {
    let number = |text: &str| match text.parse().ok()? {
        IpAddr::V4(address) => Some((u128::from(u32::from(address)), 32)),
        IpAddr::V6(address) => Some((u128::from(address), 128)),
    };
    let (Some((network, bits)), Some((address, other)), Ok(mask)) =
        (number(network), number(address), mask.parse::<u32>())
    else {
        return false;
    };
    let shift = bits - mask.min(bits);
    bits == other && (shift >= 128 || network >> shift == address >> shift)
}

/// Whether an address is in the network that a subnet's id names.
pub(super) fn has(id: &str, address: &str) -> bool {
    parts(id).is_some_and(|(_, network, mask)| contains(network, mask, address))
}

/// What a subnet's network and gateway have to be (`on_update_hook`).
fn check(request: &Request<'_>, prefix: &str, id: &str, subnet: &Options) -> Result<(), Failure> {
    let refuse = |name: &str, text: String| Err(Failure::nested(prefix, name, &text));
    let vnet = subnet.get("vnet").cloned().unwrap_or_default();
    match vnets::FILE.sections(request.state).get(&vnet) {
        None => return refuse("vnet", format!("{vnet} don't exist")),
        Some(options) if options.get("vlanaware").is_some_and(|value| value == "1") => {
            return refuse("vnet", "you can't add a subnet on a vlanaware vnet".to_owned());
        }
        Some(_) => {}
    }
    let Some((_, network, mask)) = parts(id) else { return Ok(()) };
    match subnet.get("gateway").filter(|gateway| !gateway.is_empty()) {
        Some(gateway) if mask != "32" && !contains(network, mask, gateway) => {
            refuse("gateway", format!("{gateway} is not in subnet {network}/{mask}"))
        }
        _ => Ok(()),
    }
}

fn create(request: &mut Request<'_>) -> Answer {
    let (vnet, prefix) = (request.text("vnet"), FILE.texts.create);
    vnets::check_access(request, &vnet, &["SDN.Allocate"])?;
    check_lock(request, prefix)?;
    let zone = vnets::FILE.sections(request.state).get(&vnet).and_then(|vnet| vnet.get("zone"));
    let zone = zone.filter(|zone| zones::FILE.sections(request.state).contains_key(*zone)).cloned();
    let id = format!("{}-{}", zone.unwrap_or_default(), request.text("subnet").replace('/', "-"));
    let mut subnet = set(request);
    subnet.insert("type".to_owned(), "subnet".to_owned());
    check_options(&TYPE, &subnet, true).map_err(|failure| FILE.prefixed(prefix, failure))?;
    FILE.check_new(request.state, &id)?;
    check(request, prefix, &id, &subnet)?;
    FILE.sections_mut(request.state).insert(id, subnet);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (id, prefix, set) = (request.text("subnet"), FILE.texts.update, set(request));
    vnets::check_access(request, &request.text("vnet"), &["SDN.Allocate"])?;
    check_lock(request, prefix)?;
    let sections = FILE.sections(request.state);
    let mut subnet = sections.get(&id).cloned().ok_or_else(|| FILE.missing(prefix, &id))?;
    request.check_digest(&digest(sections), MODIFIED).map_err(|failure| FILE.prefixed(prefix, failure))?;
    delete_options(&TYPE, &mut subnet, &set, request.get("delete").unwrap_or_default())
        .map_err(|failure| FILE.prefixed(prefix, failure))?;
    subnet.extend(set);
    check(request, prefix, &id, &subnet)?;
    FILE.sections_mut(request.state).insert(id, subnet);
    Ok(Value::Null)
}

/// A subnet that is not there is no error.
fn delete(request: &mut Request<'_>) -> Answer {
    vnets::check_access(request, &request.text("vnet"), &["SDN.Allocate"])?;
    check_lock(request, FILE.texts.delete)?;
    let id = request.text("subnet");
    FILE.sections_mut(request.state).remove(&id);
    Ok(Value::Null)
}
