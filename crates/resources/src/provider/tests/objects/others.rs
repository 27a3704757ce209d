//! What others stage of a node's network, or revert, while a run changes it.

use std::sync::Arc;
use std::time::Duration;

use pve_executor::ports::{Provider, ProviderError, ReadRequest};
use pve_model::Value;
use serde_json::json;

use super::super::watched::Watched;
use super::super::{Recorder, World};
use super::networks::{BRIDGE, bridge, count, leaving};
use super::staging::{Meanwhile, Staging};
use super::store::Store;
use super::world;
use crate::families::is_unfinished;
use crate::values::{with, with_unknown};

fn over(staging: Staging) -> (World, Arc<Watched<Staging>>, Arc<Store>) {
    let (inner, store) = world(BRIDGE);
    let api = Watched::over(&inner.api, staging);
    (World::over(BRIDGE, api.clone()), api, store)
}

/// A node whose reload does not begin.
fn refusing(meanwhile: Option<Meanwhile>) -> (World, Arc<Watched<Staging>>, Arc<Store>) {
    over(Staging::refusing(meanwhile))
}

/// Between a change and its reload.
async fn meanwhile(does: impl FnOnce()) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    does();
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_stages_in_the_middle_of_a_run_is_neither_applied_nor_thrown_away() {
    let (world, api, store) = over(Staging::default());
    let recorder = Recorder::default();
    let configs = ["vmbr1", "vmbr2", "vmbr3"].map(|name| world.config(bridge(name)));
    // Those of one run are no obstacle to each other.
    let [one, two] = [0, 1].map(|index| world.try_apply(None, Some(&configs[index]), &recorder));
    let (one, two) = tokio::join!(one, two);
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    // Between the change and its reload.
    let meddling = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        api.meddle();
    };
    let (three, ()) = tokio::join!(world.try_apply(None, Some(&configs[2]), &recorder), meddling);
    let error = three.unwrap_err();
    assert!(error.message.contains("not of this run") && error.message.ends_with("theirs: new"), "{error:?}");
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1, "that of the first two");
    assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0);
    assert!(error.hint.unwrap().starts_with("what this run had staged was taken back: "));
    assert!(error.left.is_none() && api.staged() == ["theirs"], "{:?}", api.staged());
    // Before the next change.
    let change = world.config(json!({"node_name": "pve", "name": "vmbr1", "comment": "c"}));
    let posted = store.requests().len();
    let error = world.try_apply(one.unwrap().as_ref(), Some(&change), &recorder).await.unwrap_err();
    assert!(error.message.contains("not of this run"), "{}", error.message);
    assert!(store.requests()[posted..].iter().all(|request| request.starts_with("Get ")));
}

#[tokio::test(start_paused = true)]
async fn taking_back_throws_away_what_is_ones_own_alone() {
    for (meanwhile, deleted) in [(None, 1), (Some(Meanwhile::Stages), 0)] {
        let (world, api, store) = refusing(meanwhile);
        let config = world.config(bridge("vmbr1"));
        let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("not now"), "{}", error.message);
        assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), deleted);
        assert!(error.hint.unwrap().contains("was taken back") && error.left.is_none());
        assert_eq!(api.staged(), if meanwhile.is_some() { vec!["theirs"] } else { vec![] });
    }
}

/// Between a change and the look at what it staged: whatever they do, of whatever interface, is theirs.
#[tokio::test(start_paused = true)]
async fn what_others_stage_right_behind_a_change_is_not_taken_for_it() {
    let entry = |address: &str| {
        Some(json!({"type": "bridge", "cidr": address, "gateway": "192.0.2.254", "autostart": "1"}))
    };
    let noted = json!({"type": "bridge", "cidr": "192.0.2.1/24", "autostart": "1", "comments": "theirs"});
    let tagged = json!({"type": "bridge", "cidr": "192.0.2.1/24", "mtu": "1400", "bridge_vlan_aware": "1"});
    for (name, entry, told) in [
        ("vmbr9", entry("192.0.2.9/24"), "vmbr9: new"),
        ("vmbr0", None, "vmbr0: deleted"),
        (
            "vmbr1",
            entry("192.0.2.9/24"),
            "vmbr1: address 192.0.2.1/24 -> 192.0.2.9/24, gateway none -> 192.0.2.254",
        ),
        ("vmbr1", Some(tagged), "vmbr1: auto yes -> none, bridge-vlan-aware none -> yes, mtu none -> 1400"),
        ("vmbr1", Some(noted), "vmbr1: comment ours -> theirs"),
        ("vmbr1", None, "was reverted by somebody else"),
    ] {
        let (world, api, store) = over(Staging::default());
        api.run("vmbr0", json!({"type": "bridge", "cidr": "192.0.2.8/24"}));
        *api.follows.lock().unwrap() = Some((name, entry));
        let mut config =
            json!({"node_name": "pve", "name": "vmbr1", "address": "192.0.2.1/24", "vlan_aware": false});
        if told.contains("comment") {
            config["comment"] = json!("ours");
        }
        let config = world.config(config);
        let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains(told), "{error:?}");
        assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 0);
        assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0);
    }
}

/// It comes between the reload and the look at what it applied.
#[tokio::test(start_paused = true)]
async fn what_others_stage_right_behind_a_reload_is_not_applied_by_the_next_one() {
    let (world, api, store) = over(Staging::default());
    let configs = ["vmbr1", "vmbr2"].map(|name| world.config(bridge(name)));
    let recorder = Recorder::default();
    let follows = || *api.follows.lock().unwrap() = Some(("theirs", Some(json!({"type": "bridge"}))));
    let change = world.try_apply(None, Some(&configs[0]), &recorder);
    let (done, ()) = tokio::join!(change, meanwhile(follows));
    done.unwrap();
    let error = world.try_apply(None, Some(&configs[1]), &recorder).await.unwrap_err();
    assert!(error.message.contains("not of this run") && error.message.ends_with("theirs: new"), "{error:?}");
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1);
}

