//! Somebody else changes something between what is read and what is written.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::Provider;
use serde_json::{Value as Json, json};

use super::super::watched::{Watch, Watched};
use super::super::{Recorder, World};
use super::world;
use crate::cluster::{Api, ApiError, Content, Method};

/// A request: its method, path and parameters.
type Request = (Method, &'static str, Vec<(&'static str, &'static str)>);

/// Somebody else's request comes just before one that is sent.
#[derive(Default)]
struct Meddling {
    /// The method and a part of the path of the request that the other one precedes.
    before: Mutex<Option<(Method, &'static str, Request)>>,
}

#[async_trait]
impl Watch for Meddling {
    async fn before(
        &self,
        cluster: &dyn Api,
        method: Method,
        path: &str,
        _: &[(String, String)],
    ) -> Result<(), ApiError> {
        let other = {
            let mut before = self.before.lock().unwrap();
            let is_it = before.as_ref().is_some_and(|(m, part, _)| *m == method && path.contains(part));
            if is_it { before.take() } else { None }
        };
        if let Some((_, _, (method, path, params))) = other {
            let params: Vec<_> =
                params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
            cluster.send(method, path, &params).await.unwrap();
        }
        Ok(())
    }
}

fn rule(port: &str) -> Json {
    json!({"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": port})
}

fn foreign(port: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("type", "in"), ("action", "DROP"), ("proto", "tcp"), ("dport", port)]
}

async fn ports(api: &dyn Api, path: &str) -> Vec<String> {
    let rules = api.send(Method::Get, path, &[]).await.unwrap();
    rules.as_array().unwrap().iter().map(|rule| rule["dport"].as_str().unwrap().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_somebody_puts_in_meanwhile_does_not_lose_another_one() {
    const RULES: &str = "/cluster/firewall/rules";
    for (next, method, part, expected) in [
        (vec!["22", "443"], Method::Put, "/rules/1", vec!["9", "22", "80"]),
        (vec!["22"], Method::Delete, "/rules/1", vec!["9", "22", "80"]),
        // It went on top, where new ones go: the places that follow are other ones.
        (vec!["1", "22", "81"], Method::Post, "/rules", vec!["1", "9", "22", "80"]),
    ] {
        let (inner, _server) = world("proxmox_virtual_environment_firewall_rules").await;
        let api = Watched::over(&inner.api, Meddling::default());
        let world = World::over(inner.kind, api.clone());
        let made = world.apply(None, json!({"rule": [rule("22"), rule("80")]})).await;
        *api.before.lock().unwrap() = Some((method, part, (Method::Post, RULES, foreign("9"))));
        let next: Vec<Json> = next.into_iter().map(rule).collect();
        let next = world.config(json!({ "rule": next }));
        let error = world.try_apply(Some(&made), Some(&next), &Recorder::default()).await.unwrap_err();
        let found = ports(&*inner.api, RULES).await;
        assert!(found == expected || found == expected[1..], "{found:?}: {}", error.message);
        assert!(found.contains(&"9".into()) && found.contains(&"80".into()), "{found:?}: {}", error.message);
        assert!(error.hint.unwrap().contains("plan again"), "{}", error.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_beside_the_rules_in_their_file_does_not_stop_them() {
    let (inner, _server) = world("proxmox_virtual_environment_cluster_firewall_security_group").await;
    let api = Watched::over(&inner.api, Meddling::default());
    let world = World::over(inner.kind, api.clone());
    let made = world.apply(None, json!({"name": "web", "rule": [rule("22"), rule("80")]})).await;
    let alias =
        (Method::Post, "/cluster/firewall/aliases", vec![("name", "office"), ("cidr", "192.0.2.0/24")]);
    *api.before.lock().unwrap() = Some((Method::Put, "/groups/web/1", alias));
    world.apply(Some(&made), json!({"name": "web", "rule": [rule("22"), rule("443")]})).await;
    assert_eq!(ports(&*inner.api, "/cluster/firewall/groups/web").await, ["22", "443"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_somebody_changes_meanwhile_is_not_overwritten() {
    let (inner, _server) = world("proxmox_cloned_vm").await;
    let params = [("vmid", "900"), ("net0", "virtio,bridge=vmbr0")];
    let params = params.map(|(name, text)| (name.to_string(), text.to_string()));
    inner.api.send(Method::Post, "/nodes/pve/qemu", &params).await.unwrap();
    let api = Watched::over(&inner.api, Meddling::default());
    let world = World::over(inner.kind, api.clone());
    let config = |bridge: &str| {
        world.config(json!({"node_name": "pve", "id": 600, "clone": {"source_vm_id": 900}, "started": false,
                            "network": {"net0": { "bridge": bridge }}}))
    };
    let made = world.try_apply(None, Some(&config("vmbr0")), &Recorder::default()).await.unwrap().unwrap();
    let theirs = (Method::Put, "/nodes/pve/qemu/600/config", vec![("net0", "virtio,bridge=vmbr0,rate=7")]);
    *api.before.lock().unwrap() = Some((Method::Post, "/600/config", theirs));
    let error = world.try_apply(Some(&made), Some(&config("vmbr1")), &Recorder::default()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("plan again"), "{}", error.message);
    let there = inner.api.send(Method::Get, "/nodes/pve/qemu/600/config", &[]).await.unwrap();
    assert!(there["net0"].as_str().unwrap().contains("rate=7"), "{there}");
}

/// What another log's take-over does to the guest that [`super::super::ACTION`] makes, and taking the marker away by hand.
const THEIRS: &[(&str, &str, &str)] = &[
    (
        "description",
        "Taken over from pve:00000000-0000-0000-0000-000000000007 by ann@desk",
        "taken over by ann@desk",
    ),
    ("delete", "description", "its marker was taken away"),
];

/// Nothing is written behind it, and nothing of the guest counts as this log's.
async fn is_left_alone(
    kind: &'static str,
    before: (Method, &'static str),
    theirs: (&'static str, &'static str),
    said: &str,
) {
    let (inner, _server) = world(kind).await;
    let api = Watched::over(&inner.api, Meddling::default());
    let world = World::over(kind, api.clone());
    let (path, config) = match kind.ends_with("vm") {
        true => ("/nodes/pve/qemu/600/config", json!({"node_name": "pve", "vm_id": 600, "name": "mine"})),
        false => {
            let template = json!([{"template_file_id": "local:vztmpl/t.tar.zst", "type": "debian"}]);
            let disk = json!([{"datastore_id": "local-lvm", "size": 1}]);
            (
                "/nodes/pve/lxc/600/config",
                json!({"node_name": "pve", "vm_id": 600, "operating_system": template, "disk": disk}),
            )
        }
    };
    *api.before.lock().unwrap() = Some((before.0, before.1, (Method::Put, path, vec![theirs])));
    let recorder = Recorder::default();
    let error = world.try_apply(None, Some(&world.config(config)), &recorder).await.unwrap_err();
    assert!(error.message.contains(said), "{kind}: {}", error.message);
    assert!(error.left.is_none() && !error.indeterminate, "{error:?}");
    let steps = recorder
        .0
        .lock()
        .unwrap()
        .iter()
        .filter(|step| step.starts_with("done"))
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(steps, ["done create"]);
    let there = inner.api.send(Method::Get, path, &[]).await.unwrap();
    assert_eq!(there["description"].as_str().map(str::trim), (theirs.0 == "description").then_some(theirs.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_taken_over_while_it_is_made_is_let_go() {
    for kind in ["proxmox_virtual_environment_vm", "proxmox_virtual_environment_container"] {
        for (name, text, said) in THEIRS {
            is_left_alone(kind, (Method::Get, "/600/config"), (name, text), said).await;
        }
    }
}

/// The digest refuses the request, and what is there then says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_taken_over_just_before_it_is_configured_is_let_go() {
    let (name, text, said) = THEIRS[0];
    for (kind, method) in [
        ("proxmox_virtual_environment_vm", Method::Post),
        ("proxmox_virtual_environment_container", Method::Put),
    ] {
        is_left_alone(kind, (method, "/600/config"), (name, text), said).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_no_empty_one() {
    for kind in ["proxmox_virtual_environment_firewall_ipset", "proxmox_virtual_environment_firewall_rules"] {
        let world = World::over(kind, Arc::new(NoList));
        let config = match kind.ends_with("ipset") {
            true => json!({"name": "home", "cidr": [{"name": "192.0.2.1"}]}),
            false => json!({"rule": [rule("22")]}),
        };
        let config = world.config(config);
        let planned = world.plan(None, &config).planned.unwrap();
        let prior = crate::values::blank(&planned);
        assert!(world.try_read(&prior).await.is_err(), "{kind}");
        let mut request = world.request(Some(&prior), None);
        request.prior = Some(prior);
        assert!(world.provider.apply(request, &Recorder::default()).await.is_err(), "{kind}");
    }
}

/// A proxy that answers everything with an empty page.
struct NoList;

#[async_trait]
impl Api for NoList {
    async fn send(&self, _: Method, _: &str, _: &[(String, String)]) -> Result<Json, ApiError> {
        Ok(Json::Null)
    }

    async fn wait(&self, _: &str, _: Duration) -> Result<(), ApiError> {
        Ok(())
    }

    async fn upload(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: &str,
        _: Content<'_>,
        _: Duration,
    ) -> Result<String, ApiError> {
        Ok(String::new())
    }

    async fn write_file(&self, _: &str, _: &str, _: Content<'_>, _: Option<u32>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn run(&self, _: &str, _: &[&str], _: Duration) -> Result<String, ApiError> {
        Ok(String::new())
    }

    fn user(&self) -> String {
        String::new()
    }
}
