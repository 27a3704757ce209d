//! A cluster in memory with just enough of the API's behaviour for these tests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{Api, ApiError, Content, Method};
use crate::property::Properties;

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

    fn create(&mut self, kind: &str, params: &BTreeMap<String, String>) -> Result<Json, ApiError> {
        let id: u32 = params["vmid"].parse().unwrap();
        if self.guests.contains_key(&id) {
            return Err(error(format!("unable to create VM {id}: VM {id} already exists on node 'pve'")));
        }
        let mut guest = FakeGuest {
            kind: kind.into(),
            config: Map::new(),
            running: false,
            pool: params.get("pool").cloned(),
        };
        if kind == "qemu" {
            guest.config.insert("smbios1".into(), json!("uuid=1"));
        } else {
            guest.config.insert("ostype".into(), json!("debian"));
            guest.config.insert("arch".into(), json!("amd64"));
        }
        let order = params.get("boot").and_then(|boot| boot.strip_prefix("order=")).unwrap_or_default();
        if let Some(device) = order.split(';').find(|name| !name.is_empty() && !params.contains_key(*name)) {
            return Err(error(format!("invalid bootorder: device '{device}' does not exist'")));
        }
        if params.values().any(|value| value.contains("import-from=local:iso/")) {
            return Err(error("local:iso/d.img has wrong type 'iso' - needs to be 'images' or 'import'"));
        }
        for (name, value) in params {
            if !["vmid", "pool", "ostemplate", "password", "ssh-public-keys"].contains(&name.as_str()) {
                let value = self.stored(id, name, value);
                guest.config.insert(name.clone(), json!(value));
            }
        }
        self.guests.insert(id, guest);
        Ok(task(if kind == "qemu" { "qmcreate" } else { "vzcreate" }, id))
    }

    /// An option as it reads back.
    fn stored(&mut self, id: u32, name: &str, value: &str) -> String {
        let numbered = |prefix: &str| name.strip_prefix(prefix).is_some_and(|n| n.parse::<u32>().is_ok());
        if numbered("net") && !value.contains("BC:24:11") {
            self.volume_number += 1;
            let mac = format!("BC:24:11:00:{:02X}:{:02X}", id % 256, self.volume_number % 256);
            return match value.split_once(',') {
                Some((model, rest)) if !model.contains('=') => format!("{model}={mac},{rest}"),
                _ => format!("{value},hwaddr={mac}"),
            };
        }
        if name == "cipassword" {
            return "**********".into();
        }
        let drive = ["scsi", "virtio", "sata", "ide", "mp"].iter().any(|bus| numbered(bus))
            || ["efidisk0", "tpmstate0", "rootfs"].contains(&name);
        if drive { self.allocate(id, name, value) } else { value.to_string() }
    }

    fn allocate(&mut self, id: u32, name: &str, value: &str) -> String {
        let drive = Properties::parse(value);
        let file = drive.first_or("file").unwrap();
        let Some((store, volume)) = file.split_once(':') else { return value.to_string() };
        if volume == "cloudinit" {
            return format!("{store}:vm-{id}-cloudinit,media=cdrom");
        }
        let Ok(size) = volume.parse::<u32>() else { return value.to_string() };
        self.volume_number += 1;
        let size = match (name, drive.get("import-from")) {
            ("efidisk0" | "tpmstate0", _) => "4M".to_string(),
            (_, Some(_)) => "2252M".to_string(),
            _ => format!("{size}G"),
        };
        let mut options: Vec<String> = drive
            .pairs()
            .iter()
            .filter(|(key, _)| key != "import-from" && key != "format")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        options.push(format!("size={size}"));
        options.sort();
        format!("{store}:vm-{id}-disk-{},{}", self.volume_number, options.join(","))
    }

    fn guest(
        &mut self,
        method: Method,
        kind: &str,
        id: u32,
        rest: &[&str],
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        if self.guests.get(&id).is_none_or(|guest| guest.kind != kind) {
            return Err(error(format!(
                "Configuration file 'nodes/pve/{kind}-server/{id}.conf' does not exist"
            )));
        }
        match (method, rest) {
            (Method::Get, ["config"]) => {
                let guest = &self.guests[&id];
                let mut config = guest.config.clone();
                config.insert("digest".into(), json!("d1"));
                Ok(Json::Object(config))
            }
            (Method::Get, ["status", "current"]) => {
                Ok(json!({"status": if self.guests[&id].running { "running" } else { "stopped" }}))
            }
            (Method::Get, ["pending"]) => {
                let guest = &self.guests[&id];
                let lists = |value: &Json| value.is_array();
                let rows = guest.config.iter().filter(|(_, value)| !lists(value)).map(|(key, value)| {
                    match self.waiting.get(&(id, key.clone())) {
                        Some(present) => json!({"key": key, "value": present, "pending": value}),
                        None => json!({"key": key, "value": value}),
                    }
                });
                Ok(rows.collect())
            }
            (Method::Get, ["interfaces"]) => Ok(json!([{"name": "eth0", "inet": "192.0.2.5/24"}])),
            (Method::Get, ["agent", _]) => Err(error("QEMU guest agent is not running")),
            (Method::Post | Method::Put, ["config"]) => self.configure(id, params),
            (Method::Put, ["resize"]) => {
                let config = &mut self.guests.get_mut(&id).unwrap().config;
                let drive = config[&params["disk"]].as_str().unwrap().to_string();
                let (before, _) = drive.split_once("size=").unwrap();
                config.insert(params["disk"].clone(), json!(format!("{before}size={}", params["size"])));
                Ok(task("resize", id))
            }
            (Method::Post, ["move_disk" | "move_volume"]) => {
                let slot = params.get("disk").or(params.get("volume")).unwrap().clone();
                let config = &mut self.guests.get_mut(&id).unwrap().config;
                let drive = config[&slot].as_str().unwrap().to_string();
                let (_, rest) = drive.split_once(':').unwrap();
                config.insert(slot, json!(format!("{}:{rest}", params["storage"])));
                Ok(task("qmmove", id))
            }
            (Method::Post, ["template"]) => {
                self.guests.get_mut(&id).unwrap().config.insert("template".into(), json!(1));
                Ok(task("qmtemplate", id))
            }
            (Method::Post, ["status", verb]) => {
                self.waiting.retain(|(waiting, _), _| *waiting != id);
                self.guests.get_mut(&id).unwrap().running = !["stop", "shutdown"].contains(verb);
                Ok(task(verb, id))
            }
            (Method::Post, ["clone"]) => self.clone_guest(kind, id, params),
            (Method::Delete, []) => {
                self.guests.remove(&id);
                Ok(task("qmdestroy", id))
            }
            _ => panic!("{method:?} {rest:?} is not part of the double"),
        }
    }

    fn configure(&mut self, id: u32, params: &BTreeMap<String, String>) -> Result<Json, ApiError> {
        for name in
            params.get("delete").map(String::as_str).unwrap_or_default().split(',').filter(|n| !n.is_empty())
        {
            let config = &mut self.guests.get_mut(&id).unwrap().config;
            let removed = config.remove(name);
            let drive = removed.as_ref().and_then(Json::as_str).unwrap_or_default();
            if drive.contains("-disk-") && !name.starts_with("unused") {
                let volume = drive.split(',').next().unwrap();
                config.insert("unused0".into(), json!(volume));
            }
        }
        for (name, value) in params {
            if name != "delete" && name != "digest" {
                let value = self.stored(id, name, value);
                self.guests.get_mut(&id).unwrap().config.insert(name.clone(), json!(value));
            }
        }
        Ok(task("qmconfig", id))
    }

    fn clone_guest(
        &mut self,
        kind: &str,
        id: u32,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        let new: u32 = params["newid"].parse().unwrap();
        if self.guests.contains_key(&new) {
            return Err(error(format!("unable to create VM {new}: config file already exists")));
        }
        let mut config = self.guests[&id].config.clone();
        config.remove("template");
        for (_, value) in &mut config {
            if let Some(text) = value.as_str() {
                let mut text = text.replace(&format!("vm-{id}-"), &format!("vm-{new}-"));
                if let Some(store) = params.get("storage").filter(|_| text.contains("-disk-")) {
                    text = format!("{store}:{}", text.split_once(':').unwrap().1);
                }
                *value = json!(text.replace("BC:24:11:00", "BC:24:11:01"));
            }
        }
        for name in ["description", "name", "hostname"] {
            if let Some(value) = params.get(name) {
                config.insert(name.into(), json!(value));
            }
        }
        self.guests.insert(
            new,
            FakeGuest { kind: kind.into(), config, running: false, pool: params.get("pool").cloned() },
        );
        Ok(task("qmclone", id))
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

    fn firewall_rules(
        &mut self,
        method: Method,
        path: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        let (owner, position) = path.split_once("/rules").unwrap();
        let position: Option<usize> = position.strip_prefix('/').map(|text| text.parse().unwrap());
        let rules = self.rules.entry(owner.into()).or_default();
        let sent: Map<String, Json> = params.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        match (method, position) {
            (Method::Post, None) => rules.insert(0, sent),
            (Method::Put, Some(at)) => {
                for name in params.get("delete").map(String::as_str).unwrap_or_default().split(',') {
                    rules[at].remove(name);
                }
                rules[at].extend(sent.into_iter().filter(|(name, _)| name != "delete"));
            }
            (Method::Delete, Some(at)) => {
                rules.remove(at);
            }
            _ => {
                let list = rules.iter().enumerate().map(|(at, rule)| {
                    let mut rule = rule.clone();
                    rule.insert("pos".into(), json!(at));
                    let enable: i64 = rule["enable"].as_str().unwrap().parse().unwrap();
                    rule.insert("enable".into(), json!(enable));
                    Json::Object(rule)
                });
                return Ok(list.collect());
            }
        }
        Ok(Json::Null)
    }

    fn firewall_options(
        &mut self,
        method: Method,
        path: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        let options = self.options.entry(path.into()).or_default();
        if method == Method::Get {
            return Ok(Json::Object(options.clone()));
        }
        for name in params.get("delete").map(String::as_str).unwrap_or_default().split(',') {
            options.remove(name);
        }
        let sent = params.iter().filter(|(name, _)| *name != "delete");
        options.extend(sent.map(|(name, value)| (name.clone(), json!(value))));
        Ok(Json::Null)
    }
}