/// The difference begins behind the name of the interface, and another one has the same lines.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_is_told_although_the_difference_does_not_name_it() {
    let (world, api, _) = over(Staging::default());
    api.run("vmbr2", json!({"type": "bridge", "mtu": "9000", "autostart": "1"}));
    let recorder = Recorder::default();
    let made = world.try_apply(None, Some(&world.config(bridge("vmbr1"))), &recorder).await.unwrap();
    let larger = world.config(json!({"node_name": "pve", "name": "vmbr1", "mtu": 9000}));
    let meddling = || {
        assert!(!api.difference().unwrap().contains("vmbr1"), "{:?}", api.difference());
        api.stage("vmbr99", Some(json!({"type": "bridge"})));
        *api.is_closed.lock().unwrap() = true;
    };
    let change = world.try_apply(made.as_ref(), Some(&larger), &recorder);
    let (done, ()) = tokio::join!(change, meanwhile(meddling));
    let ProviderError { message, hint, left, .. } = done.unwrap_err();
    assert!(message.contains("vmbr99: new; pve has itself staged vmbr1: mtu none -> 9000"), "{message}");
    let hint = hint.unwrap();
    assert!(hint.contains("(pve could not: ") && hint.contains("not now"), "{hint}");
    assert!(is_unfinished(&left.unwrap()) && api.staged() == ["vmbr1", "vmbr99"]);
}

/// One whose staging changes nothing does not hide it.
#[tokio::test(start_paused = true)]
async fn a_revert_by_somebody_else_shows_by_any_interface_of_a_run() {
    let (world, api, store) = over(Staging::default());
    let configs = ["vmbr1", "vmbr2"].map(|name| world.config(bridge(name)));
    let recorder = Recorder::default();
    let made = world.try_apply(None, Some(&configs[0]), &recorder).await.unwrap().unwrap();
    let due = with(&made, "timeout_reload", Value::number(0));
    let again = world.try_apply(Some(&due), Some(&configs[0]), &recorder);
    let new = world.try_apply(None, Some(&configs[1]), &recorder);
    let (again, new, ()) = tokio::join!(again, new, meanwhile(|| api.revert()));
    for error in [again.unwrap_err(), new.unwrap_err()] {
        assert!(error.message.contains("was reverted by somebody else"), "{error:?}");
    }
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1, "the first");
}

/// The deletion of `vmbr1`, as it was when an earlier run had staged it.
async fn left_of(world: &World) -> (Value, ReadRequest) {
    let prior = world.plan(None, &world.config(bridge("vmbr1"))).planned.unwrap();
    let (address, provider) = (world.address.clone(), "proxmox".to_string());
    let request = ReadRequest { address, provider, prior, identity: None };
    let left = world.provider.remains(request.clone(), &["delete".to_string()]).await.unwrap().unwrap();
    let request = ReadRequest { prior: left.clone(), ..request };
    (left, request)
}

#[tokio::test(start_paused = true)]
async fn a_revert_of_what_an_earlier_run_has_staged_is_not_taken_for_its_application() {
    let (world, api, store) = leaving();
    let (left, _) = left_of(&world).await;
    let recorder = Recorder::default();
    let (done, ()) = tokio::join!(world.try_apply(Some(&left), None, &recorder), meanwhile(|| api.revert()));
    let error = done.unwrap_err();
    assert!(error.message.contains("was reverted by somebody else"), "{error:?}");
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 0);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_reverts_as_the_reload_does_not_begin_is_not_told_to_be_reverted() {
    let (world, api, store) = refusing(Some(Meanwhile::Reverts));
    let config = world.config(bridge("vmbr1"));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    let hint = error.hint.unwrap();
    assert!(error.message.contains("not now") && hint.contains("was reverted by somebody else"), "{hint}");
    assert!(!hint.contains("could not be taken back") && api.staged().is_empty());
    assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0);
}

/// The plan knew no name of any interface when it was looked at.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_has_staged_is_beside_a_plan_whose_names_are_known_late() {
    let (world, _, store) = leaving();
    world.provider.recall(&left_of(&world).await.1, false);
    let config = world.config(bridge("vmbr7"));
    let mut request = world.request(None, Some(&config));
    request.planned = request.planned.map(|planned| with_unknown(&planned, "name"));
    world.provider.expect(&[request]);
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("an earlier run has staged"), "{error:?}");
    assert!(store.requests().iter().all(|request| request.starts_with("Get ")));
}

#[tokio::test(start_paused = true)]
async fn what_others_stage_of_an_interface_once_that_was_taken_back_is_not_of_an_earlier_run() {
    let (world, api, _) = leaving();
    *api.is_refused.lock().unwrap() = true;
    let (left, request) = left_of(&world).await;
    world.provider.recall(&request, false);
    let recorder = Recorder::default();
    let error = world.try_apply(Some(&left), None, &recorder).await.unwrap_err();
    assert!(error.hint.unwrap().contains("was taken back") && api.staged().is_empty());
    api.stage("vmbr1", None);
    let error = world.try_apply(None, Some(&world.config(bridge("vmbr7"))), &recorder).await.unwrap_err();
    assert!(error.message.contains("not of this run"), "{error:?}");
}
