//! Plugins that answer the challenges of certificate authorities by DNS.

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, PathStep, Type, Value};
use serde_json::{Map, Value as Json};

use crate::definition::{flag, number, of_type, problem, text};
use crate::limits;
use crate::object::{Form, Hooks, Object};
use crate::params::Params;
use crate::values::text as text_of;

const PLACE: &str = "/cluster/acme/plugins/{plugin}";

/// `proxmox_acme_dns_plugin`
pub(super) fn plugin() -> Object {
    let data = || of_type(Type::map(Type::String)).sensitive().param("data").form(Form::Lines);
    Object {
        names: &["proxmox_acme_dns_plugin", "proxmox_virtual_environment_acme_dns_plugin"],
        what: "ACME plugin",
        about: "Access to the API of a DNS provider, for the challenges of certificate authorities.",
        fields: vec![
            ("api", text().required()),
            ("data", data()),
            ("data_wo", data().write_only()),
            ("data_wo_version", number().local()),
            ("digest", text().computed().unsent().follows()),
            ("disable", flag()),
            ("plugin", text().required().replaces().param("id").only_made().checked(limits::not_empty)),
            (
                "validation_delay",
                number().computed().or(30).param("validation-delay").range(0, 172800).means("seconds"),
            ),
        ],
        constants: &[("type", "dns")],
        example: r#"
  plugin = "dns1"
  api    = "cf"

  data = {
    CF_Account_ID = "0123"
    CF_Token      = "abcd"
  }
"#,
        hooks: &Plugin,
        ..Object::listed("/cluster/acme/plugins", PLACE, "{plugin}")
    }
}

struct Plugin;

#[async_trait]
impl Hooks for Plugin {
    /// Each entry is a line of the file that the plugin is kept in.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let ends_line = |text: &str| text.contains(['\n', '\r']);
        let faults = ["data", "data_wo"].into_iter().flat_map(|name| {
            let entries = config.get(name).and_then(Value::entries).into_iter().flatten();
            let split =
                entries.filter(move |(key, text)| ends_line(key) || text.as_str().is_some_and(ends_line));
            split.map(move |(key, _)| {
                let path = Path::attribute(name).child(PathStep::Key(key.to_string()));
                problem(
                    path,
                    "A value of several lines",
                    "each entry is one line: Proxmox VE cannot keep more",
                )
            })
        });
        faults.collect()
    }

    /// Nobody may have changed it since it was read.
    fn params(&self, params: &mut Params, prior: Option<&Value>, _: &Value) {
        if !params.0.is_empty() {
            params.put("digest", prior.and_then(|prior| text_of(prior, "digest")));
        }
    }

    /// What was given as a secret is not told: it stays out of what is recorded, except after an import.
    fn read(&self, prior: &Value, _: &Json, read: &mut Map<String, Json>) {
        let is_secret = prior.get("data").is_some_and(Value::is_null) && text_of(prior, "digest").is_some();
        if is_secret {
            read.remove("data");
        }
    }
}
