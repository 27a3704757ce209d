//! Taking the protection off a guest that is to lose a drive.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::{GuestType, Target};
use crate::cluster::{Method, Step, refused};
use crate::observed::Observed;
use crate::params::Params;
use crate::values::flag;

/// What keeps a protected guest as it is, and how that is lifted.
pub(crate) const UNPROTECT_FIRST: &str = "set protection = false and apply that first";

/// Whether a volume is in no drive of the guest any more: an earlier change took it out and could not destroy it.
pub(crate) fn is_set_aside(slot: &str) -> bool {
    slot.starts_with("unused")
}

impl<G: GuestType> Target<'_, G> {
    /// Takes the protection off where it is planned to go and would hold one of these drives: Proxmox VE looks at it as it is
    /// before the request. It makes way for what is set aside, too, and comes back when that is destroyed. Returns whether it
    /// did, after which the configuration has another digest.
    pub(crate) async fn lift_protection(
        &self,
        drives: impl Iterator<Item = &String>,
        observed: &Observed,
        planned: &Value,
    ) -> Result<bool, ProviderError> {
        let drives: Vec<&String> = drives.collect();
        if drives.is_empty() || observed.flag("protection") != Some(true) {
            return Ok(false);
        }
        let held = drives.iter().find(|drive| !is_set_aside(drive));
        if let Some(drive) = held.filter(|_| flag(planned, "protection") == Some(true)) {
            let message = format!("{}: it is protected, which holds {drive}", self.call.object);
            return Err(refused(message, Some(UNPROTECT_FIRST)));
        }
        let mut params = Params::default();
        params.put_flag("protection", Some(false));
        params.put("digest", observed.text("digest"));
        let step = Step::of("take off", "the protection");
        self.call.step(step, Method::Put, &self.path("/config"), &params, Duration::from_secs(60)).await?;
        Ok(true)
    }
}
