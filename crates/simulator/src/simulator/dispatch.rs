//! From a request as it came in to the answer of its endpoint.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::joining::Joined;
use super::{Incoming, Inner, Reply};
use crate::access::enforcement::{self, Call};
use crate::cluster::{self, Standing};
use crate::failure::Failure;
use crate::request::{Identity, Request};
use crate::schema::{self, Errors, Raw};
use crate::{access, datacenter, ha, router, statistics, tasks};

impl Inner {
    pub(super) fn dispatch(
        &mut self,
        incoming: Incoming,
        forced_exit: Option<String>,
    ) -> Result<Reply, Failure> {
        let now = self.now();
        cluster::arrive(&self.state, &mut self.options, now);
        ha::settle(&mut self.state, &self.options, now);
        tasks::settle(&mut self.state, now);
        datacenter::settle_replication(&mut self.state, now);
        statistics::settle(&mut self.state, &self.options, now);
        let changes = incoming.method != "GET";
        let identity = if access::is_open(&incoming.method, &incoming.path) {
            Identity { user: String::new(), token: None }
        } else {
            access::identify(&self.state, &incoming.credentials, changes, now / 1000)?
        };
        if let Some(refusal) = incoming.refusal {
            return Err(refusal);
        }
        let Some(found) = router::find(&incoming.method, &incoming.path) else {
            let path = crate::server::percent_decode(&incoming.path);
            let path = if path.is_empty() { "/" } else { &path };
            self.violates(&incoming.method, path, "no such endpoint");
            return Err(Failure::not_implemented(&incoming.method, path));
        };
        let mut raw = incoming.parameters;
        raw.remove("_dc");
        self.check_permission(&identity, &incoming.method, &incoming.path, &found, &raw)?;
        let asked = incoming.asked.unwrap_or_else(|| self.options.node.clone());
        // The configuration of the cluster names nodes that need not answer.
        let named = found.parameters.get("node").filter(|_| !found.template.starts_with("/cluster/"));
        let node = self.node_of(named, &asked, now)?;
        let undefined =
            raw.iter().filter(|(_, value)| **value == Raw::Undefined).map(|(name, _)| name.clone()).collect();
        raw.extend(found.parameters.into_iter().map(|(name, value)| (name, Raw::Text(value))));
        if incoming.upload.is_some() {
            raw.entry("filename".to_owned()).or_insert_with(|| Raw::Text("upload".to_owned()));
        }
        let empty = schema::Keys::new();
        let keys = schema::endpoint(&incoming.method, found.template).unwrap_or(&empty);
        let (keys, mut errors) = schema::for_type(&incoming.method, found.template, keys, &raw)
            .map_or((Cow::Borrowed(keys), Errors::new()), |(keys, errors)| (Cow::Owned(keys), errors));
        if schema::takes_more(&incoming.method, found.template) {
            raw.retain(|name, _| schema::lookup(&keys, name).is_some());
        }
        let parameters = schema::normalise(&keys, &raw).unwrap_or_else(|found| {
            errors.extend(found);
            BTreeMap::new()
        });
        if !errors.is_empty() {
            self.violates(&incoming.method, &incoming.path, &format!("{errors:?}"));
            return Err(Failure::parameters(errors));
        }
        self.conformity.conforming += 1;
        let mut request = Request {
            node,
            parameters,
            undefined,
            upload: incoming.upload,
            peers: self.peers.clone(),
            forced_exit,
            ..Request::new(&mut self.state, &self.options, &identity, now)
        };
        let data = (found.handler)(&mut request)?;
        let (joined, removed) = (request.joined.take(), request.removed.take());
        let (total, changes, text) = (request.total, request.changes.take(), request.text.take());
        self.options.other_nodes.retain(|node| Some(node) != removed.as_ref());
        if let Some(cluster) = joined {
            let from = now + self.options.task_duration.as_millis() as u64;
            self.joined = Some(Joined { cluster, from });
        }
        Ok(text.map_or(Reply::Data { data, total, changes }, Reply::Text))
    }

    fn violates(&mut self, method: &str, path: &str, what: &str) {
        self.conformity.violations.insert(format!("{method} {path}: {what}"));
    }

