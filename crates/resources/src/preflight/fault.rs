//! Why a cluster will not take something of a change.

use pve_executor::ports::{ApplyRequest, Doubt, Told};
use pve_model::Path;

/// Why something that is named cannot be used.
pub(super) struct Fault {
    pub(super) told: Told,
    /// The same without the name.
    pub(super) hidden: Told,
    /// No cluster with these facts takes it; otherwise it may only be hidden from whoever asks.
    pub(super) is_certain: bool,
}

impl Fault {
    /// At a place of a change.
    pub(super) fn at(self, change: &ApplyRequest, path: Path) -> Doubt {
        Doubt {
            address: change.address.clone(),
            paths: vec![path],
            told: self.told,
            hidden: self.hidden,
            is_certain: self.is_certain,
            may_come: true,
        }
    }
}
