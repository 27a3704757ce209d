//! Changes that are staged and applied together: as few batches as the order of steps allows.

use pve_model::event::Operation;
use pve_model::plan::{Change, Plan, Step};
use pve_model::rules::RulesRegistry;

/// Puts every step that is staged into a batch with the others of its place. What needs a step of a batch, and is none of
/// its place, needs the whole batch to be applied: steps behind that are of the next one.
///
/// The batches of all places are counted together, so that no two of them can wait for each other.
pub fn assign(plan: &mut Plan, registry: &dyn RulesRegistry) {
    let places: Vec<Option<String>> =
        plan.steps.iter().map(|step| place(step, &plan.changes[step.change], registry)).collect();
    let rounds = rounds(&plan.steps, &places);
    for (step, (place, round)) in plan.steps.iter_mut().zip(places.into_iter().zip(rounds)) {
        step.batch = place.map(|place| format!("{place} ({round})"));
    }
}

/// How many batches, of whatever place, must have been applied before each step.
fn rounds(steps: &[Step], places: &[Option<String>]) -> Vec<usize> {
    let mut rounds: Vec<usize> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let behind = |before: &usize| {
            let waits = places[*before].is_some()
                && (places[*before] != places[at] || !steps[*before].provisioners.is_empty());
            rounds[*before] + usize::from(waits)
        };
        rounds.push(step.after.iter().map(behind).max().unwrap_or(0));
    }
    rounds
}

/// Where a step stages something.
fn place(step: &Step, change: &Change, registry: &dyn RulesRegistry) -> Option<String> {
    let value = match step.operation {
        Operation::Create | Operation::Update => change.after.as_ref()?,
        Operation::Delete => change.before.as_ref()?,
        Operation::Read | Operation::Forget => return None,
    };
    let rules = registry.resource(&change.address.resource.kind)?;
    let place = rules.batch(&value.unmark_deep().0)?;
    Some(format!("{}: {place}", change.provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps by their places (`-` for none, `!` behind it for provisioners) and what each is after.
    fn rounds_of(steps: &[(&str, &[usize])]) -> Vec<usize> {
        let places: Vec<Option<String>> = steps
            .iter()
            .map(|(place, _)| Some(place.trim_end_matches('!').to_string()).filter(|place| place != "-"))
            .collect();
        let steps: Vec<Step> = steps
            .iter()
            .map(|(place, after)| Step {
                change: 0,
                operation: Operation::Create,
                deposed: None,
                provisioners: if place.ends_with('!') { vec![0] } else { vec![] },
                batch: None,
                after: after.to_vec(),
            })
            .collect();
        rounds(&steps, &places)
    }

    #[test]
    fn a_chain_of_one_place_is_one_batch() {
        assert_eq!(rounds_of(&[("n", &[]), ("n", &[0]), ("n", &[0, 1]), ("-", &[2])]), [0, 0, 0, 1]);
    }

    #[test]
    fn what_comes_after_something_that_needs_the_batch_is_of_the_next_one() {
        assert_eq!(rounds_of(&[("n", &[]), ("-", &[0]), ("n", &[1]), ("n", &[])]), [0, 1, 1, 0]);
        // Its provisioners may need what is applied.
        assert_eq!(rounds_of(&[("n!", &[]), ("n", &[0])]), [0, 1]);
        // What does not need the batch does not divide it.
        assert_eq!(rounds_of(&[("-", &[]), ("n", &[0]), ("n", &[])]), [0, 0, 0]);
    }

    #[test]
    fn batches_of_two_places_do_not_wait_for_each_other() {
        // Each place has something that needs the other one.
        let rounds = rounds_of(&[("m", &[]), ("-", &[0]), ("n", &[1]), ("n", &[]), ("-", &[3]), ("m", &[4])]);
        assert_eq!(rounds, [0, 1, 1, 0, 1, 1]);
        assert_eq!(rounds_of(&[("m", &[]), ("n", &[0])]), [0, 1]);
    }
}
