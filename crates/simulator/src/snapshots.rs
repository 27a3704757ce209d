//! Snapshots of machines and containers.

use serde_json::{Value, json};

use crate::cluster::log;
use crate::failure::Failure;
use crate::guests;
use crate::qemu::drives;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::state::{Guest, GuestKind, Options, Snapshot};
use crate::volumes;

macro_rules! routes {
    ($folder:literal, $kind:expr) => {
        &[
            ("GET", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot"), |request| list(request, $kind)),
            ("POST", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot"), |request| {
                create(request, $kind)
            }),
            ("GET", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot/{snapname}"), |_| {
                Ok(json!([{ "cmd": "rollback" }, { "cmd": "config" }]))
            }),
            ("GET", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot/{snapname}/config"), |request| {
                read(request, $kind)
            }),
            ("PUT", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot/{snapname}/config"), |request| {
                update(request, $kind)
            }),
            ("POST", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot/{snapname}/rollback"), |request| {
                rollback(request, $kind)
            }),
            ("DELETE", concat!("/nodes/{node}/", $folder, "/{vmid}/snapshot/{snapname}"), |request| {
                delete(request, $kind)
            }),
        ]
    };
}

pub(crate) const QEMU_ROUTES: &[Route] = routes!("qemu", GuestKind::Qemu);
pub(crate) const LXC_ROUTES: &[Route] = routes!("lxc", GuestKind::Lxc);

fn prefix(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Qemu => "qm",
        GuestKind::Lxc => "vz",
    }
}

fn list(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let guest = request.guest(kind)?;
    let mut rows: Vec<(u64, Value)> = guest
        .snapshots
        .iter()
        .map(|(name, snapshot)| {
            let mut row =
                json!({ "name": name, "description": snapshot.description, "snaptime": snapshot.time });
            if let Some(parent) = &snapshot.parent {
                row["parent"] = json!(parent);
            }
            if kind == GuestKind::Qemu {
                row["vmstate"] = json!(u8::from(snapshot.with_memory));
            }
            (snapshot.time, row)
        })
        .collect();
    rows.sort_by_key(|(time, _)| *time);
    let mut current =
        json!({ "name": "current", "description": "You are here!", "running": u8::from(guest.running) });
    current["digest"] = json!(guests::digest(guest));
    if let Some(parent) = guest.config.get("parent") {
        current["parent"] = json!(parent);
    }
    Ok(rows.into_iter().map(|(_, row)| row).chain([current]).collect())
}

fn create(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let (vmid, name) = (request.vmid(), request.text("snapname"));
    let reserved = match kind {
        GuestKind::Qemu => name == "current" || name.to_lowercase() == "pending",
        GuestKind::Lxc => name == "current" || name == "vzdump",
    };
    if reserved {
        let name = if name.to_lowercase() == "pending" { "pending" } else { &name };
        let text = format!("unable to use snapshot name '{name}' (reserved name)");
        return Err(Failure::died(text));
    }
    // Only machines are looked at before the task.
    if kind == GuestKind::Qemu {
        request.guest(kind)?;
    }
    let description = request.text("description");
    let with_memory = request.flag("vmstate");
    let seconds = request.seconds();
    let what = if kind == GuestKind::Qemu { "VM" } else { "container" };
    log::note_in_task(request, format!("snapshot {what} {vmid}: {name}"));
    Ok(request.task(&format!("{}snapshot", prefix(kind)), &vmid.to_string(), |request, outcome| {
        let guest = request.guest(kind)?.clone();
        if guest.is_template() {
            return Err(Failure::died("you can't take a snapshot if it's a template"));
        }
        guests::check_lock(&guest)?;
        if guest.snapshots.contains_key(&name) {
            return Err(Failure::died(format!("snapshot name '{name}' already used")));
        }
        if !can_snapshot(request, &guest) {
            return Err(Failure::died("snapshot feature is not available"));
        }
        let mut config = guest.config.clone();
        let parent = config.remove("parent");
        let with_memory = with_memory && guest.running && kind == GuestKind::Qemu;
        if with_memory {
            let volume = drives::save_memory(request, outcome, vmid, &name, None)?;
            let storage = volumes::split(&volume).unwrap_or_default().0;
            outcome.say(format!("saving VM state and RAM using storage '{storage}'"));
            outcome.say("completed saving the VM state in 1s, saved 32.00 MiB");
            config.insert("vmstate".to_owned(), volume);
        } else if guest.running && kind == GuestKind::Qemu && crate::qemu::lacks_agent(request, &guest) {
            outcome.say("skipping guest filesystem freeze - agent configured but not running?");
        }
        match kind {
            GuestKind::Qemu => say_disks(request, outcome, &guest, &name),
            GuestKind::Lxc => {
                for volume in thin_volumes(request, &config) {
                    outcome.say(format!("  Logical volume \"snap_{volume}_{name}\" created."));
                }
            }
        }
        let guest = request.guest_mut(kind)?;
        guest.config.insert("parent".to_owned(), name.clone());
        guest.snapshots.insert(name, Snapshot { config, description, time: seconds, parent, with_memory });
        Ok(())
    }))
}

