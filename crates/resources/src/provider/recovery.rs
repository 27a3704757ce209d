//! Finding out what became of an action that a crash left open. Nothing is changed here.

use std::collections::BTreeSet;

use pve_executor::ports::{ProviderError, Recovery};
use pve_model::codec::decode;
use pve_model::event::Operation;
use pve_model::state::OpenAction;
use pve_model::{Type, Value};

use super::claims::{other_id, vmid_of};
use super::guest::Guest;
use super::identity::Known;
use super::take_over::taken_over_by;
use super::tasks::{await_end, await_tasks, downloaded_since, running_tasks, was_destroyed};
use super::{Family, ProxmoxProvider, Seen};
use crate::cluster::{Call, Cluster, Silent, Step, failed};
use crate::operations::{Broken, Proof};
use crate::registry::Kind;
use crate::values::{all_blocks, blank, block, int, same, text, with, with_elements};
use crate::{download_file, file};

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
            Family::Vm | Family::Container => {
                let search = Search { cluster, kind, family, open, identity, prior };
                search.recover(planned.unwrap_or_else(|| crate::observed::defaults(kind.block()))).await?
            }
            _ => {
                let found =
                    recover_other(cluster, kind, family, (open, went_well), (prior, planned.as_ref()))
                        .await?;
                let found = match (found, prior) {
                    (Recovery::Gone, Some(prior)) if intent.operation == Operation::Update => {
                        by_its_former_name(cluster, kind, open, (prior, planned.as_ref())).await?
                    }
                    (found, _) => found,
                };
                match planned.filter(|_| kind.is_described_guest()) {
                    Some(planned) => unless_another(cluster, kind, (open, identity), &planned, found),
                    None => found,
                }
            }
        };
        if let Recovery::Exists(value) = &recovery
            && let Some(vmid) = vmid_of(kind, family, value)
        {
            self.take_in(intent.address.clone(), Seen::settled(cluster.seen(vmid), family, value));
        }
        Ok(recovery)
    }
}

/// What was found of a guest that was to be changed, unless it is another one that has its id by now.
fn unless_another(
    cluster: &Cluster,
    kind: &Kind,
    (open, identity): (&OpenAction, Option<&str>),
    planned: &Value,
    recovery: Recovery,
) -> Recovery {
    let Recovery::Exists(value) = &recovery else { return recovery };
    let Some(vmid) = vmid_of(kind, Family::Plain, value) else { return recovery };
    let node = text(value, "node_name").unwrap_or_default();
    match another(cluster, (open, identity), planned, (vmid, node)) {
        Some(why) => Recovery::Unclear(why),
        None => recovery,
    }
}

/// Why the guest that was found is another one than was to be changed, if it is.
fn another(
    cluster: &Cluster,
    (open, identity): (&OpenAction, Option<&str>),
    planned: &Value,
    (vmid, node): (u32, &str),
) -> Option<String> {
    let found = cluster.seen(vmid).filter(|_| open.intent.operation == Operation::Update)?;
    let why = Known::recorded(planned, identity).is_another(&found)?;
    let name = found.name.unwrap_or_default();
    Some(format!(
        "guest {vmid} on {node} is another one than was to be changed: it is named {name}, and {why}"
    ))
}

/// Looks for a guest.
struct Search<'a> {
    cluster: &'a Cluster,
    kind: &'a Kind,
    family: Family,
    open: &'a OpenAction,
    /// What told it from another one with its id before.
    identity: Option<&'a str>,
    /// What was known of it before the action.
    prior: Option<&'a Value>,
}

