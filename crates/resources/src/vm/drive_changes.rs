//! What becomes of a VM's drives: which are made, moved, grown, changed and taken out.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;

use super::decode_devices::is_media;
use super::drives::{
    Volume, encode_cdrom, encode_cloud_init, encode_disk, encode_efi_disk, encode_tpm_state, has_attribute,
};
use super::image_import::ImageImport;
use super::media::{change_cdrom, change_cloud_init};
use crate::guest::is_set_aside;
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, block, flag, int, text};

/// A disk that goes to another datastore.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Move {
    pub(super) interface: String,
    pub(super) datastore: String,
    pub(super) format: Option<String>,
}

/// Everything that becomes of the drives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DriveChanges {
    pub(super) moves: Vec<Move>,
    pub(super) imports: Vec<ImageImport>,
    /// Drives to be set. An existing one is `=` and its options: its volume is looked up when it is sent, since a move
    /// changes it.
    pub(super) set: Params,
    /// The slots of disks, the EFI disk and the TPM state that are taken out.
    pub(super) delete: BTreeSet<String>,
    /// Drives for media that are taken out, as long as these are what is there.
    pub(super) media: BTreeSet<String>,
    /// Drives for media that go by a request of their own, while the VM does not run: the API refuses another cloud-init
    /// drive as long as there is one, be it deleted by the same request or pending (PVE::API2::Qemu, `create_disks`), and a
    /// disk in the place of a medium while the VM runs (`vmconfig_update_disk`).
    pub(super) freed: BTreeSet<String>,
    /// Drives that get another volume in place of the one they have.
    pub(super) renewed: BTreeSet<String>,
    /// Sizes in gibibytes.
    pub(super) sizes: BTreeMap<String, i64>,
}

impl DriveChanges {
    /// Sets the options of disks in these slots where they are not as planned, whatever was known of them: a change of
    /// theirs that waited was taken back.
    pub(super) fn resend(&mut self, observed: &Observed, planned: &Value, slots: &[String]) {
        for disk in all_blocks(planned, "disk") {
            let Some(interface) =
                text(disk, "interface").filter(|name| slots.iter().any(|slot| slot == name))
            else {
                continue;
            };
            let encoded = encode_disk(disk, Volume::Existing(PRESENT));
            let now = observed.text(interface).map(|drive| Properties::parse(&drive));
            if now.is_some_and(|now| differs(&now, &encoded)) {
                self.set.put(interface, Some(encoded));
            }
        }
    }

    /// The sizes of disks that are there and whose options are set, too. A line that waits for a reboot has the size from
    /// before a growth that follows it.
    pub(super) fn sizes_of_changed(&self, observed: &Observed) -> BTreeMap<String, i64> {
        let is_changed = |name: &String| self.set.0.get(name).is_some_and(|drive| drive.starts_with(PRESENT));
        let sizes = self.sizes.iter();
        let sizes = sizes.filter(|(name, _)| is_changed(name) && observed.config.contains_key(*name));
        sizes.map(|(name, size)| (name.clone(), *size)).collect()
    }

    /// The slots of disks that are made, moved or grown.
    pub(super) fn slots(&self, observed: &Observed) -> BTreeSet<String> {
        let made = self
            .set
            .0
            .keys()
            .cloned()
            .chain(self.imports.iter().map(|import| import.interface().to_string()));
        let made = made.filter(|name| !observed.config.contains_key(name));
        let moved = self.moves.iter().map(|moved| moved.interface.clone());
        made.chain(moved).chain(self.sizes.keys().cloned()).collect()
    }

    /// Whether the API refuses a part of it while the VM runs: the TPM state does not move, a disk that the VM boots from
    /// does not go (PVE::QemuServer, `clone_disk` and `vm_deviceunplug`), no second cloud-init drive comes, and no disk
    /// becomes a medium.
    pub(super) fn need_a_stop(&self, observed: &Observed) -> bool {
        let boot = observed.text("boot").unwrap_or_default();
        let mut order = boot.strip_prefix("order=").unwrap_or_default().split(';');
        !self.freed.is_empty()
            || self.moves.iter().any(|moved| moved.interface == "tpmstate0")
            || order
                .any(|device| [&self.delete, &self.media, &self.renewed].iter().any(|go| go.contains(device)))
            || self.set.0.iter().any(|(name, drive)| {
                let now = observed.until_start().map_or_else(|| observed.text(name), |now| now.text(name));
                now.is_some_and(|now| is_media(&now) != is_media(drive))
            })
    }

