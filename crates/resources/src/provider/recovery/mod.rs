//! Finding out what became of an action that a crash left open. Nothing is changed here.

mod guests;
mod objects;

use pve_executor::ports::{ProviderError, Recovery};
use pve_model::Value;
use pve_model::codec::decode;
use pve_model::event::Operation;
use pve_model::state::OpenAction;

use super::claims::vmid_of;
use super::tasks::await_tasks;
use super::{Family, ProxmoxProvider, SeenGuest};
use crate::values::blank;

impl ProxmoxProvider {
    pub(super) async fn recover_action(
        &self,
        open: &OpenAction,
        identity: Option<&str>,
        prior: Option<&Value>,
    ) -> Result<Recovery, ProviderError> {
        let intent = &open.intent;
        let (kind, family) = self.kind(&intent.address.resource.kind)?;
        let planned = decode(&intent.planned, &kind.block().implied_type()).ok().map(|value| blank(&value));
        if family.is_built_in() {
            let id = intent.claim.marker.clone().unwrap_or_default();
            return Ok(match (intent.operation, planned) {
                (Operation::Delete, _) => Recovery::Gone,
                (_, Some(planned)) => Recovery::Exists(family.applied(&planned, &id)),
                _ => Recovery::NothingDone,
            });
        }
        let cluster = &self.connection(&intent.provider)?.cluster;
        cluster.forget_guests().await;
        cluster.forget_content().await;
        let went_well = await_tasks(cluster, open).await?;
        let recovery = match family {
            Family::Guest(guest) => {
                let search = guests::Search { cluster, kind, guest, open, identity, prior };
                search.recover(planned.unwrap_or_else(|| crate::observed::defaults(kind.block()))).await?
            }
            _ => {
                let search = objects::Search { cluster, kind, family, open, went_well, identity, prior };
                search.recover(planned.as_ref()).await?
            }
        };
        if let Recovery::Exists(value) = &recovery
            && let Some(vmid) = vmid_of(kind, family, value)
        {
            self.take_in(intent.address.clone(), SeenGuest::settled(cluster.seen(vmid), family, value));
        }
        Ok(recovery)
    }
}
