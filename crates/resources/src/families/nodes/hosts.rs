//! The hosts file of a node: its lines as blocks.

use async_trait::async_trait;
use pve_model::{Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::cluster::Method;
use crate::definition::{blocks, object_list, of_type, text, texts};
use crate::limits;
use crate::object::{Delete, Hooks, Object, Read, Removal};
use crate::operations::Proof;
use crate::params::Params;
use crate::values::{all_blocks, text as text_of, texts as texts_of};

/// `proxmox_virtual_environment_hosts`
pub(super) fn hosts() -> Object {
    let entry = || {
        vec![("address", text().required()), ("hostnames", texts().required().checked(limits::host_in_file))]
    };
    let told = vec![("address", text().read_only()), ("hostnames", texts().read_only())];
    Object {
        names: &["proxmox_virtual_environment_hosts"],
        what: "hosts file of node",
        about: "The hosts file of a node, as a whole: other lines and comments are taken out. Destroying it changes \
                nothing.",
        fields: vec![
            ("addresses", texts().read_only().follows()),
            ("digest", text().read_only().follows()),
            ("entries", object_list(told).read_only().follows()),
            ("entry", blocks(entry()).least(1).unsent()),
            ("hostnames", of_type(Type::list(Type::list(Type::String))).read_only().follows()),
            ("id", text().read_only()),
            ("node_name", text().required().replaces().unsent()),
        ],
        create: (Method::Post, "/nodes/{node_name}/hosts"),
        read: Read::At("/nodes/{node_name}/hosts"),
        update: (Method::Post, "/nodes/{node_name}/hosts"),
        delete: Delete::Stays,
        removal: Removal::Absence,
        id: "{node_name}_hosts",
        import: "{node_name}",
        proof: Proof::Presence,
        example: r#"
  node_name = "pve"

  entry {
    address   = "127.0.0.1"
    hostnames = ["localhost"]
  }
  entry {
    address   = "192.0.2.10"
    hostnames = ["pve.example.test", "pve"]
  }
"#,
        hooks: &Hosts,
        ..Object::default()
    }
}

struct Hosts;

/// The addresses and names of a hosts file.
fn lines(data: &str) -> Vec<(&str, Vec<&str>)> {
    let lines = data.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    lines.filter_map(|mut words| Some((words.next()?, words.collect()))).collect()
}

#[async_trait]
impl Hooks for Hosts {
    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        let line = |entry: &Value| {
            format!(
                "{} {}\n",
                text_of(entry, "address").unwrap_or_default(),
                texts_of(entry, "hostnames").join(" ")
            )
        };
        let data: String = all_blocks(planned, "entry").iter().map(line).collect();
        params.put("data", Some(data));
        // Nobody may have changed the file since it was read.
        params.put("digest", prior.and_then(|prior| text_of(prior, "digest")));
    }

    fn read(&self, _: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let lines = lines(answer.get("data").and_then(Json::as_str).unwrap_or_default());
        let entries: Json =
            lines.iter().map(|(address, names)| json!({"address": address, "hostnames": names})).collect();
        read.insert("addresses".into(), lines.iter().map(|(address, _)| json!(address)).collect());
        read.insert("hostnames".into(), lines.iter().map(|(_, names)| json!(names)).collect());
        read.insert("entries".into(), entries.clone());
        read.insert("entry".into(), entries);
    }
}