    /// The drives that are taken out, whether something else comes in their place or not.
    pub(super) fn leaving(&self) -> impl Iterator<Item = &String> {
        self.delete.iter().chain(&self.media).chain(&self.renewed).chain(&self.freed)
    }

    /// The options to be deleted. Where a drive for media was there may be a disk by now, which stays; what is set aside is
    /// destroyed with that, and so comes last.
    pub(super) fn deletions(&self, observed: &Observed) -> impl Iterator<Item = String> {
        let is_still = |name: &&String| observed.text(name).is_some_and(|drive| is_media(&drive));
        let taken_out = self.delete.iter().filter(|name| !is_set_aside(name));
        taken_out.chain(self.media.iter().filter(is_still)).cloned()
    }

    /// Drives for media make room for disks, and what is given to something else is set, not deleted.
    fn make_room(&mut self, observed: &Observed) {
        let imported = self.imports.iter().map(|import| import.interface().to_string());
        let disks = self.set.0.iter().filter(|(_, drive)| !is_media(drive)).map(|(name, _)| name.clone());
        let has_media = |name: &String| observed.text(name).is_some_and(|drive| is_media(&drive));
        let disks: Vec<String> = imported.chain(disks).collect();
        self.freed.extend(disks.iter().filter(|name| has_media(name)).cloned());
        let stays = |name: &String| self.set.0.contains_key(name) || disks.contains(name);
        self.delete.retain(|name| !stays(name));
        self.media.retain(|name| !stays(name) && !self.freed.contains(name));
    }
}

/// In place of the volume of an existing drive.
const PRESENT: &str = "=";

/// The drives of a new VM, without those that are imported afterwards.
pub(super) fn initial_drives(planned: &Value) -> Params {
    let mut params = Params::default();
    for disk in all_blocks(planned, "disk").iter().filter(|disk| ImageImport::of(disk).is_none()) {
        if let Some(interface) = text(disk, "interface") {
            params.put(interface, Some(encode_disk(disk, Volume::New)));
        }
    }
    params.put("efidisk0", block(planned, "efi_disk").map(encode_efi_disk));
    params.put("tpmstate0", block(planned, "tpm_state").map(encode_tpm_state));
    for (interface, drive) in encode_cdrom(planned).into_iter().chain(encode_cloud_init(planned)) {
        params.put(&interface, Some(drive));
    }
    params
}

/// What has to become of the drives of a VM that exists. `prior` is `None` for one that was just made from nothing.
pub(super) fn drive_changes(observed: &Observed, prior: Option<&Value>, planned: &Value) -> DriveChanges {
    let mut changes = DriveChanges::default();
    for disk in all_blocks(planned, "disk") {
        let Some(interface) = text(disk, "interface") else { continue };
        let old = prior.and_then(|prior| {
            all_blocks(prior, "disk").iter().find(|old| text(old, "interface") == Some(interface))
        });
        change_disk(observed, interface, old, disk, &mut changes);
    }
    for old in prior.map(|prior| all_blocks(prior, "disk")).unwrap_or_default() {
        let Some(interface) = text(old, "interface") else { continue };
        if !all_blocks(planned, "disk").iter().any(|disk| text(disk, "interface") == Some(interface)) {
            changes.delete.insert(interface.to_string());
        }
    }
    change_small_drives(observed, prior, planned, &mut changes);
    change_cdrom(observed, prior, planned, &mut changes);
    change_cloud_init(observed, prior, planned, &mut changes);
    changes.make_room(observed);
    changes
}

