//! Changing the configuration of a machine: `PUT` at once, `POST` as a task.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{KIND, drives, hotplug};
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema::property_string;
use crate::schema::{self};
use crate::state::Options;
use crate::volumes;

/// Parameters of the call that are no options of the machine.
const CALL_PARAMETERS: &[&str] = &[
    "node",
    "vmid",
    "digest",
    "delete",
    "revert",
    "skiplock",
    "force",
    "background_delay",
    "archive",
    "bwlimit",
    "ha-managed",
    "import-working-storage",
    "live-restore",
    "pool",
    "start",
    "storage",
    "unique",
];

/// The options among the request's parameters, with `cdrom` and `smp` under their real names.
pub(crate) fn options(request: &Request<'_>) -> Options {
    let mut options: Options = request
        .parameters
        .iter()
        .filter(|(name, _)| !CALL_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(medium) = options.remove("cdrom") {
        let text = if medium.contains("media=") { medium } else { format!("{medium},media=cdrom") };
        options.entry("ide2".to_owned()).or_insert(text);
    }
    if let Some(count) = options.remove("smp") {
        options.entry("sockets".to_owned()).or_insert(count);
    }
    options
}

/// Refuses options that only root itself may set or delete.
pub(crate) fn check_root_options(
    request: &Request<'_>,
    options: &Options,
    delete: &[String],
) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    let refuse = |text: String| Err(Failure::died(text));
    for name in options.keys().chain(delete) {
        let value = options.get(name).map(String::as_str).unwrap_or_default();
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "lock" | "args" | "vmgenid" | "meta" | "parallel" | "arch" if stem != "arch" => {
                return refuse(format!("only root can set '{name}' config"));
            }
            "hostpci" if !value.contains("mapping=") => {
                return refuse(format!("only root can set '{name}' config for non-mapped devices"));
            }
            "usb"
                if !value.is_empty()
                    && !value.contains("mapping=")
                    && !value.to_lowercase().contains("spice") =>
            {
                return refuse(format!("only root can set '{name}' config for real devices"));
            }
            "serial" if value.starts_with("/dev/") => {
                return refuse(format!("only root can modify '{name}' config for real devices"));
            }
            _ => {}
        }
    }
    Ok(())
}

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
    if set.is_empty() && request.get("delete").is_none() && request.get("revert").is_none() {
        return Err(Failure::died("no options specified"));
    }
    let mut change = Change {
        delete: list(request, "delete")?,
        revert: list(request, "revert")?,
        force: request.flag("force"),
        set,
    };
    if let Some(both) = change.delete.iter().find(|name| change.set.contains_key(*name)) {
        let text = format!("you can't use '-{both}' and -delete {both}' at the same time");
        return Err(Failure::parameter("delete", text));
    }
    check_root_options(request, &change.set, &change.delete)?;
    check_values(request, &change.set)?;
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
    if guest.is_protected() {
        for name in change.delete.iter().filter(|name| guest.effective().contains_key(*name)) {
            if drives::is_drive(name) {
                return Err(Failure::died(format!("can't remove drive '{name}' - protection mode enabled")));
            }
            if drives::is_unused(name) {
                return Err(Failure::died(format!(
                    "can't remove unused disk '{name}' - protection mode enabled"
                )));
            }
        }
    }
    check_boot(&guest.effective(), &change.set)?;
    let described = change.set.contains_key("description");
    normalise(&mut change.set);
    if described && !change.set.contains_key("description") {
        change.delete.push("description".to_owned());
    }
    Ok(change)
}

/// Values that the schema lets through and the configuration's own parser does not.
pub(crate) fn check_values(request: &Request<'_>, set: &Options) -> Result<(), Failure> {
    for (name, value) in set {
        let Some(property) = schema::lookup(schema::virtual_machine(), name) else { continue };
        let bad = match property.kind {
            schema::Kind::Integer => value.starts_with('+'),
            schema::Kind::Number => value.starts_with(['.', '+']) || value.contains(['e', 'E']),
            _ => false,
        };
        if bad {
            let kind = property.kind.name();
            let text =
                format!("unable to parse value of '{name}' - type check ('{kind}') failed - got '{value}'");
            return Err(Failure::died(text));
        }
    }
    if let Some(script) = set.get("hookscript").filter(|script| !request.state.volumes.contains_key(*script))
    {
        return Err(Failure::parameter("hookscript", format!("script '{script}' does not exist\n")));
    }
    if let Some(keys) = set.get("sshkeys") {
        let decoded = crate::server::percent_decode(keys);
        let valid = decoded.lines().filter(|line| !line.trim().is_empty()).all(is_public_key);
        if !valid {
            return Err(Failure::died("SSH public key validation error"));
        }
    }
    Ok(())
}

