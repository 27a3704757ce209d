//! What in a plan the cluster is bound to refuse, as the plan itself tells: warnings that nothing is begun with.

use std::collections::BTreeSet;

use pve_config::syntax::Diagnostic;
use pve_model::InstanceAddress;
use pve_model::event::Operation;
use pve_model::plan::{Action, Change, Plan};
use pve_model::rules::{Hold, KindRules, RulesRegistry};

use crate::batches::{self, Late};
use crate::naming::{Word, by_word, identity, is_destroyed, is_same_kind, known_as, named};
use crate::order::waits_for;
use crate::revision::connects;
use crate::succession;

/// The obstacles of a plan.
pub fn obstacles(plan: &Plan, registry: &dyn RulesRegistry) -> Vec<Diagnostic> {
    let mut late = batches::late(plan, registry);
    late.extend(late_claims(plan, registry));
    let mut found: Vec<Diagnostic> = late.iter().map(|late| taken_late(late, plan, registry)).collect();
    found.extend(held(plan, registry));
    found
}

/// What only one can have and is taken before it is given up, by who has it or, made first, by the object that is replaced.
fn late_claims(plan: &Plan, registry: &dyn RulesRegistry) -> Vec<Late> {
    let changes: Vec<&Change> = plan.changes.iter().collect();
    let predecessors = succession::predecessors(&changes, registry);
    let mut late = Vec::new();
    for (taker, change) in changes.iter().enumerate() {
        let Some(rules) = registry.resource(&change.address.resource.kind) else { continue };
        let claim = |value: &Option<_>| claim(rules, value.as_ref());
        let Some(what) = claim(&change.after) else { continue };
        // What is staged holds its name as it holds everything else.
        if rules.takes_over() || is_staged(change, registry) {
            continue;
        }
        if change.action == Action::CreateThenDelete && claim(&change.before).as_ref() == Some(&what) {
            late.push(Late { taken_by: taker, given_up_by: taker, what: what.clone() });
        }
        let had = |giver: &&usize| {
            let change = changes[**giver];
            let rules = registry.resource(&change.address.resource.kind);
            rules.and_then(|rules| self::claim(rules, change.before.as_ref())).as_ref() == Some(&what)
        };
        for giver in predecessors[taker].iter().filter(had) {
            if !is_given_first(plan, taker, *giver) {
                late.push(Late { taken_by: taker, given_up_by: *giver, what: what.clone() });
            }
        }
    }
    late
}

fn claim(rules: &dyn KindRules, value: Option<&pve_model::Value>) -> Option<String> {
    rules.claim(&value?.unmark_deep().0)
}

/// Whether every step of one change that makes something comes after those of the other that free it.
fn is_given_first(plan: &Plan, taker: usize, giver: usize) -> bool {
    let steps = |change: usize, operations: [Operation; 2]| {
        let of_change = plan.steps.iter().enumerate().filter(move |(_, step)| step.change == change);
        of_change.filter(move |(_, step)| operations.contains(&step.operation)).map(|(at, _)| at)
    };
    steps(taker, [Operation::Create, Operation::Update]).all(|takes| {
        let frees = match plan.changes[giver].action {
            Action::Update => [Operation::Update; 2],
            _ => [Operation::Delete; 2],
        };
        steps(giver, frees).all(|frees| waits_for(&plan.steps, takes, frees))
    })
}

fn is_staged(change: &Change, registry: &dyn RulesRegistry) -> bool {
    let rules = registry.resource(&change.address.resource.kind);
    let value = change.after.as_ref().or(change.before.as_ref());
    rules.zip(value).is_some_and(|(rules, value)| rules.batch(&value.unmark_deep().0).is_some())
}

fn taken_late(late: &Late, plan: &Plan, registry: &dyn RulesRegistry) -> Diagnostic {
    let [taker, giver] = [late.taken_by, late.given_up_by].map(|change| &plan.changes[change]);
    let summary = format!("{} takes {} before it is free", taker.address, late.what);
    if taker.address == giver.address {
        let detail = "The object that it replaces has it until this one is made, so that it will be refused";
        let hint = "Leave `create_before_destroy` out of it, and of what depends on it.";
        return obstacle(summary, detail, hint);
    }
    let giver_name = &giver.address;
    let detail = format!(
        "{giver_name} gives it up, and waits for what takes it, so that it will be refused to {}",
        taker.address
    );
    let two_runs = format!("apply in two runs: first let {giver_name} give it up, without what takes it");
    let hint = match giver.action {
        Action::Update if is_staged(giver, registry) => format!("{}, or {two_runs}.", replacing(giver_name)),
        _ => format!("A{}.", &two_runs[1..]),
    };
    obstacle(summary, &detail, &hint)
}

fn replacing(address: &InstanceAddress) -> String {
    format!("With `-replace={address}` that goes first, and is made anew in the same run")
}

fn obstacle(summary: String, detail: &str, hint: &str) -> Diagnostic {
    let detail = format!("{detail}; apply does not begin with it.");
    Diagnostic::warning_without_span(summary, detail).with_hint(hint)
}

