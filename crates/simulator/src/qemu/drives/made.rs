//! The volumes of drives: made, imported, copied and set aside.

use super::{disks, file_of, is_cdrom, is_cloud_init, is_drive, is_unused, parse, print};
use crate::failure::Failure;
use crate::request::{Outcome, Request};
use crate::schema::property_string::Values;
use crate::state::{GuestKind, Options, State, Volume};
use crate::volumes::{self, Allocation};

/// Makes the drive real: allocates, imports or finds its volume. Returns the text for the configuration.
pub(crate) fn realise(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    name: &str,
    mut values: Values,
) -> Result<String, Failure> {
    let file = values.get("file").cloned().unwrap_or_default();
    if matches!(file.as_str(), "none" | "cdrom") {
        values.entry("media".to_owned()).or_insert_with(|| "cdrom".to_owned());
        return Ok(print(name, &values));
    }
    let format = values.remove("format");
    let import = values.remove("import-from");
    let (storage, volume) = volumes::split(&file).map_or(("", ""), |pair| pair);
    if volume == "cloudinit" {
        let id = cloud_init_volume(request, outcome, vmid, storage, format.as_deref())?;
        values.insert("file".to_owned(), id);
        values.insert("media".to_owned(), "cdrom".to_owned());
        values.remove("size");
    } else if let Some(bytes) =
        volumes::allocation_size(GuestKind::Qemu, volume).filter(|_| !is_cdrom(&values))
    {
        let (id, size) = match import {
            Some(source) => import_disk(request, outcome, vmid, name, storage, format.as_deref(), &source)
                .map_err(|failure| match failure.reason.starts_with("lvcreate") {
                    true => Failure::died(format!("cannot import from '{source}' - {}", failure.reason)),
                    false => failure,
                })?,
            None => new_disk(request, outcome, vmid, name, storage, format.as_deref(), bytes, &values)?,
        };
        values.insert("file".to_owned(), id);
        values.insert("size".to_owned(), volumes::format_size(size));
    } else {
        let id = if file.starts_with('/') {
            volumes::by_path(request.state, &file).unwrap_or(file.clone())
        } else {
            file.clone()
        };
        let found = request.state.volumes.get(&id).map(volumes::image_size);
        let size = found.ok_or_else(|| match file.starts_with('/') {
            true => Failure::died(format!("volume {file} does not exist")),
            false => volumes::missing_volume(request.state, &id),
        })?;
        if !is_cloud_init(&values) {
            values.insert("size".to_owned(), volumes::format_size(size));
        }
        return Ok(print(name, &values));
    }
    let text = print(name, &values);
    outcome.say(format!("{name}: successfully created disk '{text}'"));
    Ok(text)
}

#[expect(clippy::too_many_arguments, reason = "one call a drive: where, how large, and in which words")]
fn new_disk(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    name: &str,
    storage: &str,
    format: Option<&str>,
    bytes: u64,
    values: &Values,
) -> Result<(String, u64), Failure> {
    let options = volumes::usable(request.state, storage, &request.node)?.clone();
    let bytes = match name {
        "tpmstate0" => 4 << 20,
        "efidisk0" if volumes::is_block(&options) => 4 << 20,
        "efidisk0" => efi_size(values),
        _ => bytes,
    };
    let default = options.get("format").cloned();
    let wanted = Allocation {
        storage,
        owner: vmid,
        kind: GuestKind::Qemu,
        format: format.or(default.as_deref()).or(Some("raw")),
        bytes,
        now: request.seconds(),
    };
    let id = volumes::allocate(request.state, outcome, &wanted)?;
    Ok((id, bytes))
}

fn cloud_init_volume(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    storage: &str,
    format: Option<&str>,
) -> Result<String, Failure> {
    let options = volumes::usable(request.state, storage, &request.node)?.clone();
    let block = volumes::is_block(&options);
    let wanted = Allocation {
        storage,
        owner: vmid,
        kind: GuestKind::Qemu,
        format: format.or(Some(if block { "raw" } else { "qcow2" })),
        bytes: 4 << 20,
        now: request.seconds(),
    };
    volumes::allocate_named(request.state, outcome, &wanted, &format!("vm-{vmid}-cloudinit"))
}

