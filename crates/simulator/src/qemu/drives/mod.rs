//! Drives of virtual machines: what their options say, and what is refused of them (PVE::QemuServer::Drive).

use crate::failure::Failure;
use crate::request::Request;
use crate::schema::property_string::{self, Values};
use crate::schema::{self, Keys};
use crate::state::{GuestKind, Options, State};
use crate::volumes;

mod made;

pub(crate) use made::{copied_size, import_disk, realise, release, save_memory, say_copied, target_format};

/// True for the options that are drives (`unusedN` is not).
pub(crate) fn is_drive(name: &str) -> bool {
    matches!(name, "efidisk0" | "tpmstate0")
        || schema::indexed(name).is_some_and(|(stem, _)| matches!(stem, "ide" | "sata" | "scsi" | "virtio"))
}

/// True for `unusedN`.
pub(crate) fn is_unused(name: &str) -> bool {
    schema::indexed(name).is_some_and(|(stem, _)| stem == "unused")
}

fn keys(name: &str) -> Option<&'static Keys> {
    schema::format_keys(schema::lookup(schema::virtual_machine(), name)?)
}

/// Reads a drive of the configuration.
pub(crate) fn parse(name: &str, text: &str) -> Option<Values> {
    property_string::parse(keys(name)?, text).ok().filter(|values| values.contains_key("file"))
}

/// Prints a drive as the configuration has it.
pub(crate) fn print(name: &str, values: &Values) -> String {
    keys(name).map(|keys| property_string::print(keys, values)).unwrap_or_default()
}

/// A drive with a medium that can be taken out.
pub(crate) fn is_cdrom(values: &Values) -> bool {
    values.get("media").is_some_and(|media| media == "cdrom")
}

/// The drive cloud-init's data is on.
pub(crate) fn is_cloud_init(values: &Values) -> bool {
    is_cdrom(values) && values.get("file").is_some_and(|file| is_cloud_init_volume(file))
}

/// Whether a volume is on a storage of block devices.
pub(crate) fn is_block(state: &State, volume: &str) -> bool {
    let storage = volumes::split(volume).and_then(|(storage, _)| state.storages.get(storage));
    storage.is_some_and(volumes::is_block)
}

fn is_cloud_init_volume(volume: &str) -> bool {
    let stem = volume.rsplit(['/', ':']).next().unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or_default();
    stem.starts_with("vm-") && stem.ends_with("-cloudinit")
}

/// True if the drive makes a new disk (`STORAGE:SIZE`).
pub(crate) fn allocates(values: &Values) -> bool {
    let file = values.get("file").map(String::as_str).unwrap_or_default();
    !is_cdrom(values)
        && volumes::split(file)
            .is_some_and(|(_, size)| volumes::allocation_size(GuestKind::Qemu, size).is_some())
}

/// The checks that happen when the request is made; the rest happens in the task.
pub(crate) fn check(request: &Request<'_>, name: &str, values: &Values) -> Result<(), Failure> {
    let file = values.get("file").map(String::as_str).unwrap_or_default();
    let limits = |plain: &str, fine: &[&str]| {
        values.contains_key(plain) && fine.iter().any(|key| values.contains_key(*key))
    };
    if limits("mbps", &["bps", "bps_rd", "bps_wr", "mbps_rd", "mbps_wr"])
        || limits("iops", &["iops_rd", "iops_wr"])
    {
        return Err(Failure::parameter(name, "unable to parse drive options"));
    }
    if matches!(file, "none" | "cdrom") {
        return Ok(());
    }
    if file.starts_with('/') {
        return check_path(request);
    }
    let Some((storage, volume)) = volumes::split(file) else { return Ok(()) };
    volumes::storage(request.state, storage)?;
    if volume == "cloudinit"
        || volumes::allocation_size(GuestKind::Qemu, volume).is_some() && !is_cdrom(values)
    {
        volumes::check_guest_storage(request.state, storage, GuestKind::Qemu)?;
        return check_import(request, name, values, volume);
    }
    if is_cdrom(values)
        && volumes::is_block(volumes::storage(request.state, storage)?)
        && !volume.contains("cloudinit")
    {
        let illegal = volume.contains('/') || volume.bytes().all(|byte| byte.is_ascii_digit());
        if illegal {
            return Err(Failure::died(format!("lvm name '{volume}' contains illegal characters")));
        }
    }
    volumes::check_name(request.state, storage, volume)?;
    if volume.starts_with("iso/") && !is_cdrom(values) {
        return Err(Failure::parameter(name, "explicit 'media=cdrom' is required for iso images"));
    }
    Ok(())
}

