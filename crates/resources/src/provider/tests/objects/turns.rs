//! One attribute at a time: set to one value, to another, and taken out.

use std::collections::BTreeSet;

use pve_executor::ports::Provider;
use pve_model::{PathStep, Type, Value};
use serde_json::{Value as Json, json};

use super::super::{Recorder, World};
use super::samples;
use crate::object::{Engine, Field, fill};
use crate::values::{changed, same};

fn engine(world: &World) -> &Engine {
    world.provider.registry.kind(world.kind).unwrap().engine().unwrap()
}

fn identity(engine: &Engine) -> &'static str {
    if engine.object.import.is_empty() { engine.object.id } else { engine.object.import }
}

fn is_required(world: &World, name: &str) -> bool {
    let block = world.provider.registry.kind(world.kind).unwrap().block();
    let attribute = block.attributes.get(name).is_some_and(|attribute| attribute.required);
    attribute || block.blocks.get(name).is_some_and(|nested| nested.min_items > 0)
}

fn replaces(world: &World, name: &str) -> bool {
    let block = world.provider.registry.kind(world.kind).unwrap().block();
    block.attributes.get(name).is_some_and(|attribute| attribute.replace)
}

/// The attributes that take turns.
fn own<'e>(world: &World, engine: &'e Engine) -> Vec<&'e Field> {
    let fields = engine.fields.iter().filter(|field| !field.fixed);
    // The store takes everything.
    let real = world.api.user() != super::store::USER;
    fields
        .filter(|field| !samples::excluded(world.kind, field.name))
        .filter(|field| !(real && samples::refused(world.kind, field.name)))
        .collect()
}

/// The samples of an attribute.
fn sample(world: &World, field: &Field) -> (Json, Json) {
    let rules = world.provider.registry.kind(world.kind).unwrap();
    samples::of(world.kind, rules, field.name, field)
}

/// Every attribute set to its first value.
pub(super) fn full(world: &World) -> Json {
    let parts =
        own(world, engine(world)).into_iter().map(|field| (field.name.to_string(), sample(world, field).0));
    Json::Object(parts.collect())
}

/// Every attribute set, and one of them to its second value; for each attribute that a change does not replace, and
/// that needs no other one out of the way.
pub(super) fn one_changed(world: &World) -> Vec<(&'static str, Json)> {
    let full = full(world);
    let alone =
        |field: &&Field| !replaces(world, field.name) && samples::apart(world.kind, field.name).is_empty();
    let changed = own(world, engine(world)).into_iter().filter(alone).map(|field| {
        let mut next = full.clone();
        next[field.name] = sample(world, field).1;
        (field.name, next)
    });
    changed.filter(|(_, next)| *next != full).collect()
}

fn show(names: &BTreeSet<String>, value: &Value) -> String {
    let part = |name: &String| match value.get(name) {
        Some(part) if part.is_wholly_known() => pve_model::codec::to_plain_json(part).to_string(),
        _ => "unknown".to_string(),
    };
    names.iter().map(|name| format!("{name} = {}", part(name))).collect::<Vec<_>>().join(", ")
}

/// Applies, reads, and plans once more: nothing may be left to do.
async fn step(world: &World, prior: Option<&Value>, json: &Json) -> Result<Value, String> {
    let config = world.config(json.clone());
    let applied = world.try_apply(prior, Some(&config), &Recorder::default()).await;
    let after = applied.map_err(|error| error.message)?.unwrap();
    let read = world.read(&after).await.ok_or("it is gone")?;
    let names = changed(&after, &read);
    if !names.is_empty() {
        return Err(format!("recorded {}, read {}", show(&names, &after), show(&names, &read)));
    }
    let planned = world.plan(Some(&read), &config).planned.unwrap();
    let names = changed(&read, &planned);
    if !same(&read, &planned) {
        return Err(format!("would change again from {} to {}", show(&names, &read), show(&names, &planned)));
    }
    Ok(after)
}

/// Makes what the samples of a kind name.
pub(in super::super) async fn prepare(world: &World) {
    for (method, path, params) in samples::prepared(world.kind) {
        let pairs = params.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let made = world.api.send(*method, path, &pairs).await;
        made.unwrap_or_else(|error| panic!("{path}: {}", error.message));
    }
}

/// Takes turns with every attribute of a kind. Returns what went wrong.
pub(in super::super) async fn every_attribute(world: &World) -> Vec<String> {
    let full = full(world);
    let mut last = match step(world, None, &full).await {
        Ok(made) => made,
        Err(fault) => return vec![format!("create {full}: {fault}")],
    };
    let mut faults = Vec::new();
    for field in own(world, engine(world)) {
        match turn(world, &full, &last, field).await {
            Ok(after) => last = after,
            Err(fault) => faults.push(format!("{}: {fault}", field.name)),
        }
        match step(world, Some(&last), &full).await {
            Ok(after) => last = after,
            Err(fault) => faults.push(format!("{} back again: {fault}", field.name)),
        }
    }
    let gone = world.try_apply(Some(&last), None, &Recorder::default()).await;
    match gone {
        Ok(None) => {}
        other => faults.push(format!("destroy: {other:?}")),
    }
    faults
}

/// Each object that may be empty, and each block, without anything in it: that settles, or is refused. Returns what went
/// wrong.
pub(in super::super) async fn every_empty_object(world: &World) -> Vec<String> {
    let full = full(world);
    let mut faults = Vec::new();
    for field in own(world, engine(world)) {
        if field.inner.is_empty() || field.inner.iter().any(|inner| inner.required) {
            continue;
        }
        let mut empty = full.clone();
        let apart = samples::apart(world.kind, field.name);
        empty.as_object_mut().unwrap().retain(|name, _| !apart.contains(&name.as_str()));
        let without = empty.clone();
        empty[field.name] = match field.ty {
            Type::List(_) | Type::Set(_) => json!([{}]),
            Type::Map(_) => json!({"one": {}}),
            _ => json!({}),
        };
        if !world.rules().validate(&world.config(empty.clone())).is_empty() {
            continue;
        }
        match empty_and_back(world, [&empty, &without, &empty]).await {
            Ok(()) => {}
            Err(fault) => faults.push(format!("{} = {}: {fault}", field.name, empty[field.name])),
        }
    }
    faults
}

