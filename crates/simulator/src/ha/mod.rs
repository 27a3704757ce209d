//! High availability: resources, rules, what the manager makes of them, and how it tells (pve-ha-manager).

mod fencing;
mod manager;
mod resources;
mod rules;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::state::{Guest, GuestKind, State};

pub(crate) use manager::{restart, schedule, settle};
pub(crate) use resources::{ROUTES as RESOURCE_ROUTES, forget};
pub(crate) use rules::ROUTES as RULE_ROUTES;
pub(crate) use status::ROUTES as STATUS_ROUTES;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha", |_| {
        Ok(["status", "resources", "groups", "rules"].map(|name| json!({ "id": name })).into())
    }),
    ("GET", "/cluster/ha/groups", |_| no_groups("cannot index groups")),
    ("POST", "/cluster/ha/groups", |_| no_groups("cannot create group")),
    ("GET", "/cluster/ha/groups/{group}", |_| no_groups("cannot read group")),
    ("PUT", "/cluster/ha/groups/{group}", |_| no_groups("cannot update group")),
    ("DELETE", "/cluster/ha/groups/{group}", |_| no_groups("cannot delete group")),
];

/// Groups are gone since version 9.
fn no_groups(what: &str) -> Answer {
    Err(Failure::died(format!("{what}: ha groups have been migrated to rules")))
}

/// What the manager knows beside the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Manager {
    pub services: BTreeMap<String, Service>,
    /// When the next round is due, in milliseconds since the epoch; 0 if nothing is to be done.
    pub next_round: u64,
    /// A master is there since the first round that had something to do.
    pub has_master: bool,
    /// Nodes whose local manager has had something to do.
    pub active_nodes: BTreeSet<String>,
    /// Requests that the next round takes up.
    pub commands: Vec<(String, Command)>,
    /// How resources are handled while fencing is off.
    pub disarmed: Option<String>,
    /// What the local manager of a node did last for its services, by their `uid`.
    #[serde(default)]
    pub results: BTreeMap<String, BTreeMap<String, Done>>,
    /// Nodes whose local manager is silent, with the second since when.
    #[serde(default)]
    pub silent: BTreeMap<String, u64>,
    /// Nodes that do not answer, with the rounds since.
    #[serde(default)]
    pub lost: BTreeMap<String, u32>,
}

/// What a local manager tells about one command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    pub sid: String,
    pub state: ServiceState,
    /// 0 if it went well, 1 if it failed (PVE::HA::Tools).
    pub exit_code: u8,
}

/// A resource as the manager sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Service {
    pub state: ServiceState,
    pub node: String,
    pub target: Option<String>,
    pub running: bool,
    pub uid: String,
    /// How often it was started without success.
    pub failures: u32,
    /// Rounds that a shutdown has been waited for.
    #[serde(default)]
    pub waited: u32,
    /// Whether it is to be stopped without being shut down.
    #[serde(default)]
    pub at_once: bool,
}

/// The states of PVE::HA::Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServiceState {
    RequestStop,
    Stopped,
    Started,
    Migrate,
    Relocate,
    /// Its node is lost, and nobody knows yet whether it still runs there.
    Fence,
    /// It runs nowhere, and is looked a node for.
    Recovery,
    /// It could not be started; it has to be disabled first.
    Error,
}

impl ServiceState {
    fn name(self) -> &'static str {
        match self {
            ServiceState::RequestStop => "request_stop",
            ServiceState::Stopped => "stopped",
            ServiceState::Started => "started",
            ServiceState::Migrate => "migrate",
            ServiceState::Relocate => "relocate",
            ServiceState::Fence => "fence",
            ServiceState::Recovery => "recovery",
            ServiceState::Error => "error",
        }
    }
}

/// A request to the manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    Move {
        target: String,
        relocate: bool,
    },
    /// `at_once` without shutting it down: with a timeout of 0.
    Stop {
        at_once: bool,
    },
}

fn kind_of(guest: GuestKind) -> &'static str {
    match guest {
        GuestKind::Qemu => "vm",
        GuestKind::Lxc => "ct",
    }
}

