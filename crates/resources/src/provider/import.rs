//! Taking in objects that exist, by the ids that users import them by.

use pve_executor::ports::ProviderError;
use pve_model::{InstanceAddress, Value};
use uuid::Uuid;

use super::claims::vmid_of;
use super::take_over::refuse_being_made;
use super::{Family, ProxmoxProvider, SeenGuest};
use crate::cluster::{ApiError, failed, refused};
use crate::guest::{Extent, GuestKind, MARKER};
use crate::observed::{Observed, defaults};
use crate::registry::Kind;
use crate::values::{text, with};
use crate::volumes::{Volume, size_of};
use crate::{container, download_file, file, vm};

impl ProxmoxProvider {
    pub(super) async fn import_object(
        &self,
        address: &InstanceAddress,
        provider: &str,
        id: &str,
    ) -> Result<Value, ProviderError> {
        let (kind, family) = self.kind(&address.resource.kind)?;
        let base = defaults(kind.block());
        if family.is_built_in() {
            return Ok(with(&base, "id", Value::string(id)));
        }
        let cluster = &self.connection(provider)?.cluster;
        let fail = |error: &ApiError| failed(format!("import {id}"), error);
        let found = match family {
            Family::Guest(guest) => Some(self.import_guest(kind, guest, provider, id).await?),
            Family::DownloadFile | Family::File => {
                let volume = self.volume_of(provider, id).await?;
                let entry = volume.find(cluster).await.map_err(|error| fail(&error))?;
                entry.map(|entry| match family {
                    Family::File => file::imported(&base, &volume, size_of(&entry)),
                    _ => download_file::imported(&base, &volume, size_of(&entry)),
                })
            }
            _ => match kind.operations() {
                Some(operations) => {
                    if kind.is_described_guest() {
                        self.guest_to_import("qemu", provider, id).await?;
                    }
                    let located =
                        operations.located(&base, id).ok_or_else(|| malformed(id, operations.shape()))?;
                    operations.read(kind.block(), cluster, &located).await.map_err(|error| fail(&error))?
                }
                None => None,
            },
        };
        let found = found.ok_or_else(|| {
            refused(format!("import {id}: there is none"), Some("check the id and the node"))
        })?;
        if let Some(vmid) = vmid_of(kind, family, &found) {
            self.take_in(address.clone(), SeenGuest::imported(cluster.seen(vmid)));
        }
        Ok(found)
    }

    /// `NODE/VMID`, or the VMID alone.
    async fn import_guest(
        &self,
        kind: &Kind,
        guest: GuestKind,
        provider: &str,
        id: &str,
    ) -> Result<Value, ProviderError> {
        let api_kind = guest.api();
        let cluster = &self.connection(provider)?.cluster;
        let mut observed = self.guest_to_import(api_kind, provider, id).await?;
        cluster
            .add_lists(api_kind, &mut observed)
            .await
            .map_err(|error| failed(format!("import {id}"), &error))?;
        let base = defaults(kind.block());
        Ok(match guest {
            GuestKind::Vm => vm::decode_vm(kind.block(), &observed, &base, Extent::Everything),
            GuestKind::Container => {
                container::decode_container(kind.block(), &observed, &base, Extent::Everything)
            }
        })
    }

    /// A guest by `NODE/VMID` or its VMID, unless it is being made.
    pub(super) async fn guest_to_import(
        &self,
        api_kind: &str,
        provider: &str,
        id: &str,
    ) -> Result<Observed, ProviderError> {
        let (node, vmid) = id.rsplit_once('/').unwrap_or(("", id));
        let vmid: u32 = vmid.parse().map_err(|_| malformed(id, "NODE/VMID"))?;
        let cluster = &self.connection(provider)?.cluster;
        cluster.forget_guests().await;
        let observed = cluster.observe(api_kind, vmid, node, None).await;
        let observed = observed.map_err(|error| failed(format!("import {id}"), &error))?;
        let observed = observed.ok_or_else(|| {
            refused(format!("import {id}: there is no such guest"), Some("check the VMID and the node"))
        })?;
        refuse_being_made(&observed, id)?;
        Ok(observed)
    }

    /// `NODE/DATASTORE:CONTENT/FILE`, or without the node where there is only one that is online.
    async fn volume_of(&self, provider: &str, id: &str) -> Result<Volume, ProviderError> {
        let shape = "NODE/DATASTORE:CONTENT/FILE";
        let before_colon = id.split(':').next().unwrap_or_default();
        if let Some((node, _)) = before_colon.split_once('/') {
            let rest = &id[node.len() + 1..];
            return Volume::parse(node, rest).ok_or_else(|| malformed(id, shape));
        }
        let cluster = &self.connection(provider)?.cluster;
        let nodes = cluster.get("/nodes").await.map_err(|error| failed(format!("import {id}"), &error))?;
        let online = |node: &&serde_json::Value| node.get("status").is_some_and(|status| status == "online");
        let names = nodes.as_array().into_iter().flatten().filter(online);
        let names: Vec<&str> = names.filter_map(|node| node.get("node")?.as_str()).collect();
        let [node] = names[..] else { return Err(malformed(id, shape)) };
        Volume::parse(node, id).ok_or_else(|| malformed(id, shape))
    }
}

/// The action by which somebody began to make this guest and did not finish, by the marker that it carries until then.
pub fn half_made_by(guest: &Value) -> Option<Uuid> {
    text(guest, "description")?.trim().strip_prefix(MARKER)?.parse().ok()
}

fn malformed(id: &str, shape: &str) -> ProviderError {
    if shape.is_empty() {
        return refused(format!("import {id}: objects of this kind cannot be imported"), None);
    }
    refused(format!("import {id}: the id is malformed"), Some(&format!("write it as {shape}")))
}
