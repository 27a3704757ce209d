//! Applying, rolling back and locking (PVE::API2::Network::SDN).

use serde_json::{Value, json};

use super::view::check_lock;
use super::{APPLIED, running};
use crate::failure::Failure;
use crate::request::{Answer, Identity, Outcome, Request};
use crate::router::Route;
use crate::sections::Sections;
use crate::state::State;

pub(crate) const ROUTES: &[Route] = &[
    ("PUT", "/cluster/sdn", apply),
    ("POST", "/cluster/sdn/lock", lock),
    ("DELETE", "/cluster/sdn/lock", unlock),
    ("POST", "/cluster/sdn/rollback", roll_back),
    ("GET", "/cluster/sdn/dry-run", |_| Ok(json!({ "frr-diff": "", "interfaces-diff": "" }))),
];

fn configured<'a>(state: &'a State, file: &str) -> &'a Sections {
    static NONE: Sections = Sections::new();
    state.sections.get(file).unwrap_or(&NONE)
}

/// Lets run what is configured. Every node reloads its network in a task of its own.
fn apply(request: &mut Request<'_>) -> Answer {
    check_lock(request, "could not commit SDN config: ")?;
    for file in APPLIED {
        let sections = configured(request.state, file).clone();
        request.state.sdn.running.insert(file.to_owned(), sections);
    }
    release(request);
    let mut nodes: Vec<String> = request.options.nodes().cloned().collect();
    nodes.reverse();
    let mut outcome = Outcome::default();
    nodes.iter().for_each(|node| outcome.say(format!("{node}: reloading network config")));
    let upid = request.submit("reloadnetworkall", "", outcome);
    let root = Identity { user: "root@pam".to_owned(), token: None };
    for node in nodes {
        let mut own = Request::new(request.state, request.options, &root, request.now);
        own.node = node;
        own.submit("srvreload", "networking", Outcome::default());
    }
    Ok(upid)
}

fn release(request: &mut Request<'_>) {
    if request.get("lock-token").is_some() && request.get("release-lock") != Some("0") {
        request.state.sdn.lock = None;
    }
}

fn has_changes(state: &State) -> bool {
    APPLIED.iter().any(|file| configured(state, file) != running(state, file))
}

fn lock(request: &mut Request<'_>) -> Answer {
    let prefix = "could not acquire lock for SDN config: ";
    check_lock(request, prefix)?;
    if has_changes(request.state) && !request.flag("allow-pending") {
        let at = "at /usr/share/perl5/PVE/API2/Network/SDN.pm line 155.";
        return Err(Failure::died(format!("{prefix}configuration has pending changes {at}")));
    }
    let token = uuid::Uuid::new_v4().to_string();
    request.state.sdn.lock = Some(token.clone());
    Ok(json!(token))
}

fn unlock(request: &mut Request<'_>) -> Answer {
    if !request.flag("force") {
        check_lock(request, "could not release lock: ")?;
    }
    request.state.sdn.lock = None;
    Ok(Value::Null)
}

fn roll_back(request: &mut Request<'_>) -> Answer {
    check_lock(request, "could not rollback SDN configuration: ")?;
    for file in APPLIED {
        let sections = running(request.state, file).clone();
        request.state.sections.insert(file.to_owned(), sections);
    }
    if request.flag("release-lock") {
        request.state.sdn.lock = None;
    }
    Ok(Value::Null)
}
