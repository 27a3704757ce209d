//! A request of a change is refused: what took effect before is in the error, and the next run completes it. The kinds
//! that are written by hand; those described as data have the same test against a store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pve_model::Value;
use serde_json::{Value as Json, json};

use super::super::lives::VM;
use super::super::watched::{Watch, Watched};
use super::super::{Recorder, World};
use super::{world, world_with};
use crate::cluster::{Api, ApiError, Method};
use crate::values::{changed, text};

/// Refuses one request.
#[derive(Default)]
pub(in super::super) struct Refusing {
    /// How many requests are left until one is refused.
    at: Mutex<Option<usize>>,
    /// A part of the path of writes that are refused.
    path: Mutex<Option<&'static str>>,
    /// Whether the request that is refused by its number takes effect, and only its answer is lost.
    is_lost: AtomicBool,
    /// How long the next reload of a network takes until it is refused.
    pub(in super::super) reload: Mutex<Option<Duration>>,
}

impl Refusing {
    /// Refuses the request of this number, counted from now.
    pub(super) fn refuse_from_now(&self, at: Option<usize>) {
        *self.at.lock().unwrap() = at;
    }

    /// As [`Refusing::refuse_from_now`], of a request that takes effect: its answer is lost.
    pub(super) fn lose_from_now(&self, at: Option<usize>) {
        self.is_lost.store(true, Ordering::Relaxed);
        self.refuse_from_now(at);
    }

    /// Refuses writes with this part in their path, or no more.
    pub(super) fn refuse_path(&self, part: Option<&'static str>) {
        *self.path.lock().unwrap() = part;
    }

    /// Whether it is this request.
    fn counts_down(&self) -> bool {
        let mut at = self.at.lock().unwrap();
        *at = at.and_then(|left| left.checked_sub(1));
        *at == Some(0)
    }

    /// Whether that request was asked.
    pub(super) fn is_past(&self) -> bool {
        self.at.lock().unwrap().take().is_none_or(|left| left == 0)
    }
}

/// Says of a request that it had no effect.
pub(in super::super) fn refusal() -> ApiError {
    ApiError { message: "not now".into(), hint: None, status: Some(500), lost: false }
}

#[async_trait]
impl Watch for Refusing {
    async fn before(
        &self,
        cluster: &dyn Api,
        method: Method,
        path: &str,
        params: &[(String, String)],
    ) -> Result<(), ApiError> {
        let by_number = self.counts_down();
        if by_number && self.is_lost.load(Ordering::Relaxed) {
            let _answer = cluster.send(method, path, params).await;
            return Err(ApiError { lost: true, status: None, ..refusal() });
        }
        let refused = *self.path.lock().unwrap();
        if by_number || method != Method::Get && refused.is_some_and(|part| path.contains(part)) {
            return Err(refusal());
        }
        if method == Method::Put && path.ends_with("/network") {
            let slow = self.reload.lock().unwrap().take();
            if let Some(slow) = slow {
                tokio::time::sleep(slow).await;
                return Err(refusal());
            }
        }
        Ok(())
    }

    async fn before_command(&self, cluster: &dyn Api, node: &str, command: &[&str]) -> Result<(), ApiError> {
        if !self.counts_down() {
            return Ok(());
        }
        if self.is_lost.load(Ordering::Relaxed) {
            let _output = cluster.run(node, command, Duration::from_secs(60)).await;
            return Err(ApiError { lost: true, status: None, ..refusal() });
        }
        Err(refusal())
    }
}

const CLONED: &str = "proxmox_cloned_vm";

const URL: &str = "https://images.example.test/refused.qcow2";

