//! What a protected VM does not let go.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use super::drive_changes::DriveChanges;
use super::drives::{cloud_init_interface, encode_cdrom};
use crate::cluster::{Method, Step};
use crate::guest::is_set_aside;
use crate::observed::Observed;
use crate::params::Params;
use crate::values::{all_blocks, block, flag, text};

/// The drives of a VM that a change takes out or makes anew, which Proxmox VE refuses while the VM is protected
/// (PVE::API2::Qemu, `update_vm_api`).
pub(crate) fn held_by_protection(prior: &Value, planned: &Value) -> Vec<String> {
    let interface = |disk: &Value| text(disk, "interface").map(str::to_string);
    let stays =
        |old: &Value| all_blocks(planned, "disk").iter().any(|disk| interface(disk) == interface(old));
    let disks = all_blocks(prior, "disk").iter().filter(|old| !stays(old)).filter_map(interface);
    let disks = disks.filter(|slot| !is_set_aside(slot));
    let keys = |disk: &Value| flag(disk, "pre_enrolled_keys");
    let small = [("efi_disk", "efidisk0"), ("tpm_state", "tpmstate0")].into_iter().filter(|(name, _)| {
        let is_anew =
            |new: &Value| block(prior, name).is_some_and(|old| *name == "efi_disk" && keys(old) != keys(new));
        block(prior, name).is_some() && block(planned, name).is_none_or(is_anew)
    });
    let cdrom = |value: &Value| encode_cdrom(value).map(|(interface, _)| interface);
    let cloud_init = |value: &Value| block(value, "initialization").map(cloud_init_interface);
    let media = [cdrom as fn(&Value) -> _, cloud_init].into_iter().filter_map(|drive| {
        let old = drive(prior)?;
        (drive(planned).as_ref() != Some(&old)).then_some(old)
    });
    disks.chain(small.map(|(_, slot)| slot.to_string())).chain(media).collect()
}

/// Whether a VM comes under protection together with the loss of drives: their volumes are destroyed by a later request, which
/// a protected VM refuses.
pub(super) fn is_protected_last(observed: &Observed, planned: &Value, drives: &DriveChanges) -> bool {
    let is_new = flag(planned, "protection") == Some(true) && observed.flag("protection") != Some(true);
    is_new && drives.leaving().next().is_some()
}

impl Target<'_> {
    /// Puts on the protection that had to wait for drives to go.
    pub(super) async fn put_on_protection(
        &self,
        before: &Observed,
        planned: &Value,
        drives: &DriveChanges,
    ) -> Result<(), ProviderError> {
        if !is_protected_last(before, planned, drives) {
            return Ok(());
        }
        let mut params = Params::default();
        params.put_flag("protection", Some(true));
        let step = Step::of("put on", "the protection");
        self.call.step(step, Method::Put, &self.path("/config"), &params, Duration::from_secs(60)).await
    }
}
