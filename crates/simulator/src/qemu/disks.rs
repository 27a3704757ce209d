//! Growing, moving and unlinking disks of machines.

use super::{KIND, config, drives};
use crate::cluster::log;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::state::{Guest, Options};
use crate::volumes::{self, Allocation};

/// `PUT resize`: always a task; refusals are the task's.
pub(crate) fn resize(request: &mut Request<'_>) -> Answer {
    guests::check_skip_lock(request)?;
    let (vmid, disk, wanted) = (request.vmid(), request.text("disk"), request.text("size"));
    Ok(request.task("resize", &vmid.to_string(), |request, outcome| {
        let guest = request.guest(KIND)?;
        request.check_digest(&guests::digest(guest), "checksum mismatch (file change by other user?)")?;
        if !request.flag("skiplock") {
            guests::check_lock(guest)?;
        }
        let text = guest.config.get(&disk).cloned();
        let missing = || Failure::died(format!("disk '{disk}' does not exist"));
        let mut values = text.as_deref().and_then(|text| drives::parse(&disk, text)).ok_or_else(missing)?;
        if let Some(medium @ ("none" | "cdrom")) = values.get("file").map(String::as_str) {
            return Err(Failure::died(format!("unable to parse volume ID '{medium}'")));
        }
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
        log::note_in_task(request, format!("update VM {vmid}: resize --disk {disk} --size {wanted}"));
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

/// `PUT unlink`: the same as deleting options.
pub(crate) fn unlink(request: &mut Request<'_>) -> Answer {
    let list = request.parameters.remove("idlist").unwrap_or_default();
    request.parameters.insert("delete".to_owned(), list);
    config::update(request)
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
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    request.check_digest(&guests::digest(guest), MODIFIED)?;
    let missing = || Failure::died(format!("disk '{disk}' does not exist"));
    let text = guest.config.get(&disk).cloned().ok_or_else(missing)?;
    let mut values = drives::parse(&disk, &text).ok_or_else(missing)?;
    let cloud_init = drives::is_cloud_init(&values);
    if drives::is_cdrom(&values) && !cloud_init {
        return Err(Failure::died("you can't move a cdrom"));
    }
    let file = values.get("file").cloned().unwrap_or_default();
    let volume = request.state.volumes.get(&file).cloned();
    let format = volume.as_ref().map_or("raw", |volume| volume.format.as_str());
    let same = volumes::split(&file).is_some_and(|(present, _)| present == storage);
    if same && request.get("format").is_none_or(|wanted| wanted == format) {
        return Err(Failure::died("you can't move to the same storage with same format"));
    }
    volumes::usable(request.state, &storage, &request.node)?;
    volumes::check_guest_storage(request.state, &storage, KIND)?;
    if request.flag("delete") && in_snapshot(request.guest(KIND)?, &file) {
        return Err(Failure::died("you can't move a disk with snapshots and delete the source"));
    }
    let volume = volume.ok_or_else(|| volumes::missing_volume(request.state, &file))?;
    let block = volumes::is_block(volumes::storage(request.state, &storage)?);
    let format = request.get("format").map(str::to_owned).unwrap_or(volume.format.clone());
    let delete = request.flag("delete");
    log::note_in_task(request, format!("move disk VM {vmid}: move --disk {disk} --storage {storage}"));
    Ok(request.task("qmmove", &vmid.to_string(), |request, outcome| {
        let from = volumes::split(&file).map_or("", |(storage, _)| storage);
        volumes::storage(request.state, from)?;
        if in_snapshot(request.guest(KIND)?, &file) {
            outcome.say("moving disk with snapshots, snapshots will not be moved!");
        }
        outcome.say(format!(
            "copying volume '{file}' from current storage '{from}' to target storage '{storage}'"
        ));
        if disk == "tpmstate0" && request.guest(KIND)?.running {
            return Err(Failure::died("storage migration failed: cannot move TPM state while VM is running"));
        }
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
        let made = if cloud_init {
            volumes::allocate_named(request.state, outcome, &wanted, &format!("vm-{vmid}-cloudinit"))
        } else {
            volumes::allocate(request.state, outcome, &wanted)
        };
        let id = made.map_err(|failure| {
            Failure::died(format!("storage migration failed: {}", failure.reason))
        })?;
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
        if request.guest(KIND)?.is_template()
            && let Some(text) = config.get_mut(&disk)
        {
            let file = drives::file_of(text);
            *text = text.replacen(&file, &super::clone::to_base(request.state, outcome, &file), 1);
        }
        request.guest_mut(KIND)?.config = config;
        Ok(())
    }))
}

/// What a digest that is not the present one is told, where nothing else is said.
const MODIFIED: &str = "detected modified configuration - file changed by other user? Try again.";

fn in_snapshot(guest: &Guest, file: &str) -> bool {
    let mut configs = guest.snapshots.values().map(|snapshot| &snapshot.config);
    configs.any(|config| {
        config.iter().any(|(name, text)| drives::is_drive(name) && drives::file_of(text) == file)
    })
}

/// The checks of a disk that is to go to another machine; returns its text.
fn check_reassign(request: &Request<'_>, target: u32, slot: &str) -> Result<String, Failure> {
    let (vmid, disk) = (request.vmid(), request.text("disk"));
    let refuse = |text: String| Err(Failure::died(text));
    let guests = &request.state.guests;
    let Some(source) = guests.get(&vmid) else { return refuse(format!("could not find VM {vmid}")) };
    let Some(other) = guests.get(&target) else {
        return refuse(format!("could not find target VM {target}"));
    };
    if source.node != other.node {
        let (from, to) = (&source.node, &other.node);
        return refuse(format!("Both VMs need to be on the same node ({from} != {to})"));
    }
    let source = request.guest(KIND)?;
    guests::check_lock(source)?;
    let other = crate::request::guest(request.state, KIND, target, &request.node)?;
    guests::check_lock(other)?;
    if source.is_template() || other.is_template() {
        return refuse("Can't move disks from or to template VMs".to_owned());
    }
    request.check_digest(&guests::digest(source), &format!("VM {vmid}: {MODIFIED}"))?;
    if request.get("target-digest").is_some_and(|digest| digest != guests::digest(other)) {
        return refuse(format!("VM {target}: {MODIFIED}"));
    }
    let Some(text) = source.config.get(&disk) else {
        return refuse(format!("Disk '{disk}' for VM '{vmid}' does not exist"));
    };
    if other.config.contains_key(slot) {
        return refuse(format!("Target disk key '{slot}' is already in use for VM '{target}'"));
    }
    if drives::parse(&disk, text).is_some_and(|values| drives::is_cdrom(&values)) {
        return refuse("CD drive contents can't be moved to another VM".to_owned());
    }
    let file = drives::file_of(text);
    if volumes::split(&file).is_none() {
        return refuse(format!("Volume '{file}' not managed by PVE"));
    }
    if in_snapshot(source, &file) {
        return refuse("Can't move disk used by a snapshot to another VM".to_owned());
    }
    if source.running && !drives::is_unused(&disk) {
        let text = "Cannot move disk to another VM while the source VM is running - detach first";
        return refuse(text.to_owned());
    }
    Ok(text.clone())
}

/// A machine does not boot from a disk that has gone.
fn leave_boot_order(config: &mut Options, outcome: &mut Outcome, disk: &str) {
    let Some(order) = config.get("boot").and_then(|boot| boot.strip_prefix("order=")) else { return };
    let rest: Vec<&str> = order.split(';').filter(|device| *device != disk).collect();
    if rest.len() < order.split(';').count() {
        outcome.say(format!("removing disk '{disk}' from boot order config"));
        let boot = if rest.is_empty() { " ".to_owned() } else { format!("order={}", rest.join(";")) };
        config.insert("boot".to_owned(), boot);
    }
}

fn reassign(request: &mut Request<'_>) -> Answer {
    let (vmid, disk) = (request.vmid(), request.text("disk"));
    let target = request.number("target-vmid").unwrap_or(0) as u32;
    let slot = request.get("target-disk").unwrap_or(&disk).to_owned();
    if target == vmid {
        let text = "must be different than source VMID to reassign disk";
        return Err(Failure::parameter("target-vmid", text));
    }
    let text = check_reassign(request, target, &slot)?;
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
        let new_text = if drives::is_unused(&slot) { new } else { text.replacen(&file, &new, 1) };
        let shown = new_text.clone();
        if let Some(other) = request.state.guests.get_mut(&target) {
            other.config.insert(slot.clone(), new_text);
        }
        let config = &mut request.guest_mut(KIND)?.config;
        leave_boot_order(config, outcome, &disk);
        config.remove(&disk);
        outcome.say(format!("removing disk '{disk}' from VM '{vmid}' config"));
        if !drives::is_unused(&slot) {
            outcome.say(format!("update VM {target}: -{slot} {shown}"));
        }
        Ok(())
    }))
}
