//! Nodes that are lost: their services are fenced and recovered elsewhere (PVE::HA::NodeStatus, PVE::HA::Manager).

use super::{Service, ServiceState, guest_of, resources, rules};
use crate::options::Options as Settings;
use crate::state::State;

/// Rounds until a node that does not answer is fenced: 60 s, where a round comes every 10 s.
const FENCED_AFTER: u32 = 6;
/// Rounds until its lock has run out, so that it is certain that nothing runs on it: 120 s more.
const GONE_AFTER: u32 = 18;

/// How the manager calls the state of a node.
pub(super) fn node_state(state: &State, node: &str) -> &'static str {
    match state.ha.lost.get(node) {
        None if state.down.contains_key(node) => "unknown",
        None => "online",
        Some(rounds) if (FENCED_AFTER..GONE_AFTER).contains(rounds) && has_services(state, node) => "fence",
        Some(_) => "unknown",
    }
}

fn has_services(state: &State, node: &str) -> bool {
    state.ha.services.values().any(|service| service.node == node)
}

/// Counts the rounds of lost nodes and takes the step of their services; the services that took one, and whether more
/// are to come.
pub(super) fn step(state: &mut State, settings: &Settings) -> (Vec<(String, Service)>, bool) {
    let down: Vec<String> = state.down.keys().cloned().collect();
    state.ha.lost.retain(|node, _| down.contains(node));
    let mut waits = false;
    let mut steps = Vec::new();
    for node in down {
        let rounds = state.ha.lost.entry(node.clone()).or_default();
        *rounds += 1;
        let rounds = *rounds;
        for (sid, service) in state.ha.services.iter().filter(|(_, service)| service.node == node) {
            waits = true;
            let next = match service.state {
                _ if rounds < FENCED_AFTER => continue,
                ServiceState::Recovery => recovered(state, settings, sid),
                ServiceState::Fence if rounds >= GONE_AFTER => Some(ServiceState::Recovery),
                ServiceState::Fence => None,
                _ => Some(ServiceState::Fence),
            }
            .map(|next| Service { state: next, running: false, target: None, ..service.clone() });
            steps.extend(next.map(|next| (sid.clone(), next)));
        }
    }
    for (sid, service) in &mut steps {
        if !matches!(service.state, ServiceState::Fence | ServiceState::Recovery)
            && let Some(node) = haven(state, settings, sid)
        {
            service.node = node;
        }
    }
    (steps, waits)
}

fn recovered(state: &State, settings: &Settings, sid: &str) -> Option<ServiceState> {
    haven(state, settings, sid)?;
    let wanted = resources::FILE.sections(state).get(sid).map_or("stopped", resources::wanted);
    Some(if wanted == "started" { ServiceState::Started } else { ServiceState::RequestStop })
}

/// Where a service is recovered: the best node that is up and that the rules allow.
fn haven(state: &State, settings: &Settings, sid: &str) -> Option<String> {
    let apart = rules::companions(state, sid, "negative");
    let taken = |node: &String| {
        apart.iter().any(|other| state.ha.services.get(other).is_some_and(|service| service.node == *node))
    };
    let fits =
        |node: &&String| !state.down.contains_key(*node) && rules::allowed(state, sid, node) && !taken(node);
    let best = rules::preferred(state, sid).map(|(best, _)| best).unwrap_or_default();
    best.iter().find(fits).or_else(|| settings.nodes().find(fits)).cloned()
}

/// Moves the guest of a recovered service.
pub(super) fn take_over(state: &mut State, sid: &str, node: &str) {
    let Some((vmid, _)) = guest_of(state, sid) else { return };
    if let Some(guest) = state.guests.get_mut(&vmid) {
        node.clone_into(&mut guest.node);
        guest.running = false;
    }
    state.ha.active_nodes.insert(node.to_owned());
}
