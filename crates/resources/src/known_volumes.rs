//! The volumes that a guest had when its change was planned. Another one that has taken the place of one of them since is
//! neither taken out nor moved, grown or destroyed in its stead.

use std::collections::BTreeMap;
use std::iter;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json};

use crate::cluster::{Call, Foreign, Step, refused};
use crate::container::slot_of;
use crate::guest::{GuestKind, GuestType, Target, match_mount_points};
use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, block, text, texts};
use crate::vm::is_media;

/// Blocks of drives that have one place each. No value tells their volumes: the identity does.
pub(crate) const SMALL_DRIVES: &[(&str, &str)] = &[("efi_disk", "efidisk0"), ("tpm_state", "tpmstate0")];

/// The part of an identity that tells how many volumes go with it.
const COUNT: &str = "volumes";

/// A volume, as it was when the change was planned.
struct KnownVolume {
    /// What it is called in messages: `scsi1`, or `the mount point /data`.
    place: String,
    /// The option that has it, unless the path of a mount point is nowhere by now.
    slot: Option<String>,
    volume: String,
    /// Whether something is planned to be in its place.
    is_kept: bool,
}

/// The volume of an option: `local-lvm:vm-100-disk-0`.
pub(crate) fn volume_of(option: &str) -> Option<String> {
    let option = Properties::parse(option);
    option.first_or("file").or(option.first_or("volume")).map(str::to_string)
}

/// The volume of a disk of a VM.
pub(crate) fn volume_of_disk(disk: &Value) -> Option<String> {
    let path = text(disk, "path_in_datastore")?;
    Some(match text(disk, "datastore_id") {
        Some(datastore) if !datastore.is_empty() => format!("{datastore}:{path}"),
        _ => path.to_string(),
    })
}

/// The volumes of a VM by their slots: of its disks by its values, of its small drives by what it was known by.
pub(crate) fn volumes_of_vm(vm: &Value, identity: Option<&str>) -> BTreeMap<String, String> {
    let disks = all_blocks(vm, "disk").iter();
    let disks = disks.filter_map(|disk| Some((text(disk, "interface")?.to_string(), volume_of_disk(disk)?)));
    let identity = Properties::parse(identity.unwrap_or_default());
    let small = SMALL_DRIVES.iter().filter(|(name, _)| block(vm, name).is_some());
    let small = small.filter_map(|(_, slot)| Some(((*slot).to_string(), identity.get(slot)?.to_string())));
    disks.chain(small).collect()
}

/// Whether an option of a guest may have a volume.
fn is_place(option: &str) -> bool {
    let numbered = ["ide", "sata", "scsi", "virtio", "mp", "unused"]
        .iter()
        .any(|prefix| option.strip_prefix(prefix).is_some_and(|number| number.parse::<u32>().is_ok()));
    numbered || option == "rootfs" || SMALL_DRIVES.iter().any(|(_, slot)| *slot == option)
}

/// The volumes of a guest by their slots. What has a medium in it is none.
fn present_volumes(config: &Map<String, Json>) -> BTreeMap<String, String> {
    let options = config.iter().filter(|(name, _)| is_place(name));
    let options = options.filter_map(|(name, option)| Some((name, option.as_str()?)));
    let volumes = options.filter(|(_, option)| !is_media(option));
    volumes.filter_map(|(name, option)| Some((name.clone(), volume_of(option)?))).collect()
}

/// All volumes of a guest, as parts of its identity, behind how many they are.
pub(crate) fn volumes_in_words(observed: &Observed) -> Vec<String> {
    // A running guest has until its next start what is taken out of it.
    let mut volumes = observed.in_force.as_ref().map(present_volumes).unwrap_or_default();
    volumes.extend(present_volumes(&observed.config));
    let count = format!("{COUNT}={}", volumes.len());
    iter::once(count).chain(volumes.iter().map(|(slot, volume)| format!("{slot}={volume}"))).collect()
}

/// The volumes that a guest is known to have had. `None` where nothing was noted of them.
fn volumes_known_by(identity: Option<&str>) -> Option<BTreeMap<String, String>> {
    let identity = Properties::parse(identity?);
    identity.get(COUNT)?;
    let volumes = identity.pairs().iter().filter(|(name, _)| is_place(name));
    Some(volumes.cloned().collect())
}

