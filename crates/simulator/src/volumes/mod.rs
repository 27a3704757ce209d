//! Disks and files on storages: names, sizes, allocation, as PVE::Storage and its plugins do it.

mod allocation;

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::request::Request;
use crate::schema::formats::split_list;
use crate::state::{GuestKind, Options, State, Volume};

pub(crate) use allocation::{
    Allocation, allocate, allocate_named, create, disk, grow, remove, rename, unsupported_format,
};

/// Size of a physical extent of LVM.
pub(crate) const EXTENT: u64 = 4 << 20;

/// A storage's properties, or PVE's error.
pub(crate) fn storage<'a>(state: &'a State, name: &str) -> Result<&'a Options, Failure> {
    state.storages.get(name).ok_or_else(|| Failure::died(format!("storage '{name}' does not exist")))
}

/// A storage that is enabled and there for a node (`storage_check_enabled`).
pub(crate) fn usable<'a>(state: &'a State, name: &str, node: &str) -> Result<&'a Options, Failure> {
    let options = storage(state, name)?;
    if is_disabled(options) {
        return Err(Failure::died(format!("storage '{name}' is disabled")));
    }
    if !serves(options, node) {
        return Err(Failure::died(format!("storage '{name}' is not available on node '{node}'")));
    }
    Ok(options)
}

/// Whether nothing may use the storage.
pub(crate) fn is_disabled(storage: &Options) -> bool {
    storage.get("disable").is_some_and(|value| value == "1")
}

/// Whether the storage is defined for the node.
pub(crate) fn serves(storage: &Options, node: &str) -> bool {
    storage.get("nodes").is_none_or(|nodes| nodes.is_empty() || split_list(nodes).any(|item| item == node))
}

/// Splits `local:iso/x.iso`.
pub(crate) fn split(volume_id: &str) -> Option<(&str, &str)> {
    volume_id.split_once(':').filter(|(storage, name)| !storage.is_empty() && !name.is_empty())
}

/// True for the block storages, whose volumes have plain names and no formats.
pub(crate) fn is_block(storage: &Options) -> bool {
    matches!(storage.get("type").map(String::as_str), Some("lvmthin" | "lvm" | "zfspool" | "zfs" | "rbd"))
}

/// True if the storage may hold the content type.
pub(crate) fn allows(storage: &Options, content: &str) -> bool {
    storage.get("content").is_some_and(|list| list.split(',').any(|item| item == content))
}

/// Refuses a storage that may not hold disks of this kind of guest.
pub(crate) fn check_guest_storage(state: &State, name: &str, kind: GuestKind) -> Result<(), Failure> {
    let options = storage(state, name)?;
    let (content, text) = match kind {
        GuestKind::Qemu => ("images", "vm images"),
        GuestKind::Lxc => ("rootdir", "container directories"),
    };
    if allows(options, content) {
        return Ok(());
    }
    Err(Failure::parameter("storage", format!("storage '{name}' does not support {text}")))
}

/// Prints bytes as the configuration does: the largest unit that divides them (`PVE::JSONSchema::format_size`).
pub(crate) fn format_size(bytes: u64) -> String {
    let mut value = bytes;
    for unit in ["", "K", "M", "G"] {
        if !value.is_multiple_of(1024) {
            return format!("{value}{unit}");
        }
        value /= 1024;
    }
    format!("{value}T")
}

/// Reads `4G`, `4GiB`, `12.5G`, `512` (bytes).
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.strip_suffix("iB").unwrap_or(text);
    let (number, unit) = match text.char_indices().next_back()? {
        (at, 'K') => (&text[..at], 1u64 << 10),
        (at, 'M') => (&text[..at], 1 << 20),
        (at, 'G') => (&text[..at], 1 << 30),
        (at, 'T') => (&text[..at], 1 << 40),
        _ => (text, 1),
    };
    let value: f64 = number.parse().ok()?;
    Some((value * unit as f64) as u64)
}

