//! Moving guests between nodes (PVE::QemuMigrate, PVE::LXC::Migrate): disks on local storages are copied and keep
//! their names.

use std::collections::BTreeMap;

mod preconditions;

pub(crate) use preconditions::preconditions;
use preconditions::{local_resources, mapped_resources};

use crate::failure::Failure;
use crate::guests;
use crate::qemu::drives;
use crate::request::{Answer, Outcome, Request};
use crate::schema::formats::split_list;
use crate::state::{Effect, GuestKind, Options};
use crate::volumes;

/// Refuses a node that is not in the cluster.
pub(crate) fn check_target(request: &Request<'_>, target: &str) -> Result<(), Failure> {
    if target == "localhost" || request.options.nodes().any(|node| node == target) {
        return Ok(());
    }
    Err(Failure::died(format!("no such cluster node '{target}'")))
}

/// Refuses a storage that a clone cannot be made on, for the node that the clone goes to.
pub(crate) fn check_clone_storage(request: &Request<'_>, storage: &str, target: &str) -> Result<(), Failure> {
    volumes::usable(request.state, storage, &request.node)?;
    if target == request.node || target == "localhost" {
        return Ok(());
    }
    if volumes::is_shared(volumes::usable(request.state, storage, target)?) {
        return Ok(());
    }
    Err(Failure::died(format!("can't clone to non-shared storage '{storage}'")))
}

/// Refuses to clone to another node what lies on local storages.
pub(crate) fn check_shared(request: &Request<'_>, config: &Options, target: &str) -> Result<(), Failure> {
    match attached(config).into_iter().find(|(_, file)| is_local(request, file)) {
        Some(_) => Err(Failure::died(format!("can't clone VM to node '{target}' (VM uses local storage)"))),
        None => Ok(()),
    }
}

/// The same for a container.
pub(crate) fn check_shared_container(
    request: &Request<'_>,
    config: &Options,
    target: &str,
) -> Result<(), Failure> {
    match attached(config).into_iter().find(|(_, file)| is_local(request, file)) {
        Some(_) => Err(Failure::died(format!("can't clone CT to node '{target}' (CT uses local storage)"))),
        None => Ok(()),
    }
}

fn is_local(request: &Request<'_>, file: &str) -> bool {
    let storage = volumes::split(file).and_then(|(storage, _)| request.state.storages.get(storage));
    storage.is_some_and(|options| options.get("shared").is_none_or(|value| value != "1"))
}

/// Volumes of a configuration with the options that name them, disks first.
fn attached(config: &Options) -> Vec<(String, String)> {
    let volume =
        |name: &str| drives::is_drive(name) || drives::is_unused(name) || crate::lxc::mounts::is_mount(name);
    let mut found: Vec<(String, String)> = config
        .iter()
        .filter(|(name, _)| volume(name))
        .map(|(name, text)| (name.clone(), drives::file_of(text)))
        .filter(|(_, file)| volumes::split(file).is_some())
        .collect();
    let medium = |name: &String| drives::parse(name, &config[name]).is_some_and(|v| drives::is_cdrom(&v));
    found.sort_by_key(|(name, _)| (name != "rootfs", medium(name)));
    found
}

/// The volumes of a guest that are on its node only.
pub(crate) fn local_volumes(request: &Request<'_>, vmid: u32) -> Vec<String> {
    let config = request.state.guests.get(&vmid).map(|guest| attached(&guest.config)).unwrap_or_default();
    config.into_iter().map(|(_, file)| file).filter(|file| is_local(request, file)).collect()
}

/// `POST migrate`.
pub(crate) fn migrate(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let (vmid, target) = (request.vmid(), request.text("target"));
    if target == request.node || target == "localhost" {
        return Err(Failure::parameter("target", "target is local node."));
    }
    check_target(request, &target)?;
    if kind == GuestKind::Qemu {
        let own = ["force", "migration_type", "migration_network"];
        let sent = own.into_iter().find(|name| request.get(name).is_some_and(|value| value != "0"));
        if let Some(name) = sent.filter(|_| !request.identity.is_root()) {
            return Err(Failure::parameter(name, "Only root may use this option."));
        }
        guests::check_lock(request.guest(kind)?)?;
    }
    let guest = request.guest(kind)?;
    let (running, online, restart) = (guest.running, request.flag("online"), request.flag("restart"));
    match kind {
        GuestKind::Qemu if running && !online => {
            return Err(Failure::died("can't migrate running VM without --online"));
        }
        GuestKind::Lxc if running && !online && !restart => {
            return Err(Failure::died("can't migrate running container without --online or --restart"));
        }
        _ => {}
    }
    let storages = check_storage(request, kind, &target)?;
    if crate::ha::is_managed(request.state, vmid) {
        return crate::ha::request_migration(request, vmid, target);
    }
    let name = if kind == GuestKind::Qemu { "qmigrate" } else { "vzmigrate" };
    Ok(request.task(name, &vmid.to_string(), |request, outcome| {
        let clock = crate::tasks::clock(request.seconds());
        let mut log = Vec::new();
        if let Some(text) = obstacle(request, kind)? {
            outcome.say(format!("{clock} ERROR: migration aborted (duration 00:00:00): {text}"));
            return Err(Failure::died("migration aborted"));
        }
        if let Some(text) = missing_storage(request, kind, &target, &storages)? {
            outcome.say(format!("{clock} ERROR: migration aborted (duration 00:00:00): {text}"));
            return Err(Failure::died("migration aborted"));
        }
        let moved = transfer(request, kind, vmid, &target, &storages, &mut log);
        for line in log {
            // What is done on this node's storages has no time in front.
            let plain = line.ends_with("successfully removed.");
            outcome.say(if plain { line } else { format!("{clock} {line}") });
        }
        moved?;
        if running && online && kind == GuestKind::Qemu && !request.options.live_migration {
            return Err(Failure::died("migration aborted"));
        }
        finish(request, outcome, vmid, target, running);
        Ok(())
    }))
}

