//! Which attributes name something that the cluster must have.

use pve_model::path::PathStep;
use pve_model::{Path, Value, ValueKind};

use super::things::Thing;
use super::{guests, objects};
use crate::object::plain;
use crate::values::{flag, text};

/// An attribute that names something.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) thing: Thing,
    pub(super) name: String,
    pub(super) path: Path,
    /// The node on which it is used.
    pub(super) node: Option<String>,
    /// What a datastore must be for.
    pub(super) content: Option<String>,
    /// The volume of the datastore that is named, for instance `local:iso/x.iso`.
    pub(super) volume: Option<String>,
    pub(super) used: Used,
}

/// What an attribute names.
pub(super) struct Named {
    pub(super) thing: Thing,
    /// What a datastore there is for.
    pub(super) content: Option<&'static str>,
    pub(super) used: Used,
}

/// When it has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// A request of the change fails without it.
    Now,
    /// Only while its block is made, and not where the guest is cloned.
    Made,
    /// The API takes down the name, and what was changed does not start.
    AtStart,
    /// The API takes down the name.
    Later,
}

impl Named {
    /// Something that is used.
    pub(super) fn of(thing: Thing) -> Named {
        Named { thing, content: None, used: Used::Now }
    }

    /// A datastore that is for something.
    pub(super) fn datastore(content: &'static str) -> Named {
        Named { content: Some(content), ..Named::of(Thing::Datastore) }
    }

    /// The same, taken down for later.
    pub(super) fn for_later(self) -> Named {
        self.used(Used::Later)
    }

    /// The same, used at another time.
    pub(super) fn used(self, used: Used) -> Named {
        Named { used, ..self }
    }
}

/// The kind without what its names begin with.
pub(super) fn short(kind: &str) -> &str {
    let prefixes = ["proxmox_virtual_environment_", "proxmox_"];
    let name = prefixes.iter().find_map(|prefix| kind.strip_prefix(prefix)).unwrap_or(kind);
    // The longer name of `proxmox_vm`.
    if name == "vm2" { "vm" } else { name }
}

/// What objects of a kind are to others, and the attribute with their name.
pub(super) fn makes(kind: &str) -> &'static [(Thing, &'static str)] {
    let kind = short(kind);
    match guests::made_by_guest(kind) {
        [] => objects::made_by_object(kind),
        made => made,
    }
}

/// What the attribute at this place names, if it does.
fn named_at(kind: &str, place: &[&str]) -> Option<Named> {
    match (kind, place) {
        (_, ["node_name"]) => Some(Named::of(Thing::Node)),
        (_, ["map", "node"]) => Some(Named::of(Thing::Node).for_later()),
        _ => guests::named_by_guest(kind, place).or_else(|| objects::named_by_object(kind, place)),
    }
}

/// What the values of an object name.
pub(super) fn of(kind: &str, planned: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(short(kind), planned, planned, &Path::default(), &mut found);
    found
}

fn collect(kind: &str, whole: &Value, part: &Value, path: &Path, found: &mut Vec<Reference>) {
    let attributes = path.0.iter().filter_map(|step| match step {
        PathStep::Attribute(name) => Some(&**name),
        PathStep::Index(_) | PathStep::Key(_) => None,
    });
    let place: Vec<&str> = attributes.collect();
    if place == ["nodes"]
        && let ValueKind::Map(_, entries) = &part.kind
    {
        found.extend(entries.keys().map(|name| node_with_priority(kind, name, path)));
        return;
    }
    // A network device that is not there.
    if matches!(*place, ["network_device" | "network_interface"]) && flag(part, "enabled") == Some(false) {
        return;
    }
    for (step, child) in part.children() {
        collect(kind, whole, child, &path.child(step), found);
    }
    found.extend(plain(part).and_then(|text| at(kind, whole, (&place, path), text)));
}

/// Nodes are elements of a set, or, here, keys of a map with their priorities.
fn node_with_priority(kind: &str, name: &str, path: &Path) -> Reference {
    Reference {
        thing: Thing::Node,
        name: name.to_string(),
        path: path.clone(),
        node: None,
        content: None,
        volume: None,
        // Rules are checked against the nodes that there are, other objects are not.
        used: if kind == "harule" { Used::Now } else { Used::Later },
    }
}

/// What the text at this place names, if it does.
fn at(kind: &str, whole: &Value, (place, path): (&[&str], &Path), written: String) -> Option<Reference> {
    let Named { thing, content, used } = match place {
        ["nodes"] => Named::of(Thing::Node).for_later(),
        ["rule", "source" | "dest"] => in_rule(kind, whole, &written)?,
        _ => named_at(kind, place)?,
    };
    // A linked clone is where its template is.
    let is_linked =
        || crate::values::block(whole, "clone").is_some_and(|clone| flag(clone, "full") == Some(false));
    if place == ["clone", "datastore_id"] && is_linked() {
        return None;
    }
    let last = *place.last().unwrap_or(&"");
    let is_volume = thing == Thing::Datastore && (last.ends_with("file_id") || last == "import_from");
    let content = match (kind, content) {
        ("file" | "download_file", None) => text(whole, "content_type").map(String::from),
        // What a clone has comes from its template: a default says nothing.
        _ if whole.get("clone").is_some_and(is_set) => None,
        (_, content) => content.map(String::from),
    };
    Some(Reference {
        thing,
        name: if is_volume { datastore_of(&written)? } else { name_in(thing, kind, last, &written)? },
        path: path.clone(),
        node: text(whole, "node_name").filter(|_| thing != Thing::Node).map(String::from),
        content,
        volume: is_volume.then_some(written),
        used,
    })
}

