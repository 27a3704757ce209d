//! What became of a plain object, a file or a described guest: it is looked for by its name, and proved by what its kind
//! goes by.

use pve_executor::ports::{ProviderError, Recovery};
use pve_model::event::Operation;
use pve_model::state::OpenAction;
use pve_model::{Type, Value};

use super::super::Family;
use super::super::claims::{other_id, vmid_of};
use super::super::tasks::{await_end, downloaded_since, running_tasks, was_destroyed};
use super::guests::{another, await_guest, destroyed_since, raced};
use crate::cluster::{Cluster, Step, failed};
use crate::operations::{Broken, Proof};
use crate::registry::Kind;
use crate::values::{all_blocks, block, same, text, with, with_elements};
use crate::{download_file, file};

/// Looks for an object.
pub(super) struct Search<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) kind: &'a Kind,
    pub(super) family: Family,
    pub(super) open: &'a OpenAction,
    /// Whether a task of the action is known to have ended well.
    pub(super) went_well: bool,
    /// What told it from another one with its id before.
    pub(super) identity: Option<&'a str>,
    /// What was known of it before the action.
    pub(super) prior: Option<&'a Value>,
}

impl Search<'_> {
    pub(super) async fn recover(&self, planned: Option<&Value>) -> Result<Recovery, ProviderError> {
        let found = match planned.filter(|planned| !planned.is_null()) {
            Some(planned) => self.look_for(planned).await?,
            None => self.unplanned(),
        };
        let found = match (found, self.prior) {
            (Recovery::Gone, Some(prior)) if self.open.intent.operation == Operation::Update => {
                self.by_its_former_name(prior, planned).await?
            }
            (found, _) => found,
        };
        Ok(match planned.filter(|_| self.kind.is_described_guest()) {
            Some(planned) => self.unless_another(planned, found),
            None => found,
        })
    }

    /// A delete has no plan; an object that is still there shows in the next one.
    fn unplanned(&self) -> Recovery {
        match self.open.intent.operation {
            Operation::Delete => Recovery::Kept("it may still exist: the next plan tells".to_string()),
            _ => Recovery::Unclear(
                "what was planned cannot be read by this version of pve: look for it in the cluster".into(),
            ),
        }
    }

    async fn look_for(&self, planned: &Value) -> Result<Recovery, ProviderError> {
        let claim = &self.open.intent.claim;
        let vmid = raced(self.open).or(claim.vmid).filter(|_| self.kind.is_described_guest());
        let planned = match vmid {
            Some(vmid) => {
                await_guest(self.cluster, vmid, planned, claim.node.as_deref()).await?;
                &with(planned, "id", Value::number(i64::from(vmid)))
            }
            None => planned,
        };
        self.await_volume(planned).await?;
        let is_create = self.open.intent.operation == Operation::Create;
        let Some(found) = self.read(planned).await? else {
            return Ok(if is_create { Recovery::NothingDone } else { Recovery::Gone });
        };
        if let Some(vmid) = vmid.filter(|_| is_create)
            && was_destroyed(self.cluster, self.open, vmid).await?
        {
            return Ok(destroyed_since(vmid));
        }
        match self.family {
            Family::DownloadFile if is_create => self.downloaded(planned, found).await,
            Family::File => Ok(unfinished_file(self.open, found)),
            _ if is_create && !self.is_ours(planned, &found) => Ok(self.unproved(&found)),
            _ => Ok(Recovery::Exists(self.unfinished((self.prior, Some(planned)), found))),
        }
    }

    /// Waits for what may still write the volume of a file.
    async fn await_volume(&self, planned: &Value) -> Result<(), ProviderError> {
        let volume = match self.family {
            Family::DownloadFile => download_file::volume(planned),
            Family::File => file::volume(planned),
            _ => None,
        };
        let Some(volume) = volume else { return Ok(()) };
        for upid in running_tasks(self.cluster, &volume.node, std::slice::from_ref(&volume.name)).await? {
            await_end(self.cluster, "a task that runs", &upid).await?;
        }
        Ok(())
    }

    async fn read(&self, named: &Value) -> Result<Option<Value>, ProviderError> {
        let read = match (self.family, self.kind.operations()) {
            (Family::DownloadFile, _) => download_file::read(self.cluster, named).await,
            (Family::File, _) => file::read(self.cluster, named).await,
            (_, Some(operations)) => operations.read(self.kind.block(), self.cluster, named).await,
            (_, None) => Ok(None),
        };
        read.map_err(|error| failed(format!("look for {}", self.open.intent.address), &error))
    }

    /// A download of ours has no marker; without its task the file may be older than the action.
    async fn downloaded(&self, planned: &Value, found: Value) -> Result<Recovery, ProviderError> {
        if self.went_well || downloaded_since(self.cluster, self.open, planned).await? {
            return Ok(Recovery::Exists(found));
        }
        let id = text(&found, "id").unwrap_or_default();
        Ok(Recovery::Unclear(format!(
            "{id} exists, but it cannot be proved that this run downloaded it: import it"
        )))
    }

    /// An object that somebody else may have made.
    fn unproved(&self, found: &Value) -> Recovery {
        if self.kind.operations().is_some_and(|operations| operations.proof() == Proof::Repeated) {
            return Recovery::NothingDone;
        }
        let id = text(found, "id").unwrap_or_default();
        Recovery::Unclear(format!("{id} exists, but it cannot be proved that this run made it: import it"))
    }

    /// A plain object that does not have the name that it was to get: it may have kept the one that it had.
    async fn by_its_former_name(
        &self,
        prior: &Value,
        planned: Option<&Value>,
    ) -> Result<Recovery, ProviderError> {
        let Some(operations) = self.kind.operations() else { return Ok(Recovery::Gone) };
        let read = operations.read(self.kind.block(), self.cluster, prior).await;
        let read = read.map_err(|error| failed(format!("look for {}", self.open.intent.address), &error))?;
        let of = (Some(prior), planned);
        Ok(read.map_or(Recovery::Gone, |value| Recovery::Exists(self.unfinished(of, value))))
    }

    /// A plain object whose change broke off. One that has every value that it was to be made with has them all: they came
    /// with one request.
    fn unfinished(&self, change: Broken<'_>, value: Value) -> Value {
        let Some(operations) = self.kind.operations() else { return value };
        let mut done = self.open.completed.clone();
        done.extend((self.open.intent.operation == Operation::Create).then(|| Step::CREATE.to_string()));
        operations.unfinished(value, change, &done)
    }

    /// A plain object has no marker.
    fn is_ours(&self, planned: &Value, found: &Value) -> bool {
        let Some(operations) = self.kind.operations() else { return true };
        if self.went_well || self.open.completed.iter().any(|step| other_id(step).is_none()) {
            return true;
        }
        match operations.proof() {
            Proof::Presence => true,
            Proof::Values => has_all(planned, found),
            Proof::Steps | Proof::Repeated => false,
        }
    }

    /// What was found of a described guest, unless it is another one that has its id by now.
    fn unless_another(&self, planned: &Value, recovery: Recovery) -> Recovery {
        let Recovery::Exists(value) = &recovery else { return recovery };
        let Some(vmid) = vmid_of(self.kind, Family::Plain, value) else { return recovery };
        let node = text(value, "node_name").unwrap_or_default();
        match another(self.cluster, (self.open, self.identity), planned, (vmid, node)) {
            Some(why) => Recovery::Unclear(why),
            None => recovery,
        }
    }
}

/// Whether an object has every value that was planned for it.
fn has_all(planned: &Value, found: &Value) -> bool {
    let is_there = |(name, part): (&std::sync::Arc<str>, &Value)| {
        part.is_null() || found.get(name).is_some_and(|found| same(part, found))
    };
    planned.entries().is_some_and(|entries| entries.iter().all(is_there))
}

/// A file has no marker. Unless the upload is known to be done, its content counts as older: uploading once more does
/// no harm.
fn unfinished_file(open: &OpenAction, value: Value) -> Recovery {
    if Step::UPLOAD.is_in(&open.completed) {
        return Recovery::Exists(value);
    }
    if open.intent.operation == Operation::Create {
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
