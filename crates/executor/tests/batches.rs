//! Steps of one batch are staged each, and applied together.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod scripted;

use pve_executor::{SilentReporter, execute};
use pve_model::event::Operation;
use pve_model::plan::Plan;
use scripted::{Cluster, Fails, MemoryJournal, ScriptedResolver, address, carry_out, creates, options};

/// `a`, `b` and `c` behind each other and `d` in one batch; `guest` needs `b`, and `next` the guest.
fn staged() -> Plan {
    let mut plan = creates(&[
        ("a", &[]),
        ("b", &[0]),
        ("c", &[1]),
        ("d", &[]),
        ("guest", &[1]),
        ("next", &[4]),
        ("other", &[]),
    ]);
    for at in 0..4 {
        plan.steps[at].batch = Some("network".into());
    }
    plan
}

fn staging() -> Cluster {
    Cluster { stages: true, ..Cluster::default() }
}

#[tokio::test]
async fn a_batch_is_applied_when_all_of_it_is_staged() {
    for parallelism in 1..=8 {
        let cluster = staging();
        let journal = MemoryJournal::beside(&cluster);
        let outcome = carry_out(&staged(), &cluster, &journal, &options(parallelism)).await;
        assert!(outcome.is_complete(), "{outcome:?}");
        let at = |line: &str| cluster.trace.at(line);
        for (one, other) in [("a", "c"), ("a", "d"), ("c", "a"), ("d", "a"), ("b", "d"), ("d", "c")] {
            assert!(
                at(&format!("request make {one}")) < at(&format!("request start {other}")),
                "{parallelism}"
            );
        }
        // What is staged is durable before what needs it begins, and results are in order.
        for (one, other) in [("a", "b"), ("b", "c")] {
            assert!(at(&format!("event step_completed {one}")) < at(&format!("started {other}")));
            let [one, other] = [one, other].map(|name| at(&format!("event action_succeeded {name}")));
            assert!(one < other, "{:?}", cluster.trace.lines());
        }
        assert!(at("event action_succeeded b") < at("started guest"));
    }
}

#[tokio::test]
async fn what_fails_of_a_batch_does_not_keep_the_rest_from_being_applied() {
    for parallelism in 1..=8 {
        let cluster = Cluster { stages: true, ..Cluster::failing("b", Fails::Clean) };
        let journal = MemoryJournal::beside(&cluster);
        let outcome = carry_out(&staged(), &cluster, &journal, &options(parallelism)).await;
        assert_eq!(outcome.failures.len(), 1, "{outcome:?}");
        assert_eq!(outcome.skipped, ["c", "guest", "next"].map(address));
        assert_eq!(outcome.done[&Operation::Create], 3, "a, d and other");
    }
}

#[tokio::test]
async fn what_is_staged_otherwise_than_wanted_is_applied_without_what_needs_it() {
    let cluster = staging();
    let journal = MemoryJournal::beside(&cluster);
    let plan = staged();
    let mut resolver = ScriptedResolver::new(&plan, &cluster);
    resolver.complains_of.insert("a".into());
    let options = options(1);
    let outcome =
        execute(&plan, &cluster, &cluster, &mut resolver, &journal, &SilentReporter, &options).await;
    assert_eq!(outcome.failures.len(), 1, "{outcome:?}");
    assert_eq!(outcome.skipped, ["b", "c", "guest", "next"].map(address));
    assert!(cluster.things.lock().unwrap()["a"], "it was applied");
}

#[tokio::test]
async fn a_run_that_is_stopped_does_not_wait_for_what_it_will_not_begin() {
    for parallelism in 1..=8 {
        let options = options(parallelism);
        let cancel_at = Some(("b".to_string(), options.cancelled.clone()));
        let cluster = Cluster { cancel_at, ..staging() };
        let journal = MemoryJournal::beside(&cluster);
        let outcome = carry_out(&staged(), &cluster, &journal, &options).await;
        assert!(outcome.interrupted && outcome.skipped.contains(&address("c")), "{outcome:?}");
        assert!(journal.state().open_actions.is_empty());
    }
}
