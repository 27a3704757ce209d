//! What of planned changes a cluster will not take, told before anything is sent: names of things that it does not have,
//! and values that its API refuses.

mod datastores;
mod facts;
mod fault;
mod files;
mod guests;
mod limits;
mod made;
mod names;
mod objects;
mod pairs;
mod references;
mod relations;
mod things;
mod volumes;

use pve_executor::SENSITIVE;
use pve_executor::ports::{ApplyRequest, Doubt, Doubts, Told};
use pve_model::event::Operation;
use pve_model::{InstanceAddress, Path, PathStep, Value};

use crate::cluster::Cluster;
use crate::object::Engine;
use crate::values::{all_blocks, flag, text};
use facts::Facts;
use fault::Fault;
use made::Made;
use references::{Reference, Used};
pub(crate) use relations::{known_as, named};
use things::Thing;

/// Why the API refuses a value of a parameter, by method, path (with `{...}` for its variable parts), parameter and text.
/// `None` when it takes it, or nobody can tell.
pub type Limits = fn(&str, &str, &str, &str) -> Option<String>;

/// What told an object from others when it was read for the plan.
type Identity<'a> = &'a (dyn Fn(&InstanceAddress) -> Option<String> + Sync);

/// The doubts about changes of one cluster, of a plan with `all` changes. What cannot be asked is not doubted.
pub(crate) async fn doubts(
    cluster: &Cluster,
    changes: &[&ApplyRequest],
    all: &[ApplyRequest],
    identity: Identity<'_>,
) -> Doubts {
    // Another provider block may be the same cluster with another user.
    let made = Made::of(all);
    let removed = Made::removed_by(changes);
    let mut facts = Facts::new(cluster);
    let mut found = Vec::new();
    for change in changes.iter().filter(|change| change.operation != Operation::Delete) {
        let Some(planned) = &change.planned else { continue };
        for reference in references::of(&change.address.resource.kind, planned) {
            if made.has(reference.thing, &reference.name) || !is_looked_at(change, planned, &reference) {
                continue;
            }
            let is_shared = match &reference.volume {
                Some(volume) if made.nodes_of(volume).or(removed.nodes_of(volume)).is_some() => {
                    datastores::is_shared(&mut facts, &reference).await
                }
                _ => true,
            };
            let fault = match removed_with(&removed, &made, &reference, is_shared) {
                Some(fault) => Some(fault),
                None => fault_of(&mut facts, change, planned, &reference, &made, is_shared).await,
            };
            found.extend(fault.map(|fault| {
                let is_certain = fault.is_certain && is_used(change, planned, &reference);
                Fault { is_certain, ..fault }.at(change, reference.path)
            }));
        }
        found.extend(guests::not_where_its_clone_is_made(&mut facts, change, &made).await);
        found.extend(guests::only_for_root(&mut facts, changes, change).await);
        found.extend(guests::at_odds_with_container_template(&mut facts, changes, change).await);
        found.extend(guests::held_by_protection(change));
        found.extend(guests::held_by_snapshots(&mut facts, change, identity).await);
        found.extend(guests::left_behind_by_ha(&mut facts, changes, change).await);
        found.extend(guests::at_odds_with_ha(&mut facts, changes, change).await);
        found.extend(files::file_in_use(&mut facts, changes, change).await);
        found.extend(files::wrong_name(change));
    }
    found.extend(guests::ids_in_use(&mut facts, changes).await);
    found.extend(guests::at_odds_with_template(&mut facts, changes).await);
    found.extend(guests::over_drives_of_template(&mut facts, changes).await);
    found.extend(guests::kept_by_protection(&mut facts, changes).await);
    found.extend(objects::conflicts(&mut facts, changes, &made).await);
    Doubts { found, unseen: facts.unseen() }
}

async fn fault_of(
    facts: &mut Facts<'_>,
    change: &ApplyRequest,
    planned: &Value,
    reference: &Reference,
    made: &Made,
    is_shared: bool,
) -> Option<Fault> {
    let missing = names::missing_name(facts, reference).await;
    match reference.thing {
        _ if missing.is_some() => missing,
        Thing::Guest => guests::unfit_template(facts, change, planned, reference).await,
        Thing::Datastore => match datastores::unfit_datastore(facts, reference).await {
            None if !made.may_have_volume(reference, is_shared) => {
                volumes::missing_volume(facts, reference, made).await
            }
            unfit => unfit,
        },
        _ => None,
    }
}

