//! Starting, stopping and rebooting guests.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::{GuestType, Target};
use crate::cluster::Power;
use crate::observed::Observed;
use crate::params::Params;
use crate::values::flag;

/// How long the operations of one guest may take.
pub(crate) struct Limits {
    pub(crate) start: Duration,
    /// The guest's own time to shut down, before it is stopped.
    pub(crate) shut_down: Duration,
    pub(crate) stop: Duration,
    /// The guest's own time to shut down for a reboot; `None` leaves it to Proxmox VE.
    pub(crate) reboot: Option<Duration>,
    pub(crate) destroy: Duration,
}

/// How long is waited for a reboot to which no time is given.
const REBOOT: Duration = Duration::from_secs(300);

impl<G: GuestType> Target<'_, G> {
    /// Starts, stops or reboots as planned.
    pub(crate) async fn change_power(
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
        let limits = G::limits(planned);
        self.power(Power::Start, &Params::default(), limits.start).await?;
        if flag(planned, "reboot") == Some(true) {
            let most = limits.reboot.unwrap_or(REBOOT);
            return self.power(Power::Reboot, &Params::default(), most).await;
        }
        Ok(())
    }

    /// Starts the guest if it is hibernated and is to run: it takes no change before it has gone on from where it was.
    /// Returns it as it is then.
    pub(crate) async fn wake(&self, observed: Observed, planned: &Value) -> Result<Observed, ProviderError> {
        if observed.text("lock").as_deref() != Some("suspended") || flag(planned, "started") == Some(false) {
            return Ok(observed);
        }
        self.power(Power::Start, &Params::default(), G::limits(planned).start).await?;
        self.look_at_existing().await
    }

    /// Asks the guest to shut down, and stops it when it does not within its time.
    pub(crate) async fn shut_down(&self, planned: &Value) -> Result<(), ProviderError> {
        let own = G::limits(planned).shut_down;
        let mut params = Params::default();
        params.put_flag("forceStop", Some(true));
        params.put("timeout", Some(own.as_secs()));
        let most = own + Duration::from_secs(60);
        self.power(Power::ShutDown, &params, most).await
    }

    /// Stops the guest as it is to be stopped before it is destroyed.
    pub(super) async fn stop_to_destroy(&self, prior: &Value) -> Result<(), ProviderError> {
        if flag(prior, "stop_on_destroy") != Some(true) {
            return self.shut_down(prior).await;
        }
        let most = G::limits(prior).stop;
        self.power(Power::Stop, &Params::default(), most).await
    }

    /// Reboots only when the running guest could not take over every change.
    async fn reboot_if_pending(&self, planned: &Value) -> Result<(), ProviderError> {
        if !self.call.waits_for_reboot(&self.path("")).await? {
            return Ok(());
        }
        let own = G::limits(planned).reboot;
        let mut params = Params::default();
        params.put("timeout", own.map(|own| own.as_secs()));
        self.power(Power::Reboot, &params, own.unwrap_or(REBOOT)).await
    }

    async fn power(&self, change: Power, params: &Params, most: Duration) -> Result<(), ProviderError> {
        self.call.power(change, &self.path(""), params, most).await
    }
}
