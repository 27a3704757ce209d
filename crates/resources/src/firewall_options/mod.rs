//! `proxmox_virtual_environment_firewall_options`: the firewall switches of a VM or container.

mod io;
mod schema;

use pve_model::rules::{PlanRequest, PlanResponse, Problem};
use pve_model::{Path, Value};

use crate::definition::problem;
use crate::firewall_rules::owner;
use crate::registry::Rules;
use crate::values::settle;

pub(crate) use io::{delete, read, write};
pub(crate) use schema::fields;

/// The names of the kind.
pub(crate) const NAMES: &[&str] = &["proxmox_virtual_environment_firewall_options"];

/// The rules of the kind.
pub(crate) fn rules() -> Rules {
    Rules { validate, plan, claim }
}

fn validate(config: &Value) -> Vec<Problem> {
    let unset = |name: &str| config.get(name).is_none_or(Value::is_null);
    if unset("vm_id") == unset("container_id") {
        let detail = "set exactly one of vm_id and container_id";
        return vec![problem(Path::default(), "Whose firewall?", detail)];
    }
    Vec::new()
}

fn plan(request: PlanRequest<'_>) -> PlanResponse {
    let planned = request.prior.map(|prior| settle(prior, request.proposed));
    PlanResponse { planned, ..PlanResponse::default() }
}

fn claim(planned: &Value) -> Option<String> {
    Some(format!("firewall options of {}", owner(planned)?))
}
