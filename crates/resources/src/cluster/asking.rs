//! What is asked of guests of either kind while one is acted on: errors name the object of the action.

use pve_executor::ports::ProviderError;
use serde_json::Value as Json;

use super::{Call, Step, refused};
use crate::observed::Observed;

impl Call<'_> {
    /// A guest as it is now. `kind` is the API's: `qemu` or `lxc`.
    pub(crate) async fn look(
        &self,
        kind: &str,
        vmid: u32,
        node: &str,
    ) -> Result<Option<Observed>, ProviderError> {
        let looked = self.cluster.look(kind, vmid, node).await;
        looked.map_err(|error| self.failed(Step::READ, &error))
    }

    /// Its options only: half the requests.
    pub(crate) async fn look_at_options(
        &self,
        kind: &str,
        vmid: u32,
        node: &str,
    ) -> Result<Option<Observed>, ProviderError> {
        let looked = self.cluster.look_at_options(kind, vmid, node).await;
        looked.map_err(|error| self.failed(Step::READ, &error))
    }

    /// What was found of a guest that has to be there.
    pub(crate) fn existing(&self, found: Option<Observed>) -> Result<Observed, ProviderError> {
        found.ok_or_else(|| refused(format!("{} is gone", self.object), Some("plan again")))
    }

    /// Whether changes of the running guest at this path wait for a reboot.
    pub(crate) async fn waits_for_reboot(&self, path: &str) -> Result<bool, ProviderError> {
        let pending = self.cluster.get(&format!("{path}/pending")).await;
        let pending = pending.map_err(|error| self.failed(Step::of("read", "pending changes"), &error))?;
        let waits = |entry: &Json| entry.get("pending").is_some() || entry.get("delete").is_some();
        Ok(pending.as_array().is_some_and(|entries| entries.iter().any(waits)))
    }
}