/// Makes an object, changes it step by step, and destroys it.
async fn empty_and_back(world: &World, steps: [&Json; 3]) -> Result<(), String> {
    let mut last = None;
    for json in steps {
        last = Some(step(world, last.as_ref(), json).await?);
    }
    let gone = world.try_apply(last.as_ref(), None, &Recorder::default()).await;
    gone.map(drop).map_err(|error| format!("destroy: {}", error.message))
}

async fn turn(world: &World, full: &Json, last: &Value, field: &Field) -> Result<Value, String> {
    let mut next = full.clone();
    let apart = samples::apart(world.kind, field.name);
    let mut last = last.clone();
    if !apart.is_empty() {
        next.as_object_mut().unwrap().retain(|name, _| !apart.contains(&name.as_str()));
        last =
            step(world, Some(&last), &next).await.map_err(|fault| format!("without {apart:?}: {fault}"))?;
    }
    let last = &last;
    let (first, second) = sample(world, field);
    if first == second {
        return Ok(last.clone());
    }
    next[field.name] = second;
    let config = world.config(next.clone());
    // Another one of its kind may need other parts beside it.
    let is_another = replaces(world, field.name);
    let response =
        if is_another { world.planned(Some(last), &config) } else { world.plan(Some(last), &config) };
    let planned = response.planned.unwrap();
    let names = changed(last, &planned);
    let follows: BTreeSet<&str> = engine(world)
        .fields
        .iter()
        .filter(|field| field.wire.follows || field.name == "id")
        .map(|field| field.name)
        .collect();
    let others: Vec<&String> = names
        .iter()
        .filter(|name| *name != field.name && !follows.contains(name.as_str()))
        .filter(|name| !apart.contains(&name.as_str()))
        .collect();
    if !names.contains(field.name) || !others.is_empty() {
        return Err(format!("the change plans {names:?}"));
    }
    if is_another || !response.replace.is_empty() {
        return Ok(last.clone());
    }
    let mut after = step(world, Some(last), &next).await.map_err(|fault| format!("change: {fault}"))?;
    if !is_required(world, field.name) && !samples::needed(world.kind, field.name) {
        next.as_object_mut().unwrap().remove(field.name);
        if !world.plan(Some(&after), &world.config(next.clone())).replace.is_empty() {
            return Ok(after);
        }
        after = step(world, Some(&after), &next).await.map_err(|fault| format!("take out: {fault}"))?;
    }
    Ok(after)
}

/// Generates the configuration of what was made with every attribute. Returns what of it is to be filled in.
pub(in super::super) async fn generated(world: &World) -> Result<Vec<String>, String> {
    let engine = engine(world);
    if identity(engine).is_empty() {
        return Ok(Vec::new());
    }
    // An object as a cluster has it: samples that contradict each other are not together in one.
    let mut full = full(world);
    while let Some(problem) =
        world.rules().validate(&world.config(full.clone())).into_iter().find(|problem| !problem.warning)
    {
        let PathStep::Attribute(name) = &problem.path.0[0] else { return Err(problem.detail) };
        let other = own(world, engine).into_iter().map(|field| field.name);
        let mut other =
            other.filter(|other| problem.detail.contains(other) || problem.summary.contains(other));
        let optional = |name: &str| !is_required(world, name) && full.get(name).is_some();
        let name = Some(&**name).filter(|name| optional(name)).or_else(|| other.find(|name| optional(name)));
        let name = name.ok_or(problem.detail.clone())?.to_string();
        full.as_object_mut().unwrap().remove(&name);
    }
    let made = step(world, None, &full).await?;
    let id = fill(identity(engine), &made).ok_or("it has no id")?;
    let found = world.provider.import(&world.address, "proxmox", &id).await.map_err(|error| error.message)?;
    let (_, missing) = super::super::generated::generated(world, &found)?;
    Ok(missing)
}

/// Imports what was made with every attribute: nothing is planned then, and what the configuration changes is.
pub(in super::super) async fn imported(world: &World) -> Result<(), String> {
    let engine = engine(world);
    let Some(full) = Some(full(world)).filter(|_| !identity(engine).is_empty()) else { return Ok(()) };
    let made = step(world, None, &full).await?;
    let id = fill(identity(engine), &made).ok_or("it has no id")?;
    let found = world.provider.import(&world.address, "proxmox", &id).await.map_err(|error| error.message)?;
    let config = world.config(full.clone());
    let found = world.rules().adopted(&found, &config);
    let planned = world.plan(Some(&found), &config).planned.unwrap();
    let names = changed(&found, &planned);
    if !names.is_empty() {
        let all = json!({"from": show(&names, &found), "to": show(&names, &planned)});
        return Err(format!("import of {id} plans {all}"));
    }
    for secret in own(world, engine).into_iter().filter(|field| !field.wire.read && field.wire.update) {
        let (first, second) = sample(world, secret);
        let mut next = full.clone();
        next[secret.name] = second.clone();
        let planned = world.plan(Some(&found), &world.config(next)).planned.unwrap();
        if first != second && !changed(&found, &planned).contains(secret.name) {
            return Err(format!("another {} is not planned after an import", secret.name));
        }
    }
    Ok(())
}
