//! What became of a VM or a container: it is looked for by its id, and proved by its marker or the steps that were done.

use std::collections::BTreeSet;

use pve_executor::ports::{ProviderError, Recovery};
use pve_model::Value;
use pve_model::event::Operation;
use pve_model::state::OpenAction;

use super::super::claims::other_id;
use super::super::guest::Guest;
use super::super::identity::Traits;
use super::super::take_over::taken_over_by;
use super::super::tasks::{await_end, running_tasks, was_destroyed};
use crate::cluster::{Call, Cluster, Silent, Step, failed};
use crate::guest::GuestKind;
use crate::observed::Observed;
use crate::registry::Kind;
use crate::values::{block, int, text, with};

/// Looks for a guest.
pub(super) struct Search<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) kind: &'a Kind,
    pub(super) guest: GuestKind,
    pub(super) open: &'a OpenAction,
    /// What told it from another one with its id before.
    pub(super) identity: Option<&'a str>,
    /// What was known of it before the action.
    pub(super) prior: Option<&'a Value>,
}

impl Search<'_> {
    pub(super) async fn recover(&self, planned: Value) -> Result<Recovery, ProviderError> {
        let Some(vmid) = self.vmid(&planned) else { return Ok(Recovery::NothingDone) };
        let known =
            text(&planned, "node_name").map(str::to_string).or_else(|| self.open.intent.claim.node.clone());
        await_guest(self.cluster, vmid, &planned, known.as_deref()).await?;
        let fail = |error: &_| failed(format!("look for guest {vmid}"), error);
        let guests = self.cluster.guests().await.map_err(|error| fail(&error))?;
        let entry = guests.iter().find(|guest| guest.vmid == vmid);
        let node = entry.map(|guest| guest.node.clone()).or(known).unwrap_or_default();
        let object = format!("guest {vmid} on {node}");
        let mut call = Call::new(self.cluster, &Silent, object.clone());
        call.identity = self.identity.map(str::to_string);
        let guest = Guest::new(self.guest, self.kind, call, (node.clone(), vmid));
        let operation = self.open.intent.operation;
        let Some(observed) = guest.look().await? else {
            return Ok(match (operation, entry) {
                (Operation::Create, None) => Recovery::NothingDone,
                (_, None) => Recovery::Gone,
                (_, Some(_)) => Recovery::Unclear(format!(
                    "guest {vmid} is in the cluster's list but has no configuration on {node}: look at it there"
                )),
            });
        };
        if operation == Operation::Delete {
            return Ok(self.undeleted(&observed, &object));
        }
        if operation == Operation::Create && was_destroyed(self.cluster, self.open, vmid).await? {
            return Ok(destroyed_since(vmid));
        }
        if let Some(why) = self.unproved(&observed, vmid, &object) {
            return Ok(Recovery::Unclear(why));
        }
        let planned = with(&planned, "vm_id", Value::number(i64::from(vmid)));
        let prior = self.prior.filter(|_| operation == Operation::Update);
        let value = guest.read_unfinished(prior, &planned).await?;
        Ok(match another(self.cluster, (self.open, self.identity), &planned, (vmid, &node)) {
            Some(why) => Recovery::Unclear(why),
            None => Recovery::Exists(value),
        })
    }

    /// A guest that was to be destroyed and is there, or one that has its id by now.
    fn undeleted(&self, observed: &Observed, object: &str) -> Recovery {
        let found = Traits::found(observed);
        if let Some(known) = self.prior.map(|prior| Traits::recorded(prior, self.identity)) {
            if known.is_same(&found) == Some(false) {
                return Recovery::Gone;
            }
            // What only looks like another one may still be the one that was to go.
            if let Some(why) = known.is_another(&found) {
                let name = found.name.unwrap_or_default();
                return Recovery::Unclear(format!(
                    "{object} is named {name:?}, and {why}: if it is another one, what was to be destroyed is gone \
                     (pve state rm); if it is the one, destroy it by hand"
                ));
            }
        }
        let power = match observed.running {
            Some(true) => "it still exists and runs",
            Some(false) => "it still exists, stopped",
            None => "it still exists",
        };
        Recovery::Kept(power.to_string())
    }

    /// Why a guest that is there cannot be proved to be the one that the action made or changed.
    fn unproved(&self, observed: &Observed, vmid: u32, object: &str) -> Option<String> {
        let marker = self.open.intent.claim.marker.as_deref().unwrap_or_default();
        let description = observed.text("description");
        if let Some(by) = taken_over_by(description.as_deref().unwrap_or_default(), marker) {
            return Some(format!(
                "{object} was taken over by {by}: it cannot be proved to be from this run any more"
            ));
        }
        if self.open.intent.operation == Operation::Update || self.is_ours(description, vmid) {
            return None;
        }
        if self.open.tasks.is_empty() && self.open.completed.is_empty() {
            // The id was free when it was claimed; a guest without the marker is somebody else's.
            return Some(format!(
                "{object} exists but does not carry the marker {marker}: if it is yours, import it; if not, forget \
                 this action and apply again"
            ));
        }
        Some(format!("{object} exists, but it cannot be proved to be from this run"))
    }

    /// The id that the action used: the one it changed to in a race, else the claimed one.
    fn vmid(&self, planned: &Value) -> Option<u32> {
        raced(self.open)
            .or(self.open.intent.claim.vmid)
            .or(int(planned, "vm_id").and_then(|id| u32::try_from(id).ok()))
    }

    /// The marker is on it, or this action's own create or clone went well.
    fn is_ours(&self, description: Option<String>, vmid: u32) -> bool {
        let marker = self.open.intent.claim.marker.as_deref();
        let marked = marker.is_some_and(|marker| description.is_some_and(|text| text.trim() == marker));
        let made = Step::CREATE.is_in(&self.open.completed) || Step::CLONE.is_in(&self.open.completed);
        let names_it = self.open.tasks.iter().any(|(step, upid)| {
            *step == Step::CREATE.to_string() && upid.split(':').nth(6) == Some(vmid.to_string().as_str())
        });
        marked || made || (names_it && Step::CONFIGURE.is_in(&self.open.completed))
    }
}

