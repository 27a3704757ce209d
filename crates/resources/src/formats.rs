//! Formats of disks: a datastore that has none makes what it is asked for in its own way, and says nothing.

use pve_executor::ports::ProviderError;

use crate::cluster::{Call, refused};

/// The types of datastores whose disks are raw (`PVE::Storage`, the formats of each plugin).
const RAW_ONLY: [&str; 6] = ["iscsi", "iscsidirect", "lvmthin", "rbd", "zfs", "zfspool"];

impl Call<'_> {
    /// Refuses to move a disk to a datastore that would ignore the wanted format: it would be copied anew by every run, or
    /// be recorded as what it is not. `attribute` is what the format is configured by.
    pub(crate) async fn refuse_ignored_format(
        &self,
        (node, datastore): (&str, &str),
        interface: &str,
        (format, attribute): (Option<&str>, &str),
    ) -> Result<(), ProviderError> {
        let Some(format) = format.filter(|format| *format != "raw") else { return Ok(()) };
        // Whoever may not look moves it and sees.
        let Ok(status) = self.cluster.get(&format!("/nodes/{node}/storage/{datastore}/status")).await else {
            return Ok(());
        };
        let Some(kind) = status["type"].as_str().filter(|kind| RAW_ONLY.contains(kind)) else {
            return Ok(());
        };
        let message =
            format!("move {interface}: the datastore {datastore} ({kind}) has raw disks only, not {format}");
        let hint = format!("set {attribute} to \"raw\", or take another datastore_id");
        Err(refused(message, Some(&hint)))
    }
}
