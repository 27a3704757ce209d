//! Provisioners in a walk: when they run, what their failures leave, and what becomes of a process that dies among them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

mod scripted;

use pve_executor::{Outcome, execute, recover};
use pve_model::event::{Operation, Payload};
use pve_model::plan::Plan;
use pve_model::state::InstanceRecord;
use scripted::{
    Accepts, Cluster, Fails, KillPoints, Known, MemoryJournal, ScriptedResolver, TraceReporter, address,
    options, plan, record_of, thing,
};

/// One step for `a` with two provisioners, and `b`, which waits for it.
fn provisioned(operation: Operation) -> Plan {
    let mut plan = plan(&[("a", operation, &[]), ("b", Operation::Create, &[0])]);
    plan.steps[0].provisioners = vec![0, 2];
    plan
}

async fn walk(
    plan: &Plan,
    cluster: &Cluster,
    journal: &MemoryJournal,
    adjust: impl FnOnce(&mut ScriptedResolver),
) -> Outcome {
    let mut resolver = ScriptedResolver::new(plan, cluster);
    adjust(&mut resolver);
    let reporter = TraceReporter(cluster.trace.clone());
    execute(plan, cluster, cluster, &mut resolver, journal, &reporter, &options(1)).await
}

fn failing(provisioner: &str) -> Cluster {
    Cluster { failing_provisioners: [provisioner.to_string()].into(), ..Cluster::default() }
}

fn tainted() -> InstanceRecord {
    InstanceRecord { tainted: true, ..record_of(&thing("a", true)) }
}

/// A cluster and a journal that have `a`.
async fn with_a() -> (Cluster, MemoryJournal) {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    walk(&plan(&[("a", Operation::Create, &[])]), &cluster, &journal, |_| {}).await;
    let cluster = cluster.after_a_crash();
    let journal = journal.after_a_crash(&cluster);
    (cluster, journal)
}

#[tokio::test]
async fn after_a_create_each_start_is_durable_before_it_runs_and_dependants_wait() {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    let outcome = walk(&provisioned(Operation::Create), &cluster, &journal, |_| {}).await;
    assert!(outcome.is_complete());
    let lines = cluster.trace.lines();
    let from = lines.iter().position(|line| line == "event provisioner_started a").unwrap();
    let expected = [
        "event provisioner_started a",
        "provision a 0",
        "prints a: secret",
        "event provisioner_passed a",
        "event provisioner_started a",
        "provision a 2",
        "prints a: secret",
        "event provisioner_passed a",
        "completed a",
        "event action_succeeded a",
        "succeeded a",
        "started b",
    ];
    assert_eq!(lines[from..from + expected.len()], expected);
    assert_eq!(journal.state().current(&address("a")), Some(&record_of(&thing("a", true))));
}

#[tokio::test]
async fn before_a_delete_they_run_while_the_object_is_still_there() {
    let (cluster, journal) = with_a().await;
    walk(&provisioned(Operation::Delete), &cluster, &journal, |_| {}).await;
    assert!(cluster.trace.at("provision a 0") < cluster.trace.at("provision a 2"));
    assert!(cluster.trace.at("provision a 2") < cluster.trace.at("request delete a"));
    assert_eq!(journal.state().current(&address("a")), None);
}

#[tokio::test]
async fn a_failure_after_a_create_taints_and_stops_what_follows() {
    let cluster = failing("a 0");
    let journal = MemoryJournal::beside(&cluster);
    let outcome = walk(&provisioned(Operation::Create), &cluster, &journal, |_| {}).await;
    assert_eq!(outcome.failures[0].error, "local-exec provisioner: exit code 3");
    assert_eq!(outcome.skipped, [address("b")]);
    assert!(!cluster.trace.lines().contains(&"provision a 2".to_string()));
    assert_eq!(journal.state().current(&address("a")), Some(&tainted()));
    assert!(journal.state().open_actions.is_empty());
}

#[tokio::test]
async fn the_failure_of_a_provisioner_is_told_where_the_log_cannot_take_it_either() {
    for (operation, taken) in [(Operation::Create, 5), (Operation::Delete, 2)] {
        let cluster = failing("a 0");
        if operation == Operation::Delete {
            cluster.things.lock().unwrap().insert("a".into(), true);
        }
        let accepts = Accepts::Only(taken);
        let journal = MemoryJournal { accepts, ..MemoryJournal::beside(&cluster) };
        let outcome = walk(&provisioned(operation), &cluster, &journal, |_| {}).await;
        let error = &outcome.failures[0].error;
        assert!(error.contains("exit code 3") && error.contains("taken over"), "{operation:?}: {error}");
    }
}

#[tokio::test]
async fn an_object_that_is_only_half_made_is_tainted_because_its_provisioners_never_ran() {
    let cluster = Cluster::failing("a", Fails::Halfway);
    let journal = MemoryJournal::beside(&cluster);
    walk(&provisioned(Operation::Create), &cluster, &journal, |_| {}).await;
    assert!(!cluster.trace.lines().iter().any(|line| line.starts_with("provision ")));
    let left = InstanceRecord { tainted: true, ..record_of(&thing("a", false)) };
    assert_eq!(journal.state().current(&address("a")), Some(&left));
}

