//! One call for many guests of the cluster (PVE::API2::Cluster::BulkAction). The task of the call starts one for every
//! guest. Those of a node are in [`crate::bulk`].

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::{self, Route};
use crate::schema::formats::split_list;
use crate::state::{GuestKind, Options};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/bulk-action", |_| Ok(json!([{ "name": "guest" }]))),
    ("GET", "/cluster/bulk-action/guest", |_| {
        Ok(["start", "shutdown", "migrate", "suspend"].map(|name| json!({ "name": name })).into())
    }),
    ("POST", "/cluster/bulk-action/guest/start", |request| in_cluster(request, "bulk-start", "start")),
    ("POST", "/cluster/bulk-action/guest/shutdown", |request| {
        in_cluster(request, "bulk-shutdown", "shutdown")
    }),
    ("POST", "/cluster/bulk-action/guest/suspend", |request| in_cluster(request, "bulk-suspend", "suspend")),
    ("POST", "/cluster/bulk-action/guest/migrate", |request| in_cluster(request, "bulk-migrate", "migrate")),
];

/// Calls another endpoint as the one who asks, past the checks that only a request from outside needs.
///
/// # Errors
/// Those of the endpoint, and that there is none.
pub(crate) fn call(request: &mut Request<'_>, method: &str, path: &str, arguments: Options) -> Answer {
    let found = router::find(method, path)
        .ok_or_else(|| Failure::died(format!("no handler for '{}'", path.trim_start_matches('/'))))?;
    let mut inner = Request::new(request.state, request.options, request.identity, request.now);
    inner.node = found.parameters.get("node").cloned().unwrap_or_else(|| inner.node.clone());
    inner.parameters = arguments;
    inner.parameters.extend(found.parameters);
    (found.handler)(&mut inner)
}

fn wanted(request: &Request<'_>) -> Vec<u32> {
    let list = request.get("vms").unwrap_or_default();
    list.split('\0').flat_map(split_list).filter_map(|vmid| vmid.parse().ok()).collect()
}

/// The guests a call is about, in the order in which guests start (`startup`), templates left out.
fn chosen(request: &Request<'_>, only: &[u32]) -> Vec<(u32, GuestKind, String)> {
    let order = |options: &Options| {
        let startup = options.get("startup").map(String::as_str).unwrap_or_default();
        let part = startup
            .split(',')
            .find_map(|part| part.strip_prefix("order=").or(Some(part))?.parse::<u32>().ok());
        part.unwrap_or(u32::MAX)
    };
    let guests = request
        .state
        .guests
        .iter()
        .filter(|(vmid, guest)| !guest.is_template() && (only.is_empty() || only.contains(vmid)));
    let mut rows: Vec<_> =
        guests.map(|(vmid, guest)| (order(&guest.config), *vmid, guest.kind, guest.node.clone())).collect();
    rows.sort_by_key(|(order, vmid, ..)| (*order, *vmid));
    rows.into_iter().map(|(_, vmid, kind, node)| (vmid, kind, node)).collect()
}

/// Whether the guest is already as the action leaves it.
fn is_done(request: &Request<'_>, vmid: u32, action: &str) -> bool {
    let running = request.state.guests.get(&vmid).is_some_and(|guest| guest.running);
    match action {
        "start" => running,
        "shutdown" | "suspend" => !running,
        _ => false,
    }
}

/// Starts the task of the call, and behind it one for every guest.
fn run(
    request: &mut Request<'_>,
    task: &str,
    action: &str,
    guests: &[(u32, GuestKind, String)],
    mut outcome: Outcome,
) -> Value {
    let verb = match action {
        "start" => "Starting",
        "shutdown" => "Stopping",
        "suspend" => "Suspending",
        _ => "Migrating",
    };
    let mut started = Vec::new();
    for (vmid, kind, node) in guests {
        if is_done(request, *vmid, action) {
            continue;
        }
        if action == "suspend" && *kind == GuestKind::Lxc {
            outcome.say(format!("WARN: skipping {vmid}, only VMs can be suspended"));
            continue;
        }
        outcome.say(format!("{verb} {} {vmid}", kind.label()));
        started.push((*vmid, *kind, node.clone()));
    }
    let upid = request.submit(task, "", outcome);
    for (vmid, kind, node) in started {
        let (path, arguments) = work(request, action, vmid, kind, &node);
        // What fails is told by the guest's own task.
        let _ = call(request, "POST", &path, arguments);
    }
    upid
}

