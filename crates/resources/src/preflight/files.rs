//! Files that are in their datastore before anything put them there, and names that no datastore takes.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::event::Operation;
use pve_model::{Path, Value};

use super::facts::Facts;
use super::fault::Fault;
use super::references::short;
use crate::limits::wrong_file_name;
use crate::values::flag;
use crate::volumes::Volume;
use crate::{download_file, file, oci_image};

/// The file of a kind that has one.
fn volume_of(kind: &str, value: &Value) -> Option<Volume> {
    match short(kind) {
        "file" => file::volume(value),
        "download_file" => download_file::volume(value),
        "oci_image" => oci_image::volume(value),
        _ => None,
    }
}

/// The attribute that lets a file be written over one that is there, with what it is by itself.
fn overwriting(kind: &str) -> (&'static str, bool) {
    if short(kind) == "file" { ("overwrite", true) } else { ("overwrite_unmanaged", false) }
}

/// A file that is there and may not be written over. One that the same plan destroys makes room.
pub(super) async fn file_in_use(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    change: &ApplyRequest,
) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Create)?;
    let kind = &change.address.resource.kind;
    let volume = volume_of(kind, planned)?;
    let (attribute, by_itself) = overwriting(kind);
    let is_open = planned.get(attribute).is_some_and(|value| !value.is_known());
    if is_open || flag(planned, attribute).unwrap_or(by_itself) {
        return None;
    }
    let frees = |other: &&ApplyRequest| {
        let prior = other.prior.as_ref().filter(|_| other.operation == Operation::Delete);
        let freed = prior.and_then(|prior| volume_of(&other.address.resource.kind, prior));
        freed.is_some_and(|freed| freed.id() == volume.id())
    };
    if changes.iter().any(frees) || !is_listed(facts, &volume).await? {
        return None;
    }
    let summary = |name: &str| format!("The file {name} is there already");
    let address = &change.address;
    let detail = format!(
        "it is not one that this configuration manages: `pve import` takes it in as {address}, another file_name makes one \
         beside it, and {attribute} = true writes over it"
    );
    Some(
        Fault::certain(&format!("{:?}", volume.id()), summary, detail)
            .at(change, Path::attribute("file_name")),
    )
}

/// A name that the API takes for no file of its content, whatever is in it.
pub(super) fn wrong_name(change: &ApplyRequest) -> Option<Doubt> {
    let planned = change.planned.as_ref().filter(|_| change.operation == Operation::Create)?;
    let volume = volume_of(&change.address.resource.kind, planned)?;
    let reason = wrong_file_name(&volume.content, &volume.name)?;
    let content = volume.content;
    let summary = |name: &str| format!("{name} is no name of a file of content {content:?}");
    let fault = Fault::certain(&format!("{:?}", volume.name), summary, reason);
    Some(fault.at(change, Path::attribute("file_name")))
}

/// Whether a datastore that its node has lists the file.
async fn is_listed(facts: &mut Facts<'_>, volume: &Volume) -> Option<bool> {
    let nodes = facts.list("/nodes", "").await?;
    nodes.iter().find(|entry| entry["node"] == volume.node.as_str())?;
    let datastores = facts.list(&format!("/nodes/{}/storage", volume.node), "").await?;
    datastores.iter().find(|entry| entry["storage"] == volume.datastore.as_str() && entry["active"] != 0)?;
    let id = volume.id();
    let content = facts.content(&volume.node, &volume.datastore).await?;
    Some(content.iter().any(|entry| entry["volid"] == id.as_str()))
}
