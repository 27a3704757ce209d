//! Reserving VMIDs and naming markers before an intent is recorded.

use std::collections::BTreeSet;

use pve_executor::ports::{ActionProgress, ApplyRequest, ProviderError};
use pve_model::event::{Claim, Operation};
use pve_model::{Path, Value};
use uuid::Uuid;

use super::{Connection, Family, ProxmoxProvider};
use crate::cluster::{Method, failed, refused};
use crate::guest::MARKER;
use crate::registry::{Kind, Registry};
use crate::values::{int, text};

/// The largest VMID.
const LAST_VMID: u32 = 999_999_999;

impl ProxmoxProvider {
    pub(super) async fn claim_for(
        &self,
        request: &ApplyRequest,
        action: Uuid,
    ) -> Result<Claim, ProviderError> {
        let (kind, family) = self.kind(&request.address.resource.kind)?;
        let described = kind.is_described_guest();
        let values = request.planned.as_ref().or(request.prior.as_ref());
        let node = values.and_then(|values| text(values, "node_name")).map(str::to_string);
        let guest = vmid_attribute(kind, family).is_some();
        let known = values.and_then(|values| vmid_of(kind, family, values));
        let vmid = match (guest, request.operation, known) {
            (false, _, _) => None,
            (true, Operation::Create, None) => Some(self.connection(&request.provider)?.reserve().await?),
            (true, _, known) => known,
        };
        let marker = match (request.operation, family) {
            (Operation::Create, family) if family.is_built_in() => Some(action.to_string()),
            (Operation::Create, _) if guest && !described => Some(format!("{MARKER}{action}")),
            _ => None,
        };
        Ok(Claim { node, vmid, marker })
    }
}

/// The attribute with the VMID of a kind of guests.
fn vmid_attribute(kind: &Kind, family: Family) -> Option<&'static str> {
    match family {
        Family::Guest(_) => Some("vm_id"),
        _ => kind.is_described_guest().then_some("id"),
    }
}

/// The VMID of a guest, where it is known.
pub(super) fn vmid_of(kind: &Kind, family: Family, values: &Value) -> Option<u32> {
    u32::try_from(int(values, vmid_attribute(kind, family)?)?).ok()
}

impl Registry {
    /// The VMID of a guest with these values; `None` of what is no guest.
    pub fn guest_id(&self, kind: &str, values: &Value) -> Option<u32> {
        let family = Family::of(kind).unwrap_or(Family::Plain);
        vmid_of(self.kind(kind)?, family, values)
    }
}

/// How many VMIDs are tried when others are faster.
pub(super) const RACES: u32 = 10;

/// Whether somebody else has the VMID. Proxmox VE has several wordings for it.
pub(super) fn is_taken(error: &ProviderError, vmid: u32) -> bool {
    let texts = [
        format!("VM {vmid} already exists"),
        format!("CT {vmid} already exists"),
        format!("unable to create VM {vmid}: config file already exists"),
        format!("unable to create CT {vmid}: config file already exists"),
    ];
    texts.iter().any(|text| error.message.contains(text))
}

/// What goes before the VMID that a create took when others were faster to take the one that it had claimed.
const OTHER_ID: &str = "vmid ";

/// Records that a create goes on with another VMID, so that recovery looks for the guest under this one.
pub(super) async fn record_other_id(progress: &dyn ActionProgress, vmid: u32) -> Result<(), ProviderError> {
    progress.step_completed(&format!("{OTHER_ID}{vmid}")).await
}

/// The VMID that was recorded by [`record_other_id`].
pub(super) fn other_id(recorded: &str) -> Option<u32> {
    recorded.strip_prefix(OTHER_ID)?.parse().ok()
}

impl Connection {
    /// A VMID that is free in the cluster and that nobody here has reserved.
    pub(super) async fn reserve(&self) -> Result<u32, ProviderError> {
        let cluster = &self.cluster;
        let fail = |error: &_| failed("find a free VMID", error);
        let guests = cluster.guests().await.map_err(|error| fail(&error))?;
        let mut used: BTreeSet<u32> = guests.iter().map(|guest| guest.vmid).collect();
        let first = match self.random_vm_ids {
            Some(_) => None,
            None => {
                let next = cluster.get("/cluster/nextid").await.map_err(|error| fail(&error))?;
                let text = next.as_str().map_or_else(|| next.to_string(), str::to_string);
                Some(text.parse::<u32>().unwrap_or(100))
            }
        };
        for _ in 0..1000 {
            let Some(candidate) = self.pick(first, &used) else { break };
            // The list may not show guests that the user may not see; nextid knows them all.
            let params = [("vmid".to_string(), candidate.to_string())];
            match cluster.api.send(Method::Get, "/cluster/nextid", &params).await {
                Ok(_) => return Ok(candidate),
                Err(error) if error.is_taken() => {
                    used.insert(candidate);
                }
                Err(error) => return Err(fail(&error)),
            }
        }
        Err(refused("find a free VMID: none is left in the range", Some("set vm_id or widen the range")))
    }

    /// Picks and reserves in one go, so that concurrent callers get different ones.
    fn pick(&self, first: Option<u32>, used: &BTreeSet<u32>) -> Option<u32> {
        let mut reserved =
            self.cluster.shared.reserved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let free = |id: &u32| !used.contains(id) && !reserved.contains(id);
        let candidate = match (first, self.random_vm_ids) {
            (Some(first), _) => (first..=LAST_VMID).find(free),
            (None, Some((low, high))) => (0..10_000)
                .map(|_| fastrand::u32(low..=high.max(low)))
                .find(free)
                .or_else(|| (low..=high).find(free)),
            (None, None) => None,
        }?;
        reserved.insert(candidate);
        Some(candidate)
    }
}

/// Whether the configuration leaves the VMID to the cluster.
pub(super) fn vmid_is_free(request: &ApplyRequest) -> bool {
    let at = Path::attribute("vm_id");
    request.config.as_ref().and_then(|config| config.at(&at)).is_none_or(Value::is_null)
}
