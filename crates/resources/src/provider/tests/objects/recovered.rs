//! The connection breaks at every write of a create, before or after it takes effect: the next run settles that by
//! looking, and nothing is made twice, lost, or taken over.

use pve_executor::ports::{Provider, Recovery};
use pve_model::Value;

use super::super::recovered::open_action;
use super::super::{Recorder, World};
use super::{kinds, turns, world};
use crate::operations::Proof;
use crate::values::changed;

/// What the next run makes of an interrupted create: the object as it knows it, if it is there.
pub(super) async fn recovered(
    world: &World,
    config: &Value,
    recorder: &Recorder,
) -> Result<Option<Value>, String> {
    let open = open_action(world, config, recorder).await;
    match world.provider.recover(&open, None, None).await.map_err(|error| error.message)? {
        Recovery::NothingDone => Ok(None),
        Recovery::Exists(value) => Ok(Some(value)),
        Recovery::Unclear(note) => Err(note),
        Recovery::Gone | Recovery::Kept(_) => Err("it is said to be gone, or kept".into()),
    }
}

async fn broken_at(kind: &'static str, write: usize, takes_effect: bool) -> Result<bool, String> {
    let (world, store) = world(kind);
    let config = world.config(turns::full(&world));
    let recorder = Recorder::default();
    *store.breaks_at.lock().unwrap() = Some((write, takes_effect));
    if world.try_apply(None, Some(&config), &recorder).await.is_ok() {
        return Ok(false);
    }
    *store.breaks_at.lock().unwrap() = None;
    let proof = world.provider.registry.kind(kind).unwrap().operations().unwrap().proof();
    let found = match recovered(&world, &config, &recorder).await {
        // Nobody can tell whose it is: the user is asked.
        Err(_) if proof == Proof::Steps && takes_effect => return Ok(true),
        other => other?,
    };
    let after = world.try_apply(found.as_ref(), Some(&config), &Recorder::default()).await;
    let after = after.map_err(|error| format!("finish: {}", error.message))?.unwrap();
    let read = world.read(&after).await.ok_or("it is gone")?;
    let planned = world.plan(Some(&read), &config).planned.unwrap();
    match changed(&read, &planned) {
        names if names.is_empty() => Ok(true),
        names => Err(format!("{names:?} would change again")),
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_create_of_any_kind_is_settled_by_looking() {
    let mut faults = Vec::new();
    for kind in kinds() {
        for takes_effect in [false, true] {
            for write in 1.. {
                match broken_at(kind, write, takes_effect).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(fault) => faults.push(format!("{kind}, write {write}, {takes_effect}: {fault}")),
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over() {
    for kind in ["proxmox_sdn_vnet", "proxmox_storage_directory", "proxmox_virtual_environment_group"] {
        let (world, _) = world(kind);
        let full = turns::full(&world);
        let mut other = full.clone();
        let changes = [("comment", "theirs"), ("alias", "theirs"), ("preallocation", "full")];
        for (name, value) in changes {
            if other.get(name).is_some() {
                other[name] = value.into();
            }
        }
        let theirs = world.config(other);
        world.try_apply(None, Some(&theirs), &Recorder::default()).await.unwrap();
        let config = world.config(full);
        let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
        assert!(error.hint.unwrap().contains("import it") && error.left.is_none(), "{kind}");
        let note = recovered(&world, &config, &Recorder::default()).await.unwrap_err();
        assert!(note.contains("cannot be proved"), "{kind}: {note}");
    }
}

#[tokio::test]
async fn what_a_crash_left_staged_is_applied_by_the_next_run() {
    for autostart in [true, false] {
        let (world, store) = world("proxmox_network_linux_bridge");
        let config = serde_json::json!({"node_name": "pve", "name": "vmbr7", "autostart": autostart});
        let config = world.config(config);
        let recorder = Recorder::default();
        *store.breaks_at.lock().unwrap() = Some((2, false));
        world.try_apply(None, Some(&config), &recorder).await.unwrap_err();
        *store.breaks_at.lock().unwrap() = None;
        let found = recovered(&world, &config, &recorder).await.unwrap().unwrap();
        world.try_apply(Some(&found), Some(&config), &Recorder::default()).await.unwrap();
        let requests = store.requests();
        assert!(
            requests.iter().any(|request| request.starts_with("Put /nodes/pve/network ")),
            "{requests:?}"
        );
    }
}
