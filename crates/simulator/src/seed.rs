//! What a new cluster has from the start, described in a file: storages, bridges, files, guests.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::access::Credentials;
use crate::options::Behaviour;
use crate::schema::Raw;
use crate::simulator::{Incoming, Reply, Simulator};
use crate::storage;

/// A description. Everything is added to what a default cluster has, once: a cluster that was kept in a file is as it was
/// left, whatever the description says now; only `nodes` and `behaviour` are read at each start.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// Names of nodes; the first is the one that answers. Not used by [`Simulator::seed`]: see `Options`.
    pub nodes: Vec<String>,
    /// Options of storages by name, as `/etc/pve/storage.cfg` has them, with `type`. One that is there is replaced.
    #[serde(deserialize_with = "texts")]
    pub storages: BTreeMap<String, BTreeMap<String, String>>,
    /// Names of bridges.
    pub bridges: Vec<String>,
    /// Interfaces of all nodes by name, in place of those a default cluster has; each node has the next address.
    pub interfaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Volume ids of files, `local:iso/x.iso`, with their size in bytes.
    pub files: BTreeMap<String, u64>,
    /// Guests, in this order.
    pub guests: Vec<SeedGuest>,
    /// How quick and how healthy it is. Not used by [`Simulator::seed`]: see `Options`.
    pub behaviour: Behaviour,
}

/// Options by name, whose values may be numbers and booleans too, as the API takes them.
fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, D::Error> {
    let found: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::deserialize(deserializer)?;
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(u8::from(value).to_string()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("{other} is no text, number or boolean"))),
    };
    let all = |options: BTreeMap<String, Value>| -> Result<BTreeMap<String, String>, D::Error> {
        options.into_iter().map(|(key, value)| Ok((key, text(value)?))).collect()
    };
    found.into_iter().map(|(name, options)| Ok((name, all(options)?))).collect()
}

/// A guest that is there from the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGuest {
    /// `qemu` or `lxc`.
    pub kind: String,
    /// The node it is on.
    pub node: String,
    /// Its id.
    pub vmid: u32,
    /// Parameters of its creation, as the API takes them.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// Whether it becomes a template.
    #[serde(default)]
    pub template: bool,
}

/// A part of a description that the cluster refuses.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct SeedError {
    /// The part.
    pub what: String,
    /// What the cluster said.
    pub reason: String,
}

impl Simulator {
    /// Adds what is described.
    ///
    /// # Errors
    /// When a guest is refused, in the words of the API, or the state cannot be written.
    pub fn seed(&self, seed: &Seed) -> Result<(), SeedError> {
        let fail = |error: std::io::Error| SeedError { what: "state".to_owned(), reason: error.to_string() };
        self.change(|state, seconds| {
            state.storages.extend(seed.storages.clone());
            if !seed.interfaces.is_empty() {
                state.networks = seed.interfaces.clone();
            }
            for bridge in &seed.bridges {
                let options = [("type", "bridge"), ("active", "1"), ("autostart", "1")];
                let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
                state.networks.insert(bridge.clone(), options.into());
            }
            for (volume, size) in &seed.files {
                storage::store_file(state, volume, &vec![0; *size.min(&4096) as usize], seconds);
                if let Some(found) = state.volumes.get_mut(volume) {
                    found.size = *size;
                    found.file_size = *size;
                }
            }
        })
        .map_err(fail)?;
        let failures = self.options().failures.clone();
        self.set_failures(Vec::new());
        let made = self.make_guests(seed);
        self.set_failures(failures);
        made
    }

    /// Nothing is made to fail meanwhile: failures are for what comes after.
    fn make_guests(&self, seed: &Seed) -> Result<(), SeedError> {
        for guest in &seed.guests {
            let guests = format!("/nodes/{}/{}", guest.node, guest.kind);
            let mut options = guest.options.clone();
            options.insert("vmid".to_owned(), Value::from(guest.vmid));
            self.ask(guest, &guests, &options)?;
            if guest.template {
                self.ask(guest, &format!("{guests}/{}/template", guest.vmid), &Map::new())?;
            }
        }
        Ok(())
    }

    fn ask(&self, guest: &SeedGuest, path: &str, options: &Map<String, Value>) -> Result<(), SeedError> {
        let fail = |reason: String| SeedError { what: format!("guest {}", guest.vmid), reason };
        let authorization = Some(format!("PVEAPIToken={}", self.token()));
        let reply = self.handle(Incoming {
            method: "POST".to_owned(),
            path: path.to_owned(),
            parameters: options.iter().map(|(name, value)| (name.clone(), Raw::from(value))).collect(),
            credentials: Credentials { authorization, ..Credentials::default() },
            ..Incoming::default()
        });
        match reply {
            Reply::Failed(failure) => {
                Err(fail(format!("{} {}", failure.reason, serde_json::json!(failure.errors))))
            }
            _ => self
                .finish_tasks()
                .map_err(|error| fail(error.to_string()))?
                .map_or(Ok(()), |exit| Err(fail(exit))),
        }
    }

    /// Lets every task end now. The error of the last one, if it failed.
    fn finish_tasks(&self) -> std::io::Result<Option<String>> {
        self.change(|state, seconds| {
            crate::tasks::settle(state, (seconds + 24 * 60 * 60) * 1000);
            for vmid in state.guests.keys().copied().collect::<Vec<_>>() {
                if let Some(guest) = state.guests.get_mut(&vmid) {
                    guest.busy_until = 0;
                }
            }
            state.tasks.iter().last().map(|(_, task)| task.exit.clone()).filter(|exit| exit != "OK")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn failures_are_for_what_comes_after_and_options_of_storages_may_be_numbers() {
        let described = serde_json::json!({
            "storages": { "nas": { "type": "dir", "path": "/mnt/nas", "content": "images", "shared": 1 } },
            "guests": [{ "kind": "qemu", "node": "pve", "vmid": 9000, "options": { "scsi0": "nas:1" }, "template": true }],
            "behaviour": { "failures": [
                { "method": "POST", "path": "/nodes/*/qemu", "when": { "first": 1 }, "how": "disconnect" }
            ] },
        });
        let seed: Seed = serde_json::from_value(described).unwrap();
        let simulator = Simulator::new(Options::default().behaving(&seed.behaviour));
        simulator.seed(&seed).unwrap();
        let calls = crate::calls::Calls::to(&simulator);
        assert_eq!(calls.get("/nodes/pve/qemu/9000/config")["template"], 1);
        assert_eq!(calls.get("/storage/nas")["shared"], 1);
        assert_eq!(simulator.options().failures.len(), 1);
    }
}