/// What is said of each disk of a machine: a running QEMU makes the snapshot of an image file itself.
fn say_disks(request: &Request<'_>, outcome: &mut Outcome, guest: &Guest, name: &str) {
    for (drive, values) in drives::disks(&guest.config) {
        let file = values.get("file").map(String::as_str).unwrap_or_default();
        outcome.say(format!("snapshotting 'drive-{drive}' ({file})"));
        if drives::is_block(request.state, file) {
            let (_, volume) = volumes::split(file).unwrap_or_default();
            outcome.say(format!("  Logical volume \"snap_{volume}_{name}\" created."));
        } else if guest.running {
            outcome.say("internal qemu snapshot");
        }
    }
}

/// Raw files cannot; thin volumes and qcow2 can. What is not attached and media do not count.
fn can_snapshot(request: &Request<'_>, guest: &Guest) -> bool {
    guest
        .config
        .iter()
        .filter(|(name, text)| !drives::is_unused(name) && !text.contains("media=cdrom"))
        .filter_map(|(_, text)| {
            let volume = drives::file_of(text);
            request.state.volumes.get(&volume).map(|found| (volume, found.clone()))
        })
        .filter(|(_, volume)| matches!(volume.content.as_str(), "images" | "rootdir"))
        .all(|(id, volume)| {
            let block = volumes::split(&id)
                .and_then(|(storage, _)| request.state.storages.get(storage))
                .is_some_and(volumes::is_block);
            block || volume.format == "qcow2"
        })
}

