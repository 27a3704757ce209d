//! What a guest has beside its values: drives and network devices that nobody configured, volumes that were set aside,
//! changes that wait for a reboot. It is told, and left alone: a disk has data, and whoever attached it had a reason.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;
use pve_model::rules::{Beside, Extra};
use serde_json::{Map, Value as Json};

use crate::guest::GuestKind;
use crate::known_volumes::{SMALL_DRIVES, volume_of_disk};
use crate::observed::Observed;
use crate::property::Properties;
use crate::unspoken::{Shape, changed_options, new_volume_in_words, option_in_words, unspoken};
use crate::unused::{set_aside, unused_volumes};
use crate::values::{all_blocks, text};
use crate::vm::is_media;
use crate::waiting::{leaving, taken_back_in_words, waits};

/// What was seen of a guest beside `value`, which was read with `recorded` as its guide.
pub(crate) fn beside_of(kind: GuestKind, observed: &Observed, recorded: &Value, value: &Value) -> Beside {
    // A clone that configures none of a kind has those of its template.
    let inherits = |name: &str| is_clone(recorded) && all_blocks(recorded, name).is_empty();
    let mut extras = Vec::new();
    match kind {
        GuestKind::Container => extras.extend(mount_points(observed).filter(|_| !inherits("mount_point"))),
        GuestKind::Vm => {
            extras.extend(drives(observed).filter(|_| !inherits("disk")));
            let small = SMALL_DRIVES.iter().filter(|(name, _)| !inherits(name));
            extras.extend(small.filter_map(|(_, slot)| drive(observed, slot)));
        }
    }
    // Where any is configured, all are: those that are none of them are among the values.
    let blocks = kind.network_blocks();
    let is_open = all_blocks(value, blocks).is_empty() && !inherits(blocks);
    extras.extend(network_devices(observed).filter(|_| is_open));
    let named = named_parts(kind, value);
    extras.retain(|extra| !named.contains(&extra.key));
    // What a clone has from its template is recorded: it is none of the configuration's, and no news.
    let told = if is_clone(recorded) { BTreeSet::new() } else { slots(&extras) };
    let unspoken = Some(unspoken(&observed.config, value, Shape::Blocks, &told));
    let set_aside = set_aside(observed);
    Beside {
        extras,
        set_aside,
        leaving: leaving(observed),
        waits: waits(observed),
        unspoken,
        ..Beside::default()
    }
}

/// The options of a guest that neither `value` nor an extra tells. Machines of the newer kinds, which are given as `None`,
/// have no extras: their drives are options among others.
pub(crate) fn unspoken_of(
    kind: Option<GuestKind>,
    config: Map<String, Json>,
    value: &Value,
) -> Option<BTreeMap<String, String>> {
    let Some(kind) = kind else {
        return Some(unspoken(&config, value, Shape::Attributes, &BTreeSet::new()));
    };
    beside_of(kind, &Observed { config, ..Observed::default() }, value, value).unspoken
}

