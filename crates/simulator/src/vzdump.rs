//! Backups of guests and what is read from them (PVE::VZDump, PVE::API2::VZDump).

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::jobs;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::state::{Backup, Effect, Guest, GuestKind, Options, Volume};
use crate::volumes;

pub(crate) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/vzdump", run),
    ("GET", "/nodes/{node}/vzdump/defaults", defaults),
    ("GET", "/nodes/{node}/vzdump/extractconfig", extract),
];

/// The storage that backups go to where the call names none.
const DEFAULT_STORAGE: &str = "local";

fn run(request: &mut Request<'_>) -> Answer {
    jobs::check_backup_permissions(request)?;
    let mut options: Options = request.parameters.clone();
    if let Some((name, text)) = jobs::backup_conflict(&mut options, true) {
        return Err(Failure::parameter(name, text));
    }
    let wanted = jobs::backup_guests(request, &options);
    let here = |vmid: &u32| request.state.guests.get(vmid).is_none_or(|guest| guest.node == request.node);
    let vmids: Vec<u32> = wanted.into_iter().filter(here).collect();
    if vmids.is_empty() && options.get("all").is_none_or(|value| value != "1") {
        return Ok(json!("OK"));
    }
    let storage = request.get("storage").unwrap_or(DEFAULT_STORAGE).to_owned();
    if request.state.storages.contains_key(&storage) {
        request.check(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    }
    for vmid in &vmids {
        if request.state.guests.contains_key(vmid) {
            request.check(&format!("/vms/{vmid}"), &["VM.Backup"])?;
        }
    }
    let id = if let [one] = vmids.as_slice() { one.to_string() } else { String::new() };
    let line = command_line(&options);
    if let Some(exit) = request.forced_exit.take() {
        return Ok(request.submit("vzdump", &id, Outcome { error: Some(exit), ..Outcome::default() }));
    }
    let mut outcome = Outcome::default();
    if let Err(failure) = check_storage(request, &storage) {
        outcome.error = Some(failure.reason);
        return Ok(request.submit("vzdump", &id, outcome));
    }
    outcome.say(format!("INFO: starting new backup job: vzdump {line}"));
    let mut failed = false;
    for vmid in vmids {
        failed |= !back_up(request, &mut outcome, vmid, &storage);
    }
    if failed {
        outcome.say("INFO: Backup job finished with errors");
        outcome.error = Some("job errors".to_owned());
    } else {
        outcome.say("INFO: Backup job finished successfully");
    }
    Ok(request.submit("vzdump", &id, outcome))
}

fn command_line(options: &Options) -> String {
    let mut line =
        split_list(options.get("vmid").map(String::as_str).unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let quoted = |value: &str| {
        if value.contains(|sign: char| sign.is_whitespace() || "{}'".contains(sign)) {
            format!("'{value}'")
        } else {
            value.to_owned()
        }
    };
    for (key, value) in options.iter().filter(|(key, _)| !matches!(key.as_str(), "vmid")) {
        line.push_str(&format!(" --{key} {}", quoted(value)));
    }
    line.trim_start().to_owned()
}

fn check_storage(request: &Request<'_>, name: &str) -> Result<(), Failure> {
    let Some(storage) = request.state.storages.get(name) else {
        let text = format!("storage '{name}' does not exist");
        return Err(Failure::died(format!(
            "could not activate storage '{name}': {text} could not get storage information for '{name}': {text}"
        )));
    };
    if volumes::allows(storage, "backup") {
        return Ok(());
    }
    Err(Failure::died(format!(
        "could not get storage information for '{name}': can't use storage '{name}' for backups - wrong content type"
    )))
}

/// Backs one guest up; false if that failed.
fn back_up(request: &mut Request<'_>, outcome: &mut Outcome, vmid: u32, storage: &str) -> bool {
    let clock = crate::tasks::clock(request.seconds());
    let Some(guest) = request.state.guests.get(&vmid).cloned() else {
        outcome.say(format!("ERROR: Backup of VM {vmid} failed - unable to find VM '{vmid}'"));
        outcome.say(format!("INFO: Failed at {clock}"));
        return false;
    };
    let (kind, mode) = (guest.kind.name(), request.get("mode").unwrap_or("snapshot").to_owned());
    let status = if guest.running { "running" } else { "stopped" };
    let mode = if guest.running { mode } else { "stop".to_owned() };
    outcome.say(format!("INFO: Starting Backup of VM {vmid} ({kind})"));
    outcome.say(format!("INFO: Backup started at {clock}"));
    outcome.say(format!("INFO: status = {status}"));
    outcome.say(format!("INFO: backup mode: {mode}"));
    outcome.say("INFO: ionice priority: 7");
    let (name, label) = match guest.kind {
        GuestKind::Qemu => (guest.config.get("name"), "VM Name"),
        GuestKind::Lxc => (guest.config.get("hostname"), "CT Name"),
    };
    let name = name.cloned().unwrap_or_default();
    outcome.say(format!("INFO: {label}: {name}"));
    say_volumes(outcome, &guest);
    let (id, volume) = archive(request, vmid, &guest, storage, &name);
    let path = volumes::path(request.state, &id);
    outcome.say(format!("INFO: creating vzdump archive '{path}'"));
    if guest.kind == GuestKind::Lxc {
        outcome.say("INFO: Total bytes written: 2129920 (2.1MiB, 500MiB/s)");
    }
    outcome.say(format!("INFO: archive file size: {}MB", volume.file_size >> 20));
    if volume.backup.as_ref().is_some_and(|backup| backup.notes.is_some()) {
        outcome.say("INFO: adding notes to backup");
    }
    outcome.effects.push(Effect::AddVolume { id, volume: Box::new(volume) });
    outcome.say(format!("INFO: Finished Backup of VM {vmid} (00:00:00)"));
    outcome.say(format!("INFO: Backup finished at {clock}"));
    true
}

fn say_volumes(outcome: &mut Outcome, guest: &Guest) {
    for (name, text) in &guest.config {
        match guest.kind {
            GuestKind::Lxc if name == "rootfs" => {
                outcome.say("INFO: including mount point rootfs ('/') in backup");
            }
            GuestKind::Lxc if crate::lxc::mounts::is_mount(name) => {
                let path = text.split(',').find_map(|part| part.strip_prefix("mp=")).unwrap_or_default();
                let backup = text.split(',').any(|part| part == "backup=1");
                let (verb, why) = if backup { ("including", "") } else { ("excluding", " (not a volume)") };
                let why = if backup { why } else { " (disabled)" };
                outcome.say(format!("INFO: {verb} mount point {name} ('{path}') in backup{why}"));
            }
            GuestKind::Qemu if crate::qemu::drives::is_drive(name) && !text.contains("media=cdrom") => {
                let file = crate::qemu::drives::file_of(text);
                let size = text.split(',').find_map(|part| part.strip_prefix("size=")).unwrap_or_default();
                if text.split(',').any(|part| part == "backup=0") {
                    outcome.say(format!("INFO: exclude disk '{name}' '{file}' (backup=no)"));
                } else {
                    outcome.say(format!("INFO: include disk '{name}' '{file}' {size}"));
                }
            }
            _ => {}
        }
    }
}

/// Bytes of a small archive, as it is and packed.
const ARCHIVE: u64 = 2_129_920;
const PACKED: u64 = 1_106_228;

fn archive(request: &Request<'_>, vmid: u32, guest: &Guest, storage: &str, name: &str) -> (String, Volume) {
    let moment = crate::tasks::clock(request.seconds()).replace(['-', ':'], "_").replace(' ', "-");
    let compression = request.get("compress").unwrap_or("0");
    let plain = if guest.kind == GuestKind::Qemu { "vma" } else { "tar" };
    let format = match compression {
        "zstd" => format!("{plain}.zst"),
        "gzip" => format!("{plain}.gz"),
        "lzo" | "1" => format!("{plain}.lzo"),
        _ => plain.to_owned(),
    };
    let id = format!("{storage}:backup/vzdump-{}-{vmid}-{moment}.{format}", guest.kind.name());
    let notes = request.get("notes-template").map(|template| {
        [
            ("{{guestname}}", name.to_owned()),
            ("{{vmid}}", vmid.to_string()),
            ("{{node}}", request.node.clone()),
            ("{{cluster}}", String::new()),
        ]
        .iter()
        .fold(template.replace("\\n", "\n"), |text, (key, value)| text.replace(key, value))
    });
    let config: String =
        guest.config.iter().filter(|(key, _)| *key != "lock").map(|(key, text)| line(key, text)).collect();
    let size = if compression == "0" { ARCHIVE } else { PACKED };
    let volume = Volume {
        content: "backup".to_owned(),
        format,
        size,
        file_size: size,
        owner: None,
        parent: None,
        created: request.seconds(),
        bytes: Some(config),
        nodes: volumes::place(request, storage),
        backup: Some(Backup { kind: guest.kind, vmid, notes, protected: request.flag("protected") }),
    };
    (id, volume)
}

/// One line of a configuration file; a description is a comment.
fn line(key: &str, text: &str) -> String {
    match key {
        "description" => text.lines().map(|line| format!("#{line}\n")).collect(),
        _ => format!("{key}: {}\n", text.trim_end()),
    }
}

/// The configuration in a backup.
pub(crate) fn configuration(volume: &Volume) -> Options {
    let text = volume.bytes.as_deref().unwrap_or_default();
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    let mut options: Options = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let description: String =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| format!("{line}\n")).collect();
    if !description.is_empty() {
        options.insert("description".to_owned(), description);
    }
    options
}

fn defaults(request: &mut Request<'_>) -> Answer {
    let storage = request.get("storage").unwrap_or(DEFAULT_STORAGE).to_owned();
    request.check_any(&format!("/storage/{storage}"), &["Datastore.Audit", "Datastore.AllocateSpace"])?;
    check_storage(request, &storage).map_err(|failure| {
        let text =
            failure.reason.rsplit_once(": ").map_or(failure.reason.clone(), |(_, text)| text.to_owned());
        Failure::died(text)
    })?;
    let options = volumes::storage(request.state, &storage)?;
    let base = options.get("path").cloned().unwrap_or_else(|| format!("/mnt/pve/{storage}"));
    let keep = options.get("prune-backups").cloned().unwrap_or_else(|| "keep-all=1".to_owned());
    let mut row = json!({
        "storage": storage, "dumpdir": format!("{base}/dump"), "prune-backups": keep, "all": 0, "bwlimit": 0,
        "compress": "0", "ionice": 7, "lockwait": 180, "mailnotification": "always", "mode": "snapshot",
        "notification-mode": "auto", "pigz": 0, "quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0, "stopwait": 10,
        "zstd": 1, "fleecing": { "enabled": 0 }, "performance": { "max-workers": 16, "pbs-entries-max": 1_048_576 },
    });
    if !request.allows(&format!("/nodes/{}", request.node), "Sys.Audit")
        && let Some(row) = row.as_object_mut()
    {
        row.remove("dumpdir");
        row.remove("ionice");
    }
    Ok(row)
}

fn extract(request: &mut Request<'_>) -> Answer {
    let id = request.text("volume");
    match request.state.volumes.get(&id).filter(|volume| volume.content == "backup") {
        Some(volume) => {
            if let Some(backup) = &volume.backup {
                request.check(&format!("/vms/{}", backup.vmid), &["VM.Backup"])?;
            }
            Ok(volume.bytes.as_ref().map_or(Value::Null, |text| json!(text)))
        }
        None => Err(volumes::missing_volume(request.state, &id)),
    }
}
