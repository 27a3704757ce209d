//! Firewall rules: new ones go on top, positions shift, `enable` is 0 when not given.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::macros::MACROS;
use super::verify::{preferred_macro, verify};
use super::{Scope, check_digest, digest};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::state::Options;

const CALL: &[&str] = &["node", "vmid", "digest", "delete", "pos", "moveto", "group", "vnet"];

/// `GET macros`.
pub(crate) fn macros(_: &mut Request<'_>) -> Answer {
    Ok(MACROS.iter().map(|(name, _, text)| json!({ "macro": name, "descr": text })).collect())
}

fn rules(request: &Request<'_>, scope: Scope) -> Result<Vec<Options>, Failure> {
    if scope == Scope::Group {
        let group = request.text("group");
        let known =
            request.state.firewalls.get("cluster").is_some_and(|found| found.groups.contains_key(&group));
        if !known {
            return Err(Failure::died(format!("no such security group '{group}'")));
        }
    }
    Ok(request.state.firewalls.get(&scope.key(request)).map(|found| found.rules.clone()).unwrap_or_default())
}

fn store(request: &mut Request<'_>, scope: Scope, rules: Vec<Options>) {
    let key = scope.key(request);
    request.state.firewalls.entry(key).or_default().rules = rules;
}

fn shown(request: &Request<'_>, scope: Scope, rule: &Options, position: Value, digest: &str) -> Value {
    let mut row: Map<String, Value> = rule
        .iter()
        .map(|(name, text)| match text.parse::<i64>() {
            Ok(number) if name == "enable" => (name.clone(), json!(number)),
            _ => (name.clone(), json!(text)),
        })
        .collect();
    row.entry("enable").or_insert(json!(0));
    row.insert("pos".to_owned(), position);
    row.insert("digest".to_owned(), json!(digest));
    if let Some(version) = ip_version(request, scope, rule) {
        row.insert("ipversion".to_owned(), json!(version));
    }
    let errors = reference_errors(request, scope, rule);
    if !errors.is_empty() {
        row.insert("errors".to_owned(), json!(errors));
    }
    Value::Object(row)
}

fn alias<'a>(request: &'a Request<'_>, scope: Scope, name: &str) -> Option<&'a Options> {
    let find = |key: &str, name: &str| {
        request.state.firewalls.get(key).and_then(|found| found.aliases.get(&name.to_lowercase()))
    };
    match name.split_once('/') {
        Some(("dc", name)) => find("cluster", name),
        Some(("guest", name)) if scope == Scope::Guest => find(&scope.key(request), name),
        Some(_) => None,
        None => find(&scope.key(request), name).or_else(|| find("cluster", name)),
    }
}

fn has_set(request: &Request<'_>, scope: Scope, name: &str) -> bool {
    let find = |key: &str, name: &str| {
        request.state.firewalls.get(key).is_some_and(|found| found.sets.contains_key(name))
    };
    find(&scope.key(request), name) || find("cluster", name)
}

fn is_alias_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && !text.contains(':')
}

fn ip_version(request: &Request<'_>, scope: Scope, rule: &Options) -> Option<u8> {
    let by_protocol = match rule.get("proto").map(String::as_str) {
        Some("icmp") => Some(4),
        Some("icmpv6" | "ipv6-icmp") => Some(6),
        _ => None,
    };
    let by_address = || ["source", "dest"].iter().find_map(|key| version_of(request, scope, rule.get(*key)?));
    by_protocol.or_else(by_address)
}

pub(super) fn version_of(request: &Request<'_>, scope: Scope, text: &str) -> Option<u8> {
    if text.starts_with('+') {
        return None;
    }
    if is_alias_name(text) {
        let cidr = alias(request, scope, text)?.get("cidr")?;
        return Some(if cidr.contains(':') { 6 } else { 4 });
    }
    Some(if text.contains(':') { 6 } else { 4 })
}

fn reference_errors(request: &Request<'_>, scope: Scope, rule: &Options) -> BTreeMap<String, String> {
    let error = |key: &str| Some((key.to_owned(), reference_error(request, scope, rule.get(key)?)?));
    ["source", "dest"].into_iter().filter_map(error).collect()
}

/// What is wrong with a set or an alias that a rule names. Where it is looked for does not hang on the name's scope.
pub(super) fn reference_error(request: &Request<'_>, scope: Scope, text: &str) -> Option<String> {
    let bare = |name: &str| name.split_once('/').map_or(name, |(_, name)| name).to_owned();
    if let Some(set) = text.strip_prefix('+') {
        let known = set.starts_with("sdn/") || has_set(request, scope, &bare(set));
        return (!known).then(|| format!("no such ipset '{}'", bare(set)));
    }
    let missing = is_alias_name(text) && alias(request, scope, &bare(text)).is_none();
    missing.then(|| format!("no such alias '{text}'"))
}

