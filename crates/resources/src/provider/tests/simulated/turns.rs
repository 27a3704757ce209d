//! One attribute at a time: set to one value, to another, left out, and its block left out.

use pve_executor::ports::Provider;
use pve_model::Value;
use pve_model::schema::Block;
use serde_json::{Value as Json, json};

use super::super::{Recorder, World};
use crate::cluster::Method;
use crate::values::{changed, int, same, text};

/// Which values an attribute takes in turn.
pub(super) enum Samples {
    /// Two of its type, within its limits.
    OfType,
    /// These.
    Two(Json, Json),
    /// It is left out.
    LeftOut,
}

/// What the tests know of a kind beyond its schema.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The smallest configuration.
    pub(super) base: fn() -> Json,
    /// What a block needs beside the attribute in question, by its path.
    pub(super) companions: fn(&str) -> Json,
    /// The values of an attribute by its path.
    pub(super) samples: fn(&str) -> Samples,
    /// Attributes that are not part of the guest's configuration.
    pub(super) recorded: &'static [&'static str],
    /// Attributes that replace the guest when they change.
    pub(super) replaces: &'static [&'static str],
    /// Attributes that an import cannot tell.
    pub(super) unreadable: &'static [&'static str],
    /// Attributes that cannot be left out of their block.
    pub(super) needed: &'static [&'static str],
    /// `qemu` or `lxc`.
    pub(super) api: &'static str,
}

/// The paths of all attributes that can be set.
pub(super) fn paths(block: &Block, at: &str) -> Vec<String> {
    let own = block.attributes.iter().filter(|(_, attribute)| attribute.required || attribute.optional);
    let mut found: Vec<String> = own.map(|(name, _)| format!("{at}{name}")).collect();
    for (name, nested) in &block.blocks {
        found.extend(paths(&nested.block, &format!("{at}{name}.")));
    }
    found
}

/// The configuration with `value` at a path; the blocks on the way have their companions.
pub(super) fn place(kind: &Kind, config: &mut Json, path: &str, value: Option<&Json>) {
    let parts: Vec<&str> = path.split('.').collect();
    let mut at = config;
    for (index, name) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            match value {
                Some(value) => at[*name] = value.clone(),
                None => {
                    at.as_object_mut().unwrap().remove(*name);
                }
            }
            return;
        }
        if at[*name].as_array().is_none_or(Vec::is_empty) {
            at[*name] = json!([(kind.companions)(&parts[..=index].join("."))]);
        }
        at = &mut at[*name][0];
    }
}

/// What went wrong with one attribute.
pub(super) async fn take_turns(
    world: &World,
    kind: &Kind,
    path: &str,
    vmid: usize,
    values: (Json, Json),
) -> Result<(), String> {
    let with = |value: Option<&Json>| {
        let mut config = (kind.base)();
        config["vm_id"] = json!(vmid);
        let context = (kind.companions)(&format!("for {path}"));
        for (name, part) in context.as_object().into_iter().flatten() {
            config[name] = part.clone();
        }
        place(kind, &mut config, path, value);
        config
    };
    let top = path.split('.').next().unwrap_or_default();
    let made = step(world, None, &with(Some(&values.0))).await.map_err(|error| format!("set: {error}"))?;
    let before = options(world, kind, &made).await;
    let next = with(Some(&values.1));
    let config = world.config(next.clone());
    let planned = world.plan(Some(&made), &config);
    let names = changed(&made, planned.planned.as_ref().unwrap());
    if !names.contains(top) {
        return Err(format!("the change is not planned, but {names:?}"));
    }
    let mut last = made;
    let schema = world.provider.registry.kind(kind.name).unwrap().block();
    let replaced = replaces_by_schema(schema, path);
    if (kind.replaces.contains(&path) && !replaced) == planned.replace.is_empty() {
        return Err(format!("the change replaces because of {:?}", planned.replace));
    }
    if planned.replace.is_empty() && !replaced {
        last = step(world, Some(&last), &next).await.map_err(|error| format!("change: {error}"))?;
        let after = options(world, kind, &last).await;
        let recorded = kind.recorded.contains(&path) || path.starts_with("timeout_");
        if (before != after) == recorded {
            return Err(format!("the cluster has {after} after the change"));
        }
        if (!recorded || path == "pool_id" || path.starts_with("disk.")) && !kind.unreadable.contains(&path) {
            imported(world, &last, &config).await.map_err(|error| format!("import: {error}"))?;
        }
        let without = with(None);
        let required = (kind.companions)(path.rsplit_once('.').map_or("", |(block, _)| block))
            .get(path.rsplit('.').next().unwrap_or_default())
            .is_some();
        if !required && !kind.needed.contains(&path) {
            last = step(world, Some(&last), &without).await.map_err(|error| format!("take out: {error}"))?;
        }
        if top != path && (kind.base)().get(top).is_none() {
            let mut without = without;
            without.as_object_mut().unwrap().remove(top);
            if (kind.companions)(&format!("for {path}")).get(top).is_none() {
                last = step(world, Some(&last), &without)
                    .await
                    .map_err(|error| format!("take out {top}: {error}"))?;
            }
        }
    }
    world
        .try_apply(Some(&last), None, &Recorder::default())
        .await
        .map_err(|error| format!("destroy: {error:?}"))?;
    Ok(())
}