/// Names of the logical volumes a snapshot of this configuration is about.
fn thin_volumes(request: &Request<'_>, config: &Options) -> Vec<String> {
    let attached = config.iter().filter(|(name, _)| !name.starts_with("unused"));
    let mut names: Vec<String> = attached
        .filter_map(|(_, text)| {
            let file = drives::file_of(text);
            let (storage, name) = volumes::split(&file)?;
            let block = request.state.storages.get(storage).is_some_and(volumes::is_block);
            (block && request.state.volumes.contains_key(&file) && !name.ends_with("-cloudinit"))
                .then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

fn snapshot<'a>(request: &'a Request<'_>, kind: GuestKind) -> Result<&'a Snapshot, Failure> {
    let name = request.text("snapname");
    let guest = request.guest(kind)?;
    guest.snapshots.get(&name).ok_or_else(|| Failure::died(format!("snapshot '{name}' does not exist")))
}

fn read(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let found = snapshot(request, kind)?;
    let mut data: serde_json::Map<String, Value> =
        found.config.iter().map(|(name, text)| (name.clone(), guests::typed(kind, name, text))).collect();
    data.insert("snaptime".to_owned(), json!(found.time));
    if !found.description.is_empty() {
        data.insert("description".to_owned(), json!(found.description));
    }
    if let Some(parent) = &found.parent {
        data.insert("parent".to_owned(), json!(parent));
    }
    Ok(Value::Object(data))
}

fn update(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    if request.get("description").is_none() {
        return Ok(Value::Null);
    }
    guests::check_lock(request.guest(kind)?)?;
    snapshot(request, kind)?;
    let (name, description) = (request.text("snapname"), request.get("description").map(str::to_owned));
    if let Some(found) = request.guest_mut(kind)?.snapshots.get_mut(&name)
        && let Some(description) = description
    {
        found.description = description;
    }
    Ok(Value::Null)
}

fn rollback(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let (vmid, name) = (request.vmid(), request.text("snapname"));
    let what = if kind == GuestKind::Qemu { "VM" } else { "LXC" };
    log::note_in_task(request, format!("rollback snapshot {what} {vmid}: {name}"));
    let upid = request.task(&format!("{}rollback", prefix(kind)), &vmid.to_string(), |request, outcome| {
        if request.guest(kind)?.is_template() {
            return Err(Failure::died("you can't rollback if vm is a template"));
        }
        let found = snapshot(request, kind)?.clone();
        guests::check_lock(request.guest(kind)?)?;
        for volume in thin_volumes(request, &found.config) {
            outcome.say(format!("  Logical volume \"{volume}\" successfully removed."));
            outcome.say(format!("  Logical volume \"{volume}\" created."));
        }
        let guest = request.guest_mut(kind)?;
        let now = std::mem::replace(&mut guest.config, found.config);
        guest.config.remove("vmstate");
        guest.config.insert("parent".to_owned(), name);
        // The machine is another generation of itself now.
        if let Some(generation) = guest.config.get_mut("vmgenid") {
            *generation = uuid::Uuid::new_v4().to_string();
        }
        keep_new_disks(guest, &now, vmid);
        guest.pending.clear();
        guest.paused = false;
        guest.running = found.with_memory;
        Ok(())
    });
    let stopped = request.guest(kind).is_ok_and(|guest| !guest.running);
    let succeeded = request.state.tasks.values().next_back().is_some_and(|task| task.exit == "OK");
    if request.flag("start") && stopped && succeeded {
        match kind {
            GuestKind::Qemu => crate::qemu::start_task(request, vmid),
            GuestKind::Lxc => crate::lxc::start_task(request, vmid),
        };
    }
    Ok(upid)
}

/// Disks that the guest did not have yet become unused.
fn keep_new_disks(guest: &mut Guest, now: &Options, vmid: u32) {
    let disk =
        |name: &str| drives::is_drive(name) || drives::is_unused(name) || crate::lxc::mounts::is_mount(name);
    let files = now.iter().filter(|(name, text)| disk(name) && !text.contains("media=cdrom"));
    for file in files.map(|(_, text)| drives::file_of(text)) {
        let known = guest.config.iter().any(|(name, text)| disk(name) && drives::file_of(text) == file);
        let slot = (0..256).map(|n| format!("unused{n}")).find(|slot| !guest.config.contains_key(slot));
        if let Some(slot) = slot.filter(|_| !known && volumes::owner(&file) == Some(vmid)) {
            guest.config.insert(slot, file);
        }
    }
}

fn delete(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let (vmid, name) = (request.vmid(), request.text("snapname"));
    log::note_in_task(request, format!("delete snapshot VM {vmid}: {name}"));
    Ok(request.task(&format!("{}delsnapshot", prefix(kind)), &vmid.to_string(), |request, outcome| {
        let found = snapshot(request, kind)?.clone();
        guests::check_lock(request.guest(kind)?)?;
        if request.guest(kind)?.is_template() {
            return Err(Failure::died("you can't delete a snapshot if vm is a template"));
        }
        if let Some(volume) = found.config.get("vmstate") {
            volumes::remove(request.state, outcome, volume);
        }
        for volume in thin_volumes(request, &found.config) {
            outcome.say(format!("  Logical volume \"snap_{volume}_{name}\" successfully removed."));
        }
        let guest = request.guest_mut(kind)?;
        guest.snapshots.remove(&name);
        for other in guest.snapshots.values_mut().filter(|other| other.parent.as_ref() == Some(&name)) {
            other.parent = found.parent.clone();
        }
        if guest.config.get("parent") == Some(&name) {
            match found.parent {
                Some(parent) => guest.config.insert("parent".to_owned(), parent),
                None => guest.config.remove("parent"),
            };
        }
        Ok(())
    }))
}