fn fields(request: &Request<'_>) -> Options {
    request
        .parameters
        .iter()
        .filter(|(name, _)| !CALL.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = match name.as_str() {
                "comment" => value.lines().next().unwrap_or_default().to_owned(),
                "macro" => preferred_macro(value),
                // A rule's line in the file is either active or not.
                "enable" if value != "0" => "1".to_owned(),
                _ => value.clone(),
            };
            (name.clone(), value)
        })
        .collect()
}

/// Everything a rule has.
const PROPERTIES: [&str; 15] = [
    "pos",
    "digest",
    "type",
    "iface",
    "action",
    "macro",
    "proto",
    "enable",
    "source",
    "dest",
    "dport",
    "sport",
    "comment",
    "log",
    "icmp-type",
];

/// A rule with new values; nothing and a dash take a value away.
fn merged(mut rule: Options, new: Options) -> Options {
    for (name, value) in new {
        match value.as_str() {
            "" | "-" => rule.remove(&name),
            _ => rule.insert(name, value),
        };
    }
    rule
}

/// `GET rules`.
pub(crate) fn list(request: &mut Request<'_>, scope: Scope) -> Answer {
    let rules = rules(request, scope)?;
    let digest = digest(request, scope);
    Ok(rules.iter().enumerate().map(|(at, rule)| shown(request, scope, rule, json!(at), &digest)).collect())
}

/// `GET rules/{pos}`: the position is text here.
pub(crate) fn read(request: &mut Request<'_>, scope: Scope) -> Answer {
    let (position, rules) = at(request, scope)?;
    let digest = digest(request, scope);
    Ok(shown(request, scope, &rules[position], json!(position.to_string()), &digest))
}

fn at(request: &Request<'_>, scope: Scope) -> Result<(usize, Vec<Options>), Failure> {
    let rules = rules(request, scope)?;
    let position = request.number("pos").unwrap_or(u64::MAX) as usize;
    if position < rules.len() {
        return Ok((position, rules));
    }
    Err(Failure::died(format!("no rule at position {}", request.text("pos"))))
}

/// `POST rules`.
pub(crate) fn create(request: &mut Request<'_>, scope: Scope) -> Answer {
    let mut rules = rules(request, scope)?;
    check_digest(request, scope)?;
    let mut rule = merged(Options::new(), fields(request));
    verify(request, scope, &rule)?;
    rule.entry("enable".to_owned()).or_insert_with(|| "0".to_owned());
    rules.insert(0, rule);
    store(request, scope, rules);
    Ok(Value::Null)
}

/// `PUT rules/{pos}`.
pub(crate) fn update(request: &mut Request<'_>, scope: Scope) -> Answer {
    let known = rules(request, scope)?;
    check_digest(request, scope)?;
    let (position, mut rules) = at(request, scope)?;
    if let Some(target) = request.number("moveto").filter(|target| *target != position as u64) {
        let rule = rules[position].clone();
        let target = (target as usize).min(known.len());
        rules.insert(target, rule);
        rules.remove(if target <= position { position + 1 } else { position });
        store(request, scope, rules);
        return Ok(Value::Null);
    }
    let mut rule = merged(rules[position].clone(), fields(request));
    for name in crate::schema::formats::split_list(request.get("delete").unwrap_or_default()) {
        if !PROPERTIES.contains(&name) {
            return Err(Failure::parameter("delete", format!("no such property ('{name}')")));
        }
        if matches!(name, "type" | "action") {
            return Err(Failure::parameter("delete", format!("unable to delete required property '{name}'")));
        }
        rule.remove(name);
    }
    rule.entry("enable".to_owned()).or_insert_with(|| "0".to_owned());
    verify(request, scope, &rule)?;
    rules[position] = rule;
    store(request, scope, rules);
    Ok(Value::Null)
}

/// `DELETE rules/{pos}`.
pub(crate) fn delete(request: &mut Request<'_>, scope: Scope) -> Answer {
    let all = rules(request, scope)?;
    check_digest(request, scope)?;
    if all.is_empty() && scope != Scope::Group {
        let place = "/usr/share/perl5/PVE/API2/Firewall/Rules.pm line 462.";
        return Err(Failure::died(format!("Can't use an undefined value as an ARRAY reference at {place}")));
    }
    let (position, mut rules) = at(request, scope)?;
    rules.remove(position);
    store(request, scope, rules);
    Ok(Value::Null)
}
