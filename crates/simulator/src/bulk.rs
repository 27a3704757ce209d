//! Starting, stopping, suspending and migrating all guests of a node (`PVE::API2::Nodes`): one task, that starts one
//! for each guest.

use serde_json::Value;

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::{self, Route};
use crate::schema::formats::split_list;
use crate::state::GuestKind;

pub(crate) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/startall", start),
    ("POST", "/nodes/{node}/stopall", stop),
    ("POST", "/nodes/{node}/suspendall", suspend),
    ("POST", "/nodes/{node}/migrateall", migrate),
];

/// A guest of the node that is asked for.
struct Member {
    vmid: u32,
    kind: GuestKind,
    running: bool,
    on_boot: bool,
    /// Options of the start: order, up, down.
    startup: String,
}

impl Member {
    fn label(&self) -> String {
        format!("{} {}", self.kind.label(), self.vmid)
    }

    fn startup(&self, key: &str) -> Option<u64> {
        let part = self.startup.split(',').find_map(|part| part.strip_prefix(&format!("{key}=")))?;
        part.parse().ok()
    }

    fn order(&self) -> u64 {
        let bare = self.startup.split(',').next().and_then(|first| first.parse().ok());
        self.startup("order").or(bare).unwrap_or(u64::MAX)
    }
}

/// Who may not do it to all guests has to name those he may do it to.
fn check(request: &Request<'_>, privileges: &[&str]) -> Result<(), Failure> {
    if privileges.iter().all(|privilege| request.allows("/", privilege)) {
        return Ok(());
    }
    let named = request.text("vms");
    if named.is_empty() {
        return Err(Failure::forbidden(&format!("/, {}", privileges.join(" && "))));
    }
    split_list(&named).try_for_each(|vmid| request.check(&format!("/vms/{vmid}"), &privileges[..1]))
}

/// Guests by order and id. Templates are left out unless `templates`; those that are looked after by the manager of
/// high availability too, unless guests are named.
fn members(request: &Request<'_>, templates: bool, managed: bool) -> Vec<Member> {
    let named = request.get("vms");
    let wanted = |vmid: u32| named.is_none_or(|list| split_list(list).any(|item| item == vmid.to_string()));
    let managed = managed || named.is_some();
    let guests = request.state.guests.iter().filter(|(vmid, guest)| {
        guest.node == request.node
            && wanted(**vmid)
            && (templates || !guest.is_template())
            && (managed || !crate::ha::is_managed(request.state, **vmid))
    });
    let mut members: Vec<Member> = guests
        .map(|(vmid, guest)| Member {
            vmid: *vmid,
            kind: guest.kind,
            running: guest.running,
            on_boot: guest.config.get("onboot").is_some_and(|value| value == "1"),
            startup: guest.config.get("startup").cloned().unwrap_or_default(),
        })
        .collect();
    members.sort_by_key(|member| (member.order(), member.vmid));
    members
}

