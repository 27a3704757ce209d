//! Rules on which nodes resources run and which run together (PVE::API2::HA::Rules).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::resources;
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::sections::{File, MODIFIED, Sections, Texts, Type, check_options, delete_options, digest};
use crate::state::{Options, State};

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/ha/rules", list),
    ("POST", "/cluster/ha/rules", create),
    ("GET", "/cluster/ha/rules/{rule}", read),
    ("PUT", "/cluster/ha/rules/{rule}", update),
    ("DELETE", "/cluster/ha/rules/{rule}", delete),
];

pub(super) const FILE: File = File {
    name: "ha/rules.cfg",
    id: "rule",
    schema: "/cluster/ha/rules",
    types: &[
        Type {
            name: "node-affinity",
            required: &["resources", "nodes"],
            options: &["comment", "disable", "strict"],
            fixed: &[],
        },
        Type {
            name: "resource-affinity",
            required: &["resources", "affinity"],
            options: &["comment", "disable"],
            fixed: &[],
        },
    ],
    default_type: None,
    secrets: &[],
    texts: Texts {
        create: "create ha rule failed: ",
        update: "update HA rules failed: ",
        delete: "delete ha rule failed: ",
        exists: "HA rule '{}' already defined",
        missing: "HA rule '{}' does not exist",
    },
};
/// Where a rule stands among the others; kept with its options.
const ORDER: &str = "order";

/// Nodes with their priority, `pve1:2,pve3`.
fn nodes_of(rule: &Options) -> BTreeMap<&str, u32> {
    split_list(rule.get("nodes").map(String::as_str).unwrap_or_default())
        .map(|item| match item.split_once(':') {
            Some((node, priority)) => (node, priority.parse().unwrap_or(0)),
            None => (item, 0),
        })
        .collect()
}

fn resources_of(rule: &Options) -> Vec<&str> {
    split_list(rule.get("resources").map(String::as_str).unwrap_or_default()).collect()
}

fn is_on(rule: &Options) -> bool {
    rule.get("disable").is_none_or(|value| value != "1")
}

fn is_of(rule: &Options, kind: &str) -> bool {
    rule.get("type").is_some_and(|name| name == kind)
}

fn shown(state: &State, id: &str, rule: &Options) -> Map<String, Value> {
    let mut row = FILE.shown(state, id, rule);
    row.insert(ORDER.to_owned(), json!(rule.get(ORDER).and_then(|text| text.parse::<u64>().ok())));
    let errors = errors(state, FILE.sections(state), id);
    if !errors.is_empty() {
        row.insert("errors".to_owned(), json!({ "resources": errors }));
    }
    row
}

fn list(request: &mut Request<'_>) -> Answer {
    let (kind, resource) = (request.get("type"), request.get("resource"));
    let rules = FILE.sections(request.state).iter().filter(|(_, rule)| {
        kind.is_none_or(|kind| is_of(rule, kind))
            && resource.is_none_or(|resource| resources_of(rule).contains(&resource))
    });
    let mut rules: Vec<_> = rules.collect();
    rules.sort_by_key(|(_, rule)| rule.get(ORDER).and_then(|text| text.parse::<u64>().ok()));
    Ok(rules.into_iter().map(|(id, rule)| Value::Object(shown(request.state, id, rule))).collect())
}

fn read(request: &mut Request<'_>) -> Answer {
    let id = request.text("rule");
    match FILE.sections(request.state).get(&id) {
        Some(rule) => Ok(Value::Object(shown(request.state, &id, rule))),
        None => Err(Failure::died(format!("no such ha rule '{id}'"))),
    }
}

/// Resources have to be managed and nodes to be there.
fn check_members(request: &Request<'_>, set: &Options) -> Result<(), Failure> {
    let known = resources::FILE.sections(request.state);
    let mut unmanaged: Vec<&str> =
        resources_of(set).into_iter().filter(|sid| !known.contains_key(*sid)).collect();
    unmanaged.sort_unstable();
    if !unmanaged.is_empty() {
        return Err(Failure::died(format!("cannot use unmanaged resource(s) {}.", unmanaged.join(", "))));
    }
    let absent: Vec<&str> =
        nodes_of(set).into_keys().filter(|name| !request.options.nodes().any(|node| node == name)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(Failure::died(format!("cannot use non-existent node(s) {}.", absent.join(", "))))
}

/// What makes a rule infeasible (PVE::HA::Rules, the registered checks, in their order).
fn errors(state: &State, rules: &Sections, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(rule) = rules.get(id).filter(|rule| is_on(rule)) else { return found };
    let mine = resources_of(rule);
    let others = |kind: &'static str| {
        rules.iter().filter(move |(name, rule)| *name != id && is_on(rule) && is_of(rule, kind))
    };
    let levels = |rule: &Options| {
        let mut levels: Vec<u32> = nodes_of(rule).into_values().collect();
        levels.sort_unstable();
        levels.dedup();
        levels.len()
    };
    if is_of(rule, "node-affinity") {
        for sid in &mine {
            if others("node-affinity").any(|(_, other)| resources_of(other).contains(sid)) {
                found.push(format!("resource '{sid}' is already used in another node affinity rule"));
            }
        }
        let shared = others("resource-affinity")
            .any(|(_, other)| resources_of(other).iter().any(|sid| mine.contains(sid)));
        if shared && levels(rule) > 1 {
            found.push("resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities".to_owned());
        }
        return found;
    }
    if mine.len() < 2 {
        found.push("rule is ineffective as there are less than two resources".to_owned());
    }
    let negative = rule.get("affinity").is_some_and(|value| value == "negative");
    let nodes = state.ha.has_master.then_some(state.ha_nodes).filter(|count| *count > 0);
    if negative && nodes.is_some_and(|count| mine.len() > count) {
        found.push("rule defines more resources than available nodes".to_owned());
    }
    let opposite = others("resource-affinity").any(|(_, other)| {
        other.get("affinity") != rule.get("affinity")
            && resources_of(other).iter().filter(|sid| mine.contains(sid)).count() >= 2
    });
    if opposite {
        let kind = if negative { "positive" } else { "negative" };
        found.push(format!("rule shares two or more resources with a {kind} resource affinity rule"));
    }
    let with_levels = others("node-affinity")
        .any(|(_, other)| levels(other) > 1 && resources_of(other).iter().any(|sid| mine.contains(sid)));
    if with_levels {
        found.push("resources are in node affinity rules with multiple priorities".to_owned());
    }
    found
}

