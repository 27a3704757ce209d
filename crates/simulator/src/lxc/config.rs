//! Changing the configuration of a container.

use std::collections::BTreeMap;

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

const REQUIRED: &[&str] = &["rootfs", "memory", "ostype"];

/// The options among the request's parameters.
pub(crate) fn options(request: &Request<'_>) -> Options {
    request
        .parameters
        .iter()
        .filter(|(name, _)| !CALL_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Refuses what only root itself may have; `old` is the present configuration.
pub(crate) fn check_root_options(
    request: &Request<'_>,
    old: &Options,
    (options, delete): (&Options, &[String]),
    unprivileged: bool,
) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    let refuse = |text: &str| Err(Failure::forbidden(text));
    let none = String::new();
    for (name, text) in delete.iter().map(|name| (name, &none)).chain(options) {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "features" if !unprivileged => {
                return refuse(
                    "changing feature flags for privileged container is only allowed for root@pam",
                );
            }
            "features" if changes_features(old.get(name), text) => {
                return refuse("changing feature flags (except nesting) is only allowed for root@pam");
            }
            "hookscript" => return refuse("changing the hookscript is only allowed for root@pam"),
            "dev" => return refuse("configuring device passthrough is only allowed for root@pam"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether other features than nesting come, go or change.
fn changes_features(old: Option<&String>, new: &str) -> bool {
    let features = |text: &str| -> Vec<String> {
        let mut parts: Vec<String> = text
            .split(',')
            .filter(|part| !part.is_empty() && !part.starts_with("nesting="))
            .map(str::to_owned)
            .collect();
        parts.sort();
        parts
    };
    old.map(|old| features(old)).unwrap_or_default() != features(new)
}

/// Rewrites values to what the configuration file has.
pub(crate) fn normalise(state: &State, options: &mut Options) {
    for (name, value) in options.iter_mut() {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "net" => *value = network_card(state, name, value),
            "tags" => *value = guests::normalise_tags(value),
            "description" => *value = format!("{}\n", value.trim_end()),
            "nameserver" | "searchdomain" => {
                *value = schema::formats::split_list(value).collect::<Vec<_>>().join(" ");
            }
            // Control groups of the second version go no further.
            "cpuunits" if value.parse().is_ok_and(|units: u64| units > 10_000) => *value = "10000".to_owned(),
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
    let vmid = request.vmid();
    let guest = request.guest(KIND)?;
    guests::check_lock(guest)?;
    request.check_digest(&guests::digest(guest), MODIFIED)?;
    let revert = names(request, "revert")?;
    check_once("revert", "'-revert", &revert, |name| set.contains_key(name))?;
    let delete = names(request, "delete")?;
    check_once("delete", "-delete", &delete, |name| set.contains_key(name))?;
    if let Some(both) = delete.iter().find(|name| revert.contains(name)) {
        let text = format!("you can't use '-delete {both}' and '-revert {both}' at the same time");
        return Err(Failure::parameter("delete", text));
    }
    let unprivileged = guest.config.get("unprivileged").is_some_and(|value| value == "1");
    check_root_options(request, &guest.config, (&set, &delete), unprivileged)?;
    guest_options::check_options(request, KIND, vmid, delete.iter().chain(set.keys()))?;
    guest_options::check_resources(request, KIND, vmid, &set)?;
    for (name, text) in &set {
        if mounts::is_mount(name)
            && name != "rootfs"
            && let Some(values) = mounts::parse(name, text)
        {
            mounts::check_change(request, &values)?;
        }
        if name == "hookscript" {
            guests::check_hook_script(request, text)?;
        }
    }
    check_against(request.guest(KIND)?, vmid, &set, &delete)?;
    normalise(request.state, &mut set);
    let before = request.state.clone();
    match apply(request, set, &delete, &revert) {
        Ok(told) if !told.is_empty() => {
            *request.state = before;
            return Err(Failure::parameters(told));
        }
        Ok(_) => {}
        Err(failure) => {
            *request.state = before;
            return Err(failure);
        }
    }
    let guest = request.guest(KIND)?;
    // The configuration is written first, and read again by what writes the container's own files.
    if !guest.running && !guest.config.contains_key("arch") {
        let text = "missing 'arch' - internal error at /usr/share/perl5/PVE/LXC.pm line 729.";
        return Err(Failure::died(text));
    }
    Ok(Value::Null)
}

const MODIFIED: &str = "detected modified configuration - file changed by other user? Try again.";

/// Refuses to set what is deleted or reverted in the same call.
fn check_once(
    parameter: &str,
    shown: &str,
    names: &[String],
    set: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    match names.iter().find(|name| set(name)) {
        Some(name) => {
            let text = format!("you can't use '-{name}' and {shown} {name}' at the same time");
            Err(Failure::parameter(parameter, text))
        }
        None => Ok(()),
    }
}

/// What the present configuration does not let happen (PVE::LXC::Config, `update_pct_config`). What is not set is not
/// deleted, and nothing is said about it.
fn check_against(guest: &Guest, vmid: u32, set: &Options, delete: &[String]) -> Result<(), Failure> {
    let refuse = |text: String| Err(Failure::died(text));
    let present = |name: &&String| guest.config.contains_key(*name) || guest.pending.contains_key(*name);
    for name in delete.iter().filter(present) {
        if REQUIRED.contains(&name.as_str()) {
            return refuse(format!("unable to delete required option '{name}'"));
        }
        if guest.is_protected() && (mounts::is_mount(name) || name.starts_with("unused")) {
            return refuse(format!("can't remove CT {vmid} drive '{name}' - protection mode enabled"));
        }
        if name == "unprivileged" {
            return refuse(format!("unable to delete read-only option: '{name}'"));
        }
    }
    for (name, text) in set {
        if guest.is_protected() && mounts::is_mount(name) {
            return refuse(format!("can't update CT {vmid} drive '{name}' - protection mode enabled"));
        }
        if name == "unprivileged" {
            return refuse(format!("unable to modify read-only option: '{name}'"));
        }
        if name.starts_with("net") {
            check_card(name, text)?;
        }
    }
    Ok(())
}

fn check_card(name: &str, text: &str) -> Result<(), Failure> {
    let part = |key: &str| text.split(',').find_map(|part| part.strip_prefix(key));
    // Bridges here have the usual size of packets.
    if let Some(mtu) = part("mtu=").and_then(|text| text.parse::<u32>().ok()).filter(|mtu| *mtu > 1500) {
        return Err(Failure::died(format!("{name}: MTU size '{mtu}' is bigger than bridge MTU '1500'")));
    }
    if part("host-managed=") == Some("1") && part("ip6=") == Some("auto") && part("link_down=") != Some("1") {
        let text = format!("{name}: SLAAC is not supported for host-managed network configuration.");
        return Err(Failure::died(text));
    }
    Ok(())
}

fn apply(
    request: &mut Request<'_>,
    set: Options,
    delete: &[String],
    revert: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut told = BTreeMap::new();
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
        if let Some(text) = plug_problem(request, &name, &text)? {
            told.insert(name.clone(), text);
            continue;
        }
        set_option(request, vmid, &name, text)?;
    }
    if !request.guest(KIND)?.running {
        apply_pending(request, vmid);
    }
    Ok(told)
}

/// Why a card does not get to its bridge in a running container, if it does not. Nothing of such a call is kept: its
/// configuration is not written.
fn plug_problem(request: &Request<'_>, name: &str, text: &str) -> Result<Option<String>, Failure> {
    let guest = request.guest(KIND)?;
    let card = schema::indexed(name).is_some_and(|(stem, _)| stem == "net");
    let part =
        |text: &str, key: &str| text.split(',').find_map(|part| part.strip_prefix(key).map(str::to_owned));
    let Some(bridge) = part(text, "bridge=").filter(|_| card && guest.running) else { return Ok(None) };
    let same = guest.config.get(name).is_some_and(|old| part(old, "bridge=").as_ref() == Some(&bridge));
    if same || crate::nodes::has_bridge(request, &bridge) {
        return Ok(None);
    }
    Ok(Some(format!("unable to hotplug {name}: bridge '{bridge}' is neither a linux nor an OVS bridge!\n")))
}

/// Changes that a running container takes at once (PVE::LXC::Config, `vmconfig_hotplug_pending`).
fn takes_effect(guest: &Guest, name: &str, deleted: bool) -> bool {
    if !guest.running {
        return true;
    }
    let stem = schema::indexed(name).map_or(name, |(stem, _)| stem);
    match stem {
        // What is there is not changed under the container.
        "mp" | "dev" => !deleted && !guest.config.contains_key(name),
        "memory" => !deleted,
        "swap" | "cores" | "cpulimit" | "cpuunits" | "hostname" | "net" | "tags" | "description"
        | "onboot" | "startup" | "protection" | "unused" | "hookscript" | "lock" => true,
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
        let snapshots = guest.snapshots.values().map(|snapshot| &snapshot.config);
        let mut texts = snapshots.chain([&guest.config]).flat_map(|config| config.values());
        let used = texts.any(|text| crate::qemu::drives::file_of(text) == old);
        drop(texts);
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
    mounts::forget_used(&mut guest.config);
}
