//! The rounds of the cluster's and the nodes' managers (PVE::HA::Manager, PVE::HA::LRM). In each, what was begun in the
//! round before has happened, and the next step of every resource is taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{Command, Done, Service, ServiceState, fencing, guest_of, resources, rules};
use crate::options::Options as Settings;
use crate::request::{Identity, Request};
use crate::state::{GuestKind, Options, State};
use crate::{lxc, qemu};

/// Lets the next round come one cycle from now, after something was asked for.
pub(crate) fn schedule(state: &mut State, settings: &Settings, now: u64) {
    state.ha.next_round = now + settings.ha_cycle.as_millis() as u64;
}

/// Nothing runs on a node that has just come back: what should is started again.
pub(crate) fn restart(state: &mut State, node: &str) {
    for service in state.ha.services.values_mut().filter(|service| service.node == node) {
        if matches!(service.state, ServiceState::Started | ServiceState::Fence | ServiceState::Recovery) {
            service.state = ServiceState::Stopped;
            service.running = false;
        }
    }
}

/// Rounds that are made up for at once, after nobody asked for a long time.
const MADE_UP: u32 = 50;

/// Runs the rounds whose time has come. Where nothing is left to do, no further ones come.
pub(crate) fn settle(state: &mut State, settings: &Settings, now: u64) {
    for _ in 0..MADE_UP {
        if state.ha.next_round == 0 || state.ha.next_round > now {
            return;
        }
        let at = state.ha.next_round;
        crate::tasks::settle(state, at);
        let busy = round(state, settings, at);
        state.ha.next_round = if busy { at + (settings.ha_cycle.as_millis() as u64).max(1) } else { 0 };
    }
}

/// Rounds that a guest has to shut down before it is stopped: 60 s, where a round comes every 10 s.
const SHUTDOWN_ROUNDS: u32 = 6;

fn new_uid() -> String {
    STANDARD_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes())
}

/// Keeps a service; what is in another state is another job for the node's manager.
fn store(state: &mut State, sid: &str, mut next: Service) {
    let before = state.ha.services.get(sid);
    if before.is_none_or(|before| before.state != next.state) {
        next.uid = new_uid();
        next.waited = 0;
        next.at_once &= next.state == ServiceState::RequestStop;
    }
    state.ha.services.insert(sid.to_owned(), next);
}

/// Writes down how the job of a service ended; jobs of services that have another one now are forgotten.
fn record(state: &mut State, sid: &str, service: &Service, exit_code: u8) {
    let valid: Vec<String> = state.ha.services.values().map(|service| service.uid.clone()).collect();
    let results = state.ha.results.entry(service.node.clone()).or_default();
    let done = Done { sid: sid.to_owned(), state: service.state, exit_code };
    results.insert(service.uid.clone(), done);
    results.retain(|uid, _| valid.contains(uid));
}

/// One round; false if nothing changed and nothing is under way.
fn round(state: &mut State, settings: &Settings, now: u64) -> bool {
    state.ha.has_master = true;
    state.ha_nodes = settings.nodes().count();
    let configured = resources::FILE.sections(state).clone();
    let managed =
        |sid: &String| configured.get(sid).is_some_and(|options| resources::wanted(options) != "ignored");
    let before = state.ha.services.len();
    state.ha.services.retain(|sid, _| managed(sid));
    let mut changed = state.ha.services.len() != before;
    let (steps, waits) = fencing::step(state, settings);
    changed |= waits;
    let mut done = finish_steps(state, settings, now);
    for (sid, service) in steps {
        let node = service.node.clone();
        let moved = state.ha.services.get(&sid).is_some_and(|before| before.node != node);
        let starts = service.state == ServiceState::Started;
        store(state, &sid, service);
        if moved {
            fencing::take_over(state, &sid, &node);
        }
        if moved && starts {
            start_guest(state, settings, now, &sid);
        }
        done.push(sid);
    }
    changed |= !done.is_empty();
    let mut fresh = Vec::new();
    for (sid, options) in configured.iter().filter(|(sid, _)| managed(sid)) {
        let Some(node) = resources::node_of(state, sid) else { continue };
        if state.ha.services.contains_key(sid) {
            continue;
        }
        state.ha.active_nodes.insert(node.clone());
        let service = Service {
            state: if resources::wanted(options) == "started" {
                ServiceState::Stopped
            } else {
                ServiceState::RequestStop
            },
            node,
            target: None,
            running: false,
            uid: new_uid(),
            failures: 0,
            waited: 0,
            at_once: false,
        };
        if service.state == ServiceState::RequestStop {
            fresh.push(sid.clone());
        }
        state.ha.services.insert(sid.clone(), service);
        changed = true;
    }
    for sid in &fresh {
        stop_guest(state, settings, now, sid);
    }
    done.extend(fresh);
    let sids: Vec<String> = state.ha.services.keys().filter(|sid| !done.contains(sid)).cloned().collect();
    for (sid, command) in std::mem::take(&mut state.ha.commands) {
        obey(state, settings, &sid, command);
    }
    for sid in sids {
        changed |= decide(state, settings, now, &sid);
    }
    changed
}