/// The datastore of a volume is what stands before the colon. Anything else there is a path, or an address.
fn datastore_of(volume: &str) -> Option<String> {
    let parts = volume.split_once(':').filter(|(_, rest)| !rest.starts_with("//"));
    parts.map(|(datastore, _)| datastore.to_string()).filter(|name| !name.contains('/'))
}

/// The name of a thing in what is written in the attribute `last`.
fn name_in(thing: Thing, kind: &str, last: &str, written: &str) -> Option<String> {
    let whole = || written.to_string();
    match (thing, last) {
        (Thing::Datastore, "volume") => (!written.contains([':', '/'])).then(whole),
        // `vm:100`
        (Thing::Guest, "resource_id") => written.split_once(':').map(|(_, id)| id.to_string()),
        (Thing::Guest, "id") => written.split_once('-').map(|(id, _)| id.to_string()),
        (Thing::HaResource, _) => written.contains(':').then(whole),
        // The pool that another one is in.
        (Thing::Pool, _) if kind == "pool" => written.rsplit_once('/').map(|(outer, _)| outer.to_string()),
        // What a VLAN is on; those that are used elsewhere are made as they are used.
        (Thing::Interface, "name") => {
            let parent = written.rsplit_once('.').map(|(parent, _)| parent.to_string());
            parent.filter(|parent| !parent.contains('.'))
        }
        (Thing::Interface, _) => (!written.contains('.')).then(whole),
        (Thing::FirewallAlias | Thing::FirewallSet, _) => {
            let name = written.trim_start_matches('+');
            Some(thing.folded(name.strip_prefix("dc/").unwrap_or(name)))
        }
        (Thing::Realm, "user_id") => written.rsplit_once('@').map(|(_, realm)| realm.to_string()),
        _ => Some(whole()),
    }
}

/// Whether it is of a guest's firewall, which has aliases and sets of its own.
pub(super) fn is_of_guest(kind: &str, value: &Value) -> bool {
    let is_set = |name: &str| value.get(name).is_some_and(|id| !id.is_null());
    short(kind).starts_with("firewall_") && ["vm_id", "container_id"].into_iter().any(is_set)
}

/// An alias or a set of the cluster that a rule is about. Those of guests may be their own.
fn in_rule(kind: &str, whole: &Value, text: &str) -> Option<Named> {
    let (set, name) = text.strip_prefix('+').map_or((false, text), |name| (true, name));
    let name = name.strip_prefix("dc/").unwrap_or(name);
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    if !is_name || is_of_guest(kind, whole) {
        return None;
    }
    Some(Named::of(if set { Thing::FirewallSet } else { Thing::FirewallAlias }))
}

fn is_set(block: &Value) -> bool {
    !block.is_null() && block.elements().is_none_or(|elements| !elements.is_empty())
}

#[cfg(test)]
mod tests {
    use pve_model::schema::Block;

    use super::*;

    /// Attributes that are named like one that names something of the cluster, and are something else, with the reason.
    const OTHERS: &[(&str, &str)] = &[
        ("storage_pbs", "datastore"), // of the backup server
        ("sdn_zone_vlan", "bridge"),  // on every node, each has its own
        ("sdn_zone_qinq", "bridge"),  // the same
    ];

    fn leaves(block: &Block, path: &[&str], found: &mut Vec<Vec<String>>) {
        let here = |name: &str| path.iter().copied().chain([name]).map(String::from).collect::<Vec<_>>();
        let settable =
            block.attributes.iter().filter(|(_, attribute)| attribute.required || attribute.optional);
        found.extend(settable.map(|(name, _)| here(name)));
        for (name, nested) in &block.blocks {
            let inner: Vec<&str> = path.iter().copied().chain([&**name]).collect();
            leaves(&nested.block, &inner, found);
        }
    }

    #[test]
    fn whatever_is_named_like_a_thing_of_the_cluster_is_looked_up() {
        let names = [
            "node",
            "nodes",
            "node_name",
            "datastore",
            "datastore_id",
            "storage",
            "storage_id",
            "pool",
            "pool_id",
            "bridge",
            "role_id",
            "group_id",
            "groups",
            "realm",
            "source_vm_id",
        ];
        let registry = crate::registry();
        let mut forgotten = Vec::new();
        let mut met = std::collections::BTreeSet::new();
        for (kinds, kind) in registry.by_kind(false) {
            let kind_name = short(kinds[0]);
            let mut places = Vec::new();
            leaves(kind.block(), &[], &mut places);
            for place in places {
                let place: Vec<&str> = place.iter().map(String::as_str).collect();
                let last = *place.last().unwrap();
                let is_own = makes(kinds[0]).iter().any(|(_, own)| place == [*own]);
                let is_known = named_at(kind_name, &place).is_some() || place == ["nodes"] || is_own;
                if !names.contains(&last) || is_known {
                    continue;
                }
                if let Some(other) = OTHERS.iter().find(|other| **other == (kind_name, last)) {
                    met.insert(*other);
                } else {
                    forgotten.push(format!("{kind_name}: {}", place.join(".")));
                }
            }
        }
        assert!(forgotten.is_empty(), "{forgotten:#?}");
        assert_eq!(met.len(), OTHERS.len(), "exceptions that nothing needs: {met:?}");
    }
}