/// Whether a change touches what is named: what stays as it is was looked at when it was made.
fn is_looked_at(change: &ApplyRequest, planned: &Value, reference: &Reference) -> bool {
    let Some(prior) = &change.prior else { return true };
    if matches!(reference.path.0.first(), Some(PathStep::Attribute(block)) if block == "clone") {
        return false;
    }
    let before = pairs::before(prior, planned, &reference.path);
    let is_same = before.is_some_and(|path| prior.at(&path) == planned.at(&reference.path));
    // Each node has bridges and datastores of its own.
    let moves = text(prior, "node_name") != text(planned, "node_name");
    !is_same || moves && reference.thing.is_of_node() && reference.volume.is_none()
}

/// Whether the change fails where what is named is not there.
fn is_used(change: &ApplyRequest, planned: &Value, reference: &Reference) -> bool {
    match reference.used {
        Used::Now => true,
        Used::Later => false,
        Used::AtStart => flag(planned, "started") == Some(true) && flag(planned, "template") != Some(true),
        Used::Made => {
            let steps = &reference.path.0;
            let block = Path(steps[..steps.len().saturating_sub(1)].to_vec());
            let before =
                |prior: &Value| pairs::before(prior, planned, &block).filter(|at| prior.at(at).is_some());
            let is_new = change.prior.as_ref().is_none_or(|prior| before(prior).is_none());
            is_new && all_blocks(planned, "clone").is_empty()
        }
    }
}

/// What is named goes with the same plan, and nothing orders the two.
fn removed_with(removed: &Made, made: &Made, reference: &Reference, is_shared: bool) -> Option<Fault> {
    let (thing, name) = (reference.thing, &reference.name);
    let detail = "nothing in the configuration orders this and the removal: name another, or keep it";
    if removed.has_volume(reference, is_shared) && !made.may_have_volume(reference, is_shared) {
        let volume = format!("{:?}", reference.volume.as_deref().unwrap_or_default());
        let summary = |name: &str| format!("This plan removes the volume {name}");
        return Some(Fault::certain(&volume, summary, detail).likely());
    }
    removed.names_it(thing, name).then(|| {
        let what = thing.listing().what;
        let fault = Fault::certain(
            &format!("{name:?}"),
            |name| format!("This plan removes the {what} {name}"),
            detail,
        );
        // A pool that has a guest cannot go, and a guest does not come into one that went.
        if thing == Thing::Pool { fault } else { fault.likely() }
    })
}

/// The doubts about values of one change, by what the API takes.
pub(crate) fn values(limits: Limits, engine: Option<&Engine>, change: &ApplyRequest) -> Vec<Doubt> {
    let (Some(planned), prior) = (&change.planned, change.prior.as_ref()) else { return Vec::new() };
    let faults = match engine {
        Some(engine) => limits::of_object(limits, engine, prior, planned),
        None => limits::of_kind(limits, &change.address.resource.kind, prior, planned),
    };
    let told = |detail| Told { summary: "Proxmox VE does not take this value".into(), detail };
    let doubt = |limits::Fault { paths, value, reason }: limits::Fault| Doubt {
        address: change.address.clone(),
        told: told(match &value {
            Some(value) => format!("it is {value:?}: {reason}"),
            None => reason.clone(),
        }),
        hidden: told(match value.is_some_and(|value| repeats(&reason, &value)) {
            true => format!("it is {SENSITIVE}"),
            false => format!("it is {SENSITIVE}: {reason}"),
        }),
        paths,
        is_certain: true,
        may_come: false,
    };
    faults.into_iter().map(doubt).collect()
}

/// Whether a text has any word of a value in it, be the value of several lines or in quotes there.
fn repeats(text: &str, value: &str) -> bool {
    value.split(|c: char| !c.is_alphanumeric()).any(|word| !word.is_empty() && text.contains(word))
}
