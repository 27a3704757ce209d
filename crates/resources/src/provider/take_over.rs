//! Taking over a guest that another run began to make: only what nobody is making at the moment, and so that the other run
//! sees it.

use pve_executor::ports::ProviderError;
use serde_json::Value as Json;

use super::{Family, ProxmoxProvider};
use crate::cluster::{Method, failed, refused};
use crate::observed::Observed;
use crate::vm::MARKER;

/// Refuses a guest that Proxmox VE is making: a task of somebody holds its lock until it is whole.
pub(super) fn refuse_being_made(observed: &Observed, id: &str) -> Result<(), ProviderError> {
    let lock = observed.config.get("lock").and_then(Json::as_str).unwrap_or_default();
    if !["create", "clone"].contains(&lock) {
        return Ok(());
    }
    let command = if observed.config.contains_key("rootfs") { "pct" } else { "qm" };
    let hint = format!(
        "wait until the task that makes it has ended; if there is none any more, `{command} unlock {}` on {} takes the lock \
         away",
        observed.vmid, observed.node
    );
    Err(refused(format!("import {id}: the guest is being made (lock: {lock})"), Some(&hint)))
}

impl ProxmoxProvider {
    /// Takes away the marker of the run that began to make a guest: when that run, perhaps of another log, goes on, it finds
    /// that the guest is not its own any more. Nothing is done where there is no marker.
    ///
    /// # Errors
    /// When the guest is being made, or cannot be read or changed.
    pub async fn take_over_guest(&self, kind: &str, provider: &str, id: &str) -> Result<(), ProviderError> {
        let (_, family) = self.kind(kind)?;
        let api_kind = match family {
            Family::Vm => "qemu",
            Family::Container => "lxc",
            _ => return Ok(()),
        };
        let observed = self.guest_to_import(api_kind, provider, id).await?;
        if !observed.text("description").is_some_and(|text| text.trim().starts_with(MARKER)) {
            return Ok(());
        }
        let mut params = vec![("delete".to_string(), "description".to_string())];
        if let Some(digest) = observed.text("digest") {
            params.push(("digest".into(), digest));
        }
        let path = format!("/nodes/{}/{api_kind}/{}/config", observed.node, observed.vmid);
        let sent = self.connection(provider)?.cluster.api.send(Method::Put, &path, &params).await;
        sent.map(drop).map_err(|error| failed(format!("take over {id}"), &error))
    }
}
