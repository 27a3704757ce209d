//! Changing the configuration of a machine: `PUT` and `qm set` at once, `POST` as a task.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checks::{CALL_PARAMETERS, check_against, check_boot, check_root_options, check_values, options};
use super::values::{normalise, pin_machine};
use super::{KIND, drives, hotplug};
use crate::access::guest_options;
use crate::cluster::log;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema::property_string;
use crate::schema::{self};
use crate::state::Options;
use crate::volumes;

/// What a change of the configuration is about.
struct Change {
    set: Options,
    delete: Vec<String>,
    revert: Vec<String>,
    force: bool,
}

fn list(request: &Request<'_>, name: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for item in schema::formats::split_list(request.get(name).unwrap_or_default()) {
        let item = if item == "cdrom" { "ide2" } else { item };
        let known =
            schema::lookup(schema::virtual_machine(), item).is_some() && !CALL_PARAMETERS.contains(&item);
        if !known && item != "meta" {
            return Err(Failure::parameter(name, format!("unknown option '{item}'")));
        }
        names.push(item.to_owned());
    }
    Ok(names)
}

fn check(request: &mut Request<'_>) -> Result<Change, Failure> {
    guests::check_skip_lock(request)?;
    if let Some(name) = request.undefined.first() {
        return Err(Failure::died(format!("unable to parse value of '{name}' - got undefined value")));
    }
    let set = options(request);
    let names = |name: &str| request.get(name).is_some_and(|list| !list.is_empty() && list != "0");
    if set.is_empty() && !names("delete") && !names("revert") {
        return Err(Failure::died("no options specified"));
    }
    let mut change = Change {
        revert: list(request, "revert")?,
        delete: list(request, "delete")?,
        force: request.flag("force"),
        set,
    };
    // The names are in the wrong place there too.
    if let Some(both) = change.revert.iter().find(|name| change.set.contains_key(*name)) {
        let text = format!("you can't use '-{both}' and -revert {both}' at the same time");
        return Err(Failure::parameter("delete", text));
    }
    if let Some(both) = change.delete.iter().find(|name| change.set.contains_key(*name)) {
        let text = format!("you can't use '-{both}' and -delete {both}' at the same time");
        return Err(Failure::parameter("delete", text));
    }
    if let Some(both) = change.delete.iter().find(|name| change.revert.contains(name)) {
        let text = format!("you can't use '-delete {both}' and -revert {both}' at the same time");
        return Err(Failure::parameter("revert", text));
    }
    check_root_options(request, &change.set, &change.delete)?;
    check_values(request, &change.set)?;
    let vmid = request.vmid();
    guest_options::check_options(request, KIND, vmid, change.delete.iter().chain(change.set.keys()))?;
    guest_options::check_resources(request, KIND, vmid, &change.set)?;
    for (name, text) in &change.set {
        if drives::is_drive(name)
            && let Some(values) = drives::parse(name, text)
        {
            drives::check(request, name, &values)?;
        }
    }
    let guest = request.guest(KIND)?;
    request.check_digest(&guests::digest(guest), "checksum mismatch (file change by other user?)")?;
    if !request.flag("skiplock") {
        guests::check_lock(guest)?;
    }
    check_against(guest, &change.set)?;
    if guest.is_protected() {
        for name in change.delete.iter().filter(|name| guest.effective().contains_key(*name)) {
            if drives::is_drive(name) {
                return Err(Failure::died(format!("can't remove drive '{name}' - protection mode enabled")));
            }
            if drives::is_unused(name) {
                let file = guest.effective().get(name).map(|text| drives::file_of(text)).unwrap_or_default();
                return Err(Failure::died(format!(
                    "can't remove unused disk '{file}' - protection mode enabled"
                )));
            }
        }
    }
    check_boot(&guest.effective(), &change.set)?;
    let described = change.set.contains_key("description");
    normalise(request.state, &mut change.set);
    if described && !change.set.contains_key("description") {
        change.delete.push("description".to_owned());
    }
    Ok(change)
}

/// `PUT config`: runs at once.
pub(crate) fn update(request: &mut Request<'_>) -> Answer {
    let change = check(request)?;
    log::note(request, headline(request));
    change_at_once(request, &mut Outcome::default(), change).map(|()| Value::Null)
}

/// `qm set`: runs at once and prints what a task would log.
pub(crate) fn set(request: &mut Request<'_>) -> Result<Vec<String>, Failure> {
    let change = check(request)?;
    let mut outcome = Outcome::default();
    let headline = headline(request);
    log::note(request, headline.clone());
    outcome.say(headline);
    change_at_once(request, &mut outcome, change)?;
    Ok(outcome.log)
}

