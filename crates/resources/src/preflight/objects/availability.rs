//! What has to do with guests that are there: high availability, replication.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::Path;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::made::Made;
use super::super::things::Thing;
use crate::cluster::Guest;
use crate::values::text;

/// What is wrong with the guest or the group of a change.
pub(super) async fn unfit_guest(
    facts: &mut Facts<'_>,
    change: &ApplyRequest,
    kind: &str,
    made: &Made,
) -> Option<Doubt> {
    let planned = change.planned.as_ref()?;
    match kind {
        "hagroup" => without_groups(facts, change).await,
        "haresource" => {
            if text(planned, "group").is_some() {
                return without_groups(facts, change).await;
            }
            let (kind, id) = text(planned, "resource_id")?.split_once(':')?;
            let guest = guest(facts, id, made).await?;
            let is_same = (kind == "vm") == (guest.kind == "qemu");
            let what = if kind == "vm" { "container" } else { "virtual machine" };
            let resource = format!("{}:{id}", if kind == "vm" { "ct" } else { "vm" });
            let detail = format!("its resource is {resource}");
            let fault = Fault::certain(id, |id| format!("The guest {id} is a {what}"), detail);
            (!is_same).then(|| fault.at(change, Path::attribute("resource_id")))
        }
        "replication" => {
            let (target, (id, _)) = (text(planned, "target")?, text(planned, "id")?.split_once('-')?);
            let guest = guest(facts, id, made).await?;
            let detail = format!("guest {id} is on {target}: name another node");
            let summary = |node: &str| format!("Nothing is replicated from {node} to itself");
            let fault = Fault::certain(target, summary, detail);
            (guest.node == target && change.prior.is_none())
                .then(|| fault.at(change, Path::attribute("target")))
        }
        _ => None,
    }
}

/// A guest that the plan leaves where it is.
async fn guest(facts: &mut Facts<'_>, id: &str, made: &Made) -> Option<Guest> {
    let known = facts.guests().await.filter(|_| !made.has(Thing::Guest, id))?;
    known.iter().find(|guest| guest.vmid.to_string() == id).cloned()
}

/// Proxmox VE 9 has rules in the place of groups; only its refusal says whether a cluster has come so far.
async fn without_groups(facts: &mut Facts<'_>, change: &ApplyRequest) -> Option<Doubt> {
    let refusal = facts.refusal("/cluster/ha/groups").await?;
    let detail = "its groups have been migrated to rules: use proxmox_harule";
    let fault = Fault::certain("", |_| "This cluster has no HA groups any more".to_string(), detail);
    refusal.contains("migrated to rules").then(|| fault.at(change, Path::attribute("group")))
}
