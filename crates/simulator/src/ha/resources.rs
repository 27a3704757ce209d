//! The guests that are looked after (PVE::API2::HA::Resources).

use serde_json::{Map, Value, json};

use super::{Command, ServiceState, guest_of, kind_of, rules, schedule};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sections::{File, MODIFIED, Texts, Type, check_options, delete_options, digest};
use crate::state::{GuestKind, Options, State};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/resources", list),
    ("POST", "/cluster/ha/resources", create),
    ("GET", "/cluster/ha/resources/{sid}", read),
    ("PUT", "/cluster/ha/resources/{sid}", update),
    ("DELETE", "/cluster/ha/resources/{sid}", delete),
    ("POST", "/cluster/ha/resources/{sid}/migrate", |request| relocate(request, false)),
    ("POST", "/cluster/ha/resources/{sid}/relocate", |request| relocate(request, true)),
];

const OPTIONS: &[&str] = &["comment", "failback", "max_relocate", "max_restart", "state"];

pub(super) const FILE: File = File {
    name: "ha/resources.cfg",
    id: "sid",
    schema: "/cluster/ha/resources",
    types: &[
        Type { name: "vm", required: &[], options: OPTIONS, fixed: &[] },
        Type { name: "ct", required: &[], options: OPTIONS, fixed: &[] },
    ],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "create resource failed: ",
        update: "update resources config failed: ",
        delete: "",
        exists: "resource ID '{}' already defined",
        missing: "no such resource '{}'",
    },
};

/// The full name of a resource and its type: `100` is the guest with that id.
fn parse(state: &State, text: &str) -> Result<(String, String), Failure> {
    if let Ok(vmid) = text.parse::<u32>() {
        let guest = state.guests.get(&vmid).ok_or_else(|| {
            Failure::died(format!("unable to detect SID from VMID - VM/CT {vmid} does not exist"))
        })?;
        let kind = kind_of(guest.kind);
        return Ok((format!("{kind}:{vmid}"), kind.to_owned()));
    }
    match text.split_once(':') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok((text.to_owned(), kind.to_owned())),
        _ => Err(Failure::died(format!("unable to parse service id '{text}'"))),
    }
}

fn shown(state: &State, sid: &str, options: &Options) -> Map<String, Value> {
    FILE.shown(state, sid, options)
}

fn list(request: &mut Request<'_>) -> Answer {
    let wanted = request.get("type");
    let rows = FILE.sections(request.state).iter().filter(|(_, options)| {
        wanted.is_none_or(|wanted| options.get("type").is_some_and(|kind| kind == wanted))
    });
    Ok(rows.map(|(sid, options)| Value::Object(shown(request.state, sid, options))).collect())
}

fn read(request: &mut Request<'_>) -> Answer {
    let (sid, _) = parse(request.state, &request.text("sid"))?;
    match FILE.sections(request.state).get(&sid) {
        Some(options) => Ok(Value::Object(shown(request.state, &sid, options))),
        None => Err(FILE.missing("", &sid)),
    }
}

/// The guest has to be there, and of the right kind.
fn check_exists(state: &State, sid: &str, kind: &str) -> Result<(), Failure> {
    let vmid = sid.split_once(':').and_then(|(_, name)| name.parse::<u32>().ok());
    let Some(vmid) = vmid else { return Err(Failure::died("invalid VMID")) };
    match state.guests.get(&vmid) {
        None => Err(Failure::died(format!("resource '{sid}' does not exist in cluster"))),
        Some(guest) if kind_of(guest.kind) != kind => {
            let what = if guest.kind == GuestKind::Qemu { "a container" } else { "a VM" };
            Err(Failure::died(format!("resource '{sid}' - guest with ID {vmid} is not {what}")))
        }
        Some(_) => Ok(()),
    }
}

fn no_group(request: &Request<'_>) -> Result<(), Failure> {
    match request.get("group") {
        Some(_) => Err(Failure::died("invalid parameter 'group': ha groups have been migrated to rules")),
        None => Ok(()),
    }
}

fn create(request: &mut Request<'_>) -> Answer {
    let (sid, kind) = parse(request.state, &request.text("sid"))?;
    if request.get("type").is_some_and(|given| given != kind) {
        return Err(Failure::died("types does not match"));
    }
    no_group(request)?;
    if FILE.kind(&kind).is_none() {
        return Err(Failure::died(format!("unknown section type '{kind}'")));
    }
    check_exists(request.state, &sid, &kind)?;
    let mut options = FILE.set(request);
    options.remove("type");
    FILE.check_new(request.state, &sid)?;
    normalise(&mut options);
    options.insert("type".to_owned(), kind);
    FILE.sections_mut(request.state).insert(sid, options);
    schedule(request.state, request.options, request.now);
    Ok(Value::Null)
}

/// `enabled` is what `started` was called once; `started` is the default and is written nevertheless.
fn normalise(options: &mut Options) {
    if options.get("state").is_some_and(|state| state == "enabled") {
        options.insert("state".to_owned(), "started".to_owned());
    }
}

