//! Clones and templates of machines.

use serde_json::{Value, json};

use super::{KIND, drives};
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema::property_string::Values;
use crate::schema::{self};
use crate::state::{Effect, Guest, Options, State};
use crate::volumes::{self, Allocation};

/// `POST clone`.
pub(crate) fn clone(request: &mut Request<'_>) -> Answer {
    let (vmid, new) = (request.vmid(), request.number("newid").unwrap_or(0) as u32);
    let source = request.guest(KIND).map_err(|_| no_configuration(request))?.clone();
    guests::check_pool(request)?;
    let target =
        request.get("target").filter(|name| *name != "localhost").unwrap_or(&request.node).to_owned();
    crate::migration::check_target(request, &target)?;
    if let Some(storage) = request.get("storage") {
        volumes::usable(request.state, storage, &request.node)?;
        volumes::check_guest_storage(request.state, storage, KIND)?;
        crate::migration::check_clone_storage(request, storage, &target)?;
    }
    guests::check_lock(&source)?;
    let config = match request.get("snapname") {
        Some(name) => match source.snapshots.get(name) {
            Some(snapshot) => snapshot.config.clone(),
            None => return Err(Failure::died(format!("snapshot '{name}' does not exist"))),
        },
        None => source.effective(),
    };
    let full = match request.get("full") {
        Some(value) => value == "1",
        None => !source.is_template(),
    };
    if !full {
        for name in ["storage", "format"] {
            if request.get(name).is_some() {
                return Err(Failure::died(format!("parameter '{name}' not allowed for linked clones")));
            }
        }
    }
    if request.state.guests.contains_key(&new) {
        return Err(Failure::died(format!("unable to create VM {new}: config file already exists")));
    }
    let snapshot = request.get("snapname").is_some();
    if full && source.running && !snapshot && config.contains_key("tpmstate0") {
        return Err(Failure::died("cannot clone TPM state while VM is running"));
    }
    // Thin volumes can be linked to from their snapshots too.
    let linkable = |values: &Values| match snapshot {
        true => values.get("file").is_some_and(|file| drives::is_block(request.state, file)),
        false => is_base(values),
    };
    if !full && let Some((name, values)) = drives::disks(&config).iter().find(|(_, values)| !linkable(values))
    {
        let (file, of) = (&values["file"], if snapshot { " a snapshot of" } else { "" });
        let text = format!("Linked clone feature is not supported for{of} '{file}' ({name})");
        return Err(Failure::died(text));
    }
    if target != request.node {
        crate::migration::check_shared(request, &config, &target)?;
    }
    Ok(request.task("qmclone", &vmid.to_string(), |request, outcome| {
        copy(request, outcome, vmid, new, &config, full)?;
        if let Some(guest) = request.state.guests.get_mut(&new) {
            guest.node = target;
        }
        guests::copy_firewall(request.state, vmid, new);
        Ok(())
    }))
}

/// How calls that look the guest up by hand miss it.
pub(crate) fn no_configuration(request: &Request<'_>) -> Failure {
    let (vmid, node) = (request.vmid(), &request.node);
    Failure::died(format!("unable to find configuration file for VM {vmid} on node '{node}'"))
}

fn is_base(values: &Values) -> bool {
    let file = values.get("file").map(String::as_str).unwrap_or_default();
    file.rsplit(['/', ':']).next().is_some_and(|stem| stem.starts_with("base-"))
}

