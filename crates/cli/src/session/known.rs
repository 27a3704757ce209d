//! What is known of objects beside their values: what tells them from others with their ids, and what no value tells.

use std::collections::BTreeMap;

use pve_executor::ports::Provider;
use pve_model::InstanceAddress;
use pve_model::state::{InstanceRecord, State};
use pve_planner::planning::Planning;

/// What tells objects from others with their ids, as they were read for a plan; those that it moves under their new
/// addresses.
pub fn identities(
    planning: &Planning,
    state: &State,
    provider: &dyn Provider,
) -> BTreeMap<InstanceAddress, String> {
    let moves = &planning.moves;
    let stays = |address: &&InstanceAddress| moves.iter().all(|(from, _)| from != *address);
    let imported = planning.plan.changes.iter().filter(|change| change.importing.is_some());
    let imported = imported.map(|change| &change.address);
    let read = state.instances.keys().filter(stays).chain(imported).map(|address| (address, address));
    let read = read.chain(moves.iter().map(|(from, to)| (to, from)));
    read.filter_map(|(address, read_at)| Some((address.clone(), provider.identity(read_at)?))).collect()
}

/// What the object of an instance has that no value tells, as it was seen last. Nothing is something that is known, too.
pub(super) fn unspoken(
    provider: &dyn Provider,
    address: &InstanceAddress,
) -> Option<BTreeMap<String, String>> {
    provider.beside(address)?.unspoken
}

/// The same of one that moves from one address to another. Another kind tells other values: what was recorded by those of
/// the old one says nothing.
pub(super) fn unspoken_at(
    provider: &dyn Provider,
    (from, to): (&InstanceAddress, &InstanceAddress),
    known: &InstanceRecord,
) -> Option<BTreeMap<String, String>> {
    let stays = from.resource.kind == to.resource.kind;
    stays.then(|| unspoken(provider, from).or_else(|| known.unspoken.clone())).flatten()
}

/// Records of objects of which no more is news than what tells them from others with their ids, and what they have that no
/// value tells.
pub fn identified(
    planning: &Planning,
    state: &State,
    identities: &BTreeMap<InstanceAddress, String>,
    provider: &dyn Provider,
) -> Vec<(InstanceAddress, InstanceRecord)> {
    let drift = || planning.plan.drift.iter().chain(&planning.plan.followed);
    // Objects that are no guests have no identity.
    let after_moves = |from: &InstanceAddress| {
        planning.moves.iter().find(|(old, _)| old == from).map_or(from, |(_, to)| to).clone()
    };
    let news = state.instances.iter().filter_map(|(from, instance)| {
        let (known, address) = (instance.current.as_ref()?, after_moves(from));
        // What was seen is what another object had.
        if planning.restored.contains_key(&address) || drift().any(|drift| drift.is_of(&address)) {
            return None;
        }
        let identity = identities.get(&address).cloned().or_else(|| known.identity.clone());
        let unspoken = unspoken_at(provider, (from, &address), known);
        let record = InstanceRecord { identity, unspoken, ..known.clone() };
        (record != *known).then_some((address, record))
    });
    news.collect()
}

/// The address that the state has an instance at before a plan moves it.
pub(super) fn before_moves<'a>(planning: &'a Planning, address: &'a InstanceAddress) -> &'a InstanceAddress {
    planning.moves.iter().find(|(_, to)| to == address).map_or(address, |(from, _)| from)
}

/// What the state has of an instance that a plan is about, by its address there: of one that is taken back what it was.
pub(super) fn known_of<'s>(
    planning: &Planning,
    state: &'s State,
    address: &InstanceAddress,
) -> Option<&'s InstanceRecord> {
    let instance = state.instances.get(before_moves(planning, address))?;
    match planning.restored.get(address) {
        Some(deposed) => instance.deposed.get(deposed),
        None => instance.current.as_ref(),
    }
}