/// What is worth knowing of a guest on its way from `before` to `after`.
pub(crate) fn remarks_on_guest(
    kind: GuestKind,
    beside: &Beside,
    (before, after): (&Value, Option<&Value>),
) -> Vec<String> {
    let Some(after) = after else {
        let lost = beside.extras.iter().filter(|extra| !extra.slot.starts_with("net"));
        let lost = lost.map(|Extra { slot, said, .. }| {
            format!("{slot}: {said}, not in the configuration; destroyed with the guest")
        });
        let unused = beside.set_aside.iter();
        let unused =
            unused.map(|(slot, volume)| format!("{slot}: {volume}, set aside; destroyed with the guest"));
        let told = slots(&beside.extras);
        let new = changed_options(&beside.changed, [before, before], Shape::Blocks, &told).into_iter();
        let new = new.filter_map(new_volume_in_words);
        return lost.chain(unused).chain(new).collect();
    };
    let named = named_parts(kind, after);
    let is_news = |slot: &str| beside.changed.iter().any(|change| change.name == slot);
    let extras = beside.extras.iter();
    let extras =
        extras.filter(|extra| !is_clone(before) || named.contains(&extra.key) || is_news(&extra.slot));
    let extras = extras.map(|Extra { slot, key, said }| match named.contains(key) {
        true => format!("{slot}: {said}, is there already; it is taken in, not made"),
        false => format!("{slot}: {said}, not in the configuration; left alone"),
    });
    let mut remarks: Vec<String> = extras.collect();
    let back: Vec<&Extra> = beside.leaving.iter().filter(|extra| is_taken_back(extra, after)).collect();
    remarks.extend(back.iter().map(|extra| taken_back_in_words(extra)));
    remarks.extend(unused_volumes(kind, beside, &back, (before, after)));
    remarks.extend(beside.hidden.iter().cloned());
    // What is said of a change that waits is said once.
    let name = |wait: &str| wait.split(' ').next().unwrap_or_default().to_string();
    let waiting: BTreeMap<String, &String> = beside.waits.iter().map(|wait| (name(wait), wait)).collect();
    let told = slots(&beside.extras);
    let changed = changed_options(&beside.changed, [before, after], Shape::Blocks, &told);
    remarks.extend(changed.iter().map(|change| option_in_words(change, waiting.contains_key(&change.name))));
    let is_told = |name: &str| {
        changed.iter().any(|change| change.name == name) || back.iter().any(|extra| extra.slot == name)
    };
    let rest = waiting.iter().filter(|(name, _)| !is_told(name)).map(|(_, wait)| wait.as_str());
    remarks.extend(in_one_line(rest));
    remarks
}

/// What is worth knowing of a machine of the newer kinds, whose drives and devices are options among others.
pub(crate) fn remarks_on_options(beside: &Beside, before: &Value, after: Option<&Value>) -> Vec<String> {
    let values = [before, after.unwrap_or(before)];
    let changed = changed_options(&beside.changed, values, Shape::Attributes, &BTreeSet::new());
    match after {
        Some(after) => {
            let has_slot = |extra: &&Extra| {
                let disks = after.get("disk").filter(|disks| disks.is_known()).and_then(Value::entries);
                disks.is_some_and(|disks| disks.contains_key(extra.slot.as_str()))
            };
            let back: Vec<&Extra> = beside.leaving.iter().filter(has_slot).collect();
            let name = |wait: &str| wait.split(' ').next().unwrap_or_default().to_string();
            let waits = beside.waits.iter().map(String::as_str);
            let waits = waits.filter(|wait| back.iter().all(|extra| extra.slot != name(wait)));
            let told = changed.into_iter().map(|change| {
                option_in_words(change, beside.waits.iter().any(|wait| name(wait) == change.name))
            });
            told.chain(back.iter().map(|extra| taken_back_in_words(extra)))
                .chain(in_one_line(waits))
                .collect()
        }
        None => changed.into_iter().filter_map(new_volume_in_words).collect(),
    }
}

/// What waits for a reboot, if anything does.
fn in_one_line<'w>(waits: impl Iterator<Item = &'w str>) -> Option<String> {
    let waits: Vec<&str> = waits.collect();
    (!waits.is_empty()).then(|| format!("waits for a reboot: {}", waits.join(", ")))
}

/// Whether a volume whose removal waits is to be where it is: a plan that names another one for its place lets it go.
fn is_taken_back(leaving: &Extra, after: &Value) -> bool {
    let disks = all_blocks(after, "disk").iter();
    let mut disks = disks.filter(|disk| text(disk, "interface") == Some(&*leaving.slot));
    let points = all_blocks(after, "mount_point").iter();
    let mut points = points.filter(|point| text(point, "path") == Some(&*leaving.key));
    let is_small =
        SMALL_DRIVES.iter().any(|(name, slot)| *slot == leaving.slot && !all_blocks(after, name).is_empty());
    is_small
        || disks.any(|disk| volume_of_disk(disk).is_none_or(|volume| volume == leaving.said))
        || points.any(|point| {
            let named = text(point, "volume").filter(|volume| volume.contains([':', '/']));
            named.is_none_or(|named| named == leaving.said)
        })
}