/// The places that are planned to have a volume, with the one that is named for them.
fn planned_places(planned: &Value, observed: &Observed) -> Vec<(String, Option<String>)> {
    let disks = all_blocks(planned, "disk").iter();
    let disks = disks.filter_map(|disk| Some((text(disk, "interface")?.to_string(), volume_of_disk(disk))));
    let points = all_blocks(planned, "mount_point").iter();
    let points = points.filter_map(|point| {
        let named = text(point, "path_in_datastore").or(text(point, "volume"));
        Some((slot_of(observed, point)?, named.map(str::to_string)))
    });
    let small = SMALL_DRIVES.iter().filter(|(name, _)| block(planned, name).is_some());
    disks.chain(points).chain(small.map(|(_, slot)| ((*slot).to_string(), None))).collect()
}

/// What somebody has put since into a place that was planned to get a volume.
fn put_since(
    known: &BTreeMap<String, String>,
    places: &[(String, Option<String>)],
    observed: &Observed,
) -> Option<String> {
    let present = present_volumes(&observed.config);
    places.iter().find_map(|(slot, named)| {
        let now =
            present.get(slot).filter(|now| known.get(slot) != Some(now) && named.as_ref() != Some(now))?;
        Some(match known.get(slot) {
            Some(before) => format!("{slot} has {now} now, and had {before} when this was planned"),
            None => format!("{slot} has {now} now, and had nothing when this was planned"),
        })
    })
}

/// A volume that is there, and was nowhere in the guest.
fn added_since(known: &BTreeMap<String, String>, observed: &Observed) -> Option<String> {
    let is_new = |volume: &String| known.values().all(|known| known != volume);
    let (slot, now) = present_volumes(&observed.config).into_iter().find(|(_, now)| is_new(now))?;
    Some(format!("{slot} has {now} now, and had nothing when this was planned"))
}

fn known_of_vm(prior: &Value, planned: Option<&Value>, identity: Option<&str>) -> Vec<KnownVolume> {
    let is_kept = |slot: &str| {
        let Some(planned) = planned else { return false };
        let small = SMALL_DRIVES.iter().any(|(name, at)| *at == slot && block(planned, name).is_some());
        small || all_blocks(planned, "disk").iter().any(|disk| text(disk, "interface") == Some(slot))
    };
    let volumes = volumes_of_vm(prior, identity).into_iter();
    let known = volumes.map(|(slot, volume)| KnownVolume {
        is_kept: is_kept(&slot),
        place: slot.clone(),
        slot: Some(slot),
        volume,
    });
    known.collect()
}

fn known_of_container(prior: &Value, planned: Option<&Value>, observed: &Observed) -> Vec<KnownVolume> {
    let root = block(prior, "disk").and_then(|disk| text(disk, "path_in_datastore"));
    let root = root.map(|volume| KnownVolume {
        place: "rootfs".to_string(),
        slot: Some("rootfs".to_string()),
        volume: volume.to_string(),
        is_kept: planned.is_some(),
    });
    let before = all_blocks(prior, "mount_point");
    let after = planned.map(|planned| all_blocks(planned, "mount_point")).unwrap_or_default();
    let matches = match_mount_points(before, after);
    let points = before.iter().enumerate().filter_map(|(index, point)| {
        Some(KnownVolume {
            place: format!("the mount point {}", text(point, "path")?),
            slot: slot_of(observed, point),
            // One that is about to leave has none.
            volume: text(point, "path_in_datastore")?.to_string(),
            is_kept: matches.contains(&Some(index)),
        })
    });
    root.into_iter().chain(points).collect()
}

impl KnownVolume {
    /// What has become of it, if it is not where it was. One that was to be taken out and is nowhere any more is no matter.
    fn is_elsewhere(&self, observed: &Observed) -> Option<String> {
        let KnownVolume { place, volume, .. } = self;
        let at = |slot: &str| observed.text(slot).and_then(|option| volume_of(&option));
        match self.slot.as_deref().and_then(at) {
            Some(now) if now == *volume => None,
            Some(now) => Some(format!("{place} has {now} now, and had {volume} when this was planned")),
            None => {
                let other = observed.config.keys().find(|name| at(name).as_ref() == Some(volume));
                match other {
                    Some(other) => {
                        Some(format!("{place} had {volume} when this was planned, which is {other} now"))
                    }
                    None if self.is_kept => {
                        Some(format!("{place} had {volume} when this was planned, and has nothing now"))
                    }
                    None => None,
                }
            }
        }
    }
}