/// Reads the GiB of `STORAGE:GiB` and returns bytes, rounded as qemu-server (up to a KiB) or pve-container
/// (down to a MiB) does.
pub(crate) fn allocation_size(kind: GuestKind, gibibytes: &str) -> Option<u64> {
    let plain = gibibytes.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = gibibytes.parse().ok().filter(|_| plain)?;
    Some(match kind {
        GuestKind::Qemu => (value * 1048576.0).ceil() as u64 * 1024,
        GuestKind::Lxc => (value * 1024.0).floor() as u64 * 1024 * 1024,
    })
}

/// A volume's real size: block storages round up to the extent.
pub(crate) fn real_size(storage: &Options, bytes: u64) -> u64 {
    if is_block(storage) { bytes.div_ceil(EXTENT) * EXTENT } else { bytes }
}

/// A name on the storage: `vm-100-disk-0`, or `100/vm-100-disk-0.raw` on directories.
pub(crate) fn volume_id(state: &State, storage_name: &str, owner: u32, stem: &str, format: &str) -> String {
    match state.storages.get(storage_name).is_some_and(is_block) {
        true => format!("{storage_name}:{stem}"),
        false => format!("{storage_name}:{owner}/{stem}.{format}"),
    }
}

/// Whether two definitions are about one place: the same thin pool, or the same folder.
pub(crate) fn is_same_place(one: &Options, other: &Options) -> bool {
    let keys: &[&str] = match one.get("type").map(String::as_str) {
        Some("lvmthin") => &["type", "vgname", "thinpool"],
        Some("dir") => &["type", "path"],
        _ => return false,
    };
    keys.iter().all(|key| one.get(*key).is_some() && one.get(*key) == other.get(*key))
}

/// What lay on a storage whose definition has gone is still there for another definition of the same place.
pub(crate) fn leave(state: &mut State, storage: &str, gone: &Options) {
    let other = state.storages.iter().find(|(_, options)| is_same_place(gone, options));
    let Some((other, _)) = other.map(|(name, options)| (name.clone(), options.clone())) else { return };
    let mine = |id: &&String| split(id).is_some_and(|(name, _)| name == storage);
    let ids: Vec<String> = state.volumes.keys().filter(mine).cloned().collect();
    for id in ids {
        let file = split(&id).map(|(_, file)| file.to_owned()).unwrap_or_default();
        if let Some(volume) = state.volumes.remove(&id) {
            state.volumes.insert(format!("{other}:{file}"), volume);
        }
    }
}

/// The lowest disk number of the owner that no volume on the storage has.
pub(crate) fn free_number(state: &State, storage_name: &str, owner: u32) -> u32 {
    let place = state.storages.get(storage_name);
    let is_here = |other: &str| {
        other == storage_name
            || place.zip(state.storages.get(other)).is_some_and(|(one, other)| is_same_place(one, other))
    };
    let number = |id: &String| -> Option<u32> {
        let (_, name) = split(id).filter(|(storage, _)| is_here(storage))?;
        let stem = name.rsplit('/').next()?.split('.').next()?;
        let (kind, rest) = stem.split_once('-')?;
        let (vmid, rest) = rest.split_once("-disk-")?;
        let known = matches!(kind, "vm" | "base" | "subvol" | "basevol") && vmid.parse() == Ok(owner);
        rest.parse().ok().filter(|_| known)
    };
    let taken: std::collections::BTreeSet<u32> = state.volumes.keys().filter_map(number).collect();
    (0..).find(|number| !taken.contains(number)).unwrap_or(0)
}

