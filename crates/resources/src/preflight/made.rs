//! What the changes of a plan make themselves.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::ports::ApplyRequest;

use super::references;
use super::things::Thing;

/// What the changes make: it need not be there yet.
#[derive(Default)]
pub(super) struct Made {
    names: BTreeMap<Thing, BTreeSet<String>>,
    /// Something of this sort will have a name that is not known yet.
    open: BTreeSet<Thing>,
}

impl Made {
    pub(super) fn of(changes: &[&ApplyRequest]) -> Made {
        let mut made = Made::default();
        for change in changes {
            let planned = change.planned.as_ref();
            for (thing, attribute) in references::makes(&change.address.resource.kind) {
                match planned.and_then(|planned| planned.get(attribute)) {
                    Some(name) if name.is_null() => {}
                    // Whoever wants a guest whose id the cluster chooses does not write a number.
                    Some(name) if !name.is_known() && *thing == Thing::Guest => {}
                    Some(name) if !name.is_known() => drop(made.open.insert(*thing)),
                    Some(name) => {
                        let names = made.names.entry(*thing).or_default();
                        names.extend(crate::object::plain(name));
                    }
                    None => {}
                }
            }
        }
        made
    }

    pub(super) fn has(&self, thing: Thing, name: &str) -> bool {
        self.open.contains(&thing) || self.names.get(&thing).is_some_and(|names| names.contains(name))
    }
}
