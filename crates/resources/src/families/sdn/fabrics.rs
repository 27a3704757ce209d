//! Fabrics of routers and the nodes in them.

use async_trait::async_trait;
use pve_model::rules::ReplaceReason;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json, json};

use super::fabric_identifier;
use crate::definition::{Fields, number, text, text_set};
use crate::limits;
use crate::object::{Form, Hooks, Object, Planning, Removal, SEVERAL};
use crate::params::Params;
use crate::property::Properties;
use crate::values::text as text_of;

/// The kinds of fabrics and of their nodes.
pub(super) fn objects() -> Vec<Object> {
    vec![openfabric(), ospf(), openfabric_node(), ospf_node()]
}

type Constants = &'static [(&'static str, &'static str)];

fn fabric(names: &'static [&'static str], protocol: Constants, own: Fields) -> Object {
    const PLACE: &str = "/cluster/sdn/fabrics/fabric/{id}";
    let mut fields = vec![("id", text().required().replaces().only_made().checked(fabric_identifier))];
    fields.extend(own);
    Object {
        names,
        what: "fabric",
        fields,
        removal: Removal::Each,
        whole: true,
        constants: protocol,
        always: &["protocol"],
        hooks: &Fabric,
        ..Object::listed("/cluster/sdn/fabrics/fabric", PLACE, "{id}")
    }
}

struct Fabric;

impl Hooks for Fabric {
    /// The API takes a network into a fabric, and none out of it.
    fn plan(&self, planning: &mut Planning<'_>) {
        let Some(prior) = planning.prior else { return };
        for name in ["ip6_prefix", "ip_prefix"] {
            let is_null = |value: &Value| value.get(name).is_some_and(Value::is_null);
            if prior.get(name).is_some() && !is_null(prior) && is_null(&planning.planned) {
                let reason = "Proxmox VE does not take a network out of a fabric".to_string();
                planning.replace.push(ReplaceReason { path: Path::attribute(name), reason });
            }
        }
    }
}

fn prefix(name: &'static str) -> (&'static str, crate::definition::Item) {
    (name, text().checked(limits::host_in_network))
}

fn openfabric() -> Object {
    let own = vec![
        ("csnp_interval", number().means("seconds")),
        ("hello_interval", number().means("seconds")),
        prefix("ip6_prefix"),
        prefix("ip_prefix"),
    ];
    Object {
        about: "A fabric of OpenFabric. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id        = "spine1"
  ip_prefix = "192.0.2.0/24"
"#,
        ..fabric(
            &["proxmox_sdn_fabric_openfabric", "proxmox_virtual_environment_sdn_fabric_openfabric"],
            &[("protocol", "openfabric")],
            own,
        )
    }
}

fn ospf() -> Object {
    let own =
        vec![("area", text().required()), ("ip_prefix", text().required().checked(limits::host_in_network))];
    Object {
        about: "A fabric of OSPF. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id        = "ospf1"
  area      = "0"
  ip_prefix = "192.0.2.0/24"
"#,
        ..fabric(
            &["proxmox_sdn_fabric_ospf", "proxmox_virtual_environment_sdn_fabric_ospf"],
            &[("protocol", "ospf")],
            own,
        )
    }
}

fn node(names: &'static [&'static str], protocol: Constants, own: Fields) -> Object {
    const PLACE: &str = "/cluster/sdn/fabrics/node/{fabric_id}/{node_id}";
    let mut fields = vec![
        ("fabric_id", text().required().replaces().unsent().checked(fabric_identifier)),
        ("id", text().read_only()),
        ("interface_names", text_set().required().param("interfaces").form(Form::Several).unread()),
        ("node_id", text().required().replaces().only_made()),
    ];
    fields.extend(own);
    Object {
        names,
        what: "fabric node",
        fields,
        removal: Removal::Each,
        whole: true,
        constants: protocol,
        always: &["protocol"],
        hooks: &Node,
        ..Object::listed("/cluster/sdn/fabrics/node/{fabric_id}", PLACE, "{fabric_id}/{node_id}")
    }
}

fn openfabric_node() -> Object {
    Object {
        about: "A node in a fabric of OpenFabric. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  fabric_id       = proxmox_sdn_fabric_openfabric.leaves.id
  node_id         = "pve"
  ip              = "192.0.2.1"
  interface_names = ["eno1", "eno2"]
"#,
        beside: r#"
resource "proxmox_sdn_fabric_openfabric" "leaves" {
  id        = "leaves"
  ip_prefix = "192.0.2.0/24"
}
"#,
        ..node(
            &["proxmox_sdn_fabric_node_openfabric", "proxmox_virtual_environment_sdn_fabric_node_openfabric"],
            &[("protocol", "openfabric")],
            vec![("ip", text().checked(limits::ip)), ("ip6", text().checked(limits::ip))],
        )
    }
}

fn ospf_node() -> Object {
    Object {
        about: "A node in a fabric of OSPF. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  fabric_id       = proxmox_sdn_fabric_ospf.backbone.id
  node_id         = "pve"
  ip              = "198.51.100.1"
  interface_names = ["eno1"]
"#,
        beside: r#"
resource "proxmox_sdn_fabric_ospf" "backbone" {
  id        = "backbone"
  area      = "1"
  ip_prefix = "198.51.100.0/24"
}
"#,
        ..node(
            &["proxmox_sdn_fabric_node_ospf", "proxmox_virtual_environment_sdn_fabric_node_ospf"],
            &[("protocol", "ospf")],
            vec![("ip", text().required().checked(limits::ip))],
        )
    }
}

/// Interfaces are property strings with a name.
struct Node;

#[async_trait]
impl Hooks for Node {
    /// The nodes of a fabric go with it (PVE::API2::Network::SDN::Fabrics::Fabric, `delete_fabric`).
    fn part_of(&self, present: &Value) -> Vec<String> {
        text_of(present, "fabric_id").map(|fabric| format!("fabric {fabric}")).into_iter().collect()
    }

    fn params(&self, params: &mut Params, _: Option<&Value>, _: &Value) {
        if let Some(names) = params.0.get_mut("interfaces") {
            *names =
                names.split(SEVERAL).map(|name| format!("name={name}")).collect::<Vec<_>>().join(SEVERAL);
        }
    }

    fn reads(&self, name: &str) -> bool {
        name == "interface_names"
    }

    fn read(&self, _: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let list = answer.get("interfaces").and_then(Json::as_array).into_iter().flatten();
        let name = |interface: &Json| match interface {
            Json::String(text) => Properties::parse(text).get("name").map(|name| json!(name)),
            other => other.get("name").cloned(),
        };
        read.insert("interface_names".into(), list.filter_map(name).collect());
    }
}
