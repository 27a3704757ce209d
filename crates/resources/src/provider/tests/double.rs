//! A cluster in memory with just enough of the API's behaviour for these tests.

mod firewalls;
mod guests;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Api, ApiError, Content, Method};

pub(crate) struct FakeGuest {
    pub(crate) kind: String,
    pub(crate) config: Map<String, Json>,
    pub(crate) running: bool,
    pub(crate) pool: Option<String>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) guests: BTreeMap<u32, FakeGuest>,
    pub(crate) volumes: BTreeMap<String, i64>,
    pub(crate) rules: BTreeMap<String, Vec<Map<String, Json>>>,
    pub(crate) options: BTreeMap<String, Map<String, Json>>,
    pub(crate) requests: Vec<String>,
    /// Whether nobody can tell how tasks go on.
    pub(crate) tasks_lost: bool,
    /// Whether somebody else holds the lock of everything.
    pub(crate) all_locked: bool,
    /// Whether all tasks have failed.
    pub(crate) tasks_failed: bool,
    /// Whether no guest has a configuration and every other answer is empty.
    pub(crate) garbled: bool,
    /// The request of this number, from 1, fails before it takes effect.
    pub(crate) fail_at: Option<usize>,
    /// Whether that request takes effect all the same and only its response is lost.
    pub(crate) lose_response: bool,
    /// Whether nothing answers any more after that request.
    pub(crate) break_down: bool,
    /// Tasks that run, as the API lists them.
    pub(crate) tasks: Vec<Json>,
    /// Whether the next command on the node meets a lock.
    pub(crate) locked: bool,
    /// What guests run with, where their options wait for a reboot.
    pub(crate) waiting: BTreeMap<(u32, String), Json>,
    broken: bool,
    volume_number: u32,
    writes: usize,
}

/// The double. Tasks are done at once.
#[derive(Default)]
pub(crate) struct Double(pub(crate) Mutex<State>);

fn error(message: impl Into<String>) -> ApiError {
    ApiError { message: message.into(), hint: None, status: Some(500), lost: false }
}

fn task(kind: &str, id: impl std::fmt::Display) -> Json {
    json!(format!("UPID:pve:00000001:00000002:00000003:{kind}:{id}:root@pam:"))
}

#[async_trait]
impl Api for Double {
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError> {
        let params: BTreeMap<String, String> = params.iter().cloned().collect();
        self.0.lock().unwrap().handle(method, path, &params)
    }

    async fn wait(&self, upid: &str, _: Duration) -> Result<(), ApiError> {
        let mut state = self.0.lock().unwrap();
        state.requests.push(format!("wait for {upid}"));
        if state.tasks_failed {
            return Err(error("it is there already"));
        }
        if state.tasks_lost { Err(ApiError { lost: true, ..error("still running") }) } else { Ok(()) }
    }

    async fn upload(
        &self,
        _: &str,
        store: &str,
        kind: &str,
        name: &str,
        content: Content<'_>,
        _: Duration,
    ) -> Result<String, ApiError> {
        let size = match content {
            Content::Bytes(bytes) => bytes.len() as i64,
            Content::File(path) => std::fs::metadata(path).unwrap().len() as i64,
        };
        self.0.lock().unwrap().volumes.insert(format!("{store}:{kind}/{name}"), size);
        Ok(task("imgcopy", "").as_str().unwrap().to_string())
    }

    async fn write_file(
        &self,
        _: &str,
        path: &str,
        content: Content<'_>,
        _: Option<u32>,
    ) -> Result<(), ApiError> {
        let name = path.strip_prefix("/var/lib/vz/").unwrap();
        let Content::Bytes(bytes) = content else { panic!("only bytes are written in these tests") };
        self.0.lock().unwrap().volumes.insert(format!("local:{name}"), bytes.len() as i64);
        Ok(())
    }

    async fn run(&self, node: &str, command: &[&str], _: Duration) -> Result<String, ApiError> {
        self.0.lock().unwrap().run(node, command)
    }

    fn user(&self) -> String {
        "root@pam!test".into()
    }
}

impl State {
    /// How many requests changed something.
    pub(crate) fn writes(&self) -> usize {
        self.writes
    }

    fn handle(
        &mut self,
        method: Method,
        path: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        self.requests.push(format!("{method:?} {path}"));
        if self.broken {
            return Err(ApiError { status: None, ..error("the server cannot be reached") });
        }
        if self.garbled {
            let missing = path.ends_with("/config");
            return if missing { Err(error("Configuration file does not exist")) } else { Ok(Json::Null) };
        }
        if method != Method::Get && self.all_locked {
            return Err(error("VM is locked (backup)"));
        }
        if method != Method::Get {
            self.writes += 1;
        }
        if method == Method::Get || self.fail_at != Some(self.writes) {
            return self.answer(method, path, params);
        }
        self.broken = self.break_down;
        if self.lose_response {
            self.answer(method, path, params)?;
        }
        Err(ApiError { lost: self.lose_response, ..error("the connection broke") })
    }

