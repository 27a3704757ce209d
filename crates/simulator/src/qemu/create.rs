//! Creating and destroying machines.

use super::{KIND, checks, drives, values};
use crate::access::guest_options;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request, missing_guest};
use crate::state::{Effect, Guest, State};
use crate::volumes;

/// `POST /nodes/{node}/qemu`.
pub(crate) fn create(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    guests::check_pool(request)?;
    guest_options::check_create(request, vmid)?;
    let mut options = checks::options(request);
    checks::check_root_options(request, &crate::state::Options::new(), &options, &[])?;
    if let Some(archive) =
        request.get("archive").filter(|archive| !request.state.volumes.contains_key(*archive))
    {
        return Err(Failure::died(format!("volume '{archive}' does not exist")));
    }
    for (name, text) in &options {
        if drives::is_drive(name)
            && let Some(values) = drives::parse(name, text)
        {
            drives::check(request, name, &values)?;
        }
    }
    checks::check_values(request, &options)?;
    if let Some(archive) = request.get("archive").map(str::to_owned)
        && request.state.volumes.get(&archive).is_some_and(|volume| volume.backup.is_some())
    {
        return super::restore::restore(request, &archive);
    }
    if request.get("archive").is_some()
        && let Some(name) = options.keys().find(|name| drives::is_drive(name))
    {
        return Err(Failure::parameter(name, "option conflicts with option 'archive'"));
    }
    check_free(request, vmid)?;
    guest_options::check_resources(request, KIND, vmid, &options)?;
    guest_options::check_options(request, KIND, vmid, options.keys())?;
    values::normalise(request.state, &mut options);
    let start = request.flag("start");
    let upid = request.task("qmcreate", &vmid.to_string(), |request, outcome| {
        build(request, outcome, vmid, options).map_err(|failure| {
            guests::remove_created(request.state, outcome);
            Failure::died(format!("unable to create VM {vmid} - {}", failure.reason))
        })?;
        if start {
            outcome.say("Execute autostart");
        }
        Ok(())
    });
    if start && request.state.guests.contains_key(&vmid) {
        super::lifecycle::start_task(request, vmid);
    }
    Ok(upid)
}

fn check_free(request: &Request<'_>, vmid: u32) -> Result<(), Failure> {
    match request.state.guests.get(&vmid) {
        Some(guest) => {
            let (label, node) = (guest.kind.label(), &guest.node);
            let text = format!("unable to create VM {vmid} - {label} {vmid} already exists on node '{node}'");
            Err(Failure::died(text))
        }
        None => Ok(()),
    }
}

fn build(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    options: crate::state::Options,
) -> Result<(), Failure> {
    let mut guest = Guest::new(KIND, request.now, &request.node);
    for (name, text) in options {
        let text = match drives::parse(&name, &text).filter(|_| drives::is_drive(&name)) {
            Some(values) => drives::realise(request, outcome, vmid, &name, values)?,
            None => text,
        };
        guest.config.insert(name, text);
    }
    checks::check_clipboard(&guest.config)?;
    let fill = |guest: &mut Guest, key: &str, text: String| {
        guest.config.entry(key.to_owned()).or_insert(text);
    };
    let boot = drives::default_boot(&guest.config);
    fill(&mut guest, "boot", boot);
    fill(&mut guest, "smbios1", format!("uuid={}", uuid::Uuid::new_v4()));
    fill(&mut guest, "vmgenid", uuid::Uuid::new_v4().to_string());
    let meta = format!("creation-qemu=10.1.2,ctime={}", request.seconds());
    fill(&mut guest, "meta", meta);
    values::pin_machine(&mut guest.config);
    guest.config.insert("lock".to_owned(), "create".to_owned());
    outcome.effects.push(Effect::RemoveOption { guest: vmid, key: "lock".to_owned() });
    request.state.guests.insert(vmid, guest);
    guests::join_pool(request, vmid);
    Ok(())
}

/// `DELETE /nodes/{node}/qemu/{vmid}`.
pub(crate) fn destroy(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    let vmid = request.vmid();
    let guest = request.guest(KIND)?;
    if guest.is_protected() {
        return Err(Failure::died(format!("can't remove VM {vmid} - protection mode enabled")));
    }
    guests::check_unmanaged(request)?;
    if guest.running && !guest.destroying {
        return Err(Failure::died(format!("VM {vmid} is running - destroy failed")));
    }
    let (purge, all) = (request.flag("purge"), request.flag("destroy-unreferenced-disks"));
    let node = request.node.clone();
    Ok(request.task("qmdestroy", &vmid.to_string(), |request, outcome| {
        let guest = request.guest(KIND)?;
        if guest.destroying {
            return Err(missing_guest(KIND, vmid, &node));
        }
        let is_hibernated = guest.config.get("lock").is_some_and(|lock| lock == "suspended");
        if !request.flag("skiplock") && !is_hibernated {
            guests::check_lock(guest)?;
        }
        remove_disks(request.state, outcome, vmid, all)?;
        if purge {
            outcome.say(format!("purging VM {vmid} from related configurations.."));
            crate::datacenter::forget_replication(request.state, vmid);
            crate::jobs::forget_backups(request.state, vmid);
            if crate::ha::forget(request, vmid) {
                outcome.say(format!("NOTE: removed VM {vmid} from HA resource configuration."));
            }
        }
        outcome.effects.push(Effect::RemoveGuest(vmid));
        let guest = request.guest_mut(KIND)?;
        guest.destroying = true;
        Ok(())
    }))
}

/// Removes the volumes of a machine that is destroyed.
fn remove_disks(state: &mut State, outcome: &mut Outcome, vmid: u32, all: bool) -> Result<(), Failure> {
    let Some(guest) = state.guests.get(&vmid) else { return Ok(()) };
    let configs =
        std::iter::once(&guest.config).chain(guest.snapshots.values().map(|snapshot| &snapshot.config));
    let mut files: Vec<String> = configs
        .flat_map(|config| config.iter())
        .chain(guest.pending.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))))
        .filter(|(name, _)| drives::is_drive(name) || drives::is_unused(name) || *name == "vmstate")
        .map(|(_, text)| drives::file_of(text))
        .filter(|file| volumes::owner(file) == Some(vmid))
        .collect();
    files.sort();
    files.dedup();
    for file in &files {
        if volumes::has_clones(state, file) {
            return Err(Failure::died(format!("base volume '{file}' is still in use by linked cloned")));
        }
    }
    for file in files {
        if !volumes::remove(state, outcome, &file) {
            let path = volumes::path(state, &file);
            if !path.starts_with("/dev/") {
                outcome.say(format!("disk image '{path}' does not exist"));
            }
        }
    }
    if all {
        let unreferenced = state.volumes.iter().filter(|(id, volume)| {
            volume.owner == Some(vmid)
                && matches!(volume.content.as_str(), "images" | "rootdir")
                && volumes::owner(id).is_some()
        });
        let unreferenced: Vec<String> = unreferenced.map(|(id, _)| id.clone()).collect();
        for id in unreferenced {
            volumes::remove(state, outcome, &id);
        }
    }
    Ok(())
}
