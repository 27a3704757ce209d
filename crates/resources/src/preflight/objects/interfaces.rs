//! What the interfaces of a node have one of: a default gateway, and the bridge or bond that a device is in.

use pve_executor::ports::{ApplyRequest, Doubt};
use pve_model::{Path, Value};
use serde_json::Value as Json;

use super::super::facts::Facts;
use super::super::fault::Fault;
use super::super::references::short;
use crate::values::{text, texts};

/// Parameters with the devices of an interface.
const DEVICES: &[&str] = &["bridge_ports", "slaves", "ovs_ports", "ovs_bonds"];

/// What of a change another interface has. Those that the plan changes, too, are as it makes them.
pub(super) async fn held_by_others(
    facts: &mut Facts<'_>,
    changes: &[&ApplyRequest],
    index: usize,
) -> Vec<Doubt> {
    let change = changes[index];
    let Some(planned) = &change.planned else { return Vec::new() };
    let (Some(node), Some(name)) = (text(planned, "node_name"), text(planned, "name")) else {
        return Vec::new();
    };
    let Some(present) = facts.list(&format!("/nodes/{node}/network"), "").await else { return Vec::new() };
    let own = own_interfaces(changes, node);
    let others: Vec<&Json> = present
        .iter()
        .filter(|entry| entry["iface"] != name && !own.iter().any(|own| entry["iface"] == own.as_str()))
        .collect();
    let is_changed = |attribute: &str| {
        planned.get(attribute) != change.prior.as_ref().and_then(|prior| prior.get(attribute))
    };
    let mut found = Vec::new();
    for (attribute, what) in [("gateway", "default gateway"), ("gateway6", "default IPv6 gateway")] {
        let other =
            others.iter().find(|entry| entry[attribute].as_str().is_some_and(|text| !text.is_empty()));
        let other = other.and_then(|entry| entry["iface"].as_str()).map(String::from);
        let by_then = || planned_with(changes, index, attribute);
        if text(planned, attribute).is_some()
            && is_changed(attribute)
            && let Some(other) = other.or_else(by_then)
        {
            let detail = format!("{other} has it: a node has one");
            let fault = Fault::certain(node, |node| format!("There is a {what} on {node} already"), detail);
            found.push(fault.at(change, Path::attribute(attribute)));
        }
    }
    for attribute in ["ports", "slaves"].into_iter().filter(|attribute| is_changed(attribute)) {
        for device in texts(planned, attribute) {
            let Some(other) = others.iter().find(|entry| has(entry, &device)) else { continue };
            let detail =
                format!("a device is in one bridge or bond; take it out of {} first", other["iface"]);
            let fault = Fault::certain(&device, |device| format!("The device {device} is in use"), detail);
            found.push(fault.at(change, Path::attribute(attribute)));
        }
    }
    found
}

/// The interfaces of a node that the plan makes, changes or destroys.
fn own_interfaces(changes: &[&ApplyRequest], node: &str) -> Vec<String> {
    let values = changes
        .iter()
        .filter(|change| short(&change.address.resource.kind).starts_with("network_linux_"))
        .flat_map(|change| change.prior.iter().chain(&change.planned));
    let of_node = values.filter(|value| text(value, "node_name") == Some(node));
    of_node.filter_map(|value| text(value, "name")).map(String::from).collect()
}

/// Another interface of the plan that has the gateway by then: one that keeps it, or comes to have it before this one.
fn planned_with(changes: &[&ApplyRequest], index: usize, attribute: &str) -> Option<String> {
    let own = changes[index].planned.as_ref()?;
    let others = changes.iter().enumerate().filter(|(at, change)| {
        let had_it = change.prior.as_ref().is_some_and(|prior| text(prior, attribute).is_some());
        (*at < index || *at > index && had_it)
            && short(&change.address.resource.kind).starts_with("network_linux_")
    });
    let mut planned = others.filter_map(|(_, change)| change.planned.as_ref());
    let has_it = |planned: &&Value| {
        text(planned, "node_name") == text(own, "node_name")
            && text(planned, "name").is_some_and(|other| Some(other) != text(own, "name"))
            && text(planned, attribute).is_some()
    };
    planned.find(has_it).and_then(|planned| text(planned, "name")).map(String::from)
}

fn has(entry: &Json, device: &str) -> bool {
    let lists = DEVICES.iter().filter_map(|key| entry[*key].as_str());
    lists.flat_map(|list| list.split([' ', ',', ';'])).any(|name| name == device)
}
