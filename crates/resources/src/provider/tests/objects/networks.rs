//! Changes of a node's network: applied once, taken back where they cannot be applied.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::simulated::refused::Refusing;
use super::super::{Recorder, World};
use super::world;
use crate::cluster::ApiError;

const BRIDGE: &str = "proxmox_network_linux_bridge";

fn bridge(name: &str) -> Json {
    json!({"node_name": "pve", "name": name, "timeout_reload": 5})
}

fn count(requests: &[String], begin: &str) -> usize {
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

/// The second is staged while the reload that does not begin is asked for, and is taken back with the first.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_taken_back_with_another_one_has_failed_too() {
    let (inner, store) = world(BRIDGE);
    let api = Refusing::over(inner.api.clone());
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
    assert!(two.unwrap_err().message.contains("not now"));
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 0, "nothing was left to reload");
    assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 1);
}
