//! Changes that are staged and applied together: as few batches as the order of steps allows, and within a batch what
//! gives something up before what takes it.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;
use pve_model::event::Operation;
use pve_model::plan::{Batch, Change, Plan, Step};
use pve_model::rules::RulesRegistry;

use crate::order::{BlockKey, block_key, sorted, waits_for};

/// Puts every step that is staged into a batch with the others of its place. What needs a step of a batch, and is none of
/// its place, needs the whole batch to be applied: steps behind that are of the next one.
///
/// The batches of all places are counted together, so that no two of them can wait for each other. Dependencies are
/// between blocks: an instance at one place is also after those at the others of a block that it needs. Where that block
/// has an instance at its own place it needs that one, and the others no more than staged.
pub fn assign(plan: &mut Plan, registry: &dyn RulesRegistry) {
    let stagings = stagings(&plan.steps, &plan.changes, registry);
    plan.steps = give_up_first(std::mem::take(&mut plan.steps), &stagings);
    let places = plan.steps.iter().map(|step| place(step, &plan.changes[step.change], registry));
    let places: Vec<Option<String>> = places.collect();
    let homes = homes(&plan.changes, registry);
    let blocks: Vec<BlockKey> =
        plan.steps.iter().map(|step| block_key(&plan.changes[step.change].address.resource)).collect();
    let is_at = |step: usize, place: &str| homes.get(&blocks[step]).is_some_and(|at| at.contains(place));
    let rounds = rounds(&plan.steps, &places, is_at);
    for (step, (place, round)) in plan.steps.iter_mut().zip(places.into_iter().zip(rounds)) {
        step.batch = place.map(|place| Batch { place, round });
    }
}

/// What is taken before it is given up.
pub fn late(plan: &Plan, registry: &dyn RulesRegistry) -> Vec<Late> {
    late_among(&plan.steps, &stagings(&plan.steps, &plan.changes, registry))
}

/// How many batches, of whatever place, must have been applied before each step. `is_at` says whether the block of a step
/// has an instance at a place, changed or not.
fn rounds(steps: &[Step], places: &[Option<String>], is_at: impl Fn(usize, &str) -> bool) -> Vec<usize> {
    let need_no_more_than_staged = |before: usize, at: usize| {
        let (Some(one), Some(other)) = (&places[before], &places[at]) else { return false };
        let (needed, needing_place) = match steps[at].operation {
            Operation::Delete => (at, one),
            _ => (before, other),
        };
        one == other || is_at(needed, needing_place)
    };
    let mut rounds: Vec<usize> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let behind = |before: &usize| {
            let waits = places[*before].is_some()
                && (!need_no_more_than_staged(*before, at) || !steps[*before].provisioners.is_empty());
            rounds[*before] + usize::from(waits)
        };
        rounds.push(step.after.iter().map(behind).max().unwrap_or(0));
    }
    rounds
}

/// The places at which each block has instances.
fn homes(changes: &[Change], registry: &dyn RulesRegistry) -> BTreeMap<BlockKey, BTreeSet<String>> {
    let mut homes: BTreeMap<BlockKey, BTreeSet<String>> = BTreeMap::new();
    for change in changes {
        let values = change.before.iter().chain(&change.after);
        let places = values.filter_map(|value| place_of(change, value, registry));
        for place in places {
            homes.entry(block_key(&change.address.resource)).or_default().insert(place);
        }
    }
    homes
}

/// Where a step stages something.
fn place(step: &Step, change: &Change, registry: &dyn RulesRegistry) -> Option<String> {
    match step.operation {
        Operation::Create | Operation::Update => place_of(change, change.after.as_ref()?, registry),
        Operation::Delete => place_of(change, change.before.as_ref()?, registry),
        Operation::Read | Operation::Forget => None,
    }
}

fn place_of(change: &Change, value: &Value, registry: &dyn RulesRegistry) -> Option<String> {
    let rules = registry.resource(&change.address.resource.kind)?;
    let place = rules.batch(&value.unmark_deep().0)?;
    Some(format!("{}: {place}", change.cluster))
}

/// What a step does with what only one may have at its place.
#[derive(Default)]
struct Staging {
    place: Option<String>,
    gives_up: Vec<String>,
    takes: Vec<String>,
}

impl Staging {
    fn of(step: &Step, change: &Change, registry: &dyn RulesRegistry) -> Staging {
        let place = place(step, change, registry);
        let rules = registry.resource(&change.address.resource.kind);
        let Some(rules) = rules.filter(|_| place.is_some()) else { return Staging::default() };
        let held = |value: &Option<Value>| {
            value.as_ref().map(|value| rules.holds(&value.unmark_deep().0)).unwrap_or_default()
        };
        let before = if step.operation == Operation::Create { Vec::new() } else { held(&change.before) };
        let after = if step.operation == Operation::Delete { Vec::new() } else { held(&change.after) };
        let without = |all: &[String], others: &[String]| -> Vec<String> {
            all.iter().filter(|one| !others.contains(one)).cloned().collect()
        };
        Staging { place, gives_up: without(&before, &after), takes: without(&after, &before) }
    }
}

