//! A node that keeps its interfaces in a file, as Proxmox VE does, and tells what is staged of them by what `diff` says of
//! that file and the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};
use similar::TextDiff;

use super::super::simulated::refused::refusal;
use super::super::watched::Watch;
use crate::cluster::{Api, ApiError, Method, NodeNetwork};

type Entry = Map<String, Json>;
type Interfaces = BTreeMap<String, Entry>;

/// The node.
#[derive(Default)]
pub(super) struct Staging {
    running: Mutex<Interfaces>,
    pending: Mutex<Option<Interfaces>>,
    /// The next change is staged, and its answer lost.
    pub(super) loses: Mutex<bool>,
    /// How often it tells what is staged until it fails to, once.
    pub(super) tells: Mutex<Option<usize>>,
    /// The reload does not begin.
    pub(super) is_refused: Mutex<bool>,
    /// Somebody else does this as a reload is asked for that does not begin.
    meanwhile: Option<Meanwhile>,
    /// No change is taken any more.
    pub(super) is_closed: Mutex<bool>,
    /// Somebody else stages this behind the next request, before anybody can look.
    pub(super) follows: Mutex<Option<(&'static str, Option<Json>)>>,
}

/// What somebody else does.
#[derive(Clone, Copy)]
pub(super) enum Meanwhile {
    Stages,
    Reverts,
}

fn broken() -> ApiError {
    ApiError { message: "it broke".into(), hint: None, status: None, lost: true }
}

impl Staging {
    /// One whose reload does not begin.
    pub(super) fn refusing(meanwhile: Option<Meanwhile>) -> Staging {
        Staging { is_refused: Mutex::new(true), meanwhile, ..Staging::default() }
    }

    /// Lets an interface run.
    pub(super) fn run(&self, name: &str, entry: Json) {
        self.running.lock().unwrap().insert(name.to_string(), named(name, entry));
    }

    /// Stages an interface, or that it goes.
    pub(super) fn stage(&self, name: &str, entry: Option<Json>) {
        let mut pending = self.pending.lock().unwrap();
        let interfaces = pending.get_or_insert_with(|| self.running.lock().unwrap().clone());
        match entry {
            Some(entry) => drop(interfaces.insert(name.to_string(), named(name, entry))),
            None => drop(interfaces.remove(name)),
        }
    }

    /// Somebody else stages something.
    pub(super) fn meddle(&self) {
        self.stage("theirs", Some(json!({"type": "bridge"})));
    }

    /// What is staged is thrown away.
    pub(super) fn revert(&self) {
        *self.pending.lock().unwrap() = None;
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

    /// What `diff -u` says of the two files, as PVE::INotify asks it.
    pub(super) fn difference(&self) -> Option<String> {
        let pending = self.pending.lock().unwrap().clone()?;
        let [before, after] = [file(&self.running.lock().unwrap()), file(&pending)];
        let lines = TextDiff::from_lines(&before, &after);
        let path = "/etc/network/interfaces";
        Some(lines.unified_diff().header(path, &format!("{path}.new")).to_string())
    }
}

fn named(name: &str, entry: Json) -> Entry {
    let mut entry = entry.as_object().unwrap().clone();
    entry.insert("iface".into(), json!(name));
    entry
}

/// The file as PVE::INotify writes it.
fn file(interfaces: &Interfaces) -> String {
    let mut text = "auto lo\niface lo inet loopback\n\n".to_string();
    for (name, entry) in interfaces {
        let entry = told(entry);
        let get = |option: &str| entry.get(option).and_then(Json::as_str);
        let mut line = |line: String| text.push_str(&format!("{line}\n"));
        if entry.contains_key("autostart") {
            line(format!("auto {name}"));
        }
        line(format!("iface {name} inet {}", get("method").unwrap()));
        let first = [("address", "cidr"), ("gateway", "gateway")];
        let bridge =
            [("bridge-ports", "bridge_ports"), ("bridge-stp", "bridge_stp"), ("bridge-fd", "bridge_fd")];
        for (word, option) in first.into_iter().chain(bridge) {
            let value = get(option).map(|value| if value.is_empty() { "none" } else { value });
            value.into_iter().for_each(|value| line(format!("\t{word} {value}")));
        }
        if entry.contains_key("bridge_vlan_aware") {
            line("\tbridge-vlan-aware yes".to_string());
        }
        for option in ["bridge_vids", "mtu"] {
            get(option).into_iter().for_each(|value| line(format!("\t{} {value}", option.replace('_', "-"))));
        }
        get("comments").unwrap_or_default().lines().for_each(|comment| line(format!("#{comment}")));
        line(String::new());
    }
    text
}

/// An interface as it is read from the file.
fn told(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    for switch in ["autostart", "bridge_vlan_aware"] {
        if entry.remove(switch).is_some_and(|value| value != json!("0")) {
            entry.insert(switch.into(), json!(1));
        }
    }
    let method = if entry.contains_key("cidr") { "static" } else { "manual" };
    entry.insert("method".into(), json!(method));
    if entry.get("type") == Some(&json!("bridge")) {
        for (option, value) in [("bridge_ports", ""), ("bridge_stp", "off"), ("bridge_fd", "0")] {
            entry.entry(option).or_insert_with(|| json!(value));
        }
    }
    if let Some(Json::String(comments)) = entry.get_mut("comments") {
        *comments = format!("{}\n", comments.trim_end());
    }
    entry
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
            _ if *self.is_closed.lock().unwrap() => return Err(refusal()),
            (Method::Put, None) if *self.is_refused.lock().unwrap() => {
                match self.meanwhile {
                    Some(Meanwhile::Stages) => self.meddle(),
                    Some(Meanwhile::Reverts) => self.revert(),
                    None => {}
                }
                return Err(refusal());
            }
            (Method::Put, None) => {
                let pending = self.pending.lock().unwrap().take();
                pending.into_iter().for_each(|pending| *self.running.lock().unwrap() = pending);
            }
            (Method::Delete, None) => self.revert(),
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
        let pending = self.pending.lock().unwrap().clone();
        let interfaces = pending.unwrap_or_else(|| self.running.lock().unwrap().clone());
        let interfaces = interfaces.values().map(|entry| Json::Object(told(entry))).collect();
        Ok(Some(NodeNetwork { interfaces, changes: self.difference() }))
    }
}
