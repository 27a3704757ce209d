//! What shows only when everything else is planned, and is then planned anew.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::path::PathStep;
use pve_model::plan::{Action, Change, PlanMode};
use pve_model::rules::{Hold, KindRules, Named, RulesRegistry};
use pve_model::{InstanceAddress, Path, Value, ValueKind};

use crate::evaluation::Evaluation;
use crate::naming::{Word, by_word, identity, is_destroyed, named, wholes, words_named};
use crate::planner::Planner;
use crate::restoration::{Restored, restorable};
use crate::staging;

/// What is planned otherwise than its own values ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// The deposed objects that are taken back.
    pub restored: Restored,
    /// What is destroyed before it is made anew, although an object of another name is made first otherwise: it needs what
    /// takes the place of something that it is in the way of.
    pub gone_first: BTreeSet<InstanceAddress>,
    /// What is made anew since it applies what others stage.
    pub due: BTreeSet<InstanceAddress>,
    /// What is made anew with something else, and why.
    pub lost: BTreeMap<InstanceAddress, &'static str>,
    /// The attributes with what an instance has although it is not configured, and gives up: that is destroyed.
    pub leaving: BTreeMap<InstanceAddress, BTreeSet<Path>>,
    /// What is taken out of an instance as it is replaced, and put in again, by the names that it has for that.
    pub reduced: BTreeMap<InstanceAddress, BTreeSet<String>>,
}

const OF_A_PART: &str = "it goes away with what it is a part of, which is replaced";
const OF_SETTINGS: &str = "it is made anew with what it rests on, which is not replaced under it";
const OF_NAMED: &str = "it goes away with all that it names, which is replaced";

/// More than `present` that is to be planned otherwise, if there is any.
pub fn revised(present: &Revision, planner: &Planner<'_>, evaluation: &Evaluation<'_>) -> Option<Revision> {
    if planner.options.mode != PlanMode::Normal {
        return None;
    }
    let mut revision = present.clone();
    let registry = evaluation.inputs.registry;
    revision.restored.extend(restorable(planner, evaluation));
    // Of what those are, everything else is planned otherwise.
    if revision != *present {
        return Some(revision);
    }
    revision.due.extend(staging::due(planner, evaluation));
    let changes: Vec<&Change> = planner.changes.iter().filter(|change| change.deposed.is_none()).collect();
    let around = Around::of(&changes, registry);
    for change in changes.iter().filter(|change| matches!(change.action, Action::NoOp | Action::Update)) {
        revision.take_in(change, &around);
    }
    let early = planner.changes.iter().zip(&planner.needs).filter(|(change, needs)| {
        change.action == Action::CreateThenDelete
            && (around.names_late(change) || planner.needs_any(needs, &|needed| around.is_late(needed)))
    });
    revision.gone_first.extend(early.map(|(change, _)| change.address.clone()));
    (revision != *present).then_some(revision)
}

