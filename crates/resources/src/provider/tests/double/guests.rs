//! The guests of the cluster in memory.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{FakeGuest, State, error, task};
use crate::cluster::{ApiError, Method};
use crate::property::Properties;

impl State {
    pub(super) fn create(&mut self, kind: &str, params: &BTreeMap<String, String>) -> Result<Json, ApiError> {
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

    pub(super) fn guest(
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
}