fn slots(extras: &[Extra]) -> BTreeSet<String> {
    extras.iter().map(|extra| extra.slot.clone()).collect()
}

fn is_clone(value: &Value) -> bool {
    !all_blocks(value, "clone").is_empty()
}

/// The keys of the parts that values name.
pub(crate) fn named_parts(kind: GuestKind, value: &Value) -> BTreeSet<String> {
    let keys = |blocks: &str, key: &str| -> Vec<String> {
        let keys = all_blocks(value, blocks).iter().filter_map(|block| text(block, key));
        keys.map(str::to_string).collect()
    };
    let mut named: BTreeSet<String> = keys("disk", "interface").into_iter().collect();
    named.extend(keys("mount_point", "path"));
    let small = SMALL_DRIVES.iter().filter(|(name, _)| !all_blocks(value, name).is_empty());
    named.extend(small.map(|(_, slot)| (*slot).to_string()));
    named.extend((0..all_blocks(value, kind.network_blocks()).len()).map(|index| format!("net{index}")));
    named
}

fn drives(observed: &Observed) -> impl Iterator<Item = Extra> {
    let names = ["ide", "sata", "scsi", "virtio"].into_iter().flat_map(|bus| observed.numbered(bus));
    names.filter_map(|(_, slot)| drive(observed, &slot))
}