fn check_path(request: &Request<'_>) -> Result<(), Failure> {
    if request.identity.is_root() {
        return Ok(());
    }
    Err(Failure::died(
        "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.",
    ))
}

fn check_import(request: &Request<'_>, name: &str, values: &Values, size: &str) -> Result<(), Failure> {
    let Some(source) = values.get("import-from") else { return Ok(()) };
    if source.starts_with('/') {
        return check_path(request);
    }
    if let Some((_, volume)) = volumes::split(source)
        && let Some((folder, _)) = volume.split_once('/')
        && matches!(folder, "iso" | "vztmpl" | "snippets" | "backup")
    {
        let text = format!("{source} has wrong type '{folder}' - needs to be 'images' or 'import'");
        return Err(Failure::parameter(name, text));
    }
    if !size.trim_matches('0').is_empty() {
        let text = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>";
        return Err(Failure::parameter(name, text));
    }
    Ok(())
}

/// The volume of a drive or of an `unusedN`.
pub(crate) fn file_of(text: &str) -> String {
    let first = text.split(',').next().unwrap_or_default();
    first.strip_prefix("file=").or_else(|| first.strip_prefix("volume=")).unwrap_or(first).to_owned()
}

/// The drives of a configuration that hold disks (no media), in PVE's order.
pub(crate) fn disks(config: &Options) -> Vec<(String, Values)> {
    let mut found: Vec<(String, Values)> = config
        .iter()
        .filter(|(name, _)| is_drive(name))
        .filter_map(|(name, text)| Some((name.clone(), parse(name, text)?)))
        .filter(|(_, values)| !is_cdrom(values))
        .collect();
    found.sort_by_key(|(name, _)| rank(name));
    found
}

/// PVE's order of drives: ide, scsi, virtio, sata, then the small ones.
pub(crate) fn rank(name: &str) -> (u8, u32) {
    let (stem, index) = schema::indexed(name).unwrap_or((name, 0));
    let class = match stem {
        "ide" => 0,
        "scsi" => 1,
        "virtio" => 2,
        "sata" => 3,
        "efidisk" => 4,
        _ => 5,
    };
    (class, index)
}

/// The default boot order: first disk, first CD-ROM, first network card.
pub(crate) fn default_boot(config: &Options) -> String {
    let mut devices = Vec::new();
    let all = disks(config);
    devices.extend(all.iter().find(|(name, _)| rank(name).0 < 4).map(|(name, _)| name.clone()));
    let mut media: Vec<&String> = config
        .iter()
        .filter(|(name, text)| is_drive(name) && parse(name, text).is_some_and(|values| is_cdrom(&values)))
        .map(|(name, _)| name)
        .collect();
    media.sort_by_key(|name| rank(name));
    devices.extend(media.first().map(|name| (*name).clone()));
    let mut cards: Vec<u32> = config
        .keys()
        .filter_map(|key| schema::indexed(key).filter(|(stem, _)| *stem == "net").map(|(_, n)| n))
        .collect();
    cards.sort_unstable();
    devices.extend(cards.first().map(|index| format!("net{index}")));
    if devices.is_empty() { " ".to_owned() } else { format!("order={}", devices.join(";")) }
}