    /// A command on the node: `qm set` counts as a request that changes something.
    fn run(&mut self, node: &str, command: &[&str]) -> Result<String, ApiError> {
        match command {
            ["pvesm", "path", image] => {
                Ok(format!("/var/lib/vz/template/iso/{}\n", image.rsplit('/').next().unwrap()))
            }
            ["qm", "set", vmid, option, drive] => {
                let params = BTreeMap::from([(option.trim_start_matches("--").into(), (*drive).into())]);
                if std::mem::take(&mut self.locked) {
                    return Err(error("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"));
                }
                self.handle(Method::Post, &format!("/nodes/{node}/qemu/{vmid}/config"), &params)
                    .map(|_| String::new())
            }
            ["flock", .., file] => {
                let id = file.rsplit('/').next().unwrap().trim_end_matches(".conf").parse().unwrap();
                let lines = command.iter().filter_map(|word| word.strip_prefix("1i lxc.idmap: "));
                let lines: Vec<Json> = lines.map(|line| json!(["lxc.idmap", line])).collect();
                self.writes += 1;
                let config = &mut self.guests.get_mut(&id).unwrap().config;
                match lines.is_empty() {
                    true => config.remove("lxc"),
                    false => config.insert("lxc".into(), json!(lines)),
                };
                Ok(String::new())
            }
            _ => panic!("{command:?} is not part of the double"),
        }
    }

    fn answer(
        &mut self,
        method: Method,
        path: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (Method::Get, ["cluster", "resources"]) => Ok(self.list()),
            (Method::Get, ["cluster", "nextid"]) => self.next_id(params),
            (Method::Get, ["nodes", _, "tasks"]) => Ok(self.list_tasks(params)),
            (Method::Put, ["pools"]) => Ok(Json::Null),
            (Method::Get, ["storage", _]) => Ok(json!({"path": "/var/lib/vz"})),
            (_, ["nodes", _, "storage", rest @ ..]) => self.storage(method, rest, params),
            (_, [.., "firewall", "options"]) => self.firewall_options(method, path, params),
            (_, [.., "firewall", "rules"]) | (_, [.., "firewall", "rules", _]) => {
                self.firewall_rules(method, path, params)
            }
            (Method::Post, ["nodes", _, kind]) => self.create(kind, params),
            (_, ["nodes", _, kind, id, rest @ ..]) => {
                self.guest(method, kind, id.parse().unwrap(), rest, params)
            }
            _ => panic!("{method:?} {path} is not part of the double"),
        }
    }

    fn list_tasks(&self, params: &BTreeMap<String, String>) -> Json {
        let since = params.get("since").map_or(0, |since| since.parse::<i64>().unwrap());
        self.tasks.iter().filter(|task| task["starttime"].as_i64().unwrap() >= since).cloned().collect()
    }

    fn list(&self) -> Json {
        self.guests
            .iter()
            .map(|(id, guest)| {
                json!({"vmid": id, "node": "pve", "type": guest.kind, "pool": guest.pool,
                       "status": if guest.running { "running" } else { "stopped" }})
            })
            .collect()
    }

    fn next_id(&self, params: &BTreeMap<String, String>) -> Result<Json, ApiError> {
        match params.get("vmid") {
            Some(id) if self.guests.contains_key(&id.parse().unwrap()) => {
                Err(error(format!("VM {id} already exists")))
            }
            Some(id) => Ok(json!(id)),
            None => Ok(json!((100..).find(|id| !self.guests.contains_key(id)).unwrap().to_string())),
        }
    }

    fn storage(
        &mut self,
        method: Method,
        rest: &[&str],
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        match (method, rest) {
            (Method::Get, [store, "content"]) => Ok(self
                .volumes
                .iter()
                .filter(|(id, _)| id.starts_with(&format!("{store}:")))
                .map(|(id, size)| json!({"volid": id, "size": size}))
                .collect()),
            (Method::Post, [store, "download-url"]) => {
                self.volumes.insert(format!("{store}:{}/{}", params["content"], params["filename"]), 4096);
                Ok(task("download", &params["filename"]))
            }
            (Method::Post, [store, "oci-registry-pull"]) => {
                self.volumes.insert(format!("{store}:vztmpl/{}.tar", params["filename"]), 4096);
                Ok(task("ociregistrypull", ""))
            }
            (Method::Delete, [_, "content", rest @ ..]) => {
                self.volumes.remove(&rest.join("/")).unwrap();
                Ok(task("imgdel", ""))
            }
            _ => panic!("{method:?} {rest:?} is not part of the double"),
        }
    }
}