/// Checks a volume name against the storage's rules (the errors of the plugins' `parse_volname`).
pub(crate) fn check_name(state: &State, storage_name: &str, name: &str) -> Result<(), Failure> {
    let options = storage(state, storage_name)?;
    if is_block(options) {
        if name.contains('/')
            || name.starts_with('-')
            || !name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() < 2
        {
            return Err(Failure::died(format!("lvm name '{name}' contains illegal characters")));
        }
        let parts: Vec<&str> = name.splitn(3, '-').collect();
        let valid = parts.len() == 3 && matches!(parts[0], "vm" | "base") && parts[1].parse::<u32>().is_ok();
        return if valid {
            Ok(())
        } else {
            Err(Failure::died(format!("unable to parse lvm volume name '{name}'")))
        };
    }
    let folders = ["iso", "vztmpl", "backup", "snippets", "import", "rootdir"];
    let valid = name.split_once('/').is_some_and(|(folder, file)| {
        !file.is_empty() && (folders.contains(&folder) || folder.parse::<u32>().is_ok())
    });
    if valid { Ok(()) } else { Err(Failure::died(format!("unable to parse directory volume name '{name}'"))) }
}

/// The error for a volume that is not there.
pub(crate) fn missing_volume(state: &State, volume_id: &str) -> Failure {
    let block = split(volume_id)
        .and_then(|(storage, name)| Some((state.storages.get(storage)?, name)))
        .filter(|(storage, _)| is_block(storage));
    match block {
        Some((storage, name)) => {
            let group = storage.get("vgname").map(String::as_str).unwrap_or("pve");
            Failure::died(format!("no such logical volume {group}/{name}"))
        }
        None => Failure::died(format!("volume '{volume_id}' does not exist")),
    }
}

/// Where a new file of a storage lies: on the node that got it, or everywhere if the storage is shared.
pub(crate) fn place(request: &Request<'_>, storage_name: &str) -> BTreeSet<String> {
    let shared = request.state.storages.get(storage_name).is_some_and(is_shared);
    if shared { BTreeSet::new() } else { BTreeSet::from([request.node.clone()]) }
}

/// Network storages are shared whatever their definition says.
pub(crate) fn is_shared(storage: &Options) -> bool {
    let network = ["nfs", "cifs", "cephfs", "rbd", "pbs", "iscsi", "iscsidirect", "glusterfs", "zfs"];
    storage.get("type").is_some_and(|kind| network.contains(&kind.as_str()))
        || storage.get("shared").is_some_and(|value| value == "1")
}

/// Whether a volume can be reached from a node.
pub(crate) fn is_on(state: &State, volume_id: &str, node: &str) -> bool {
    state.volumes.get(volume_id).is_some_and(|volume| volume.nodes.is_empty() || volume.nodes.contains(node))
}

/// Adds a file; where one of this name lies on other nodes, it then lies on this one too.
pub(crate) fn add(state: &mut State, id: String, mut volume: Volume) {
    if let Some(present) = state.volumes.get(&id).filter(|_| !volume.nodes.is_empty()) {
        volume.nodes.extend(present.nodes.iter().cloned());
    }
    state.volumes.insert(id, volume);
}

/// The path on the node.
pub(crate) fn path(state: &State, volume_id: &str) -> String {
    let Some((storage_name, name)) = split(volume_id) else { return volume_id.to_owned() };
    let Some(options) = state.storages.get(storage_name) else { return volume_id.to_owned() };
    if is_block(options) {
        return format!("/dev/{}/{name}", options.get("vgname").map(String::as_str).unwrap_or("pve"));
    }
    let base = options.get("path").map(String::as_str).unwrap_or("/var/lib/vz");
    let name = name.rsplit_once("/base-").map_or(name, |_| {
        // A linked clone's own file is the last two parts.
        let cut = name.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
        &name[cut..]
    });
    match name.split_once('/') {
        Some((folder, file)) => format!("{base}/{}/{file}", folder_of(folder)),
        None => format!("{base}/{name}"),
    }
}

/// The folder of a content type below a directory storage.
fn folder_of(folder: &str) -> String {
    match folder {
        "iso" | "vztmpl" => format!("template/{}", if folder == "iso" { "iso" } else { "cache" }),
        "backup" => "dump".to_owned(),
        "snippets" | "import" => folder.to_owned(),
        owner => format!("images/{owner}"),
    }
}