/// Something that one change takes before another one gives it up. Changes by their places in the plan.
#[derive(Debug, PartialEq, Eq)]
pub struct Late {
    /// The change that takes it.
    pub taken_by: usize,
    /// The one that has it.
    pub given_up_by: usize,
    /// What it is.
    pub what: String,
}

fn stagings(steps: &[Step], changes: &[Change], registry: &dyn RulesRegistry) -> Vec<Staging> {
    steps.iter().map(|step| Staging::of(step, &changes[step.change], registry)).collect()
}

/// What goes from one step to another at a place: who takes it, who gives it up, and what it is.
fn handovers(stagings: &[Staging]) -> Vec<(usize, usize, &str)> {
    let mut givers: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, staging) in stagings.iter().enumerate() {
        let Some(place) = &staging.place else { continue };
        staging.gives_up.iter().for_each(|what| givers.entry((place, what)).or_default().push(at));
    }
    let mut found = Vec::new();
    for (taker, staging) in stagings.iter().enumerate() {
        let Some(place) = &staging.place else { continue };
        for what in &staging.takes {
            let from = givers.get(&(place.as_str(), what.as_str())).into_iter().flatten();
            found.extend(from.map(|giver| (taker, *giver, what.as_str())));
        }
    }
    found
}

/// Lets what takes something at a place follow what gives it up there, unless that waits for it.
fn give_up_first(mut steps: Vec<Step>, stagings: &[Staging]) -> Vec<Step> {
    let mut is_same = true;
    for (taker, giver, _) in handovers(stagings) {
        if !waits_for(&steps, giver, taker) && !steps[taker].after.contains(&giver) {
            steps[taker].after.push(giver);
            is_same = false;
        }
    }
    if is_same { steps } else { sorted(&steps).unwrap_or(steps) }
}

