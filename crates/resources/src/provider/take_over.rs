//! Taking over a guest that another run began to make: only what nobody is making at the moment, and so that the other run
//! sees it, whether it still goes on or is to be resumed.

use pve_executor::ports::ProviderError;
use serde_json::Value as Json;

use super::{Family, ProxmoxProvider};
use crate::cluster::{Call, Foreign, Method, failed, refused};
use crate::guest::{MARKER, TAKEN_OVER};
use crate::observed::Observed;

/// Who took a guest over from the run with this marker, if its description says so.
pub(crate) fn taken_over_by<'a>(description: &'a str, marker: &str) -> Option<&'a str> {
    description.trim().strip_prefix(TAKEN_OVER)?.strip_prefix(marker)?.strip_prefix(" by ")
}

impl Call<'_> {
    /// Nothing more is written to a guest that is being made and does not carry the marker of this action any more.
    /// Nothing is refused where none is being made.
    pub(crate) fn refuse_taken_over(&self, observed: &Observed) -> Result<(), ProviderError> {
        let Some(marker) = self.marker.as_deref() else { return Ok(()) };
        let description = observed.text("description").unwrap_or_default();
        if description.trim() == marker {
            return Ok(());
        }
        self.found(Foreign::Guest);
        let why = match taken_over_by(&description, marker) {
            Some(by) => format!("it was taken over by {by} while it was being made"),
            None => "its marker was taken away while it was being made: somebody else may have taken it over"
                .into(),
        };
        let hint = "it was not touched any more: take the resource out of the configuration, or give it another vm_id";
        Err(refused(format!("make {}: {why}", self.object), Some(hint)))
    }
}

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
    /// Replaces the marker of the run that began to make a guest: when that run, perhaps of another log, goes on, it finds
    /// that the guest is not its own any more, and `by` whom it was taken. Nothing is done where there is no marker. Returns
    /// the description that the guest has now.
    ///
    /// # Errors
    /// When the guest is being made, or cannot be read or changed.
    pub async fn take_over_guest(
        &self,
        kind: &str,
        provider: &str,
        (id, by): (&str, &str),
    ) -> Result<Option<String>, ProviderError> {
        let (_, family) = self.kind(kind)?;
        let Family::Guest(guest) = family else { return Ok(None) };
        let api_kind = guest.api();
        let observed = self.guest_to_import(api_kind, provider, id).await?;
        let description = observed.text("description").filter(|text| text.trim().starts_with(MARKER));
        let Some(marker) = description else { return Ok(None) };
        let told = format!("{TAKEN_OVER}{} by {by}", marker.trim());
        let mut params = vec![("description".to_string(), told.clone())];
        if let Some(digest) = observed.text("digest") {
            params.push(("digest".into(), digest));
        }
        let path = format!("/nodes/{}/{api_kind}/{}/config", observed.node, observed.vmid);
        let sent = self.connection(provider)?.cluster.api.send(Method::Put, &path, &params).await;
        sent.map(|_| Some(told)).map_err(|error| failed(format!("take over {id}"), &error))
    }
}
