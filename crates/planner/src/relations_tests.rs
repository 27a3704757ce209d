//! What changes are to each other, as tables: a few kinds that name each other as those of a cluster do, and changes as
//! lines of text.

use std::collections::{BTreeMap, BTreeSet};

use pve_model::plan::{Action, Change, Plan};
use pve_model::rules::{Hold, KindRules, Named, RulesRegistry};
use pve_model::schema::Schema;
use pve_model::{InstanceAddress, Path, ResourceMode, Value};

use crate::naming::naming;
use crate::obstacles::obstacles;
use crate::order::{Ordered, steps};
use crate::planner::bare_change;
use crate::succession::predecessors;

/// A kind: what it names by which attribute, and whether it is a part of that.
struct Kind {
    schema: Schema,
    name: &'static str,
    named: &'static [(&'static str, &'static str, Hold)],
    part_of: &'static [(&'static str, &'static str)],
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(String::from)
}

impl KindRules for Kind {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn claim(&self, planned: &Value) -> Option<String> {
        Some(format!("{} {}", self.name, text(planned, "id")?))
    }

    fn known_as(&self, value: &Value) -> Vec<String> {
        self.claim(value).into_iter().collect()
    }

    fn named(&self, value: &Value) -> Vec<Named> {
        let named = self.named.iter().filter_map(|(attribute, kind, hold)| {
            let what = format!("{kind} {}", text(value, attribute)?);
            Some(Named { what, path: Path::attribute(*attribute), hold: *hold })
        });
        named.collect()
    }

    fn part_of(&self, present: &Value) -> Vec<String> {
        let whole = |(attribute, kind): &(&str, &str)| Some(format!("{kind} {}", text(present, attribute)?));
        self.part_of.iter().filter_map(whole).collect()
    }
}

pub(crate) struct Kinds(Vec<Kind>);

pub(crate) fn kinds() -> Kinds {
    let kind = |name, named, part_of| Kind { schema: Schema::default(), name, named, part_of };
    Kinds(vec![
        kind("pool", &[], &[]),
        kind("vm", &[("pool", "pool", Hold::Keeps)], &[]),
        kind("member", &[("pool", "pool", Hold::RestsOn), ("vm", "vm", Hold::No)], &[("vm", "vm")]),
        kind("copy", &[("pool", "pool", Hold::Keeps), ("vm", "vm", Hold::No)], &[]),
        kind("job", &[("vm", "vm", Hold::Loses)], &[]),
        kind("user", &[("group", "group", Hold::Forgets)], &[]),
        kind("group", &[], &[]),
        kind("note", &[("pool", "pool", Hold::No)], &[]),
    ])
}

impl RulesRegistry for Kinds {
    fn resource(&self, kind: &str) -> Option<&dyn KindRules> {
        self.0.iter().find(|known| known.name == kind).map(|kind| kind as &dyn KindRules)
    }

    fn data(&self, _: &str) -> Option<&dyn KindRules> {
        None
    }

    fn provider(&self, _: &str) -> Option<&Schema> {
        None
    }

    fn provider_of(&self, _: &str) -> Option<&str> {
        None
    }

    fn is_foreseen(&self, _: ResourceMode, _: &str) -> bool {
        false
    }

    fn resource_kinds(&self) -> Vec<&str> {
        Vec::new()
    }

