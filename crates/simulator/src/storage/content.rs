//! Volumes of a storage: listing, allocating, deleting.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::state::{GuestKind, Volume};
use crate::volumes;

fn shown(request: &Request<'_>, id: &str, volume: &Volume) -> Value {
    let block = volumes::split(id)
        .and_then(|(storage, _)| request.state.storages.get(storage))
        .is_some_and(volumes::is_block);
    let mut row = json!({ "volid": id, "content": volume.content, "format": volume.format });
    match volume.owner {
        Some(owner) => {
            row["vmid"] = json!(owner);
            row["size"] = json!(volume.size);
            // LVM tells the time as text, and neither parent nor use.
            if block {
                row["ctime"] = json!(volume.created.to_string());
            } else {
                row["ctime"] = json!(volume.created);
                row["used"] = json!(volume.file_size / 10);
                row["parent"] = match volume.parent.as_deref().and_then(volumes::split) {
                    Some((_, name)) => json!(format!("../{name}")),
                    None => Value::Null,
                };
            }
        }
        None => {
            row["size"] = json!(volume.file_size);
            row["ctime"] = json!(volume.created);
            if let Some(backup) = &volume.backup {
                row["vmid"] = json!(backup.vmid);
                row["subtype"] = json!(backup.kind.name());
                if let Some(notes) = &backup.notes {
                    row["notes"] = json!(notes);
                }
                if backup.protected {
                    row["protected"] = json!(1);
                }
            }
        }
    }
    row
}

/// `GET content`.
pub(crate) fn list(request: &mut Request<'_>) -> Answer {
    let name = request.text("storage");
    let options = volumes::usable(request.state, &name, &request.node)?;
    let wanted = request.get("content");
    let vmid = request.number("vmid");
    let shared = options.get("shared").is_some_and(|value| value == "1");
    // Every definition of a place lists what lies there under its own name.
    let is_here = |other: &str| {
        let there = request.state.storages.get(other);
        other == name || there.is_some_and(|there| volumes::is_same_place(options, there))
    };
    Ok(request
        .state
        .volumes
        .iter()
        .filter(|(id, volume)| {
            volumes::split(id).is_some_and(|(storage, _)| is_here(storage))
                && volumes::allows(options, &volume.content)
                && (shared || lies_on(request, volume))
                && volumes::check_access(request, id, None).is_ok()
                && wanted.is_none_or(|wanted| wanted == volume.content)
                && vmid.is_none_or(|vmid| match volume.owner {
                    Some(owner) => u64::from(owner) == vmid,
                    None if volume.backup.is_some() => {
                        volume.backup.as_ref().is_some_and(|backup| u64::from(backup.vmid) == vmid)
                    }
                    // Directories leave these out when they are asked for a guest's.
                    None => !matches!(volume.content.as_str(), "iso" | "vztmpl"),
                })
        })
        .map(|(id, volume)| {
            let file = volumes::split(id).map_or(id.as_str(), |(_, file)| file);
            shown(request, &format!("{name}:{file}"), volume)
        })
        .collect())
}

/// A guest's volumes lie where the guest is, files where they were put.
fn lies_on(request: &Request<'_>, volume: &Volume) -> bool {
    let owner = volume.owner.and_then(|owner| request.state.guests.get(&owner));
    let place = volume.nodes.is_empty() || volume.nodes.contains(&request.node);
    place && owner.is_none_or(|owner| owner.node == request.node)
}

/// The volume id of the path, with or without the storage in front.
fn volume_id(request: &Request<'_>) -> Result<String, Failure> {
    let (storage, volume) = (request.text("storage"), request.text("volume"));
    let (id_storage, name) = volumes::split(&volume).unwrap_or((&storage, &volume));
    if id_storage != storage {
        let text = format!("storage ID mismatch ({id_storage} != {storage})\n");
        return Err(Failure::parameter("volume", text));
    }
    volumes::storage(request.state, id_storage)?;
    volumes::check_name(request.state, id_storage, name)?;
    Ok(format!("{id_storage}:{name}"))
}

