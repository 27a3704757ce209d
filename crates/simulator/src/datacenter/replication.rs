//! Replication of guests to other nodes (PVE::API2::ReplicationConfig, PVE::API2::Replication).

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::qemu::drives;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::sections::{File, MODIFIED, Texts, Type, check_options, delete_options, digest};
use crate::state::{GuestKind, State};
use crate::volumes;

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/replication", list),
    ("POST", "/cluster/replication", create),
    ("GET", "/cluster/replication/{id}", read),
    ("PUT", "/cluster/replication/{id}", update),
    ("DELETE", "/cluster/replication/{id}", delete),
    ("GET", "/nodes/{node}/replication", statuses),
    ("GET", "/nodes/{node}/replication/{id}", |_| {
        Ok(["schedule_now", "log", "status"].map(|name| json!({ "name": name })).into())
    }),
    ("GET", "/nodes/{node}/replication/{id}/status", status),
    ("GET", "/nodes/{node}/replication/{id}/log", |_| Ok(json!([]))),
    ("POST", "/nodes/{node}/replication/{id}/schedule_now", run_now),
];

const TYPE: Type = Type {
    name: "local",
    required: &[],
    options: &["disable", "comment", "rate", "schedule", "remove_job", "source"],
    fixed: &["target"],
};

const FILE: File = File {
    name: "replication.cfg",
    id: "id",
    schema: "/cluster/replication",
    types: &[TYPE],
    default_type: Some("local"),
    secrets: &[],
    texts: Texts {
        create: "",
        update: "",
        delete: "",
        exists: "replication job '{}' already exists",
        missing: "no such replication job '{}'",
    },
};

fn guest_of(id: &str) -> u32 {
    id.split_once('-').and_then(|(vmid, _)| vmid.parse().ok()).unwrap_or(0)
}

/// Refuses to destroy a guest that has jobs.
pub(crate) fn check_replication(state: &State, vmid: u32) -> Result<(), Failure> {
    match FILE.sections(state).keys().find(|id| guest_of(id) == vmid) {
        Some(id) => Err(Failure::died(format!(
            "There is a replication job '{id}' for guest '{vmid}' - Please remove that first."
        ))),
        None => Ok(()),
    }
}

/// Removes the jobs of a guest that is purged (PVE::ReplicationConfig, `remove_vmid_jobs`).
pub(crate) fn forget_replication(state: &mut State, vmid: u32) {
    FILE.sections_mut(state).retain(|id, _| guest_of(id) != vmid);
}

fn list(request: &mut Request<'_>) -> Answer {
    let rows = FILE.sections(request.state).iter();
    let seen = rows.filter(|(id, _)| request.allows(&format!("/vms/{}", guest_of(id)), "VM.Audit"));
    Ok(seen
        .map(|(id, job)| {
            let mut row = FILE.shown(request.state, id, job);
            row.remove("digest");
            row.insert("guest".to_owned(), json!(guest_of(id)));
            row.insert("jobnum".to_owned(), json!(id.split_once('-').map_or("", |(_, number)| number)));
            Value::Object(row)
        })
        .collect())
}

fn read(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    let mut data = FILE.read(request)?;
    request.check(&format!("/vms/{}", guest_of(&id)), &["VM.Audit"])?;
    data["guest"] = json!(guest_of(&id));
    Ok(data)
}

/// Disks have to be on ZFS to be replicated.
fn check_volumes(request: &Request<'_>, vmid: u32) -> Result<(), Failure> {
    let Some(guest) = request.state.guests.get(&vmid) else { return Ok(()) };
    let disk = |name: &str| match guest.kind {
        GuestKind::Qemu => drives::is_drive(name),
        GuestKind::Lxc => crate::lxc::mounts::is_mount(name),
    };
    let disks = guest.config.iter().filter(|(name, text)| {
        disk(name) && !text.contains("media=cdrom") && !text.split(',').any(|part| part == "replicate=0")
    });
    let files: Vec<String> = disks.map(|(_, text)| drives::file_of(text)).collect();
    for file in &files {
        let storage = volumes::split(file).and_then(|(name, _)| request.state.storages.get(name));
        if storage.is_none_or(|storage| storage.get("type").is_none_or(|kind| kind != "zfspool")) {
            return Err(Failure::died(format!("missing replicate feature on volume '{file}'")));
        }
    }
    if files.is_empty() { Err(Failure::died("No replicatable volumes found")) } else { Ok(()) }
}