/// The task comes before those of the guests, and ends with the last of them.
fn task(
    request: &mut Request<'_>,
    kind: &str,
    work: impl FnOnce(&mut Request<'_>, &mut Outcome) -> Result<(), Failure>,
) -> Value {
    if let Some(exit) = request.forced_exit.take() {
        return request.submit(kind, "", Outcome { error: Some(exit), ..Outcome::default() });
    }
    let upid = request.submit(kind, "", Outcome::default());
    let first = request.state.tasks.keys().next_back().copied();
    let mut outcome = Outcome::default();
    let failure = work(request, &mut outcome).err();
    let ends = request.state.tasks.values().rev().map(|task| task.ends).take(64).max();
    if let Some(found) = first.and_then(|at| request.state.tasks.get_mut(&at)) {
        found.ends = ends.unwrap_or(found.ends).max(found.ends);
        found.exit = failure.map_or("OK".to_owned(), |failure| failure.reason);
        let last =
            if found.exit == "OK" { "TASK OK".to_owned() } else { format!("TASK ERROR: {}", found.exit) };
        found.log = outcome.log;
        found.log.push(last);
    }
    upid
}

/// Makes the call for one guest, as the task does.
fn call(request: &mut Request<'_>, member: &Member, path: &str, parameters: &[(&str, String)]) -> Answer {
    let path = format!("/nodes/{}/{}/{}/{path}", request.node, member.kind.name(), member.vmid);
    let Some(found) = router::find("POST", &path) else {
        return Err(Failure::not_implemented("POST", &path));
    };
    let mut own = found.parameters;
    own.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let whole = std::mem::replace(&mut request.parameters, own);
    let answer = (found.handler)(request);
    request.parameters = whole;
    answer
}

fn start(request: &mut Request<'_>) -> Answer {
    check(request, &["VM.PowerMgmt"])?;
    let force = request.flag("force");
    Ok(task(request, "startall", |request, outcome| {
        let wanted = members(request, false, false).into_iter().filter(|member| force || member.on_boot);
        for member in wanted.filter(|member| !member.running) {
            outcome.say(format!("Starting {}", member.label()));
            if let Err(failure) = call(request, &member, "status/start", &[]) {
                outcome.say(failure.reason);
                continue;
            }
            if let Some(delay) = member.startup("up").filter(|delay| *delay > 0) {
                outcome.say(format!("Waiting for {delay} seconds (startup delay)"));
            }
            let exit = request.state.tasks.values().next_back().map(|task| task.exit.clone());
            if let Some(exit) = exit.filter(|exit| exit != "OK") {
                outcome.say(format!("Starting {} failed: {exit}", member.label()));
            }
        }
        Ok(())
    }))
}

fn stop(request: &mut Request<'_>) -> Answer {
    check(request, &["VM.PowerMgmt"])?;
    let force = request.get("force-stop").unwrap_or("1").to_owned();
    let given = request.number("timeout").unwrap_or(180);
    Ok(task(request, "stopall", |request, outcome| {
        let wanted = members(request, false, false);
        for member in wanted.iter().rev().filter(|member| member.running) {
            let timeout = member.startup("down").unwrap_or(given);
            outcome.say(format!("Stopping {} (timeout = {timeout} seconds)", member.label()));
            let parameters = [("timeout", timeout.to_string()), ("forceStop", force.clone())];
            if let Err(failure) = call(request, member, "status/shutdown", &parameters) {
                outcome.say(failure.reason);
            }
        }
        Ok(())
    }))
}

fn suspend(request: &mut Request<'_>) -> Answer {
    check(request, &["VM.PowerMgmt", "VM.Config.Disk"])?;
    Ok(task(request, "suspendall", |request, outcome| {
        for member in members(request, false, false).iter().rev() {
            if member.kind == GuestKind::Lxc {
                outcome.say(format!("WARN: skipping {}, only VMs can be suspended", member.vmid));
                continue;
            }
            if !member.running {
                outcome.say(format!("VM {} not running, skipping suspension", member.vmid));
                continue;
            }
            outcome.say(format!("Suspending {}", member.label()));
            if let Err(failure) = call(request, member, "status/suspend", &[("todisk", "1".to_owned())]) {
                outcome.say(failure.reason);
            }
        }
        Ok(())
    }))
}

fn migrate(request: &mut Request<'_>) -> Answer {
    check(request, &["VM.Migrate"])?;
    let target = request.text("target");
    if target == request.node {
        return Err(Failure::parameter("target", "target is local node."));
    }
    crate::migration::check_target(request, &target)?;
    let workers = request.get("max-workers").or(request.get("maxworkers"));
    if workers.is_none() && !request.state.cluster_options.contains_key("max_workers") {
        let text = "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!";
        return Err(Failure::died(text));
    }
    let local_disks = request.flag("with-local-disks");
    Ok(task(request, "migrateall", |request, outcome| {
        let mut wanted = members(request, true, true);
        wanted.sort_by_key(|member| member.vmid.to_string());
        if wanted.is_empty() {
            outcome.say("no virtual guests matched, nothing to do..");
            return Ok(());
        }
        let mut count = 0;
        for member in &wanted {
            if let Some(reason) = hindrance(request, member, local_disks) {
                outcome.say(format!("Check {}: skip {0} - precondition check failed:", member.label()));
                outcome.say(reason);
                continue;
            }
            if member.kind == GuestKind::Qemu {
                outcome.say(format!("Check {}: precondition check passed", member.label()));
            }
            outcome.say(format!("Migrating {}", member.label()));
            let how = if member.kind == GuestKind::Qemu { "online" } else { "restart" };
            let mut parameters =
                vec![("target", target.clone()), (how, u8::from(member.running).to_string())];
            if local_disks && member.kind == GuestKind::Qemu {
                parameters.push(("with-local-disks", "1".to_owned()));
            }
            match call(request, member, "migrate", &parameters) {
                Ok(_) => count += 1,
                Err(failure) => outcome.say(failure.reason),
            }
        }
        if count == 0 {
            return Err(Failure::died("no migrations worker started..."));
        }
        outcome.say(format!("All jobs finished, used {count} workers in total."));
        Ok(())
    }))
}

/// A running machine with disks of its node only is not moved unless that is wanted.
fn hindrance(request: &Request<'_>, member: &Member, local_disks: bool) -> Option<String> {
    if member.kind != GuestKind::Qemu || !member.running || local_disks {
        return None;
    }
    let local = crate::migration::local_volumes(request, member.vmid);
    (!local.is_empty()).then(|| format!("  Has local disks: {}", local.join(", ")))
}
