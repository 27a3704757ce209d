//! What guests, files and images name, and what must be so of guests.

mod availability;
mod clones;
mod container_templates;
mod ids;
mod newer;
mod privileges;
mod snapshots;
mod templates;

use pve_executor::ports::ApplyRequest;
use pve_model::Value;

use super::references::{Named, Used, short};
use super::things::Thing;
use crate::guest::GuestKind;
use crate::values::int;
use crate::{container, vm};

pub(super) use availability::{at_odds_with_ha, left_behind_by_ha};
pub(super) use clones::{not_where_its_clone_is_made, unfit_template};
pub(super) use container_templates::at_odds_with_container_template;
pub(super) use ids::ids_in_use;
pub(super) use newer::{kept_by_protection, over_drives_of_template};
pub(super) use privileges::{held_by_protection, only_for_root};
pub(super) use snapshots::held_by_snapshots;
pub(super) use templates::at_odds_with_template;

/// What objects of a kind are to others, and the attribute with their name.
pub(super) fn made_by_guest(kind: &str) -> &'static [(Thing, &'static str)] {
    match kind {
        "vm" | "container" => &[(Thing::Guest, "vm_id"), (Thing::Guest, "id")],
        "cloned_vm" => &[(Thing::Guest, "id")],
        _ => &[],
    }
}

/// Whether a change is of a VM or container as this crate writes them by hand.
fn kind_of(change: &ApplyRequest) -> Option<GuestKind> {
    let kind = change.address.resource.kind.as_str();
    match () {
        () if vm::NAMES.contains(&kind) => Some(GuestKind::Vm),
        () if container::NAMES.contains(&kind) => Some(GuestKind::Container),
        () => None,
    }
}

/// The id of a guest with these values, and the attribute that has it.
fn id_of(change: &ApplyRequest, values: &Value) -> Option<(&'static str, i64)> {
    let attributes = made_by_guest(short(&change.address.resource.kind)).iter();
    attributes.map(|(_, name)| *name).find_map(|name| Some((name, int(values, name)?)))
}

/// Whether a change is of the guest with this id, or of one that is to have it.
fn is_of(change: &ApplyRequest, id: i64) -> bool {
    let mut values = [&change.prior, &change.planned].into_iter().flatten();
    values.any(|value| id_of(change, value).is_some_and(|(_, own)| own == id))
}

/// What the attribute at this place names, if it does.
pub(super) fn named_by_guest(kind: &str, place: &[&str]) -> Option<Named> {
    let images = if kind == "container" { "rootdir" } else { "images" };
    let datastore = || Named::of(Thing::Datastore);
    Some(match (kind, place) {
        ("vm" | "cloned_vm" | "container", ["disk" | "efi_disk" | "tpm_state", "datastore_id"])
        | ("vm", ["initialization", "datastore_id"])
        | ("container", ["mount_point", "volume"])
        | ("vm" | "container", ["clone", "datastore_id"])
        | ("cloned_vm", ["clone", "target_datastore"]) => Named::datastore(images),
        ("oci_image", ["datastore_id"]) => Named::datastore("vztmpl"),
        ("file" | "download_file", ["datastore_id"]) => datastore(),
        ("vm" | "cloned_vm", ["disk", "file_id" | "import_from"])
        | ("container", ["operating_system", "template_file_id"]) => datastore().used(Used::Made),
        ("vm" | "cloned_vm", ["cdrom", "file_id"]) | ("vm" | "container", ["hook_script_file_id"]) => {
            datastore().used(Used::AtStart)
        }
        ("vm", ["initialization", part]) if part.ends_with("_data_file_id") => {
            datastore().used(Used::AtStart)
        }
        ("vm" | "container", ["pool_id"]) | ("cloned_vm", ["clone", "pool_id"]) => Named::of(Thing::Pool),
        (_, ["network_device" | "network_interface" | "network", "bridge"]) => {
            Named::of(Thing::Bridge).used(Used::AtStart)
        }
        ("vm", ["hostpci", "mapping"]) => Named::of(Thing::PciMapping).used(Used::AtStart),
        ("vm", ["usb", "mapping"]) => Named::of(Thing::UsbMapping).used(Used::AtStart),
        ("vm", ["virtiofs", "mapping"]) => Named::of(Thing::DirectoryMapping).used(Used::AtStart),
        (_, ["clone", "node_name" | "source_node_name"]) => Named::of(Thing::Node),
        (_, ["clone", "vm_id" | "source_vm_id"])
        | ("haresource", ["resource_id"])
        | ("pool_membership", ["vm_id"]) => Named::of(Thing::Guest),
        // A firewall may be of what is yet to come.
        (kind, ["vm_id" | "container_id"]) if kind.starts_with("firewall_") => {
            Named::of(Thing::Guest).for_later()
        }
        _ => return None,
    })
}
