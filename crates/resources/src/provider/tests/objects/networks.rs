//! Changes of a node's network: applied once, taken back where they cannot be applied.

use std::sync::Arc;
use std::time::Duration;

use pve_executor::ports::{Provider, ReadRequest};
use serde_json::{Value as Json, json};

use super::super::simulated::refused::Refusing;
use super::super::watched::Watched;
use super::super::{Recorder, World};
use super::staging::Staging;
use super::store::Store;
use super::world;
use crate::cluster::ApiError;

pub(super) const BRIDGE: &str = "proxmox_network_linux_bridge";

pub(super) fn bridge(name: &str) -> Json {
    json!({"node_name": "pve", "name": name, "timeout_reload": 5})
}

pub(super) fn count(requests: &[String], begin: &str) -> usize {
    requests.iter().filter(|request| request.starts_with(begin)).count()
}

#[tokio::test]
async fn changes_that_come_together_are_applied_once() {
    let (world, store) = world(BRIDGE);
    let configs = ["vmbr1", "vmbr2", "vmbr3"].map(|name| world.config(bridge(name)));
    let recorder = Recorder::default();
    let [one, two, three] = [0, 1, 2].map(|index| world.try_apply(None, Some(&configs[index]), &recorder));
    let (one, two, three) = tokio::join!(one, two, three);
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1);
    let slower = world.config(json!({"node_name": "pve", "name": "vmbr1", "timeout_reload": 50}));
    world.try_apply(one.unwrap().as_ref(), Some(&slower), &recorder).await.unwrap();
    assert_eq!(
        count(&store.requests(), "Put /nodes/pve/network"),
        1,
        "how long to wait is no change of a node"
    );
}

#[tokio::test]
async fn what_cannot_be_applied_is_taken_back() {
    let (world, store) = world(BRIDGE);
    let error = ApiError { message: "ifreload failed".into(), hint: None, status: Some(500), lost: false };
    *store.failing.lock().unwrap() = Some(("Put /nodes/pve/network".into(), error));
    let config = world.config(bridge("vmbr1"));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("ifreload failed") && error.hint.unwrap().contains("taken back"));
    assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 1);
}

#[tokio::test]
async fn a_reload_that_fails_has_been_written_and_is_not_said_to_be_taken_back() {
    let (world, store) = world(BRIDGE);
    let error = ApiError { message: "ifreload failed".into(), hint: None, status: None, lost: false };
    *store.failing.lock().unwrap() = Some(("Wait".into(), error));
    let config = world.config(json!({"node_name": "pve", "name": "vmbr1"}));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("ifreload failed") && error.hint.unwrap().contains("/etc/network"));
    assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0);
    // The next run applies it once more, although the file says the same as the configuration.
    *store.failing.lock().unwrap() = None;
    let read = world.read(&error.left.unwrap()).await.unwrap();
    let planned = world.plan(Some(&read), &config);
    assert!(planned.notes.iter().any(|note| note.contains("reloaded")), "{:?}", planned.notes);
    let done = world.try_apply(Some(&read), Some(&config), &Recorder::default()).await.unwrap().unwrap();
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 2);
    assert!(crate::values::same(&done, &world.plan(Some(&done), &config).planned.unwrap()));
}

#[tokio::test]
async fn what_a_change_left_that_cannot_be_read_stays_open() {
    let (world, store) = world(BRIDGE);
    *store.breaks_at.lock().unwrap() = Some((2, false));
    let error = ApiError { message: "no quorum".into(), hint: None, status: Some(500), lost: false };
    *store.failing.lock().unwrap() = Some(("Get /nodes/pve/network/vmbr1".into(), error));
    let config = world.config(bridge("vmbr1"));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.left.is_none() && error.indeterminate, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_without_an_answer_is_taken_back_as_far_as_it_is_staged() {
    let (world, store) = world(BRIDGE);
    let error = ApiError { message: "the connection broke".into(), hint: None, status: None, lost: true };
    *store.failing.lock().unwrap() = Some(("Put /nodes/pve/network".into(), error));
    let config = world.config(bridge("vmbr1"));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.indeterminate && error.hint.unwrap().contains("was taken back"));
    assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_node_that_does_not_answer_for_a_while_is_waited_for() {
    let (world, store) = world(BRIDGE);
    let error = ApiError { message: "no route to host".into(), hint: None, status: Some(595), lost: true };
    *store.failing.lock().unwrap() = Some(("Wait".into(), error));
    let config = world.config(bridge("vmbr1"));
    let recorder = Recorder::default();
    let change = world.try_apply(None, Some(&config), &recorder);
    let comes_back = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        *store.failing.lock().unwrap() = None;
    };
    let (done, ()) = tokio::join!(change, comes_back);
    assert!(done.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_is_told_of() {
    let (world, store) = world(BRIDGE);
    let error = ApiError { message: "no route to host".into(), hint: None, status: Some(595), lost: false };
    *store.failing.lock().unwrap() = Some(("Get /nodes/pve/network".into(), error));
    let config = world.config(bridge("vmbr1"));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("cannot be reached") && error.indeterminate, "{error:?}");
}

/// The second has its turn when the first one, whose reload does not begin, is taken back.
#[tokio::test(start_paused = true)]
async fn a_change_is_not_staged_while_another_one_is_applied_or_taken_back() {
    let (inner, store) = world(BRIDGE);
    let api = Watched::over(&inner.api, Refusing::default());
    *api.reload.lock().unwrap() = Some(Duration::from_millis(300));
    let first = World::over(BRIDGE, api);
    let configs = ["vmbr1", "vmbr2"].map(|name| first.config(bridge(name)));
    let recorder = Recorder::default();
    let mut later = first.request(None, Some(&configs[1]));
    later.address = "proxmox_network_linux_bridge.b".parse().unwrap();
    let later = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        pve_executor::ports::Provider::apply(&first.provider, later, &recorder).await
    };
    let (one, two) = tokio::join!(first.try_apply(None, Some(&configs[0]), &recorder), later);
    assert!(one.unwrap_err().message.contains("not now"));
    two.unwrap();
    let mut writes = store.requests();
    writes.retain(|request| !request.starts_with("Get "));
    let begins = ["Post", "Delete /nodes/pve/network ", "Post", "Put /nodes/pve/network "];
    assert_eq!(writes.len(), begins.len(), "{writes:?}");
    let agree = writes.iter().zip(begins).all(|(write, begin)| write.starts_with(begin));
    assert!(agree, "{writes:?}");
}

