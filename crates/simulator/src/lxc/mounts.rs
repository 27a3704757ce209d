//! Root and mount points of containers: allocating, attaching, growing and moving their volumes.

use std::collections::BTreeMap;

use super::KIND;
use crate::cluster::log;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema;
use crate::schema::property_string::{self, Values};
use crate::state::{Guest, Options};
use crate::volumes::{self, Allocation};

/// True for `rootfs` and `mpN`.
pub(crate) fn is_mount(name: &str) -> bool {
    name == "rootfs" || schema::indexed(name).is_some_and(|(stem, _)| stem == "mp")
}

/// Reads a mount point.
pub(crate) fn parse(name: &str, text: &str) -> Option<Values> {
    let keys = schema::format_keys(schema::lookup(schema::container(), name)?)?;
    property_string::parse(keys, text).ok().filter(|values| values.contains_key("volume"))
}

/// Prints a mount point.
pub(crate) fn print(name: &str, values: &Values) -> String {
    schema::lookup(schema::container(), name)
        .and_then(schema::format_keys)
        .map(|keys| property_string::print(keys, values))
        .unwrap_or_default()
}

/// The checks of a change of the configuration that happen when the request is made.
pub(crate) fn check_change(request: &Request<'_>, values: &Values) -> Result<(), Failure> {
    let volume = values.get("volume").map(String::as_str).unwrap_or_default();
    let storage = volumes::split(volume).map(|(storage, _)| storage).filter(|_| !volume.starts_with('/'));
    if let Some(storage) = storage
        && !volumes::allows(volumes::storage(request.state, storage)?, "rootdir")
    {
        let text = format!("storage '{storage}' does not allow content type 'rootdir' (Container)");
        return Err(Failure::died(text));
    }
    check(request, values)
}

/// The checks that happen when the request is made.
pub(crate) fn check(request: &Request<'_>, values: &Values) -> Result<(), Failure> {
    let volume = values.get("volume").map(String::as_str).unwrap_or_default();
    if volume.starts_with('/') {
        if request.identity.is_root() {
            return Ok(());
        }
        let kind = if volume.starts_with("/dev/") { "device" } else { "bind" };
        return Err(Failure::forbidden(&format!("mount point type {kind} is only allowed for root@pam")));
    }
    let Some((storage, name)) = volumes::split(volume) else { return Ok(()) };
    volumes::storage(request.state, storage)?;
    volumes::check_guest_storage(request.state, storage, KIND)?;
    if volumes::allocation_size(KIND, name).is_some() {
        return Ok(());
    }
    volumes::check_name(request.state, storage, name)
}

/// Makes a mount point real and returns its text for the configuration.
pub(crate) fn realise(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    name: &str,
    mut values: Values,
) -> Result<String, Failure> {
    let volume = values.get("volume").cloned().unwrap_or_default();
    if volume.starts_with('/') {
        return Ok(print(name, &values));
    }
    let (storage, rest) = volumes::split(&volume).map_or(("", ""), |pair| pair);
    if let Some(bytes) = volumes::allocation_size(KIND, rest) {
        let block = volumes::is_block(volumes::usable(request.state, storage, &request.node)?);
        let format = if bytes == 0 && !block { "subvol" } else { "raw" };
        let wanted = Allocation {
            storage,
            owner: vmid,
            kind: KIND,
            format: Some(format),
            bytes,
            now: request.seconds(),
        };
        let id = volumes::allocate(request.state, outcome, &wanted)?;
        values.insert("volume".to_owned(), id);
        values.insert("size".to_owned(), volumes::format_size(bytes));
        return Ok(print(name, &values));
    }
    let size = request.state.volumes.get(&volume).map(|volume| volume.size);
    let size = size.ok_or_else(|| volumes::missing_volume(request.state, &volume))?;
    values.insert("size".to_owned(), volumes::format_size(size));
    Ok(print(name, &values))
}

/// Puts the old volume of a slot into `unusedN`.
pub(crate) fn release(config: &mut Options, vmid: u32, text: &str) {
    let volume = crate::qemu::drives::file_of(text);
    if volumes::owner(&volume) != Some(vmid) {
        return;
    }
    if let Some(slot) = (0..256).map(|n| format!("unused{n}")).find(|key| !config.contains_key(key)) {
        config.insert(slot, volume);
    }
}

/// Takes out the `unusedN` whose volumes are in use, as writing the file does (PVE::LXC::Config, `write_pct_config`).
pub(crate) fn forget_used(config: &mut Options) {
    let mounts = config.iter().filter(|(name, _)| is_mount(name));
    let used: Vec<String> = mounts.map(|(_, text)| crate::qemu::drives::file_of(text)).collect();
    config.retain(|name, text| !(name.starts_with("unused") && used.contains(text)));
}