/// A resource that could not be started takes nothing but `disabled`.
fn check_error(request: &Request<'_>, sid: &str) -> Result<(), Failure> {
    let failed =
        request.state.ha.services.get(sid).is_some_and(|service| service.state == ServiceState::Error);
    if failed && request.get("state") != Some("disabled") {
        let text = format!("service '{sid}' in error state, must be disabled and fixed first");
        return Err(Failure::died(text));
    }
    Ok(())
}

fn update(request: &mut Request<'_>) -> Answer {
    let (sid, kind) = parse(request.state, &request.text("sid"))?;
    if request.get("type").is_some_and(|given| given != kind) {
        return Err(Failure::died("types does not match"));
    }
    request.parameters.remove("type");
    no_group(request)?;
    check_error(request, &sid)?;
    let prefix = FILE.texts.update;
    let sections = FILE.sections(request.state);
    request.check_digest(&digest(sections), MODIFIED).map_err(|failure| FILE.prefixed(prefix, failure))?;
    let mut present = sections.get(&sid).cloned().ok_or_else(|| FILE.missing(prefix, &sid))?;
    let mut set = FILE.set(request);
    normalise(&mut set);
    if let Some(kind) = FILE.kind(&kind) {
        let delete = request.get("delete").unwrap_or_default();
        check_options(kind, &set, false)
            .and_then(|()| delete_options(kind, &mut present, &set, delete))
            .map_err(|failure| FILE.prefixed(prefix, failure))?;
    }
    present.extend(set);
    FILE.sections_mut(request.state).insert(sid, present);
    schedule(request.state, request.options, request.now);
    Ok(Value::Null)
}

/// Sets the wanted state of a resource.
pub(super) fn want(state: &mut State, sid: &str, wanted: &str) {
    if let Some(options) = FILE.sections_mut(state).get_mut(sid) {
        options.insert("state".to_owned(), wanted.to_owned());
    }
}

fn delete(request: &mut Request<'_>) -> Answer {
    let (sid, _) = parse(request.state, &request.text("sid"))?;
    if FILE.sections_mut(request.state).remove(&sid).is_none() {
        return Err(Failure::died(format!("cannot delete service '{sid}', not HA managed!")));
    }
    if request.get("purge") != Some("0") {
        rules::forget(request.state, &sid);
    }
    schedule(request.state, request.options, request.now);
    Ok(Value::Null)
}

/// Removes the resource of a guest that is destroyed; true if there was one.
pub(crate) fn forget(request: &mut Request<'_>, vmid: u32) -> bool {
    let sid = ["vm", "ct"].map(|kind| format!("{kind}:{vmid}"));
    let found = sid.into_iter().find(|sid| FILE.sections_mut(request.state).remove(sid).is_some());
    if let Some(sid) = &found {
        rules::forget(request.state, sid);
        schedule(request.state, request.options, request.now);
    }
    found.is_some()
}

/// Resources that move along with one, and those that keep it from a node (`get_resource_motion_info`).
pub(super) fn motion(state: &State, sid: &str, target: &str) -> (Vec<String>, Vec<String>) {
    let known = |other: &String| state.ha.services.contains_key(other);
    let sorted = |affinity: &str| {
        let mut found = rules::companions(state, sid, affinity);
        found.retain(known);
        found.sort();
        found
    };
    let mut apart = sorted("negative");
    apart.retain(|other| {
        state.ha.services.get(other).is_some_and(|service| {
            service.node == target && service.target.as_ref().is_none_or(|node| node == target)
        })
    });
    (sorted("positive"), apart)
}

fn relocate(request: &mut Request<'_>, relocate: bool) -> Answer {
    let (sid, _) = parse(request.state, &request.text("sid"))?;
    let options = FILE.sections(request.state).get(&sid);
    if options.is_none()
        || options.and_then(|options| options.get("state")).is_some_and(|state| state == "ignored")
    {
        return Err(Failure::died(format!("resource '{sid}' is not HA managed")));
    }
    check_error(request, &sid)?;
    let target = request.text("node");
    let (together, blocking) = motion(request.state, &sid, &target);
    let mut answer = json!({ "sid": sid, "requested-node": target });
    if !together.is_empty() {
        answer["comigrated-resources"] = json!(together);
    }
    if !blocking.is_empty() {
        let row = |other: &String| json!({ "sid": other, "cause": "resource-affinity" });
        answer["blocking-resources"] = blocking.iter().map(row).collect();
    }
    request.state.ha.commands.push((sid, Command::Move { target, relocate }));
    schedule(request.state, request.options, request.now);
    Ok(answer)
}

/// What is wanted of a resource; `started` where nothing is said.
pub(super) fn wanted(options: &Options) -> &str {
    options.get("state").map_or("started", String::as_str)
}

/// Whether there is a guest of this resource, and where.
pub(super) fn node_of(state: &State, sid: &str) -> Option<String> {
    guest_of(state, sid).map(|(_, guest)| guest.node.clone())
}
