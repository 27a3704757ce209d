//! Mount points that a running container keeps until its next start, though they are taken away already. Where a run
//! broke off behind that, the record has them without a volume: the next plan takes them away, and restarts the container.

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::mount_points::slot_of;
use crate::cluster::Step;
use crate::observed::{Observed, from_pending};
use crate::values::{all_blocks, is_text, text, with, with_elements};

/// In place of the volume of a mount point that leaves.
const NO_VOLUME: &str = "";

/// Whether a mount point is recorded to leave.
pub(super) fn leaves_by_record(point: &Value) -> bool {
    is_text(point, "path_in_datastore", NO_VOLUME)
}

/// Whether a container has a mount point until its next start only.
fn leaves(observed: &Observed, point: &Value) -> bool {
    let present = observed.in_force.clone().map(|config| Observed { config, ..Observed::default() });
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
        let rows = self.call.cluster.get(&self.path("/pending")).await;
        let rows = rows.map_err(|error| self.call.failed(Step::of("read", "pending changes"), &error))?;
        let Some((config, in_force)) = from_pending(&rows) else { return Ok(read) };
        let observed = Observed { config, in_force, ..Observed::default() };
        let leaving = gone.into_iter().filter(|point| leaves(&observed, point));
        let leaving = leaving.map(|point| with(point, "path_in_datastore", Value::string(NO_VOLUME)));
        let points = all_blocks(&read, "mount_point").iter().cloned().chain(leaving);
        Ok(with_elements(&read, "mount_point", points.collect()))
    }
}
