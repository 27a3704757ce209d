//! Mount points that a running container keeps until its next start, though they are taken away already: that can be taken
//! back. Where a run broke off behind a removal, the record has them without a volume: the next plan takes them away, and restarts the container.

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::mount_points::slot_of;
use super::volumes::changed_slots;
use crate::guest::timeout;
use crate::known_volumes::volume_of;
use crate::observed::Observed;
use crate::values::{all_blocks, is_text, text, with, with_elements};

/// In place of the volume of a mount point that leaves.
const NO_VOLUME: &str = "";

/// Whether a mount point is recorded to leave.
pub(super) fn leaves_by_record(point: &Value) -> bool {
    is_text(point, "path_in_datastore", NO_VOLUME)
}

/// Whether a container has a mount point until its next start only.
fn leaves(observed: &Observed, point: &Value) -> bool {
    let present = observed.until_start();
    slot_of(observed, point).is_none() && present.is_some_and(|present| slot_of(&present, point).is_some())
}

/// The mount points of a value that was read, and those of its record that are known to leave and have not left yet.
pub(crate) fn with_leaving(observed: &Observed, recorded: &Value, read: &Value) -> Value {
    let points = all_blocks(read, "mount_point").iter();
    let leaving = all_blocks(recorded, "mount_point")
        .iter()
        .filter(|point| leaves_by_record(point) && leaves(observed, point));
    with_elements(read, "mount_point", points.chain(leaving).cloned().collect())
}

impl Target<'_> {
    /// Takes back what waits for the next start in slots of mount points that are made, moved or grown, and of a root disk
    /// that is: a volume whose removal waits is still there, unless the plan names another one for its path. Returns the slots.
    pub(super) async fn take_back(
        &self,
        prior: &Value,
        planned: &Value,
        observed: &Observed,
    ) -> Result<Vec<String>, ProviderError> {
        let points = all_blocks(planned, "mount_point");
        let is_missing = |point: &&Value| slot_of(observed, point).is_none();
        let changed = changed_slots(observed, prior, planned);
        if changed.is_empty() && !points.iter().any(|point| is_missing(&point)) {
            return Ok(Vec::new());
        }
        let waiting = self.call.look_at_waiting(&self.path("")).await?;
        let Some(present) = waiting.until_start() else { return Ok(Vec::new()) };
        let missing = points.iter().filter(is_missing).filter_map(|point| {
            let slot = slot_of(&present, point)?;
            let named = text(point, "volume").filter(|volume| volume.contains([':', '/']));
            let volume = present.text(&slot).and_then(|option| volume_of(&option));
            named.is_none_or(|named| volume.as_deref() == Some(named)).then_some(slot)
        });
        let mut slots: Vec<String> = missing.chain(changed).collect();
        slots.sort();
        slots.dedup();
        slots.retain(|slot| waiting.changes_with_start(slot));
        let most = timeout(planned, "timeout_update");
        self.call.take_back(&self.path(""), &slots, &waiting, most).await?;
        Ok(slots)
    }

    /// What was read of a container whose change broke off, with the mount points that it was to lose and has until its next
    /// start.
    pub(crate) async fn with_unfinished_removals(
        &self,
        prior: &Value,
        planned: &Value,
        read: Value,
    ) -> Result<Value, ProviderError> {
        let is_in = |value: &Value, point: &Value| {
            all_blocks(value, "mount_point").iter().any(|other| text(other, "path") == text(point, "path"))
        };
        let gone = all_blocks(prior, "mount_point").iter();
        let gone: Vec<&Value> = gone.filter(|point| !is_in(planned, point) && !is_in(&read, point)).collect();
        if gone.is_empty() {
            return Ok(read);
        }
        let observed = self.call.look_at_waiting(&self.path("")).await?;
        let leaving = gone.into_iter().filter(|point| leaves(&observed, point));
        let leaving = leaving.map(|point| with(point, "path_in_datastore", Value::string(NO_VOLUME)));
        let points = all_blocks(&read, "mount_point").iter().cloned().chain(leaving);
        Ok(with_elements(&read, "mount_point", points.collect()))
    }
}
