//! Making, changing and destroying VMs and containers, and what a change of one left that broke off.

use pve_executor::ports::{ActionProgress, ApplyRequest, ProviderError};
use pve_model::Value;
use pve_model::event::Operation;

use super::claims::{RACES, is_taken, record_other_id, vmid_is_free};
use super::guest::Guest;
use super::{Connection, take_over};
use crate::cluster::{Call, Foreign, failed, refused};
use crate::guest::GuestKind;
use crate::operations::broken_off;
use crate::registry::Kind;
use crate::values::{all_blocks, int, text, with};

/// One change of a VM or container.
pub(super) struct GuestChange<'a> {
    pub(super) connection: &'a Connection,
    pub(super) kind: &'a Kind,
    pub(super) guest: GuestKind,
    pub(super) request: &'a ApplyRequest,
    pub(super) progress: &'a dyn ActionProgress,
}

impl<'a> GuestChange<'a> {
    fn on(&self, node: &str, vmid: u32) -> Guest<'a> {
        self.on_behind(node, vmid, Vec::new())
    }

    /// The guest, these steps being done already.
    fn on_behind(&self, node: &str, vmid: u32, done: Vec<String>) -> Guest<'a> {
        let object = format!("{} {vmid} on {node}", self.guest.label());
        let mut call = Call::new(&self.connection.cluster, self.progress, object).behind(done);
        call.identity.clone_from(&self.request.identity);
        if self.request.operation == Operation::Create {
            call.marker.clone_from(&self.request.claim.marker);
        }
        Guest::new(self.guest, self.kind, call, (node.to_string(), vmid))
    }

    pub(super) async fn apply(&self) -> Result<Option<Value>, ProviderError> {
        let done = match (self.request.operation, &self.request.planned, &self.request.prior) {
            (Operation::Create, Some(planned), _) => self.create(planned).await.map(Some),
            (Operation::Update, Some(planned), Some(prior)) => self.update(prior, planned).await.map(Some),
            (Operation::Delete, _, Some(prior)) => self.delete(prior).await.map(|()| None),
            _ => Err(refused(format!("{}: nothing to apply", self.request.address), None)),
        };
        self.connection.cluster.forget_guests().await;
        done
    }

    async fn create(&self, planned: &Value) -> Result<Value, ProviderError> {
        let node = text(planned, "node_name").unwrap_or_default().to_string();
        let mut vmid = self.request.claim.vmid.unwrap_or_default();
        let marker = self.request.claim.marker.as_deref();
        for race in 0.. {
            let planned = with(planned, "vm_id", Value::number(i64::from(vmid)));
            let guest = self.on(&node, vmid);
            match guest.make(&planned, marker).await {
                Ok(()) => return self.complete(&guest, &planned).await,
                Err(error) if is_taken(&error, vmid) => {
                    if !vmid_is_free(self.request) || race >= RACES {
                        return Err(taken(error, vmid));
                    }
                    self.connection.cluster.forget_guests().await;
                    vmid = self.connection.reserve().await?;
                    record_other_id(self.progress, vmid).await?;
                }
                Err(error) => return Err(self.with_left(&planned, error, vmid).await),
            }
        }
        Err(refused(format!("create {}: no free VMID", self.request.address), None))
    }

    async fn complete(&self, guest: &Guest<'_>, planned: &Value) -> Result<Value, ProviderError> {
        let finished = async {
            guest.bring_to(None, planned).await?;
            guest.finish(planned).await
        };
        match finished.await {
            Ok(value) => Ok(value),
            Err(error) if guest.call().foreign.get() == Some(&Foreign::Guest) => Err(error),
            Err(error) => {
                if let Some(taken) = self.taken_over(guest).await {
                    return Err(taken);
                }
                let left = async { guest.read_unfinished(None, planned).await.map(Some) };
                Err(broken_off(guest.call(), error, false, left).await)
            }
        }
    }

    /// Somebody may have taken the guest over between the look at it and the request that failed. That its marker is gone
    /// is no proof by then: the request may have had its effect.
    async fn taken_over(&self, guest: &Guest<'_>) -> Option<ProviderError> {
        let observed = guest.look().await.ok()??;
        let description = observed.text("description")?;
        take_over::taken_over_by(&description, self.request.claim.marker.as_deref()?)?;
        guest.call().refuse_taken_over(&observed).err()
    }

    /// After a failed create: what is there under the id, if our marker is on it, on whatever node: a clone is made beside
    /// its template. Where that cannot be found out the action stays open.
    async fn with_left(&self, planned: &Value, error: ProviderError, vmid: u32) -> ProviderError {
        let wanted = text(planned, "node_name").unwrap_or_default();
        let node = self.connection.cluster.locate(self.guest.api(), vmid, wanted).await;
        let left = match node {
            Ok(Some(node)) => self.marked(&node, planned, vmid).await,
            Ok(None) => Ok(None),
            // A node that is not there tells nothing of its guests; the list of the whole cluster does.
            Err(_) if self.is_listed_nowhere(vmid).await => Ok(None),
            Err(unknown) => Err(failed(format!("look for guest {vmid}"), &unknown)),
        };
        ProviderError {
            indeterminate: error.indeterminate || left.is_err(),
            left: left.ok().flatten(),
            ..error
        }
    }

    /// The guest on this node, if our marker is on it.
    async fn marked(&self, node: &str, planned: &Value, vmid: u32) -> Result<Option<Value>, ProviderError> {
        let guest = self.on(node, vmid);
        let Some(observed) = guest.look().await? else { return Ok(None) };
        let description = observed.text("description");
        match self.request.claim.marker.as_deref() {
            Some(marker) if description.is_some_and(|text| text.trim() == marker) => {
                guest.read_unfinished(None, planned).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether the cluster answers and has no guest of this id on any node.
    async fn is_listed_nowhere(&self, vmid: u32) -> bool {
        self.connection.cluster.forget_guests().await;
        let guests = self.connection.cluster.guests().await;
        guests.is_ok_and(|guests| guests.iter().all(|guest| guest.vmid != vmid))
    }

    async fn update(&self, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let vmid = self.vmid(prior)?;
        let from = text(prior, "node_name").unwrap_or_default();
        let to = text(planned, "node_name").unwrap_or_default();
        let mut done = Vec::new();
        if from != to {
            let guest = self.on(from, vmid);
            if let Err(error) = guest.migrate(prior, planned, to).await {
                return Err(broken_off(guest.call(), error, false, self.read_anywhere(prior, vmid)).await);
            }
            done = guest.call().done();
        }
        let guest = self.on_behind(to, vmid, done);
        let finished = async {
            guest.bring_to(Some(prior), planned).await?;
            guest.finish(planned).await
        };
        match finished.await {
            Ok(value) => Ok(value),
            Err(error) => {
                let same = passwords(prior) == passwords(planned);
                let left = async {
                    let left = match same {
                        true => guest.read_left(prior, planned).await,
                        false => guest.read_unfinished(Some(prior), planned).await,
                    };
                    left.map(Some)
                };
                let is_nothing_done = guest.call().done().is_empty();
                if is_nothing_done && guest.call().foreign.get() == Some(&Foreign::Volume) {
                    // What is there by now is news that the next plan tells.
                    return Err(error);
                }
                if is_nothing_done {
                    // What was refused may have had a part of its effect.
                    let left = left.await.ok().flatten().filter(|_| guest.is_known(prior));
                    return Err(ProviderError { left, ..error });
                }
                Err(broken_off(guest.call(), error, false, left).await)
            }
        }
    }

    /// The guest on whatever node it is by now.
    async fn read_anywhere(&self, prior: &Value, vmid: u32) -> Result<Option<Value>, ProviderError> {
        let known = text(prior, "node_name").unwrap_or_default();
        let node = self.connection.cluster.locate(self.guest.api(), vmid, known).await;
        match node.map_err(|error| failed(format!("look for guest {vmid}"), &error))? {
            Some(node) => self.on(&node, vmid).read(prior).await.map(Some),
            None => Ok(None),
        }
    }

    async fn delete(&self, prior: &Value) -> Result<(), ProviderError> {
        let vmid = self.vmid(prior)?;
        // It may have been moved to another node since it was read.
        let known = text(prior, "node_name").unwrap_or_default();
        let node = self.connection.cluster.locate(self.guest.api(), vmid, known).await;
        match node.map_err(|error| failed(format!("look for guest {vmid}"), &error))? {
            Some(node) => {
                let guest = self.on(&node, vmid);
                match guest.delete(prior).await {
                    Ok(()) => Ok(()),
                    // What is there by now is news that the next plan tells.
                    Err(error)
                        if guest.call().done().is_empty()
                            && guest.call().foreign.get() == Some(&Foreign::Volume) =>
                    {
                        Err(error)
                    }
                    // It may have been shut down before it could not be destroyed.
                    Err(error) => {
                        let left = async { guest.read(prior).await.map(Some) };
                        Err(broken_off(guest.call(), error, true, left).await)
                    }
                }
            }
            None => Ok(()),
        }
    }

    fn vmid(&self, prior: &Value) -> Result<u32, ProviderError> {
        int(prior, "vm_id")
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| refused(format!("{}: its vm_id is not known", self.request.address), None))
    }
}

/// The passwords that cloud-init is to set.
fn passwords(value: &Value) -> Vec<Option<String>> {
    let accounts = all_blocks(value, "initialization");
    let accounts = accounts.iter().flat_map(|initialization| all_blocks(initialization, "user_account"));
    accounts.map(|account| text(account, "password").map(str::to_string)).collect()
}

fn taken(error: ProviderError, vmid: u32) -> ProviderError {
    let hint = format!("guest {vmid} is there already and was not touched: import it, or set another vm_id");
    ProviderError { hint: Some(hint), left: None, ..error }
}
