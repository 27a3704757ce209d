//! Changing the configuration of a container.

use serde_json::Value;

use super::{KIND, mounts};
use crate::access::guest_options;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema::{self, property_string};
use crate::state::{Guest, Options, State};
use crate::volumes;

const CALL_PARAMETERS: &[&str] = &[
    "node",
    "vmid",
    "digest",
    "delete",
    "revert",
    "bwlimit",
    "force",
    "ha-managed",
    "ignore-unpack-errors",
    "ostemplate",
    "password",
    "pool",
    "restore",
    "ssh-public-keys",
    "start",
    "storage",
    "unique",
];

const REQUIRED: &[&str] = &["rootfs", "memory", "swap", "ostype"];

/// The options among the request's parameters.
pub(crate) fn options(request: &Request<'_>) -> Options {
    request
        .parameters
        .iter()
        .filter(|(name, _)| !CALL_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Refuses what only root itself may have.
pub(crate) fn check_root_options(request: &Request<'_>, options: &Options) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    for (name, text) in options {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "features" if text.split(',').any(|part| !part.starts_with("nesting=")) => {
                let text = "changing feature flags (except nesting) is only allowed for root@pam";
                return Err(Failure::forbidden(text));
            }
            "hookscript" => {
                return Err(Failure::forbidden("changing the hookscript is only allowed for root@pam"));
            }
            "dev" => {
                return Err(Failure::forbidden(
                    "configuring device passthrough is only allowed for root@pam",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Rewrites values to what the configuration file has.
pub(crate) fn normalise(state: &State, options: &mut Options) {
    for (name, value) in options.iter_mut() {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "net" => *value = network_card(state, name, value),
            "tags" => *value = guests::normalise_tags(value),
            "description" => *value = format!("{}\n", value.trim_end()),
            _ => {}
        }
    }
}

fn network_card(state: &State, name: &str, text: &str) -> String {
    let Some(keys) = schema::lookup(schema::container(), name).and_then(schema::format_keys) else {
        return text.to_owned();
    };
    let Ok(mut values) = property_string::parse(keys, text) else { return text.to_owned() };
    values.entry("hwaddr".to_owned()).or_insert_with(|| guests::new_mac(state));
    values.entry("type".to_owned()).or_insert_with(|| "veth".to_owned());
    property_string::print(keys, &values)
}

fn names(request: &Request<'_>, parameter: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for item in schema::formats::split_list(request.get(parameter).unwrap_or_default()) {
        if schema::lookup(schema::container(), item).is_none() || CALL_PARAMETERS.contains(&item) {
            return Err(Failure::parameter(parameter, format!("unknown option '{item}'")));
        }
        names.push(item.to_owned());
    }
    Ok(names)
}

/// `PUT config`.
pub(crate) fn update(request: &mut Request<'_>) -> Answer {
    let mut set = options(request);
    if set.is_empty() && request.get("delete").is_none() && request.get("revert").is_none() {
        return Err(Failure::died("no options specified"));
    }
    let delete = names(request, "delete")?;
    let revert = names(request, "revert")?;
    check_root_options(request, &set)?;
    let vmid = request.vmid();
    guest_options::check_options(request, KIND, vmid, delete.iter().chain(set.keys()))?;
    guest_options::check_resources(request, KIND, vmid, &set)?;
    for (name, text) in &set {
        if mounts::is_mount(name)
            && name != "rootfs"
            && let Some(values) = mounts::parse(name, text)
        {
            mounts::check(request, &values)?;
        }
    }
    let guest = request.guest(KIND)?;
    let modified = "detected modified configuration - file changed by other user? Try again.";
    request.check_digest(&guests::digest(guest), modified)?;
    guests::check_lock(guest)?;
    if set.contains_key("unprivileged") {
        return Err(Failure::died("unable to modify read-only option: 'unprivileged'"));
    }
    if let Some(name) = delete.iter().find(|name| REQUIRED.contains(&name.as_str())) {
        return Err(Failure::died(format!("unable to delete required option '{name}'")));
    }
    if let Some(name) = delete.iter().find(|name| guest.is_protected() && mounts::is_mount(name)) {
        return Err(Failure::died(format!(
            "can't remove CT {} drive '{name}' - protection mode enabled",
            request.vmid()
        )));
    }
    normalise(request.state, &mut set);
    let before = request.state.clone();
    if let Err(failure) = apply(request, set, &delete, &revert) {
        *request.state = before;
        return Err(failure);
    }
    let guest = request.guest(KIND)?;
    // The configuration is written first, and read again by what writes the container's own files.
    if !guest.running && !guest.config.contains_key("arch") {
        let text = "missing 'arch' - internal error at /usr/share/perl5/PVE/LXC.pm line 729.";
        return Err(Failure::died(text));
    }
    Ok(Value::Null)
}

fn apply(
    request: &mut Request<'_>,
    set: Options,
    delete: &[String],
    revert: &[String],
) -> Result<(), Failure> {
    let vmid = request.vmid();
    for name in revert {
        request.guest_mut(KIND)?.pending.remove(name);
    }
    for name in delete {
        delete_option(request, vmid, name)?;
    }
    for (name, text) in set {
        let text = match mounts::parse(&name, &text).filter(|_| mounts::is_mount(&name) && name != "rootfs") {
            Some(values) => mounts::realise(request, &mut Outcome::default(), vmid, &name, values)?,
            None => text,
        };
        set_option(request, vmid, &name, text)?;
    }
    if !request.guest(KIND)?.running {
        apply_pending(request, vmid);
    }
    Ok(())
}

/// Changes that a running container takes at once (PVE::LXC::Config, `vmconfig_hotplug_pending`).
fn takes_effect(guest: &Guest, name: &str, deleted: bool) -> bool {
    if !guest.running {
        return true;
    }
    let stem = schema::indexed(name).map_or(name, |(stem, _)| stem);
    match stem {
        "mp" => !deleted && !guest.config.contains_key(name),
        "memory" | "swap" | "cores" | "cpulimit" | "cpuunits" | "hostname" | "net" | "tags"
        | "description" | "onboot" | "startup" | "protection" | "unused" | "hookscript" | "lock"
        | "template" | "timezone" => true,
        _ => false,
    }
}

fn set_option(request: &mut Request<'_>, vmid: u32, name: &str, text: String) -> Result<(), Failure> {
    let guest = request.guest_mut(KIND)?;
    if !takes_effect(guest, name, false) {
        if guest.config.get(name) == Some(&text) {
            guest.pending.remove(name);
        } else {
            guest.pending.insert(name.to_owned(), Some(text));
        }
        return Ok(());
    }
    guest.pending.remove(name);
    if mounts::is_mount(name) && name != "rootfs" {
        let volume = crate::qemu::drives::file_of(&text);
        guest.config.retain(|key, value| !(key.starts_with("unused") && *value == volume));
        if let Some(old) = guest.config.remove(name).filter(|old| crate::qemu::drives::file_of(old) != volume)
        {
            mounts::release(&mut guest.config, vmid, &old);
        }
    }
    guest.config.insert(name.to_owned(), text);
    Ok(())
}

fn delete_option(request: &mut Request<'_>, vmid: u32, name: &str) -> Result<(), Failure> {
    let guest = request.guest_mut(KIND)?;
    let Some(old) = guest.config.get(name).cloned() else {
        guest.pending.remove(name);
        return Ok(());
    };
    if !takes_effect(guest, name, true) {
        guest.pending.insert(name.to_owned(), None);
        return Ok(());
    }
    guest.config.remove(name);
    guest.pending.remove(name);
    if name.starts_with("unused") {
        let used = guest.config.values().any(|text| crate::qemu::drives::file_of(text) == old);
        if !used && volumes::owner(&old) == Some(vmid) {
            request.state.volumes.remove(&old);
        }
    } else if mounts::is_mount(name) {
        mounts::release(&mut guest.config, vmid, &old);
    }
    Ok(())
}

/// Makes pending changes real, as a start does.
pub(crate) fn apply_pending(request: &mut Request<'_>, vmid: u32) {
    let Some(guest) = request.state.guests.get_mut(&vmid) else { return };
    for (name, value) in std::mem::take(&mut guest.pending) {
        let old = match value {
            Some(text) => guest.config.insert(name.clone(), text),
            None => guest.config.remove(&name),
        };
        if let Some(old) = old.filter(|_| mounts::is_mount(&name) && name != "rootfs") {
            mounts::release(&mut guest.config, vmid, &old);
        }
    }
}
