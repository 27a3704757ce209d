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

#[tokio::test(start_paused = true)]
async fn the_name_of_a_zone_in_dns_is_sent_with_its_server() {
    let (world, store) = world("proxmox_sdn_zone_simple");
    let zone = |name: &str| {
        world.config(serde_json::json!({"id": "zone1", "dns": "main", "dns_zone": name, "ipam": "pve"}))
    };
    let recorder = Recorder::default();
    let made = world.try_apply(None, Some(&zone("old.test")), &recorder).await.unwrap();
    let from = store.requests().len();
    world.try_apply(made.as_ref(), Some(&zone("new.test")), &recorder).await.unwrap();
    let changes: Vec<String> =
        store.requests().split_off(from).into_iter().filter(|request| request.starts_with("Put ")).collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].contains("new.test") && changes[0].contains("main"), "{changes:?}");
    assert!(!changes[0].contains("ipam"), "what stays is not sent: {changes:?}");
}

#[tokio::test(start_paused = true)]
async fn two_permissions_that_swap_their_roles_do_not_take_each_others_entry() {
    let (world, store) = world("proxmox_acl");
    let entry = |role: &str| {
        world.config(serde_json::json!({"path": "/vms/100", "group_id": "ops", "role_id": role}))
    };
    let recorder = Recorder::default();
    let configs = [entry("PVEAdmin"), entry("PVEAuditor")];
    let mut old = Vec::new();
    for config in &configs {
        old.push(world.try_apply(None, Some(config), &recorder).await.unwrap());
    }
    // The next run knows nothing of what this one gave.
    let next = World::over("proxmox_acl", world.api.clone());
    let [one, two] = [1, 0].map(|index| next.try_apply(None, Some(&configs[index]), &recorder));
    let (one, two) = tokio::join!(one, two);
    for prior in &old {
        next.try_apply(prior.as_ref(), None, &recorder).await.unwrap();
    }
    for made in [one, two] {
        assert!(next.read(&made.unwrap().unwrap()).await.is_some(), "{:?}", store.requests());
    }
    // Without another one that has it, an entry goes.
    let last = World::over("proxmox_acl", world.api.clone());
    last.try_apply(old[0].as_ref(), None, &recorder).await.unwrap();
    assert_eq!(last.read(old[0].as_ref().unwrap()).await, None);
}
