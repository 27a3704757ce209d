//! What a cluster has, asked for once and only when something names it.

use std::collections::{BTreeMap, BTreeSet};

use pve_executor::SENSITIVE;
use pve_executor::ports::Told;
use serde_json::Value as Json;

use super::references::{Reference, Thing};
use crate::cluster::{Cluster, Method};

/// Why something that is named cannot be used.
pub(super) struct Fault {
    pub(super) told: Told,
    /// The same without the name.
    pub(super) hidden: Told,
    /// No cluster with these facts takes it; otherwise it may only be hidden from whoever asks.
    pub(super) is_certain: bool,
}

/// Answers of a cluster. `None` where it did not answer.
pub(super) struct Facts<'c> {
    cluster: &'c Cluster,
    answers: BTreeMap<String, Option<Json>>,
}

/// How many names are told.
const MOST_TOLD: usize = 12;

impl<'c> Facts<'c> {
    pub(super) fn new(cluster: &'c Cluster) -> Facts<'c> {
        Facts { cluster, answers: BTreeMap::new() }
    }

    /// Why the cluster cannot have what is named. `None` when it has it, or does not tell.
    pub(super) async fn fault(&mut self, reference: &Reference) -> Option<Fault> {
        let name = reference.name.as_str();
        let known = self.names(reference).await?;
        // An empty list may be one that nobody here may see.
        if known.is_empty() && !self.may_see_all(seen(reference.thing)).await {
            return None;
        }
        if !known.contains(name) {
            return Some(self.missing(reference, &known).await);
        }
        let content = reference.content.as_deref()?;
        let list = self.list(&datastores(reference), "").await?;
        let entry = list.iter().find(|entry| entry["storage"] == name)?;
        let types: Vec<&str> = entry["content"].as_str()?.split(',').collect();
        let (types, all) = (types.join(", "), types.join(","));
        let told = |quoted: &str, name: &str| Told {
            summary: format!("The datastore {quoted} is not for {content}"),
            detail: format!(
                "its content is {types}; on a node, `pvesm set {name} --content {all},{content}` adds it"
            ),
        };
        (!all.split(',').any(|known| known == content)).then(|| Fault {
            told: told(&format!("{name:?}"), name),
            hidden: told(SENSITIVE, "..."),
            is_certain: true,
        })
    }

    async fn missing(&mut self, reference: &Reference, known: &BTreeSet<String>) -> Fault {
        let what = match reference.thing {
            Thing::Node => "node",
            Thing::Datastore => "datastore",
            Thing::Role => "role",
            Thing::Pool => "pool",
            Thing::Guest => "guest",
            Thing::Group => "group",
            Thing::Bridge => "bridge",
            Thing::Realm => "realm",
        };
        let name = &reference.name;
        let name = if reference.thing == Thing::Guest { name.clone() } else { format!("{name:?}") };
        let place = reference.node.as_deref().filter(|_| is_of_node(reference.thing));
        let place = place.map(|node| format!(" on {node}")).unwrap_or_default();
        let told: Vec<&str> = known.iter().take(MOST_TOLD).map(String::as_str).collect();
        let more = if known.len() > MOST_TOLD { ", ..." } else { "" };
        let is_certain = match seen(reference.thing) {
            Seen::ByAll => true,
            other => self.may_see_all(other).await,
        };
        let mut others = match told.is_empty() {
            true => "there is none".into(),
            false => format!("there is: {}{more}", told.join(", ")),
        };
        if let (Seen::With(privilege, area), false) = (seen(reference.thing), is_certain) {
            others +=
                &format!("; more may be hidden from this user, who sees all with {privilege} on {area}");
        }
        let told = |name: &str| Told {
            summary: format!("There is no {what} {name}{place}"),
            detail: others.clone(),
        };
        Fault { told: told(&name), hidden: told(SENSITIVE), is_certain }
    }

    /// The names that there are.
    async fn names(&mut self, reference: &Reference) -> Option<BTreeSet<String>> {
        // Of a node that is not there nothing is asked.
        if let Some(node) = reference.node.clone().filter(|_| is_of_node(reference.thing)) {
            let nodes = self.list("/nodes", "").await?;
            nodes.iter().find(|entry| entry["node"] == node.as_str())?;
        }
        let (path, query, key) = match reference.thing {
            Thing::Node => ("/nodes".to_string(), "", "node"),
            Thing::Datastore => (datastores(reference), "", "storage"),
            Thing::Pool => ("/pools".into(), "", "poolid"),
            Thing::Bridge => (format!("/nodes/{}/network", reference.node.as_ref()?), "any_bridge", "iface"),
            Thing::Role => ("/access/roles".into(), "", "roleid"),
            Thing::Group => ("/access/groups".into(), "", "groupid"),
            Thing::Realm => ("/access/domains".into(), "", "realm"),
            Thing::Guest => {
                let guests = self.cluster.known_guests().await.ok()?;
                return Some(guests.iter().map(|guest| guest.vmid.to_string()).collect());
            }
        };
        let list = self.list(&path, query).await?;
        Some(list.iter().filter_map(|entry| entry[key].as_str()).map(String::from).collect())
    }

    /// Whether whoever asks sees everything of a sort.
    async fn may_see_all(&mut self, seen: Seen) -> bool {
        let Seen::With(privilege, area) = seen else { return false };
        let permissions = self.answer("/access/permissions", "").await;
        permissions.is_some_and(|paths| reaches_all(&paths, privilege, area))
    }

    async fn list(&mut self, path: &str, query: &str) -> Option<Vec<Json>> {
        self.answer(path, query).await?.as_array().cloned()
    }

    /// One GET, for objects of a type if one is given.
    async fn answer(&mut self, path: &str, query: &str) -> Option<Json> {
        if !self.answers.contains_key(path) {
            let only: Vec<_> = Some(query)
                .filter(|text| !text.is_empty())
                .map(|text| ("type".into(), text.into()))
                .into_iter()
                .collect();
            let answer = self.cluster.api.send(Method::Get, path, &only).await.ok();
            self.answers.insert(path.to_string(), answer);
        }
        self.answers.get(path)?.clone()
    }
}

/// Whether a privilege holds for all paths below `area`. The API has every path with an entry of its own; a privilege that
/// does not propagate has 0 there, and holds for that path alone.
fn reaches_all(permissions: &Json, privilege: &str, area: &str) -> bool {
    let propagates =
        |value: &Json| value.as_i64() == Some(1) || value.as_str() == Some("1") || *value == true;
    let Some(paths) = permissions.as_object() else { return false };
    paths.get("/").is_some()
        && paths.iter().all(|(path, privileges)| {
            let value = privileges.get(privilege);
            let whole = path.trim_end_matches('/');
            if area == whole || area.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/')) {
                return value.is_some_and(propagates);
            }
            let is_below = path.strip_prefix(area).is_some_and(|rest| rest.starts_with('/'));
            !is_below || value.is_some()
        })
}