/// Copies an image to a storage: the volume and its size.
pub(crate) fn import_disk(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    name: &str,
    storage: &str,
    format: Option<&str>,
    source: &str,
) -> Result<(String, u64), Failure> {
    // A disk in an archive has the size of that, which is all that is known of it.
    let archived = volumes::archived(source);
    let file = archived.map_or(source, |(archive, _)| archive);
    let id = if source.starts_with('/') {
        volumes::by_path(request.state, source)
    } else {
        volumes::is_on(request.state, file, &request.node).then(|| file.to_owned())
    };
    let path = volumes::path(request.state, source);
    let volume: Option<Volume> = id.as_ref().and_then(|id| request.state.volumes.get(id).cloned());
    let volume = volume.ok_or_else(|| Failure::died(format!("failed to stat '{path}'")))?;
    let size = volumes::image_size(&volume);
    let block = volumes::is_block(volumes::storage(request.state, storage)?);
    let own = archived.map_or(&*volume.format, |(_, format)| format);
    let format = if block { "raw" } else { format.unwrap_or(own) };
    let drive = attached_as(request, source).map(|drive| format!("{drive} ")).unwrap_or_default();
    outcome.say(format!("create full clone of drive {drive}({source})"));
    let (new, _) = new_disk(request, outcome, vmid, name, storage, Some(format), size, &Values::new())?;
    outcome.say(format!("allocated target volume '{new}'"));
    say_copied(outcome, size);
    let real = request.state.volumes.get(&new).map_or(size, |volume| volume.size);
    Ok((new, real))
}

/// The size of a copy: EFI variables have the size their storage gives them.
pub(crate) fn copied_size(name: &str, values: &Values, block: bool, size: u64) -> u64 {
    match name {
        "efidisk0" if !block => efi_size(values),
        _ => size,
    }
}

fn efi_size(values: &Values) -> u64 {
    if values.get("efitype").is_some_and(|kind| kind == "4m") { 528 << 10 } else { 128 << 10 }
}

/// The progress of a copy.
pub(crate) fn say_copied(outcome: &mut Outcome, bytes: u64) {
    let (shift, unit) = if bytes >= 1 << 30 { (30, "GiB") } else { (20, "MiB") };
    let human = bytes as f64 / (1u64 << shift) as f64;
    outcome.say(format!("transferred 0.0 B of {human:.1} {unit} (0.00%)"));
    outcome.say(format!("transferred {human:.1} {unit} of {human:.1} {unit} (100.00%)"));
}

/// The format a copy gets: block storages make raw of anything.
pub(crate) fn target_format(outcome: &mut Outcome, storage: &str, block: bool, wanted: String) -> String {
    if !block {
        return wanted;
    }
    if wanted == "qcow2" {
        outcome.say(format!(
            "format 'qcow2' is not supported by the target storage '{storage}' - using 'raw' instead"
        ));
    }
    "raw".to_owned()
}

/// The drive of its owner that a volume is attached as.
fn attached_as(request: &Request<'_>, volume: &str) -> Option<String> {
    let guest = request.state.guests.get(&volumes::owner(volume)?)?;
    let mut drives = guest.config.iter().filter(|(name, _)| is_drive(name));
    drives.find(|(_, text)| file_of(text) == volume).map(|(name, _)| name.clone())
}

/// Where the old volume of a slot goes: into `unusedN`, away (cloud-init), or nowhere (media, others' disks).
pub(crate) fn release(state: &mut State, config: &mut Options, vmid: u32, name: &str, text: &str) {
    let Some(values) = parse(name, text) else { return };
    let file = values.get("file").cloned().unwrap_or_default();
    if is_cloud_init(&values) {
        state.volumes.remove(&file);
        return;
    }
    if is_cdrom(&values) || volumes::owner(&file) != Some(vmid) {
        return;
    }
    let referenced = config
        .iter()
        .any(|(key, value)| key != name && (is_drive(key) || is_unused(key)) && file_of(value) == file);
    if !referenced
        && let Some(slot) = (0..256).map(|n| format!("unused{n}")).find(|key| !config.contains_key(key))
    {
        config.insert(slot, file);
    }
}

/// Makes the volume that a machine's memory is saved to: room for it twice, and for the devices
/// (`__snapshot_save_vmstate`). It lies on `storage`, else where the machine says, else beside a disk.
pub(crate) fn save_memory(
    request: &mut Request<'_>,
    outcome: &mut Outcome,
    vmid: u32,
    name: &str,
    storage: Option<String>,
) -> Result<String, Failure> {
    let config = request.guest(GuestKind::Qemu)?.config.clone();
    let used = disks(&config).into_iter().filter_map(|(_, values)| {
        let (storage, _) = volumes::split(values.get("file")?)?;
        Some(storage.to_owned())
    });
    // Files are preferred to block devices.
    let used: Vec<String> = used.collect();
    let files = used
        .iter()
        .rev()
        .find(|name| request.state.storages.get(*name).is_some_and(|options| options.contains_key("path")));
    let storage = storage
        .or_else(|| config.get("vmstatestorage").cloned())
        .or_else(|| files.or(used.first()).cloned())
        .unwrap_or_else(|| "local".to_owned());
    let wanted = Allocation {
        storage: &storage,
        owner: vmid,
        kind: GuestKind::Qemu,
        format: Some("raw"),
        bytes: (crate::qemu::memory(&config) * 2 + 500) << 20,
        now: request.seconds(),
    };
    volumes::allocate_named(request.state, outcome, &wanted, &format!("vm-{vmid}-state-{name}"))
}
