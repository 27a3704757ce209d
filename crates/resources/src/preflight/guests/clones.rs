//! Whether what is cloned can be.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, PathStep, Value};

use super::super::datastores::unfit_datastore;
use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::made::Made;
use super::super::names::missing_name;
use super::super::references::{self, Reference, short};
use super::super::things::Thing;
use crate::cluster::Guest;
use crate::values::{block, flag, int, text};

/// Why a guest that is there is no template of this one. `None` when it is, or the cluster does not tell.
pub(in super::super) async fn unfit_template(
    facts: &mut Facts<'_>,
    change: &ApplyRequest,
    planned: &Value,
    reference: &Reference,
) -> Option<Fault> {
    let clone = clone_of(planned)?;
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
    if let Some(node) = stated_node(planned, clone, is_container).filter(|node| *node != guest.node) {
        let detail = format!("it is on {}: name that node in `clone`", guest.node);
        return Some(Fault::certain(id, |id| format!("Guest {id} is not on {node}"), detail));
    }
    // Few kinds of storage can (`volume_has_feature` of their plugins).
    let is_linked = flag(clone, "full") == Some(false) && !guest.template;
    let linked = || {
        let detail = "with full = false only templates are cloned, on most kinds of storage";
        Fault::certain(id, |id| format!("Guest {id} is no template"), detail).likely()
    };
    if !is_linked || is_template(facts, guest).await? { None } else { Some(linked()) }
}

/// The list tells of guests on a node that is away nothing but their names: what a template is, its configuration says.
async fn is_template(facts: &mut Facts<'_>, guest: &Guest) -> Option<bool> {
    let path = format!("/nodes/{}/{}/{}/config", guest.node, guest.kind, guest.vmid);
    let config = facts.answer(&path, "").await;
    let is_silent = guest.status.as_deref() == Some("unknown");
    config.map(|config| config["template"] == 1).or((!is_silent).then_some(false))
}

/// The datastore that a clone is to be written to, where the node of the template does not have it: the clone is made
/// there, and goes to its own node afterwards (PVE::API2::Qemu, PVE::API2::LXC, `clone_vm`).
pub(in super::super) async fn not_where_its_clone_is_made(
    facts: &mut Facts<'_>,
    change: &ApplyRequest,
    made: &Made,
) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Create)?;
    let mut reference = references::of(&change.address.resource.kind, planned)
        .into_iter()
        .find(|reference| reference.thing == Thing::Datastore && is_of_clone(&reference.path))
        .filter(|reference| !made.has(Thing::Datastore, &reference.name))?;
    let source = source_node(facts, change, planned).await?;
    if reference.node.as_ref() == Some(&source) {
        return None;
    }
    reference.node = Some(source);
    let fault = match missing_name(facts, &reference).await {
        Some(fault) => fault,
        None => unfit_datastore(facts, &reference).await?,
    };
    Some(fault.beside("a clone is written on the node of its template").at(change, reference.path))
}

fn is_of_clone(path: &Path) -> bool {
    matches!(path.0.first(), Some(PathStep::Attribute(block)) if block == "clone")
}

/// The node that is asked to make a clone, where that is known.
async fn source_node(facts: &mut Facts<'_>, change: &ApplyRequest, planned: &Value) -> Option<String> {
    let clone = clone_of(planned)?;
    let is_container = short(&change.address.resource.kind) == "container";
    if let Some(node) = stated_node(planned, clone, is_container) {
        return Some(node.to_string());
    }
    let is_stated = |name: &str| clone.get(name).is_some_and(|node| !node.is_known());
    if is_stated("node_name") || is_stated("source_node_name") {
        return None;
    }
    let id = int(clone, "vm_id").or_else(|| int(clone, "source_vm_id"))?;
    let guests = facts.guests().await?;
    guests.iter().find(|guest| i64::from(guest.vmid) == id).map(|guest| guest.node.clone())
}

fn clone_of(planned: &Value) -> Option<&Value> {
    let clone = planned.get("clone")?;
    if clone.elements().is_some() {
        block(planned, "clone")
    } else {
        Some(clone).filter(|clone| !clone.is_null())
    }
}

/// Where the configuration says that the template is. Without a name a VM's is looked for in the cluster.
fn stated_node<'v>(planned: &'v Value, clone: &'v Value, is_container: bool) -> Option<&'v str> {
    let own = text(planned, "node_name").filter(|_| is_container);
    text(clone, "node_name").or_else(|| text(clone, "source_node_name")).or(own)
}