/// Why the guest that was found is another one than was to be changed, if it is.
pub(super) fn another(
    cluster: &Cluster,
    (open, identity): (&OpenAction, Option<&str>),
    planned: &Value,
    (vmid, node): (u32, &str),
) -> Option<String> {
    let found = cluster.seen(vmid).filter(|_| open.intent.operation == Operation::Update)?;
    let why = Traits::recorded(planned, identity).is_another(&found)?;
    let name = found.name.unwrap_or_default();
    Some(format!(
        "guest {vmid} on {node} is another one than was to be changed: it is named {name}, and {why}"
    ))
}

/// The VMID that an action changed to when others were faster.
pub(super) fn raced(open: &OpenAction) -> Option<u32> {
    open.completed.iter().rev().find_map(|step| other_id(step))
}

/// A request may have become a task before its UPID was recorded: what may still make a guest is waited for, its own tasks
/// and those of its template, whose node they run on.
pub(super) async fn await_guest(
    cluster: &Cluster,
    vmid: u32,
    planned: &Value,
    claimed: Option<&str>,
) -> Result<(), ProviderError> {
    let newer = planned.get("clone").filter(|clone| !clone.is_null());
    let clone = block(planned, "clone").or(newer);
    let source = clone.and_then(|clone| int(clone, "vm_id").or_else(|| int(clone, "source_vm_id")));
    let ids: Vec<String> =
        [Some(i64::from(vmid)), source].iter().flatten().map(ToString::to_string).collect();
    let guests = cluster.guests().await.map_err(|error| failed(format!("look for guest {vmid}"), &error))?;
    let listed = guests.iter().find(|guest| Some(i64::from(guest.vmid)) == source);
    let stated = clone.and_then(|clone| text(clone, "node_name").or_else(|| text(clone, "source_node_name")));
    let nodes = [text(planned, "node_name"), claimed, stated, listed.map(|guest| guest.node.as_str())];
    for node in nodes.into_iter().flatten().collect::<BTreeSet<_>>() {
        for upid in running_tasks(cluster, node, &ids).await? {
            await_end(cluster, "a task that runs", &upid).await?;
        }
    }
    // What has ended by now has changed the list.
    cluster.forget_guests().await;
    Ok(())
}

pub(super) fn destroyed_since(vmid: u32) -> Recovery {
    Recovery::Unclear(format!(
        "guest {vmid} was destroyed after this run began to make it: what has its id now is another one"
    ))
}