impl Revision {
    /// What becomes of an instance by what is destroyed and made around it.
    fn take_in<'a>(&mut self, change: &'a Change, around: &Around<'a>) {
        let address = || change.address.clone();
        for path in around.left(change) {
            self.leaving.entry(address()).or_default().insert(path);
        }
        if around.gone.is_empty() {
            return;
        }
        if let Some(why) = around.lost(change) {
            self.lost.entry(address()).or_insert(why);
        }
        match around.taken_out(change) {
            Taken::All => {
                self.lost.entry(address()).or_insert(OF_NAMED);
            }
            Taken::Some(words) => self.reduced.entry(address()).or_default().extend(words),
            Taken::None => {}
        }
    }

    /// An instance as it is by the time that it is changed.
    pub fn reduced(&self, address: &InstanceAddress, present: Value, rules: &dyn KindRules) -> Value {
        let Some(words) = self.reduced.get(address).filter(|_| !self.lost.contains_key(address)) else {
            return present;
        };
        let named = rules.named(&present.unmark_deep().0).into_iter();
        let gone: BTreeSet<Path> = named
            .filter(|named| is_list(named) && words.contains(&named.what))
            .map(|named| named.path)
            .collect();
        let kept = |path: &Path, elements: &[Value]| -> Vec<Value> {
            let places = elements.iter().enumerate();
            let kept = places.filter(|(at, _)| {
                let element = path.child(PathStep::Index(*at as u64));
                !gone.iter().any(|gone| gone.0.starts_with(&element.0))
            });
            kept.map(|(_, element)| element.clone()).collect()
        };
        present.transform(&mut |path, part| {
            let fewer = match &part.kind {
                ValueKind::List(ty, elements) => Value::list(ty.clone(), kept(path, elements)),
                ValueKind::Set(ty, elements) => Value::set(ty.clone(), kept(path, elements)),
                _ => return part,
            };
            fewer.with_marks(part.marks)
        })
    }

    /// What is said of an instance that such things go out of.
    pub fn note(&self, address: &InstanceAddress) -> Option<String> {
        let words: Vec<&str> = self.reduced.get(address)?.iter().map(String::as_str).collect();
        let (are, them) = if words.len() == 1 { ("is", "it") } else { ("are", "them") };
        Some(format!(
            "{} {are} replaced: that takes {them} out of this, which has {them} again after",
            words.join(", ")
        ))
    }
}

/// Whether the cluster takes what is named out of what names it.
fn is_list(named: &Named) -> bool {
    matches!(named.hold, Hold::Loses | Hold::Forgets)
}

/// What goes out of an instance with something else.
enum Taken {
    None,
    Some(BTreeSet<String>),
    /// Everything, and the instance with it.
    All,
}

/// What is destroyed and made around an instance.
struct Around<'a> {
    changes: &'a [&'a Change],
    registry: &'a dyn RulesRegistry,
    gone: BTreeMap<Word<'a>, Vec<usize>>,
    made: BTreeMap<Word<'a>, Vec<usize>>,
    /// What is made as a part of something: what that is, and what it names.
    joining: Vec<(BTreeSet<Word<'a>>, Vec<Named>)>,
}

impl<'a> Around<'a> {
    fn of(changes: &'a [&'a Change], registry: &'a dyn RulesRegistry) -> Around<'a> {
        let gone = by_word(changes, |change| {
            identity(change, change.before.as_ref().filter(|_| is_destroyed(change)), registry)
        });
        let makes = |change: &Change| change.action == Action::Create || change.action.replaces();
        let made = by_word(changes, |change| {
            identity(change, change.after.as_ref().filter(|_| makes(change)), registry)
        });
        let joining = changes.iter().filter(|change| change.action == Action::Create).map(|change| {
            let after = change.after.as_ref();
            (wholes(change, after, registry), named(change, after, registry))
        });
        let joining = joining.filter(|(wholes, named)| !wholes.is_empty() && !named.is_empty()).collect();
        Around { changes, registry, gone, made, joining }
    }

    /// Why an instance is made anew, if something that it is a part of, or rests on, is.
    fn lost(&self, change: &'a Change) -> Option<&'static str> {
        let words = |value: Option<&Value>, rests: bool| -> BTreeSet<Word<'a>> {
            if !rests {
                return wholes(change, value, self.registry);
            }
            let named = named(change, value, self.registry).into_iter();
            let rested = named.filter(|named| named.hold == Hold::RestsOn);
            rested.map(|named| (change.cluster.as_str(), named.what)).collect()
        };
        [(false, OF_A_PART), (true, OF_SETTINGS)].into_iter().find_map(|(rests, why)| {
            let before = words(change.before.as_ref(), rests);
            let after = words(change.after.as_ref(), rests);
            before.iter().any(|word| self.is_replaced(word, &after)).then_some(why)
        })
    }

