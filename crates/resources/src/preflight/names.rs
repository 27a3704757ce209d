//! Whether the cluster has what is named.

use std::collections::BTreeSet;

use pve_executor::SENSITIVE;
use pve_executor::ports::Told;
use serde_json::Value as Json;

use super::facts::{Facts, Names};
use super::fault::Fault;
use super::references::Reference;
use super::things::{Thing, Visibility};

/// How many names are told.
const MOST_TOLD: usize = 12;

/// Why the cluster cannot have what is named. `None` when it has it, or does not tell.
pub(super) async fn missing_name(facts: &mut Facts<'_>, reference: &Reference) -> Option<Fault> {
    let name = reference.name.as_str();
    let known = names(facts, reference).await?;
    // An empty list may be one that nobody here may see.
    if known.is_empty() && !facts.may_see_all(reference.thing.listing().visibility).await {
        return None;
    }
    if !known.contains(name) {
        return Some(missing(facts, reference, &known).await);
    }
    None
}

async fn missing(facts: &mut Facts<'_>, reference: &Reference, known: &BTreeSet<String>) -> Fault {
    let listing = reference.thing.listing();
    let name = &reference.name;
    let name = quoted(reference.thing, name);
    let place = reference.node.as_deref().filter(|_| reference.thing.is_of_node());
    let place = place.map(|node| format!(" on {node}")).unwrap_or_default();
    // Those of the whole cluster need not be usable to be put into something.
    let visibility = match reference.node {
        None if reference.thing == Thing::Datastore => Visibility::With("Datastore.Audit", "/storage"),
        _ => listing.visibility,
    };
    let is_certain = match visibility {
        Visibility::ByAll => true,
        other => facts.may_see_all(other).await,
    };
    let what = listing.what;
    let (summary, mut detail) = match (visibility, is_certain) {
        (Visibility::With(privilege, area), false) => (
            format!("The {what} ... is not seen{place}"),
            format!(
                "it may be there: with {privilege} on {area} this user would see all; as it is, {}",
                what_there_is(known)
            ),
        ),
        _ => (format!("There is no {what} ...{place}"), what_there_is(known)),
    };
    if reference.thing == Thing::Bridge {
        detail += "; one that another file than /etc/network/interfaces has is not listed";
    }
    let told = |name: &str| Told { summary: summary.replacen("...", name, 1), detail: detail.clone() };
    Fault { told: told(&name), hidden: told(SENSITIVE), is_certain }
}

/// The first of the names.
pub(super) fn what_there_is(known: &BTreeSet<String>) -> String {
    let told: Vec<&str> = known.iter().take(MOST_TOLD).map(String::as_str).collect();
    let more = if known.len() > MOST_TOLD { ", ..." } else { "" };
    match told.is_empty() {
        true => "there is none".into(),
        false => format!("there is: {}{more}", told.join(", ")),
    }
}

/// Numbers stand without quotes.
pub(super) fn quoted(thing: Thing, name: &str) -> String {
    if thing == Thing::Guest { name.to_string() } else { format!("{name:?}") }
}

/// The names that there are.
pub(super) async fn names(facts: &mut Facts<'_>, reference: &Reference) -> Option<Names> {
    // Of a node that is not there nothing is asked.
    if let Some(node) = reference.node.as_deref().filter(|_| reference.thing.is_of_node()) {
        let nodes = facts.list("/nodes", "").await?;
        nodes.iter().find(|entry| entry["node"] == node)?;
    }
    if matches!(reference.thing, Thing::Bridge | Thing::Interface) && reference.node.is_none() {
        return None;
    }
    let path = path(reference);
    if let Some(known) = facts.known_names(reference.thing, &path) {
        return Some(known);
    }
    let listed = match reference.thing {
        Thing::Guest => facts.guests().await?.iter().map(|guest| guest.vmid.to_string()).collect(),
        thing => listed(thing, &facts.list(&path, thing.listing().only).await?)?,
    };
    Some(facts.keep_names(reference.thing, &path, listed))
}

/// The names in a list of a sort.
fn listed(thing: Thing, list: &[Json]) -> Option<BTreeSet<String>> {
    let text = |part: &Json| part.as_str().map(String::from);
    match thing {
        Thing::Privilege => {
            let whole = list.iter().find(|role| role["roleid"] == "Administrator")?;
            return Some(whole["privs"].as_str()?.split(',').map(String::from).collect());
        }
        Thing::Token => {
            let of = |user: &Json| -> Vec<String> {
                let tokens = user["tokens"].as_array().into_iter().flatten();
                let name = |token: &Json| {
                    Some(format!("{}!{}", user["userid"].as_str()?, token["tokenid"].as_str()?))
                };
                tokens.filter_map(name).collect()
            };
            return Some(list.iter().flat_map(of).collect());
        }
        // A device may be named by another of its names.
        Thing::Interface => {
            let others = list.iter().filter_map(|entry| entry["altnames"].as_array()).flatten();
            return Some(list.iter().map(|entry| &entry["iface"]).chain(others).filter_map(text).collect());
        }
        _ => {}
    }
    let names = list.iter().filter_map(|entry| entry[thing.listing().key].as_str());
    Some(names.map(|name| thing.folded(name)).collect())
}

/// Where the list is. Without a node, datastores are those of the cluster.
pub(super) fn path(reference: &Reference) -> String {
    let path = reference.thing.listing().path;
    match &reference.node {
        Some(node) => path.replace("{node}", node),
        None => path.replace("/nodes/{node}", ""),
    }
}
