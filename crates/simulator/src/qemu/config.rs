//! Changing the configuration of a machine: `PUT` and `qm set` at once, `POST` as a task.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checks::{CALL_PARAMETERS, check_against, check_boot, check_root_options, check_values, options};
use super::values::{normalise, pin_machine};
use super::{KIND, drives, pending};
use crate::access::guest_options;
use crate::cluster::log;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema::{self};
use crate::state::{Guest, Options};

/// What a change of the configuration is about.
struct Change {
    set: Options,
    delete: Vec<String>,
    revert: Vec<String>,
    force: bool,
}

/// Options that only the API itself sets; they can be deleted.
const UNSETTABLE: [&str; 7] =
    ["meta", "parent", "snaptime", "vmstate", "runningmachine", "runningcpu", "running-nets-host-mtu"];

fn list(request: &Request<'_>, name: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for item in schema::formats::split_list(request.get(name).unwrap_or_default()) {
        let item = if item == "cdrom" { "ide2" } else { item };
        let known =
            schema::lookup(schema::virtual_machine(), item).is_some() && !CALL_PARAMETERS.contains(&item);
        if !known && !UNSETTABLE.contains(&item) {
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
    check_values(request, &change.set)?;
    check_root_options(request, &request.guest(KIND)?.effective(), &change.set, &change.delete)?;
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
    let forgets_memory = change.delete.iter().any(|name| name == "vmstate");
    let suspended = guest.config.get("lock").is_some_and(|lock| lock == "suspended");
    let ignored = request.flag("skiplock") || forgets_memory && suspended;
    if !ignored {
        guests::check_lock(guest)?;
    }
    if forgets_memory {
        // What was noted with the memory goes with it.
        let noted = ["runningmachine", "runningcpu", "running-nets-host-mtu"];
        let noted = noted.into_iter().filter(|name| guest.config.contains_key(*name));
        let lock = suspended.then_some("lock");
        change.delete.extend(noted.chain(lock).map(str::to_owned));
    }
    check_against(guest, &change.set)?;
    if guest.is_protected() {
        if let Some(volume) = guest.config.get("vmstate").filter(|_| forgets_memory) {
            return Err(Failure::died(format!("can't remove vmstate '{volume}' - protection mode enabled")));
        }
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
        Ok(told) if !told.is_empty() => Err(Failure::parameters(told)),
        // The change stays where only the cloud-init drive could not be written.
        Ok(_) => check_custom_files(request, request.vmid()),
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
        let told = apply(request, outcome, change)?;
        if !told.is_empty() {
            outcome.error = Some(Failure::parameters(told).in_task());
        }
        Ok(())
    });
    let exit = request.state.tasks.values().next_back().map(|task| task.exit.clone()).unwrap_or_default();
    match quick {
        true if exit == "OK" => Ok(Value::Null),
        true => Err(Failure::died(format!("failed to update VM {vmid}: {exit}"))),
        false => Ok(upid),
    }
}

/// What the running machine did not take, by option: it waits, all else is done.
type Told = BTreeMap<String, String>;

fn apply(request: &mut Request<'_>, outcome: &mut Outcome, change: Change) -> Result<Told, Failure> {
    let vmid = request.vmid();
    let mut told = BTreeMap::new();
    pending::revert(request, &change.revert)?;
    // A boot order that waits does not count (`device_bootorder` of the running configuration).
    let boot = boot_order(&request.guest(KIND)?.config);
    let mut order = boot.clone();
    check_cloud_init(request.guest(KIND)?, &change.set)?;
    for name in &change.delete {
        let guest = request.guest(KIND)?;
        if !guest.config.contains_key(name) && !guest.pending.get(name).is_some_and(Option::is_some) {
            outcome.say(format!("cannot delete '{name}' - not set in current configuration!"));
            continue;
        }
        told.extend(
            pending::delete_option(request, vmid, name, change.force)?.map(|text| (name.clone(), text)),
        );
        order.retain(|device| device != name);
    }
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in change.set {
        let text = match drives::parse(&name, &text).filter(|_| drives::is_drive(&name)) {
            Some(values) => {
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
        told.extend(pending::set_option(request, vmid, &name, text)?.map(|text| (name, text)));
    }
    if pin {
        let guest = request.guest_mut(KIND)?;
        if !guest.running {
            pin_machine(&mut guest.config);
        }
    }
    apply_if_stopped(request)?;
    Ok(told)
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
    super::cloud_init::check_files(request, custom.map(String::as_str))
}

fn boot_order(config: &Options) -> Vec<String> {
    let order = config.get("boot").and_then(|boot| boot.strip_prefix("order="));
    order.map(|list| list.split(';').map(str::to_owned).collect()).unwrap_or_default()
}

fn print_boot(order: &[String]) -> String {
    if order.is_empty() { " ".to_owned() } else { format!("order={}", order.join(";")) }
}

/// There is one cloud-init drive at most. One that is deleted by the same request, or whose deletion waits, is still there
/// (`create_disks`).
fn check_cloud_init(guest: &Guest, set: &Options) -> Result<(), Failure> {
    let is_cloud_init =
        |key: &str, text: &str| drives::parse(key, text).is_some_and(|values| drives::is_cloud_init(&values));
    let waiting = guest.pending.iter().filter_map(|(key, text)| Some((key, text.as_ref()?)));
    for (name, text) in set.iter().filter(|(name, _)| drives::is_drive(name)) {
        let values = drives::parse(name, text).unwrap_or_default();
        if values.get("file").is_none_or(|file| !file.ends_with(":cloudinit")) {
            continue;
        }
        let mut present = guest.config.iter().chain(waiting.clone());
        let other =
            present.find(|(key, text)| *key != name && drives::is_drive(key) && is_cloud_init(key, text));
        if let Some((key, _)) = other {
            return Err(Failure::died(format!("{name} - cloud-init drive is already attached at '{key}'")));
        }
    }
    Ok(())
}

fn apply_if_stopped(request: &mut Request<'_>) -> Result<(), Failure> {
    if !request.guest(KIND)?.running {
        pending::apply(request, request.vmid());
    }
    Ok(())
}
