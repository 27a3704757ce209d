//! Volumes of a guest that no part of it uses, and what is said of them where others are made.

use std::collections::BTreeSet;

use pve_model::Value;
use pve_model::rules::{Beside, Extra};

use crate::beside::named_parts;
use crate::guest::{GuestKind, match_mount_points};
use crate::known_volumes::volume_of_disk;
use crate::observed::Observed;
use crate::values::{all_blocks, text};

/// The volumes that no part of the guest uses, each once.
pub(crate) fn set_aside(observed: &Observed) -> Vec<(String, String)> {
    let volume = |slot: &str| Some(observed.text(slot)?.split(',').next()?.to_string());
    let is_unused = |name: &&String| name.starts_with("unused");
    let used = observed.config.keys().filter(|name| !is_unused(name)).filter_map(|name| volume(name));
    let mut seen: BTreeSet<String> = used.collect();
    let slots = observed.numbered("unused").into_iter();
    slots
        .filter_map(|(_, slot)| Some((volume(&slot)?, slot)))
        .filter(|(volume, _)| seen.insert(volume.clone()))
        .map(|(volume, slot)| (slot, volume))
        .collect()
}

/// Volumes of the guest that lie unused. Where others are made empty, somebody has perhaps detached one of them.
pub(crate) fn unused_volumes(
    kind: GuestKind,
    beside: &Beside,
    back: &[&Extra],
    (before, after): (&Value, &Value),
) -> Vec<String> {
    let attached = attached_volumes(after);
    let is_free = |volume: &String| !attached.contains(volume);
    let known = named_parts(kind, before);
    // One that is known was to be destroyed: the plan tells it.
    let unused = beside.set_aside.iter().filter(|(slot, volume)| is_free(volume) && !known.contains(slot));
    let unused: Vec<_> = unused.collect();
    let made = new_volumes(before, after)
        .into_iter()
        .filter(|key| !known.contains(key) && beside.extras.iter().all(|extra| extra.key != *key))
        .filter(|key| back.iter().all(|extra| extra.key != *key));
    let made: Vec<String> = made.collect();
    let Some((volume, (datastore, path))) =
        unused.first().and_then(|(_, volume)| Some((volume, volume.split_once(':')?)))
    else {
        return Vec::new();
    };
    let Some((slot, others)) = unused.split_first().map(|(first, others)| (&first.0, others)) else {
        return Vec::new();
    };
    if made.is_empty() {
        let left = unused.iter().map(|(slot, volume)| format!("{slot}: {volume}, set aside; left alone"));
        return left.collect();
    }
    let attach = match kind {
        GuestKind::Container => format!("volume = {volume:?} in its mount_point block"),
        GuestKind::Vm if is_made_on(after, &made, datastore) => {
            format!("path_in_datastore = {path:?} in its disk block")
        }
        GuestKind::Vm => {
            format!("datastore_id = {datastore:?}, path_in_datastore = {path:?} in its disk block")
        }
    };
    let others: String = others.iter().map(|(slot, volume)| format!(", {slot} {volume}")).collect();
    let (is, that) = if made.len() == 1 { ("is", "it") } else { ("are", "one of them") };
    vec![format!(
        "{} {is} new and empty; {slot} has {volume}{others}: if that was {that}, {attach} attaches it instead",
        made.join(", ")
    )]
}

/// The volumes that values attach. Each datastore counts its own: two may be called the same on two of them.
fn attached_volumes(value: &Value) -> Vec<String> {
    let disks = all_blocks(value, "disk").iter().filter_map(volume_of_disk);
    let points = all_blocks(value, "mount_point").iter().filter_map(|point| text(point, "volume"));
    disks.chain(points.map(str::to_string)).collect()
}

/// Whether all of the disks that are made are planned on a datastore.
fn is_made_on(after: &Value, made: &[String], datastore: &str) -> bool {
    let mut disks = all_blocks(after, "disk").iter();
    let is_made = |disk: &&Value| text(disk, "interface").is_some_and(|name| made.iter().any(|m| m == name));
    disks.all(|disk| !is_made(&disk) || text(disk, "datastore_id") == Some(datastore))
}

/// The keys of those volumes that are made without any content. A mount point that goes to another path keeps its own.
fn new_volumes(before: &Value, after: &Value) -> Vec<String> {
    let disks = all_blocks(after, "disk").iter().filter(|disk| {
        ["file_id", "import_from", "path_in_datastore"].iter().all(|origin| text(disk, origin).is_none())
    });
    let disks = disks.filter_map(|disk| text(disk, "interface"));
    let points = all_blocks(after, "mount_point");
    let matches = match_mount_points(all_blocks(before, "mount_point"), points);
    let points = points.iter().zip(matches).filter(|(point, old)| {
        old.is_none() && text(point, "volume").is_some_and(|name| !name.contains([':', '/']))
    });
    disks.chain(points.filter_map(|(point, _)| text(point, "path"))).map(str::to_string).collect()
}