/// Where volumes of a storage go: by its name, else to the storage without one, else to the same.
#[derive(Debug, Default)]
struct Storages {
    named: BTreeMap<String, String>,
    rest: Option<String>,
}

impl Storages {
    fn target<'a>(&'a self, storage: &'a str) -> &'a str {
        self.named.get(storage).or(self.rest.as_ref()).map_or(storage, String::as_str)
    }
}

/// Reads where the disks go and refuses what cannot take them there.
fn check_storage(request: &Request<'_>, kind: GuestKind, target: &str) -> Result<Storages, Failure> {
    let (parameter, content, text) = match kind {
        GuestKind::Qemu => ("targetstorage", "images", "vm images"),
        GuestKind::Lxc => ("target-storage", "rootdir", "CT rootdirs"),
    };
    let given = request.get(parameter).filter(|list| !list.is_empty());
    let mut storages = Storages::default();
    for item in split_list(given.unwrap_or_default()).filter(|item| *item != "1") {
        match item.split_once(':') {
            Some((from, to)) => {
                storages.named.insert(from.to_owned(), to.to_owned());
            }
            None => storages.rest = Some(item.to_owned()),
        }
    }
    for storage in storages.named.values().chain(&storages.rest) {
        let options = volumes::usable(request.state, storage, target)?;
        request.check(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
        if !volumes::allows(options, content) {
            return Err(Failure::died(format!("storage '{storage}' does not support {text}")));
        }
    }
    if kind == GuestKind::Qemu && given.is_none_or(|list| list == "1") {
        for (_, file) in
            attached(&request.guest(kind)?.config).iter().filter(|(name, _)| !drives::is_unused(name))
        {
            let storage = volumes::split(file).map_or("", |(storage, _)| storage);
            volumes::usable(request.state, storage, &request.node)?;
            volumes::usable(request.state, storage, target)?;
        }
    }
    Ok(storages)
}

/// Why a guest does not go at all, if it does not (PVE::QemuMigrate and PVE::LXC::Migrate, `prepare`).
fn obstacle(request: &Request<'_>, kind: GuestKind) -> Result<Option<String>, Failure> {
    let guest = request.guest(kind)?;
    if let Err(failure) = guests::check_lock(guest) {
        return Ok(Some(failure.reason));
    }
    if kind == GuestKind::Qemu {
        let mut devices = local_resources(&guest.config, guest.running);
        let mapped = mapped_resources(&guest.config);
        devices.retain(|name| !mapped.contains_key(name));
        let blocks = !devices.is_empty() && (guest.running || !request.flag("force"));
        return Ok(
            blocks.then(|| format!("can't migrate VM which uses local devices: {}", devices.join(", ")))
        );
    }
    if guest.running && request.flag("online") {
        return Ok(Some("lxc live migration is currently not implemented".to_owned()));
    }
    let mounts = guest.config.iter().filter(|(name, _)| crate::lxc::mounts::is_mount(name));
    for (name, text) in mounts {
        let shared = text.split(',').any(|part| part == "shared=1");
        let place = drives::file_of(text);
        if place.starts_with('/') && !shared {
            let kind = if place.starts_with("/dev/") { "device" } else { "bind" };
            return Ok(Some(format!("cannot migrate local {kind} mount point '{name}'")));
        }
    }
    Ok(None)
}

/// The storage that the other node does not have, of a container (PVE::LXC::Migrate, `prepare`).
fn missing_storage(
    request: &Request<'_>,
    kind: GuestKind,
    target: &str,
    storages: &Storages,
) -> Result<Option<String>, Failure> {
    if kind != GuestKind::Lxc {
        return Ok(None);
    }
    let mounts = attached(&request.guest(kind)?.config).into_iter();
    let refused = mounts.filter(|(name, _)| crate::lxc::mounts::is_mount(name)).find_map(|(_, file)| {
        let (storage, _) = volumes::split(&file)?;
        volumes::usable(request.state, storages.target(storage), target).err()
    });
    Ok(refused.map(|failure| failure.reason))
}

/// Copies the local disks; says what the real tasks say.
fn transfer(
    request: &mut Request<'_>,
    kind: GuestKind,
    vmid: u32,
    target: &str,
    storages: &Storages,
    log: &mut Vec<String>,
) -> Result<(), Failure> {
    let guest = request.guest(kind)?;
    let number = request.options.nodes().position(|node| node == target).unwrap_or(0);
    let address = crate::nodes::address(request.options, number);
    let restart = guest.running && request.flag("restart");
    if restart {
        log.push(format!("shutdown CT {vmid}"));
    }
    log.push(format!("starting migration of {} {vmid} to node '{target}' ({address})", kind.label()));
    let volumes: Vec<(String, String)> =
        attached(&guest.config).into_iter().filter(|(_, file)| is_local(request, file)).collect();
    let media = |name: &String| {
        let values = drives::parse(name, &guest.config[name]).unwrap_or_default();
        drives::is_cdrom(&values) && !drives::is_cloud_init(&values)
    };
    for (name, file) in &volumes {
        log.push(match kind {
            GuestKind::Qemu if drives::is_unused(name) => format!("found local disk '{file}' (unused)"),
            GuestKind::Qemu => format!("found local disk '{file}' (attached)"),
            GuestKind::Lxc => format!("found local volume '{file}' (in current VM config)"),
        });
    }
    if let Some((_, file)) = volumes.iter().find(|(name, _)| media(name)) {
        log.push(format!("can't migrate local disk '{file}': local cdrom image"));
        let problem = "Problem found while scanning volumes - can't migrate VM - check log";
        log.push(format!("ERROR: {problem}"));
        log.push("aborting phase 1 - cleanup resources".to_owned());
        log.push(format!("ERROR: migration aborted (duration 00:00:00): {problem}"));
        return Err(Failure::died("migration aborted"));
    }
    if kind == GuestKind::Qemu && !volumes.is_empty() {
        log.push("copying local disk images".to_owned());
    }
    let mut removed = Vec::new();
    for (_, file) in &volumes {
        let name = volumes::split(file).map_or("", |(_, name)| name);
        let block = volumes::path(request.state, file);
        if let Some(block) = block.strip_prefix("/dev/") {
            log.push(format!("  Logical volume \"{name}\" created."));
            log.push(format!("  Logical volume {block} changed."));
            removed.push(format!("  Logical volume \"{name}\" successfully removed."));
        }
        let (from, _) = volumes::split(file).unwrap_or_default();
        let to = storages.target(from);
        let new = if to == from { file.clone() } else { elsewhere(request, vmid, file, to) };
        if new != *file {
            replace(request, kind, file, &new)?;
        }
        log.push(format!("successfully imported '{new}'"));
        log.push(format!("volume '{file}' is '{new}' on the target"));
    }
    let command = format!(
        "# /usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias={target}' -o 'UserKnownHostsFile=/etc/pve/nodes/{target}/ssh_known_hosts' -o 'GlobalKnownHostsFile=none' root@{address}"
    );
    if kind == GuestKind::Lxc {
        log.push(format!("{command} pvesr set-state {vmid} \\''{{}}'\\'"));
    }
    log.append(&mut removed);
    if kind == GuestKind::Lxc {
        log.push("start final cleanup".to_owned());
    }
    if restart {
        log.push("start container on target node".to_owned());
        log.push(format!("{command} pct start {vmid}"));
    }
    log.push("migration finished successfully (duration 00:00:00)".to_owned());
    Ok(())
}

/// The name a volume gets on another storage.
fn elsewhere(request: &Request<'_>, vmid: u32, file: &str, storage: &str) -> String {
    let format = request.state.volumes.get(file).map_or("raw", |volume| volume.format.as_str());
    let block = request.state.storages.get(storage).is_some_and(volumes::is_block);
    let stem = file.rsplit(['/', ':']).next().unwrap_or_default().split('.').next().unwrap_or_default();
    let id = |stem: &str| {
        volumes::volume_id(request.state, storage, vmid, stem, if block { "raw" } else { format })
    };
    let same = id(stem);
    if !request.state.volumes.contains_key(&same) {
        return same;
    }
    id(&format!("vm-{vmid}-disk-{}", volumes::free_number(request.state, storage, vmid)))
}

/// Gives a volume another place, also where the guest and its snapshots name it.
fn replace(request: &mut Request<'_>, kind: GuestKind, file: &str, new: &str) -> Result<(), Failure> {
    if let Some(volume) = request.state.volumes.remove(file) {
        request.state.volumes.insert(new.to_owned(), volume);
    }
    let guest = request.guest_mut(kind)?;
    let snapshots = guest.snapshots.values_mut().map(|snapshot| &mut snapshot.config);
    for text in std::iter::once(&mut guest.config).chain(snapshots).flat_map(|config| config.values_mut()) {
        if drives::file_of(text) == file {
            *text = text.replacen(file, new, 1);
        }
    }
    Ok(())
}

/// The guest stays locked on its node until the task ends.
fn finish(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32, node: String, running: bool) {
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.config.insert("lock".to_owned(), "migrate".to_owned());
    }
    outcome.effects.push(Effect::Move { guest: vmid, node, running });
}