/// What each kind becomes in turn, before it is destroyed.
fn lives() -> Vec<(&'static str, Vec<Json>)> {
    let rule = |port: &str| json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port});
    let entry = |name: &str| json!({ "name": name });
    let raw = |data: &str| json!([{"data": data, "file_name": "r.iso"}]);
    vec![
        (
            "proxmox_virtual_environment_firewall_ipset",
            vec![
                json!({"name": "home", "comment": "c", "cidr": [entry("192.0.2.0/24"), entry("198.51.100.1")]}),
                json!({"name": "away", "cidr": [entry("203.0.113.0/24"), entry("198.51.100.1")]}),
            ],
        ),
        (
            "proxmox_virtual_environment_cluster_firewall_security_group",
            vec![
                json!({"name": "web", "comment": "c", "rule": [rule("80"), rule("443")]}),
                json!({"name": "site", "rule": [rule("22"), rule("80"), rule("443")]}),
            ],
        ),
        (
            "proxmox_virtual_environment_firewall_alias",
            vec![
                json!({"name": "office", "cidr": "192.0.2.1/32"}),
                json!({"name": "branch", "cidr": "198.51.100.0/24", "comment": "c"}),
            ],
        ),
        (
            "proxmox_virtual_environment_firewall_rules",
            vec![json!({"rule": [rule("80"), rule("443")]}), json!({"rule": [rule("22")]})],
        ),
        (
            "proxmox_virtual_environment_cluster_firewall",
            vec![json!({"enabled": true}), json!({"enabled": true, "input_policy": "REJECT"})],
        ),
        (
            "proxmox_node_firewall",
            vec![json!({"node_name": "pve"}), json!({"node_name": "pve", "nosmurfs": false})],
        ),
        (
            "proxmox_virtual_environment_oci_image",
            vec![
                json!({"node_name": "pve", "datastore_id": "local", "reference": "docker.io/library/ubuntu:24.04"}),
            ],
        ),
        (
            "proxmox_virtual_environment_download_file",
            vec![json!({"node_name": "pve", "datastore_id": "local", "content_type": "import", "url": URL})],
        ),
        (
            "proxmox_virtual_environment_file",
            ["one", "three"]
                .map(|data| json!({"node_name": "pve", "datastore_id": "local", "source_raw": raw(data)}))
                .to_vec(),
        ),
    ]
}

/// Refuses one request of the last of these steps, and lets the next run do it. Returns whether there was one to refuse.
async fn refused_at(
    world: &World,
    api: &Refusing,
    steps: &[Option<&Json>],
    at: usize,
) -> Result<bool, String> {
    let (last, before) = steps.split_last().unwrap();
    let mut prior: Option<Value> = None;
    for config in before.iter().flatten() {
        let config = world.config((*config).clone());
        let made = world.try_apply(prior.as_ref(), Some(&config), &Recorder::default()).await;
        prior = made.map_err(|error| format!("begin: {}", error.message))?;
    }
    let config = last.map(|config| world.config(config.clone()));
    api.refuse_from_now(Some(at));
    let done = world.try_apply(prior.as_ref(), config.as_ref(), &Recorder::default()).await;
    let was_refused = api.is_past();
    let known = match done {
        Ok(after) => after,
        Err(error) if error.indeterminate => return Err(format!("it is left open: {}", error.message)),
        Err(error) => match error.left {
            Some(left) => {
                let read = world.read(&left).await.ok_or("what is left cannot be read")?;
                let names = changed(&left, &read);
                if names.is_empty() { Some(left) } else { return Err(format!("{names:?} is not as told")) }
            }
            None => prior,
        },
    };
    let read = match &known {
        Some(known) => world.read(known).await,
        None => None,
    };
    let fail = |error: pve_executor::ports::ProviderError| format!("finish: {}", error.message);
    let Some(config) = config else {
        if let Some(read) = read {
            world.try_apply(Some(&read), None, &Recorder::default()).await.map_err(fail)?;
        }
        return Ok(was_refused);
    };
    let after =
        world.try_apply(read.as_ref(), Some(&config), &Recorder::default()).await.map_err(fail)?.unwrap();
    world.assert_settled(&after, &config).await;
    world.try_apply(Some(&after), None, &Recorder::default()).await.map_err(fail)?;
    Ok(was_refused)
}

