//! `proxmox_virtual_environment_firewall_rules`: the rules of a cluster, node, VM or container, in order. Where it
//! departs from the reference: the list is owned as a whole, so a rule added by somebody else is seen, and an owner
//! that has rules already is refused until they are imported.

mod io;
mod schema;

use pve_model::Value;
use pve_model::rules::{PlanRequest, PlanResponse, Problem};

use crate::definition::problem;
use crate::registry::Rules;
use crate::values::{all_blocks, int, settle, text, with, with_elements};

pub(crate) use io::{create, delete, id, owner_of, path, read, update};
pub(crate) use schema::fields;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_firewall_rules"];

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules { validate, plan, claim }
}

fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, rule) in all_blocks(config, "rule").iter().enumerate() {
        let path = pve_model::Path::attribute("rule").child(pve_model::PathStep::Index(index as u64));
        let unset = |name: &str| rule.get(name).is_some_and(Value::is_null);
        if unset("security_group") && (unset("action") || unset("type")) {
            let detail = "a rule needs type and action, or security_group";
            problems.push(problem(path, "Incomplete firewall rule", detail));
        }
    }
    problems
}

/// Positions follow from the order of the rules, so they are known.
fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let rules = all_blocks(request.proposed, "rule").iter().enumerate();
    let rules = rules.map(|(index, rule)| with(rule, "pos", Value::number(index as i64)));
    let mut planned = with_elements(request.proposed, "rule", rules.collect());
    if let Some(prior) = request.prior {
        planned = settle(prior, &planned);
    }
    PlanResponse { planned: Some(planned), ..PlanResponse::default() }
}

/// Whose firewall it is: `cluster`, `node pve`, `vm 100`, `container 100`.
pub(crate) fn owner(value: &Value) -> Option<String> {
    for (name, label) in [("vm_id", "vm"), ("container_id", "container")] {
        match value.get(name) {
            Some(id) if !id.is_known() => return None,
            _ => {}
        }
        if let Some(id) = int(value, name).filter(|id| *id > 0) {
            return Some(format!("{label} {id}"));
        }
    }
    match value.get("node_name") {
        Some(node) if !node.is_known() => None,
        _ => Some(text(value, "node_name").map_or("cluster".to_string(), |node| format!("node {node}"))),
    }
}

fn claim(planned: &Value) -> Option<String> {
    Some(format!("firewall rules of {}", owner(planned)?))
}