fn change_at_once(request: &mut Request<'_>, outcome: &mut Outcome, change: Change) -> Result<(), Failure> {
    let before = request.state.clone();
    match apply(request, outcome, change) {
        // The change stays where only the cloud-init drive could not be written.
        Ok(()) => check_custom_files(request, request.vmid()),
        Err(failure) => {
            *request.state = before;
            Err(failure)
        }
    }
}

/// What is changed, as the first line of the log.
fn headline(request: &Request<'_>) -> String {
    let shown: String = request
        .parameters
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "node" | "vmid" | "background_delay"))
        .map(|(name, value)| format!(" -{name} {}", if name == "cipassword" { "<hidden>" } else { value }))
        .collect();
    format!("update VM {}:{shown}", request.vmid())
}

/// `POST config`: a task, or null if it ends within `background_delay`.
pub(crate) fn update_in_background(request: &mut Request<'_>) -> Answer {
    let change = check(request)?;
    let headline = headline(request);
    let vmid = request.vmid();
    let quick = request.number("background_delay").is_some();
    log::note_in_task(request, headline.clone());
    let upid = request.task("qmconfig", &vmid.to_string(), |request, outcome| {
        outcome.say(headline);
        apply(request, outcome, change)
    });
    let exit = request.state.tasks.values().next_back().map(|task| task.exit.clone()).unwrap_or_default();
    match quick {
        true if exit == "OK" => Ok(Value::Null),
        true => Err(Failure::died(format!("failed to update VM {vmid}: {exit}"))),
        false => Ok(upid),
    }
}

fn apply(request: &mut Request<'_>, outcome: &mut Outcome, change: Change) -> Result<(), Failure> {
    let vmid = request.vmid();
    for name in &change.revert {
        request.guest_mut(KIND)?.pending.remove(name);
    }
    // A boot order that waits does not count (`device_bootorder` of the running configuration).
    let boot = boot_order(&request.guest(KIND)?.config);
    let mut order = boot.clone();
    for name in &change.delete {
        delete_option(request, vmid, name, change.force)?;
        order.retain(|device| device != name);
    }
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in change.set {
        let text = match drives::parse(&name, &text).filter(|_| drives::is_drive(&name)) {
            Some(values) => {
                check_cloud_init(request, &name, &values)?;
                let allocates = drives::allocates(&values);
                let text = drives::realise(request, outcome, vmid, &name, values)?;
                // A new disk of a template becomes a base volume at once.
                let text = if allocates && request.guest(KIND)?.is_template() {
                    let file = drives::file_of(&text);
                    let base = super::clone::to_base(request.state, outcome, &file);
                    text.replacen(&file, &base, 1)
                } else {
                    text
                };
                let new = drives::parse(&name, &text).unwrap_or_default();
                if drives::is_cdrom(&new)
                    && !drives::is_cloud_init(&new)
                    && !order.is_empty()
                    && !order.contains(&name)
                {
                    order.push(name.clone());
                }
                text
            }
            None => text,
        };
        set.insert(name, text);
    }
    if order != boot && !set.contains_key("boot") {
        set.insert("boot".to_owned(), print_boot(&order));
    }
    let pin = set.contains_key("ostype") || set.contains_key("machine");
    for (name, text) in set {
        set_option(request, vmid, &name, text)?;
    }
    if pin {
        let guest = request.guest_mut(KIND)?;
        if !guest.running {
            pin_machine(&mut guest.config);
        }
    }
    apply_if_stopped(request)
}

/// The snippets that the request's new cloud-init drive is made from have to be there.
fn check_custom_files(request: &Request<'_>, vmid: u32) -> Result<(), Failure> {
    let Some(guest) = request.state.guests.get(&vmid) else { return Ok(()) };
    let fresh = guest.config.iter().any(|(name, text)| {
        drives::is_drive(name)
            && request.parameters.contains_key(name)
            && drives::parse(name, text).is_some_and(|values| drives::is_cloud_init(&values))
    });
    let custom = guest.config.get("cicustom").filter(|_| fresh && !guest.running);
    let file = |kind: &str| custom?.split(',').find_map(|part| part.strip_prefix(kind));
    for file in ["network=", "user=", "meta=", "vendor="].into_iter().filter_map(file) {
        if !request.state.volumes.contains_key(file) {
            return Err(volumes::missing_volume(request.state, file));
        }
    }
    Ok(())
}