/// Applies, reads, and plans once more: nothing may be left to do.
pub(super) async fn step(world: &World, prior: Option<&Value>, json: &Json) -> Result<Value, String> {
    let config = world.config(json.clone());
    let applied = world.try_apply(prior, Some(&config), &Recorder::default()).await;
    let after = applied.map_err(|error| error.message)?.unwrap();
    let read = world.read(&after).await.ok_or("it is gone")?;
    let names = changed(&after, &read);
    if !names.is_empty() {
        return Err(format!(
            "recorded {names:?} as {}, read as {}",
            show(&names, &after),
            show(&names, &read)
        ));
    }
    let planned = world.plan(Some(&read), &config).planned.unwrap();
    if !same(&read, &planned) {
        let names = changed(&read, &planned);
        return Err(format!(
            "{names:?} would change again from {} to {}",
            show(&names, &read),
            show(&names, &planned)
        ));
    }
    Ok(after)
}

async fn options(world: &World, kind: &Kind, value: &Value) -> Json {
    let (node, vmid) =
        (text(value, "node_name").unwrap_or_default(), int(value, "vm_id").unwrap_or_default());
    let path = format!("/nodes/{node}/{}/{vmid}/config", kind.api);
    let mut options = world.api.send(Method::Get, &path, &[]).await.unwrap();
    options.as_object_mut().unwrap().remove("digest");
    options
}

async fn imported(world: &World, last: &Value, config: &Value) -> Result<(), String> {
    let (node, vmid) = (text(last, "node_name").unwrap_or_default(), int(last, "vm_id").unwrap_or_default());
    let found = world.provider.import(&world.address, "proxmox", &format!("{node}/{vmid}")).await;
    let found = found.map_err(|error| error.message)?;
    let planned = world.plan(Some(&found), config);
    let names = changed(&found, planned.planned.as_ref().unwrap());
    if names.is_empty() && planned.replace.is_empty() {
        return Ok(());
    }
    let show = |value: &Value| show(&names, value);
    Err(format!(
        "{names:?} would change from {} to {}; replaced {:?}",
        show(&found),
        show(planned.planned.as_ref().unwrap()),
        planned.replace
    ))
}

/// Takes turns with every attribute of a kind.
pub(super) async fn every_attribute(world: &World, kind: &Kind) -> Vec<String> {
    let block = world.provider.registry.kind(kind.name).unwrap().block();
    let mut faults = Vec::new();
    for (index, path) in paths(block, "").into_iter().enumerate() {
        let values = match (kind.samples)(&path) {
            Samples::LeftOut => continue,
            Samples::Two(first, second) => (first, second),
            Samples::OfType => super::samples::of(world.provider.registry.kind(kind.name).unwrap(), &path),
        };
        if let Err(fault) = take_turns(world, kind, &path, 500 + index, values).await {
            faults.push(format!("{path}: {fault}"));
        }
    }
    faults
}

/// The attributes of these names.
fn show<'a>(names: impl IntoIterator<Item = &'a String>, value: &Value) -> String {
    let json = |name: &String| match value.get(name) {
        Some(part) if part.is_wholly_known() => pve_model::codec::to_plain_json(part).to_string(),
        _ => "unknown".to_string(),
    };
    names.into_iter().map(json).collect::<Vec<_>>().join("; ")
}

/// Whether the schema alone says that a change replaces.
fn replaces_by_schema(block: &Block, path: &str) -> bool {
    match path.split_once('.') {
        Some((name, rest)) => {
            block.blocks[name].replace || replaces_by_schema(&block.blocks[name].block, rest)
        }
        None => block.attributes[path].replace,
    }
}
