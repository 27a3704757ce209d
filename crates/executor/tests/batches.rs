//! Steps of one batch are staged each, and applied together.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

mod scripted;

use pve_executor::{SilentReporter, execute};
use pve_model::event::Operation;
use pve_model::plan::{Batch, Plan};
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
        plan.steps[at].batch = Some(Batch { place: "network".into(), round: 0 });
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
        assert!(["a", "b", "c", "d"].iter().all(|name| at(&format!("whole batch of {name}")) > 0));
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
        // Whoever applies them learns that they are not all.
        assert!(["a", "d"].iter().all(|name| cluster.trace.at(&format!("part batch of {name}")) > 0));
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

#[tokio::test]
async fn what_is_as_wanted_once_it_is_applied_is_built_upon_then() {
    let cluster = staging();
    let journal = MemoryJournal::beside(&cluster);
    let plan = staged();
    let mut resolver = ScriptedResolver::new(&plan, &cluster);
    resolver.complains_until_it_runs.insert("a".into());
    let options = options(2);
    let outcome =
        execute(&plan, &cluster, &cluster, &mut resolver, &journal, &SilentReporter, &options).await;
    assert!(outcome.is_complete(), "{outcome:?}");
    assert!(cluster.trace.at("event action_succeeded a") < cluster.trace.at("event action_intended b"));
    assert!(cluster.trace.at("part batch of a") < cluster.trace.at("whole batch of c"));
}

/// `b` and `v` at each of two places; what needs `b` is after both of it.
fn two_places() -> Plan {
    let mut plan = creates(&[("bm", &[]), ("bn", &[]), ("vm", &[0, 1]), ("vn", &[0, 1])]);
    for (at, place) in ["m", "n", "m", "n"].into_iter().enumerate() {
        plan.steps[at].batch = Some(Batch { place: place.into(), round: 0 });
    }
    plan
}

#[tokio::test]
async fn batches_of_one_round_wait_for_each_other_no_longer_than_until_they_are_staged() {
    for parallelism in 1..=4 {
        let cluster = staging();
        let journal = MemoryJournal::beside(&cluster);
        let outcome = carry_out(&two_places(), &cluster, &journal, &options(parallelism)).await;
        assert!(outcome.is_complete(), "{outcome:?}");
        for (made, started) in [("vm", "bm"), ("vn", "bn")] {
            let at = |line: String| cluster.trace.at(&line);
            assert!(at(format!("request make {made}")) < at(format!("request start {started}")));
        }
    }
}

#[tokio::test]
async fn nothing_of_a_later_batch_of_a_place_is_staged_before_the_earlier_one_is_applied() {
    for parallelism in 1..=4 {
        let cluster = staging();
        let journal = MemoryJournal::beside(&cluster);
        let mut plan = creates(&[("one", &[]), ("late", &[]), ("slow", &[]), ("two", &[2]), ("three", &[3])]);
        for (at, round) in [(0, 0), (1, 1), (3, 0), (4, 0)] {
            plan.steps[at].batch = Some(Batch { place: "m".into(), round });
        }
        let outcome = carry_out(&plan, &cluster, &journal, &options(parallelism)).await;
        assert!(outcome.is_complete(), "{outcome:?}");
        assert!(cluster.trace.at("request start three") < cluster.trace.at("request make late"));
    }
}