fn create(request: &mut Request<'_>) -> Answer {
    let (id, target) = (request.text("id"), request.text("target"));
    let vmid = guest_of(&id);
    request.check(&format!("/vms/{vmid}"), &["VM.Replicate"])?;
    let Some(guest) = request.state.guests.get(&vmid) else {
        return Err(Failure::died(format!("Guest '{vmid}' does not exist.")));
    };
    let source = guest.node.clone();
    // A node alone has no members, not even itself.
    let alone = request.options.other_nodes.is_empty();
    if alone || !request.options.nodes().any(|node| *node == target) {
        return Err(Failure::died(format!("Target '{target}' does not exist.")));
    }
    if let Some(given) = request.get("source").filter(|given| *given != source) {
        return Err(Failure::died(format!(
            "Source '{given}' does not match current node of guest '{vmid}' ({source})"
        )));
    }
    if target == source {
        return Err(Failure::died("Source and target must not be identical"));
    }
    check_volumes(request, vmid)?;
    FILE.check_new(request.state, &id)?;
    let mut job = FILE.set(request);
    job.entry("source".to_owned()).or_insert(source);
    check_options(&TYPE, &job, true)?;
    FILE.sections_mut(request.state).insert(id, job);
    Ok(Value::Null)
}

fn missing(id: &str) -> Failure {
    Failure::died(format!("no such job '{id}'"))
}

fn update(request: &mut Request<'_>) -> Answer {
    let (id, set) = (request.text("id"), FILE.set(request));
    request.check(&format!("/vms/{}", guest_of(&id)), &["VM.Replicate"])?;
    let sections = FILE.sections(request.state);
    request.check_digest(&digest(sections), MODIFIED)?;
    let mut job = sections.get(&id).cloned().ok_or_else(|| missing(&id))?;
    check_options(&TYPE, &set, false)?;
    delete_options(&TYPE, &mut job, &set, request.get("delete").unwrap_or_default())?;
    job.extend(set);
    FILE.sections_mut(request.state).insert(id, job);
    Ok(Value::Null)
}

/// Marks the job: its runner removes it, with what the target has of the guest, as long after as a task takes.
fn delete(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    request.check(&format!("/vms/{}", guest_of(&id)), &["VM.Replicate"])?;
    let force = request.flag("force");
    if force && request.flag("keep") {
        return Err(Failure::parameter("keep", "conflicts with parameter 'force'"));
    }
    if force {
        FILE.sections_mut(request.state).remove(&id);
        return Ok(Value::Null);
    }
    let how = if request.flag("keep") { "local" } else { "full" };
    let at = request.now + request.options.task_duration.as_millis() as u64;
    let job = FILE.sections_mut(request.state).get_mut(&id).ok_or_else(|| missing(&id))?;
    job.insert("remove_job".to_owned(), how.to_owned());
    request.state.leaving_jobs.insert(id, at);
    Ok(Value::Null)
}

/// Removes the jobs that are due (PVE::Replication, `run_replication`). One that was made anew meanwhile is not marked.
pub(crate) fn settle_replication(state: &mut State, now: u64) {
    let leaving = &mut state.leaving_jobs;
    let due: Vec<String> = leaving.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
    leaving.retain(|_, at| *at > now);
    if !due.is_empty() {
        FILE.sections_mut(state).retain(|id, job| !due.contains(id) || !job.contains_key("remove_job"));
    }
}

fn state_of(request: &Request<'_>, id: &str) -> Option<Value> {
    let job = FILE.sections(request.state).get(id)?;
    let mut row = FILE.shown(request.state, id, job);
    row.remove("digest");
    let event = crate::calendar::parse(job.get("schedule").map_or("*/15", String::as_str))?;
    let next = crate::calendar::next(&event, request.seconds())?;
    row.extend([
        ("guest".to_owned(), json!(guest_of(id))),
        ("last_sync".to_owned(), json!(0)),
        ("last_try".to_owned(), json!(0)),
        ("next_sync".to_owned(), json!(next)),
        ("duration".to_owned(), json!(0)),
        ("fail_count".to_owned(), json!(0)),
    ]);
    Some(Value::Object(row))
}

fn statuses(request: &mut Request<'_>) -> Answer {
    let wanted = request.number("guest");
    let here = FILE.sections(request.state).iter().filter(|(id, job)| {
        job.get("source") == Some(&request.node) && wanted.is_none_or(|vmid| vmid == u64::from(guest_of(id)))
    });
    Ok(here.filter_map(|(id, _)| state_of(request, id)).collect())
}

fn status(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    state_of(request, &id).ok_or_else(|| missing(&id))
}

fn run_now(request: &mut Request<'_>) -> Answer {
    let id = request.text("id");
    if !FILE.sections(request.state).contains_key(&id) {
        return Err(missing(&id));
    }
    Ok(request.submit("replication", &id, Outcome::default()))
}