fn drive(observed: &Observed, slot: &str) -> Option<Extra> {
    let drive = Properties::parse(&observed.text(slot).filter(|drive| !is_media(drive))?);
    let said = volume_in_words(drive.first_or("file").unwrap_or_default(), drive.get("size"));
    Some(Extra { key: slot.to_string(), slot: slot.to_string(), said })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{defaults, overlay};
    use serde_json::json;

    fn guest(is_container: bool, json: Json) -> Value {
        let fields = if is_container { crate::container::fields() } else { crate::vm::fields() };
        let block = crate::definition::Definition::new(fields).schema.block;
        let Json::Object(json) = json else { unreachable!() };
        overlay(&block, &defaults(&block), json)
    }

    fn kind_of(guest: &Value) -> GuestKind {
        if guest.get("mount_point").is_some() { GuestKind::Container } else { GuestKind::Vm }
    }

    fn seen(observed: Json, before: &Value) -> Beside {
        let Json::Object(config) = observed else { unreachable!() };
        beside_of(kind_of(before), &Observed { config, ..Observed::default() }, before, before)
    }

    fn remarks(observed: Json, before: &Value, after: Option<&Value>) -> Vec<String> {
        remarks_on_guest(kind_of(before), &seen(observed, before), (before, after))
    }

    #[test]
    fn a_disk_of_the_template_is_told_when_it_changed_and_when_it_is_lost() {
        let clone = guest(false, json!({"clone": [{"vm_id": 9}], "disk": [{"interface": "scsi1"}]}));
        let config =
            |size: &str| json!({"scsi0": format!("lvm:vm-1-disk-0,size={size}"), "scsi1": "lvm:vm-1-disk-1"});
        let recorded = seen(config("8G"), &clone).unspoken;
        let told = |config: Json, after: Option<&Value>| {
            remarks_on_guest(GuestKind::Vm, &seen(config, &clone).since(recorded.as_ref()), (&clone, after))
        };
        assert_eq!(told(config("8G"), Some(&clone)), Vec::<String>::new());
        assert_eq!(
            told(config("9G"), Some(&clone)),
            ["scsi0: 9G on lvm, not in the configuration; left alone"]
        );
        let lost = ["scsi0: 8G on lvm, not in the configuration; destroyed with the guest"];
        assert_eq!(told(config("8G"), None), lost);
        let mut more = config("8G");
        more["scsi5"] = json!("lvm:vm-1-disk-2,size=1G");
        assert_eq!(told(more, Some(&clone)), ["scsi5: 1G on lvm, not in the configuration; left alone"]);
        let both = guest(
            false,
            json!({"clone": [{"vm_id": 9}], "disk": [{"interface": "scsi0"}, {"interface": "scsi1"}]}),
        );
        assert_eq!(
            told(config("8G"), Some(&both)),
            ["scsi0: 8G on lvm, is there already; it is taken in, not made"]
        );
    }

    #[test]
    fn volumes_without_a_block_are_told_wherever_they_are() {
        let vm = guest(false, json!({"disk": [{"interface": "scsi0"}]}));
        let observed = || {
            json!({"scsi0": "lvm:vm-1-disk-0,size=8G", "efidisk0": "lvm:vm-1-disk-1,efitype=4m,size=4M",
                   "tpmstate0": "lvm:vm-1-disk-2,size=4M", "unused0": "lvm:vm-1-disk-3", "unused1": "lvm:vm-1-disk-0",
                   "unused2": "lvm:vm-1-disk-3"})
        };
        let told = |end: &str| {
            [
                format!("efidisk0: 4M on lvm, not in the configuration; {end}"),
                format!("tpmstate0: 4M on lvm, not in the configuration; {end}"),
                format!("unused0: lvm:vm-1-disk-3, set aside; {end}"),
            ]
        };
        assert_eq!(remarks(observed(), &vm, Some(&vm)), told("left alone"));
        assert_eq!(remarks(observed(), &vm, None), told("destroyed with the guest"));
        let all = guest(
            false,
            json!({"disk": [{"interface": "scsi0"}, {"interface": "scsi1", "datastore_id": "lvm", "path_in_datastore": "vm-1-disk-3"}],
                   "efi_disk": [{}], "tpm_state": [{}]}),
        );
        assert_eq!(remarks(observed(), &all, Some(&all)), Vec::<String>::new());
        let clone = guest(false, json!({"clone": [{"vm_id": 9}], "disk": [{"interface": "scsi0"}]}));
        assert_eq!(remarks(observed(), &clone, Some(&clone)), &told("left alone")[2..]);
    }

    #[test]
    fn a_volume_of_the_same_name_on_another_datastore_is_another_one() {
        let disk = |slot: &str, parts: Json| {
            let mut disk = json!({"interface": slot, "datastore_id": "tank"});
            disk.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
            disk
        };
        let first = || disk("scsi0", json!({"datastore_id": "lvm", "path_in_datastore": "vm-1-disk-0"}));
        let before = guest(false, json!({"disk": [first()]}));
        let observed = || json!({"scsi0": "lvm:vm-1-disk-0,size=8G", "unused0": "tank:vm-1-disk-0"});
        assert_eq!(
            remarks(observed(), &before, Some(&before)),
            ["unused0: tank:vm-1-disk-0, set aside; left alone"]
        );
        let offered = |datastore: &str| {
            let made = disk("scsi1", json!({"datastore_id": datastore}));
            remarks(observed(), &before, Some(&guest(false, json!({"disk": [first(), made]}))))
        };
        let new = "scsi1 is new and empty; unused0 has tank:vm-1-disk-0: if that was it,";
        let path = "path_in_datastore = \"vm-1-disk-0\" in its disk block attaches it instead";
        assert_eq!(offered("tank"), [format!("{new} {path}")]);
        assert_eq!(offered("lvm"), [format!("{new} datastore_id = \"tank\", {path}")]);
    }

    #[test]
    fn what_was_detached_is_offered_once_and_only_for_what_is_new() {
        let container = |paths: &[&str]| {
            let points = paths.iter().map(|path| json!({"path": path, "volume": "lvm", "size": "1G"}));
            guest(true, json!({"mount_point": points.collect::<Vec<_>>()}))
        };
        let observed = || json!({"mp0": "lvm:vm-1-disk-1,mp=/a,size=1G", "unused0": "lvm:vm-1-disk-2"});
        let before = container(&["/a"]);
        let left = ["unused0: lvm:vm-1-disk-2, set aside; left alone"];
        assert_eq!(remarks(observed(), &before, Some(&container(&["/b"]))), left, "it keeps its volume");
        assert_eq!(
            remarks(observed(), &before, Some(&container(&["/a", "/b", "/c"]))),
            ["/b, /c are new and empty; unused0 has lvm:vm-1-disk-2: if that was one of them, volume = \
              \"lvm:vm-1-disk-2\" in its mount_point block attaches it instead"]
        );
    }
}
