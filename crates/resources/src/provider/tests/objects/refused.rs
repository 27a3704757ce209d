//! A write of a change is refused: what did not take effect is planned again and done by the next run.

use std::collections::BTreeSet;

use pve_model::Value;
use serde_json::Value as Json;

use super::super::{Recorder, World};
use super::store::Store;
use super::{kinds, turns, world};

/// The writes that took effect since `from`, without what they carried.
fn writes(store: &Store, from: usize) -> BTreeSet<String> {
    let writes = store.requests().split_off(from).into_iter().filter(|request| !request.starts_with("Get "));
    writes.map(|request| request.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// The object that a run begins with: none when it is to be made, else one with every attribute.
async fn begun(world: &World, is_made: bool) -> Result<Option<Value>, String> {
    if !is_made {
        return Ok(None);
    }
    let full = world.config(turns::full(world));
    let made = world.try_apply(None, Some(&full), &Recorder::default()).await;
    made.map_err(|error| format!("create: {}", error.message))
}

/// Refuses one write of a create or a change. Returns whether there was one to refuse.
async fn refused_at(kind: &'static str, is_made: bool, next: &Json, write: usize) -> Result<bool, String> {
    let (undisturbed, its_store) = world(kind);
    let before = begun(&undisturbed, is_made).await?;
    let from = its_store.requests().len();
    let config = undisturbed.config(next.clone());
    undisturbed.try_apply(before.as_ref(), Some(&config), &Recorder::default()).await.unwrap();
    let needed = writes(&its_store, from);

    let (world, store) = world(kind);
    let before = begun(&world, is_made).await?;
    let from = store.requests().len();
    *store.breaks_at.lock().unwrap() = Some((write, false));
    let Err(error) = world.try_apply(before.as_ref(), Some(&config), &Recorder::default()).await else {
        return Ok(false);
    };
    *store.breaks_at.lock().unwrap() = None;
    let read = match error.left.or(before) {
        Some(known) => Some(world.read(&known).await.ok_or("it is gone")?),
        None => None,
    };
    let planned = world.plan(read.as_ref(), &config).planned.unwrap();
    if read.as_ref().is_some_and(|read| crate::values::same(read, &planned)) {
        return Err("nothing is planned after the failure".into());
    }
    let after = world.try_apply(read.as_ref(), Some(&config), &Recorder::default()).await;
    after.map_err(|error| format!("finish: {}", error.message))?;
    let lacking: Vec<String> = needed.difference(&writes(&store, from)).cloned().collect();
    if lacking.is_empty() { Ok(true) } else { Err(format!("{lacking:?} were never done")) }
}

async fn faults_of(kind: &'static str, is_made: bool, what: &str, next: &Json) -> Option<String> {
    for write in 1.. {
        match refused_at(kind, is_made, next, write).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(fault) => return Some(format!("{kind}, {what}, write {write}: {fault}")),
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_of_any_kind_is_done_by_the_next_run() {
    let mut faults = Vec::new();
    for kind in kinds() {
        faults.extend(faults_of(kind, false, "create", &turns::full(&world(kind).0)).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_of_any_kind_is_done_by_the_next_run() {
    let mut faults = Vec::new();
    for kind in kinds() {
        for (name, next) in turns::one_changed(&world(kind).0) {
            faults.extend(faults_of(kind, true, name, &next).await);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_in_high_availability_are_those_that_the_cluster_takes() {
    for (kind, name) in
        [("proxmox_hagroup", "group"), ("proxmox_haresource", "group"), ("proxmox_harule", "rule")]
    {
        let (world, _) = world(kind);
        let problems = |text: &str| {
            let mut config = turns::full(&world);
            config[name] = Json::from(text);
            let problems = world.rules().validate(&world.config(config));
            problems.iter().filter(|problem| problem.path.to_string() == name).count()
        };
        assert_eq!((problems("a-1_b"), problems("A1")), (0, 0), "{kind}");
        for text in ["", "a", "1a", "a b", "a:b", "a.b"] {
            assert_eq!(problems(text), 1, "{kind} {text:?}");
        }
    }
}
