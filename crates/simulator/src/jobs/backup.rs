//! Backup jobs: `/cluster/backup` (PVE::API2::Backup).

use serde_json::{Map, Value, json};

use super::{jobs, jobs_mut, next_run};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema;
use crate::schema::formats::split_list;
use crate::sections::{taken_apart, typed};
use crate::state::{Options, State};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/backup", list),
    ("POST", "/cluster/backup", create),
    ("GET", "/cluster/backup/{id}", read),
    ("PUT", "/cluster/backup/{id}", update),
    ("DELETE", "/cluster/backup/{id}", delete),
    ("GET", "/cluster/backup/{id}/included_volumes", included),
    ("GET", "/cluster/backup-info", |_| Ok(json!([{ "subdir": "not-backed-up" }]))),
    ("GET", "/cluster/backup-info/not-backed-up", not_backed_up),
];

/// Property strings that are read back taken apart.
const TAKEN_APART: [&str; 3] = ["prune-backups", "fleecing", "performance"];

fn is_mine(job: &Options) -> bool {
    job.get("type").is_some_and(|kind| kind == "vzdump")
}

/// Takes a guest that is purged out of the jobs, and removes those that were about it alone (PVE::VZDump::Plugin,
/// `remove_vmid_from_backup_jobs`).
pub(crate) fn forget(state: &mut State, vmid: u32) {
    let without = |list: &str| -> String {
        let kept = split_list(list).filter(|own| own.parse() != Ok(vmid));
        kept.collect::<Vec<&str>>().join(",")
    };
    jobs_mut(state).retain(|_, job| {
        let Some((key, list)) = ["vmid", "exclude"].into_iter().find_map(|key| Some((key, job.get(key)?)))
        else {
            return true;
        };
        let left = without(list);
        match left.is_empty() {
            true if key == "vmid" && is_mine(job) => return false,
            true => job.remove(key),
            false => job.insert(key.to_owned(), left),
        };
        true
    });
}

fn shown(id: &str, job: &Options) -> Map<String, Value> {
    let keys = schema::endpoint("POST", "/cluster/backup");
    let mut row: Map<String, Value> = job
        .iter()
        .map(|(key, text)| {
            let whole = TAKEN_APART.contains(&key.as_str());
            (key.clone(), if whole { taken_apart(keys, key, text) } else { typed(keys, key, text) })
        })
        .collect();
    row.insert("id".to_owned(), json!(id));
    row
}

fn list(request: &mut Request<'_>) -> Answer {
    let rows = jobs(request.state).iter().filter(|(_, job)| is_mine(job)).map(|(id, job)| {
        let mut row = shown(id, job);
        if let Some(next) = next_run(job, request.seconds()) {
            row.insert("next-run".to_owned(), json!(next));
        }
        Value::Object(row)
    });
    Ok(rows.collect())
}

fn missing(id: &str) -> Failure {
    Failure::parameter("id", format!("No such job '{id}'"))
}

fn find<'a>(request: &'a Request<'_>, id: &str) -> Result<&'a Options, Failure> {
    jobs(request.state).get(id).filter(|job| is_mine(job)).ok_or_else(|| missing(id))
}

fn read(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    Ok(Value::Object(shown(&id, find(request, &id)?)))
}

/// Options that conflict (PVE::VZDump, `verify_vzdump_parameters`): name and text.
pub(crate) fn conflict(job: &mut Options, whole: bool) -> Option<(&'static str, &'static str)> {
    let on = |job: &Options, key: &str| job.get(key).is_some_and(|value| !matches!(value.as_str(), "" | "0"));
    for name in ["all", "exclude", "pool"] {
        if on(job, name) && on(job, "vmid") {
            return Some((name, "option conflicts with option 'vmid'"));
        }
    }
    if job.contains_key("exclude") && !on(job, "pool") {
        job.insert("all".to_owned(), "1".to_owned());
    }
    let selected = ["all", "stop", "pool", "vmid"].iter().any(|name| on(job, name));
    (whole && !selected).then_some(("vmid", "property is missing"))
}

fn nested((name, text): (&'static str, &'static str)) -> Failure {
    Failure::nested("", name, text)
}

/// Who may set what (PVE::API2::Backup, `assert_param_permission_common`).
pub(crate) fn check_permissions(request: &Request<'_>) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    if let Some(name) =
        ["tmpdir", "dumpdir", "script", "job-id"].iter().find(|name| request.get(name).is_some())
    {
        return Err(Failure::parameter(name, "Only root may set this option."));
    }
    if ["bwlimit", "ionice", "performance"].iter().any(|name| request.get(name).is_some()) {
        request.check("/", &["Sys.Modify"])?;
    }
    Ok(())
}

