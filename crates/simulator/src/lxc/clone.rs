//! Clones and templates of containers.

use serde_json::{Value, json};

use super::{KIND, mounts};
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema;
use crate::state::{Effect, Guest, Options, State};
use crate::volumes::{self, Allocation};

/// `POST clone`.
pub(crate) fn clone(request: &mut Request<'_>) -> Answer {
    let (vmid, new) = (request.vmid(), request.number("newid").unwrap_or(0) as u32);
    guests::check_pool(request)?;
    let target =
        request.get("target").filter(|name| *name != "localhost").unwrap_or(&request.node).to_owned();
    crate::migration::check_target(request, &target)?;
    if let Some(storage) = request.get("storage") {
        crate::migration::check_clone_storage(request, storage, &target)?;
    }
    let source = request.guest(KIND)?.clone();
    guests::check_lock(&source)?;
    if let Some(other) = request.state.guests.get(&new) {
        let (label, node) = (other.kind.label(), &other.node);
        return Err(Failure::died(format!("{label} {new} already exists on node '{node}'")));
    }
    let full = match request.get("full") {
        Some(value) => value == "1",
        None => !source.is_template(),
    };
    if let Some(storage) = request.get("storage") {
        if !full {
            return Err(Failure::died("parameter 'storage' not allowed for linked clones"));
        }
        volumes::storage(request.state, storage)?;
        volumes::check_guest_storage(request.state, storage, KIND)?;
    }
    let config = match request.get("snapname") {
        Some(name) => match source.snapshots.get(name) {
            Some(snapshot) => snapshot.config.clone(),
            None => return Err(Failure::died(format!("snapshot '{name}' does not exist"))),
        },
        None => source.effective(),
    };
    check_mounts(request, &config, full, source.running)?;
    if target != request.node {
        crate::migration::check_shared_container(request, &config, &target)?;
    }
    Ok(request.task("vzclone", &vmid.to_string(), |request, outcome| {
        copy(request, outcome, new, &config, full)?;
        if let Some(guest) = request.state.guests.get_mut(&new) {
            guest.node = target;
        }
        guests::copy_firewall(request.state, vmid, new);
        Ok(())
    }))
}

/// Only volumes can be cloned: linked ones from a base volume or a snapshot, others from what does not change meanwhile.
fn check_mounts(request: &Request<'_>, config: &Options, full: bool, running: bool) -> Result<(), Failure> {
    let snapshot = request.get("snapname").is_some();
    for (name, text) in config.iter().filter(|(name, _)| mounts::is_mount(name)) {
        let Some(values) = mounts::parse(name, text) else { continue };
        let volume = &values["volume"];
        if volume.starts_with('/') {
            let kind = if volume.starts_with("/dev/") { "device" } else { "bind" };
            return Err(Failure::died(format!("unable to clone mountpoint '{name}' (type {kind})")));
        }
        if full && running && !snapshot {
            return Err(Failure::died("Full clone of a running container is only possible from a snapshot"));
        }
        if full {
            continue;
        }
        let block = volumes::split(volume)
            .and_then(|(storage, _)| request.state.storages.get(storage))
            .is_some_and(volumes::is_block);
        if !block || !(snapshot || volume.contains("base-")) {
            return Err(Failure::died(format!("Linked clone feature for '{volume}' is not available")));
        }
    }
    Ok(())
}

