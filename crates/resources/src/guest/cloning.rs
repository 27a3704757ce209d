//! What of a clone its template settles, and where clones are made.

use pve_executor::ports::ProviderError;
use pve_model::Path;

use crate::cluster::refused;

/// Something that a template has otherwise than its clone is to have it, and that cannot be changed.
pub(crate) struct Unlike {
    /// Where it is planned.
    pub(crate) path: Path,
    /// What it is, for instance `scsi0`.
    pub(crate) name: String,
    pub(crate) has: String,
    pub(crate) wants: String,
    pub(crate) hint: &'static str,
}

impl Unlike {
    /// The refusal to make such a clone.
    pub(crate) fn refusal(self, object: &str) -> ProviderError {
        let Unlike { name, has, wants, hint, .. } = self;
        let message =
            format!("clone {object}: its template's {name} is {has}, and a clone of it cannot have {wants}");
        refused(message, Some(hint))
    }
}

/// A clone on another node was refused because its disks are on storage that only the template's node has.
pub(crate) fn needs_shared_storage(error: &ProviderError) -> bool {
    !error.indeterminate
        && ["non-shared storage", "uses local storage"].iter().any(|text| error.message.contains(text))
}
