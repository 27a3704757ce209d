//! What the cluster has to say of a plan before anything is done: whose changes would be applied with it.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::ports::ApplyRequest;
use pve_model::rules::Staging;
use pve_model::{InstanceAddress, Value};

use super::ProxmoxProvider;
use crate::cluster::{ApiError, Cluster};
use crate::families;
use crate::object::Object;
use crate::values::text;

impl ProxmoxProvider {
    /// What others have staged of what these changes apply. Of nodes, what cannot be read shows during apply.
    pub(super) async fn remarks_on(&self, changes: &[ApplyRequest]) -> Vec<(InstanceAddress, String)> {
        let mut remarks = Vec::new();
        let mut told: BTreeMap<(&str, String), Option<String>> = BTreeMap::new();
        for request in changes {
            let engine = self.registry.kind(&request.address.resource.kind).and_then(|kind| kind.engine());
            let (Some(engine), Ok(connection)) = (engine, self.connection(&request.provider)) else {
                continue;
            };
            let Some(place) = place(&engine.object, request) else { continue };
            let key = (request.provider.as_str(), place.clone());
            if !told.contains_key(&key) {
                let own = self.own(changes, request);
                told.insert(key.clone(), staged(&connection.cluster, &place, &own).await);
            }
            let remark = told.get(&key).cloned().flatten();
            remarks.extend(remark.map(|remark| (request.address.clone(), remark)));
        }
        remarks
    }

    /// Takes note of the interfaces of nodes that a plan is about: what is staged of others is not its own.
    pub(super) fn expect_interfaces(&self, changes: &[ApplyRequest]) {
        for request in changes {
            let engine = self.registry.kind(&request.address.resource.kind).and_then(|kind| kind.engine());
            let (Some(engine), Ok(connection)) = (engine, self.connection(&request.provider)) else {
                continue;
            };
            if engine.object.create.1 == families::NODE_NETWORK {
                let values = request.prior.iter().chain(&request.planned);
                values.for_each(|value| connection.cluster.reloads.expect(value));
            }
        }
    }

    /// The networks that the changes of one provider are about: `zone lab`.
    fn own(&self, changes: &[ApplyRequest], one: &ApplyRequest) -> BTreeSet<String> {
        let mine = changes.iter().filter(|request| request.provider == one.provider);
        let named = mine.flat_map(|request| {
            let kind = self.registry.kind(&request.address.resource.kind);
            let object = kind.and_then(|kind| Some(&kind.engine()?.object));
            let values = request.prior.iter().chain(&request.planned);
            values.filter_map(move |values| families::network(object?, values))
        });
        named.collect()
    }

    /// What stays pending of software-defined networks although nothing of `instances` is about it: told of the first
    /// instance that is of such networks.
    pub(super) async fn pending_beside(&self, instances: &[ApplyRequest]) -> Vec<(InstanceAddress, String)> {
        let mut found = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for one in instances {
            let engine = self.registry.kind(&one.address.resource.kind).and_then(|kind| kind.engine());
            let (Some(engine), Ok(connection)) = (engine, self.connection(&one.provider)) else { continue };
            if !families::is_of_networks(&engine.object) || !seen.insert(&one.provider) {
                continue;
            }
            let applies = |request: &&ApplyRequest| {
                let kind = self.registry.kind(&request.address.resource.kind);
                let engine = kind.and_then(|kind| kind.engine());
                request.provider == one.provider
                    && request.prior != request.planned
                    && engine
                        .is_some_and(|engine| place(&engine.object, request).is_some_and(|at| at.is_empty()))
            };
            if instances.iter().find(applies).is_some() {
                continue;
            }
            let own = self.own(instances, one);
            let text = match families::pending_networks(&connection.cluster, &own).await {
                Ok(pending) if pending.is_empty() => continue,
                Ok(pending) => format!(
                    "pending in the cluster, and applied by nothing of this plan: {}. A proxmox_sdn_applier that is made \
                     or replaced applies it, or the cluster's settings of software-defined networks",
                    pending.join(", ")
                ),
                Err(error) => unseen(&error),
            };
            found.push((one.address.clone(), text));
        }
        found
    }
}

/// Where a change applies what is staged: the network of a node, or software-defined networks.
fn place(object: &Object, request: &ApplyRequest) -> Option<String> {
    let values: Vec<&Value> = request.planned.iter().chain(&request.prior).collect();
    if object.create.1 == families::NODE_NETWORK {
        let unfinished = request.prior.as_ref().is_some_and(families::is_unfinished);
        return values
            .iter()
            .find_map(|value| text(value, "node_name"))
            .filter(|_| !unfinished)
            .map(String::from);
    }
    let staging = families::staging(object, values.first()?)?;
    let Staging::Applies { made, destroyed, .. } = staging else { return None };
    // One that is replaced applies when it is made anew.
    let applies = if request.planned.is_some() { made } else { destroyed && !request.recreated };
    applies.then(String::new)
}

/// Nobody knows of what could not be read that nothing of it is pending.
fn unseen(error: &ApiError) -> String {
    format!(
        "what is pending of software-defined networks in the cluster could not be looked up: {}",
        error.message
    )
}

async fn staged(cluster: &Cluster, place: &str, own: &BTreeSet<String>) -> Option<String> {
    if place.is_empty() {
        let applied = "it also applies what is pending in the cluster already";
        return match families::pending_networks(cluster, own).await {
            Ok(pending) => (!pending.is_empty()).then(|| format!("{applied}: {}", pending.join(", "))),
            Err(error) => Some(unseen(&error)),
        };
    }
    let staged = families::foreign_changes(cluster, place).await?;
    Some(format!(
        "apply refuses it as long as other changes of the network of {place} are staged: {}; apply or revert them in the \
         network settings of the node first",
        staged.join(" ")
    ))
}
