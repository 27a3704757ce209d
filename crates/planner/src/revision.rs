//! What shows only when everything else is planned, and is then planned anew.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::plan::{Action, Change, PlanMode};
use pve_model::rules::{Hold, RulesRegistry};
use pve_model::{InstanceAddress, Path, Value};

use crate::evaluation::Evaluation;
use crate::naming::{Word, by_word, is_destroyed, known_as, named};
use crate::planner::Planner;
use crate::staging;

/// What is planned otherwise than its own values ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// What is made anew since it applies what others stage.
    pub due: BTreeSet<InstanceAddress>,
    /// What is made anew with something else, and why.
    pub lost: BTreeMap<InstanceAddress, &'static str>,
    /// The attributes with what an instance has although it is not configured, and gives up: that is destroyed.
    pub leaving: BTreeMap<InstanceAddress, BTreeSet<Path>>,
}

const OF_A_PART: &str = "it goes away with what it is a part of, which is replaced";
const OF_SETTINGS: &str = "it is made anew with what it rests on, which is not replaced under it";

/// More than `present` that is to be planned otherwise, if there is any.
pub fn revised(present: &Revision, planner: &Planner<'_>, evaluation: &Evaluation<'_>) -> Option<Revision> {
    if planner.options.mode != PlanMode::Normal {
        return None;
    }
    let mut revision = present.clone();
    if revision.due.is_empty() {
        revision.due = staging::due(planner, evaluation);
    }
    let changes: Vec<&Change> = planner.changes.iter().filter(|change| change.deposed.is_none()).collect();
    let around = Around::of(&changes, evaluation.inputs.registry);
    if !around.gone.is_empty() {
        for change in changes.iter().filter(|change| matches!(change.action, Action::NoOp | Action::Update)) {
            if let Some(why) = around.lost(change) {
                revision.lost.entry(change.address.clone()).or_insert(why);
            }
            for path in around.left(change) {
                revision.leaving.entry(change.address.clone()).or_default().insert(path);
            }
        }
    }
    (revision != *present).then_some(revision)
}

/// What is destroyed and made around an instance.
struct Around<'a> {
    changes: &'a [&'a Change],
    registry: &'a dyn RulesRegistry,
    gone: BTreeMap<Word<'a>, Vec<usize>>,
    made: BTreeMap<Word<'a>, Vec<usize>>,
}

impl<'a> Around<'a> {
    fn of(changes: &'a [&'a Change], registry: &'a dyn RulesRegistry) -> Around<'a> {
        let gone = by_word(changes, |change| {
            identity(change, change.before.as_ref().filter(|_| is_destroyed(change)), registry)
        });
        if gone.is_empty() {
            return Around { changes, registry, gone, made: BTreeMap::new() };
        }
        let makes = |change: &Change| change.action == Action::Create || change.action.replaces();
        let made = by_word(changes, |change| {
            identity(change, change.after.as_ref().filter(|_| makes(change)), registry)
        });
        Around { changes, registry, gone, made }
    }

    /// Why an instance is made anew, if something that it is a part of, or rests on, is.
    fn lost(&self, change: &'a Change) -> Option<&'static str> {
        let rules = self.registry.resource(&change.address.resource.kind)?;
        let words = |value: Option<&Value>, rests: bool| -> BTreeSet<Word<'a>> {
            let Some(value) = value.filter(|_| !rests) else {
                let named = named(change, value, self.registry).into_iter();
                let rested = named.filter(|named| named.hold == Hold::RestsOn);
                return rested.map(|named| (change.provider.as_str(), named.what)).collect();
            };
            let whole = rules.part_of(&value.unmark_deep().0);
            whole.into_iter().map(|whole| (change.provider.as_str(), whole)).collect()
        };
        [(false, OF_A_PART), (true, OF_SETTINGS)].into_iter().find_map(|(rests, why)| {
            let before = words(change.before.as_ref(), rests);
            let after = words(change.after.as_ref(), rests);
            before.iter().any(|word| self.is_replaced(word, &after)).then_some(why)
        })
    }

    /// Whether something is destroyed and made again, as what an instance will be on then. Nobody knows yet what that is
    /// where there is nothing in `after`.
    fn is_replaced(&self, word: &Word<'a>, after: &BTreeSet<Word<'a>>) -> bool {
        let stays = after.contains(word) && self.made.contains_key(word);
        let goes_along = |place: &usize| {
            let whole = self.changes[*place];
            let becomes = identity(whole, whole.after.as_ref(), self.registry);
            let follows = after.is_empty() || !becomes.is_disjoint(after);
            match whole.action {
                Action::DeleteThenCreate => follows,
                // The new one is there before the old one goes.
                Action::CreateThenDelete => stays,
                _ => stays || after.is_empty() && self.made.contains_key(word),
            }
        };
        self.gone.get(word).into_iter().flatten().any(goes_along)
    }

    /// The attributes that name what is destroyed for good, and keep it from that.
    fn left(&self, change: &'a Change) -> Vec<Path> {
        let own = known_as(change, change.before.as_ref(), self.registry);
        let named = named(change, change.after.as_ref(), self.registry).into_iter();
        let keeps = named.filter(|named| named.hold == Hold::Keeps && named.path.0.len() == 1);
        let kept = keeps.filter(|named| {
            let word = (change.provider.as_str(), named.what.clone());
            let is_gone = self.gone.contains_key(&word) && !self.made.contains_key(&word);
            is_gone && !is_linked(self.changes, &own, &named.what, self.registry)
        });
        kept.map(|named| named.path).collect()
    }
}

/// Whether something that goes is what connects an instance with `what`: a membership.
pub(crate) fn is_linked(
    changes: &[&Change],
    own: &BTreeSet<Word<'_>>,
    what: &str,
    registry: &dyn RulesRegistry,
) -> bool {
    changes.iter().filter(|other| is_destroyed(other)).any(|link| {
        let named = named(link, link.before.as_ref(), registry);
        let is_own = |word: &str| own.contains(&(link.provider.as_str(), word.to_string()));
        named.iter().any(|named| named.what == what) && named.iter().any(|named| is_own(&named.what))
    })
}

/// What an instance is to those that name it, and to those that are a part of it.
fn identity<'a>(
    change: &'a Change,
    value: Option<&Value>,
    registry: &dyn RulesRegistry,
) -> BTreeSet<Word<'a>> {
    let mut words = known_as(change, value, registry);
    let rules = registry.resource(&change.address.resource.kind);
    let claim = rules.zip(value).and_then(|(rules, value)| rules.claim(&value.unmark_deep().0));
    words.extend(claim.map(|claim| (change.provider.as_str(), claim)));
    words
}
