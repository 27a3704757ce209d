//! Settings of a node that are always there: name resolution, time, notes.

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json, json};

use crate::cluster::Method;
use crate::definition::{problem, text, texts};
use crate::limits;
use crate::object::{Delete, Form, Hooks, Object, Read, Removal};
use crate::operations::Proof;

/// `proxmox_virtual_environment_dns`
pub(super) fn dns() -> Object {
    Object {
        names: &["proxmox_virtual_environment_dns"],
        what: "name resolution of node",
        about: "The search domain and the name servers of a node. Destroying it changes nothing.",
        fields: vec![
            ("domain", text().required().param("search")),
            ("id", text().read_only()),
            ("node_name", text().required().replaces().unsent()),
            ("servers", texts().param("dns").form(Form::Numbered(1))),
        ],
        create: (Method::Put, "/nodes/{node_name}/dns"),
        read: Read::At("/nodes/{node_name}/dns"),
        update: (Method::Put, "/nodes/{node_name}/dns"),
        delete: Delete::Stays,
        removal: Removal::Absence,
        whole: true,
        id: "{node_name}_dns",
        import: "{node_name}",
        proof: Proof::Presence,
        hooks: &Dns,
        example: r#"
  node_name = "pve"
  domain    = "example.test"
  servers   = ["192.0.2.53", "2001:db8::53"]
"#,
        ..Object::default()
    }
}

struct Dns;

impl Hooks for Dns {
    /// The API has `dns1` to `dns3`.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let servers = config.get("servers").and_then(Value::elements).unwrap_or_default();
        let detail = format!("there are {}: a node has at most 3", servers.len());
        let problem = problem(Path::attribute("servers"), "Too many name servers", detail);
        (servers.len() > 3).then_some(problem).into_iter().collect()
    }
}

/// `proxmox_virtual_environment_time`
pub(super) fn time() -> Object {
    Object {
        names: &["proxmox_virtual_environment_time"],
        what: "time zone of node",
        about: "The time zone of a node. `local_time` and `utc_time` are those of when it was set. Destroying it changes \
                nothing.",
        fields: vec![
            ("id", text().read_only()),
            ("local_time", text().read_only().follows().unread()),
            ("node_name", text().required().replaces().unsent()),
            ("time_zone", text().required().param("timezone")),
            ("utc_time", text().read_only().follows().unread()),
        ],
        create: (Method::Put, "/nodes/{node_name}/time"),
        read: Read::At("/nodes/{node_name}/time"),
        update: (Method::Put, "/nodes/{node_name}/time"),
        delete: Delete::Stays,
        removal: Removal::Absence,
        whole: true,
        id: "{node_name}_time",
        import: "{node_name}",
        proof: Proof::Presence,
        example: r#"
  node_name = "pve"
  time_zone = "Europe/Vienna"
"#,
        hooks: &Time,
        ..Object::default()
    }
}

struct Time;

#[async_trait]
impl Hooks for Time {
    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let seconds = |name: &str| answer.get(name).and_then(Json::as_i64);
        let (Some(utc), Some(local)) = (seconds("time"), seconds("localtime")) else { return };
        let Ok(moment) = jiff::Timestamp::from_second(utc) else { return };
        let zone =
            i32::try_from(local - utc).ok().and_then(|offset| jiff::tz::Offset::from_seconds(offset).ok());
        let zone = zone.unwrap_or(jiff::tz::Offset::UTC);
        let local = moment.display_with_offset(zone).to_string();
        for (name, text) in [("utc_time", moment.to_string()), ("local_time", local)] {
            if prior.get(name).is_some_and(Value::is_null) {
                read.insert(name.into(), json!(text));
            }
        }
    }
}

/// `proxmox_node_config`
pub(super) fn config() -> Object {
    Object {
        names: &["proxmox_node_config"],
        what: "notes of node",
        about: "The notes of a node. Destroying it takes them away.",
        fields: vec![
            ("description", text()),
            ("id", text().read_only()),
            ("node_name", text().required().replaces().unsent().checked(limits::not_empty)),
        ],
        create: (Method::Put, "/nodes/{node_name}/config"),
        read: Read::At("/nodes/{node_name}/config"),
        update: (Method::Put, "/nodes/{node_name}/config"),
        delete: Delete::Reset,
        id: "{node_name}",
        import: "{node_name}",
        proof: Proof::Presence,
        example: r#"
  node_name   = "pve"
  description = "rack 2, unit 14"
"#,
        ..Object::default()
    }
}
