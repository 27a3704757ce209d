//! What of a clone its template settles, and where clones are made.

use pve_executor::ports::ProviderError;
use pve_model::{Path, Value};

use crate::adoption::INHERITED;
use crate::cluster::refused;
use crate::values::{all_blocks, is_unset, with};

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

/// What is known of a guest before a change, with what a clone has from its template where the configuration said nothing of
/// it so far: `read` is the guest in the words of the plan.
pub(crate) fn with_inherited(prior: &Value, read: &Value) -> Value {
    if all_blocks(prior, "clone").is_empty() {
        return prior.clone();
    }
    let is_block =
        |part: &Value| part.elements().is_some_and(|all| all.iter().all(|one| one.entries().is_some()));
    let parts = read.entries().into_iter().flatten().filter(|(name, part)| {
        let is_inherited = !is_unset(part) && (is_block(part) || INHERITED.contains(&&***name));
        is_inherited && prior.get(name).is_none_or(is_unset)
    });
    parts.fold(prior.clone(), |known, (name, part)| with(&known, name, part.clone()))
}
