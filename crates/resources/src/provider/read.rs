//! Reading instances.

use pve_executor::ports::{ProviderError, ReadRequest};
use pve_model::Value;

use super::identity::is_another;
use super::{Family, ProxmoxProvider};
use crate::cluster::{Cluster, failed, refused};
use crate::registry::Kind;
use crate::values::{blank, block, flag, int, text};
use crate::vm::Extent;
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
            Family::Vm | Family::Container => return read_guest(cluster, kind, family, &prior).await,
            Family::DownloadFile => download_file::read(cluster, &prior).await,
            Family::File => file::read(cluster, &prior).await,
            Family::Plain | Family::TerraformData | Family::NullResource => match kind.operations() {
                Some(operations) => operations.read(block, cluster, &prior).await,
                None => Ok(None),
            },
        };
        read.map_err(|error| failed(format!("read {}", request.address), &error))
    }
}

/// Reads a guest by its list entry and one request for its configuration. A running VM whose agent has not reported
/// any address yet is asked once more for those.
async fn read_guest(
    cluster: &Cluster,
    kind: &Kind,
    family: Family,
    prior: &Value,
) -> Result<Option<Value>, ProviderError> {
    let Some(vmid) = int(prior, "vm_id").and_then(|id| u32::try_from(id).ok()) else { return Ok(None) };
    let node = text(prior, "node_name").unwrap_or_default();
    let api_kind = if family == Family::Vm { "qemu" } else { "lxc" };
    let observed = cluster.observe(api_kind, vmid, node).await;
    let observed = observed.map_err(|error| failed(format!("read guest {vmid}"), &error))?;
    let Some(observed) = observed else { return Ok(None) };
    let value = match family {
        Family::Vm => vm::decode_vm(kind.block(), &observed, prior, Extent::Guided),
        _ => container::decode_container(kind.block(), &observed, prior, Extent::Guided),
    };
    if is_another(prior, &value) {
        let name = observed.config.get("name").or(observed.config.get("hostname"));
        let message = format!(
            "read guest {vmid}: the guest with this id on {} is another one: it is named {}, and has none of the network \
             devices of the one that is known",
            observed.node,
            name.and_then(serde_json::Value::as_str).unwrap_or_default()
        );
        let hint = "nothing was changed: if yours is gone, take it out of the state (pve state rm), then choose another \
                    id for it or import that guest";
        return Err(refused(message, Some(hint)));
    }
    let agent = block(prior, "agent").and_then(|agent| flag(agent, "enabled")) == Some(true);
    let unknown = prior.get("ipv4_addresses").and_then(Value::elements).is_none_or(<[Value]>::is_empty);
    if family == Family::Vm && agent && unknown && observed.running == Some(true) {
        let path = format!("/nodes/{}/qemu/{vmid}/agent/network-get-interfaces", observed.node);
        if let Ok(answer) = cluster.get(&path).await {
            return Ok(Some(vm::addresses(&answer, None, &value).unwrap_or(value)));
        }
    }
    Ok(Some(value))
}
