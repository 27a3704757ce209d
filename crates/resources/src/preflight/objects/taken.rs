//! Names that something in the cluster has already: what is to be made under one of them would be refused.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, Value};

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::names::{names, quoted};
use super::super::references::{Reference, Used, is_of_guest, short};
use super::super::things::Thing;
use super::made_by_object;
use crate::families;
use crate::object::{fill, plain};
use crate::values::text;

/// Pools on disks are not what they are to others.
const OF_DISKS: &[&str] = &["ceph_pool", "node_disk_zfs"];

/// Whether what a change makes is there.
pub(super) async fn name_in_use(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
    kind: &str,
) -> Option<Doubt> {
    let (thing, attribute) = made_by_object(kind).first().filter(|_| !OF_DISKS.contains(&kind))?;
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Create)?;
    if is_of_guest(kind, planned) {
        return None;
    }
    let name = thing.folded(&plain(planned.get(attribute)?)?);
    if frees(changes, *thing, &name) {
        return None;
    }
    let path = Path::attribute(*attribute);
    let node = text(planned, "node_name").map(String::from);
    let reference = Reference {
        thing: *thing,
        name: name.clone(),
        path: path.clone(),
        node,
        content: None,
        volume: None,
        used: Used::Now,
    };
    let known = names(facts, &reference).await?;
    if !known.contains(&name) {
        return None;
    }
    let what = thing.listing().what;
    let place = reference.node.filter(|_| thing.is_of_node()).map(|node| format!("on {node}"));
    let place = place.unwrap_or_else(|| "there".into());
    let detail = format!(
        "it is not one that this configuration manages: `pve import {} {}` takes it in, another name makes one beside it",
        change.address,
        import_id(&change.address.resource.kind, planned).unwrap_or_else(|| "ID".into())
    );
    let summary = |name: &str| format!("The {what} {name} is {place} already");
    Some(Fault::certain(&quoted(*thing, &name), summary, detail).at(change, path))
}

/// What the object that is there is imported by, where its name alone tells that.
fn import_id(kind: &str, planned: &Value) -> Option<String> {
    let objects = families::objects();
    let object = objects.iter().find(|object| object.names.contains(&kind))?;
    let template = if object.import.is_empty() { object.id } else { object.import };
    fill(template, planned).filter(|id| !id.is_empty() && !id.contains(char::is_whitespace))
}

/// Whether the plan destroys one of that name: whoever makes another waits for that.
fn frees(changes: &[&ApplyRequest], thing: Thing, name: &str) -> bool {
    changes.iter().filter(|change| change.operation == Operation::Delete).any(|change| {
        let makes =
            made_by_object(short(&change.address.resource.kind)).iter().filter(|(made, _)| *made == thing);
        let named = |prior: &Value, attribute: &str| Some(thing.folded(&plain(prior.get(attribute)?)?));
        let prior = change.prior.as_ref();
        makes
            .into_iter()
            .any(|(_, attribute)| prior.and_then(|prior| named(prior, attribute)).as_deref() == Some(name))
    })
}