fn change_disk(
    observed: &Observed,
    interface: &str,
    old: Option<&Value>,
    disk: &Value,
    changes: &mut DriveChanges,
) {
    let size = int(disk, "size");
    // A drive for media that a template has there has no data: it makes room.
    let now = observed.text(interface).filter(|drive| !is_media(drive));
    let Some(now) = now.map(|drive| Properties::parse(&drive)) else {
        match ImageImport::of(disk) {
            Some(import) => changes.imports.push(import),
            None => changes.set.put(interface, Some(encode_disk(disk, Volume::New))),
        }
        if text(disk, "file_id").or_else(|| text(disk, "import_from")).is_some() {
            changes.sizes.extend(size.map(|size| (interface.to_string(), size)));
        }
        return;
    };
    let present = now.get("size").and_then(crate::size::parse_size).unwrap_or_default();
    let grown = size.filter(|size| u64::try_from(*size).is_ok_and(|size| size << 30 > present));
    changes.sizes.extend(grown.map(|size| (interface.to_string(), size)));
    let datastore = now.first_or("file").and_then(|volume| volume.split_once(':')).map(|(name, _)| name);
    let wanted = text(disk, "datastore_id").unwrap_or_default();
    let format = text(disk, "file_format");
    let reformatted = old.is_some_and(|old| format.is_some() && text(old, "file_format") != format);
    if !wanted.is_empty() && (datastore != Some(wanted) || reformatted) {
        changes.moves.push(Move {
            interface: interface.to_string(),
            datastore: wanted.to_string(),
            format: format.map(str::to_string),
        });
    }
    let encoded = encode_disk(disk, Volume::Existing(PRESENT));
    if old.is_none_or(|old| encode_disk(old, Volume::Existing(PRESENT)) != encoded) && differs(&now, &encoded)
    {
        changes.set.put(interface, Some(encoded));
    }
}

/// Whether the options of a drive that attributes are for are other than those wanted.
fn differs(now: &Properties, wanted: &Properties) -> bool {
    let options = |drive: &Properties| -> BTreeMap<String, String> {
        drive.pairs().iter().filter(|(key, _)| has_attribute(key)).cloned().collect()
    };
    options(now) != options(wanted)
}

/// The drives to be set, with the volumes, the sizes and whatever no attribute is for, as they have them by now.
pub(super) fn with_current_volumes(observed: &Observed, set: &Params) -> Params {
    let mut fresh = Params::default();
    for (name, wanted) in &set.0 {
        let now = observed.text(name).map(|drive| Properties::parse(&drive));
        match (wanted.strip_prefix(PRESENT), &now) {
            (Some(options), Some(now)) if now.first_or("file").is_some() => {
                let volume = now.first_or("file").unwrap_or_default();
                let kept = now.pairs().iter().filter(|(key, _)| key != "file" && !has_attribute(key));
                let kept: String = kept.map(|(key, value)| format!(",{key}={value}")).collect();
                fresh.put(name, Some(format!("{volume}{options}{kept}")));
            }
            _ => fresh.put(name, Some(wanted)),
        }
    }
    fresh
}

fn change_small_drives(
    observed: &Observed,
    prior: Option<&Value>,
    planned: &Value,
    changes: &mut DriveChanges,
) {
    type Encode = fn(&Value) -> Properties;
    let drives: [(&str, &str, Encode); 2] =
        [("efi_disk", "efidisk0", encode_efi_disk), ("tpm_state", "tpmstate0", encode_tpm_state)];
    for (name, slot, encode) in drives {
        let before = prior.and_then(|prior| block(prior, name));
        match (block(planned, name), observed.text(slot)) {
            (Some(wanted), None) => changes.set.put(slot, Some(encode(wanted))),
            (Some(wanted), Some(now)) => {
                let datastore = text(wanted, "datastore_id").unwrap_or_default();
                let format = text(wanted, "file_format");
                let reformatted =
                    before.is_some_and(|old| format.is_some() && text(old, "file_format") != format);
                let keys = |disk: &Value| flag(disk, "pre_enrolled_keys");
                if before.is_some_and(|old| keys(old) != keys(wanted)) {
                    // The keys are enrolled when the volume is made.
                    changes.renewed.insert(slot.to_string());
                    changes.set.put(slot, Some(encode(wanted)));
                } else if reformatted || now.split_once(':').is_some_and(|(name, _)| name != datastore) {
                    changes.moves.push(Move {
                        interface: slot.to_string(),
                        datastore: datastore.to_string(),
                        format: format.map(str::to_string),
                    });
                }
            }
            // A running VM may be about to lose it with its next start.
            (None, _) if before.is_some() => {
                changes.delete.insert(slot.to_string());
            }
            _ => {}
        }
    }
}