fn work(request: &Request<'_>, action: &str, vmid: u32, kind: GuestKind, node: &str) -> (String, Options) {
    let base = format!("/nodes/{node}/{}/{vmid}", kind.name());
    let mut arguments = Options::new();
    let mut set = |key: &str, value: &str| arguments.insert(key.to_owned(), value.to_owned());
    match action {
        "shutdown" => {
            let force = request.get("force-stop").unwrap_or("1").to_owned();
            set("forceStop", &force);
        }
        "suspend" => _ = set("todisk", "1"),
        "migrate" => {
            let target = request.get("target").or(request.get("target-node")).unwrap_or_default();
            set("target", target);
            let running = request.state.guests.get(&vmid).is_some_and(|guest| guest.running);
            set(if kind == GuestKind::Lxc { "restart" } else { "online" }, if running { "1" } else { "0" });
            if kind == GuestKind::Qemu && request.flag("with-local-disks") {
                set("with-local-disks", "1");
            }
        }
        _ => {}
    }
    let call = if action == "migrate" { "migrate".to_owned() } else { format!("status/{action}") };
    (format!("{base}/{call}"), arguments)
}

fn in_cluster(request: &mut Request<'_>, task: &str, action: &str) -> Answer {
    let only = wanted(request);
    let privileges: &[&str] = match action {
        "migrate" => &["VM.Migrate"],
        "suspend" if request.flag("to-disk") => &["VM.PowerMgmt", "VM.Config.Disk"],
        _ => &["VM.PowerMgmt"],
    };
    if only.is_empty() && request.check("/", privileges).is_err() {
        return Err(Failure::forbidden(&format!("/, {}", privileges.join(", "))));
    }
    only.iter().try_for_each(|vmid| request.check(&format!("/vms/{vmid}"), privileges))?;
    let verb = match action {
        "start" => "Starting",
        "shutdown" => "Shutting down",
        "suspend" => "Suspending",
        _ => "Migrating",
    };
    let towards = request.get("target").map(|target| format!(" to {target}")).unwrap_or_default();
    let mut outcome = Outcome::default();
    outcome.say(match only.is_empty() {
        true => format!("{verb} all guests{towards}"),
        false => {
            let named: Vec<String> = only.iter().map(u32::to_string).collect();
            format!("{verb} guests{towards}: {}", named.join(", "))
        }
    });
    let mut guests = chosen(request, &only);
    if action == "migrate" {
        let target = request.text("target");
        guests.retain(|(_, _, node)| *node != target);
    }
    if action == "shutdown" {
        guests.reverse();
    }
    Ok(run(request, task, action, &guests, outcome))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::calls::Calls;

    fn running(root: &Calls) -> Vec<bool> {
        let of =
            |vmid| root.get(&format!("/nodes/pve/qemu/{vmid}/status/current"))["status"] == json!("running");
        [100, 101].map(of).into()
    }

    #[test]
    fn guests_that_start_with_the_node_are_started_the_others_by_force() {
        let root = Calls::new();
        root.ok("POST", "/nodes/pve/qemu", &[("vmid", "100"), ("onboot", "1")]);
        root.ok("POST", "/nodes/pve/qemu", &[("vmid", "101")]);
        let task = root.ok("POST", "/nodes/pve/startall", &[]);
        let (exit, log) = root.task(&task);
        assert_eq!((exit.as_str(), log[0].as_str()), ("OK", "Starting VM 100"));
        assert_eq!(running(&root), [true, false]);
        root.ok("POST", "/nodes/pve/startall", &[("force", "1")]);
        assert_eq!(running(&root), [true, true]);
        root.ok("POST", "/cluster/bulk-action/guest/shutdown", &[("vms", "101")]);
        assert_eq!(running(&root), [true, false]);
    }

    #[test]
    fn who_may_start_one_guest_has_to_name_it() {
        let root = Calls::new();
        root.ok("POST", "/nodes/pve/qemu", &[("vmid", "100")]);
        let user = root.user("a@pve", &[("/vms/100", "PVEVMUser")]);
        let all = user.refused("POST", "/nodes/pve/startall", &[]);
        assert_eq!(all, "403 Permission check failed (/, VM.PowerMgmt)");
        user.ok("POST", "/nodes/pve/startall", &[("vms", "100"), ("force", "1")]);
        let other = user.refused("POST", "/cluster/bulk-action/guest/start", &[("vms", "101")]);
        assert_eq!(other, "403 Permission check failed (/vms/101, VM.PowerMgmt)");
    }
}
