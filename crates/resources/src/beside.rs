//! What a guest has beside its values: drives and network devices that nobody configured, volumes that were set aside,
//! changes that wait for a reboot. It is told, and left alone: a disk has data, and whoever attached it had a reason.

use std::collections::BTreeSet;

use pve_model::Value;
use pve_model::rules::{Beside, Extra};
use serde_json::Value as Json;

use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, text};
use crate::vm::is_media;

/// What was seen of a guest beside `value`, which was read with `recorded` as its guide.
pub(crate) fn beside_of(observed: &Observed, recorded: &Value, value: &Value) -> Beside {
    // A clone that configures none of a kind has those of its template.
    let inherits =
        |name: &str| !all_blocks(recorded, "clone").is_empty() && all_blocks(recorded, name).is_empty();
    let mut extras = Vec::new();
    if is_container(value) {
        extras.extend(mount_points(observed).filter(|_| !inherits("mount_point")));
    } else {
        extras.extend(drives(observed).filter(|_| !inherits("disk")));
    }
    // Where any is configured, all are: those that are none of them are among the values.
    let blocks = network_blocks(value);
    let is_open = all_blocks(value, blocks).is_empty() && !inherits(blocks);
    extras.extend(network_devices(observed).filter(|_| is_open));
    let named = named_parts(value);
    extras.retain(|extra| !named.contains(&extra.key));
    Beside { extras, set_aside: set_aside(observed), waits: waits(observed) }
}

/// What is worth knowing of a guest on its way from `before` to `after`.
pub(crate) fn remarks_on_guest(beside: &Beside, before: &Value, after: Option<&Value>) -> Vec<String> {
    let Some(after) = after else {
        let lost = beside.extras.iter().filter(|extra| !extra.slot.starts_with("net"));
        let lost = lost.map(|Extra { slot, said, .. }| {
            format!("{slot}: {said}, not in the configuration; destroyed with the guest")
        });
        return lost.collect();
    };
    let named = named_parts(after);
    let extras = beside.extras.iter().map(|Extra { slot, key, said }| match named.contains(key) {
        true => format!("{slot}: {said}, is there already; it is taken in, not made"),
        false => format!("{slot}: {said}, not in the configuration; left alone"),
    });
    let mut remarks: Vec<String> = extras.collect();
    remarks.extend(empty_volumes(beside, before, after));
    if !beside.waits.is_empty() {
        remarks.push(format!("waits for a reboot: {}", beside.waits.join(", ")));
    }
    remarks
}

fn is_container(value: &Value) -> bool {
    value.get("mount_point").is_some()
}

fn network_blocks(value: &Value) -> &'static str {
    if is_container(value) { "network_interface" } else { "network_device" }
}

/// The keys of the parts that values name.
fn named_parts(value: &Value) -> BTreeSet<String> {
    let keys = |blocks: &str, key: &str| -> Vec<String> {
        let keys = all_blocks(value, blocks).iter().filter_map(|block| text(block, key));
        keys.map(str::to_string).collect()
    };
    let mut named: BTreeSet<String> = keys("disk", "interface").into_iter().collect();
    named.extend(keys("mount_point", "path"));
    named.extend((0..all_blocks(value, network_blocks(value)).len()).map(|index| format!("net{index}")));
    named
}

fn drives(observed: &Observed) -> impl Iterator<Item = Extra> {
    let names = ["ide", "sata", "scsi", "virtio"].into_iter().flat_map(|bus| observed.numbered(bus));
    names.filter_map(|(_, slot)| {
        let drive = observed.text(&slot).filter(|drive| !is_media(drive))?;
        let drive = Properties::parse(&drive);
        let said = volume_in_words(drive.first_or("file").unwrap_or_default(), drive.get("size"));
        Some(Extra { key: slot.clone(), slot, said })
    })
}