fn late_among(steps: &[Step], stagings: &[Staging]) -> Vec<Late> {
    let late = handovers(stagings).into_iter().filter(|(taker, giver, _)| waits_for(steps, *giver, *taker));
    let named = |(taker, giver, what): (usize, usize, &str)| Late {
        taken_by: steps[taker].change,
        given_up_by: steps[giver].change,
        what: what.to_string(),
    };
    late.map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step, what it is after, and whether it has provisioners.
    fn step(change: usize, operation: Operation, after: &[usize], provisions: bool) -> Step {
        Step {
            change,
            operation,
            deposed: None,
            provisioners: if provisions { vec![0] } else { vec![] },
            batch: None,
            after: after.to_vec(),
        }
    }

    /// Steps by `BLOCK PLACE` (`-` for no place, `!` behind it for provisioners) and what each is after.
    fn rounds_of(operation: Operation, lines: &[(&str, &[usize])], others: &[&str]) -> Vec<usize> {
        let parts = |line: &str| {
            let (block, place) = line.split_once(' ').unwrap_or(("", line));
            (block.to_string(), place.trim_end_matches('!').to_string())
        };
        let homes: BTreeSet<(String, String)> =
            lines.iter().map(|(line, _)| *line).chain(others.iter().copied()).map(parts).collect();
        let places: Vec<Option<String>> =
            lines.iter().map(|(line, _)| Some(parts(line).1).filter(|place| place != "-")).collect();
        let steps: Vec<Step> =
            lines.iter().map(|(line, after)| step(0, operation, after, line.ends_with('!'))).collect();
        // A block without a name is one of its own.
        let is_at = |at: usize, place: &str| {
            let block = parts(lines[at].0).0;
            !block.is_empty() && homes.contains(&(block, place.to_string()))
        };
        rounds(&steps, &places, is_at)
    }

    fn rounds_of_creates(lines: &[(&str, &[usize])]) -> Vec<usize> {
        rounds_of(Operation::Create, lines, &[])
    }

    #[test]
    fn a_chain_of_one_place_is_one_batch() {
        assert_eq!(rounds_of_creates(&[("n", &[]), ("n", &[0]), ("n", &[0, 1]), ("-", &[2])]), [0, 0, 0, 1]);
    }

    #[test]
    fn what_comes_after_something_that_needs_the_batch_is_of_the_next_one() {
        assert_eq!(rounds_of_creates(&[("n", &[]), ("-", &[0]), ("n", &[1]), ("n", &[])]), [0, 1, 1, 0]);
        // Its provisioners may need what is applied.
        assert_eq!(rounds_of_creates(&[("n!", &[]), ("n", &[0])]), [0, 1]);
        // What does not need the batch does not divide it.
        assert_eq!(rounds_of_creates(&[("-", &[]), ("n", &[0]), ("n", &[])]), [0, 0, 0]);
    }

    #[test]
    fn batches_of_two_places_do_not_wait_for_each_other() {
        // Each place has something that needs the other one.
        let lines: [(&str, &[usize]); 6] =
            [("m", &[]), ("-", &[0]), ("n", &[1]), ("n", &[]), ("-", &[3]), ("m", &[4])];
        assert_eq!(rounds_of_creates(&lines), [0, 1, 1, 0, 1, 1]);
        assert_eq!(rounds_of_creates(&[("m", &[]), ("n", &[0])]), [0, 1]);
    }

    #[test]
    fn blocks_with_an_instance_at_each_place_are_one_batch_a_place() {
        let lines: [(&str, &[usize]); 6] = [
            ("b m", &[]),
            ("b n", &[]),
            ("v m", &[0, 1]),
            ("v n", &[0, 1]),
            ("c m", &[2, 3]),
            ("c n", &[2, 3]),
        ];
        for operation in [Operation::Create, Operation::Update, Operation::Delete] {
            assert_eq!(rounds_of(operation, &lines, &[]), [0; 6], "{operation:?}");
        }
        // The one at its own place may stay as it is.
        assert_eq!(rounds_of(Operation::Create, &[("b n", &[]), ("v m", &[0])], &["b m"]), [0, 0]);
        assert_eq!(rounds_of(Operation::Delete, &[("v m", &[]), ("b n", &[0])], &["b m"]), [0, 0]);
    }

    #[test]
    fn what_needs_one_of_another_place_alone_waits_until_that_is_applied() {
        assert_eq!(rounds_of(Operation::Create, &[("b n", &[]), ("v m", &[0])], &[]), [0, 1]);
        assert_eq!(rounds_of(Operation::Create, &[("b n", &[]), ("v m", &[0])], &["v n"]), [0, 1]);
        assert_eq!(rounds_of(Operation::Delete, &[("v m", &[]), ("b n", &[0])], &["v n"]), [0, 1]);
    }

    /// Steps by `PLACE -GIVEN_UP +TAKEN` and what each is after. The answer is the order of steps, and what is late as
    /// `TAKER WHAT GIVER`.
    fn order_of(lines: &[(&str, &[usize])]) -> (Vec<usize>, Vec<String>) {
        let staging = |change: usize| {
            let mut words = lines[change].0.split(' ');
            let place = words.next().map(String::from);
            let with =
                |sign: char| words.clone().filter_map(|w| w.strip_prefix(sign)).map(String::from).collect();
            Staging { place, gives_up: with('-'), takes: with('+') }
        };
        let steps = lines.iter().enumerate();
        let steps = steps.map(|(at, (_, after))| step(at, Operation::Update, after, false)).collect();
        let stagings: Vec<Staging> = (0..lines.len()).map(staging).collect();
        let steps = give_up_first(steps, &stagings);
        let stagings: Vec<Staging> = steps.iter().map(|step| staging(step.change)).collect();
        let late = late_among(&steps, &stagings);
        assert!(steps.iter().enumerate().all(|(at, step)| step.after.iter().all(|before| *before < at)));
        let late = late.iter().map(|late| format!("{} {} {}", late.taken_by, late.what, late.given_up_by));
        (steps.iter().map(|step| step.change).collect(), late.collect())
    }

    #[test]
    fn what_is_given_up_is_staged_before_it_is_taken() {
        let none: Vec<String> = Vec::new();
        assert_eq!(order_of(&[("n +eno1", &[]), ("n -eno1", &[])]), (vec![1, 0], none.clone()));
        assert_eq!(
            order_of(&[("n +gateway", &[]), ("n +eno1", &[0]), ("n -eno1 -gateway", &[]), ("n", &[1])]),
            (vec![2, 0, 1, 3], none.clone())
        );
        // Another node has its own.
        assert_eq!(order_of(&[("n +eno1", &[]), ("m -eno1", &[])]), (vec![0, 1], none));
    }

    #[test]
    fn what_is_taken_before_it_can_be_given_up_is_told() {
        let late = vec!["0 eno1 1".to_string()];
        assert_eq!(order_of(&[("n +eno1", &[]), ("n -eno1 +bond0", &[0])]), (vec![0, 1], late));
        // Of two that swap one is first.
        let (order, late) = order_of(&[("n -eno1 +eno2", &[]), ("n -eno2 +eno1", &[])]);
        assert_eq!((order, late), (vec![1, 0], vec!["1 eno1 0".to_string()]));
    }
}
