//! Containers from backups.

use super::{KIND, config, mounts};
use crate::access::guest_options;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::state::{Effect, Guest, Options};
use crate::{volumes, vzdump};

/// `POST /nodes/{node}/lxc` with `restore`: the call's options come before those of the backup.
pub(super) fn restore(request: &mut Request<'_>, options: Options) -> Answer {
    let vmid = request.vmid();
    guests::check_pool(request)?;
    guest_options::check_create(request, vmid)?;
    if let Some(other) = request.state.guests.get(&vmid) {
        let (label, node) = (other.kind.label(), &other.node);
        if !request.flag("force") {
            return Err(Failure::died(format!("{label} {vmid} already exists on node '{node}'")));
        }
        if other.running {
            return Err(Failure::died(format!("unable to restore CT {vmid} - container is running")));
        }
        if other.is_protected() {
            return Err(Failure::died(format!("unable to restore CT {vmid} - protection mode enabled")));
        }
    }
    let unprivileged = request.get("unprivileged").is_none_or(|value| value == "1");
    config::check_root_options(request, &Options::new(), (&options, &[]), unprivileged)?;
    let archive = request.text("ostemplate");
    Ok(request.task("vzrestore", &vmid.to_string(), |request, outcome| {
        build(request, outcome, vmid, options, &archive).map_err(|failure| {
            guests::remove_created(request.state, outcome);
            Failure::died(format!("unable to restore CT {vmid} - {}", failure.reason))
        })
    }))
}

fn build(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    mut options: Options,
    archive: &str,
) -> Result<(), Failure> {
    let Some(volume) = request.state.volumes.get(archive).filter(|volume| volume.backup.is_some()).cloned()
    else {
        return Err(volumes::missing_volume(request.state, archive));
    };
    outcome.say(format!("recovering backed-up configuration from '{archive}'"));
    let saved = vzdump::configuration(&volume);
    let storage = request.get("storage").map(str::to_owned);
    let own_mounts = options.keys().any(|name| mounts::is_mount(name));
    let mut guest = Guest::new(KIND, request.now, &request.node);
    let mut names: Vec<&String> = saved.keys().collect();
    names.sort_by_key(|name| (*name != "rootfs", name.len(), (*name).clone()));
    config::normalise(request.state, &mut options);
    for name in names {
        let text = &saved[name];
        let Some(mut values) = mounts::parse(name, text).filter(|_| mounts::is_mount(name)) else {
            let fresh = request.flag("unique") && name.starts_with("net");
            let text = if fresh { super::clone::fresh_addresses(request.state, text) } else { text.clone() };
            guest.config.insert(name.clone(), text);
            continue;
        };
        if own_mounts {
            continue;
        }
        let from =
            values.get("volume").and_then(|volume| volumes::split(volume)).map(|(name, _)| name.to_owned());
        let place = storage.clone().or(from).unwrap_or_else(|| "local".to_owned());
        let bytes = values.remove("size").and_then(|size| volumes::parse_size(&size)).unwrap_or(4 << 30);
        values.insert("volume".to_owned(), format!("{place}:{}", bytes as f64 / f64::from(1 << 30)));
        let text = mounts::realise(request, outcome, vmid, name, values)?;
        guest.config.insert(name.clone(), text);
    }
    for (name, text) in options.iter().filter(|(name, _)| mounts::is_mount(name)) {
        if let Some(values) = mounts::parse(name, text) {
            let text = mounts::realise(request, outcome, vmid, name, values)?;
            guest.config.insert(name.clone(), text);
        }
    }
    options.retain(|name, _| !mounts::is_mount(name));
    guest.config.extend(options);
    outcome.say(format!("restoring '{archive}' now.."));
    outcome.say(format!("extracting archive '{}'", volumes::path(request.state, archive)));
    outcome.say("Total bytes read: 2129920 (2.1MiB, 300MiB/s)");
    outcome.say("merging backed-up and given configuration..");
    replace(request, outcome, vmid);
    guest.template = Some(archive.to_owned());
    guest.config.insert("lock".to_owned(), "create".to_owned());
    outcome.effects.push(Effect::RemoveOption { guest: vmid, key: "lock".to_owned() });
    request.state.guests.insert(vmid, guest);
    guests::join_pool(request, vmid);
    Ok(())
}

/// The volumes of the container that is replaced go.
fn replace(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32) {
    let Some(old) = request.state.guests.get(&vmid) else { return };
    let files: Vec<String> = old
        .config
        .iter()
        .filter(|(name, _)| mounts::is_mount(name) || name.starts_with("unused"))
        .map(|(_, text)| crate::qemu::drives::file_of(text))
        .filter(|file| volumes::owner(file) == Some(vmid))
        .collect();
    for file in files {
        volumes::remove(request.state, outcome, &file);
    }
}
