//! What changes are to each other by the names that they use: who names by its text what a plan makes comes after it, and
//! what is destroyed goes when nothing names it any more, whether the configuration refers to it or not.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::Value;
use pve_model::plan::{Action, Change};
use pve_model::rules::{KindRules, Named, RulesRegistry};

use crate::instance::Planned;

/// What something is called, by its cluster.
pub(crate) type Word<'a> = (&'a str, String);

/// By change: the places of those that it has to do with.
pub struct Naming {
    /// Those that make what it names.
    pub makers: Vec<BTreeSet<usize>>,
    /// Those that name what it destroys, and stop that.
    pub leavers: Vec<BTreeSet<usize>>,
}

/// What the changes of a plan are to each other.
pub fn naming(changes: &[&Change], registry: &dyn RulesRegistry) -> Naming {
    let made = by_word(changes, |change| {
        let makes = matches!(change.action, Action::Create) || change.action.replaces();
        identity(change, change.after.as_ref().filter(|_| makes), registry)
    });
    let gone = by_word(changes, |change| {
        identity(change, change.before.as_ref().filter(|_| is_destroyed(change)), registry)
    });
    let mut naming = Naming {
        makers: vec![BTreeSet::new(); changes.len()],
        leavers: vec![BTreeSet::new(); changes.len()],
    };
    for (at, change) in changes.iter().enumerate() {
        if matches!(change.action, Action::NoOp | Action::Read) {
            continue;
        }
        let words = |value| words_named(change, value, registry);
        let (before, after) = (words(change.before.as_ref()), words(change.after.as_ref()));
        let others = |all: &BTreeMap<Word<'_>, Vec<usize>>, word: &Word<'_>| -> Vec<usize> {
            all.get(word).into_iter().flatten().copied().filter(|other| *other != at).collect()
        };
        naming.makers[at].extend(after.iter().flat_map(|word| others(&made, word)));
        for word in before.iter().filter(|word| is_destroyed(change) || !after.contains(*word)) {
            for other in others(&gone, word) {
                naming.leavers[other].insert(at);
            }
        }
    }
    naming
}

/// The places of changes by what `words` says of them.
pub(crate) fn by_word<'a>(
    changes: &[&'a Change],
    words: impl Fn(&'a Change) -> BTreeSet<Word<'a>>,
) -> BTreeMap<Word<'a>, Vec<usize>> {
    let mut places: BTreeMap<Word<'a>, Vec<usize>> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        words(change).into_iter().for_each(|word| places.entry(word).or_default().push(at));
    }
    places
}

/// What others name an instance by, with this value.
pub(crate) fn known_as<'a>(
    change: &'a Change,
    value: Option<&Value>,
    registry: &dyn RulesRegistry,
) -> BTreeSet<Word<'a>> {
    let rules = registry.resource(&change.address.resource.kind);
    let words = rules.zip(value).map(|(rules, value)| rules.known_as(&value.unmark_deep().0));
    words.into_iter().flatten().map(|word| (change.cluster.as_str(), word)).collect()
}

/// What an instance is to those that name it, and to those that are a part of it.
pub(crate) fn identity<'a>(
    change: &'a Change,
    value: Option<&Value>,
    registry: &dyn RulesRegistry,
) -> BTreeSet<Word<'a>> {
    let mut words = known_as(change, value, registry);
    let rules = registry.resource(&change.address.resource.kind);
    let claim = rules.zip(value).and_then(|(rules, value)| rules.claim(&value.unmark_deep().0));
    words.extend(claim.map(|claim| (change.cluster.as_str(), claim)));
    words
}

/// Whether two names are of one kind: some kinds have an older one.
pub(crate) fn is_same_kind(one: &str, other: &str, registry: &dyn RulesRegistry) -> bool {
    let rules = [one, other].map(|kind| registry.resource(kind));
    matches!(rules, [Some(one), Some(other)] if std::ptr::addr_eq(one, other))
}

/// What an instance names with this value.
pub(crate) fn named(change: &Change, value: Option<&Value>, registry: &dyn RulesRegistry) -> Vec<Named> {
    let rules = registry.resource(&change.address.resource.kind);
    rules.zip(value).map(|(rules, value)| rules.named(&value.unmark_deep().0)).unwrap_or_default()
}

/// What an instance is a part of with this value.
pub(crate) fn wholes<'a>(
    change: &'a Change,
    value: Option<&Value>,
    registry: &dyn RulesRegistry,
) -> BTreeSet<Word<'a>> {
    let rules = registry.resource(&change.address.resource.kind);
    let wholes = rules.zip(value).map(|(rules, value)| rules.part_of(&value.unmark_deep().0));
    wholes.into_iter().flatten().map(|word| (change.cluster.as_str(), word)).collect()
}

/// What an instance names, and what it is a part of.
pub(crate) fn words_named<'a>(
    change: &'a Change,
    value: Option<&Value>,
    registry: &dyn RulesRegistry,
) -> BTreeSet<Word<'a>> {
    let mut words = wholes(change, value, registry);
    let named = named(change, value, registry).into_iter();
    words.extend(named.map(|named| (change.cluster.as_str(), named.what)));
    words
}

/// Whether an instance is replaced by an object of another name.
pub(crate) fn is_renamed(planned: &Planned, rules: &dyn KindRules, before: Option<&Value>) -> bool {
    let claim = |value: Option<&Value>| value.and_then(|value| rules.claim(&value.unmark_deep().0));
    let is_changed = planned.action == Action::DeleteThenCreate && !planned.replace_paths.is_empty();
    is_changed && claim(before) != claim(Some(&planned.after))
}

pub(crate) fn is_destroyed(change: &Change) -> bool {
    change.action == Action::Delete || change.action.replaces()
}
