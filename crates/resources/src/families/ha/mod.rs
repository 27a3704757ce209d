//! High availability: resources, the groups of older clusters, and rules.

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, Type, Value};

use crate::definition::{flag, number, of_type, problem, text, text_set};
use crate::guest::guest_claim_of;
use crate::limits;
use crate::object::{Form, Hooks, Object, Planning};
use crate::params::Params;
use crate::values::{is_unset, text as text_of, with};

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    vec![resource(), group(), rule()]
}

const RESOURCE: &str = "/cluster/ha/resources/{resource_id}";
const GROUP: &str = "/cluster/ha/groups/{group}";
const RULE: &str = "/cluster/ha/rules/{rule}";

/// `proxmox_haresource`
fn resource() -> Object {
    Object {
        names: &["proxmox_haresource", "proxmox_virtual_environment_haresource"],
        what: "HA resource",
        about: "A guest that is kept running: `vm:100` or `ct:100`.",
        fields: vec![
            ("comment", text().checked(limits::comment)),
            ("failback", flag().absent(true)),
            ("group", text().checked(limits::config_id)),
            ("id", text().read_only()),
            ("max_relocate", number().range(0, 10).absent(1)),
            ("max_restart", number().range(0, 10).absent(1)),
            ("resource_id", text().required().replaces().param("sid").only_made().checked(resource_id)),
            (
                "state",
                text()
                    .computed()
                    .or("started")
                    .same_as(limits::same_service_state)
                    .one_of(&["started", "enabled", "stopped", "disabled", "ignored"]),
            ),
            ("type", text().computed().only_made().follows().one_of(&["ct", "vm"])),
        ],
        example: r#"
  resource_id  = "vm:${proxmox_virtual_environment_vm.kept.vm_id}"
  state        = "started"
  max_restart  = 3
  max_relocate = 2
"#,
        beside: r#"
resource "proxmox_virtual_environment_vm" "kept" {
  node_name = "pve"
}
"#,
        hooks: &Resource,
        ..Object::listed("/cluster/ha/resources", RESOURCE, "{resource_id}")
    }
}

struct Resource;

/// The type that the id begins with.
fn type_of(value: &Value) -> Option<&str> {
    Some(text_of(value, "resource_id")?.split_once(':')?.0)
}

#[async_trait]
impl Hooks for Resource {
    /// A guest that is purged takes its resource along (PVE::API2::Qemu, PVE::API2::LXC).
    fn part_of(&self, present: &Value) -> Vec<String> {
        let id = text_of(present, "resource_id").and_then(|id| id.split_once(':'));
        id.and_then(|(_, id)| guest_claim_of(id)).into_iter().collect()
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match (type_of(config), text_of(config, "type")) {
            (Some(kind), Some(stated)) if kind != stated => {
                let detail = format!("resource_id says that it is {kind:?}: leave type out");
                vec![problem(Path::attribute("type"), format!("The type is {stated:?}"), detail)]
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, planning: &mut Planning<'_>) {
        if let Some(kind) = type_of(&planning.planned).map(Value::string) {
            planning.planned = with(&planning.planned, "type", kind);
        }
    }
}

fn resource_id(text: &str) -> Option<String> {
    let fits = text
        .split_once(':')
        .is_some_and(|(kind, id)| ["vm", "ct"].contains(&kind) && limits::is_guest_id(id));
    (!fits).then(|| format!("{text:?} is no HA resource: write it as vm:VMID or ct:VMID"))
}

/// `proxmox_hagroup`
fn group() -> Object {
    Object {
        names: &["proxmox_hagroup", "proxmox_virtual_environment_hagroup"],
        what: "HA group",
        about: "Nodes that resources run on, before version 9: a cluster of Proxmox VE 9 has migrated its groups to rules and \
                takes no more of them. Use `proxmox_harule` there.",
        fields: vec![
            ("comment", text().checked(limits::comment)),
            ("group", text().required().replaces().only_made().checked(limits::config_id)),
            ("id", text().read_only()),
            ("no_failback", flag().computed().or(false).param("nofailback")),
            ("nodes", of_type(Type::map(Type::Number)).required().filled().form(Form::Priorities)),
            ("restricted", flag().computed().or(false)),
        ],
        constants: &[("type", "group")],
        example: r#"
  group = "fast"

  nodes = {
    pve1 = 2
    pve2 = 1
  }
"#,
        ..Object::listed("/cluster/ha/groups", GROUP, "{group}")
    }
}

/// `proxmox_harule`
fn rule() -> Object {
    Object {
        names: &["proxmox_harule", "proxmox_virtual_environment_harule"],
        what: "HA rule",
        about: "Which nodes resources run on (`node-affinity`), or whether they run together (`resource-affinity`).",
        fields: vec![
            ("affinity", text().one_of(&["positive", "negative"])),
            ("comment", text().checked(limits::comment)),
            ("disable", flag().computed().or(false).form(Form::Switch)),
            ("id", text().read_only()),
            ("nodes", of_type(Type::map(Type::Number)).form(Form::Priorities)),
            ("resources", text_set().required().checked(resource_id)),
            ("rule", text().required().replaces().only_made().checked(limits::config_id)),
            ("strict", flag().computed().or(false)),
            ("type", text().required().replaces().one_of(&["node-affinity", "resource-affinity"])),
        ],
        whole: true,
        example: r#"
  rule      = "prefer-fast"
  type      = "node-affinity"
  resources = [proxmox_haresource.placed.resource_id]

  nodes = {
    pve = 1
  }
"#,
        beside: r#"
resource "proxmox_virtual_environment_vm" "placed" {
  node_name = "pve"
}

resource "proxmox_haresource" "placed" {
  resource_id = "vm:${proxmox_virtual_environment_vm.placed.vm_id}"
}
"#,
        hooks: &Rule,
        ..Object::listed("/cluster/ha/rules", RULE, "{rule}")
    }
}

struct Rule;

const DETAIL: &str = "a rule of type \"node-affinity\" has nodes, one of type \"resource-affinity\" has affinity and several resources";

#[async_trait]
impl Hooks for Rule {
    /// What each type wants and refuses (PVE::HA::Rules).
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let (wanted, other) = match text_of(config, "type") {
            Some("node-affinity") => ("nodes", "affinity"),
            Some("resource-affinity") => ("affinity", "nodes"),
            _ => return Vec::new(),
        };
        let is_unset = |name| config.get(name).is_none_or(is_unset);
        let is_set = |name| config.get(name).is_some_and(Value::is_known) && !is_unset(name);
        let resources = config.get("resources").filter(|resources| resources.is_wholly_known());
        let count = resources.and_then(Value::elements).map(<[Value]>::len);
        let mut problems = Vec::new();
        let mut tell = |name, summary| problems.push(problem(Path::attribute(name), summary, DETAIL));
        if is_unset(wanted) {
            tell("type", format!("This rule needs {wanted}"));
        }
        if is_set(other) {
            tell(other, format!("This rule has no {other}"));
        }
        match count {
            Some(count) if wanted == "affinity" && count < 2 => {
                tell("resources", "This rule needs two resources or more".to_string());
            }
            Some(0) => tell("resources", "This rule is about no resource".to_string()),
            _ => {}
        }
        problems
    }

    /// Each type of rule takes its own parameters only.
    fn params(&self, params: &mut Params, _: Option<&Value>, planned: &Value) {
        if text_of(planned, "type") == Some("resource-affinity") {
            params.0.remove("strict");
        }
    }
}
