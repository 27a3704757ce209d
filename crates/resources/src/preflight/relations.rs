//! What objects are to each other, by the names that they use: the order of a plan follows it.

use pve_model::rules::{Hold, Named};
use pve_model::{PathStep, Value};

use super::references::{self, Reference, short};
use super::things::Thing;
use crate::object::plain;
use crate::values::text;

/// What others name an object by.
pub(crate) fn known_as(kind: &str, value: &Value) -> Vec<String> {
    let node = text(value, "node_name");
    let made = references::makes(kind).iter().filter(|_| !references::is_of_guest(kind, value));
    made.filter_map(|(thing, name)| words(*thing, &thing.folded(&plain(value.get(name)?)?), node)).collect()
}

/// What an object names.
pub(crate) fn named(kind: &str, value: &Value) -> Vec<Named> {
    let mut found = Vec::new();
    for reference in references::of(kind, value) {
        // What takes a bridge takes a vnet as well.
        let things = match reference.thing {
            Thing::Bridge => vec![Thing::Bridge, Thing::Vnet],
            thing => vec![thing],
        };
        let words = things.into_iter().filter_map(|it| words(it, &reference.name, reference.node.as_deref()));
        found.extend(words.map(|what| Named {
            what,
            path: reference.path.clone(),
            hold: hold(short(kind), &reference),
        }));
    }
    found
}

/// Each node has interfaces of its own; what else has a name has it in the whole cluster.
fn words(thing: Thing, name: &str, node: Option<&str>) -> Option<String> {
    let what = thing.listing().what;
    match thing {
        Thing::Interface | Thing::Bridge => Some(format!("{what} {name} of {}", node?)),
        _ => Some(format!("{what} {name}")),
    }
}

/// What the cluster does not destroy as long as it is named: `PVE::API2::Pool`, `PVE::Network::SDN` and `PVE::INotify`. What
/// it takes out of a list with what is named there: `PVE::API2::HA::Resources`, `PVE::VZDump::Plugin` and
/// `PVE::AccessControl`. A storage it would forget although disks are on it: their guests do not start any more.
fn hold(kind: &str, reference: &Reference) -> Hold {
    match (kind, reference.thing) {
        (_, Thing::Datastore) if is_of_disk(reference) => Hold::Keeps,
        ("pool_membership", Thing::Pool) => Hold::RestsOn,
        ("user", Thing::Group) | ("user" | "group", Thing::Role) => Hold::Forgets,
        ("sdn_vnet", Thing::Zone)
        | ("sdn_subnet", Thing::Vnet)
        | ("sdn_zone_evpn", Thing::Controller)
        | ("sdn_controller_evpn", Thing::Fabric)
        | ("network_linux_vlan", Thing::Interface) => Hold::RestsOn,
        (_, Thing::Pool) if kind != "backup_job" => Hold::Keeps,
        ("harule", Thing::HaResource) | ("backup_job", Thing::Guest) => Hold::Loses,
        ("network_linux_bridge" | "network_linux_bond", Thing::Interface) => Hold::Keeps,
        _ => Hold::No,
    }
}

/// Whether it is where a guest has a volume. Where a clone was made, or an image comes from, is of no importance after.
fn is_of_disk(reference: &Reference) -> bool {
    let blocks = ["disk", "efi_disk", "tpm_state", "mount_point", "initialization"];
    let first = reference.path.0.first();
    let is_disk = matches!(first, Some(PathStep::Attribute(block)) if blocks.contains(&&**block));
    is_disk && reference.volume.is_none()
}
