//! Making, copying, growing and removing volumes, and what the storages' tools say about it in task logs.

use super::{EXTENT, free_number, is_block, owner, real_size, split, storage, volume_id};
use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::nodes::has_volume_group;
use crate::request::Outcome;
use crate::state::{GuestKind, Options, State, Volume};

/// What to allocate.
pub(crate) struct Allocation<'a> {
    pub storage: &'a str,
    pub owner: u32,
    pub kind: GuestKind,
    pub format: Option<&'a str>,
    pub bytes: u64,
    /// Seconds since the epoch.
    pub now: u64,
}

/// Allocates a disk under a free name; returns its volume id.
pub(crate) fn allocate(
    state: &mut State,
    outcome: &mut Outcome,
    wanted: &Allocation<'_>,
) -> Result<String, Failure> {
    let number = free_number(state, wanted.storage, wanted.owner);
    let kind = if wanted.format == Some("subvol") { "subvol" } else { "vm" };
    allocate_named(state, outcome, wanted, &format!("{kind}-{}-disk-{number}", wanted.owner))
}

/// As [`allocate`], with a name (`vm-100-cloudinit`).
pub(crate) fn allocate_named(
    state: &mut State,
    outcome: &mut Outcome,
    wanted: &Allocation<'_>,
    stem: &str,
) -> Result<String, Failure> {
    let options = storage(state, wanted.storage)?;
    if !has_volume_group(state, None, options) {
        return Err(Failure::died(format!("no such volume group '{}'", group(options))));
    }
    let block = is_block(options);
    let format = wanted.format.unwrap_or("raw");
    if block && format != "raw" {
        return Err(unsupported_format(format));
    }
    if block && state.full_storages.contains(wanted.storage) {
        let options = storage(state, wanted.storage)?;
        let group = group(options).to_owned();
        let pool = options.get("thinpool").map(String::as_str).unwrap_or("data");
        let pool = format!("{group}/{pool}");
        outcome.say(format!("  WARNING: Thin pool {pool} is out of data space."));
        return Err(Failure::died(format!(
            "lvcreate '{group}/{stem}' error:   Cannot create new thin volume, free space in thin pool {pool} reached threshold."
        )));
    }
    if block && wanted.bytes == 0 {
        let group = group(storage(state, wanted.storage)?);
        return Err(Failure::died(format!(
            "lvcreate '{group}/{stem}' error:   Run `lvcreate --help' for more information."
        )));
    }
    let id = volume_id(state, wanted.storage, wanted.owner, stem, format);
    create(state, outcome, &id, disk(wanted.kind, format, wanted.bytes, wanted.owner, wanted.now));
    Ok(id)
}

/// Puts a volume on its storage, in the storage's real size.
pub(crate) fn create(state: &mut State, outcome: &mut Outcome, id: &str, mut volume: Volume) {
    let (options, name) = options_of(state, id);
    if is_block(&options) {
        let real = real_size(&options, volume.size);
        if real != volume.size {
            outcome.say(format!("  Rounding up size to full physical extent {}", lvm_size(real)));
        }
        outcome.say(format!("  Logical volume \"{name}\" created."));
        outcome.say(format!("  Logical volume {}/{name} changed.", group(&options)));
        volume.size = real;
        volume.file_size = real;
    } else if volume.format != "subvol" {
        outcome.say(formatting(state, id, &volume));
    }
    outcome.created.push(id.to_owned());
    state.volumes.insert(id.to_owned(), volume);
}

/// What qemu-img says when it makes an image.
fn formatting(state: &State, id: &str, volume: &Volume) -> String {
    let (path, size) = (super::path(state, id), volume.size);
    let backing = volume.parent.as_deref().and_then(|parent| {
        let (_, name) = split(parent)?;
        Some((name.to_owned(), state.volumes.get(parent)?.format.clone()))
    });
    let options = match (volume.format.as_str(), backing) {
        ("qcow2", None) => format!(
            "cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size={size} lazy_refcounts=off refcount_bits=16"
        ),
        ("qcow2", Some((base, format))) => {
            let preallocation = if format == "qcow2" { "metadata" } else { "off" };
            format!(
                "cluster_size=131072 extended_l2=on preallocation={preallocation} compression_type=zlib size={size} backing_file=../{base} backing_fmt={format} lazy_refcounts=off refcount_bits=16"
            )
        }
        ("vmdk", _) => format!("size={size} compat6=off hwversion=undefined"),
        _ => format!("size={size} preallocation=off"),
    };
    format!("Formatting '{path}', fmt={} {options}", volume.format)
}

/// Removes a volume; false if it is not there.
pub(crate) fn remove(state: &mut State, outcome: &mut Outcome, id: &str) -> bool {
    let (options, name) = options_of(state, id);
    let there = state.volumes.remove(id).is_some();
    if there && is_block(&options) {
        outcome.say(format!("  Logical volume \"{name}\" successfully removed."));
    }
    there
}