fn wanted(state: &State, sid: &str) -> String {
    resources::FILE.sections(state).get(sid).map_or("stopped", resources::wanted).to_owned()
}

/// What was begun in the round before has happened.
fn finish_steps(state: &mut State, settings: &Settings, now: u64) -> Vec<String> {
    let mut done = Vec::new();
    let mut services = state.ha.services.clone();
    services.retain(|_, service| !state.down.contains_key(&service.node));
    for (sid, service) in services {
        let running = guest_of(state, &sid).is_some_and(|(_, guest)| guest.running);
        let starts = wanted(state, &sid) == "started";
        let target = service.target.clone();
        let next = match service.state {
            ServiceState::RequestStop if !running => {
                Service { state: ServiceState::Stopped, ..service.clone() }
            }
            ServiceState::Started if !service.running && running => {
                Service { running: true, failures: 0, ..service.clone() }
            }
            ServiceState::Migrate | ServiceState::Relocate => {
                let live = running && service.state == ServiceState::Migrate;
                let stays = live && !settings.live_migration;
                let reached = target.clone().filter(|_| !stays);
                let node = reached.unwrap_or_else(|| service.node.clone());
                let state = if starts { ServiceState::Started } else { ServiceState::RequestStop };
                Service { state, node, target: None, running: false, ..service.clone() }
            }
            _ => continue,
        };
        let moved = matches!(service.state, ServiceState::Migrate | ServiceState::Relocate);
        let node = next.node.clone();
        record(state, &sid, &service, u8::from(moved && node == service.node));
        store(state, &sid, next);
        if moved {
            // The target's manager has taken its lock, whatever came of it.
            state.ha.active_nodes.extend(target);
            if let Some((vmid, _)) = guest_of(state, &sid)
                && let Some(guest) = state.guests.get_mut(&vmid)
            {
                guest.node = node;
            }
            if starts {
                start_guest(state, settings, now, &sid);
            }
        }
        done.push(sid);
    }
    done
}

/// Takes up a request.
fn obey(state: &mut State, settings: &Settings, sid: &str, command: Command) {
    match command {
        Command::Stop { at_once } => {
            // One that is not known yet is no service, and one that is to be stopped needs no request.
            let starts = wanted(state, sid) == "started";
            let Some(service) = state.ha.services.get_mut(sid).filter(|_| starts) else { return };
            if service.state == ServiceState::Started {
                service.at_once = at_once;
                resources::want(state, sid, "stopped");
            } else {
                state.ha.commands.push((sid.to_owned(), command));
            }
        }
        Command::Move { target, relocate } => {
            let known = settings.nodes().any(|node| *node == target) && !state.down.contains_key(&target);
            let (together, blocking) = resources::motion(state, sid, &target);
            if !known || !blocking.is_empty() || !rules::allowed(state, sid, &target) {
                return;
            }
            // Those that have to be on the same node move along.
            for sid in together.iter().map(String::as_str).chain([sid]) {
                let Some(service) = state.ha.services.get_mut(sid) else { continue };
                let at_rest = matches!(service.state, ServiceState::Started | ServiceState::Stopped);
                if at_rest && service.node != target {
                    service.state = if relocate { ServiceState::Relocate } else { ServiceState::Migrate };
                    service.target = Some(target.clone());
                }
            }
        }
    }
}

/// Where a resource should be: where it is, unless a rule says otherwise.
fn node_for(state: &State, settings: &Settings, sid: &str, service: &Service) -> String {
    let located = |sid: &String| state.ha.services.get(sid).map(|service| &service.node);
    if let Some(node) = rules::companions(state, sid, "positive").iter().find_map(located) {
        return node.clone();
    }
    let apart = rules::companions(state, sid, "negative");
    let taken: Vec<&String> = apart.iter().filter_map(located).collect();
    let (best, strict) = rules::preferred(state, sid).unwrap_or_default();
    let online = |node: &&String| settings.nodes().any(|known| known == *node);
    let fits = |node: &&String| !taken.contains(node) && !state.down.contains_key(*node);
    if best.is_empty() {
        return if fits(&&service.node) {
            service.node.clone()
        } else {
            settings.nodes().find(fits).unwrap_or(&service.node).clone()
        };
    }
    if best.contains(&service.node) && fits(&&service.node) {
        return service.node.clone();
    }
    let found = best.iter().filter(online).find(fits);
    match found {
        Some(node) => node.clone(),
        None if strict => service.node.clone(),
        None => settings.nodes().find(fits).unwrap_or(&service.node).clone(),
    }
}