/// Puts a rule among the others if it is feasible there.
fn store(request: &mut Request<'_>, id: String, rule: Options) -> Result<(), Failure> {
    let mut rules = FILE.sections(request.state).clone();
    rules.insert(id.clone(), rule);
    let errors = errors(request.state, &rules, &id);
    if !errors.is_empty() {
        let text = format!("400 Rule '{id}' is invalid.\nresources: {}", errors.join(", "));
        return Err(Failure::died(text));
    }
    *FILE.sections_mut(request.state) = rules;
    super::schedule(request.state, request.options, request.now);
    Ok(())
}

fn create(request: &mut Request<'_>) -> Answer {
    let id = request.text("rule");
    let failed = |failure| FILE.prefixed(FILE.texts.create, failure);
    let mut rule = FILE.set(request);
    drop_off(&mut rule);
    if let Some(kind) = FILE.kind(&request.text("type")) {
        check_options(kind, &rule, true)?;
    }
    FILE.check_new(request.state, &id)?;
    check_members(request, &rule).map_err(failed)?;
    let last =
        FILE.sections(request.state).values().filter_map(|rule| rule.get(ORDER)?.parse::<u64>().ok()).max();
    rule.insert(ORDER.to_owned(), (last.unwrap_or(0) + 1).to_string());
    store(request, id, rule).map_err(failed)?;
    Ok(Value::Null)
}

/// A rule that is not disabled does not say so.
fn drop_off(rule: &mut Options) {
    if rule.get("disable").is_some_and(|value| value == "0") {
        rule.remove("disable");
    }
}

fn update(request: &mut Request<'_>) -> Answer {
    let id = request.text("rule");
    let failed = |failure| FILE.prefixed(FILE.texts.update, failure);
    request.check_digest(&digest(FILE.sections(request.state)), MODIFIED).map_err(failed)?;
    let Some(mut rule) = FILE.sections(request.state).get(&id).cloned() else {
        return Err(FILE.missing(FILE.texts.update, &id));
    };
    let mut set = FILE.set(request);
    drop_off(&mut set);
    set.remove("type");
    let name = rule.get("type").cloned().unwrap_or_default();
    check_members(request, &set).map_err(failed)?;
    if let Some(kind) = FILE.kind(&name) {
        let delete = request.get("delete").unwrap_or_default();
        check_options(kind, &set, false)
            .and_then(|()| delete_options(kind, &mut rule, &set, delete))
            .map_err(failed)?;
    }
    rule.extend(set);
    store(request, id, rule).map_err(failed)?;
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let id = request.text("rule");
    FILE.sections_mut(request.state).remove(&id);
    super::schedule(request.state, request.options, request.now);
    Ok(Value::Null)
}

/// Takes a resource out of all rules; a rule without resources goes too.
pub(super) fn forget(state: &mut State, sid: &str) {
    FILE.sections_mut(state).retain(|_, rule| {
        let left: Vec<String> =
            resources_of(rule).into_iter().filter(|name| *name != sid).map(str::to_owned).collect();
        rule.insert("resources".to_owned(), left.join(","));
        !left.is_empty()
    });
}

/// Where a resource may run, best nodes first; `None` if no rule says.
pub(super) fn preferred(state: &State, sid: &str) -> Option<(Vec<String>, bool)> {
    let rule = FILE
        .sections(state)
        .values()
        .find(|rule| is_on(rule) && is_of(rule, "node-affinity") && resources_of(rule).contains(&sid))?;
    let mut nodes = nodes_of(rule);
    nodes.retain(|node, _| !state.down.contains_key(*node));
    let best = nodes.values().max()?;
    let first = nodes.iter().filter(|(_, priority)| *priority == best);
    let strict = rule.get("strict").is_some_and(|value| value == "1");
    Some((first.map(|(node, _)| (*node).to_owned()).collect(), strict))
}

/// Whether the rules let a resource run on a node.
pub(super) fn allowed(state: &State, sid: &str, node: &str) -> bool {
    let rules = FILE.sections(state).values();
    let mut strict = rules.filter(|rule| {
        is_on(rule)
            && is_of(rule, "node-affinity")
            && rule.get("strict").is_some_and(|value| value == "1")
            && resources_of(rule).contains(&sid)
    });
    strict.all(|rule| nodes_of(rule).contains_key(node))
}

/// Resources that have to be on the same node, or on other ones.
pub(super) fn companions(state: &State, sid: &str, affinity: &str) -> Vec<String> {
    let rules = FILE.sections(state).values().filter(|rule| {
        is_on(rule)
            && is_of(rule, "resource-affinity")
            && rule.get("affinity").is_some_and(|value| value == affinity)
            && resources_of(rule).contains(&sid)
    });
    rules.flat_map(resources_of).filter(|other| *other != sid).map(str::to_owned).collect()
}
