//! What the managers tell about themselves (PVE::API2::HA::Status).

use serde_json::{Map, Value, json};

use super::{Service, ServiceState, fencing, resources};
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::state::Options;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/status", |_| {
        let names = ["current", "manager_status", "disarm-ha", "arm-ha"];
        Ok(names.map(|name| json!({ "name": name })).into())
    }),
    ("GET", "/cluster/ha/status/current", current),
    ("GET", "/cluster/ha/status/manager_status", manager_status),
    ("POST", "/cluster/ha/status/disarm-ha", |request| {
        request.state.ha.disarmed = Some(request.text("resource-mode"));
        Ok(Value::Null)
    }),
    ("POST", "/cluster/ha/status/arm-ha", |request| {
        request.state.ha.disarmed = None;
        Ok(Value::Null)
    }),
];

/// A moment as `localtime` of Perl prints it.
fn local_time(seconds: u64) -> String {
    let clock = crate::tasks::clock(seconds);
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = clock[5..7].parse::<usize>().unwrap_or(1);
    let day = clock[8..10].parse::<u32>().unwrap_or(1);
    let weekday = days[(seconds / 86_400 % 7) as usize];
    format!("{weekday} {} {day:2} {} {}", months[month - 1], &clock[11..], &clock[..4])
}

/// The node of the master: any of them may be, here it is the second, so that nobody takes the one that answers for it.
fn master<'a>(request: &'a Request<'_>) -> &'a str {
    let up = |node: &&String| !request.state.down.contains_key(*node);
    request.options.other_nodes.iter().find(up).unwrap_or(&request.options.node)
}

/// When a node's manager was heard last.
fn heard(request: &Request<'_>, node: &str) -> u64 {
    let lost = request.state.down.get(node).map(|since| since / 1000);
    lost.or(request.state.ha.silent.get(node).copied()).unwrap_or(request.seconds())
}

fn is_active(request: &Request<'_>, node: &String) -> bool {
    request.state.ha.active_nodes.contains(node)
}

fn current(request: &mut Request<'_>) -> Answer {
    let node = &request.options.node;
    let (now, ha) = (request.seconds(), &request.state.ha);
    let mut rows =
        vec![json!({ "id": "quorum", "type": "quorum", "node": node, "status": "OK", "quorate": 1 })];
    let mut fencing = json!({ "id": "fencing", "type": "fencing", "node": node });
    if ha.has_master {
        let master = master(request);
        let disarm = ha.disarmed.as_ref().map(|mode| format!(" - disarmed, resource mode: {mode}"));
        let crs = request.state.cluster_options.get("crs").map(String::as_str).unwrap_or_default();
        let crs = crs.split(',').find_map(|part| part.strip_prefix("ha=")).filter(|mode| *mode != "basic");
        let crs = crs.map(|mode| format!(" - {mode} load CRS")).unwrap_or_default();
        let text = format!("{master} (active, {}){}{crs}", local_time(now), disarm.unwrap_or_default());
        rows.push(
            json!({ "id": "master", "type": "master", "node": master, "status": text, "timestamp": now }),
        );
        fencing["node"] = json!(master);
    }
    let (state, text) = match &ha.disarmed {
        Some(mode) => {
            fencing["resource_mode"] = json!(mode);
            ("disarmed", format!("disarmed, resource mode: {mode} (CRM watchdog released)"))
        }
        None if ha.has_master => ("armed", "armed (CRM watchdog active)".to_owned()),
        None => ("standby", "standby (CRM watchdog standby)".to_owned()),
    };
    fencing["armed-state"] = json!(state);
    fencing["status"] = json!(text);
    rows.push(fencing);
    for node in request.options.nodes().filter(|_| ha.has_master) {
        let expects = ha.services.values().any(|service| service.target.as_ref() == Some(node));
        let heard = heard(request, node);
        let text = match (is_active(request, node), expects) {
            _ if now - heard > 30 => "old timestamp - dead?, watchdog standby",
            (true, _) => "active, watchdog active",
            (false, true) => "wait_for_agent_lock, watchdog standby",
            (false, false) => "idle, watchdog standby",
        };
        let text = format!("{node} ({text}, {})", local_time(heard));
        rows.push(json!({ "id": format!("lrm:{node}"), "type": "lrm", "node": node, "status": text, "timestamp": heard }));
    }
    let configured = resources::FILE.sections(request.state);
    let gone = ha.services.iter().filter(|(sid, _)| !configured.contains_key(*sid));
    rows.extend(gone.map(|(sid, service)| row(request, sid, Some(service), None)));
    rows.extend(
        configured.iter().map(|(sid, options)| row(request, sid, ha.services.get(sid), Some(options))),
    );
    Ok(Value::Array(rows))
}