/// A network card with a new address.
pub(super) fn fresh_addresses(state: &State, text: &str) -> String {
    text.split(',')
        .map(|part| match part.strip_prefix("hwaddr=") {
            Some(_) => format!("hwaddr={}", guests::new_mac(state)),
            None => part.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn copy(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    new: u32,
    config: &Options,
    full: bool,
) -> Result<(), Failure> {
    outcome.say(format!("creating a clone of container {} with ID {new}", request.vmid()));
    let mut guest = Guest::new(KIND, request.now, &request.node);
    let mut ordered: Vec<(&String, &String)> = config.iter().collect();
    ordered.sort_by_key(|(name, _)| *name != "rootfs");
    for (name, text) in ordered {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        let text = match stem {
            "template" | "lock" | "parent" | "unused" => continue,
            "net" => fresh_addresses(request.state, text),
            _ if mounts::is_mount(name) => copy_mount(request, outcome, new, name, text, full)?,
            _ => text.clone(),
        };
        guest.config.insert(name.clone(), text);
    }
    if let Some(hostname) = request.get("hostname") {
        guest.config.insert("hostname".to_owned(), hostname.to_owned());
    }
    if let Some(description) = request.get("description") {
        guest.config.insert("description".to_owned(), format!("{}\n", description.trim_end()));
    }
    guest.config.insert("lock".to_owned(), "create".to_owned());
    outcome.effects.push(Effect::RemoveOption { guest: new, key: "lock".to_owned() });
    guest.busy_until = request.guest(KIND)?.busy_until.max(request.now)
        + request.options.duration_of("vzclone").as_millis() as u64;
    request.state.guests.insert(new, guest);
    guests::join_pool(request, new);
    Ok(())
}

fn copy_mount(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    new: u32,
    name: &str,
    text: &str,
    full: bool,
) -> Result<String, Failure> {
    let Some(mut values) = mounts::parse(name, text) else { return Ok(text.to_owned()) };
    let source = values.get("volume").cloned().unwrap_or_default();
    let Some(volume) = request.state.volumes.get(&source).cloned() else {
        if source.starts_with('/') {
            return Ok(text.to_owned());
        }
        return Err(volumes::missing_volume(request.state, &source));
    };
    let storage = volumes::split(&source).map_or(String::new(), |(storage, _)| storage.to_owned());
    let target = request.get("storage").map(str::to_owned).unwrap_or(storage);
    let wanted = Allocation {
        storage: &target,
        owner: new,
        kind: KIND,
        format: Some(&volume.format),
        bytes: volume.size,
        now: request.seconds(),
    };
    let what = if full { "full clone of mountpoint" } else { "linked clone of mount point" };
    outcome.say(format!("create {what} {name} ({source})"));
    let id = volumes::allocate(request.state, outcome, &wanted)?;
    if let Some(copy) = request.state.volumes.get_mut(&id) {
        copy.parent = (!full).then(|| source.clone());
        values.insert("size".to_owned(), volumes::format_size(copy.size));
    }
    values.insert("volume".to_owned(), id);
    Ok(mounts::print(name, &values))
}

/// `POST template`: answers null.
pub(crate) fn template(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    if !guest.snapshots.is_empty() {
        return Err(Failure::died("unable to create template, because CT contains snapshots"));
    }
    if guest.is_template() || guest.converting {
        return Err(Failure::died("you can't convert a template to a template"));
    }
    if guest.running {
        return Err(Failure::died("you can't convert a CT to template if the CT is running"));
    }
    let vmid = request.vmid();
    // The work is done by a task that the answer does not name.
    request.task("vztemplate", &vmid.to_string(), |request, outcome| {
        request.guest_mut(KIND)?.converting = true;
        outcome.effects.push(Effect::MakeTemplate(vmid));
        Ok(())
    });
    Ok(Value::Null)
}

/// Renames the volumes of a container to base volumes and marks it.
pub(crate) fn make_template(state: &mut State, vmid: u32) {
    let Some(guest) = state.guests.get(&vmid) else { return };
    let mut config = guest.config.clone();
    for (name, text) in config.iter_mut().filter(|(name, _)| mounts::is_mount(name)) {
        if let Some(mut values) = mounts::parse(name, text) {
            let base = crate::qemu::to_base(state, &mut Outcome::default(), &values["volume"]);
            values.insert("volume".to_owned(), base);
            *text = mounts::print(name, &values);
        }
    }
    config.insert("template".to_owned(), "1".to_owned());
    if let Some(guest) = state.guests.get_mut(&vmid) {
        guest.config = config;
        guest.converting = false;
    }
}

/// `GET feature`.
pub(crate) fn feature(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND)?;
    if let Some(name) = request.get("snapname").filter(|name| !guest.snapshots.contains_key(*name)) {
        return Err(Failure::died(format!("snapshot '{name}' does not exist")));
    }
    let block = guest.config.iter().filter(|(name, _)| mounts::is_mount(name)).all(|(_, text)| {
        volumes::split(text)
            .and_then(|(storage, _)| request.state.storages.get(storage))
            .is_some_and(volumes::is_block)
    });
    let has = match request.get("feature") {
        Some("copy") => true,
        Some("clone") => block && guest.is_template(),
        _ => block,
    };
    Ok(json!({ "hasFeature": u8::from(has) }))
}
