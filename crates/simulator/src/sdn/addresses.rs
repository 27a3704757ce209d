//! Addresses that Proxmox's own address manager has given out (PVE::Network::SDN::Ipams::PVEPlugin).

use serde_json::{Value, json};

use super::{subnets, zones};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::Sections;
use crate::state::Options;

const PATH: &str = "/cluster/sdn/vnets/{vnet}/ips";

pub(crate) const ROUTES: &[Route] =
    &[("POST", PATH, create), ("PUT", PATH, update), ("DELETE", PATH, delete)];

/// Its database: an address by `SUBNET ADDRESS`.
const FILE: &str = "sdn/pve-ipam-state.json";

fn addresses<'a>(request: &'a Request<'_>) -> &'a Sections {
    static NONE: Sections = Sections::new();
    request.state.sections.get(FILE).unwrap_or(&NONE)
}

/// The subnet of the network that has the address, if its zone's addresses are Proxmox's to give.
fn subnet(request: &Request<'_>) -> Option<String> {
    let (vnet, address) = (request.text("vnet"), request.text("ip"));
    let all = subnets::FILE.sections(request.state).iter();
    let mut own = all.filter(|(_, subnet)| subnet.get("vnet") == Some(&vnet));
    let (id, subnet) = own.find(|(id, _)| subnets::has(id, &address))?;
    let zone = zones::FILE.sections(request.state).get(subnets::zone(request.state, subnet)?)?;
    zone.get("ipam").is_some_and(|name| name == "pve").then(|| id.clone())
}

fn is_gateway(request: &Request<'_>, subnet: &str, address: &str) -> bool {
    let found = subnets::FILE.sections(request.state).get(subnet);
    found.and_then(|subnet| subnet.get("gateway")).is_some_and(|gateway| gateway == address)
}

fn add(request: &mut Request<'_>) -> Result<(), Failure> {
    let Some(subnet) = subnet(request) else { return Ok(()) };
    let (address, mac) = (request.text("ip"), request.text("mac"));
    let key = format!("{subnet} {address}");
    if addresses(request).contains_key(&key) || is_gateway(request, &subnet, &address) {
        return Err(Failure::died(format!("IP '{address}' already exist")));
    }
    let mut options = Options::from([("mac".to_owned(), mac)]);
    if let Some(vmid) = request.get("vmid") {
        options.insert("vmid".to_owned(), vmid.to_owned());
    }
    request.state.sections.entry(FILE.to_owned()).or_default().insert(key, options);
    Ok(())
}

fn create(request: &mut Request<'_>) -> Answer {
    add(request).map(|()| Value::Null)
}

/// The address of the card is replaced by another one of the same kind.
fn update(request: &mut Request<'_>) -> Answer {
    let Some(subnet) = subnet(request) else { return Ok(Value::Null) };
    let mac = request.text("mac");
    let before = addresses(request).clone();
    let mine = |key: &str, options: &Options| {
        key.starts_with(&format!("{subnet} ")) && options.get("mac") == Some(&mac)
    };
    let known = request.state.sections.entry(FILE.to_owned()).or_default();
    known.retain(|key, options| !mine(key, options));
    add(request).inspect_err(|_| {
        request.state.sections.insert(FILE.to_owned(), before);
    })?;
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let Some(subnet) = subnet(request) else { return Ok(Value::Null) };
    let address = request.text("ip");
    let known = request.state.sections.entry(FILE.to_owned()).or_default();
    match known.remove(&format!("{subnet} {address}")) {
        Some(_) => Ok(Value::Null),
        None => Err(Failure::died(format!("IP '{address}' does not exist in IPAM DB"))),
    }
}

/// The rows of the manager's status: gateways, and what guests were given.
pub(super) fn rows(request: &Request<'_>) -> Vec<Value> {
    let subnets = subnets::FILE.sections(request.state).iter();
    let mut rows = Vec::new();
    for (id, subnet) in subnets {
        let Some(zone) = subnets::zone(request.state, subnet) else { continue };
        let managed = zones::FILE.sections(request.state).get(zone).and_then(|zone| zone.get("ipam"));
        if managed.is_none_or(|name| name != "pve") {
            continue;
        }
        let row =
            |address: &str| json!({ "zone": zone, "subnet": id, "vnet": subnet.get("vnet"), "ip": address });
        if let Some(gateway) = subnet.get("gateway") {
            let mut row = row(gateway);
            row["gateway"] = json!(1);
            rows.push(row);
        }
        for (key, options) in addresses(request) {
            let Some(address) = key.strip_prefix(&format!("{id} ")) else { continue };
            let mut row = row(address);
            for (name, text) in options {
                row[name] = json!(text);
            }
            rows.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::calls::Calls;

    #[test]
    fn an_address_is_given_once_and_shown_in_the_status() {
        let root = Calls::new();
        root.ok("POST", "/cluster/sdn/zones", &[("zone", "z1"), ("type", "simple"), ("ipam", "pve")]);
        root.ok("POST", "/cluster/sdn/vnets", &[("vnet", "v1"), ("zone", "z1")]);
        let subnet = [("subnet", "10.1.0.0/24"), ("type", "subnet"), ("gateway", "10.1.0.1")];
        root.ok("POST", "/cluster/sdn/vnets/v1/subnets", &subnet);
        let path = "/cluster/sdn/vnets/v1/ips";
        let mine = [("zone", "z1"), ("ip", "10.1.0.5"), ("mac", "BC:24:11:00:00:01")];
        root.ok("POST", path, &mine);
        assert_eq!(root.refused("POST", path, &mine), "500 IP '10.1.0.5' already exist");
        let moved = [("zone", "z1"), ("ip", "10.1.0.6"), ("mac", "BC:24:11:00:00:01"), ("vmid", "100")];
        root.ok("PUT", path, &moved);
        let status = root.get("/cluster/sdn/ipams/pve/status");
        let seen: Vec<_> = status.as_array().unwrap().iter().map(|row| row["ip"].clone()).collect();
        assert_eq!(seen, [json!("10.1.0.1"), json!("10.1.0.6")]);
        root.ok("DELETE", path, &moved[..3]);
        let gone = root.refused("DELETE", path, &moved[..3]);
        assert_eq!(gone, "500 IP '10.1.0.6' does not exist in IPAM DB");
    }
}