/// The next step of a resource; false if it has none.
fn decide(state: &mut State, settings: &Settings, now: u64, sid: &str) -> bool {
    let Some(service) = state.ha.services.get(sid).cloned() else { return false };
    if state.down.contains_key(&service.node) {
        return false;
    }
    let failures = service.failures;
    let running = guest_of(state, sid).is_some_and(|(_, guest)| guest.running);
    let starts = wanted(state, sid) == "started";
    let options = resources::FILE.sections(state).get(sid).cloned().unwrap_or_default();
    let fails_back = options.get("failback").is_none_or(|value| value != "0");
    let next = match service.state {
        ServiceState::Started if !starts => {
            Service { state: ServiceState::RequestStop, running: false, ..service }
        }
        ServiceState::Started | ServiceState::Stopped if starts => {
            let node = node_for(state, settings, sid, &service);
            let moves = node != service.node && (service.state == ServiceState::Stopped || fails_back);
            if moves {
                Service { state: ServiceState::Migrate, target: Some(node), ..service }
            } else if service.state == ServiceState::Stopped {
                Service { state: ServiceState::Started, running: false, ..service }
            } else if service.running && running {
                return false;
            } else if service.running {
                // It ended without being asked to, or by a reboot: its node's manager starts it again.
                Service { running: false, ..service }
            } else {
                failed_start(&options, service)
            }
        }
        ServiceState::Error if wanted(state, sid) == "disabled" => {
            Service { state: ServiceState::RequestStop, failures: 0, ..service }
        }
        ServiceState::Error | ServiceState::Fence | ServiceState::Recovery => return false,
        ServiceState::Stopped => return false,
        ServiceState::RequestStop if service.waited < SHUTDOWN_ROUNDS => {
            Service { waited: service.waited + 1, ..service }
        }
        // Under way since the last round or this one.
        _ => return true,
    };
    let step = next.state;
    if step == ServiceState::Error || next.failures > failures {
        record(state, sid, &next, 1);
    }
    store(state, sid, next);
    match step {
        ServiceState::Started => start_guest(state, settings, now, sid),
        ServiceState::RequestStop => stop_guest(state, settings, now, sid),
        _ => {}
    }
    true
}

/// It is started again as often as the resource says.
fn failed_start(options: &Options, service: Service) -> Service {
    let limit = options.get("max_restart").and_then(|text| text.parse().ok()).unwrap_or(1);
    let again = service.failures < limit;
    let state = if again { ServiceState::Started } else { ServiceState::Error };
    Service { state, failures: service.failures + 1, ..service }
}

/// Runs a task of the node's manager, as root.
fn act(
    state: &mut State,
    settings: &Settings,
    now: u64,
    sid: &str,
    action: fn(&mut Request<'_>, u32, GuestKind),
) {
    let Some((vmid, guest)) = guest_of(state, sid) else { return };
    let (kind, node) = (guest.kind, guest.node.clone());
    if state.ha.silent.contains_key(&node) || state.down.contains_key(&node) {
        return;
    }
    let identity = Identity { user: "root@pam".to_owned(), token: None };
    let mut request = Request::new(state, settings, &identity, now);
    request.node = node;
    request.parameters.insert("vmid".to_owned(), vmid.to_string());
    action(&mut request, vmid, kind);
}

fn start_guest(state: &mut State, settings: &Settings, now: u64, sid: &str) {
    if guest_of(state, sid).is_some_and(|(_, guest)| guest.running) {
        return;
    }
    act(state, settings, now, sid, |request, vmid, kind| {
        match kind {
            GuestKind::Qemu => qemu::start_task(request, vmid),
            GuestKind::Lxc => lxc::start_task(request, vmid),
        };
    });
}

fn stop_guest(state: &mut State, settings: &Settings, now: u64, sid: &str) {
    if !guest_of(state, sid).is_some_and(|(_, guest)| guest.running) {
        return;
    }
    let service = state.ha.services.get(sid);
    if service.is_some_and(|service| service.at_once) {
        act(state, settings, now, sid, |request, _, kind| {
            let _ = match kind {
                GuestKind::Qemu => qemu::stop_task(request),
                GuestKind::Lxc => lxc::stop_task(request),
            };
        });
        return;
    }
    let waits = |service: &Service| !settings.guests_obey && service.waited < SHUTDOWN_ROUNDS;
    if service.is_some_and(waits) {
        return;
    }
    act(state, settings, now, sid, |request, _, kind| {
        request.parameters.insert("forceStop".to_owned(), "1".to_owned());
        // A refusal is the task's; the resource is asked to stop again in the next round.
        let _ = match kind {
            GuestKind::Qemu => qemu::shutdown_task(request),
            GuestKind::Lxc => lxc::shutdown_task(request),
        };
    });
}
