//! Migrations: a guest that HA manages is moved by its manager, some time after the task that asks for it has ended.

use std::time::Duration;

use pve_executor::ports::ProviderError;

use super::refused;
use super::{Call, Method};
use crate::params::Params;

/// How often it is looked whether a guest has arrived.
const PAUSE: Duration = Duration::from_secs(1);

impl Call<'_> {
    /// Asks for a migration and waits until the guest is on its new node.
    pub(crate) async fn migrate(
        &self,
        kind: &str,
        vmid: u32,
        path: &str,
        target: &str,
        params: &Params,
        most: Duration,
    ) -> Result<(), ProviderError> {
        let arrived = async {
            self.step("migrate", Method::Post, path, params, most).await?;
            while !self.has_arrived(kind, vmid, target).await? {
                self.go_on("the end of the migration")?;
                self.progress.status("waiting for HA to migrate it");
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        };
        let done = tokio::time::timeout(most, arrived).await;
        self.cluster.forget_guests().await;
        done.unwrap_or_else(|_| {
            let message =
                format!("migrate {}: it is not on {target} after {} s", self.object, most.as_secs());
            Err(refused(
                message,
                Some("look at the tasks of the node, and at the state of HA if it manages it"),
            ))
        })
    }

    async fn has_arrived(&self, kind: &str, vmid: u32, target: &str) -> Result<bool, ProviderError> {
        let there = self.cluster.look_at_options(kind, vmid, target).await;
        Ok(there.map_err(|error| self.failed("look for", &error))?.is_some())
    }
}
