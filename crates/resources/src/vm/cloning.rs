//! Making VMs from templates.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;

use super::apply::Target;
use crate::cluster::{Method, Step, refused};
use crate::guest::timeout;
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::size::in_gibibytes;
use crate::values::{all_blocks, flag, int, text};

impl Target<'_> {
    /// Makes the VM as a clone.
    pub(crate) async fn clone_from(
        &self,
        planned: &Value,
        clone: &Value,
        marker: Option<&str>,
    ) -> Result<(), ProviderError> {
        let source = int(clone, "vm_id").unwrap_or_default();
        let source_node = match text(clone, "node_name") {
            Some(node) => node.to_string(),
            None => self.find_source(source).await?,
        };
        let full = flag(clone, "full") != Some(false);
        let mut params = Params::default();
        params.put("newid", Some(self.vmid));
        params.put("name", text(planned, "name"));
        params.put("pool", text(planned, "pool_id"));
        params.put("description", marker);
        params.put_flag("full", Some(full));
        params.put("target", (source_node != self.node).then_some(&self.node));
        params.put("storage", text(clone, "datastore_id").filter(|_| full));
        let path = format!("/nodes/{source_node}/qemu/{source}/clone");
        let most = timeout(planned, "timeout_clone");
        match self.try_to_clone(&path, &params, most, int(clone, "retries").unwrap_or(1)).await {
            Err(error) if needs_shared_storage(&error) => {
                // The clone is made beside its template and then moved with its disks.
                params.0.remove("target");
                self.call.step(Step::CLONE, Method::Post, &path, &params, most).await?;
                let path = format!("/nodes/{source_node}/qemu/{}/migrate", self.vmid);
                let mut params = Params::default();
                params.put("target", Some(&self.node));
                params.put_flag("with-local-disks", Some(true));
                let most = timeout(planned, "timeout_migrate");
                self.call.migrate("qemu", self.vmid, &path, &self.node, &params, most).await
            }
            done => done,
        }
    }

    /// Clones, and once more where the template was busy: as often as `retries` says.
    async fn try_to_clone(
        &self,
        path: &str,
        params: &Params,
        most: Duration,
        retries: i64,
    ) -> Result<(), ProviderError> {
        let mut left = retries.max(1);
        loop {
            left -= 1;
            match self.call.step(Step::CLONE, Method::Post, path, params, most).await {
                Err(error) if left > 0 && is_busy(&error) && self.look().await?.is_none() => {
                    self.call.progress.status("the template is busy; cloning it once more");
                }
                done => return done,
            }
        }
    }

    /// The node of the template: where the list has it, else the VM's own.
    async fn find_source(&self, source: i64) -> Result<String, ProviderError> {
        let cluster = self.call.cluster;
        for fresh in [false, true] {
            let guests = match fresh {
                false => cluster.known_guests().await,
                true => {
                    cluster.forget_guests().await;
                    cluster.guests().await
                }
            };
            let guests =
                guests.map_err(|error| self.call.failed(Step::of("find", "the template"), &error))?;
            if let Some(guest) = guests.iter().find(|guest| i64::from(guest.vmid) == source) {
                return Ok(guest.node.clone());
            }
        }
        Ok(self.node.clone())
    }

    /// A disk of the template does not become smaller in its clone.
    pub(super) fn refuse_smaller(&self, observed: &Observed, planned: &Value) -> Result<(), ProviderError> {
        for disk in all_blocks(planned, "disk") {
            let (Some(interface), Some(size)) = (text(disk, "interface"), int(disk, "size")) else {
                continue;
            };
            let now = observed.text(interface).map(|drive| Properties::parse(&drive));
            let now = now.as_ref().and_then(|now| now.get("size")).and_then(in_gibibytes);
            if let Some(now) = now.filter(|now| *now > size) {
                let message = format!(
                    "clone {}: its template's {interface} is {now}G, and a clone of it cannot have {size}G",
                    self.call.object
                );
                return Err(refused(
                    message,
                    Some("disks only grow: set a size that is at least the template's"),
                ));
            }
        }
        Ok(())
    }
}

/// The task failed for reasons that pass: another clone held the template or its storage.
pub(crate) fn is_busy(error: &ProviderError) -> bool {
    let words = ["lock", "locked", "timeout", "busy"];
    let mut said = error.message.split(|sign: char| !sign.is_ascii_alphanumeric());
    !error.indeterminate && said.any(|word| words.contains(&word))
}

/// A clone on another node was refused because its disks are on storage that only the template's node has.
fn needs_shared_storage(error: &ProviderError) -> bool {
    !error.indeterminate
        && ["non-shared storage", "uses local storage"].iter().any(|text| error.message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_busy_where_it_is_locked_and_not_where_a_block_device_is_missing() {
        for (message, busy) in [
            ("can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout", true),
            ("VM is locked (clone)", true),
            ("cannot clone pool/base: dataset is busy", true),
            ("no such block device /dev/pve/base-9000-disk-0", false),
            ("cannot unlock LUKS device: wrong key", false),
        ] {
            assert_eq!(is_busy(&refused(message.to_string(), None)), busy, "{message}");
        }
    }
}