    fn data_kinds(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// A value of `NAME=TEXT` words; none of no words.
fn value(words: &str) -> Option<Value> {
    let parts = words.split_whitespace().filter_map(|word| word.split_once('='));
    let parts: BTreeMap<_, _> = parts.map(|(name, text)| (name.into(), Value::string(text))).collect();
    (!parts.is_empty()).then(|| Value::object(parts))
}

/// A change of `ADDRESS: BEFORE -> AFTER`. The action is that of the sides that there are; `+/-` or `-/+` in place of the
/// arrow for the replacements.
pub(crate) fn change(line: &str) -> Change {
    let (address, values) = line.split_once(':').unwrap();
    let arrow = ["-/+", "+/-", "->"].into_iter().find(|arrow| values.contains(arrow)).unwrap();
    let (before, after) = values.split_once(arrow).unwrap();
    let (before, after) = (value(before), value(after));
    let action = match (arrow, &before, &after) {
        ("-/+", ..) => Action::DeleteThenCreate,
        ("+/-", ..) => Action::CreateThenDelete,
        (_, None, _) => Action::Create,
        (_, _, None) => Action::Delete,
        _ if before == after => Action::NoOp,
        _ => Action::Update,
    };
    let address: InstanceAddress = address.parse().unwrap();
    Change { before, after, ..bare_change(&address, "p".into(), action) }
}

fn changes(lines: &[&str]) -> Vec<Change> {
    lines.iter().map(|line| change(line)).collect()
}

/// The pairs of changes as `A after B`, by the places of B for each A.
fn pairs(changes: &[Change], places: &[BTreeSet<usize>]) -> Vec<String> {
    let pairs =
        places.iter().enumerate().flat_map(|(at, others)| others.iter().map(move |other| (at, other)));
    pairs.map(|(at, other)| format!("{} after {}", changes[at].address, changes[*other].address)).collect()
}

#[test]
fn what_names_comes_after_what_is_made_and_before_what_goes() {
    let check = |lines: &[&str], makers: &[&str], leavers: &[&str]| {
        let changes = changes(lines);
        let naming = naming(&changes.iter().collect::<Vec<_>>(), &kinds());
        assert_eq!(pairs(&changes, &naming.makers), makers, "{lines:?}");
        assert_eq!(pairs(&changes, &naming.leavers), leavers, "{lines:?}");
    };
    check(&["pool.p: -> id=a", "vm.v: -> id=1 pool=a"], &["vm.v after pool.p"], &[]);
    check(&["pool.p: id=a ->", "vm.v: id=1 pool=a ->"], &[], &["pool.p after vm.v"]);
    check(
        &["pool.p: id=a +/- id=b", "vm.v: id=1 pool=a -> id=1 pool=b"],
        &["vm.v after pool.p"],
        &["pool.p after vm.v"],
    );
    // What something is a part of counts as what it names.
    check(&["vm.v: -> id=1", "member.m: -> id=x vm=1 pool=a"], &["member.m after vm.v"], &[]);
    // What stays as it is waits for nothing, and who goes on naming it does not let go.
    check(&["pool.p: id=a -/+ id=a", "vm.v: id=1 pool=a -> id=1 pool=a"], &[], &[]);
    check(&["pool.p: id=a ->", "vm.v: id=1 pool=a -> id=2 pool=a"], &[], &[]);
}

#[test]
fn what_takes_something_comes_after_what_gives_it_up() {
    let check = |lines: &[&str], expected: &[&str]| {
        let changes = changes(lines);
        let predecessors = predecessors(&changes.iter().collect::<Vec<_>>(), &kinds());
        assert_eq!(pairs(&changes, &predecessors), expected, "{lines:?}");
    };
    check(&["vm.a: id=1 ->", "vm.b: -> id=1"], &["vm.b after vm.a"]);
    check(&["vm.a: id=1 -> id=2", "vm.b: id=3 -/+ id=1"], &["vm.b after vm.a"]);
    check(&["vm.a: id=1 -/+ id=2", "vm.b: id=2 -/+ id=1"], &["vm.a after vm.b", "vm.b after vm.a"]);
    // Another kind claims something else, and what is kept is not given up.
    check(&["vm.a: id=1 ->", "pool.b: -> id=1"], &[]);
    check(&["vm.a: id=1 -> id=1 pool=a", "vm.b: -> id=2"], &[]);
}

/// The summaries of obstacles, for a plan in the order that it is given.
fn check_obstacles(lines: &[&str], expected: &[&str]) {
    let changes = changes(lines);
    let all: Vec<&Change> = changes.iter().collect();
    let (naming, predecessors) = (naming(&all, &kinds()), predecessors(&all, &kinds()));
    let ordered: Vec<Ordered<'_>> = all
        .iter()
        .enumerate()
        .map(|(at, change)| Ordered {
            change,
            needs: &[],
            needed: &[],
            follows: &[],
            predecessors: &predecessors[at],
            makers: &naming.makers[at],
            leavers: &naming.leavers[at],
        })
        .collect();
    let steps = steps(&ordered).unwrap();
    let plan = Plan { changes: changes.clone(), steps, ..Plan::default() };
    let found = obstacles(&plan, &kinds());
    let told: Vec<String> = found.iter().map(|found| found.summary.clone()).collect();
    assert_eq!(told, expected, "{lines:?}");
}

#[test]
fn what_no_order_can_do_is_told_of_what_is_destroyed_under_others() {
    let held = "pool.p cannot be destroyed while vm.v has it";
    check_obstacles(&["pool.p: id=a ->", "vm.v: id=1 pool=a -> id=1 pool=a"], &[held]);
    check_obstacles(&["pool.p: id=a -/+ id=a", "vm.v: id=1 pool=a -> id=1 pool=a"], &[held]);
    // Whoever leaves first, goes first, or does not hold it is no obstacle.
    check_obstacles(&["pool.p: id=a ->", "vm.v: id=1 pool=a -> id=1"], &[]);
    check_obstacles(&["pool.p: id=a ->", "vm.v: id=1 pool=a ->"], &[]);
    check_obstacles(&["pool.p: id=a ->", "note.n: id=1 pool=a -> id=1 pool=a"], &[]);
    check_obstacles(&["vm.v: id=1 ->", "job.j: id=x vm=1 -> id=x vm=1"], &[]);
    // A membership that goes frees its guest from the pool.
    check_obstacles(
        &["pool.p: id=a ->", "member.m: id=x vm=1 pool=a ->", "vm.v: id=1 pool=a -> id=1 pool=a"],
        &[],
    );
}

#[test]
fn what_no_order_can_do_is_told_of_what_is_taken_before_it_is_free() {
    check_obstacles(&["vm.a: id=1 ->", "vm.b: -> id=1"], &[]);
    check_obstacles(&["vm.a: id=1 +/- id=1"], &["vm.a takes vm 1 before it is free"]);
    // Of two that change places in place, one takes what the other one has.
    check_obstacles(&["vm.a: id=1 -> id=2", "vm.b: id=2 -> id=1"], &["vm.b takes vm 1 before it is free"]);
}