/// What is destroyed while something has it that keeps it from that.
fn held(plan: &Plan, registry: &dyn RulesRegistry) -> Vec<Diagnostic> {
    let changes: Vec<&Change> = plan.changes.iter().collect();
    let gone = by_word(&changes, |change| {
        known_as(change, change.before.as_ref().filter(|_| is_destroyed(change)), registry)
    });
    // Several may be known by one name: the storage, and the pools of the nodes that it is on.
    let remain = by_word(&changes, |change| {
        let remains = matches!(change.action, Action::NoOp | Action::Update);
        known_as(change, change.after.as_ref().filter(|_| remains), registry)
    });
    let mut held: Vec<(usize, Vec<usize>, String)> = Vec::new();
    if gone.is_empty() {
        return Vec::new();
    }
    for (holder, change) in changes.iter().enumerate() {
        let own = identity(change, change.before.as_ref(), registry);
        for named in named(change, change.before.as_ref(), registry) {
            let word: Word<'_> = (change.cluster.as_str(), named.what);
            for victim in gone.get(&word).into_iter().flatten().filter(|victim| **victim != holder) {
                if matches!(named.hold, Hold::No | Hold::Loses | Hold::Forgets)
                    || remain.contains_key(&word)
                    || lets_go(plan, holder, *victim, &word, registry)
                    || is_let_go(plan, *victim, (&own, &word), registry)
                {
                    continue;
                }
                match held.iter_mut().find(|(other, ..)| other == victim) {
                    Some((_, holders, _)) => holders.push(holder),
                    None => held.push((*victim, vec![holder], word.1.clone())),
                }
            }
        }
    }
    let told =
        held.iter().map(|(victim, holders, what)| told_of_held(&changes, *victim, holders, what, registry));
    told.collect()
}

/// Whether a change is done with something before that is destroyed.
fn lets_go(plan: &Plan, holder: usize, victim: usize, word: &Word<'_>, registry: &dyn RulesRegistry) -> bool {
    let change = &plan.changes[holder];
    let still = |named: &pve_model::rules::Named| named.what == word.1;
    let leaves = match change.action {
        Action::Update if named(change, change.after.as_ref(), registry).iter().any(still) => {
            return false;
        }
        Action::Update => Operation::Update,
        _ if is_destroyed(change) => Operation::Delete,
        _ => return false,
    };
    let of = |change: usize, operation: Operation| {
        let steps = plan.steps.iter().enumerate();
        steps.filter(move |(_, step)| step.change == change && step.operation == operation).map(|(at, _)| at)
    };
    of(victim, Operation::Delete)
        .all(|goes| of(holder, leaves).all(|leaves| waits_for(&plan.steps, goes, leaves)))
}

/// Whether what connects a holder with something that is destroyed lets go of it before: a membership, whose guest tells
/// the pool only because of it.
fn is_let_go(
    plan: &Plan,
    victim: usize,
    (own, word): (&BTreeSet<Word<'_>>, &Word<'_>),
    registry: &dyn RulesRegistry,
) -> bool {
    plan.changes
        .iter()
        .enumerate()
        .any(|(at, link)| connects(link, own, &word.1, registry) && lets_go(plan, at, victim, word, registry))
}

fn told_of_held(
    changes: &[&Change],
    victim: usize,
    holders: &[usize],
    what: &str,
    registry: &dyn RulesRegistry,
) -> Diagnostic {
    let address = &changes[victim].address;
    let first = changes[holders[0]];
    let more = match holders.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let summary = format!("{address} cannot be destroyed while {} has it", first.address);
    let stays = if first.action == Action::NoOp { "stays as it is" } else { "has it until then" };
    let detail =
        format!("{what} is named by {}{more}, which {stays}, and will not be destroyed", first.address);
    let heir = heir(changes, victim, registry);
    let hint = match heir {
        Some(heir) if is_same_kind(&heir.address.resource.kind, &address.resource.kind, registry) => format!(
            "If it is the same object, say so: moved {{ from = {address}, to = {} }} (one a line) keeps it as it is.",
            heir.address
        ),
        _ if is_staged(first, registry) => format!("{}.", replacing(&first.address)),
        _ => format!("Put {address} back as it was, or let go of {what} in {} first.", first.address),
    };
    obstacle(summary, &detail, &hint)
}

/// What is made in the place of something that is destroyed.
fn heir<'a>(changes: &[&'a Change], victim: usize, registry: &dyn RulesRegistry) -> Option<&'a Change> {
    let of = |change: &'a Change, value| -> BTreeSet<Word<'a>> { known_as(change, value, registry) };
    let gone = changes[victim];
    let is_same = |other: &&&'a Change| {
        let made = other.action == Action::Create && gone.action == Action::Delete;
        made && !of(other, other.after.as_ref()).is_disjoint(&known_as(gone, gone.before.as_ref(), registry))
    };
    changes.iter().find(is_same).copied()
}