#[tokio::test]
async fn what_could_not_be_read_afterwards_is_not_staged() {
    let (world, store) = world(BRIDGE);
    let error =
        ApiError { message: "Permission check failed".into(), hint: None, status: Some(403), lost: false };
    *store.failing.lock().unwrap() = Some(("Get /nodes/pve/network/vmbr1".into(), error));
    let config = world.config(bridge("vmbr1"));
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("Permission check failed") && error.left.is_none(), "{error:?}");
    assert!(store.requests().iter().all(|request| request.starts_with("Get ")), "{:?}", store.requests());
}

/// A node of which the deletion of `vmbr1` is staged.
pub(super) fn leaving() -> (World, Arc<Watched<Staging>>, Arc<Store>) {
    let (inner, store) = world(BRIDGE);
    let api = Watched::over(&inner.api, Staging::default());
    for name in ["vmbr0", "vmbr1"] {
        api.run(name, json!({"type": "bridge", "cidr": "192.0.2.1/24"}));
    }
    api.stage("vmbr1", None);
    (World::over(BRIDGE, api.clone()), api, store)
}

#[tokio::test]
async fn a_deletion_that_a_crash_left_staged_is_not_done() {
    let (world, api, _) = leaving();
    let prior = world.plan(None, &world.config(bridge("vmbr1"))).planned.unwrap();
    assert_eq!(world.read(&prior).await, None, "somebody else's is told as gone");
    let request = ReadRequest {
        address: world.address.clone(),
        provider: "proxmox".into(),
        prior: prior.clone(),
        identity: None,
    };
    let left = world.provider.remains(request.clone(), &["delete".to_string()]).await.unwrap().unwrap();
    assert_eq!(world.read(&left).await.as_ref(), Some(&left), "it stays until it is applied");
    // The next run deletes it once more, which is no error, and applies that.
    world.try_apply(Some(&left), None, &Recorder::default()).await.unwrap();
    assert!(api.staged().is_empty());
    assert_eq!(world.provider.remains(request, &["delete".to_string()]).await.unwrap(), None);
    assert_eq!(world.read(&left).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_staged_is_not_applied_by_a_plan_that_is_about_less() {
    for (name, entry, told) in [
        ("vmbr0", None, Some("vmbr0: deleted")),
        (
            "vmbr0",
            Some(json!({"type": "bridge", "cidr": "192.0.2.9/24"})),
            Some("vmbr0: address 192.0.2.1/24 -> 192.0.2.9/24"),
        ),
        ("vmbr9", Some(json!({"type": "bridge"})), Some("vmbr9: new")),
        ("eno1", Some(json!({"type": "eth"})), None),
    ] {
        let (world, api, store) = leaving();
        api.stage(name, entry);
        let config = world.config(bridge("vmbr1"));
        let prior = world.plan(None, &config).planned.unwrap();
        let request =
            ReadRequest { address: world.address.clone(), provider: "proxmox".into(), prior, identity: None };
        let left = world.provider.remains(request, &["delete".to_string()]).await.unwrap().unwrap();
        world.provider.expect(&[world.request(Some(&left), Some(&config))]);
        let done = world.try_apply(Some(&left), Some(&config), &Recorder::default()).await;
        assert_eq!(done.is_err(), told.is_some(), "{name}: {done:?}");
        if let (Err(error), Some(told)) = (done, told) {
            assert!(error.message.contains("not of this run") && error.message.ends_with(told), "{error:?}");
            assert!(store.requests().iter().all(|request| request.starts_with("Get ")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_whose_deletion_a_crash_left_staged_is_asked_for_anew_when_it_is_wanted_again() {
    for config in [bridge("vmbr1"), json!({"node_name": "pve", "name": "vmbr1", "comment": "again"})] {
        let (world, api, store) = leaving();
        let config = world.config(config);
        let prior = world.plan(None, &world.config(bridge("vmbr1"))).planned.unwrap();
        let request =
            ReadRequest { address: world.address.clone(), provider: "proxmox".into(), prior, identity: None };
        let left = world.provider.remains(request, &["delete".to_string()]).await.unwrap().unwrap();
        let response = world.plan(Some(&left), &config);
        assert!(response.replace.is_empty() && response.planned.as_ref() != Some(&left));
        let done = world.try_apply(Some(&left), Some(&config), &Recorder::default()).await.unwrap().unwrap();
        let mut writes = store.requests();
        writes.retain(|request| !request.starts_with("Get "));
        assert!(writes[0].starts_with("Post /nodes/pve/network "), "{writes:?}");
        assert!(writes[0].contains("vmbr1") && writes[0].contains("bridge"), "all of it: {writes:?}");
        assert!(writes[1].starts_with("Put /nodes/pve/network ") && writes.len() == 2, "{writes:?}");
        assert!(api.staged().is_empty());
        let read = world.read(&done).await.unwrap();
        assert!(crate::values::same(&read, &world.plan(Some(&read), &config).planned.unwrap()));
    }
}
