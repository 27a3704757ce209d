//! Moving guests between nodes (PVE::QemuMigrate, PVE::LXC::Migrate): disks on local storages are copied and keep
//! their names.

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::guests;
use crate::qemu::drives;
use crate::request::{Answer, Outcome, Request};
use crate::state::{Effect, GuestKind, Options};
use crate::volumes;

/// Refuses a node that is not in the cluster.
pub(crate) fn check_target(request: &Request<'_>, target: &str) -> Result<(), Failure> {
    if target == "localhost" || request.options.nodes().any(|node| node == target) {
        return Ok(());
    }
    Err(Failure::died(format!("no such cluster node '{target}'")))
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

fn others(request: &Request<'_>) -> Vec<String> {
    request.options.nodes().filter(|node| **node != request.node).cloned().collect()
}

/// `GET migrate`: what stands in the way; does not look at `target`.
pub(crate) fn preconditions(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let guest = request.guest(kind)?;
    let running = u8::from(guest.running);
    let allowed = others(request);
    if kind == GuestKind::Lxc {
        return Ok(json!({ "running": running, "allowed-nodes": allowed, "not-allowed-nodes": {} }));
    }
    // Every other node has its entry here, with the reasons if there are any.
    let refused: Map<String, Value> = allowed.iter().map(|node| (node.clone(), json!({}))).collect();
    let local: Vec<Value> = attached(&guest.config)
        .iter()
        .filter(|(_, file)| is_local(request, file))
        .map(|(name, file)| local_disk(&guest.config, name, file))
        .collect();
    let managed = crate::ha::is_managed(request.state, request.vmid());
    let mut answer = json!({
        "running": running, "allowed_nodes": allowed, "not_allowed_nodes": refused, "local_disks": local,
        "local_resources": [], "mapped-resources": [], "mapped-resource-info": {}, "has-dbus-vmstate": 1,
    });
    if managed {
        answer["dependent-ha-resources"] = json!([]);
    }
    Ok(answer)
}

fn local_disk(config: &Options, name: &str, file: &str) -> Value {
    let values = drives::parse(name, &config[name]).unwrap_or_default();
    let unused = drives::is_unused(name);
    let mut row = json!({
        "volid": file, "is_attached": u8::from(!unused), "is_unused": u8::from(unused), "shared": 0, "replicate": 1,
        "cdrom": u8::from(drives::is_cdrom(&values)), "is_cloudinit": u8::from(drives::is_cloud_init(&values)),
        "is_tpmstate": u8::from(name == "tpmstate0"), "is_vmstate": 0,
    });
    if !unused {
        row["drivename"] = json!(name);
        row["size"] = json!(guests::disk_size(config, name));
    }
    row
}

/// `POST migrate`.
pub(crate) fn migrate(request: &mut Request<'_>, kind: GuestKind) -> Answer {
    let (vmid, target) = (request.vmid(), request.text("target"));
    if target == request.node || target == "localhost" {
        return Err(Failure::parameter("target", "target is local node."));
    }
    check_target(request, &target)?;
    let guest = request.guest(kind)?;
    guests::check_lock(guest)?;
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
    check_storage(request, kind)?;
    if crate::ha::is_managed(request.state, vmid) {
        return crate::ha::request_migration(request, vmid, target);
    }
    let name = if kind == GuestKind::Qemu { "qmigrate" } else { "vzmigrate" };
    Ok(request.task(name, &vmid.to_string(), |request, outcome| {
        let clock = crate::tasks::clock(request.seconds());
        let mut log = Vec::new();
        let moved = transfer(request, kind, vmid, &target, &mut log);
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

fn check_storage(request: &Request<'_>, kind: GuestKind) -> Result<(), Failure> {
    let (parameter, text) = match kind {
        GuestKind::Qemu => ("targetstorage", "vm images"),
        GuestKind::Lxc => ("target-storage", "CT rootdirs"),
    };
    let Some(storage) = request.get(parameter).filter(|storage| *storage != "1" && !storage.contains(':'))
    else {
        return Ok(());
    };
    let content = if kind == GuestKind::Qemu { "images" } else { "rootdir" };
    if volumes::allows(volumes::storage(request.state, storage)?, content) {
        return Ok(());
    }
    Err(Failure::died(format!("storage '{storage}' does not support {text}")))
}

/// Copies the local disks; says what the real tasks say.
fn transfer(
    request: &mut Request<'_>,
    kind: GuestKind,
    vmid: u32,
    target: &str,
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
        log.push(format!("successfully imported '{file}'"));
        log.push(format!("volume '{file}' is '{file}' on the target"));
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

/// The guest stays locked on its node until the task ends.
fn finish(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32, node: String, running: bool) {
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.config.insert("lock".to_owned(), "migrate".to_owned());
    }
    outcome.effects.push(Effect::Move { guest: vmid, node, running });
}
