//! Growing, moving and unlinking disks of machines.

use serde_json::Value;

use super::{KIND, config, drives};
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema;
use crate::volumes::{self, Allocation};

/// `PUT resize`: always a task; refusals are the task's.
pub(crate) fn resize(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    let (vmid, disk, wanted) = (request.vmid(), request.text("disk"), request.text("size"));
    Ok(request.task("resize", &vmid.to_string(), |request, outcome| {
        let guest = request.guest(KIND)?;
        request.check_digest(&guests::digest(guest), "checksum mismatch (file change by other user?)")?;
        guests::check_lock(guest)?;
        let text = guest.config.get(&disk).cloned();
        let missing = || Failure::died(format!("disk '{disk}' does not exist"));
        let mut values = text.as_deref().and_then(|text| drives::parse(&disk, text)).ok_or_else(missing)?;
        if drives::is_cdrom(&values) {
            return Err(Failure::died("you can't resize a cdrom"));
        }
        let file = values.get("file").cloned().unwrap_or_default();
        let present = request.state.volumes.get(&file).map(|volume| volume.size);
        let present = present.ok_or_else(|| volumes::missing_volume(request.state, &file))?;
        let size = target_size(present, &wanted)?;
        if size == present {
            return Ok(());
        }
        check_writable(request, outcome, &file, size)?;
        let running = request.guest(KIND)?.running;
        let said = outcome.log.len();
        volumes::grow(request.state, outcome, &file, size, request.options.storage_size);
        if running && !drives::is_block(request.state, &file) {
            // QEMU itself grows the image then and says nothing.
            outcome.log.truncate(said);
        }
        values.insert("size".to_owned(), volumes::format_size(size));
        let text = drives::print(&disk, &values);
        request.guest_mut(KIND)?.config.insert(disk.clone(), text);
        Ok(())
    }))
}

/// Base images of directories are immutable files.
fn check_writable(
    request: &Request<'_>,
    outcome: &mut Outcome,
    file: &str,
    size: u64,
) -> Result<(), Failure> {
    let Some((storage, name)) = volumes::split(file) else { return Ok(()) };
    let block = request.state.storages.get(storage).is_some_and(volumes::is_block);
    if block || !name.rsplit('/').next().is_some_and(|stem| stem.starts_with("base-")) {
        return Ok(());
    }
    let path = volumes::path(request.state, file);
    let format = request.state.volumes.get(file).map_or("raw", |volume| volume.format.as_str());
    outcome
        .say(format!("qemu-img: Could not open '{path}': Could not open '{path}': Operation not permitted"));
    let preallocation = if format == "qcow2" { "'--preallocation=metadata' " } else { "" };
    Err(Failure::died(format!(
        "command '/usr/bin/qemu-img resize {preallocation}-f {format} {path} {size}' failed: exit code 1"
    )))
}

/// The size in bytes that `+1G` or `12G` asks for.
pub(crate) fn target_size(present: u64, wanted: &str) -> Result<u64, Failure> {
    let (plus, number) = wanted.strip_prefix('+').map_or((false, wanted), |rest| (true, rest));
    let bytes = volumes::parse_size(number).unwrap_or(0);
    let size = if plus { present + bytes } else { bytes };
    if size < present {
        return Err(Failure::died("shrinking disks is not supported"));
    }
    Ok(size)
}

/// `PUT unlink`.
pub(crate) fn unlink(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    let names: Vec<String> =
        schema::formats::split_list(request.get("idlist").unwrap_or_default()).map(str::to_owned).collect();
    let force = request.flag("force");
    guests::check_lock(request.guest(KIND)?)?;
    for name in names {
        config::delete_option(request, vmid, &name, force)?;
    }
    Ok(Value::Null)
}

/// `POST move_disk`: to another storage, or to another machine.
pub(crate) fn move_disk(request: &mut Request<'_>) -> Answer {
    let (storage, target) = (request.get("storage"), request.get("target-vmid"));
    let both = |text: &str| {
        Failure::parameters(
            ["storage", "target-vmid"].iter().map(|name| ((*name).to_owned(), text.to_owned())).collect(),
        )
    };
    match (storage.is_some(), target.is_some()) {
        (true, true) => Err(both("either set 'storage' or 'target-vmid', but not both")),
        (false, false) => Err(both("both 'storage' and 'target-vmid' missing, either needs to be set")),
        (true, false) => move_to_storage(request),
        (false, true) => reassign(request),
    }
}