fn missing_mount() -> Failure {
    let text = "property is missing and it is not optional".to_owned();
    let errors = BTreeMap::from([("volume".to_owned(), text.clone()), ("mp".to_owned(), text)]);
    Failure { errors, ..Failure::died("format error") }
}

/// `PUT resize`: refusals are the call's.
pub(crate) fn resize(request: &mut Request<'_>) -> Answer {
    let (vmid, disk, wanted) = (request.vmid(), request.text("disk"), request.text("size"));
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    request.check_digest(&guests::digest(guest), MODIFIED)?;
    let text = guest.config.get(&disk).ok_or_else(missing_mount)?;
    let mut values = parse(&disk, text).ok_or_else(missing_mount)?;
    let volume = values.get("volume").cloned().unwrap_or_default();
    if let Some(owner) = volumes::owner(&volume).filter(|owner| *owner != vmid) {
        return Err(Failure::died(format!(
            "can't resize mount point owned by another container ({owner}) at /usr/share/perl5/PVE/API2/LXC.pm line 2386."
        )));
    }
    let present = request.state.volumes.get(&volume).map(|volume| volume.size);
    let present = present.ok_or_else(|| volumes::missing_volume(request.state, &volume))?;
    let (plus, number) = wanted.strip_prefix('+').map_or((false, wanted.as_str()), |rest| (true, rest));
    let bytes = volumes::parse_size(number).unwrap_or(0);
    let size = if plus { present + bytes } else { bytes };
    if size < present {
        return Err(Failure::died("unable to shrink disk size"));
    }
    if size == present {
        return Err(Failure::died("disk is already at specified size"));
    }
    log::note_in_task(request, format!("update CT {vmid}: resize --disk {disk} --size {wanted}"));
    Ok(request.task("resize", &vmid.to_string(), |request, outcome| {
        volumes::grow(request.state, outcome, &volume, size, request.options.storage_size);
        values.insert("size".to_owned(), volumes::format_size(size));
        let text = print(&disk, &values);
        request.guest_mut(KIND)?.config.insert(disk.clone(), text);
        Ok(())
    }))
}

/// `POST move_volume`: to another storage, or to another container.
pub(crate) fn move_volume(request: &mut Request<'_>) -> Answer {
    let (vmid, name) = (request.vmid(), request.text("volume"));
    if request.get("storage").is_some() && request.get("target-vmid").is_some() {
        return Err(Failure::died("either set storage or target-vmid, but not both"));
    }
    if let Some(target) = request.number("target-vmid") {
        return reassign(request, vmid, name, target as u32);
    }
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    if guest.running {
        return Err(Failure::died("cannot move volumes of a running container"));
    }
    if name.starts_with("unused") {
        return Err(Failure::died(format!(
            "cannot move volume '{name}', only configured volumes can be moved to another storage"
        )));
    }
    let text = guest.config.get(&name).cloned().ok_or_else(missing_mount)?;
    let mut values = parse(&name, &text).ok_or_else(missing_mount)?;
    let source = values.get("volume").cloned().unwrap_or_default();
    if request.flag("delete") && in_snapshot(guest, &source) {
        return Err(Failure::died("you can't move a volume with snapshots and delete the source"));
    }
    request.check_digest(&guests::digest(guest), MODIFIED)?;
    let storage = request.text("storage");
    volumes::storage(request.state, &storage)?;
    volumes::check_guest_storage(request.state, &storage, KIND).or_else(|failure| {
        // Moving a volume does not ask for the content type of the target where it holds none.
        if request.state.storages[&storage].get("type").is_some_and(|kind| kind == "dir") {
            Ok(())
        } else {
            Err(failure)
        }
    })?;
    let delete = request.flag("delete");
    Ok(request.task("move_volume", &vmid.to_string(), |request, outcome| {
        let from = volumes::split(&source).map_or("", |(storage, _)| storage);
        volumes::storage(request.state, from)?;
        let bytes = request.state.volumes.get(&source).map_or(0, |volume| volume.size);
        let wanted = Allocation {
            storage: &storage,
            owner: vmid,
            kind: KIND,
            format: Some("raw"),
            bytes,
            now: request.seconds(),
        };
        let id = volumes::allocate(request.state, outcome, &wanted)?;
        let size = request.state.volumes.get(&id).map_or(bytes, |volume| volume.size);
        values.insert("volume".to_owned(), id);
        values.insert("size".to_owned(), volumes::format_size(size));
        let mut config = request.guest(KIND)?.config.clone();
        if request.guest(KIND)?.is_template() {
            let base = crate::qemu::to_base(request.state, outcome, &values["volume"]);
            values.insert("volume".to_owned(), base);
        }
        config.insert(name.clone(), print(&name, &values));
        if delete {
            volumes::remove(request.state, outcome, &source);
        } else {
            release(&mut config, vmid, &text);
        }
        request.guest_mut(KIND)?.config = config;
        Ok(())
    }))
}