    /// Refuses what the endpoint's description does not let the caller do; parameters are looked at afterwards.
    fn check_permission(
        &self,
        identity: &Identity,
        method: &str,
        path: &str,
        found: &router::Found,
        raw: &BTreeMap<String, Raw>,
    ) -> Result<(), Failure> {
        let different = |(name, value): &(&String, &String)| matches!(raw.get(*name), Some(Raw::Text(text)) if text != *value);
        if let Some((name, _)) = found.parameters.iter().find(different) {
            let text = "duplicate parameter (already defined in URI) with conflicting values!";
            return Err(Failure::parameter(name, text));
        }
        let rules = schema::permission(method, found.template);
        if identity.token.is_some() && rules.is_some_and(|rules| rules.token == 0) {
            let text = format!("URI '{path}' not available with API token, need proper ticket.\n");
            return Err(Failure::forbidden(&text));
        }
        let parameter = |name: &str| match (found.parameters.get(name), raw.get(name)) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(Raw::Text(text))) => Some(text.clone()),
            (None, Some(Raw::List(items))) => Some(items.join(",")),
            _ => None,
        };
        let call = Call { state: &self.state, who: &identity.full_name(), parameter: &parameter };
        if found.template == "/" { Ok(()) } else { enforcement::check(&call, rules) }
    }

    /// The node a request is about. Any node answers for any other that it reaches and whose certificate it knows.
    fn node_of(&self, node: Option<&String>, asked: &str, now: u64) -> Result<String, Failure> {
        let Some(node) = node.filter(|node| *node != "localhost" && *node != asked) else {
            return Ok(asked.to_owned());
        };
        let is_node = |name: &str| self.options.nodes().any(|known| known == name);
        let unverified = || Err(Failure::bare(596, "error:0A000086:SSL routines::certificate verify failed"));
        if is_node(node) {
            return match cluster::standing(&self.state, &self.options, node, now) {
                Standing::Known => Ok(node.clone()),
                Standing::Young => unverified(),
                Standing::Offline => Err(Failure::bare(595, "No route to host")),
            };
        }
        // The name with its domain is found, but no certificate of the cluster is for it.
        if node.split_once('.').is_some_and(|(name, _)| is_node(name)) {
            return unverified();
        }
        Err(Failure::died(format!(
            "hostname lookup '{node}' failed - failed to get address info for: {node}: Temporary failure in name resolution"
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::access::Credentials;
    use crate::options::Options;
    use crate::simulator::Simulator;

    fn call(simulator: &Simulator, method: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
        let authorization = Some(format!("PVEAPIToken={}", simulator.token()));
        let incoming = Incoming {
            method: method.to_owned(),
            path: path.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Raw::Text((*value).to_owned())))
                .collect(),
            credentials: Credentials { authorization, ..Credentials::default() },
            ..Incoming::default()
        };
        match simulator.handle(incoming) {
            Reply::Data { data, .. } => data,
            other => json!(format!("{other:?}")),
        }
    }

    #[test]
    fn a_file_is_on_the_node_that_it_was_put_on_unless_the_storage_is_shared() {
        let options = Options {
            other_nodes: vec!["pve2".to_owned()],
            task_duration: std::time::Duration::ZERO,
            ..Options::default()
        };
        let first = options.node.clone();
        let simulator = Simulator::new(options);
        let shared = [
            ("storage", "nas"),
            ("type", "nfs"),
            ("server", "192.0.2.9"),
            ("export", "/x"),
            ("content", "vztmpl"),
        ];
        call(&simulator, "POST", "/storage", &shared);
        call(&simulator, "PUT", "/storage/local", &[("content", "vztmpl,iso,backup")]);
        let count = |node: &str, storage: &str| {
            let list = call(&simulator, "GET", &format!("/nodes/{node}/storage/{storage}/content"), &[]);
            list.as_array().map(Vec::len)
        };
        for storage in ["local", "nas"] {
            let path = format!("/nodes/{first}/storage/{storage}/oci-registry-pull");
            call(&simulator, "POST", &path, &[("reference", "docker.io/library/alpine:3.22")]);
        }
        assert_eq!((count(&first, "local"), count("pve2", "local")), (Some(1), Some(0)));
        assert_eq!((count(&first, "nas"), count("pve2", "nas")), (Some(1), Some(1)));
    }

    #[test]
    fn on_a_stopped_clock_a_task_runs_until_time_is_advanced() {
        let simulator = Simulator::new(Options::default());
        simulator.stop_clock();
        let upid = call(&simulator, "POST", "/nodes/pve/qemu", &[("vmid", "100")]);
        let path = format!("/nodes/pve/tasks/{}/status", upid.as_str().unwrap());
        let status = |simulator: &Simulator| call(simulator, "GET", &path, &[])["status"].clone();
        simulator.advance(Options::default().task_duration - std::time::Duration::from_millis(1));
        assert_eq!(status(&simulator), "running");
        simulator.advance(std::time::Duration::from_millis(1));
        assert_eq!(status(&simulator), "stopped");
    }

    #[test]
    fn what_the_description_does_not_allow_is_remembered_with_its_reason() {
        let simulator = Simulator::new(Options::default());
        call(&simulator, "GET", "/version", &[]);
        // Refused, but not by the description.
        call(&simulator, "GET", "/nodes/pve/qemu/100/config", &[]);
        call(&simulator, "POST", "/nodes/pve/qemu", &[("vmid", "99"), ("kores", "1")]);
        call(&simulator, "GET", "/nodes/pve/nothing", &[]);
        let found = simulator.conformity();
        assert_eq!(found.conforming, 2);
        let violations: Vec<&String> = found.violations.iter().collect();
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert_eq!(violations[0], "GET /nodes/pve/nothing: no such endpoint");
        assert!(violations[1].contains("kores") && violations[1].contains("vmid"), "{violations:?}");
    }

    #[test]
    fn a_described_cluster_behaves_as_described() {
        let described = json!({
            "task_ms": 10, "tasks_ms": { "qmclone": 500 }, "storage_bytes": 1_u64 << 40, "cpus": 3, "guests_obey": false,
            "failures": [
                { "method": "GET", "path": "/version", "when": { "nth": 1 }, "how": { "refuse": { "status": 503, "reason": "busy" } } },
                { "method": "POST", "path": "/nodes/*/vzdump", "when": { "first": 1 }, "how": { "fail_task": "no tape" } },
                { "method": "*", "path": "/pools", "when": "always", "how": { "apply_then_answer": { "status": 596, "reason": "gone" } } },
            ],
        });
        let behaviour: crate::Behaviour = serde_json::from_value(described).unwrap();
        let simulator = Simulator::new(Options::default().behaving(&behaviour));
        simulator.stop_clock();
        let exit = |upid: &Value| {
            let path = format!("/nodes/pve/tasks/{}/status", upid.as_str().unwrap());
            call(&simulator, "GET", &path, &[])["exitstatus"].clone()
        };
        let step = |milliseconds| simulator.advance(std::time::Duration::from_millis(milliseconds));
        call(&simulator, "POST", "/nodes/pve/qemu", &[("vmid", "100"), ("cores", "8")]);
        step(10);
        assert_eq!(call(&simulator, "GET", "/nodes/pve/qemu/100/status/current", &[])["cpus"], 3);
        let clone = call(&simulator, "POST", "/nodes/pve/qemu/100/clone", &[("newid", "101")]);
        step(499);
        assert_eq!(exit(&clone), Value::Null);
        step(1);
        assert_eq!(exit(&clone), "OK");
        assert_eq!(call(&simulator, "GET", "/nodes/pve/storage/local/status", &[])["total"], 1_u64 << 40);
        call(&simulator, "POST", "/nodes/pve/qemu/100/status/start", &[]);
        let shutdown = call(&simulator, "POST", "/nodes/pve/qemu/100/status/shutdown", &[]);
        let backups: Vec<Value> =
            (0..2).map(|_| call(&simulator, "POST", "/nodes/pve/vzdump", &[("vmid", "101")])).collect();
        step(1000);
        assert_eq!(exit(&shutdown), "VM quit/powerdown failed - got timeout");
        assert_eq!(exit(&backups[0]), "no tape");
        assert_eq!(exit(&backups[1]), "OK");
        let versions: Vec<bool> =
            (0..3).map(|_| call(&simulator, "GET", "/version", &[])["release"].is_string()).collect();
        assert_eq!(versions, [true, false, true]);
        assert!(call(&simulator, "POST", "/pools", &[("poolid", "one")]).as_str().unwrap().contains("gone"));
        simulator.set_failures(Vec::new());
        assert_eq!(call(&simulator, "GET", "/pools", &[])[0]["poolid"], "one");
    }

    #[test]
    fn failures_by_chance_are_the_same_for_the_same_seed() {
        let pattern = |seed: u64| -> Vec<bool> {
            let rule =
                json!({ "method": "GET", "path": "*", "when": { "probability": 0.5 }, "how": "disconnect" });
            let behaviour = json!({ "seed": seed, "failures": [rule] });
            let behaviour: crate::Behaviour = serde_json::from_value(behaviour).unwrap();
            let simulator = Simulator::new(Options::default().behaving(&behaviour));
            (0..64).map(|_| call(&simulator, "GET", "/version", &[]).is_object()).collect()
        };
        assert_eq!(pattern(7), pattern(7));
        assert_ne!(pattern(7), pattern(8));
        let answered = pattern(7).into_iter().filter(|answered| *answered).count();
        assert!((16..=48).contains(&answered), "{answered} of 64 at a probability of one half");
    }

    #[test]
    fn a_token_with_privileges_of_its_own_may_not_do_what_its_user_may() {
        let simulator = Simulator::new(Options::default());
        call(&simulator, "POST", "/access/users", &[("userid", "a@pve")]);
        call(&simulator, "PUT", "/access/acl", &[("path", "/"), ("users", "a@pve"), ("roles", "PVEAuditor")]);
        let made = call(&simulator, "POST", "/access/users/a@pve/token/ci", &[]);
        let secret = made["value"].as_str().unwrap().to_owned();
        let list = |simulator: &Simulator| {
            let incoming = Incoming {
                method: "GET".to_owned(),
                path: "/cluster/ha/resources".to_owned(),
                credentials: Credentials {
                    authorization: Some(format!("PVEAPIToken=a@pve!ci={secret}")),
                    ..Credentials::default()
                },
                ..Incoming::default()
            };
            matches!(simulator.handle(incoming), Reply::Data { .. })
        };
        assert!(!list(&simulator));
        call(
            &simulator,
            "PUT",
            "/access/acl",
            &[("path", "/"), ("tokens", "a@pve!ci"), ("roles", "PVEAuditor")],
        );
        assert!(list(&simulator));
    }
}