async fn faults_of(kind: &'static str, configs: &[Json]) -> Vec<String> {
    let (world, server) = world(kind).await;
    server.simulator().register_url(URL, b"an image");
    let api = Watched::over(&world.api, Refusing::default());
    let world = World::over(kind, api.clone());
    let whole: Vec<Option<&Json>> = configs.iter().map(Some).chain([None]).collect();
    let mut faults = Vec::new();
    for count in 1..=whole.len() {
        for at in 1.. {
            match refused_at(&world, &api, &whole[..count], at).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    faults.push(format!("{kind}, step {count}, request {at}: {fault}"));
                    return faults;
                }
            }
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_kind_written_by_hand_is_completed_whatever_request_was_refused() {
    let mut kinds = tokio::task::JoinSet::new();
    for (kind, configs) in lives() {
        kinds.spawn(async move { faults_of(kind, &configs).await });
    }
    let faults = kinds.join_all().await.concat();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// A clone for another node is made beside its template where they share no storage, and then moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_could_not_be_moved_to_its_node_is_known_where_it_is() {
    let options = pve_simulator::Options {
        other_nodes: vec!["pve2".into()],
        status_cycle: Duration::ZERO,
        ..Default::default()
    };
    let (template, _server) = world_with(VM, options).await;
    let config = json!({"node_name": "pve", "vm_id": 9000, "name": "tpl", "template": true, "started": false,
                        "disk": [{"interface": "scsi0", "size": 4}]});
    let config = template.config(config);
    template.try_apply(None, Some(&config), &Recorder::default()).await.unwrap();
    let api = Watched::over(&template.api, Refusing::default());
    let world = World::over(VM, api.clone());
    let config = world.config(json!({"node_name": "pve2", "vm_id": 600, "name": "web", "started": false,
                                     "clone": [{"vm_id": 9000, "node_name": "pve"}]}));
    *api.path.lock().unwrap() = Some("/600/migrate");
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("not now"), "{}", error.message);
    let left = error.left.expect("the clone is there");
    assert_eq!(text(&left, "node_name"), Some("pve"));
    *api.path.lock().unwrap() = None;
    let read = world.read(&left).await.unwrap();
    let moved = world.try_apply(Some(&read), Some(&config), &Recorder::default()).await.unwrap().unwrap();
    assert_eq!(text(&moved, "node_name"), Some("pve2"));
    world.assert_settled(&moved, &config).await;
}

/// The clone is there and the change of its options was refused: what is left is what the cluster says of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_whose_options_were_refused_is_known_without_them() {
    let (template, _server) = world(CLONED).await;
    let params = [("vmid", "900"), ("name", "template"), ("memory", "512"), ("cores", "2")];
    let params = params.map(|(name, text)| (name.to_string(), text.to_string()));
    template.api.send(Method::Post, "/nodes/pve/qemu", &params).await.unwrap();
    let api = Watched::over(&template.api, Refusing::default());
    let world = World::over(CLONED, api.clone());
    let config = world.config(json!({"node_name": "pve", "id": 600, "clone": {"source_vm_id": 900},
                                     "started": false, "description": "d", "cpu": {"cores": 4}}));
    *api.path.lock().unwrap() = Some("/600/config");
    let error = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("not now"), "{}", error.message);
    let left = error.left.expect("the clone is there");
    assert_eq!(text(&left, "description"), None);
    assert_eq!(crate::values::int(left.get("cpu").unwrap(), "cores"), Some(2), "{left:?}");
    *api.path.lock().unwrap() = None;
    let done = world.try_apply(Some(&left), Some(&config), &Recorder::default()).await.unwrap().unwrap();
    world.assert_settled(&done, &config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_gone_is_not_changed() {
    let (world, _server) = world("proxmox_vm").await;
    let config = world.config(json!({"node_name": "pve", "id": 600}));
    let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap().unwrap();
    world.api.send(Method::Delete, "/nodes/pve/qemu/600", &[]).await.unwrap();
    let next = world.config(json!({"node_name": "pve", "id": 600, "description": "d"}));
    let error = world.try_apply(Some(&made), Some(&next), &Recorder::default()).await.unwrap_err();
    assert!(error.message.contains("is gone") && error.hint.unwrap() == "plan again", "{}", error.message);
}