#[tokio::test]
async fn a_failure_before_a_delete_keeps_the_object() {
    let (cluster, journal) = with_a().await;
    let cluster = Cluster { failing_provisioners: ["a 2".into()].into(), ..cluster };
    let outcome = walk(&provisioned(Operation::Delete), &cluster, &journal, |_| {}).await;
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(cluster.names(), ["a"]);
    assert_eq!(journal.state().current(&address("a")), Some(&record_of(&thing("a", true))));
}

#[tokio::test]
async fn a_failure_that_is_passed_over_is_recorded_and_nothing_else_changes() {
    let cluster = failing("a 0");
    let journal = MemoryJournal::beside(&cluster);
    let plan = provisioned(Operation::Create);
    let outcome = walk(&plan, &cluster, &journal, |resolver| {
        resolver.forgiven.insert("a".into());
    })
    .await;
    assert!(outcome.is_complete());
    assert!(cluster.trace.lines().contains(&"provision a 2".to_string()));
    assert_eq!(journal.state().current(&address("a")), Some(&record_of(&thing("a", true))));
    let passed = journal.payloads().into_iter().find_map(|payload| match payload {
        Payload::ProvisionerPassed(passed) => passed.error,
        _ => None,
    });
    assert_eq!(passed.as_deref(), Some("local-exec provisioner: exit code 3"));
}

#[tokio::test]
async fn the_output_of_a_provisioner_with_secrets_is_not_shown() {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    walk(&provisioned(Operation::Create), &cluster, &journal, |resolver| {
        resolver.secret.insert("a".into());
    })
    .await;
    let lines = cluster.trace.lines();
    assert!(lines.contains(&"provision a 0".to_string()));
    assert!(lines.contains(&"prints a: (output suppressed due to sensitive value in config)".to_string()));
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
}

/// Walks a plan, killed at a point, and resolves what is open. Whether it was killed.
async fn killed_at(
    point: usize,
    plan: &Plan,
    cluster: Cluster,
    journal: MemoryJournal,
) -> (bool, Cluster, MemoryJournal) {
    let cluster = Cluster { points: KillPoints::at(point), ..cluster };
    let journal = journal.after_a_crash(&cluster);
    let work = walk(plan, &cluster, &journal, |_| {});
    let killed = tokio::select! { biased; () = cluster.points.death() => true, _ = work => false };
    let trace = cluster.trace.clone();
    let cluster = Cluster { trace, ..cluster.after_a_crash() };
    let journal = journal.after_a_crash(&cluster);
    let known = Known(journal.state());
    recover(&known.0.open_actions, &cluster, &journal, &known).await.unwrap();
    assert!(journal.state().open_actions.is_empty(), "point {point}");
    (killed, cluster, journal)
}

#[tokio::test]
async fn killed_anywhere_a_new_object_is_whole_tainted_or_not_there() {
    let mut plan = provisioned(Operation::Create);
    plan.steps.truncate(1);
    let (mut seen_tainted, mut points) = (0, 0);
    for point in 1.. {
        let (killed, cluster, journal) =
            killed_at(point, &plan, Cluster::default(), MemoryJournal::default()).await;
        points += usize::from(killed);
        let state = journal.state();
        let passed = state_passed(&journal);
        match state.current(&address("a")) {
            // The thing exists: it counts as whole only when all of its provisioners are known to have passed.
            Some(record) => {
                assert_eq!(cluster.names(), ["a"], "point {point}");
                assert_eq!(record.tainted, passed < 2, "point {point}: {passed} provisioners passed");
                seen_tainted += usize::from(record.tainted);
            }
            None => assert_eq!(cluster.names(), [] as [&str; 0], "point {point}"),
        }
        if !killed {
            break;
        }
    }
    assert!(points > 15 && seen_tainted > 8, "{points} points, {seen_tainted} of them tainted");
}

#[tokio::test]
async fn killed_anywhere_an_object_is_destroyed_only_after_its_provisioners() {
    let mut plan = provisioned(Operation::Delete);
    plan.steps.truncate(1);
    for point in 1.. {
        let (cluster, journal) = with_a().await;
        let (killed, cluster, journal) = killed_at(point, &plan, cluster, journal).await;
        let kept = journal.state().current(&address("a")).is_some();
        assert_eq!(kept, cluster.names() == ["a"], "point {point}");
        assert!(kept || state_passed(&journal) == 2, "point {point}");
        if !killed {
            assert!(!kept);
            break;
        }
    }
}

fn state_passed(journal: &MemoryJournal) -> usize {
    journal.payloads().iter().filter(|payload| matches!(payload, Payload::ProvisionerPassed(_))).count()
}
