//! Reading instances.

use pve_executor::ports::{ProviderError, ReadRequest};
use pve_model::rules::Beside;
use pve_model::{InstanceAddress, Value};

use super::claims::vmid_of;
use super::identity::Traits;
use super::{Family, ProxmoxProvider, SeenGuest};
use crate::beside::beside_of;
use crate::cluster::{ApiError, Cluster, failed, refused};
use crate::guest::{Extent, GuestKind};
use crate::observed::{Observed, with_waiting};
use crate::pools::{hidden_pool, told_of_hidden};
use crate::registry::Kind;
use crate::values::{all_blocks, blank, block, flag, int, text};
use crate::waiting::{leaving, waits};
use crate::{container, download_file, file, vm};

impl ProxmoxProvider {
    pub(super) async fn read_instance(&self, request: ReadRequest) -> Result<Option<Value>, ProviderError> {
        let (kind, family) = self.kind(&request.address.resource.kind)?;
        if family.is_built_in() {
            return Ok(Some(request.prior));
        }
        let cluster = &self.connection(&request.provider)?.cluster;
        let prior = blank(&request.prior);
        let block = kind.block();
        let read = match family {
            Family::Guest(guest) => {
                let guest = KnownGuest { kind, guest, prior: &prior, identity: request.identity.as_deref() };
                let (value, seen) = guest.read(cluster).await?;
                self.take_in(request.address, seen);
                return Ok(value);
            }
            Family::Plain if kind.is_described_guest() => {
                let (value, seen) = read_machine(kind, cluster, &prior, &request).await?;
                self.take_in(request.address, seen);
                return Ok(value);
            }
            Family::DownloadFile => download_file::read(cluster, &prior).await,
            Family::File => file::read(cluster, &prior).await,
            Family::Plain | Family::TerraformData | Family::NullResource => {
                match (kind.engine(), kind.operations()) {
                    (Some(engine), _) => {
                        let found = engine.see(cluster, &prior).await;
                        found.map(|found| self.noted(&request.address, found))
                    }
                    (None, Some(operations)) => operations.read(block, cluster, &prior).await,
                    (None, None) => Ok(None),
                }
            }
        };
        read.map_err(|error| failed(read_of(&request.address, &prior, &error), &error))
    }

    /// The object that was found, once it is taken note of what of it waits for something.
    fn noted(&self, address: &InstanceAddress, found: Option<(Value, Vec<String>)>) -> Option<Value> {
        let (value, waits) = found.map_or((None, Vec::new()), |(value, waits)| (Some(value), waits));
        let beside = Beside { waits, ..Beside::default() };
        self.take_in(address.clone(), SeenGuest { beside, ..SeenGuest::default() });
        value
    }

    /// What is left of an object that cannot be read, and whose destruction broke off.
    pub(super) async fn remains_of(
        &self,
        request: &ReadRequest,
        done: &[String],
    ) -> Result<Option<Value>, ProviderError> {
        let (kind, _) = self.kind(&request.address.resource.kind)?;
        let Some(engine) = kind.engine() else { return Ok(None) };
        let cluster = &self.connection(&request.provider)?.cluster;
        let left = engine.remains(cluster, &blank(&request.prior), done).await;
        left.map_err(|error| failed(read_of(&request.address, &request.prior, &error), &error))
    }
}

/// Reads a machine that is described as data.
async fn read_machine(
    kind: &Kind,
    cluster: &Cluster,
    prior: &Value,
    request: &ReadRequest,
) -> Result<(Option<Value>, SeenGuest), ProviderError> {
    let (Some(operations), Some(vmid)) = (kind.operations(), vmid_of(kind, Family::Plain, prior)) else {
        return Ok((None, SeenGuest::default()));
    };
    let read = operations.read(kind.block(), cluster, prior).await;
    let read = read.map_err(|error| failed(read_of(&request.address, prior, &error), &error))?;
    let Some(value) = read else { return Ok((None, SeenGuest::default())) };
    let found = cluster.seen(vmid).unwrap_or_default();
    let node = text(&value, "node_name").unwrap_or_default();
    let known = Traits::recorded(prior, request.identity.as_deref());
    refuse_another(known.is_another(&found), &found, (vmid, node))?;
    let observed =
        Observed { config: found.options.clone(), in_force: found.in_force.clone(), ..Observed::default() };
    let mut seen = SeenGuest::settled(Some(found), Family::Plain, &value);
    seen.beside.waits = waits(&observed);
    seen.beside.leaving = leaving(&observed);
    Ok((Some(value), seen))
}

