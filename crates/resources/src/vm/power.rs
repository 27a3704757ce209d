//! Starting, stopping and rebooting VMs.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::{Target, timeout};
use crate::cluster::{Method, Step};
use crate::params::Params;
use crate::values::flag;

impl Target<'_> {
    /// Starts, stops or reboots as planned.
    pub(super) async fn change_power(
        &self,
        planned: &Value,
        was_running: bool,
        update: bool,
    ) -> Result<(), ProviderError> {
        let started = flag(planned, "started") != Some(false);
        match (was_running, started) {
            (false, true) => self.start(planned).await,
            (true, false) => self.shut_down(planned).await,
            (true, true) if update && flag(planned, "reboot_after_update") != Some(false) => {
                self.reboot_if_pending(planned).await
            }
            _ => Ok(()),
        }
    }

    async fn start(&self, planned: &Value) -> Result<(), ProviderError> {
        let most = timeout(planned, "timeout_start_vm");
        self.call
            .step(Step::START, Method::Post, &self.path("/status/start"), &Params::default(), most)
            .await?;
        if flag(planned, "reboot") == Some(true) {
            let most = timeout(planned, "timeout_reboot");
            return self
                .call
                .step(Step::REBOOT, Method::Post, &self.path("/status/reboot"), &Params::default(), most)
                .await;
        }
        Ok(())
    }

    /// Asks the guest to shut down, and stops it when it does not within the configured time.
    pub(super) async fn shut_down(&self, planned: &Value) -> Result<(), ProviderError> {
        let most = timeout(planned, "timeout_shutdown_vm");
        let mut params = Params::default();
        params.put_flag("forceStop", Some(true));
        params.put("timeout", Some(most.as_secs()));
        let most = most + Duration::from_secs(60);
        self.call.step(Step::SHUT_DOWN, Method::Post, &self.path("/status/shutdown"), &params, most).await
    }

    /// Reboots only when the running VM could not take over every change.
    async fn reboot_if_pending(&self, planned: &Value) -> Result<(), ProviderError> {
        if !self.call.waits_for_reboot(&self.path("")).await? {
            return Ok(());
        }
        let most = timeout(planned, "timeout_reboot");
        let mut params = Params::default();
        params.put("timeout", Some(most.as_secs()));
        self.call.step(Step::REBOOT, Method::Post, &self.path("/status/reboot"), &params, most).await
    }
}
