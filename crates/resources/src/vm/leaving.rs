//! The small drives that a running VM keeps until its next start, though they are taken out already. Where a run broke off
//! behind that, the record has them without a datastore: the next plan takes them out, reboots the VM and destroys them.

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use crate::cluster::Step;
use crate::known_volumes::SMALL_DRIVES;
use crate::observed::{Observed, from_pending};
use crate::values::{block, is_text, with, with_elements};

/// In place of the datastore of a drive that leaves.
const NO_DATASTORE: &str = "";

/// Whether a VM has a drive until its next start only.
fn leaves(observed: &Observed, slot: &str) -> bool {
    let is_present = |config: &serde_json::Map<String, serde_json::Value>| config.contains_key(slot);
    !is_present(&observed.config) && observed.in_force.as_ref().is_some_and(is_present)
}

/// The values of a VM that was read, with the small drives that are recorded to leave and have not left yet.
pub(crate) fn with_leaving_drives(observed: &Observed, recorded: &Value, read: &Value) -> Value {
    let leaving = SMALL_DRIVES.iter().filter_map(|(name, slot)| {
        let drive = block(recorded, name).filter(|drive| is_text(drive, "datastore_id", NO_DATASTORE));
        drive.filter(|_| leaves(observed, slot)).map(|drive| (name, drive.clone()))
    });
    leaving.fold(read.clone(), |read, (name, drive)| with_elements(&read, name, vec![drive]))
}

impl Target<'_> {
    /// What was read of a VM whose change broke off, with the small drives that it was to lose and has until its next start.
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
        if gone.is_empty() {
            return Ok(read);
        }
        let rows = self.call.cluster.get(&self.path("/pending")).await;
        let rows = rows.map_err(|error| self.call.failed(Step::of("read", "pending changes"), &error))?;
        let Some((config, in_force)) = from_pending(&rows) else { return Ok(read) };
        let observed = Observed { config, in_force, ..Observed::default() };
        let leaving = gone.into_iter().filter(|(_, slot)| leaves(&observed, slot));
        Ok(leaving.fold(read, |read, (name, _)| {
            let drives = block(prior, name).into_iter();
            let drives = drives.map(|drive| with(drive, "datastore_id", Value::string(NO_DATASTORE)));
            with_elements(&read, name, drives.collect())
        }))
    }
}
