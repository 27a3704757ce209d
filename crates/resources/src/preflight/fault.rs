//! Why a cluster will not take something of a change.

use pve_executor::SENSITIVE;
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
    /// Of what the cluster told, with the summary for a name and for what stands in place of a secret one.
    pub(super) fn certain(name: &str, summary: impl Fn(&str) -> String, detail: impl Into<String>) -> Fault {
        let detail = detail.into();
        let told = |name: &str| Told { summary: summary(name), detail: detail.clone() };
        Fault { told: told(name), hidden: told(SENSITIVE), is_certain: true }
    }

    /// The same, where it may be otherwise.
    pub(super) fn likely(self) -> Fault {
        Fault { is_certain: false, ..self }
    }

    /// The same with a reason more.
    pub(super) fn beside(mut self, reason: &str) -> Fault {
        for told in [&mut self.told, &mut self.hidden] {
            told.detail += &format!("; {reason}");
        }
        self
    }

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