/// The reading of a guest, for an error: on the node of the cluster's list, or else the one it was on last.
async fn read_guest(cluster: &Cluster, vmid: u32, last_node: &str) -> String {
    let known = cluster.known_guests().await.unwrap_or_default();
    let node = known.iter().find(|guest| guest.vmid == vmid).map_or(last_node, |guest| &guest.node);
    format!("read guest {vmid} on {node}")
}

/// The reading of an instance, for an error. Where its node is away, that is named: an address does not tell it.
fn read_of(address: &InstanceAddress, prior: &Value, error: &ApiError) -> String {
    match text(prior, "node_name").filter(|_| matches!(error.status, Some(595..=599))) {
        Some(node) => format!("read {address} on {node}"),
        None => format!("read {address}"),
    }
}

/// A guest as it was recorded.
struct KnownGuest<'a> {
    kind: &'a Kind,
    guest: GuestKind,
    prior: &'a Value,
    identity: Option<&'a str>,
}

impl KnownGuest<'_> {
    /// Reads it by its list entry and one request for its configuration. A running VM whose agent has not reported any
    /// address yet is asked once more for those.
    async fn read(&self, cluster: &Cluster) -> Result<(Option<Value>, SeenGuest), ProviderError> {
        let vmid = int(self.prior, "vm_id").and_then(|id| u32::try_from(id).ok());
        let Some(vmid) = vmid else { return Ok((None, SeenGuest::default())) };
        let node = text(self.prior, "node_name").unwrap_or_default();
        let api_kind = self.guest.api();
        let observed = cluster.observe(api_kind, vmid, node, flag(self.prior, "started")).await;
        let observed = match observed {
            Ok(observed) => observed,
            Err(error) => return Err(failed(read_guest(cluster, vmid, node).await, &error)),
        };
        let Some(mut observed) = observed else { return Ok((None, SeenGuest::default())) };
        if !all_blocks(self.prior, "idmap").is_empty() {
            let added = cluster.add_lists(api_kind, &mut observed).await;
            added.map_err(|error| failed(format!("read guest {vmid} on {}", observed.node), &error))?;
        }
        let hidden = hidden_pool(cluster, text(self.prior, "pool_id"), observed.pool.as_deref()).await;
        observed.pool = hidden.clone().or(observed.pool);
        let (mut value, waits) = with_waiting(&observed, self.prior, &|observed| self.decode(observed));
        value = match self.guest {
            GuestKind::Container => container::with_leaving(&observed, self.prior, &value),
            GuestKind::Vm => vm::with_leaving_drives(&observed, self.prior, &value),
        };
        let found = Traits::found(&observed);
        let known = Traits::recorded(self.prior, self.identity);
        let place = (vmid, &*observed.node);
        refuse_another(known.is_another(&found), &found, place)?;
        if self.guest == GuestKind::Container {
            refuse_another(known.is_another_container(&found), &found, place)?;
        }
        let mut beside = beside_of(self.guest, &observed, self.prior, &value);
        beside.hidden.extend(hidden.as_deref().map(told_of_hidden));
        let seen = SeenGuest { waits, identity: found.identity, beside };
        let agent = block(self.prior, "agent").and_then(|agent| flag(agent, "enabled")) == Some(true);
        let addresses = self.prior.get("ipv4_addresses").and_then(Value::elements);
        let unknown = addresses.is_none_or(<[Value]>::is_empty);
        if self.guest == GuestKind::Vm && agent && unknown && observed.running == Some(true) {
            let path = format!("/nodes/{}/qemu/{vmid}/agent/network-get-interfaces", observed.node);
            if let Ok(answer) = cluster.get(&path).await {
                return Ok((Some(vm::addresses(&answer, None, &value).unwrap_or(value)), seen));
            }
        }
        Ok((Some(value), seen))
    }

    fn decode(&self, observed: &Observed) -> Value {
        let (block, extent) = (self.kind.block(), Extent::Guided);
        match self.guest {
            GuestKind::Vm => vm::decode_vm(block, observed, self.prior, extent),
            GuestKind::Container => container::decode_container(block, observed, self.prior, extent),
        }
    }
}

/// Refuses to take the guest that was found under the id of a known one for that, if it is another one.
fn refuse_another(why: Option<&str>, found: &Traits, (vmid, node): (u32, &str)) -> Result<(), ProviderError> {
    let Some(why) = why else { return Ok(()) };
    let name = found.name.as_deref().unwrap_or_default();
    let message = format!(
        "read guest {vmid}: the guest with this id on {node} is another one: it is named {name}, and {why}"
    );
    let hint = "nothing was changed: if yours is gone, take it out of the state (pve state rm), then choose another id \
                for it or import that guest";
    Err(refused(message, Some(hint)))
}
