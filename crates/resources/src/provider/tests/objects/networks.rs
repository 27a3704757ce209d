//! Changes of a node's network: applied once, taken back where they cannot be applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::{Provider, ReadRequest};
use serde_json::{Map, Value as Json, json};

use super::super::simulated::refused::{Refusing, refusal};
use super::super::watched::{Watch, Watched};
use super::super::{Recorder, World};
use super::store::Store;
use super::world;
use crate::cluster::{Api, ApiError, Method, NodeNetwork};

pub(super) const BRIDGE: &str = "proxmox_network_linux_bridge";

fn bridge(name: &str) -> Json {
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

fn broken() -> ApiError {
    ApiError { message: "it broke".into(), hint: None, status: None, lost: true }
}

type Interfaces = BTreeMap<String, Map<String, Json>>;

/// A node that keeps interfaces, and tells what is staged of them.
#[derive(Default)]
pub(super) struct Staging {
    running: Mutex<Interfaces>,
    pending: Mutex<Option<Interfaces>>,
    /// The next change is staged, and its answer lost.
    pub(super) loses: Mutex<bool>,
    /// How often it tells what is staged until it fails to, once.
    pub(super) tells: Mutex<Option<usize>>,
    /// The reload does not begin.
    is_refused: bool,
    /// Somebody else stages something as the reload is asked for.
    is_late: bool,
    /// Somebody else stages this behind the next change, before anybody can look.
    follows: Mutex<Option<(&'static str, Option<Json>)>>,
}

impl Staging {
    /// Stages an interface, or that it goes.
    pub(super) fn stage(&self, name: &str, entry: Option<Json>) {
        let mut pending = self.pending.lock().unwrap();
        let interfaces = pending.get_or_insert_with(|| self.running.lock().unwrap().clone());
        match entry {
            Some(mut entry) => {
                entry["iface"] = json!(name);
                interfaces.insert(name.to_string(), entry.as_object().unwrap().clone());
            }
            None => drop(interfaces.remove(name)),
        }
    }

    fn meddle(&self) {
        self.stage("theirs", Some(json!({"type": "bridge"})));
    }

    fn changed(&self, name: &str, params: &[(String, String)]) {
        let known = self.pending.lock().unwrap().clone();
        let known = known.unwrap_or_else(|| self.running.lock().unwrap().clone());
        let mut entry = known.get(name).cloned().unwrap_or_default();
        for (name, value) in params {
            match name.as_str() {
                "delete" => value.split(',').for_each(|gone| drop(entry.remove(gone))),
                _ => drop(entry.insert(name.clone(), json!(value))),
            }
        }
        self.stage(name, Some(Json::Object(entry)));
    }

    /// The names of interfaces of which something is staged.
    pub(super) fn staged(&self) -> Vec<String> {
        let running = self.running.lock().unwrap();
        let pending = self.pending.lock().unwrap();
        let Some(pending) = pending.as_ref() else { return Vec::new() };
        let names: BTreeSet<&String> = running.keys().chain(pending.keys()).collect();
        names.into_iter().filter(|name| running.get(*name) != pending.get(*name)).cloned().collect()
    }

    fn difference(&self) -> Option<String> {
        let text = |sign: char, name: &str, entry: Option<&Map<String, Json>>| {
            let options =
                entry.into_iter().flatten().filter(|(name, _)| !["iface", "type"].contains(&name.as_str()));
            let options: String = options
                .map(|(name, value)| format!("{sign}\t{name} {}\n", value.as_str().unwrap()))
                .collect();
            entry.map(|_| format!("{sign}iface {name} inet manual\n{options}")).unwrap_or_default()
        };
        let running = self.running.lock().unwrap().clone();
        let pending = self.pending.lock().unwrap().clone().unwrap_or_default();
        let one = |name: &String| text('-', name, running.get(name)) + &text('+', name, pending.get(name));
        let staged = self.staged();
        (!staged.is_empty()).then(|| staged.iter().map(one).collect())
    }
}

#[async_trait]
impl Watch for Staging {
    async fn before(
        &self,
        _: &dyn Api,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<(), ApiError> {
        let name = path.strip_prefix("/nodes/pve/network/");
        let made = params.iter().find(|(name, _)| name == "iface").map(|(_, name)| name.as_str());
        match (method, name) {
            (Method::Get, _) => return Ok(()),
            (Method::Put, None) if self.is_refused => {
                if self.is_late {
                    self.meddle();
                }
                return Err(refusal());
            }
            (Method::Put, None) => {
                let pending = self.pending.lock().unwrap().take();
                pending.into_iter().for_each(|pending| *self.running.lock().unwrap() = pending);
            }
            (Method::Delete, None) => *self.pending.lock().unwrap() = None,
            (Method::Delete, Some(name)) => self.stage(name, None),
            (_, name) => self.changed(name.or(made).unwrap(), params),
        }
        if let Some((name, entry)) = self.follows.lock().unwrap().take() {
            self.stage(name, entry);
        }
        match std::mem::take(&mut *self.loses.lock().unwrap()) {
            true => Err(broken()),
            false => Ok(()),
        }
    }

    async fn node_network(&self, _: &dyn Api, _: &str) -> Result<Option<NodeNetwork>, ApiError> {
        let left = self.tells.lock().unwrap().take();
        *self.tells.lock().unwrap() = left.and_then(|left| left.checked_sub(1));
        if left == Some(0) {
            return Err(broken());
        }
        let changes = self.difference();
        let pending = self.pending.lock().unwrap().clone();
        let interfaces = pending.unwrap_or_else(|| self.running.lock().unwrap().clone());
        Ok(Some(NodeNetwork { interfaces: interfaces.into_values().map(Json::Object).collect(), changes }))
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_stages_in_the_middle_of_a_run_is_neither_applied_nor_thrown_away() {
    let (inner, store) = world(BRIDGE);
    let api = Watched::over(&inner.api, Staging::default());
    let world = World::over(BRIDGE, api.clone());
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
    for (is_late, deleted) in [(false, 1), (true, 0)] {
        let (inner, store) = world(BRIDGE);
        let refused = Staging { is_refused: true, is_late, ..Staging::default() };
        let api = Watched::over(&inner.api, refused);
        let world = World::over(BRIDGE, api.clone());
        let config = world.config(bridge("vmbr1"));
        let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains("not now"), "{}", error.message);
        assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), deleted);
        assert!(error.hint.unwrap().contains("was taken back") && error.left.is_none());
        assert_eq!(api.staged(), if is_late { vec!["theirs"] } else { vec![] });
    }
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
fn leaving() -> (World, Arc<Watched<Staging>>, Arc<Store>) {
    let (inner, store) = world(BRIDGE);
    let api = Watched::over(&inner.api, Staging::default());
    for name in ["vmbr0", "vmbr1"] {
        let entry = json!({"iface": name, "type": "bridge", "cidr": "192.0.2.1/24"});
        api.running.lock().unwrap().insert(name.to_string(), entry.as_object().unwrap().clone());
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
            Some("vmbr0: cidr 192.0.2.1/24 -> 192.0.2.9/24"),
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
        world.provider.doubts(&[world.request(Some(&left), Some(&config))]).await;
        let done = world.try_apply(Some(&left), Some(&config), &Recorder::default()).await;
        assert_eq!(done.is_err(), told.is_some(), "{name}");
        if let (Err(error), Some(told)) = (done, told) {
            assert!(error.message.contains("not of this run") && error.message.ends_with(told), "{error:?}");
            assert!(store.requests().iter().all(|request| request.starts_with("Get ")));
        }
    }
}

/// Between a change and the look at what it staged: whatever they do, of whatever interface, is theirs.
#[tokio::test(start_paused = true)]
async fn what_others_stage_right_behind_a_change_is_not_taken_for_it() {
    let entry = |address: &str| Some(json!({"type": "bridge", "cidr": address, "gateway": "192.0.2.254"}));
    for (name, entry, told) in [
        ("vmbr9", entry("192.0.2.9/24"), "vmbr9: new"),
        ("vmbr0", None, "vmbr0: deleted"),
        (
            "vmbr1",
            entry("192.0.2.9/24"),
            "vmbr1: address 192.0.2.1/24 -> 192.0.2.9/24, gateway none -> 192.0.2.254",
        ),
        ("vmbr1", None, "was reverted by somebody else"),
    ] {
        let (inner, store) = world(BRIDGE);
        let api = Watched::over(&inner.api, Staging::default());
        let running = json!({"iface": "vmbr0", "type": "bridge", "cidr": "192.0.2.8/24"});
        api.running.lock().unwrap().insert("vmbr0".into(), running.as_object().unwrap().clone());
        *api.follows.lock().unwrap() = Some((name, entry));
        let world = World::over(BRIDGE, api.clone());
        let config = world.config(json!({"node_name": "pve", "name": "vmbr1", "address": "192.0.2.1/24"}));
        let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
        assert!(error.message.contains(told), "{error:?}");
        assert_eq!(count(&store.requests(), "Put /nodes/pve/network "), 0);
        assert_eq!(count(&store.requests(), "Delete /nodes/pve/network "), 0);
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
