//! What can be told of a plan before anything is done: whether it would lock out whoever applies it, and what the cluster
//! will not take.

use std::collections::BTreeMap;

use pve_executor::ports::{ApplyRequest, Doubt, Doubts, Provider as _, ProviderError};
use pve_model::{InstanceAddress, Value};

use super::ProxmoxProvider;
use super::claims::vmid_of;
use crate::families::{PermissionChange, PermissionsReview, concerning, guest_leaves};
use crate::preflight;
use crate::values::text;

impl ProxmoxProvider {
    /// What the clusters will not take of changes, as far as that can be told.
    pub(super) async fn doubts_of(&self, changes: &[ApplyRequest]) -> Doubts {
        let mut by_provider: BTreeMap<&str, Vec<&ApplyRequest>> = BTreeMap::new();
        for change in changes {
            by_provider.entry(&change.provider).or_default().push(change);
        }
        let mut all = Doubts::default();
        for (provider, own) in by_provider {
            let Ok(connection) = self.connection(provider) else { continue };
            // What one configuration of a cluster gives up another one may take.
            let cluster = self.same_cluster(provider);
            let there = changes.iter().filter(|change| self.same_cluster(&change.provider) == cluster);
            let there: Vec<_> = there.collect();
            let identity = |address: &InstanceAddress| self.identity(address);
            let told = preflight::doubts(&connection.cluster, &there, changes, &identity).await;
            let is_own = |doubt: &Doubt| own.iter().any(|change| change.address == doubt.address);
            all.found.extend(told.found.into_iter().filter(is_own));
            all.unseen.extend(told.unseen.into_iter().map(|reason| format!("{provider}: {reason}")));
            let Some(limits) = self.limits else { continue };
            for change in own {
                let kind = self.registry.kind(&change.address.resource.kind);
                all.found.extend(preflight::values(limits, kind.and_then(|kind| kind.engine()), change));
            }
        }
        all
    }

    /// The changes, in order, that would take permissions from whoever makes them. Where the permissions cannot be
    /// read, apply decides.
    pub(super) async fn review_changes(
        &self,
        changes: &[ApplyRequest],
    ) -> Vec<(InstanceAddress, ProviderError)> {
        let mut reviews: BTreeMap<&str, Option<PermissionsReview>> = BTreeMap::new();
        let mut refused = Vec::new();
        for request in changes {
            let Ok(connection) = self.connection(&request.provider) else { continue };
            let made = self.permissions(request);
            let made = concerning(&connection.cluster, made);
            if made.is_empty() {
                continue;
            }
            if !reviews.contains_key(&*request.provider) {
                let review = PermissionsReview::start(&connection.cluster).await.ok();
                reviews.insert(&request.provider, review);
            }
            let review = reviews.get_mut(&*request.provider).and_then(Option::as_mut);
            if let Some(Err(error)) = review.map(|review| review.look_at(&made)) {
                refused.push((request.address.clone(), error));
            }
        }
        refused
    }

    /// What a change does to who may do what.
    fn permissions(&self, request: &ApplyRequest) -> Vec<PermissionChange> {
        let (prior, planned) = (request.prior.as_ref(), request.planned.as_ref());
        let Ok((kind, family)) = self.kind(&request.address.resource.kind) else { return Vec::new() };
        match (kind.engine(), prior, planned) {
            (Some(engine), ..) => engine.object.hooks.permissions(prior, planned),
            (None, Some(prior), Some(planned)) if planned.get("pool_id").is_some_and(Value::is_known) => {
                let pools = (text(prior, "pool_id"), text(planned, "pool_id"));
                let vmid = vmid_of(kind, family, prior);
                vmid.map(|vmid| guest_leaves(vmid, pools.0, pools.1)).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}