const MODIFIED: &str = "detected modified configuration - file changed by other user? Try again.";

fn in_snapshot(guest: &Guest, volume: &str) -> bool {
    let mut configs = guest.snapshots.values().map(|snapshot| &snapshot.config);
    configs.any(|config| {
        config.iter().any(|(name, text)| is_mount(name) && crate::qemu::drives::file_of(text) == volume)
    })
}

/// The checks of a volume that is to go to another container, or to another place of the same; returns its text.
fn check_reassign(request: &Request<'_>, name: &str, target: u32, slot: &str) -> Result<String, Failure> {
    let vmid = request.vmid();
    let refuse = |text: &str| Err(Failure::died(text));
    if name == "rootfs" || slot == "rootfs" {
        return refuse("Cannot move to/from 'rootfs'");
    }
    let unused = |name: &str| name.starts_with("unused");
    if unused(name) && !unused(slot) {
        return refuse("Moving an unused volume to a used one is not possible");
    }
    let find = |vmid: u32| {
        let found = request.state.guests.get(&vmid);
        found.ok_or_else(|| Failure::died(format!("could not find CT {vmid}")))
    };
    let (from, to) = (&find(vmid)?.node, &find(target)?.node);
    if from != to {
        return refuse(&format!("Both containers need to be on the same node ({from} != {to})"));
    }
    let source = request.guest(KIND)?;
    guests::check_lock(source)?;
    let other = crate::request::guest(request.state, KIND, target, &request.node)?;
    guests::check_lock(other)?;
    if source.is_template() || other.is_template() {
        return refuse("Can't move volumes from or to template CT");
    }
    request.check_digest(&guests::digest(source), &format!("Container {vmid}: {MODIFIED}"))?;
    if request.get("target-digest").is_some_and(|digest| digest != guests::digest(other)) {
        return refuse(&format!("Container {target}: {MODIFIED}"));
    }
    let Some(text) = source.config.get(name) else {
        return refuse(&format!("volume '{name}' for container '{vmid}' does not exist"));
    };
    if other.config.contains_key(slot) {
        return refuse(&format!("Target volume key '{slot}' is already in use for container '{target}'"));
    }
    let volume = crate::qemu::drives::file_of(text);
    if in_snapshot(source, &volume) {
        return refuse("Cannot move volume used by a snapshot to another container");
    }
    if volume.starts_with('/') {
        return refuse("Storage does not support moving of this disk to another container");
    }
    if source.running && !unused(name) {
        let text = "Cannot move in-use volume while the source CT is running - detach or shutdown first";
        return refuse(text);
    }
    Ok(text.clone())
}

fn reassign(request: &mut Request<'_>, vmid: u32, name: String, target: u32) -> Answer {
    let slot = request.get("target-volume").unwrap_or(&name).to_owned();
    let text = check_reassign(request, &name, target, &slot)?;
    let mut values = match name.starts_with("unused") {
        true => Values::from([("volume".to_owned(), text.clone())]),
        false => parse(&name, &text).ok_or_else(missing_mount)?,
    };
    let source = values.get("volume").cloned().unwrap_or_default();
    Ok(request.task("move_volume", &format!("{vmid}-{name}>{target}-{slot}"), |request, outcome| {
        outcome.say(format!("moving volume '{name}' from container '{vmid}' to '{target}'"));
        let (storage, _) = volumes::split(&source).map_or(("", ""), |pair| pair);
        let number = volumes::free_number(request.state, storage, target);
        let stem = format!("vm-{target}-disk-{number}");
        let new = volumes::volume_id(request.state, storage, target, &stem, "raw");
        volumes::rename(request.state, outcome, &source, &new);
        outcome.say(format!("removing volume '{name}' from container '{vmid}' config"));
        outcome.say(format!("target container '{target}' updated with '{slot}'"));
        values.insert("volume".to_owned(), new.clone());
        let text = if slot.starts_with("unused") { new } else { print(&slot, &values) };
        if let Some(other) = request.state.guests.get_mut(&target) {
            other.config.insert(slot.clone(), text);
        }
        request.guest_mut(KIND)?.config.remove(&name);
        Ok(())
    }))
}
