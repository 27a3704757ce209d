//! What the cluster has to say of a plan before anything is done: whose changes would be applied with it.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::ports::{ApplyRequest, Provider as _, ReadRequest, Remark};
use pve_model::rules::Staging;
use pve_model::{InstanceAddress, Value};

use super::ProxmoxProvider;
use crate::cluster::{ApiError, Cluster};
use crate::families;
use crate::object::Object;
use crate::values::text;

impl ProxmoxProvider {
    /// What others have staged of what these changes apply. Of nodes, what cannot be read shows during apply.
    pub(super) async fn remarks_on(&self, changes: &[ApplyRequest]) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let mut told: BTreeMap<(String, Place), Option<Found>> = BTreeMap::new();
        for request in changes {
            let engine = self.registry.kind(&request.address.resource.kind).and_then(|kind| kind.engine());
            let (Some(engine), Ok(connection)) = (engine, self.connection(&request.provider)) else {
                continue;
            };
            let Some(place) = place(&engine.object, request) else { continue };
            let key = (self.same_cluster(&request.provider), place);
            if !told.contains_key(&key) {
                let remark = match &key.1 {
                    Place::Networks => pending(&connection.cluster, &self.own(changes, request)).await,
                    Place::Node(node) => {
                        let planned = self.interfaces(changes, request, node);
                        families::remark_on_staged(&connection.cluster, node, planned.as_ref()).await.map(Ok)
                    }
                };
                told.insert(key.clone(), remark);
            }
            remarks.extend(told.get(&key).cloned().flatten().map(|found| {
                let (is_unseen, text) = (found.is_err(), found.unwrap_or_else(|unseen| unseen));
                Remark { address: request.address.clone(), text, is_unseen }
            }));
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
            if engine.object.hooks.is_interface() {
                connection.cluster.shared.reloads.expect(request.prior.iter().chain(&request.planned));
            }
        }
    }

    /// Takes note of an interface of a node that an earlier run has perhaps staged something of.
    pub(super) fn recall_staged(&self, one: &ReadRequest, is_open: bool) {
        let engine = self.registry.kind(&one.address.resource.kind).and_then(|kind| kind.engine());
        let (Some(engine), Ok(connection)) = (engine, self.connection(&one.provider)) else { return };
        let is_left = is_open || families::is_unfinished(&one.prior);
        if engine.object.hooks.is_interface() && is_left {
            connection.cluster.shared.reloads.recall(&one.prior);
        }
    }

    /// The interfaces of a node that the changes of one cluster are about. `None` where that of one is not known yet: any
    /// may be meant.
    fn interfaces(
        &self,
        changes: &[ApplyRequest],
        one: &ApplyRequest,
        node: &str,
    ) -> Option<BTreeSet<String>> {
        let cluster = self.same_cluster(&one.provider);
        let mine = changes.iter().filter(|request| self.same_cluster(&request.provider) == cluster);
        let here = mine.filter_map(|request| {
            let engine = self.registry.kind(&request.address.resource.kind)?.engine()?;
            let values = request.planned.as_ref().or(request.prior.as_ref())?;
            let is_one = engine.object.hooks.is_interface() && text(values, "node_name") == Some(node);
            is_one.then(|| text(values, "name").map(String::from))
        });
        here.collect()
    }

    /// The networks that the changes of one cluster are about: `zone lab`.
    fn own(&self, changes: &[ApplyRequest], one: &ApplyRequest) -> BTreeSet<String> {
        let cluster = self.same_cluster(&one.provider);
        let mine = changes.iter().filter(|request| self.same_cluster(&request.provider) == cluster);
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
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for one in instances {
            let engine = self.registry.kind(&one.address.resource.kind).and_then(|kind| kind.engine());
            let (Some(engine), Ok(connection)) = (engine, self.connection(&one.provider)) else { continue };
            let cluster = self.same_cluster(&one.provider);
            if !families::is_of_networks(&engine.object) || !seen.insert(cluster.clone()) {
                continue;
            }
            let applies = |request: &&ApplyRequest| {
                let kind = self.registry.kind(&request.address.resource.kind);
                let engine = kind.and_then(|kind| kind.engine());
                self.same_cluster(&request.provider) == cluster
                    && request.prior != request.planned
                    && engine.is_some_and(|engine| place(&engine.object, request) == Some(Place::Networks))
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

/// What others have staged, or why that could not be looked up.
type Found = Result<String, String>;

/// Where a change applies what is staged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The network of a node.
    Node(String),
    /// Software-defined networks.
    Networks,
}

fn place(object: &Object, request: &ApplyRequest) -> Option<Place> {
    let values: Vec<&Value> = request.planned.iter().chain(&request.prior).collect();
    if object.hooks.is_interface() {
        let node = values.iter().find_map(|value| text(value, "node_name"))?;
        return Some(Place::Node(node.to_string()));
    }
    let staging = families::staging(object, values.first()?)?;
    let Staging::Applies { made, destroyed, .. } = staging else { return None };
    // One that is replaced applies when it is made anew.
    let applies = if request.planned.is_some() { made } else { destroyed && !request.recreated };
    applies.then_some(Place::Networks)
}

/// Nobody knows of what could not be read that nothing of it is pending.
fn unseen(error: &ApiError) -> String {
    format!(
        "what is pending of software-defined networks in the cluster could not be looked up: {}",
        error.message
    )
}

/// What is pending of software-defined networks that is not one's own.
async fn pending(cluster: &Cluster, own: &BTreeSet<String>) -> Option<Found> {
    let applied = "it also applies what is pending in the cluster already";
    match families::pending_networks(cluster, own).await {
        Ok(pending) => (!pending.is_empty()).then(|| Ok(format!("{applied}: {}", pending.join(", ")))),
        Err(error) => Some(Err(unseen(&error))),
    }
}
