//! What a running VM keeps until its next start. A disk whose removal waits is still there and can be taken back. Where a
//! run broke off behind a removal, the record has the drive without a datastore: the next plan takes it out, reboots the VM
//! and destroys it.

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::drive_changes::DriveChanges;
use crate::guest::timeout;
use crate::known_volumes::{SMALL_DRIVES, volume_of, volume_of_disk};
use crate::observed::Observed;
use crate::values::{all_blocks, block, is_text, text, with, with_elements};

/// In place of the datastore of a drive that leaves. A disk has its whole volume for its path then.
const NO_DATASTORE: &str = "";

/// Whether a VM has a drive until its next start only.
fn leaves(observed: &Observed, slot: &str) -> bool {
    observed.changes_with_start(slot) && !observed.config.contains_key(slot)
}

/// Whether a VM has this volume in this slot until its next start only.
fn volume_leaves(observed: &Observed, slot: &str, volume: &str) -> bool {
    let present = observed.until_start().and_then(|present| present.text(slot));
    leaves(observed, slot) && present.and_then(|drive| volume_of(&drive)).as_deref() == Some(volume)
}

/// The volume of a disk that is recorded to leave. One of the node itself has no datastore, either.
fn leaving_volume(disk: &Value) -> Option<&str> {
    let volume = text(disk, "path_in_datastore").filter(|_| is_text(disk, "datastore_id", NO_DATASTORE))?;
    (volume.contains(':') && !volume.starts_with('/')).then_some(volume)
}

/// A disk that was recorded to leave, as long as it is somewhere: it is set aside once it has left.
fn leaving_disk(observed: &Observed, disk: &Value) -> Option<Value> {
    let (slot, volume) = (text(disk, "interface")?, leaving_volume(disk)?);
    if volume_leaves(observed, slot, volume) {
        return Some(disk.clone());
    }
    let mut unused = observed.numbered("unused").into_iter().map(|(_, slot)| slot);
    let slot = unused.find(|slot| observed.text(slot).as_deref() == Some(volume))?;
    let (datastore, path) = volume.split_once(':')?;
    let parts = [("interface", slot.as_str()), ("datastore_id", datastore), ("path_in_datastore", path)];
    Some(parts.into_iter().fold(disk.clone(), |disk, (name, part)| with(&disk, name, Value::string(part))))
}

fn with_disks(value: &Value, more: Vec<Value>) -> Value {
    let disks = all_blocks(value, "disk").iter().cloned().chain(more);
    with_elements(value, "disk", disks.collect())
}

fn disk_at<'v>(value: &'v Value, slot: &str) -> Option<&'v Value> {
    all_blocks(value, "disk").iter().find(|disk| text(disk, "interface") == Some(slot))
}

/// The values of a VM that was read, with the drives that are recorded to leave and have not left yet.
pub(crate) fn with_leaving_drives(observed: &Observed, recorded: &Value, read: &Value) -> Value {
    let leaving = SMALL_DRIVES.iter().filter_map(|(name, slot)| {
        let drive = block(recorded, name).filter(|drive| is_text(drive, "datastore_id", NO_DATASTORE));
        drive.filter(|_| leaves(observed, slot)).map(|drive| (name, drive.clone()))
    });
    let read = leaving.fold(read.clone(), |read, (name, drive)| with_elements(&read, name, vec![drive]));
    let disks = all_blocks(recorded, "disk").iter().filter_map(|disk| leaving_disk(observed, disk));
    let is_new = |disk: &Value| text(disk, "interface").is_some_and(|slot| disk_at(&read, slot).is_none());
    let disks: Vec<Value> = disks.filter(is_new).collect();
    if disks.is_empty() { read } else { with_disks(&read, disks) }
}

impl Target<'_> {
    /// Takes back what waits for the next start in slots of disks that are made, moved or grown: a disk whose removal waits
    /// is still there, unless the plan names another volume for its place. Returns the slots.
    pub(super) async fn take_back(
        &self,
        drives: &DriveChanges,
        observed: &Observed,
        planned: &Value,
    ) -> Result<Vec<String>, ProviderError> {
        let slots = drives.slots(observed);
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = self.call.look_at_waiting(&self.path("")).await?;
        let Some(present) = waiting.until_start() else { return Ok(Vec::new()) };
        let names_another = |slot: &str| {
            let mut disks = all_blocks(planned, "disk").iter();
            let disk = disks.find(|disk| text(disk, "interface") == Some(slot));
            let named = disk.and_then(volume_of_disk);
            named.is_some_and(|named| present.text(slot).and_then(|drive| volume_of(&drive)) != Some(named))
        };
        let slots = slots.into_iter();
        let slots: Vec<String> =
            slots.filter(|slot| waiting.changes_with_start(slot) && !names_another(slot)).collect();
        let most = timeout(planned, "timeout_create");
        self.call.take_back(&self.path(""), &slots, &waiting, most).await?;
        Ok(slots)
    }

    /// What was read of a VM whose change broke off, with the drives that it was to lose and has until its next start.
    pub(crate) async fn with_unfinished_removals(
        &self,
        prior: &Value,
        planned: &Value,
        read: Value,
    ) -> Result<Value, ProviderError> {
        let has = |value: &Value, name: &str| block(value, name).is_some();
        let gone = SMALL_DRIVES
            .iter()
            .filter(|(name, _)| has(prior, name) && !has(planned, name) && !has(&read, name));
        let gone: Vec<_> = gone.collect();
        let disks = all_blocks(prior, "disk").iter().filter(|disk| {
            text(disk, "interface")
                .is_some_and(|slot| disk_at(planned, slot).is_none() && disk_at(&read, slot).is_none())
        });
        let disks: Vec<&Value> = disks.collect();
        if gone.is_empty() && disks.is_empty() {
            return Ok(read);
        }
        let observed = self.call.look_at_waiting(&self.path("")).await?;
        let disks = disks.into_iter().filter_map(|disk| {
            let (slot, volume) = (text(disk, "interface")?, volume_of_disk(disk)?);
            let path = Value::string(&*volume);
            let leaving = with(disk, "datastore_id", Value::string(NO_DATASTORE));
            let leaving = with(&leaving, "path_in_datastore", path);
            volume_leaves(&observed, slot, &volume).then_some(leaving)
        });
        let disks: Vec<Value> = disks.collect();
        let read = if disks.is_empty() { read } else { with_disks(&read, disks) };
        let leaving = gone.into_iter().filter(|(_, slot)| leaves(&observed, slot));
        Ok(leaving.fold(read, |read, (name, _)| {
            let drives = block(prior, name).into_iter();
            let drives = drives.map(|drive| with(drive, "datastore_id", Value::string(NO_DATASTORE)));
            with_elements(&read, name, drives.collect())
        }))
    }
}
