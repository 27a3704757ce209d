//! Options of a machine come and go: at once, or as changes that wait for a stop (PVE::QemuServer,
//! `vmconfig_hotplug_pending` and `vmconfig_apply_pending`).

use super::hotplug::{self, Plug};
use super::{KIND, drives};
use crate::failure::Failure;
use crate::request::Request;
use crate::state::{Guest, Options};
use crate::volumes;

/// Takes waiting changes back. A new disk that waited is left over as an unused one.
pub(super) fn revert(request: &mut Request<'_>, names: &[String]) -> Result<(), Failure> {
    let vmid = request.vmid();
    for name in names {
        let guest = request.guest_mut(KIND)?;
        guest.forced.remove(name);
        let Some(Some(text)) = guest.pending.remove(name) else { continue };
        if drives::is_drive(name)
            && guest.config.get(name).map(|old| drives::file_of(old)) != Some(drives::file_of(&text))
        {
            let mut config = guest.config.clone();
            drives::release(request.state, &mut config, vmid, name, &text);
            request.guest_mut(KIND)?.config = config;
        }
    }
    Ok(())
}

/// Sets one option. The text of what could not be plugged into the running machine: it waits then.
pub(super) fn set_option(
    request: &mut Request<'_>,
    vmid: u32,
    name: &str,
    text: String,
) -> Result<Option<String>, Failure> {
    let guest = request.guest(KIND)?;
    let plug = hotplug::plug(request, guest, name, Some(&text));
    let mut config = guest.config.clone();
    let mut pending = guest.pending.clone();
    let file = drives::file_of(&text);
    if drives::is_drive(name) {
        config.retain(|key, value| !(drives::is_unused(key) && drives::file_of(value) == file));
        let waiting = pending.get(name).cloned().flatten().filter(|old| drives::file_of(old) != file);
        if let Some(old) = waiting {
            drives::release(request.state, &mut config, vmid, name, &old);
        }
    }
    if plug == Plug::Now {
        pending.remove(name);
        if name == "sockets" && request.get("smp").is_some() {
            config.remove("cores");
        }
        let old = config.insert(name.to_owned(), text);
        if let Some(old) = old.filter(|old| drives::is_drive(name) && drives::file_of(old) != file) {
            drives::release(request.state, &mut config, vmid, name, &old);
        }
    } else if config.get(name) == Some(&text) {
        pending.remove(name);
    } else {
        pending.insert(name.to_owned(), Some(text));
    }
    let guest = request.guest_mut(KIND)?;
    guest.config = config;
    guest.pending = pending;
    guest.forced.remove(name);
    Ok(failed(plug))
}

fn failed(plug: Plug) -> Option<String> {
    match plug {
        Plug::Fails(text) => Some(format!("hotplug problem - {text}")),
        Plug::Now | Plug::Waits => None,
    }
}

/// Deletes one option: drives become unused, unused disks are destroyed. The text of what could not be done: it
/// waits then.
pub(crate) fn delete_option(
    request: &mut Request<'_>,
    vmid: u32,
    name: &str,
    force: bool,
) -> Result<Option<String>, Failure> {
    let guest = request.guest(KIND)?;
    let mut config = guest.config.clone();
    let waiting = guest.pending.get(name).cloned().flatten();
    let Some(old) = config.get(name).cloned().or_else(|| waiting.clone()) else { return Ok(None) };
    let plug = hotplug::plug(request, guest, name, None);
    if drives::is_drive(name)
        && let Some(new) =
            waiting.filter(|new| drives::file_of(new) != drives::file_of(&old) || !config.contains_key(name))
    {
        drives::release(request.state, &mut config, vmid, name, &new);
    }
    if !config.contains_key(name) {
        let guest = request.guest_mut(KIND)?;
        guest.config = config;
        guest.pending.remove(name);
        return Ok(None);
    }
    let mut told = failed(plug.clone());
    if plug == Plug::Now {
        config.remove(name);
        let file = drives::file_of(&old);
        if drives::is_unused(name) || name == "vmstate" {
            deallocate(request, vmid, &config, &file)?;
        } else if let Err(failure) = remove_drive(request, vmid, &mut config, name, &old, force) {
            told = Some(format!("unable to apply pending change {name} : {}\n", failure.reason));
        }
    }
    let guest = request.guest_mut(KIND)?;
    if plug == Plug::Now && told.is_none() {
        guest.pending.remove(name);
    } else {
        config.insert(name.to_owned(), old);
        guest.pending.insert(name.to_owned(), None);
        if force {
            guest.forced.insert(name.to_owned());
        }
    }
    guest.config = config;
    Ok(told)
}

/// A drive that is deleted by force is destroyed, else it is unused.
fn remove_drive(
    request: &mut Request<'_>,
    vmid: u32,
    config: &mut Options,
    name: &str,
    old: &str,
    force: bool,
) -> Result<(), Failure> {
    if !drives::is_drive(name) {
        return Ok(());
    }
    if force && !drives::parse(name, old).is_some_and(|values| drives::is_cdrom(&values)) {
        return deallocate(request, vmid, config, &drives::file_of(old));
    }
    drives::release(request.state, config, vmid, name, old);
    Ok(())
}

/// Destroys the machine's own volume, if nothing else of it uses it.
fn deallocate(request: &mut Request<'_>, vmid: u32, config: &Options, file: &str) -> Result<(), Failure> {
    if volumes::owner(file) != Some(vmid) {
        return Ok(());
    }
    if is_used(request.guest(KIND)?, config, file) {
        return Err(Failure::died(format!("unable to delete '{file}' - volume is still in use (snapshot?)")));
    }
    if volumes::has_clones(request.state, file) {
        return Err(Failure::died(format!("base volume '{file}' is still in use by linked cloned")));
    }
    request.state.volumes.remove(file);
    Ok(())
}

/// Whether a drive of this configuration or of a snapshot is on the volume.
fn is_used(guest: &Guest, config: &Options, file: &str) -> bool {
    let snapshots = guest.snapshots.values().map(|snapshot| &snapshot.config);
    snapshots
        .chain([config])
        .any(|config| config.iter().any(|(key, text)| drives::is_drive(key) && drives::file_of(text) == file))
}

/// Makes pending changes real, as a start and a stop do. A disk that cannot be destroyed stays.
pub(crate) fn apply(request: &mut Request<'_>, vmid: u32) {
    let Some(guest) = request.state.guests.get(&vmid).cloned() else { return };
    let (mut config, mut pending) = (guest.config.clone(), guest.pending.clone());
    for (name, value) in &guest.pending {
        let (old, new) = match value {
            Some(text) => (config.insert(name.clone(), text.clone()), drives::file_of(text)),
            None => (config.remove(name), String::new()),
        };
        let drive = old.filter(|old| drives::is_drive(name) && drives::file_of(old) != new);
        if let Some(old) = drive {
            let file = drives::file_of(&old);
            if !guest.forced.contains(name) {
                drives::release(request.state, &mut config, vmid, name, &old);
            } else if is_used(&guest, &config, &file) {
                config.insert(name.clone(), old);
                continue;
            } else if volumes::owner(&file) == Some(vmid) {
                request.state.volumes.remove(&file);
            }
        }
        pending.remove(name);
    }
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.forced.retain(|name| pending.contains_key(name));
        guest.config = config;
        guest.pending = pending;
    }
}