    /// What goes out of an instance with things that are replaced.
    fn taken_out(&self, change: &'a Change) -> Taken {
        let loses = |value: Option<&Value>| -> Vec<Named> {
            let named = named(change, value, self.registry).into_iter();
            named.filter(is_list).collect()
        };
        let word = |what: &str| (change.cluster.as_str(), what.to_string());
        let before = loses(change.before.as_ref());
        let is_open = |named: &Named| {
            let attribute = Path(named.path.0.iter().take(1).cloned().collect());
            change
                .after
                .as_ref()
                .and_then(|after| after.at(&attribute))
                .is_none_or(|part| !part.is_wholly_known())
        };
        let after = if before.iter().any(is_open) { Vec::new() } else { loses(change.after.as_ref()) };
        let after: BTreeSet<Word<'a>> = after.iter().map(|named| word(&named.what)).collect();
        let gone: BTreeSet<String> = before
            .iter()
            .filter(|named| self.is_replaced(&word(&named.what), &after))
            .filter(|named| named.hold == Hold::Loses || after.contains(&word(&named.what)))
            .map(|named| named.what.clone())
            .collect();
        let mut losing = before.iter().filter(|named| named.hold == Hold::Loses).peekable();
        match losing.peek().is_some() && losing.all(|named| gone.contains(&named.what)) {
            _ if gone.is_empty() => Taken::None,
            true => Taken::All,
            false => Taken::Some(gone),
        }
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

    /// Whether what a change makes is not there before something else is gone.
    fn is_late(&self, change: &Change) -> bool {
        let takes_over = || {
            let made = identity(change, change.after.as_ref(), self.registry);
            made.iter().any(|word| self.gone.contains_key(word))
        };
        match change.action {
            Action::DeleteThenCreate => true,
            Action::Create => takes_over(),
            _ => false,
        }
    }

    /// Whether an instance names something of that sort by its text.
    fn names_late(&self, change: &'a Change) -> bool {
        let words = words_named(change, change.after.as_ref(), self.registry);
        let makers = words.iter().filter_map(|word| self.made.get(word)).flatten();
        makers.map(|maker| self.changes[*maker]).any(|maker| self.is_late(maker))
    }

    /// The attributes that name what is destroyed for good and keep it from that, or what a membership that is made takes the
    /// instance out of.
    fn left(&self, change: &'a Change) -> Vec<Path> {
        let own = identity(change, change.before.as_ref(), self.registry);
        let named = named(change, change.after.as_ref(), self.registry).into_iter();
        let keeps = named.filter(|named| named.hold == Hold::Keeps && named.path.0.len() == 1);
        let kept = keeps.filter(|named| {
            let word = (change.cluster.as_str(), named.what.clone());
            let is_gone = self.gone.contains_key(&word) && !self.made.contains_key(&word);
            (is_gone || self.is_taken_elsewhere(&own, named))
                && !is_linked(self.changes, &own, &named.what, self.registry)
        });
        kept.map(|named| named.path).collect()
    }

    /// Whether something that is made brings an instance to another thing of the sort that it names so.
    fn is_taken_elsewhere(&self, own: &BTreeSet<Word<'a>>, held: &Named) -> bool {
        let is_other = |named: &Named| named.path == held.path && named.what != held.what;
        self.joining.iter().any(|(wholes, named)| !wholes.is_disjoint(own) && named.iter().any(is_other))
    }
}

/// Whether something that goes, or goes over to another thing, is what connects an instance with `what`.
fn is_linked(
    changes: &[&Change],
    own: &BTreeSet<Word<'_>>,
    what: &str,
    registry: &dyn RulesRegistry,
) -> bool {
    let lets_go = |link: &&&Change| {
        let still = || named(link, link.after.as_ref(), registry).iter().any(|named| named.what == what);
        is_destroyed(link) || link.action == Action::Update && !still()
    };
    changes.iter().filter(lets_go).any(|link| connects(link, own, what, registry))
}

/// Whether this is a part of an instance that is `own`, and connects it with `what`: a membership.
pub(crate) fn connects(
    link: &Change,
    own: &BTreeSet<Word<'_>>,
    what: &str,
    registry: &dyn RulesRegistry,
) -> bool {
    let before = link.before.as_ref();
    named(link, before, registry).iter().any(|named| named.what == what)
        && !wholes(link, before, registry).is_disjoint(own)
}

#[cfg(test)]
#[path = "revision_tests.rs"]
mod tests;