/// `GET content/{volume}`.
pub(crate) fn read(request: &mut Request<'_>) -> Answer {
    let id = volume_id(request)?;
    volumes::check_access(request, &id, None)?;
    let here = volumes::is_on(request.state, &id, &request.node);
    let Some(volume) = request.state.volumes.get(&id).filter(|_| here) else {
        let storage = volumes::split(&id).and_then(|(storage, _)| request.state.storages.get(storage));
        if storage.is_some_and(volumes::is_block) {
            let path = volumes::path(request.state, &id);
            let name = path.strip_prefix("/dev/").unwrap_or(&path);
            return Err(Failure::died(format!(
                "can't get size of '{path}':   Failed to find logical volume \"{name}\""
            )));
        }
        return Err(Failure::died(format!("volume_size_info on '{id}' failed - no format")));
    };
    let block = volumes::split(&id)
        .and_then(|(storage, _)| request.state.storages.get(storage))
        .is_some_and(volumes::is_block);
    let format = match volume.content.as_str() {
        "iso" | "backup" => "raw",
        _ => &volume.format,
    };
    let used = match volume.owner {
        Some(_) if block => 0,
        Some(_) => volume.file_size / 10,
        None => volume.file_size.div_ceil(4096) * 4096,
    };
    let size = if volume.owner.is_some() { volume.size } else { volumes::image_size(volume) };
    let path = volumes::path(request.state, &id);
    let mut row = json!({ "path": path, "size": size, "used": used, "format": format });
    if let Some(backup) = &volume.backup {
        row["protected"] = json!(u8::from(backup.protected));
        if let Some(notes) = &backup.notes {
            row["notes"] = json!(notes);
        }
    }
    Ok(row)
}

/// `POST content/{volume}`: copies a volume; what is wrong with it, the task says.
pub(crate) fn copy(request: &mut Request<'_>) -> Answer {
    let id = volume_id(request)?;
    let storage = request.text("storage");
    let target = request.text("target");
    let new = match volumes::split(&target) {
        Some((other, _)) if other != storage => {
            let text = format!("storage ID mismatch ({other} != {storage})\n");
            return Err(Failure::parameter("target", text));
        }
        Some(_) => target,
        None => format!("{storage}:{target}"),
    };
    Ok(request.task("imgcopy", "", |request, _| {
        volumes::usable(request.state, &storage, &request.node)?;
        let name = volumes::split(&new).map_or("", |(_, name)| name);
        volumes::check_name(request.state, &storage, name)?;
        let found = request.state.volumes.get(&id).cloned();
        let mut volume = found.ok_or_else(|| volumes::missing_volume(request.state, &id))?;
        volume.created = request.seconds();
        volume.owner = volumes::owner(&new).or(volume.owner);
        request.state.volumes.insert(new, volume);
        Ok(())
    }))
}

/// `PUT content/{volume}`: notes and protection are for backups.
pub(crate) fn update(request: &mut Request<'_>) -> Answer {
    let id = volume_id(request)?;
    volumes::check_access(request, &id, None)?;
    let backup = request.state.volumes.get(&id).is_some_and(|volume| volume.content == "backup");
    if !backup && request.get("notes").is_some() {
        return Err(Failure::died("only backups can have notes"));
    }
    if !backup && request.get("protected").is_some() {
        return Err(Failure::died("only backups support attribute 'protected'"));
    }
    let notes = request.get("notes").map(str::to_owned);
    let protected = request.get("protected").map(|value| value == "1");
    if let Some(backup) = request.state.volumes.get_mut(&id).and_then(|volume| volume.backup.as_mut()) {
        if let Some(notes) = notes {
            backup.notes = Some(notes).filter(|notes| !notes.is_empty());
        }
        backup.protected = protected.unwrap_or(backup.protected);
    }
    Ok(Value::Null)
}