fn mount_points(observed: &Observed) -> impl Iterator<Item = Extra> {
    observed.numbered("mp").into_iter().filter_map(|(_, slot)| {
        let point = Properties::parse(&observed.text(&slot)?);
        let path = point.get("mp").unwrap_or_default().to_string();
        let volume = volume_in_words(point.first_or("volume").unwrap_or_default(), point.get("size"));
        Some(Extra { slot, said: format!("{volume} at {path}"), key: path })
    })
}

/// `1G on local-lvm`, or what there is of it.
fn volume_in_words(volume: &str, size: Option<&str>) -> String {
    match (volume.split_once(':'), size) {
        (Some((datastore, _)), Some(size)) => format!("{size} on {datastore}"),
        _ => volume.to_string(),
    }
}

fn network_devices(observed: &Observed) -> impl Iterator<Item = Extra> {
    observed.numbered("net").into_iter().filter_map(|(_, slot)| {
        let device = Properties::parse(&observed.text(&slot)?);
        // The first part of a VM's is its model, with its address where it has one.
        let first = device.pairs().first().map(|(key, _)| key.clone());
        let what = device.get("name").map(str::to_string).or(device.first_or("model").map(str::to_string));
        let what = what.or(first).unwrap_or_default();
        let bridge = device.get("bridge").map(|bridge| format!(" on {bridge}")).unwrap_or_default();
        Some(Extra { key: slot.clone(), slot, said: format!("{what}{bridge}") })
    })
}

fn set_aside(observed: &Observed) -> Vec<(String, String)> {
    let slots = observed.numbered("unused").into_iter().filter_map(|(_, slot)| {
        let volume = observed.text(&slot)?.split(',').next()?.to_string();
        Some((slot, volume))
    });
    slots.collect()
}

/// Volumes that are made empty while others of the guest lie unused: perhaps somebody has detached one.
fn empty_volumes(beside: &Beside, before: &Value, after: &Value) -> Vec<String> {
    let (Some((slot, volume)), Some((_, path))) =
        (beside.set_aside.first(), beside.set_aside.first().and_then(|(_, volume)| volume.split_once(':')))
    else {
        return Vec::new();
    };
    let attach = match is_container(after) {
        true => format!("volume = {volume:?} in its mount_point block"),
        false => format!("path_in_datastore = {path:?} in its disk block"),
    };
    let others: Vec<String> =
        beside.set_aside.iter().skip(1).map(|(slot, volume)| format!(", {slot} {volume}")).collect();
    let known = named_parts(before);
    let made = new_volumes(after)
        .into_iter()
        .filter(|key| !known.contains(key) && beside.extras.iter().all(|extra| extra.key != *key));
    let made = made.map(|key| {
        format!(
            "{key} is new and empty; {slot} has {volume}{}: if that was it, {attach} attaches it instead",
            others.concat()
        )
    });
    made.collect()
}

/// The keys of those volumes that are made without any content.
fn new_volumes(value: &Value) -> Vec<String> {
    let disks = all_blocks(value, "disk").iter().filter(|disk| {
        ["file_id", "import_from", "path_in_datastore"].iter().all(|origin| text(disk, origin).is_none())
    });
    let disks = disks.filter_map(|disk| text(disk, "interface"));
    let points = all_blocks(value, "mount_point").iter();
    let points = points.filter(|point| text(point, "volume").is_some_and(|name| !name.contains([':', '/'])));
    disks.chain(points.filter_map(|point| text(point, "path"))).map(str::to_string).collect()
}

/// The options that a running guest has otherwise than it will have them after its next start.
fn waits(observed: &Observed) -> Vec<String> {
    let Some(present) = &observed.in_force else { return Vec::new() };
    let names: BTreeSet<&String> = present.keys().chain(observed.config.keys()).collect();
    let changed = names.into_iter().filter(|name| present.get(*name) != observed.config.get(*name));
    let said = changed.map(|name| match (present.get(name), observed.config.get(name)) {
        // Other values may be secrets.
        (Some(before), Some(after)) if is_number(before) && is_number(after) => {
            format!("{name} ({} -> {})", plain(before), plain(after))
        }
        _ => name.clone(),
    });
    said.collect()
}

fn is_number(value: &Json) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.parse::<f64>().is_ok())
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