/// The options that a call sets, with `starttime` and `dow` as a schedule.
fn set(request: &Request<'_>, required: bool) -> Result<Options, Failure> {
    check_permissions(request)?;
    if let Some(storage) = request.get("storage") {
        request.check(&format!("/storage/{storage}"), &["Datastore.Allocate"])?;
    }
    if let Some(pool) = request.get("pool") {
        if !request.state.pools.contains_key(pool) {
            return Err(Failure::forbidden(&format!("pool '{pool}' does not exist")));
        }
        request.check(&format!("/pool/{pool}"), &["VM.Backup"])?;
    }
    let call = ["id", "delete", "starttime", "dow"];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    let mut set: Options = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    match (request.get("schedule"), request.get("starttime")) {
        (Some(_), Some(_)) => {
            return Err(Failure::parameter("starttime", "'starttime' and 'schedule' cannot both be set"));
        }
        (None, Some(time)) => {
            let days: Vec<&str> = split_list(request.get("dow").unwrap_or_default()).collect();
            let every = days.is_empty() || days.join(",") == "mon,tue,wed,thu,fri,sat,sun";
            let text = if every { time.to_owned() } else { format!("{} {time}", days.join(",")) };
            set.insert("schedule".to_owned(), text);
        }
        (None, None) if required => {
            return Err(Failure::parameter("schedule", "neither 'starttime' nor 'schedule' were set"));
        }
        _ => {}
    }
    Ok(set)
}

fn create(request: &mut Request<'_>) -> Answer {
    let mut job = set(request, true)?;
    let id = request.get("id").map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    if jobs(request.state).contains_key(&id) {
        return Err(Failure::died(format!("Job '{id}' already exists")));
    }
    if let Some(found) = conflict(&mut job, true) {
        return Err(nested(found));
    }
    job.entry("enabled".to_owned()).or_insert_with(|| "1".to_owned());
    job.insert("type".to_owned(), "vzdump".to_owned());
    jobs_mut(request.state).insert(id, job);
    Ok(Value::Null)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (id, mut set) = (request.text("id"), set(request, false)?);
    let delete: Vec<String> =
        split_list(request.get("delete").unwrap_or_default()).map(str::to_owned).collect();
    if set.is_empty() && delete.is_empty() {
        return Err(Failure::died("no options specified"));
    }
    if let Some(found) = conflict(&mut set, false) {
        return Err(nested(found));
    }
    let mut job = find(request, &id).map_err(|_| Failure::died("no such vzdump job"))?.clone();
    for key in &delete {
        let known =
            schema::endpoint("PUT", "/cluster/backup/{id}").is_some_and(|keys| keys.contains_key(key));
        if !known {
            return Err(Failure::nested("", "delete", &format!("unknown option '{key}'")));
        }
        job.remove(key);
    }
    let selects = |key: &str| set.get(key).is_some_and(|value| value != "0");
    let replaced: &[&str] = if set.contains_key("vmid") {
        &["all", "exclude", "pool"]
    } else if selects("all") {
        &["vmid", "pool"]
    } else if selects("pool") {
        &["vmid", "all", "exclude"]
    } else {
        &[]
    };
    for key in replaced {
        job.remove(*key);
    }
    job.extend(set);
    if let Some(found) = conflict(&mut job, true) {
        return Err(nested(found));
    }
    jobs_mut(request.state).insert(id, job);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    match jobs_mut(request.state).remove(&id) {
        Some(_) => Ok(Value::Null),
        None => Err(Failure::nested("", "id", &format!("No such job '{id}'"))),
    }
}

/// The guests of a job.
pub(crate) fn guests(request: &Request<'_>, job: &Options) -> Vec<u32> {
    let numbers = |key: &str| -> Vec<u32> {
        let list = job.get(key).map(String::as_str).unwrap_or_default();
        split_list(list).filter_map(|item| item.parse().ok()).collect()
    };
    if let Some(pool) = job.get("pool") {
        return request.state.pools.get(pool).map(|pool| pool.guests.clone()).unwrap_or_default();
    }
    if job.contains_key("vmid") {
        return numbers("vmid");
    }
    let excluded = numbers("exclude");
    request.state.guests.keys().copied().filter(|vmid| !excluded.contains(vmid)).collect()
}

fn included(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    let job = find(request, &id)?;
    let row = |vmid: u32| {
        let guest = request.state.guests.get(&vmid);
        let name = guest.and_then(|guest| guest.config.get("name").or(guest.config.get("hostname")));
        let kind = guest.map_or("unknown", |guest| guest.kind.name());
        json!({ "id": vmid, "name": name.cloned().unwrap_or_default(), "type": kind, "children": [] })
    };
    let children: Vec<Value> = guests(request, job).into_iter().map(row).collect();
    Ok(json!({ "children": children }))
}

fn not_backed_up(request: &mut Request<'_>) -> Answer {
    let all = jobs(request.state).values().filter(|job| is_mine(job));
    let covered: Vec<u32> = all.flat_map(|job| guests(request, job)).collect();
    let rest =
        request.state.guests.iter().filter(|(vmid, _)| {
            !covered.contains(vmid) && request.allows(&format!("/vms/{vmid}"), "VM.Audit")
        });
    Ok(rest
        .map(|(vmid, guest)| {
            let name = guest.config.get("name").or(guest.config.get("hostname"));
            json!({ "vmid": vmid, "type": guest.kind.name(), "name": name.cloned().unwrap_or_default() })
        })
        .collect())
}
