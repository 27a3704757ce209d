//! Changes of a node's network of which not all could be staged: what would take something away is not applied.

use std::sync::Arc;

use async_trait::async_trait;
use pve_executor::ports::{ActionProgress, ProviderError};
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::watched::Watched;
use super::super::{Recorder, World};
use super::networks::{BRIDGE, count};
use super::staging::Staging;
use super::store::Store;
use super::world;

/// Something else of the batch failed.
struct Partial;

#[async_trait]
impl ActionProgress for Partial {
    async fn task_submitted(&self, _: &str, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn step_completed(&self, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn staged(&self, _: Option<&Value>) -> bool {
        false
    }
    fn status(&self, _: &str) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

fn uplink() -> Json {
    json!({"node_name": "pve", "name": "vmbr1", "address": "192.0.2.1/24", "gateway": "192.0.2.254",
           "ports": ["eno1"], "timeout_reload": 5})
}

/// The uplink with one attribute otherwise.
fn with(attribute: &str, value: Json) -> Json {
    let mut config = uplink();
    config[attribute] = value;
    config
}

fn staging() -> (World, Arc<Watched<Staging>>, Arc<Store>) {
    let (inner, store) = world(BRIDGE);
    let api = Watched::over(&inner.api, Staging::default());
    (World::over(BRIDGE, api.clone()), api, store)
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_batch_that_takes_something_away_is_taken_back() {
    let taking = [
        None,
        Some(with("address", Json::Null)),
        Some(with("address", json!("192.0.2.2/24"))),
        Some(with("gateway", Json::Null)),
        Some(with("ports", json!([]))),
        Some(with("ports", json!(["eno2"]))),
    ];
    for next in taking {
        let (world, api, store) = staging();
        let config = world.config(uplink());
        let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
        let planned = next.as_ref().map(|next| world.config(next.clone()));
        let error = world.try_apply(made.as_ref(), planned.as_ref(), &Partial).await.unwrap_err();
        assert!(error.message.contains("not all changes of it could be staged"), "{}", error.message);
        assert!(error.hint.unwrap().contains("was taken back") && !error.indeterminate);
        let requests = store.requests();
        assert_eq!(count(&requests, "Put /nodes/pve/network "), 1, "{next:?}: the first one alone");
        assert_eq!(count(&requests, "Delete /nodes/pve/network "), 1, "{next:?}");
        assert!(api.staged().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_batch_that_only_adds_is_applied() {
    let adding = [
        with("comment", json!("c")),
        with("ports", json!(["eno1", "eno2"])),
        with("address6", json!("fd00::1/64")),
    ];
    for next in adding {
        let (world, _, store) = staging();
        let config = world.config(uplink());
        let made = world.try_apply(None, Some(&config), &Partial).await.unwrap();
        let config = world.config(next);
        world.try_apply(made.as_ref(), Some(&config), &Partial).await.unwrap();
        assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 2);
        assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0);
    }
}

/// Whether its answer is lost, or nobody can look afterwards: it may be staged, and is nobody else's.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_perhaps_staged_is_of_this_run_and_taken_back_with_the_rest() {
    for is_answered in [false, true] {
        let (world, api, store) = staging();
        let config = world.config(uplink());
        let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
        match is_answered {
            false => *api.loses.lock().unwrap() = true,
            // The first look is before the change.
            true => *api.tells.lock().unwrap() = Some(1),
        }
        let lost = world.config(json!({"node_name": "pve", "name": "vmbr2", "timeout_reload": 5}));
        let error = world.try_apply(None, Some(&lost), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("it broke"), "{}", error.message);
        assert_eq!(api.staged().len(), 1);
        let error = world.try_apply(made.as_ref(), None, &Partial).await.unwrap_err();
        assert!(error.hint.unwrap().contains("was taken back"), "{}", error.message);
        assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1);
        assert!(api.staged().is_empty());
    }
}

/// What gives something up is perhaps staged: others that only add are not applied with it.
#[tokio::test(start_paused = true)]
async fn what_only_adds_is_not_applied_beside_a_change_that_perhaps_takes_away() {
    let (world, api, store) = staging();
    let config = world.config(uplink());
    let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
    *api.tells.lock().unwrap() = Some(1);
    let less = world.config(with("gateway", Json::Null));
    world.try_apply(made.as_ref(), Some(&less), &Recorder::default()).await.unwrap_err();
    let other = world.config(json!({"node_name": "pve", "name": "vmbr2", "timeout_reload": 5}));
    let error = world.try_apply(None, Some(&other), &Partial).await.unwrap_err();
    assert!(error.hint.unwrap().contains("was taken back"), "{}", error.message);
    assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1);
}

/// What others stage while the batch is staged stays, and so does the node as it was.
#[tokio::test(start_paused = true)]
async fn what_a_run_has_staged_is_taken_back_alone_when_others_have_staged_something() {
    let next = [None, Some(with("gateway", Json::Null)), Some(with("ports", json!(["eno1", "eno2"])))];
    for next in next {
        let (world, api, store) = staging();
        let config = world.config(uplink());
        let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
        let planned = next.as_ref().map(|next| world.config(next.clone()));
        let meddling = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            api.stage("vmbr99", Some(json!({"type": "bridge"})));
        };
        let recorder = Recorder::default();
        let (done, ()) = tokio::join!(world.try_apply(made.as_ref(), planned.as_ref(), &recorder), meddling);
        let error = done.unwrap_err();
        assert!(error.message.ends_with("vmbr99: new"), "{next:?}: {error:?}");
        assert!(error.hint.unwrap().starts_with("what this run had staged was taken back"));
        // The record stays as it was: nothing of the change is left.
        assert!(error.left.is_none() && !error.indeterminate, "{:?}", error.left);
        assert_eq!(api.staged(), ["vmbr99"], "{next:?}");
        assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 1, "{next:?}: the first one alone");
        assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0, "{next:?}");
    }
}
