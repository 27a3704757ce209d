//! What of planned changes a cluster will not take, told before anything is sent: names of things that it does not have,
//! and values that its API refuses.

mod facts;
mod fault;
mod guests;
mod limits;
mod made;
mod names;
mod objects;
mod references;
mod things;

use pve_executor::SENSITIVE;
use pve_executor::ports::{ApplyRequest, Doubt, Told};
use pve_model::Value;
use pve_model::event::Operation;

use crate::cluster::Cluster;
use crate::object::Engine;
use crate::values::text;
use facts::Facts;
use fault::Fault;
use made::Made;
use things::Thing;

/// Why the API refuses a value of a parameter, by method, path (with `{...}` for its variable parts), parameter and text.
/// `None` when it takes it, or nobody can tell.
pub type Limits = fn(&str, &str, &str, &str) -> Option<String>;

/// The doubts about changes of one cluster. What cannot be asked is not doubted.
pub(crate) async fn doubts(cluster: &Cluster, changes: &[&ApplyRequest]) -> Vec<Doubt> {
    let made = Made::of(changes);
    let mut facts = Facts::new(cluster);
    let mut found = Vec::new();
    for change in changes.iter().filter(|change| change.operation != Operation::Delete) {
        let Some(planned) = &change.planned else { continue };
        let node = |value: &Value| text(value, "node_name").map(String::from);
        let migrates = change.prior.as_ref().is_some_and(|prior| node(prior) != node(planned));
        for reference in references::of(&change.address.resource.kind, planned) {
            let before = change.prior.as_ref().and_then(|prior| prior.at(&reference.path));
            let is_same = before.is_some_and(|before| planned.at(&reference.path) == Some(before));
            // Each node has bridges of its own.
            let is_elsewhere = migrates && reference.thing == Thing::Bridge;
            if made.has(reference.thing, &reference.name) || is_same && !is_elsewhere {
                continue;
            }
            let fault = names::fault(&mut facts, &reference).await;
            found.extend(fault.map(|fault| {
                let is_certain = fault.is_certain && reference.is_used;
                Fault { is_certain, ..fault }.at(change, reference.path)
            }));
        }
    }
    found
}

/// The doubts about values of one change, by what the API takes.
pub(crate) fn values(limits: Limits, engine: Option<&Engine>, change: &ApplyRequest) -> Vec<Doubt> {
    let (Some(planned), prior) = (&change.planned, change.prior.as_ref()) else { return Vec::new() };
    let faults = match engine {
        Some(engine) => limits::of_object(limits, engine, prior, planned),
        None => limits::of_guest(limits, &change.address.resource.kind, prior, planned),
    };
    let told = |detail| Told { summary: "Proxmox VE does not take this value".into(), detail };
    let doubt = |fault: limits::Fault| Doubt {
        address: change.address.clone(),
        told: told(format!("it is {:?}: {}", fault.value, fault.reason)),
        hidden: told(match repeats(&fault.reason, &fault.value) {
            true => format!("it is {SENSITIVE}"),
            false => format!("it is {SENSITIVE}: {}", fault.reason),
        }),
        paths: fault.paths,
        is_certain: true,
        may_come: false,
    };
    faults.into_iter().map(doubt).collect()
}

/// Whether a text has any word of a value in it, be the value of several lines or in quotes there.
fn repeats(text: &str, value: &str) -> bool {
    value.split(|c: char| !c.is_alphanumeric()).any(|word| !word.is_empty() && text.contains(word))
}