/// Gives a volume another name on the same storage.
pub(crate) fn rename(state: &mut State, outcome: &mut Outcome, id: &str, new: &str) {
    let (options, name) = options_of(state, id);
    if is_block(&options) && id != new {
        let group = group(&options);
        let (_, new_name) = split(new).unwrap_or_default();
        outcome.say(format!("  Renamed \"{name}\" to \"{new_name}\" in volume group \"{group}\""));
        outcome.say(format!("  Logical volume {group}/{new_name} changed."));
    }
    if let Some(mut volume) = state.volumes.remove(id) {
        volume.owner = owner(new).or(volume.owner);
        state.volumes.insert(new.to_owned(), volume);
    }
}

/// Grows a volume to `size` bytes; block storages round up. `pool` is the size of a thin pool.
pub(crate) fn grow(state: &mut State, outcome: &mut Outcome, id: &str, size: u64, pool: u64) {
    let (options, name) = options_of(state, id);
    let real = real_size(&options, size);
    let present = state.volumes.get(id).map_or(0, |volume| volume.size);
    if let Some(volume) = state.volumes.get_mut(id) {
        volume.size = real;
        volume.file_size = real;
    }
    if !is_block(&options) {
        outcome.say("Image resized.");
        return;
    }
    if real != size {
        outcome.say(format!("  Rounding size to boundary between physical extents: {}.", lvm_size(real)));
    }
    if real == present {
        return;
    }
    let group = group(&options);
    let shown = |bytes: u64| format!("{} ({} extents)", lvm_size(bytes), bytes / EXTENT);
    outcome.say(format!(
        "  Size of logical volume {group}/{name} changed from {} to {}.",
        shown(present),
        shown(real)
    ));
    let promised = promised(state, id);
    // A default installation keeps 16 GiB of the group for root, swap and the pool's metadata.
    let whole = pool + (16 << 30) - EXTENT;
    if promised > whole {
        outcome.say("  WARNING: You have not turned on protection against thin pools running out of space.");
        outcome.say("  WARNING: Set activation/thin_pool_autoextend_threshold below 100 to trigger automatic extension of thin pools before they get full.");
    }
    outcome.say(format!("  Logical volume {group}/{name} successfully resized."));
    if promised > whole {
        let thin = options.get("thinpool").map(String::as_str).unwrap_or("data");
        outcome.say(format!(
            "  WARNING: Sum of all thin volume sizes ({}) exceeds the size of thin pool {group}/{thin} and the size of whole volume group ({}).",
            lvm_size(promised),
            lvm_size(whole)
        ));
    }
}

/// The sum of the sizes on a volume's storage.
fn promised(state: &State, id: &str) -> u64 {
    let storage = split(id).map(|(storage, _)| storage);
    let same = state.volumes.iter().filter(|(other, _)| split(other).map(|(storage, _)| storage) == storage);
    same.map(|(_, volume)| volume.size).sum()
}

/// A size as LVM shows it: two digits, with `<` where that is too much.
fn lvm_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB")];
    let (shift, unit) = units.into_iter().find(|(shift, _)| bytes >= 1 << shift).unwrap_or((20, "MiB"));
    let value = bytes as f64 / (1u64 << shift) as f64;
    let text = format!("{value:.2}");
    let more = text.parse::<f64>().is_ok_and(|shown| shown > value);
    format!("{}{text} {unit}", if more { "<" } else { "" })
}

fn options_of(state: &State, id: &str) -> (Options, String) {
    let (storage, name) = split(id).unwrap_or_default();
    (state.storages.get(storage).cloned().unwrap_or_default(), name.to_owned())
}

fn group(options: &Options) -> &str {
    options.get("vgname").map(String::as_str).unwrap_or("pve")
}

/// LVM knows no formats.
pub(crate) fn unsupported_format(format: &str) -> Failure {
    Failure::died(format!(
        "unsupported format '{format}' at /usr/share/perl5/PVE/Storage/LvmThinPlugin.pm line 102."
    ))
}

/// A disk volume.
pub(crate) fn disk(kind: GuestKind, format: &str, size: u64, owner: u32, now: u64) -> Volume {
    Volume {
        content: if kind == GuestKind::Lxc { "rootdir" } else { "images" }.to_owned(),
        format: format.to_owned(),
        size,
        file_size: size,
        owner: Some(owner),
        parent: None,
        created: now,
        bytes: None,
        backup: None,
        nodes: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_lvm_shows_them() {
        assert_eq!(lvm_size(260 * EXTENT), "<1.02 GiB");
        assert_eq!(lvm_size(288 * EXTENT), "1.12 GiB");
        assert_eq!(lvm_size(26217472 * EXTENT), "100.01 TiB");
        assert_eq!(lvm_size(EXTENT), "4.00 MiB");
    }
}
