//! Making a machine from another one.

use pve_executor::ports::ProviderError;
use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Type, Value};
use serde_json::Value as Json;

use super::in_the_way::{InTheWay, in_the_way, is_asked};
use super::requests::most;
use super::{drives, slots};
use crate::cluster::{Call, Step, refused};
use crate::definition::problem;
use crate::guest::{Cloning, GuestKind};
use crate::object::Planning;
use crate::params::Params;
use crate::values::{flag, int, reasons, text, texts, with};

/// How it was made cannot be read of one that was imported.
pub(super) fn plan(planning: &mut Planning<'_>) {
    let Some(prior) = planning.prior else { return };
    planning.problems.extend(shrinking_disks(prior, &planning.planned));
    planning.notes.extend(left_devices(prior, &planning.planned));
    planning.planned = with_own_parts(prior, &planning.planned);
    match (prior.get("clone"), planning.planned.get("clone")) {
        (Some(before), Some(_)) if before.is_null() => {
            planning.planned = with(&planning.planned, "clone", before.clone());
        }
        (Some(before), Some(after)) if before != after && after.is_known() => {
            let names: Vec<&str> = after.entries().into_iter().flatten().map(|(name, _)| &**name).collect();
            let reason = "a guest is made from its source only once";
            let path = Path::attribute("clone");
            planning.replace.extend(reasons(before, after, &path, &names, reason));
        }
        _ => {}
    }
}

/// Proxmox VE only grows disks.
fn shrinking_disks(prior: &Value, planned: &Value) -> Vec<Problem> {
    let before = slots::of(prior, "disk");
    let shrinking = slots::of(planned, "disk").into_iter().filter_map(|(slot, disk)| {
        let (old, new) = (int(before.get(&slot)?, "size_gb")?, int(disk, "size_gb")?);
        let path = Path::attribute("disk").child(PathStep::Key(slot.to_string()));
        let path = path.child(PathStep::Attribute("size_gb".into()));
        (new < old).then(|| problem(path, "A disk cannot shrink", cannot_shrink(&slot, old, new)))
    });
    shrinking.collect()
}

fn cannot_shrink(slot: &str, old: i64, new: i64) -> String {
    format!("{slot} is {old}G and cannot become {new}G: disks only grow. Set size_gb = {old}")
}

/// What leaves the configuration and stays in the machine.
fn left_devices(prior: &Value, planned: &Value) -> Option<String> {
    let left = ["disk", "network"].into_iter().flat_map(|name| {
        let taken = planned.get("delete").map(|delete| texts(delete, name)).unwrap_or_default();
        let after = slots::of(planned, name);
        let gone = slots::of(prior, name).into_keys().filter(move |slot| !after.contains_key(slot));
        gone.filter(move |slot| !taken.iter().any(|taken| **taken == **slot))
    });
    let left: Vec<_> = left.map(|slot| slot.to_string()).collect();
    (!left.is_empty()).then(|| {
        format!(
            "the machine keeps {}, which is no longer looked after: `delete` takes devices away",
            left.join(", ")
        )
    })
}

/// Refuses a disk that is to be smaller than that of the source, and a drive where the source has something else.
async fn refuse_unlike_source(
    call: &Call<'_>,
    planned: &Value,
    node: &str,
    source: i64,
) -> Result<(), ProviderError> {
    let sized = |disk: &Value| int(disk, "size_gb");
    let disks = slots::of(planned, "disk");
    if !is_asked(None, planned) {
        return Ok(());
    }
    let vmid = u32::try_from(source).unwrap_or_default();
    let Some(found) = call.look_at_options("qemu", vmid, node).await? else { return Ok(()) };
    let is_snapshot = planned.get("clone").is_some_and(|clone| text(clone, "snapshot_name").is_some());
    // What a snapshot has shows when it is cloned.
    if let Some(InTheWay { slot, has, .. }) =
        in_the_way(None, planned, &found.config).filter(|_| !is_snapshot)
    {
        let message = format!("clone {}: {slot} of vm {source} has {has}", call.object);
        return Err(refused(message, Some("nothing was made: take a slot that is free in the template")));
    }
    for (slot, disk) in disks {
        let there = found.config.get(&*slot).and_then(Json::as_str).and_then(drives::size);
        if let (Some(old), Some(new)) = (there, sized(disk))
            && new < old
        {
            let message = format!("clone {}: {}", call.object, cannot_shrink(&slot, old, new));
            return Err(refused(message, Some("a clone has the disks of its source, or larger ones")));
        }
    }
    Ok(())
}

/// The plan with what a device is by itself wherever nothing is configured: taking that out changes no device.
fn with_own_parts(prior: &Value, planned: &Value) -> Value {
    let own = [("disk", &["file"][..]), ("network", &["mac_address", "model"])];
    own.into_iter().fold(planned.clone(), |planned, (name, parts)| {
        let (before, after) = (slots::of(prior, name), slots::of(&planned, name));
        let devices = after.iter().map(|(slot, device)| {
            let old = before.get(slot);
            let kept = parts.iter().fold((*device).clone(), |device, part| {
                match old.and_then(|old| old.get(part)) {
                    Some(old) if device.get(part).is_some_and(Value::is_null) => {
                        with(&device, part, old.clone())
                    }
                    _ => device,
                }
            });
            (slot.clone(), kept)
        });
        match planned.get(name).map(Value::ty) {
            Some(Type::Map(ty)) if !after.is_empty() => {
                with(&planned, name, Value::map((*ty).clone(), devices.collect()))
            }
            _ => planned,
        }
    })
}

/// Clones the source, unless the plan has none.
pub(super) async fn clone_source(call: &Call<'_>, planned: &Value) -> Result<(), ProviderError> {
    let Some(clone) = planned.get("clone").filter(|clone| !clone.is_null()) else { return Ok(()) };
    let source = int(clone, "source_vm_id").unwrap_or_default();
    let node = match text(clone, "source_node_name") {
        Some(node) => node.to_string(),
        None => {
            let guests = call.cluster.guests().await;
            let guests = guests.map_err(|error| call.failed(Step::of("find", "the template"), &error))?;
            let found = guests.iter().find(|guest| i64::from(guest.vmid) == source);
            found.map(|guest| guest.node.clone()).ok_or_else(|| {
                refused(format!("clone {}: there is no vm {source}", call.object), Some("check source_vm_id"))
            })?
        }
    };
    refuse_unlike_source(call, planned, &node, source).await?;
    let mut params = Params::default();
    params.put("name", text(planned, "name"));
    params.put_flag("full", flag(clone, "full"));
    params.put("snapname", text(clone, "snapshot_name"));
    params.put("pool", text(clone, "pool_id"));
    params.put("storage", text(clone, "target_datastore"));
    params.put("format", text(clone, "target_format"));
    params.put("bwlimit", int(clone, "bandwidth_limit"));
    let most = most(planned, "create");
    let cloning = Cloning {
        kind: GuestKind::Vm,
        template: source,
        from: &node,
        vmid: int(planned, "id").and_then(|id| u32::try_from(id).ok()).unwrap_or_default(),
        to: text(planned, "node_name").unwrap_or(&node),
        attempts: int(clone, "retries").unwrap_or(1),
        most,
        most_to_migrate: most,
    };
    cloning.make(call, params).await
}