fn copy(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    new: u32,
    config: &Options,
    full: bool,
) -> Result<(), Failure> {
    outcome.say(format!("creating a clone of VM {vmid} with ID {new}"));
    let mut guest = Guest::new(KIND, request.now, &request.node);
    for (name, text) in config {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "template" | "lock" | "parent" | "unused" | "snapstate" | "snaptime" | "vmstate" => {}
            "net" => {
                guest.config.insert(name.clone(), fresh_mac(request.state, text));
            }
            "vmgenid" if text != "0" => {
                guest.config.insert(name.clone(), uuid::Uuid::new_v4().to_string());
            }
            "smbios1" => {
                guest.config.insert(name.clone(), fresh_uuid(text));
            }
            _ => {
                guest.config.insert(name.clone(), text.clone());
            }
        }
    }
    // Every machine has an identity of its own.
    guest.config.entry("smbios1".to_owned()).or_insert_with(|| format!("uuid={}", uuid::Uuid::new_v4()));
    let media = config.iter().filter(|(name, _)| drives::is_drive(name));
    for (name, text) in media {
        if let Some(values) = drives::parse(name, text) {
            let text = copy_drive(request, outcome, new, name, values, full)?;
            guest.config.insert(name.clone(), text);
        }
    }
    let meta = format!("creation-qemu=10.1.2,ctime={}", request.seconds());
    guest.config.insert("meta".to_owned(), meta);
    guest.config.insert(
        "name".to_owned(),
        request.get("name").map(str::to_owned).unwrap_or_else(|| {
            config
                .get("name")
                .map_or_else(|| format!("Copy-of-VM-{vmid}"), |name| format!("Copy-of-VM-{name}"))
        }),
    );
    if let Some(description) = request.get("description") {
        guest.config.insert("description".to_owned(), description.trim_end().to_owned());
    }
    guest.config.insert("lock".to_owned(), "clone".to_owned());
    guest.cloud_init = Some(guest.config.clone());
    outcome.effects.push(Effect::RemoveOption { guest: new, key: "lock".to_owned() });
    let ends = request.guest(KIND)?.busy_until.max(request.now)
        + request.options.duration_of("qmclone").as_millis() as u64;
    guest.busy_until = ends;
    request.state.guests.insert(new, guest);
    guests::join_pool(request, new);
    Ok(())
}