impl Search<'_> {
    async fn recover(&self, planned: Value) -> Result<Recovery, ProviderError> {
        let Some(vmid) = self.vmid(&planned) else { return Ok(Recovery::NothingDone) };
        let known =
            text(&planned, "node_name").map(str::to_string).or_else(|| self.open.intent.claim.node.clone());
        await_guest(self.cluster, vmid, &planned, known.as_deref()).await?;
        let fail = |error: &_| failed(format!("look for guest {vmid}"), error);
        let guests = self.cluster.guests().await.map_err(|error| fail(&error))?;
        let entry = guests.iter().find(|guest| guest.vmid == vmid);
        let node = entry.map(|guest| guest.node.clone()).or(known).unwrap_or_default();
        let object = format!("guest {vmid} on {node}");
        let mut call = Call::new(self.cluster, &Silent, object);
        call.identity = self.identity.map(str::to_string);
        let guest = Guest::new(self.family, self.kind, call, (node.clone(), vmid));
        let observed = guest.look().await?;
        let operation = self.open.intent.operation;
        let Some(observed) = observed else {
            return Ok(match (operation, entry) {
                (Operation::Delete, None) => Recovery::Gone,
                (Operation::Create, None) => Recovery::NothingDone,
                (_, None) => Recovery::Gone,
                (_, Some(_)) => Recovery::Unclear(format!(
                    "guest {vmid} is in the cluster's list but has no configuration on {node}: look at it there"
                )),
            });
        };
        if operation == Operation::Delete {
            let found = Known::found(&observed);
            if let Some(known) = self.prior.map(|prior| Known::recorded(prior, self.identity)) {
                if known.is_same(&found) == Some(false) {
                    return Ok(Recovery::Gone);
                }
                // What only looks like another one may still be the one that was to go.
                if let Some(why) = known.is_another(&found) {
                    let name = found.name.unwrap_or_default();
                    return Ok(Recovery::Unclear(format!(
                        "guest {vmid} on {node} is named {name:?}, and {why}: if it is another one, what was to be \
                         destroyed is gone (pve state rm); if it is the one, destroy it by hand"
                    )));
                }
            }
            let power = match observed.running {
                Some(true) => "it still exists and runs",
                Some(false) => "it still exists, stopped",
                None => "it still exists",
            };
            return Ok(Recovery::Kept(power.to_string()));
        }
        if operation == Operation::Create && was_destroyed(self.cluster, self.open, vmid).await? {
            return Ok(destroyed_since(vmid));
        }
        let description = observed.text("description").unwrap_or_default();
        let marker = self.open.intent.claim.marker.as_deref().unwrap_or_default();
        if let Some(by) = taken_over_by(&description, marker) {
            return Ok(Recovery::Unclear(format!(
                "guest {vmid} on {node} was taken over by {by}: it cannot be proved to be from this run any more"
            )));
        }
        let planned = with(&planned, "vm_id", Value::number(i64::from(vmid)));
        if operation == Operation::Update || self.is_ours(observed.text("description"), vmid) {
            let prior = self.prior.filter(|_| operation == Operation::Update);
            let value = guest.read_unfinished(prior, &planned).await?;
            return Ok(match another(self.cluster, (self.open, self.identity), &planned, (vmid, &node)) {
                Some(why) => Recovery::Unclear(why),
                None => Recovery::Exists(value),
            });
        }
        if self.open.tasks.is_empty() && self.open.completed.is_empty() {
            // The id was free when it was claimed; a guest without the marker is somebody else's.
            let note = format!(
                "guest {vmid} on {node} exists but does not carry the marker {marker}: if it is yours, import it; \
                 if not, forget this action and apply again"
            );
            return Ok(Recovery::Unclear(note));
        }
        Ok(Recovery::Unclear(format!(
            "guest {vmid} on {node} exists, but it cannot be proved to be from this run"
        )))
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

/// The VMID that an action changed to when others were faster.
fn raced(open: &OpenAction) -> Option<u32> {
    open.completed.iter().rev().find_map(|step| other_id(step))
}

/// A request may have become a task before its UPID was recorded: what may still make a guest is waited for, its own tasks
/// and those of its template, whose node they run on.
async fn await_guest(
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

fn destroyed_since(vmid: u32) -> Recovery {
    Recovery::Unclear(format!(
        "guest {vmid} was destroyed after this run began to make it: what has its id now is another one"
    ))
}

async fn recover_other(
    cluster: &Cluster,
    kind: &Kind,
    family: Family,
    (open, went_well): (&OpenAction, bool),
    (prior, planned): Broken<'_>,
) -> Result<Recovery, ProviderError> {
    let Some(planned) = planned.filter(|planned| !planned.is_null()) else {
        // A delete has no plan; an object that is still there shows in the next one.
        return Ok(match open.intent.operation {
            Operation::Delete => Recovery::Kept("it may still exist: the next plan tells".to_string()),
            _ => Recovery::Unclear(
                "what was planned cannot be read by this version of pve: look for it in the cluster".into(),
            ),
        });
    };
    let planned = match raced(open).or(open.intent.claim.vmid) {
        Some(vmid) if kind.is_described_guest() => {
            await_guest(cluster, vmid, planned, open.intent.claim.node.as_deref()).await?;
            with(planned, "id", Value::number(i64::from(vmid)))
        }
        _ => planned.clone(),
    };
    let volume = match family {
        Family::DownloadFile => download_file::volume(&planned),
        Family::File => file::volume(&planned),
        _ => None,
    };
    if let Some(volume) = &volume {
        for upid in running_tasks(cluster, &volume.node, std::slice::from_ref(&volume.name)).await? {
            await_end(cluster, "a task that runs", &upid).await?;
        }
    }
    let block = kind.block();
    let read = match family {
        Family::DownloadFile => download_file::read(cluster, &planned).await,
        Family::File => file::read(cluster, &planned).await,
        _ => match kind.operations() {
            Some(operations) => operations.read(block, cluster, &planned).await,
            None => Ok(None),
        },
    };
    let read = read.map_err(|error| failed(format!("look for {}", open.intent.address), &error))?;
    if let Some(vmid) = raced(open).or(open.intent.claim.vmid).filter(|_| kind.is_described_guest())
        && open.intent.operation == Operation::Create
        && read.is_some()
        && was_destroyed(cluster, open, vmid).await?
    {
        return Ok(destroyed_since(vmid));
    }
    Ok(match (open.intent.operation, read) {
        (Operation::Create, None) => Recovery::NothingDone,
        (_, None) => Recovery::Gone,
        (Operation::Create, Some(value))
            if family == Family::DownloadFile
                && !went_well
                && !downloaded_since(cluster, open, &planned).await? =>
        {
            // Our own download has no marker; without its task the file may be older than the action.
            let id = text(&value, "id").unwrap_or_default().to_string();
            Recovery::Unclear(format!(
                "{id} exists, but it cannot be proved that this run downloaded it: import it"
            ))
        }
        (operation, Some(value)) if family == Family::File => unfinished_file(open, operation, value),
        (Operation::Create, Some(value)) if !is_ours(kind, (open, went_well), &planned, &value) => {
            if kind.operations().is_some_and(|operations| operations.proof() == Proof::Repeated) {
                return Ok(Recovery::NothingDone);
            }
            let id = text(&value, "id").unwrap_or_default();
            Recovery::Unclear(format!(
                "{id} exists, but it cannot be proved that this run made it: import it"
            ))
        }
        (_, Some(value)) => Recovery::Exists(unfinished(kind, open, (prior, Some(&planned)), value)),
    })
}

/// A plain object that does not have the name that it was to get: it may have kept the one that it had.
async fn by_its_former_name(
    cluster: &Cluster,
    kind: &Kind,
    open: &OpenAction,
    (prior, planned): (&Value, Option<&Value>),
) -> Result<Recovery, ProviderError> {
    let Some(operations) = kind.operations() else { return Ok(Recovery::Gone) };
    let read = operations.read(kind.block(), cluster, prior).await;
    let read = read.map_err(|error| failed(format!("look for {}", open.intent.address), &error))?;
    let of = (Some(prior), planned);
    Ok(read.map_or(Recovery::Gone, |value| Recovery::Exists(unfinished(kind, open, of, value))))
}

/// A plain object whose change broke off. One that has every value that it was to be made with has them all: they came
/// with one request.
fn unfinished(kind: &Kind, open: &OpenAction, change: Broken<'_>, value: Value) -> Value {
    match kind.operations() {
        Some(operations) => {
            let mut done = open.completed.clone();
            done.extend((open.intent.operation == Operation::Create).then(|| Step::CREATE.to_string()));
            operations.unfinished(value, change, &done)
        }
        None => value,
    }
}

/// A plain object has no marker.
fn is_ours(kind: &Kind, (open, went_well): (&OpenAction, bool), planned: &Value, found: &Value) -> bool {
    let Some(operations) = kind.operations() else { return true };
    let as_planned = |(name, part): (&std::sync::Arc<str>, &Value)| {
        part.is_null() || found.get(name).is_some_and(|found| same(part, found))
    };
    let values = || planned.entries().is_some_and(|entries| entries.iter().all(as_planned));
    match operations.proof() {
        _ if open.completed.iter().any(|step| other_id(step).is_none()) || went_well => true,
        Proof::Presence => true,
        Proof::Values => values(),
        Proof::Steps | Proof::Repeated => false,
    }
}

/// A file has no marker. Unless the upload is known to be done, its content counts as older: uploading once more does
/// no harm.
fn unfinished_file(open: &OpenAction, operation: Operation, value: Value) -> Recovery {
    if Step::UPLOAD.is_in(&open.completed) {
        return Recovery::Exists(value);
    }
    if operation == Operation::Create {
        return Recovery::NothingDone;
    }
    let older = |name: &str, attribute: &str, content: Value| {
        let sources = all_blocks(&value, name).iter().map(|source| with(source, attribute, content.clone()));
        with_elements(&value, name, sources.collect())
    };
    let value = match block(&value, "source_raw") {
        Some(_) => older("source_raw", "data", Value::null(Type::String)),
        None => older("source_file", "changed", Value::bool(true)),
    };
    Recovery::Exists(value)
}
