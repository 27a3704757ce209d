//! What the changes of a plan make and remove themselves.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::ports::ApplyRequest;
use pve_model::Value;

use super::references::{self, Reference};
use super::things::Thing;
use crate::object::plain;
use crate::volumes::file_of;
use crate::{download_file, file, oci_image};

/// What the values of objects are to others.
#[derive(Default)]
pub(super) struct Made {
    names: BTreeMap<Thing, BTreeSet<String>>,
    /// Something of this sort will have a name that is not known yet.
    open: BTreeSet<Thing>,
    /// With the nodes on which they are.
    volumes: BTreeMap<String, BTreeSet<String>>,
    has_open_volumes: bool,
}

impl Made {
    /// What there will be: it need not be there yet.
    pub(super) fn of(changes: &[ApplyRequest]) -> Made {
        let mut made = Made::default();
        for change in changes {
            change.planned.iter().for_each(|planned| made.add(&change.address.resource.kind, planned));
        }
        made
    }

    /// What there was, of what is destroyed.
    pub(super) fn removed_by(changes: &[&ApplyRequest]) -> Made {
        let mut removed = Made::default();
        for change in changes.iter().filter(|change| change.planned.is_none()) {
            change.prior.iter().for_each(|prior| removed.add(&change.address.resource.kind, prior));
        }
        removed
    }

    fn add(&mut self, kind: &str, value: &Value) {
        let made = references::makes(kind).iter().filter(|_| !references::is_of_guest(kind, value));
        for (thing, attribute) in made {
            match value.get(attribute) {
                Some(name) if name.is_null() => {}
                // Whoever wants a guest whose id the cluster chooses does not write a number.
                Some(name) if !name.is_known() && *thing == Thing::Guest => {}
                Some(name) if !name.is_known() => drop(self.open.insert(*thing)),
                Some(name) => {
                    let name = plain(name).map(|name| thing.folded(&name));
                    self.names.entry(*thing).or_default().extend(name);
                }
                None => {}
            }
        }
        let volume = match references::short(kind) {
            "file" => file::volume(value),
            "download_file" => download_file::volume(value),
            "oci_image" => oci_image::volume(value),
            // Who is in a directory is known when it is read.
            "realm_sync" => return self.open.extend([Thing::User, Thing::Group]),
            _ => return,
        };
        match volume {
            Some(volume) => drop(self.volumes.entry(volume.id()).or_default().insert(volume.node)),
            None => self.has_open_volumes = true,
        }
    }

    pub(super) fn has(&self, thing: Thing, name: &str) -> bool {
        self.open.contains(&thing) || self.names_it(thing, name)
    }

    /// The same, by a name that is known.
    pub(super) fn names_it(&self, thing: Thing, name: &str) -> bool {
        self.names.get(&thing).is_some_and(|names| names.contains(name))
    }

    /// Whether the volume of a reference, or the guest that it is a disk of, is one of these. A volume is on the nodes
    /// where it is made, and on all of them where their datastore `is_shared`.
    pub(super) fn has_volume(&self, reference: &Reference, is_shared: bool) -> bool {
        let Some(volume) = &reference.volume else { return false };
        let is_there = |nodes: &BTreeSet<String>| match &reference.node {
            Some(node) => is_shared || nodes.contains(node),
            None => true,
        };
        self.nodes_of(volume).is_some_and(is_there)
            || guests_of(volume).iter().any(|id| self.names_it(Thing::Guest, id))
    }

    /// The same, or one of these has a name that is not known yet.
    pub(super) fn may_have_volume(&self, reference: &Reference, is_shared: bool) -> bool {
        reference.volume.is_some() && self.has_open_volumes || self.has_volume(reference, is_shared)
    }

    /// The nodes on which a volume is one of these.
    pub(super) fn nodes_of(&self, volume: &str) -> Option<&BTreeSet<String>> {
        self.volumes.get(file_of(volume))
    }
}

/// The guests that a disk is one of, and is a linked clone of: `STORE:100/vm-100-disk-0.qcow2`, or
/// `STORE:base-9000-disk-0/vm-100-disk-0`. Files are nobody's, whatever numbers their names have.
fn guests_of(volume: &str) -> Vec<&str> {
    let parts = volume.split_once(':').map(|(_, path)| path.split('/')).into_iter().flatten();
    let mut found = Vec::new();
    for part in parts {
        let name =
            ["basevol-", "base-", "subvol-", "vm-"].iter().find_map(|prefix| part.strip_prefix(prefix));
        let id = name.and_then(|name| name.split_once('-')).map_or(part, |(id, _)| id);
        if id.parse::<u32>().is_err() {
            break;
        }
        found.push(id);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_are_of_guests() {
        for (volume, guests) in [
            ("nas-100:base-9000-disk-0/vm-101-disk-0", &["9000", "101"][..]),
            ("nas-100:iso/vm-100-x.iso", &[]),
            ("local:backup/vzdump-lxc-100-2026_01_01.tar.zst", &[]),
            ("local:102/vm-102-disk-0.qcow2", &["102", "102"]),
            ("local-zfs:subvol-103-disk-0", &["103"]),
            ("local:import/100.ova/vm-100-disk-0.vmdk", &[]),
        ] {
            assert_eq!(guests_of(volume), guests, "{volume}");
        }
    }

    #[test]
    fn the_disk_of_an_appliance_is_in_its_archive() {
        for (volume, file) in [
            ("local:import/a.ova/d.vmdk", "local:import/a.ova"),
            ("local:import/a.qcow2", "local:import/a.qcow2"),
            ("local:100/x.ova/d.vmdk", "local:100/x.ova/d.vmdk"),
            ("local-lvm:vm-100-disk-0", "local-lvm:vm-100-disk-0"),
        ] {
            assert_eq!(file_of(volume), file);
        }
    }
}
