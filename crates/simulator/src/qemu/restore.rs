//! Machines from backups.

use super::{KIND, checks, drives, values};
use crate::access::guest_options;
use crate::failure::Failure;
use crate::guests;
use crate::request::{Answer, Outcome, Request};
use crate::schema::property_string::Values;
use crate::state::{Effect, Guest, Options};
use crate::{volumes, vzdump};

/// `POST /nodes/{node}/qemu` with `archive`: the call's options come before those of the backup.
pub(super) fn restore(request: &mut Request<'_>, archive: &str) -> Answer {
    let vmid = request.vmid();
    let mut options = checks::options(request);
    checks::check_root_options(request, &Options::new(), &options, &[])?;
    if let Some(other) = request.state.guests.get(&vmid) {
        let (label, node) = (other.kind.label(), &other.node);
        if !request.flag("force") {
            return Err(Failure::died(format!(
                "unable to restore VM {vmid} - {label} {vmid} already exists on node '{node}'"
            )));
        }
        if other.running {
            return Err(Failure::died(format!("unable to restore VM {vmid} - vm is running")));
        }
        if other.is_protected() {
            return Err(Failure::died(format!("unable to restore VM {vmid} - protection mode enabled")));
        }
    }
    guest_options::check_resources(request, KIND, vmid, &options)?;
    values::normalise(request.state, &mut options);
    let archive = archive.to_owned();
    let start = request.flag("start");
    let upid = request.task("qmrestore", &vmid.to_string(), |request, outcome| {
        build(request, outcome, vmid, options, &archive).map_err(|failure| {
            guests::remove_created(request.state, outcome);
            Failure::died(format!("unable to restore VM {vmid} - {}", failure.reason))
        })
    });
    if start && request.state.guests.contains_key(&vmid) {
        super::lifecycle::start_task(request, vmid);
    }
    Ok(upid)
}

fn build(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    options: Options,
    archive: &str,
) -> Result<(), Failure> {
    let saved = request.state.volumes.get(archive).map(vzdump::configuration).unwrap_or_default();
    let storage = request.get("storage").map(str::to_owned);
    let mut guest = Guest::new(KIND, request.now, &request.node);
    outcome.say(format!("restore vma archive: {}", volumes::path(request.state, archive)));
    for (name, text) in saved {
        let stem = crate::schema::indexed(&name).map_or(name.as_str(), |(stem, _)| stem);
        let text = match (stem, drives::parse(&name, &text).filter(|_| drives::is_drive(&name))) {
            ("unused" | "lock" | "template", _) => continue,
            ("net", _) if request.flag("unique") => super::clone::fresh_mac(request.state, &text),
            (_, Some(mut values)) if !drives::is_cdrom(&values) => {
                let file = values.get("file").cloned().unwrap_or_default();
                let from = volumes::split(&file).map(|(name, _)| name.to_owned());
                let place = storage.clone().or(from).unwrap_or_else(|| "local".to_owned());
                let size =
                    values.remove("size").and_then(|size| volumes::parse_size(&size)).unwrap_or(1 << 30);
                values.insert("file".to_owned(), format!("{place}:{}", size as f64 / f64::from(1 << 30)));
                drives::realise(request, outcome, vmid, &name, values)?
            }
            (_, Some(values)) if drives::is_cloud_init(&values) => {
                cloud_init(request, outcome, vmid, &name, values, storage.as_deref())?
            }
            _ => text,
        };
        guest.config.insert(name, text);
    }
    for (name, text) in options {
        let text = match drives::parse(&name, &text).filter(|_| drives::is_drive(&name)) {
            Some(values) => drives::realise(request, outcome, vmid, &name, values)?,
            None => text,
        };
        guest.config.insert(name, text);
    }
    if let Some(old) = request.state.guests.get(&vmid) {
        let drives = old.config.iter().filter(|(name, _)| drives::is_drive(name) || drives::is_unused(name));
        let files: Vec<String> = drives.map(|(_, text)| drives::file_of(text)).collect();
        let is_made = |file: &String| guest.config.values().any(|text| drives::file_of(text) == *file);
        for file in files.iter().filter(|file| volumes::owner(file) == Some(vmid) && !is_made(file)) {
            volumes::remove(request.state, outcome, file);
        }
    }
    guest.config.insert("lock".to_owned(), "create".to_owned());
    outcome.effects.push(Effect::RemoveOption { guest: vmid, key: "lock".to_owned() });
    request.state.guests.insert(vmid, guest);
    guests::join_pool(request, vmid);
    Ok(())
}

/// A backup has no cloud-init drive: it is made anew, in place of one that the machine has.
fn cloud_init(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    name: &str,
    mut values: Values,
    storage: Option<&str>,
) -> Result<String, Failure> {
    let file = values.get("file").cloned().unwrap_or_default();
    let (from, volume) = volumes::split(&file).unwrap_or(("local", ""));
    if let Some((_, format)) = volume.rsplit_once('.') {
        values.insert("format".to_owned(), format.to_owned());
    }
    let place = storage.unwrap_or(from).to_owned();
    values.insert("file".to_owned(), format!("{place}:cloudinit"));
    let present = format!("-{vmid}-cloudinit");
    let there = |file: &String| file.starts_with(&format!("{place}:")) && file.contains(&present);
    let olds: Vec<String> = request.state.volumes.keys().filter(|file| there(file)).cloned().collect();
    for old in olds.iter().filter(|file| volumes::owner(file) == Some(vmid)) {
        volumes::remove(request.state, outcome, old);
    }
    drives::realise(request, outcome, vmid, name, values)
}