pub(super) fn fresh_mac(state: &State, text: &str) -> String {
    text.split(',')
        .map(|part| match part.split_once('=') {
            Some((model, address)) if address.len() == 17 && address.matches(':').count() == 5 => {
                format!("{model}={}", guests::new_mac(state))
            }
            _ => part.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn fresh_uuid(text: &str) -> String {
    if !text.split(',').any(|part| part.starts_with("uuid=")) {
        return format!("{text},uuid={}", uuid::Uuid::new_v4());
    }
    text.split(',')
        .map(|part| {
            if part.starts_with("uuid=") { format!("uuid={}", uuid::Uuid::new_v4()) } else { part.to_owned() }
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn copy_drive(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    new: u32,
    name: &str,
    mut values: Values,
    full: bool,
) -> Result<String, Failure> {
    let file = values.get("file").cloned().unwrap_or_default();
    let (storage, volume_name) =
        volumes::split(&file).map_or((String::new(), String::new()), |(a, b)| (a.to_owned(), b.to_owned()));
    let target = request.get("storage").map(str::to_owned).unwrap_or_else(|| storage.clone());
    let now = request.seconds();
    if drives::is_cloud_init(&values) {
        let block = volumes::is_block(volumes::storage(request.state, &target)?);
        let format =
            request.state.volumes.get(&file).map_or("qcow2".to_owned(), |volume| volume.format.clone());
        outcome.say(format!("create full clone of drive {name} ({file})"));
        let format = match request.get("format") {
            Some(format) if !block => format.to_owned(),
            _ if block => "raw".to_owned(),
            _ => format,
        };
        let wanted = Allocation {
            storage: &target,
            owner: new,
            kind: KIND,
            format: Some(&format),
            bytes: 4 << 20,
            now,
        };
        let stem = format!("vm-{new}-cloudinit");
        let id = volumes::allocate_named(request.state, outcome, &wanted, &stem)?;
        outcome.say(format!("allocated target volume '{id}'"));
        values.insert("file".to_owned(), id);
        values.insert("size".to_owned(), "4M".to_owned());
        return Ok(drives::print(name, &values));
    }
    if drives::is_cdrom(&values) {
        return Ok(drives::print(name, &values));
    }
    let volume = request.state.volumes.get(&file).cloned();
    let volume = volume.ok_or_else(|| volumes::missing_volume(request.state, &file))?;
    let id = if full {
        outcome.say(format!("create full clone of drive {name} ({file})"));
        let block = volumes::is_block(volumes::storage(request.state, &target)?);
        let format = request.get("format").map(str::to_owned).unwrap_or(volume.format.clone());
        let format = drives::target_format(outcome, &target, block, format);
        let wanted = Allocation {
            storage: &target,
            owner: new,
            kind: KIND,
            format: Some(&format),
            bytes: drives::copied_size(name, &values, block, volume.size),
            now,
        };
        let id = volumes::allocate(request.state, outcome, &wanted)?;
        outcome.say(format!("allocated target volume '{id}'"));
        let size = request.state.volumes.get(&id).map_or(volume.size, |volume| volume.size);
        values.insert("size".to_owned(), volumes::format_size(size));
        drives::say_copied(outcome, size);
        id
    } else {
        outcome.say(format!("create linked clone of drive {name} ({file})"));
        let id = linked(request, outcome, new, &storage, &volume_name, &file);
        // A thin volume's copy shows the volume's size, not the one that was asked for.
        if request.state.storages.get(&storage).is_some_and(volumes::is_block) {
            values.insert("size".to_owned(), volumes::format_size(volume.size));
        }
        id
    };
    values.insert("file".to_owned(), id);
    Ok(drives::print(name, &values))
}

fn linked(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    new: u32,
    storage: &str,
    base: &str,
    file: &str,
) -> String {
    let now = request.seconds();
    let number = volumes::free_number(request.state, storage, new);
    let block = request.state.storages.get(storage).is_some_and(volumes::is_block);
    let id = if block {
        format!("{storage}:vm-{new}-disk-{number}")
    } else {
        format!("{storage}:{base}/{new}/vm-{new}-disk-{number}.qcow2")
    };
    let size = request.state.volumes.get(file).map_or(0, |volume| volume.size);
    let mut volume = volumes::disk(KIND, if block { "raw" } else { "qcow2" }, size, new, now);
    volume.parent = Some(file.to_owned());
    if !block {
        let (folder, base_name) = base.rsplit_once('/').unwrap_or(("", base));
        let name = format!("vm-{new}-disk-{number}.qcow2");
        outcome.say(format!(
            "clone {folder}/{base_name}: images, {name}, {new} to {name} (base=../{folder}/{base_name})"
        ));
    }
    volumes::create(request.state, outcome, &id, volume);
    id
}

/// `POST template`.
pub(crate) fn template(request: &mut Request<'_>) -> Answer {
    let vmid = request.vmid();
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    let only = request.get("disk").map(str::to_owned);
    if !guest.snapshots.is_empty() {
        return Err(Failure::died("unable to create template, because VM contains snapshots"));
    }
    if guest.is_template() && only.is_none() {
        return Err(Failure::died("you can't convert a template to a template"));
    }
    if guest.running {
        return Err(Failure::died("you can't convert a VM to template if VM is running"));
    }
    Ok(request.task("qmtemplate", &vmid.to_string(), |request, outcome| {
        let config = request.guest(KIND)?.config.clone();
        let disks = drives::disks(&config);
        for (name, mut values) in
            disks.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name))
        {
            let file = values.get("file").cloned().unwrap_or_default();
            let base = to_base(request.state, outcome, &file);
            values.insert("file".to_owned(), base);
            let text = drives::print(&name, &values);
            request.guest_mut(KIND)?.config.insert(name, text);
        }
        request.guest_mut(KIND)?.config.insert("template".to_owned(), "1".to_owned());
        Ok(())
    }))
}

/// Renames a volume to its base name.
pub(crate) fn to_base(state: &mut crate::state::State, outcome: &mut Outcome, file: &str) -> String {
    let cut = file.rfind("vm-").filter(|at| file[..*at].ends_with(['/', ':']));
    let base = match cut {
        Some(at) => format!("{}base-{}", &file[..at], &file[at + 3..]),
        None => file.to_owned(),
    };
    volumes::rename(state, outcome, file, &base);
    base
}

/// `GET feature`.
pub(crate) fn feature(request: &mut Request<'_>) -> Answer {
    let guest = request.guest(KIND).map_err(|_| no_configuration(request))?;
    let config = match request.get("snapname") {
        None => guest.config.clone(),
        Some(name) => match guest.snapshots.get(name) {
            Some(snapshot) => snapshot.config.clone(),
            None => return Err(Failure::died(format!("snapshot '{name}' does not exist"))),
        },
    };
    let block_only = drives::disks(&config).iter().all(|(_, values)| {
        let file = values.get("file").map(String::as_str).unwrap_or_default();
        let block = volumes::split(file)
            .and_then(|(storage, _)| request.state.storages.get(storage))
            .is_some_and(volumes::is_block);
        block || request.state.volumes.get(file).is_some_and(|volume| volume.format == "qcow2")
    });
    let has = match request.get("feature") {
        Some("copy") => true,
        Some("clone") => drives::disks(&config).iter().all(|(_, values)| is_base(values)),
        _ => block_only,
    };
    let nodes: Vec<Value> = vec![json!(request.node)];
    Ok(json!({ "hasFeature": u8::from(has), "nodes": nodes }))
}