fn move_to_storage(request: &mut Request<'_>) -> Answer {
    let (vmid, disk, storage) = (request.vmid(), request.text("disk"), request.text("storage"));
    volumes::storage(request.state, &storage)?;
    volumes::check_guest_storage(request.state, &storage, KIND)?;
    let guest = request.guest(KIND)?;
    let modified = "detected modified configuration - file changed by other user? Try again.";
    request.check_digest(&guests::digest(guest), modified)?;
    guests::check_lock(guest)?;
    let missing = || Failure::died(format!("disk '{disk}' does not exist"));
    let text = guest.config.get(&disk).cloned().ok_or_else(missing)?;
    let mut values = drives::parse(&disk, &text).ok_or_else(missing)?;
    let cloud_init = drives::is_cloud_init(&values);
    if drives::is_cdrom(&values) && !cloud_init {
        return Err(Failure::died("you can't move a cdrom"));
    }
    let file = values.get("file").cloned().unwrap_or_default();
    let volume = request.state.volumes.get(&file).cloned();
    let volume = volume.ok_or_else(|| volumes::missing_volume(request.state, &file))?;
    let same = volumes::split(&file).is_some_and(|(present, _)| present == storage);
    if same && request.get("format").is_none_or(|format| format == volume.format) {
        return Err(Failure::died("you can't move to the same storage with same format"));
    }
    let block = volumes::is_block(volumes::storage(request.state, &storage)?);
    let format = request.get("format").map(str::to_owned).unwrap_or(volume.format.clone());
    let delete = request.flag("delete");
    Ok(request.task("qmmove", &vmid.to_string(), |request, outcome| {
        let from = volumes::split(&file).map_or("", |(storage, _)| storage);
        outcome.say(format!(
            "copying volume '{file}' from current storage '{from}' to target storage '{storage}'"
        ));
        outcome.say(format!("create full clone of drive {disk} ({file})"));
        let format = drives::target_format(outcome, &storage, block, format);
        let wanted = Allocation {
            storage: &storage,
            owner: vmid,
            kind: KIND,
            format: Some(&format),
            bytes: drives::copied_size(&disk, &values, block, volume.size),
            now: request.seconds(),
        };
        let id = if cloud_init {
            volumes::allocate_named(request.state, outcome, &wanted, &format!("vm-{vmid}-cloudinit"))?
        } else {
            volumes::allocate(request.state, outcome, &wanted)?
        };
        outcome.say(format!("allocated target volume '{id}'"));
        drives::say_copied(outcome, volume.size);
        let size = request.state.volumes.get(&id).map_or(volume.size, |volume| volume.size);
        values.insert("file".to_owned(), id);
        if !drives::is_unused(&disk) {
            values.insert("size".to_owned(), volumes::format_size(size));
        }
        let mut config = request.guest(KIND)?.config.clone();
        config.insert(disk.clone(), drives::print(&disk, &values));
        if delete {
            outcome.say(format!("removing source volume '{file}' after successful copy"));
            volumes::remove(request.state, outcome, &file);
        } else {
            let before: Vec<String> = config.keys().cloned().collect();
            drives::release(request.state, &mut config, vmid, &disk, &text);
            let slot = config.keys().find(|key| !before.contains(key));
            let slot = slot.map(String::as_str).unwrap_or_default();
            if cloud_init {
                outcome.say(format!("found unused cloudinit disk '{file}', removing it"));
                outcome.say("Use of uninitialized value $unused_key in concatenation (.) or string at /usr/share/perl5/PVE/API2/Qemu.pm line 4960.");
            }
            outcome.say(format!("adding source volume '{file}' as '{slot}' to config"));
        }
        request.guest_mut(KIND)?.config = config;
        Ok(())
    }))
}

fn reassign(request: &mut Request<'_>) -> Answer {
    let (vmid, disk) = (request.vmid(), request.text("disk"));
    let target = request.number("target-vmid").unwrap_or(0) as u32;
    let slot = request.get("target-disk").unwrap_or(&disk).to_owned();
    let source = request.guest(KIND)?.clone();
    if target == vmid {
        let text = "must be different than source VMID to reassign disk";
        return Err(Failure::parameter("target-vmid", text));
    }
    let Some(other) = request.state.guests.get(&target).filter(|guest| guest.kind == KIND) else {
        return Err(Failure::died(format!("could not find target VM {target}")));
    };
    if other.config.contains_key(&slot) {
        let text = format!("Target disk key '{slot}' is already in use for VM '{target}'");
        return Err(Failure::died(text));
    }
    let missing = || Failure::died(format!("Disk '{disk}' for VM '{vmid}' does not exist"));
    let text = source.config.get(&disk).cloned().ok_or_else(missing)?;
    let id = format!("{vmid}-{disk}>{target}-{slot}");
    Ok(request.task("qmmove", &id, |request, outcome| {
        outcome.say(format!("reassign disk '{disk}' from VM '{vmid}' as '{slot}' to VM '{target}'"));
        let file = drives::file_of(&text);
        let (storage, _) = volumes::split(&file).map_or(("", ""), |pair| pair);
        let number = volumes::free_number(request.state, storage, target);
        let format =
            request.state.volumes.get(&file).map_or("raw".to_owned(), |volume| volume.format.clone());
        let stem = format!("vm-{target}-disk-{number}");
        let new = volumes::volume_id(request.state, storage, target, &stem, &format);
        volumes::rename(request.state, outcome, &file, &new);
        let new_text = text.replacen(&file, &new, 1);
        let shown = new_text.clone();
        if let Some(other) = request.state.guests.get_mut(&target) {
            other.config.insert(slot.clone(), new_text);
        }
        request.guest_mut(KIND)?.config.remove(&disk);
        outcome.say(format!("removing disk '{disk}' from VM '{vmid}' config"));
        if !drives::is_unused(&slot) {
            outcome.say(format!("update VM {target}: -{slot} {shown}"));
        }
        Ok(())
    }))
}