/// Who sees that there is none of a sort.
#[derive(Clone, Copy)]
enum Seen {
    /// Whoever could use one: the API shows those that may be used.
    ByAll,
    /// Who has this privilege, below this path.
    With(&'static str, &'static str),
    /// It may come from a file that no list shows, or be needed later only.
    ByNone,
}

fn seen(thing: Thing) -> Seen {
    match thing {
        Thing::Node | Thing::Datastore | Thing::Role => Seen::ByAll,
        Thing::Pool => Seen::With("Pool.Audit", "/pool"),
        Thing::Guest => Seen::With("VM.Audit", "/vms"),
        Thing::Group => Seen::With("Group.Allocate", "/access/groups"),
        Thing::Bridge | Thing::Realm => Seen::ByNone,
    }
}

/// Whether things of a sort are those of a node.
fn is_of_node(thing: Thing) -> bool {
    matches!(thing, Thing::Datastore | Thing::Bridge)
}

fn datastores(reference: &Reference) -> String {
    reference.node.as_ref().map_or_else(|| "/storage".into(), |node| format!("/nodes/{node}/storage"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_privilege_that_reaches_every_object_of_a_sort_sees_all_of_them() {
        let sees = |permissions: Json| reaches_all(&permissions, "VM.Audit", "/vms");
        assert!(sees(json!({"/": {"VM.Audit": 1}, "/storage": {"Datastore.Audit": 1}})));
        assert!(sees(json!({"/": {"VM.Audit": 1}, "/vms/100": {"VM.Audit": 0}})));
        for hidden in [
            json!({"/": {"VM.Audit": 0}}),
            json!({"/": {"Sys.Audit": 1}}),
            json!({"/vms": {"VM.Audit": 1}}),
            json!({"/": {"VM.Audit": 1}, "/vms": {"VM.Audit": 0}}),
            json!({"/": {"VM.Audit": 1}, "/vms/100": {"VM.Console": 1}}),
        ] {
            assert!(!sees(hidden.clone()), "{hidden}");
        }
    }
}