/// The state in words (PVE::HA::Tools, `get_verbose_service_state`).
fn verbose(service: Option<&Service>, options: Option<&Options>, exists: bool) -> &'static str {
    let Some(options) = options else { return "deleting" };
    let wanted = resources::wanted(options);
    match service {
        _ if wanted == "ignored" => "ignored",
        _ if !exists => "not found",
        None => "queued",
        Some(service) => match service.state {
            ServiceState::Stopped if wanted == "started" => "starting",
            ServiceState::Stopped if wanted == "disabled" => "disabled",
            ServiceState::Error if wanted == "disabled" => "clearing error flag",
            ServiceState::Started if !service.running => "starting",
            ServiceState::Started if wanted != "started" => "stopping",
            state => state.name(),
        },
    }
}

fn row(request: &Request<'_>, sid: &str, service: Option<&Service>, options: Option<&Options>) -> Value {
    let place = resources::node_of(request.state, sid);
    let state = verbose(service, options, place.is_some());
    let node = service.map(|service| service.node.clone()).or(place);
    let mut row = json!({ "id": format!("service:{sid}"), "type": "service", "sid": sid, "state": state });
    row["status"] = json!(format!("{sid} ({}, {state})", node.as_deref().unwrap_or("---")));
    if let Some(node) = node {
        row["node"] = json!(node);
    }
    if let Some(service) = service {
        row["crm_state"] = json!(service.state.name());
    }
    if let Some(options) = options {
        let number = |key: &str| options.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
        row["request_state"] = json!(resources::wanted(options));
        for key in ["max_restart", "max_relocate", "failback"] {
            row[key] = json!(number(key));
        }
        if let Some(comment) = options.get("comment") {
            row["comment"] = json!(comment);
        }
    }
    row
}

fn manager_status(request: &mut Request<'_>) -> Answer {
    let quorum = json!({ "node": request.options.node, "quorate": "1" });
    let ha = &request.state.ha;
    if !ha.has_master {
        return Ok(json!({ "manager_status": { "node_status": {} }, "quorum": quorum }));
    }
    let services: Map<String, Value> = ha
        .services
        .iter()
        .map(|(sid, service)| {
            let mut row = json!({ "state": service.state.name(), "node": service.node, "uid": service.uid });
            if service.running {
                row["running"] = json!(1);
            }
            if let Some(target) = &service.target {
                row["target"] = json!(target);
            }
            (sid.clone(), row)
        })
        .collect();
    let nodes: Map<String, Value> = request
        .options
        .nodes()
        .map(|node| (node.clone(), json!(fencing::node_state(request.state, node))))
        .collect();
    let local = |node: &String| {
        let state = if is_active(request, node) { "active" } else { "wait_for_agent_lock" };
        let heard = heard(request, node);
        let results = ha.results.get(node).into_iter().flatten();
        let results: Map<String, Value> = results
            .map(|(uid, done)| {
                let row = json!({ "sid": done.sid, "state": done.state.name(), "exit_code": done.exit_code });
                (uid.clone(), row)
            })
            .collect();
        json!({ "mode": "active", "state": state, "timestamp": heard, "results": results })
    };
    let locals: Map<String, Value> =
        request.options.nodes().map(|node| (node.clone(), local(node))).collect();
    Ok(json!({
        "manager_status": {
            "master_node": master(request), "node_status": nodes, "service_status": services,
            "timestamp": request.seconds(),
        },
        "lrm_status": locals, "quorum": quorum,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_printed_as_perl_does() {
        assert_eq!(local_time(1_795_440_807), "Mon Nov 23 13:33:27 2026");
        assert_eq!(local_time(0), "Thu Jan  1 00:00:00 1970");
    }
}
