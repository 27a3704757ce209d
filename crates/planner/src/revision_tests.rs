//! What becomes of an instance by what is destroyed and made around it, as tables.

use super::*;
use crate::relations_tests::{change, kinds};

/// What is planned anew of the last change, with those before it around it: `lost`, `leaves ATTRIBUTE`, `without WHAT`.
fn check(lines: &[&str], expected: &[&str]) {
    let changes: Vec<Change> = lines.iter().map(|line| change(line)).collect();
    let all: Vec<&Change> = changes.iter().collect();
    let (kinds, mut revision) = (kinds(), Revision::default());
    let around = Around::of(&all, &kinds);
    revision.take_in(all[all.len() - 1], &around);
    let lost = revision.lost.values().map(|_| "lost".to_string());
    let leaves = revision.leaving.values().flatten().map(|path| format!("leaves {path}"));
    let without = revision.reduced.values().flatten().map(|what| format!("without {what}"));
    assert_eq!(lost.chain(leaves).chain(without).collect::<Vec<_>>(), expected, "{lines:?}");
}

#[test]
fn what_is_a_part_of_something_or_rests_on_it_is_made_anew_with_it() {
    let member = "member.m: id=x vm=1 pool=a -> id=x vm=1 pool=a";
    check(&["vm.v: id=1 -/+ id=1", member], &["lost"]);
    check(&["pool.p: id=a -/+ id=a", member], &["lost"]);
    check(&["vm.v: id=1 ->", "vm.w: -> id=1", member], &["lost"]);
    // One that goes for good takes it along, and nothing is made; one that comes first under another name takes nothing.
    check(&["vm.v: id=1 ->", member], &[]);
    check(&["pool.p: id=a +/- id=b", "member.m: id=x vm=1 pool=a -> id=x vm=1 pool=b"], &[]);
    check(&["vm.v: id=2 -/+ id=2", member], &[]);
}

#[test]
fn what_the_cluster_takes_out_of_a_list_is_put_in_again() {
    check(&["vm.v: id=1 -/+ id=1", "job.j: id=x vm=1 -> id=x vm=1"], &["lost"]);
    let user = "user.u: id=x group=g -> id=x group=g";
    check(&["group.g: id=g -/+ id=g", user], &["without group g"]);
    check(&["group.g: id=g ->", user], &[]);
}

#[test]
fn a_guest_gives_up_a_pool_that_goes_and_one_that_a_membership_takes_it_out_of() {
    let guest = "vm.v: id=1 pool=a -> id=1 pool=a";
    check(&["pool.p: id=a ->", guest], &["leaves pool"]);
    check(&["pool.p: id=a -/+ id=a", guest], &[]);
    check(&["member.m: -> id=x vm=1 pool=b", guest], &["leaves pool"]);
    check(&["member.m: -> id=x vm=1 pool=a", guest], &[]);
    // What a membership that goes brought about is its own matter.
    check(&["member.n: id=y vm=1 pool=a ->", "member.m: -> id=x vm=1 pool=b", guest], &[]);
    check(&["member.m: -> id=x vm=2 pool=b", guest], &[]);
}

/// One that is cloned names its template and a pool of its own: it brings the template nowhere.
#[test]
fn a_guest_that_only_names_another_one_does_not_take_it_out_of_its_pool() {
    check(&["copy.c: -> id=2 vm=1 pool=b", "vm.v: id=1 pool=a -> id=1 pool=a"], &[]);
}