/// `POST content`: allocates a disk, answers its id.
pub(crate) fn allocate(request: &mut Request<'_>) -> Answer {
    let (storage, name, vmid) = (request.text("storage"), request.text("filename"), request.vmid());
    let options = volumes::storage(request.state, &storage)?.clone();
    let size = request.text("size");
    let bytes = if size.ends_with(|last: char| last.is_ascii_digit()) {
        size.parse::<u64>().unwrap_or(0) * 1024
    } else {
        volumes::parse_size(&size).unwrap_or(0)
    };
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let known = extension.filter(|extension| matches!(*extension, "raw" | "qcow2" | "vmdk" | "subvol"));
    let block = volumes::is_block(&options);
    if !block
        && let (Some(format), Some(extension)) = (request.get("format"), known)
        && format != extension
    {
        let text = format!("different storage formats ({format} != {extension})");
        return Err(Failure::parameter("format", text));
    }
    volumes::usable(request.state, &storage, &request.node)?;
    let id = if block {
        if let Some(format) = request.get("format").filter(|format| *format != "raw") {
            return Err(volumes::unsupported_format(format));
        }
        let name = name.trim_end_matches(|_| false).to_owned();
        if !name.starts_with(&format!("vm-{vmid}-")) {
            return Err(Failure::died(format!("illegal name '{name}' - should be 'vm-{vmid}-*'")));
        }
        format!("{storage}:{name}")
    } else {
        if known.is_none() {
            return Err(Failure::died(format!("unable to parse volume filename '{name}'")));
        }
        format!("{storage}:{vmid}/{name}")
    };
    if request.state.volumes.contains_key(&id) {
        if block {
            let text = format!(
                "lvcreate 'pve/{name}' error:   Logical Volume \"{name}\" already exists in volume group \"pve\""
            );
            return Err(Failure::died(text));
        }
        let path = volumes::path(request.state, &id);
        return Err(Failure::died(format!("disk image '{path}' already exists")));
    }
    let seconds = request.seconds();
    let format = if block { "raw" } else { known.unwrap_or("raw") };
    let volume = volumes::disk(GuestKind::Qemu, format, bytes, vmid, seconds);
    volumes::create(request.state, &mut Outcome::default(), &id, volume);
    Ok(json!(id))
}

/// `DELETE content/{volume}`: a task, also for what is not there.
pub(crate) fn delete(request: &mut Request<'_>) -> Answer {
    let id = volume_id(request)?;
    let storage = request.text("storage");
    match request.state.volumes.get(&id).and_then(|volume| volume.backup.as_ref()) {
        Some(backup) => {
            request.check(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
            request.check(&format!("/vms/{}", backup.vmid), &["VM.Backup"])?;
        }
        None => request.check(&format!("/storage/{storage}"), &["Datastore.Allocate"])?,
    }
    let task_id = match request
        .state
        .volumes
        .get(&id)
        .and_then(|volume| volume.owner)
        .or_else(|| volumes::owner(&id))
        .or_else(|| request.state.volumes.get(&id)?.backup.as_ref().map(|backup| backup.vmid))
    {
        Some(owner) => format!("{owner}@{storage}"),
        None => storage.clone(),
    };
    let quick = request.get("delay").is_some();
    let upid = request.task("imgdel", &task_id, |request, outcome| {
        volumes::usable(request.state, &storage, &request.node)?;
        if let Some((_, name)) = volumes::split(&id)
            && request
                .state
                .volumes
                .get(&id)
                .and_then(|volume| volume.backup.as_ref())
                .is_some_and(|b| b.protected)
        {
            return Err(Failure::died(format!("cannot remove protected volume '{name}' on '{storage}'")));
        }
        if volumes::has_clones(request.state, &id) {
            return Err(Failure::died(format!("base volume '{id}' is still in use by linked cloned")));
        }
        let elsewhere = request.state.volumes.get(&id).is_some_and(|volume| {
            !volume.nodes.is_empty() && volume.nodes.iter().any(|node| *node != request.node)
        });
        let here = volumes::is_on(request.state, &id, &request.node);
        let removed = if elsewhere {
            let node = request.node.clone();
            request.state.volumes.get_mut(&id).is_some_and(|volume| volume.nodes.remove(&node)) && here
        } else {
            volumes::remove(request.state, outcome, &id)
        };
        if !removed {
            let path = volumes::path(request.state, &id);
            outcome.say(format!("disk image '{path}' does not exist"));
        }
        outcome.say(format!("Removed volume '{id}'"));
        Ok(())
    });
    Ok(if quick && request.options.task_duration.is_zero() { Value::Null } else { upid })
}
