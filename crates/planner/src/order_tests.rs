//! The order of steps, as tables of changes and what comes of them.

use super::*;

fn change(address: &str, action: Action) -> Change {
    Change {
        address: address.parse().unwrap(),
        deposed: None,
        previous_address: None,
        provider: "p".into(),
        cluster: String::new(),
        action,
        reason: None,
        before: None,
        after: None,
        replace_paths: vec![],
        notes: vec![],
        importing: None,
        dependencies: vec![],
        create_before_destroy: false,
    }
}

fn plain<'a>(change: &'a Change, needs: &'a [ResourceAddress], needed: &'a [ResourceAddress]) -> Ordered<'a> {
    static NONE: BTreeSet<usize> = BTreeSet::new();
    Ordered { change, needs, needed, follows: &[], predecessors: &NONE, makers: &NONE, leavers: &NONE }
}

/// Each line is `ADDRESS ACTION NEEDS... / NEEDED...`; the answer is the order of steps.
fn check(lines: &[(&str, Action, &[&str], &[&str])], expected: &[&str]) {
    let resource = |text: &&str| text.parse::<InstanceAddress>().unwrap().resource;
    let parts: Vec<_> = lines
        .iter()
        .map(|(address, action, needs, needed)| {
            let needs: Vec<_> = needs.iter().map(resource).collect();
            let needed: Vec<_> = needed.iter().map(resource).collect();
            (change(address, *action), needs, needed)
        })
        .collect();
    let ordered: Vec<_> = parts.iter().map(|(change, needs, needed)| plain(change, needs, needed)).collect();
    let steps = steps(&ordered).unwrap();
    for (at, step) in steps.iter().enumerate() {
        assert!(step.after.iter().all(|before| *before < at));
    }
    let seen: Vec<String> = steps
        .iter()
        .map(|step| format!("{:?} {}", step.operation, ordered[step.change].change.address))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn creation_follows_dependencies_and_destruction_goes_against_them() {
    check(
        &[("t.b", Action::Create, &["t.a"], &[]), ("t.a", Action::Create, &[], &[])],
        &["Create t.a", "Create t.b"],
    );
    check(
        &[("t.a", Action::Delete, &[], &[]), ("t.b", Action::Delete, &[], &["t.a"])],
        &["Delete t.b", "Delete t.a"],
    );
}

#[test]
fn a_replaced_dependency_is_destroyed_after_its_dependants_and_made_before_them() {
    check(
        &[("t.a", Action::DeleteThenCreate, &[], &[]), ("t.b", Action::DeleteThenCreate, &["t.a"], &["t.a"])],
        &["Delete t.b", "Delete t.a", "Create t.a", "Create t.b"],
    );
}

#[test]
fn created_first_the_old_object_goes_when_all_dependants_use_the_new_one() {
    check(
        &[("t.a", Action::CreateThenDelete, &[], &[]), ("t.b", Action::Update, &["t.a"], &["t.a"])],
        &["Create t.a", "Update t.b", "Delete t.a"],
    );
}

#[test]
fn what_is_no_longer_used_goes_after_the_update_that_stops_using_it() {
    check(
        &[("t.a", Action::Delete, &[], &[]), ("t.b", Action::Update, &[], &["t.a"])],
        &["Update t.b", "Delete t.a"],
    );
}

#[test]
fn what_needs_something_that_stays_comes_after_what_that_needs() {
    check(
        &[
            ("t.a", Action::Create, &["t.b"], &[]),
            ("t.b", Action::NoOp, &["t.c"], &[]),
            ("t.c", Action::DeleteThenCreate, &[], &[]),
        ],
        &["Delete t.c", "Create t.c", "Create t.a"],
    );
}

#[test]
fn what_applies_others_is_made_after_them_unless_they_wait_for_it() {
    let zone = change("t.zone", Action::Delete);
    let lab = change("t.lab", Action::Update);
    let vm = change("t.vm", Action::Update);
    let applier = change("t.applier", Action::DeleteThenCreate);
    let resource = |change: &Change| change.address.resource.clone();
    let (on_applier, on_zone) = ([resource(&applier)], [resource(&zone)]);
    let order = |vm_needs: &[ResourceAddress], vm_needed: &[ResourceAddress]| -> Vec<String> {
        let ordered = [
            Ordered { follows: &[1, 2], ..plain(&applier, &[], &on_zone) },
            plain(&zone, &[], &[]),
            plain(&lab, &[], &[]),
            plain(&vm, vm_needs, vm_needed),
        ];
        let steps = steps(&ordered).unwrap();
        let name = |step: &Step| ordered[step.change].change.address.to_string();
        steps.iter().map(|step| format!("{:?} {}", step.operation, name(step))).collect()
    };
    let place = |steps: &[String], step: &str| steps.iter().position(|found| found == step);
    let plain = order(&[], &[]);
    for staged in ["Delete t.zone", "Update t.lab"] {
        assert!(place(&plain, staged) < place(&plain, "Create t.applier"), "{plain:?}");
    }
    // The VM is on the new network once that is applied, and the zone goes when the VM has left it.
    let late = order(&on_applier, &on_zone);
    assert_eq!(late.last().unwrap(), "Delete t.zone", "{late:?}");
    assert!(place(&late, "Update t.lab") < place(&late, "Create t.applier"), "{late:?}");
}

#[test]
fn what_takes_an_id_comes_after_what_gives_it_up_and_before_what_used_the_old_one() {
    let (old, new) = (change("t.old", Action::Delete), change("t.new", Action::Create));
    let (user, other) = (change("t.user", Action::Update), change("t.other", Action::Update));
    let [on_old, on_new] = [&old, &new].map(|change| [change.address.resource.clone()]);
    let [of_old, of_other] = [0, 3].map(|place| BTreeSet::from([place]));
    let ordered = [
        plain(&old, &[], &[]),
        Ordered { predecessors: &of_old, ..plain(&new, &[], &[]) },
        plain(&user, &on_new, &on_old),
        plain(&other, &[], &[]),
    ];
    let order = |ordered: &[Ordered<'_>]| -> Vec<String> {
        let steps = steps(ordered).unwrap().into_iter();
        steps.map(|step| ordered[step.change].change.address.to_string()).collect()
    };
    assert_eq!(order(&ordered), ["t.old", "t.new", "t.user", "t.other"]);
    // Two that take each other's name: one of them is first.
    let of_user = BTreeSet::from([2]);
    let swapped = [
        plain(&old, &[], &[]),
        plain(&new, &[], &[]),
        Ordered { predecessors: &of_other, ..plain(&user, &[], &[]) },
        Ordered { predecessors: &of_user, ..plain(&other, &[], &[]) },
    ];
    assert_eq!(order(&swapped), ["t.old", "t.new", "t.other", "t.user"]);
}

#[test]
fn what_names_something_comes_after_it_is_made_and_goes_before_it_goes() {
    let order = |action: Action, waits: &[ResourceAddress]| -> Vec<String> {
        let (user, permission) = (change("t.z_user", action), change("t.permission", action));
        let (of_user, of_permission) = (BTreeSet::from([0]), BTreeSet::from([1]));
        let ordered = [
            Ordered { leavers: &of_permission, ..plain(&user, waits, waits) },
            Ordered { makers: &of_user, ..plain(&permission, &[], &[]) },
        ];
        let steps = steps(&ordered).unwrap().into_iter();
        steps.map(|step| ordered[step.change].change.address.to_string()).collect()
    };
    assert_eq!(order(Action::Create, &[]), ["t.z_user", "t.permission"]);
    assert_eq!(order(Action::Delete, &[]), ["t.permission", "t.z_user"]);
    // A reference counts for more than a name.
    let on_permission = [change("t.permission", Action::Create).address.resource];
    assert_eq!(order(Action::Create, &on_permission), ["t.permission", "t.z_user"]);
    assert_eq!(order(Action::Delete, &on_permission), ["t.z_user", "t.permission"]);
}

#[test]
fn a_replaced_object_does_not_take_the_name_of_one_that_an_earlier_run_left() {
    let replaced = change("t.a", Action::CreateThenDelete);
    let first = deposed_name(&replaced.address, &BTreeSet::new());
    let left = Change { deposed: Some(first.clone()), ..change("t.a", Action::Delete) };
    let ordered = [&replaced, &left].map(|change| plain(change, &[], &[]));
    let steps = steps(&ordered).unwrap();
    let names: BTreeSet<_> = steps.iter().filter_map(|step| step.deposed.clone()).collect();
    assert_eq!(names.len(), 2, "{steps:?}");
    assert!(names.contains(&first));
}

#[test]
fn steps_that_wait_for_each_other_are_an_error() {
    let (a, b) = (change("t.a", Action::Create), change("t.b", Action::Create));
    let (on_a, on_b) = ([a.address.resource.clone()], [b.address.resource.clone()]);
    let ordered = [plain(&a, &on_b, &[]), plain(&b, &on_a, &[])];
    assert_eq!(steps(&ordered), Err(OrderError(vec!["t.a".into(), "t.b".into()])));
}