/// The volume behind an absolute path of a directory storage.
pub(crate) fn by_path(state: &State, wanted: &str) -> Option<String> {
    state.volumes.keys().find(|id| path(state, id) == wanted).cloned()
}

/// The archive that a disk to be imported is in, and the disk's format (PVE::Storage::Plugin, `parse_volname`).
pub(crate) fn archived(volume_id: &str) -> Option<(&str, &str)> {
    let (at, _) = volume_id.match_indices('/').nth(1)?;
    let (archive, format) = (&volume_id[..at], volume_id.rsplit_once('.')?.1);
    let is_import = split(archive)?.1.starts_with("import/") && archive.ends_with(".ova");
    (is_import && matches!(format, "qcow2" | "raw" | "vmdk")).then_some((archive, format))
}

/// A volume's size as `qemu-img` tells it: files are rounded up to a sector.
pub(crate) fn image_size(volume: &Volume) -> u64 {
    volume.size.div_ceil(512) * 512
}

/// The owner in a volume's name.
pub(crate) fn owner(volume_id: &str) -> Option<u32> {
    let (_, name) = split(volume_id)?;
    let stem = name.rsplit('/').next()?;
    let mut parts = stem.split('-');
    matches!(parts.next()?, "vm" | "base" | "subvol" | "basevol")
        .then(|| parts.next()?.parse().ok())
        .flatten()
}

/// Refuses a volume to those who may not use it; `vmid` is the guest that it is for (`check_volume_access`).
pub(crate) fn check_access(request: &Request<'_>, id: &str, vmid: Option<u32>) -> Result<(), Failure> {
    let Some((storage, name)) = split(id) else { return Ok(()) };
    let path = format!("/storage/{storage}");
    if request.allows(&path, "Datastore.Allocate") {
        return Ok(());
    }
    let backup = request.state.volumes.get(id).and_then(|volume| volume.backup.as_ref());
    let folder = name.split_once('/').map_or("images", |(folder, _)| folder);
    match (folder, owner(id), backup.map(|backup| backup.vmid)) {
        ("iso" | "vztmpl" | "import", ..) => {
            request.check_any(&path, &["Datastore.AllocateSpace", "Datastore.Audit"])
        }
        ("backup", _, Some(guest)) => {
            request.check(&path, &["Datastore.AllocateSpace"])?;
            request.check(&format!("/vms/{guest}"), &["VM.Backup"])
        }
        ("backup" | "snippets", ..) | (_, None, _) => {
            Err(Failure::died(format!("missing privileges to access {id}")))
        }
        (_, Some(guest), _) if Some(guest) == vmid => Ok(()),
        (_, Some(guest), _) => {
            request.check(&path, &["Datastore.Audit"])?;
            request.check(&format!("/vms/{guest}"), &["VM.Config.Disk"])
        }
    }
}

/// Whether linked clones of an image in a directory exist; thin volumes can go before theirs.
pub(crate) fn has_clones(state: &State, id: &str) -> bool {
    let block = split(id).and_then(|(name, _)| state.storages.get(name)).is_some_and(is_block);
    !block && state.volumes.values().any(|volume| volume.parent.as_deref() == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_in_the_largest_unit_that_divides_them() {
        assert_eq!(format_size(104858 * 1024), "104858K");
        assert_eq!(format_size(12800 << 20), "12800M");
        assert_eq!(format_size(541065217), "541065217");
        assert_eq!(format_size(0), "0T");
    }

    #[test]
    fn allocations_round_as_each_kind_of_guest_does() {
        assert_eq!(allocation_size(GuestKind::Qemu, "0.1"), Some(104858 * 1024));
        assert_eq!(allocation_size(GuestKind::Qemu, "0.013"), Some(13632 * 1024));
        assert_eq!(allocation_size(GuestKind::Lxc, "0.1"), Some(102 << 20));
        assert_eq!(allocation_size(GuestKind::Qemu, "10G"), None);
        let thin = State::new().storages["local-lvm"].clone();
        assert_eq!(real_size(&thin, 104858 * 1024), 104 << 20);
    }
}