impl<G: GuestType> Target<'_, G> {
    /// Refuses a change of a guest where a volume is not where it was when the change was planned, except in the slots that
    /// this action itself has moved to another datastore. After a migration volumes may have other names: it is asked before
    /// that, and nobody changes a guest while it migrates.
    ///
    /// # Errors
    /// With what is there now, and what was.
    pub(crate) fn refuse_other_volumes(
        &self,
        (prior, planned): (&Value, &Value),
        observed: &Observed,
        moved: &[String],
    ) -> Result<(), ProviderError> {
        if Step::MIGRATE.is_in(&self.call.done()) {
            return Ok(());
        }
        self.refuse_where_other(prior, Some(planned), observed, moved)
    }

    /// Refuses to destroy a guest where a volume is not where it was when that was planned: another one would go with it.
    ///
    /// # Errors
    /// With what is there now, and what was.
    pub(crate) fn refuse_to_destroy_others(
        &self,
        prior: &Value,
        observed: &Observed,
    ) -> Result<(), ProviderError> {
        self.refuse_where_other(prior, None, observed, &[])
    }

    fn refuse_where_other(
        &self,
        prior: &Value,
        planned: Option<&Value>,
        observed: &Observed,
        moved: &[String],
    ) -> Result<(), ProviderError> {
        let known = match G::KIND {
            GuestKind::Container => known_of_container(prior, planned, observed),
            GuestKind::Vm => known_of_vm(prior, planned, self.call.identity.as_deref()),
        };
        let is_moved = |known: &KnownVolume| known.slot.as_ref().is_some_and(|slot| moved.contains(slot));
        let mut others = known.iter().filter(|known| !is_moved(known));
        let why = others.find_map(|known| known.is_elsewhere(observed));
        // What is there behind the first step may be what this action has made.
        let noted = volumes_known_by(self.call.identity.as_deref()).filter(|_| self.call.done().is_empty());
        let why = why.or_else(|| {
            let noted = noted?;
            let Some(planned) = planned else { return added_since(&noted, observed) };
            let places = planned_places(planned, observed);
            let is_new = |slot: &str| known.iter().all(|known| known.slot.as_deref() != Some(slot));
            let places: Vec<_> = places.into_iter().filter(|(slot, _)| is_new(slot)).collect();
            put_since(&noted, &places, observed)
        });
        self.call.refuse_because(why)
    }
}

