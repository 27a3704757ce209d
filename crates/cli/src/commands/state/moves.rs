//! `pve state mv`

use std::collections::BTreeMap;

use pve_model::address::Target;
use pve_model::event::{InstanceMoved, Payload};
use pve_model::rules::RulesRegistry as _;
use pve_model::{InstanceAddress, ModulePath, ResourceAddress};
use serde_json::json;

use super::super::{parse_target, print_json};
use crate::arguments::{EditOptions, GlobalOptions};
use crate::edit::Edit;
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// Gives instances other addresses.
///
/// # Errors
/// When there is nothing at the source, something at the destination, or the two do not fit.
pub async fn run(
    global: &GlobalOptions,
    project: &Project,
    source: &str,
    destination: &str,
    options: &EditOptions,
) -> Ended {
    let (from, to) = (parse_target(source)?, parse_target(destination)?);
    let edit = Edit::begin(project, "state mv", &options.lock).await?;
    let mut moves: Vec<(InstanceAddress, InstanceAddress)> = Vec::new();
    for address in edit.state.instances.keys().filter(|address| from.contains(address)) {
        moves.push((address.clone(), moved(address, &from, &to)?));
    }
    if moves.is_empty() {
        let hint = "Nothing was changed. `pve state list` shows the addresses there are.";
        return Err(Failure::hinted(format!("the state has nothing at {from}"), hint));
    }
    if let Some((_, taken)) = moves.iter().find(|(_, to)| edit.state.instances.contains_key(to)) {
        let hint = "Nothing was changed. Move or remove what is there first.";
        return Err(Failure::hinted(format!("the state has something at {taken} already"), hint));
    }
    if !options.dry_run {
        edit.refuse_open(&moves.iter().map(|(from, _)| from.clone()).collect::<Vec<_>>())?;
        let event = |(from, to): &(InstanceAddress, InstanceAddress)| {
            Payload::InstanceMoved(InstanceMoved { from: from.clone(), to: to.clone() })
        };
        edit.record(moves.iter().map(event).collect(), BTreeMap::new()).await?;
    }
    if global.json {
        let pairs = moves.iter().map(|(from, to)| json!({"from": from.to_string(), "to": to.to_string()}));
        let pairs: Vec<_> = pairs.collect();
        print_json(&json!({"format_version": "1.0", "dry_run": options.dry_run, "moved": pairs}))?;
        return Ok(0);
    }
    let word = if options.dry_run { "Would move" } else { "Move" };
    moves.iter().for_each(|(from, to)| println!("{word} \"{from}\" to \"{to}\""));
    if !options.dry_run {
        println!("Successfully moved {} object(s).", moves.len());
    }
    Ok(0)
}

/// Where an instance within `from` is when `from` has become `to`.
fn moved(address: &InstanceAddress, from: &Target, to: &Target) -> Result<InstanceAddress, Failure> {
    let (target, key) = match (from, to) {
        (Target::Module(from), Target::Module(to)) => {
            let module = moved_module(&address.resource.module, from, to);
            let resource = ResourceAddress { module, ..address.resource.clone() };
            return Ok(resource.instance(address.key.clone()));
        }
        (Target::Resource(_), Target::Resource(to)) => (to, address.key.clone()),
        (Target::Instance(_), Target::Resource(to)) => (to, None),
        (Target::Instance(_), Target::Instance(to)) => (&to.resource, to.key.clone()),
        (Target::Resource(_), Target::Instance(to)) if address.key.is_none() => {
            (&to.resource, to.key.clone())
        }
        (Target::Resource(_), Target::Instance(_)) => {
            let hint = "Name the instance that moves, for instance 'a.b[0]'.";
            return Err(Failure::hinted(format!("{from} has several instances and {to} is one"), hint));
        }
        _ => {
            let hint = "Move a module to a module, or a resource to a resource.";
            return Err(Failure::hinted(format!("{from} cannot become {to}"), hint));
        }
    };
    if target.mode != address.resource.mode || !is_one_kind(&target.kind, &address.resource.kind) {
        let message = format!("{from} cannot become {to}: their kinds differ");
        return Err(Failure::hinted(message, "Only the name, module and key can change."));
    }
    Ok(target.instance(key))
}

/// Whether two names are those of one kind.
fn is_one_kind(a: &str, b: &str) -> bool {
    let registry = pve_resources::registry();
    let kind = |name| registry.resource(name).map(|rules| std::ptr::from_ref(rules).cast::<()>());
    a == b || kind(a).is_some() && kind(a) == kind(b)
}

/// The path with `from` at its start replaced. A key that neither names is kept.
fn moved_module(path: &ModulePath, from: &ModulePath, to: &ModulePath) -> ModulePath {
    let mut steps = to.0.clone();
    if let (Some(last), Some(was), Some(named)) =
        (steps.last_mut(), path.0.get(from.0.len().wrapping_sub(1)), from.0.last())
        && last.key.is_none()
        && named.key.is_none()
    {
        last.key = was.key.clone();
    }
    steps.extend_from_slice(&path.0[from.0.len()..]);
    ModulePath(steps)
}
