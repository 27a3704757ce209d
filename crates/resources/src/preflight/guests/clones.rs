//! Whether what is cloned can be.

use pve_executor::ports::ApplyRequest;
use pve_model::Value;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::{Reference, short};
use super::super::things::Thing;
use crate::values::{block, flag, text};

/// Why a guest that is there is no template of this one. `None` when it is, or the cluster does not tell.
pub(in super::super) async fn unfit(
    facts: &mut Facts<'_>,
    change: &ApplyRequest,
    planned: &Value,
    reference: &Reference,
) -> Option<Fault> {
    let clone = planned.get("clone").filter(|_| reference.thing == Thing::Guest)?;
    let clone = if clone.elements().is_some() { block(planned, "clone")? } else { clone };
    let id = &reference.name;
    let guests = facts.guests().await?;
    let number: u32 = id.parse().ok()?;
    let guest = guests.iter().find(|guest| guest.vmid == number)?;
    let is_container = short(&change.address.resource.kind) == "container";
    if is_container != (guest.kind == "lxc") {
        let (is, wants) = if is_container { ("VM", "container") } else { ("container", "VM") };
        let detail = format!("a {wants} is cloned of a {wants}");
        return Some(Fault::certain(id, |id| format!("Guest {id} is a {is}"), detail));
    }
    // Without a name a VM's is looked for in the cluster.
    let own = text(planned, "node_name").filter(|_| is_container);
    let node = text(clone, "node_name").or_else(|| text(clone, "source_node_name")).or(own);
    if let Some(node) = node.filter(|node| *node != guest.node) {
        let detail = format!("it is on {}: name that node in `clone`", guest.node);
        return Some(Fault::certain(id, |id| format!("Guest {id} is not on {node}"), detail));
    }
    // Few kinds of storage can (`volume_has_feature` of their plugins).
    let is_linked = flag(clone, "full") == Some(false) && !guest.template;
    let linked = || {
        let detail = "with full = false only templates are cloned, on most kinds of storage";
        Fault::certain(id, |id| format!("Guest {id} is no template"), detail).likely()
    };
    is_linked.then(linked)
}