/// The resource of a guest: `vm:100`.
fn sid_of(vmid: u32, guest: &Guest) -> String {
    format!("{}:{vmid}", kind_of(guest.kind))
}

/// The guest of a resource.
fn guest_of<'a>(state: &'a State, sid: &str) -> Option<(u32, &'a Guest)> {
    let (kind, vmid) = sid.split_once(':')?;
    let vmid = vmid.parse().ok()?;
    state.guests.get(&vmid).filter(|guest| kind_of(guest.kind) == kind).map(|guest| (vmid, guest))
}

/// Whether the manager looks after a guest; an ignored resource is none of its.
pub(crate) fn is_managed(state: &State, vmid: u32) -> bool {
    let Some(guest) = state.guests.get(&vmid) else { return false };
    let options = resources::FILE.sections(state).get(&sid_of(vmid, guest));
    options.is_some_and(|options| options.get("state").is_none_or(|wanted| wanted != "ignored"))
}

/// Whether a guest is a resource, ignored or not.
pub(crate) fn is_configured(state: &State, vmid: u32) -> bool {
    let Some(guest) = state.guests.get(&vmid) else { return false };
    resources::FILE.sections(state).contains_key(&sid_of(vmid, guest))
}

/// `ha` in the status of a guest.
pub(crate) fn guest_status(state: &State, vmid: u32) -> Value {
    if !is_managed(state, vmid) {
        return json!({ "managed": 0 });
    }
    let sid = state.guests.get(&vmid).map(|guest| sid_of(vmid, guest)).unwrap_or_default();
    let service = state.ha.services.get(&sid).map(|service| service.state.name());
    json!({ "managed": 1, "state": service })
}

/// `hastate` in the cluster's resources.
pub(crate) fn listed_state(state: &State, vmid: u32) -> Option<String> {
    let sid = sid_of(vmid, state.guests.get(&vmid)?);
    if let Some(service) = state.ha.services.get(&sid) {
        return Some(service.state.name().to_owned());
    }
    resources::FILE.sections(state).get(&sid)?.get("state").cloned()
}

/// Asks the manager to start a guest: the task sets the wanted state and ends.
pub(crate) fn request_start(request: &mut Request<'_>, vmid: u32) -> Answer {
    request_change(request, vmid, "start", |request, sid| {
        resources::want(request.state, sid, "started");
    })
}

/// Asks the manager to stop a guest.
pub(crate) fn request_stop(request: &mut Request<'_>, vmid: u32, at_once: bool) -> Answer {
    request_change(request, vmid, "stop", |request, sid| {
        request.state.ha.commands.push((sid.to_owned(), Command::Stop { at_once }));
    })
}

fn request_change(
    request: &mut Request<'_>,
    vmid: u32,
    what: &str,
    change: impl FnOnce(&mut Request<'_>, &str),
) -> Answer {
    let Some(guest) = request.state.guests.get(&vmid) else { return Ok(Value::Null) };
    let (sid, label) = (sid_of(vmid, guest), guest.kind.label());
    Ok(request.task(&format!("ha{what}"), &vmid.to_string(), |request, outcome: &mut Outcome| {
        outcome.say(format!("Requesting HA {what} for {label} {vmid}"));
        change(request, &sid);
        schedule(request.state, request.options, request.now);
        Ok(())
    }))
}

/// Asks the manager to move a guest.
pub(crate) fn request_migration(request: &mut Request<'_>, vmid: u32, target: String) -> Answer {
    let Some(guest) = request.state.guests.get(&vmid) else { return Ok(Value::Null) };
    let (sid, label) = (sid_of(vmid, guest), guest.kind.label());
    Ok(request.task("hamigrate", &vmid.to_string(), |request, outcome: &mut Outcome| {
        outcome.say(format!("Requesting HA migration for {label} {vmid} to node {target}"));
        request.state.ha.commands.push((sid, Command::Move { target, relocate: false }));
        schedule(request.state, request.options, request.now);
        Ok(())
    }))
}
