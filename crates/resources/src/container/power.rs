//! Starting, stopping and rebooting containers.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
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
            (false, true) => {
                let most = Duration::from_secs(300);
                self.call
                    .step(Step::START, Method::Post, &self.path("/status/start"), &Params::default(), most)
                    .await
            }
            (true, false) => self.shut_down().await,
            (true, true) if update => self.reboot_if_pending().await,
            _ => Ok(()),
        }
    }

    pub(super) async fn shut_down(&self) -> Result<(), ProviderError> {
        let mut params = Params::default();
        params.put_flag("forceStop", Some(true));
        params.put("timeout", Some(60));
        let most = Duration::from_secs(120);
        self.call.step(Step::SHUT_DOWN, Method::Post, &self.path("/status/shutdown"), &params, most).await
    }

    async fn reboot_if_pending(&self) -> Result<(), ProviderError> {
        if !self.call.waits_for_reboot(&self.path("")).await? {
            return Ok(());
        }
        let most = Duration::from_secs(300);
        self.call
            .step(Step::REBOOT, Method::Post, &self.path("/status/reboot"), &Params::default(), most)
            .await
    }
}