fn boot_order(config: &Options) -> Vec<String> {
    let order = config.get("boot").and_then(|boot| boot.strip_prefix("order="));
    order.map(|list| list.split(';').map(str::to_owned).collect()).unwrap_or_default()
}

fn print_boot(order: &[String]) -> String {
    if order.is_empty() { " ".to_owned() } else { format!("order={}", order.join(";")) }
}

fn check_cloud_init(
    request: &Request<'_>,
    name: &str,
    values: &property_string::Values,
) -> Result<(), Failure> {
    if values.get("file").is_none_or(|file| !file.ends_with(":cloudinit")) {
        return Ok(());
    }
    let config = request.guest(KIND)?.effective();
    let other = config.iter().find(|(key, text)| {
        *key != name
            && drives::is_drive(key)
            && drives::parse(key, text).is_some_and(|v| drives::is_cloud_init(&v))
    });
    match other {
        Some((key, _)) => {
            Err(Failure::died(format!("{name} - cloud-init drive is already attached at '{key}'")))
        }
        None => Ok(()),
    }
}

fn set_option(request: &mut Request<'_>, vmid: u32, name: &str, text: String) -> Result<(), Failure> {
    let guest = request.guest(KIND)?;
    let at_once = hotplug::takes_effect(guest, name, Some(&text));
    let mut config = guest.config.clone();
    let mut pending = guest.pending.clone();
    let old = pending.get(name).cloned().flatten().or_else(|| config.get(name).cloned());
    if drives::is_drive(name) {
        let file = drives::file_of(&text);
        config.retain(|key, value| !(drives::is_unused(key) && drives::file_of(value) == file));
    }
    if let Some(old) =
        old.filter(|old| drives::is_drive(name) && drives::file_of(old) != drives::file_of(&text))
    {
        drives::release(request.state, &mut config, vmid, name, &old);
    }
    if at_once {
        pending.remove(name);
        if name == "sockets" && request.get("smp").is_some() {
            config.remove("cores");
        }
        config.insert(name.to_owned(), text);
    } else if config.get(name) == Some(&text) {
        pending.remove(name);
    } else {
        pending.insert(name.to_owned(), Some(text));
    }
    let guest = request.guest_mut(KIND)?;
    guest.config = config;
    guest.pending = pending;
    Ok(())
}

/// Deletes one option: drives become unused, unused disks are destroyed.
pub(crate) fn delete_option(
    request: &mut Request<'_>,
    vmid: u32,
    name: &str,
    force: bool,
) -> Result<(), Failure> {
    let guest = request.guest(KIND)?;
    let at_once = hotplug::takes_effect(guest, name, None) || !guest.config.contains_key(name);
    let mut config = guest.config.clone();
    let pending = guest.pending.get(name).cloned().flatten();
    let Some(old) = pending.or_else(|| config.get(name).cloned()) else { return Ok(()) };
    if !at_once {
        request.guest_mut(KIND)?.pending.insert(name.to_owned(), None);
        return Ok(());
    }
    config.remove(name);
    let file = drives::file_of(&old);
    if drives::is_unused(name) || (force && drives::is_drive(name)) {
        let used = config.iter().any(|(key, value)| drives::is_drive(key) && drives::file_of(value) == file);
        if !used && volumes::owner(&file) == Some(vmid) {
            request.state.volumes.remove(&file);
        }
    } else if drives::is_drive(name) {
        drives::release(request.state, &mut config, vmid, name, &old);
    }
    let guest = request.guest_mut(KIND)?;
    guest.pending.remove(name);
    guest.config = config;
    Ok(())
}

fn apply_if_stopped(request: &mut Request<'_>) -> Result<(), Failure> {
    if !request.guest(KIND)?.running {
        apply_pending(request, request.vmid());
    }
    Ok(())
}

/// Makes pending changes real, as a start and a stop do.
pub(crate) fn apply_pending(request: &mut Request<'_>, vmid: u32) {
    let Some(guest) = request.state.guests.get_mut(&vmid) else { return };
    let pending = std::mem::take(&mut guest.pending);
    let mut config = std::mem::take(&mut guest.config);
    for (name, value) in pending {
        match value {
            Some(text) => {
                config.insert(name, text);
            }
            None => {
                if let Some(old) = config.remove(&name).filter(|_| drives::is_drive(&name)) {
                    drives::release(request.state, &mut config, vmid, &name, &old);
                }
            }
        }
    }
    if let Some(guest) = request.state.guests.get_mut(&vmid) {
        guest.config = config;
    }
}