fn is_public_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let kind =
        words.find(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-"));
    kind.is_some() && words.next().is_some_and(|data| data.len() >= 40 || line.starts_with('#'))
        || line.starts_with('#')
}

fn check_boot(config: &Options, set: &Options) -> Result<(), Failure> {
    let Some(order) = set.get("boot").and_then(|boot| boot.strip_prefix("order=")) else { return Ok(()) };
    for device in order.split(';').filter(|device| !device.is_empty()) {
        if !config.contains_key(device) && !set.contains_key(device) {
            return Err(Failure::died(format!("invalid bootorder: device '{device}' does not exist'")));
        }
    }
    Ok(())
}

/// Rewrites values to what the configuration file has.
pub(crate) fn normalise(set: &mut Options) {
    for (name, value) in set.iter_mut() {
        let stem = schema::indexed(name).map_or(name.as_str(), |(stem, _)| stem);
        match stem {
            "net" => *value = network_card(name, value),
            "tags" => *value = guests::normalise_tags(value),
            "description" => *value = value.trim_end().to_owned(),
            "vmgenid" if value == "1" => *value = uuid::Uuid::new_v4().to_string(),
            _ if value.is_empty() && stem != "description" => *value = " ".to_owned(),
            _ if value.starts_with('0') && is_integer(name) => {
                *value = value.parse().map_or(value.clone(), |number: i64| number.to_string());
            }
            _ => {}
        }
    }
    if set.get("description").is_some_and(String::is_empty) {
        set.remove("description");
    }
}

fn is_integer(name: &str) -> bool {
    schema::lookup(schema::virtual_machine(), name)
        .is_some_and(|property| property.kind == schema::Kind::Integer)
}

fn network_card(name: &str, text: &str) -> String {
    let Some(keys) = schema::lookup(schema::virtual_machine(), name).and_then(schema::format_keys) else {
        return text.to_owned();
    };
    let Ok(mut values) = property_string::parse(keys, text) else { return text.to_owned() };
    values.entry("macaddr".to_owned()).or_insert_with(guests::new_mac);
    property_string::print(keys, &values)
}

/// `PUT config`: runs at once.
pub(crate) fn update(request: &mut Request<'_>) -> Answer {
    let change = check(request)?;
    let before = request.state.clone();
    match apply(request, &mut Outcome::default(), change) {
        // The change stays where only the cloud-init drive could not be written.
        Ok(()) => check_custom_files(request, request.vmid()).map(|()| Value::Null),
        Err(failure) => {
            *request.state = before;
            Err(failure)
        }
    }
}

/// `POST config`: a task, or null if it ends within `background_delay`.
pub(crate) fn update_in_background(request: &mut Request<'_>) -> Answer {
    let change = check(request)?;
    let shown: String = request
        .parameters
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "node" | "vmid" | "background_delay"))
        .map(|(name, value)| format!(" -{name} {}", if name == "cipassword" { "<hidden>" } else { value }))
        .collect();
    let vmid = request.vmid();
    let quick = request.number("background_delay").is_some();
    let upid = request.task("qmconfig", &vmid.to_string(), |request, outcome| {
        outcome.say(format!("update VM {vmid}:{shown}"));
        apply(request, outcome, change)
    });
    Ok(if quick { Value::Null } else { upid })
}

fn apply(request: &mut Request<'_>, outcome: &mut Outcome, change: Change) -> Result<(), Failure> {
    let vmid = request.vmid();
    for name in &change.revert {
        request.guest_mut(KIND)?.pending.remove(name);
    }
    let boot = boot_order(&request.guest(KIND)?.effective());
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

/// Windows guests keep the machine version they were made with (PVE::QemuServer::Machine).
pub(crate) fn pin_machine(config: &mut Options) {
    let windows = config.get("ostype").is_some_and(|kind| kind.starts_with('w'));
    let text = config.get("machine").cloned().unwrap_or_default();
    let (kind, rest) = text.split_once(',').map_or((text.as_str(), None), |(kind, rest)| (kind, Some(rest)));
    let kind = kind.strip_prefix("type=").unwrap_or(kind);
    let pinned = match kind {
        "" | "pc" => "pc-i440fx",
        "q35" => "pc-q35",
        _ => return,
    };
    if windows {
        let rest = rest.map(|rest| format!(",{rest}")).unwrap_or_default();
        config.insert("machine".to_owned(), format!("{pinned}-{QEMU_MACHINE}{rest}"));
    }
}

/// The newest machine version of the node's QEMU.
const QEMU_MACHINE: &str = "10.1+pve1";

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
