//! Software-defined networks: what is configured, what runs, and how the one becomes the other (pve-network).

mod addresses;
mod apply;
mod fabrics;
mod nodes;
mod others;
mod subnets;
mod view;
mod vnets;
mod zones;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::failure::Failure;
use crate::request::Request;
use crate::router::Route;
use crate::sections::Sections;
use crate::state::State;

pub(crate) use addresses::ROUTES as ADDRESS_ROUTES;
pub(crate) use apply::ROUTES as APPLY_ROUTES;
pub(crate) use fabrics::ROUTES as FABRIC_ROUTES;
pub(crate) use nodes::{ROUTES as NODE_ROUTES, has_bridge, interfaces, resources};
pub(crate) use others::ROUTES as OTHER_ROUTES;
pub(crate) use subnets::ROUTES as SUBNET_ROUTES;
pub(crate) use vnets::ROUTES as VNET_ROUTES;
pub(crate) use zones::ROUTES as ZONE_ROUTES;

pub(crate) const ROUTES: &[Route] = &[("GET", "/cluster/sdn", |_| {
    let names = ["vnets", "zones", "controllers", "ipams", "dns", "fabrics"];
    Ok(names.map(|name| json!({ "id": name })).into())
})];

/// Files whose content has to be applied before it runs.
const APPLIED: [&str; 6] = [
    zones::FILE.name,
    vnets::FILE.name,
    subnets::FILE.name,
    others::CONTROLLERS.name,
    fabrics::FABRICS.name,
    fabrics::NODES.name,
];

/// What runs, and who may change what does not yet.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sdn {
    /// Sections by file as they were applied last.
    pub running: BTreeMap<String, Sections>,
    /// The token that changes have to come with.
    pub lock: Option<String>,
}

fn running<'a>(state: &'a State, file: &str) -> &'a Sections {
    static NONE: Sections = Sections::new();
    state.sdn.running.get(file).unwrap_or(&NONE)
}

/// Refuses who may not see or change the network of the path.
pub(crate) fn check_vnet(request: &Request<'_>, privileges: &[&str]) -> Result<(), Failure> {
    let vnet = request.text("vnet");
    if !vnets::FILE.sections(request.state).contains_key(&vnet) {
        return Err(Failure::died(
            "invalid vnet specified at /usr/share/perl5/PVE/API2/Firewall/Helpers.pm line 54.",
        ));
    }
    vnets::check_access(request, &vnet, privileges)
}

/// The zone of a bridge as permissions name it.
pub(crate) fn zone_of<'a>(state: &'a State, bridge: &str) -> &'a str {
    let vnet = vnets::FILE.sections(state).get(bridge).or(running(state, vnets::FILE.name).get(bridge));
    vnet.and_then(|vnet| vnet.get("zone")).map_or("localnetwork", String::as_str)
}