impl Call<'_> {
    /// Refuses the same of the newer kinds of machines, whose drives have their slots for names. Without `planned` it is
    /// destroyed.
    ///
    /// # Errors
    /// With what is there now, and what was.
    pub(crate) fn refuse_other_drives(
        &self,
        prior: &Value,
        planned: Option<&Value>,
        observed: &Observed,
    ) -> Result<(), ProviderError> {
        let Some(noted) = volumes_known_by(self.identity.as_deref()) else { return Ok(()) };
        let Some(planned) = planned else { return self.refuse_because(added_since(&noted, observed)) };
        let disks = |value: &Value| -> Vec<(String, Option<String>)> {
            let disks = value.get("disk").filter(|disks| disks.is_known()).and_then(Value::entries);
            let named = |disk: &Value| text(disk, "file").map(str::to_string);
            disks.into_iter().flatten().map(|(slot, disk)| (slot.to_string(), named(disk))).collect()
        };
        let gone = planned.get("delete").filter(|gone| !gone.is_null());
        let gone = gone.map(|gone| texts(gone, "disk")).unwrap_or_default();
        // What the plan names for a slot counts, not what was read of it before.
        let mut places: BTreeMap<_, _> = disks(prior).into_iter().map(|(slot, _)| (slot, None)).collect();
        places.extend(disks(planned));
        places.extend(gone.iter().map(|slot| (slot.to_string(), None)));
        let places: Vec<_> = places.into_iter().collect();
        self.refuse_because(put_since(&noted, &places, observed))
    }

    fn refuse_because(&self, why: Option<String>) -> Result<(), ProviderError> {
        let Some(why) = why else { return Ok(()) };
        self.found(Foreign::Volume);
        let hint = "no volume was taken out, changed or destroyed: look at it in the cluster and plan again";
        Err(refused(format!("{}: {why}", self.object), Some(hint)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::Definition;
    use crate::observed::{defaults, overlay};

    fn guest(is_container: bool, json: Json) -> Value {
        let fields = if is_container { crate::container::fields() } else { crate::vm::fields() };
        let block = Definition::new(fields).schema.block;
        let Json::Object(json) = json else { unreachable!() };
        overlay(&block, &defaults(&block), json)
    }

    fn observed(json: Json) -> Observed {
        let Json::Object(config) = json else { unreachable!() };
        Observed { config, ..Observed::default() }
    }

    fn told(known: Vec<KnownVolume>, now: &Observed) -> Vec<String> {
        known.iter().filter_map(|known| known.is_elsewhere(now)).collect()
    }

    #[test]
    fn a_disk_of_a_vm_is_the_one_that_was_planned_or_is_told() {
        let disk = |slot: &str, path: &str| json!({"interface": slot, "datastore_id": "lvm", "path_in_datastore": path});
        let prior = guest(
            false,
            json!({"disk": [disk("scsi0", "vm-1-disk-0"), disk("scsi1", "vm-1-disk-1")], "tpm_state": [{}]}),
        );
        let planned = guest(false, json!({"disk": [disk("scsi0", "vm-1-disk-0")]}));
        let known =
            || known_of_vm(&prior, Some(&planned), Some("uuid=1,tpmstate0=lvm:vm-1-disk-2,efidisk0=lvm:x"));
        let slots = ["scsi0", "scsi1", "tpmstate0"];
        let now = |volumes: [Option<&str>; 3], more: Json| {
            let mut now = observed(more);
            let set = slots.iter().zip(volumes).filter_map(|(slot, volume)| Some((*slot, volume?)));
            now.config
                .extend(set.map(|(slot, volume)| (slot.to_string(), json!(format!("lvm:{volume},size=1G")))));
            now
        };
        let [first, second, state] = ["vm-1-disk-0", "vm-1-disk-1", "vm-1-disk-2"];
        let as_planned = now([Some(first), Some(second), Some(state)], json!({}));
        assert_eq!(told(known(), &as_planned), Vec::<String>::new());
        assert_eq!(told(known(), &now([Some(first), None, None], json!({}))), Vec::<String>::new());
        assert_eq!(
            told(
                known(),
                &now([None, Some("vm-1-disk-7"), Some("vm-1-disk-8")], json!({"unused0": "lvm:vm-1-disk-1"}))
            ),
            [
                "scsi0 had lvm:vm-1-disk-0 when this was planned, and has nothing now",
                "scsi1 has lvm:vm-1-disk-7 now, and had lvm:vm-1-disk-1 when this was planned",
                "tpmstate0 has lvm:vm-1-disk-8 now, and had lvm:vm-1-disk-2 when this was planned",
            ]
        );
        assert_eq!(
            told(known(), &now([Some(first), None, Some(state)], json!({"unused3": "lvm:vm-1-disk-1"}))),
            ["scsi1 had lvm:vm-1-disk-1 when this was planned, which is unused3 now"]
        );
    }

    #[test]
    fn a_mount_point_has_the_volume_that_was_planned_wherever_it_is_mounted() {
        let point =
            |path: &str, volume: &str| json!({"path": path, "volume": "tank", "path_in_datastore": volume});
        let prior =
            guest(true, json!({"mount_point": [point("/a", "tank:subvol-1"), point("/b", "tank:subvol-2")]}));
        let planned = guest(true, json!({"mount_point": [point("/a", "tank:subvol-1")]}));
        let told = |now: Json| {
            told(known_of_container(&prior, Some(&planned), &observed(now.clone())), &observed(now))
        };
        assert_eq!(
            told(json!({"mp4": "tank:subvol-1,mp=/a", "mp1": "tank:subvol-2,mp=/b"})),
            Vec::<String>::new()
        );
        assert_eq!(
            told(json!({"mp0": "tank:subvol-1,mp=/a", "mp1": "tank:subvol-9,mp=/b"})),
            ["the mount point /b has tank:subvol-9 now, and had tank:subvol-2 when this was planned"]
        );
        assert_eq!(
            told(json!({"mp1": "tank:subvol-2,mp=/b"})),
            ["the mount point /a had tank:subvol-1 when this was planned, and has nothing now"]
        );
    }
}
