//! The walk over a plan: order, parallelism, failures that stay where they are, and what is recorded when.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

mod scripted;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pve_executor::{Options, SilentReporter, execute};
use pve_model::event::{Operation, Payload};
use pve_model::plan::{Action, Plan, Step};
use scripted::{
    Accepts, Cluster, Fails, MemoryJournal, ScriptedResolver, address, carry_out, change, creates, name_of,
    options, plan, record_of, thing,
};

/// `a` before `b` and `c`, both before `d`; `e` before `f`; `g` alone.
fn diamond() -> Plan {
    creates(&[("a", &[]), ("b", &[0]), ("c", &[0]), ("d", &[1, 2]), ("e", &[]), ("f", &[4]), ("g", &[])])
}

#[tokio::test]
async fn every_step_is_done_after_those_it_waits_for() {
    for parallelism in 1..=8 {
        let cluster = Cluster::default();
        let journal = MemoryJournal::beside(&cluster);
        let outcome = carry_out(&diamond(), &cluster, &journal, &options(parallelism)).await;
        assert!(outcome.is_complete(), "{outcome:?}");
        assert_eq!(outcome.done[&Operation::Create], 7);
        assert_eq!(journal.state().instances.len(), 7);
        for (before, after) in [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("e", "f")] {
            let result = cluster.trace.at(&format!("event action_succeeded {before}"));
            let start = cluster.trace.at(&format!("started {after}"));
            assert!(result < start, "{after} began before {before} was durable");
        }
    }
}

#[tokio::test]
async fn no_more_steps_run_at_once_than_allowed() {
    let names: Vec<String> = (0..8).map(|i| format!("t{i}")).collect();
    let steps: Vec<(&str, &[usize])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    for (parallelism, most) in [(0, 1), (1, 1), (3, 3), (8, 8), (20, 8)] {
        let cluster = Cluster::default();
        let journal = MemoryJournal::beside(&cluster);
        carry_out(&creates(&steps), &cluster, &journal, &options(parallelism)).await;
        assert_eq!(cluster.most_running.load(Ordering::SeqCst), most, "parallelism {parallelism}");
    }
}

#[tokio::test]
async fn intent_task_and_result_are_each_durable_before_what_follows() {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    carry_out(&creates(&[("a", &[])]), &cluster, &journal, &options(1)).await;
    let expected = [
        "started a",
        "event action_intended a",
        "request make a",
        "event task_submitted a",
        "event step_completed a",
        "request start a",
        "event task_submitted a",
        "completed a",
        "event action_succeeded a",
        "succeeded a",
    ];
    assert_eq!(cluster.trace.lines(), expected);
    let Payload::ActionIntended(intent) = &journal.payloads()[0] else { panic!("no intent") };
    assert_eq!(intent.claim.marker.as_deref(), Some("mark-a"));
    assert_eq!(intent.planned, serde_json::json!({"name": "a", "running": true}));
}

/// The dependants of a step, found by following every edge until nothing is added.
fn dependants(plan: &Plan, of: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::from([of]);
    loop {
        let more: Vec<usize> = (0..plan.steps.len())
            .filter(|at| !found.contains(at) && plan.steps[*at].after.iter().any(|b| found.contains(b)))
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    found.remove(&of);
    found.iter().map(|at| name_of(&plan.changes[*at].address)).collect()
}

#[tokio::test]
async fn a_failed_step_stops_its_dependants_and_nothing_else() {
    let plan = diamond();
    for failing in 0..plan.steps.len() {
        for how in [Fails::Claim, Fails::Clean, Fails::Halfway, Fails::Unclear] {
            let name = name_of(&plan.changes[failing].address);
            let cluster = Cluster::failing(&name, how);
            let journal = MemoryJournal::beside(&cluster);
            let outcome = carry_out(&plan, &cluster, &journal, &options(3)).await;
            let skipped: BTreeSet<String> = outcome.skipped.iter().map(name_of).collect();
            assert_eq!(skipped, dependants(&plan, failing), "{name} fails: {how:?}");
            assert_eq!(outcome.failures.len(), 1);
            assert_eq!(outcome.failures[0].address, address(&name));
            assert_eq!(outcome.failures[0].hint.as_deref(), Some("look"));
            assert_eq!(outcome.done[&Operation::Create] as usize, 7 - 1 - skipped.len());
            assert!(!outcome.interrupted);
        }
    }
}

#[tokio::test]
async fn a_failure_records_what_is_left_and_nothing_that_is_not_known() {
    for (how, recorded, open) in [
        (Fails::Claim, None, false),
        (Fails::Clean, None, false),
        (Fails::Halfway, Some(record_of(&thing("a", false))), false),
        (Fails::Unclear, None, true),
    ] {
        let cluster = Cluster::failing("a", how);
        let journal = MemoryJournal::beside(&cluster);
        carry_out(&creates(&[("a", &[])]), &cluster, &journal, &options(1)).await;
        let state = journal.state();
        assert_eq!(state.current(&address("a")), recorded.as_ref(), "{how:?}");
        assert_eq!(!state.open_actions.is_empty(), open, "{how:?}");
        let events = journal.payloads().len();
        assert_eq!(events == 0, how == Fails::Claim, "what was not claimed is not intended");
    }
}

#[tokio::test]
async fn an_interrupted_run_starts_nothing_more_and_finishes_what_runs() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let cluster = Cluster { cancel_at: Some(("b".into(), Arc::clone(&cancelled))), ..Cluster::default() };
    let journal = MemoryJournal::beside(&cluster);
    let outcome = carry_out(&diamond(), &cluster, &journal, &Options { parallelism: 1, cancelled }).await;
    assert!(outcome.interrupted && outcome.failures.is_empty());
    assert!(journal.state().open_actions.is_empty());
    let done: BTreeSet<String> = journal.state().instances.keys().map(name_of).collect();
    let skipped: BTreeSet<String> = outcome.skipped.iter().map(name_of).collect();
    assert!(done.contains("b"), "what ran was finished");
    assert!(done.is_disjoint(&skipped));
    assert_eq!(done.len() + skipped.len(), 7);
}

#[tokio::test]
async fn an_interrupt_during_the_last_step_leaves_a_complete_run() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let cluster = Cluster { cancel_at: Some(("b".into(), Arc::clone(&cancelled))), ..Cluster::default() };
    let journal = MemoryJournal::beside(&cluster);
    let plan = creates(&[("a", &[]), ("b", &[0])]);
    let outcome = carry_out(&plan, &cluster, &journal, &Options { parallelism: 2, cancelled }).await;
    assert!(outcome.is_complete(), "{outcome:?}");
}

#[tokio::test]
async fn forgetting_sends_no_request() {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    carry_out(&creates(&[("a", &[])]), &cluster, &journal, &options(1)).await;
    let requests = cluster.trace.lines().iter().filter(|line| line.starts_with("request")).count();
    let plan = plan(&[("a", Operation::Forget, &[])]);
    let outcome = carry_out(&plan, &cluster, &journal, &options(1)).await;
    assert!(outcome.is_complete());
    assert!(journal.state().instances.is_empty());
    assert_eq!(cluster.names(), ["a"], "it is still in the cluster");
    let after = cluster.trace.lines().iter().filter(|line| line.starts_with("request")).count();
    assert_eq!(after, requests);
}

#[tokio::test]
async fn a_data_source_is_read_for_what_waits_for_it_and_writes_no_event() {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    let plan = plan(&[("d", Operation::Read, &[]), ("a", Operation::Create, &[0])]);
    let mut resolver = ScriptedResolver::new(&plan, &cluster);
    let outcome =
        execute(&plan, &cluster, &cluster, &mut resolver, &journal, &SilentReporter, &options(1)).await;
    assert!(outcome.is_complete());
    assert_eq!(resolver.data["d"], thing("d", true));
    assert!(cluster.trace.at("completed d") < cluster.trace.at("event action_intended a"));
    assert!(!cluster.trace.lines().iter().any(|line| line.starts_with("event") && line.ends_with(" d")));
}

#[tokio::test]
async fn what_a_postcondition_complains_of_is_there_all_the_same() {
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    let plan = creates(&[("a", &[]), ("b", &[0])]);
    let mut resolver = ScriptedResolver::new(&plan, &cluster);
    resolver.complains_of.insert("a".into());
    let outcome =
        execute(&plan, &cluster, &cluster, &mut resolver, &journal, &SilentReporter, &options(1)).await;
    assert_eq!(outcome.failures[0].error, "the postcondition does not hold");
    assert_eq!(outcome.skipped, [address("b")]);
    assert_eq!(journal.state().current(&address("a")), Some(&record_of(&thing("a", true))));
}

#[tokio::test]
async fn a_replacement_that_is_created_first_deposes_the_present_object_and_deletes_that_one() {
    let plan = Plan {
        changes: vec![change("a", Action::CreateThenDelete)],
        steps: vec![
            Step {
                change: 0,
                operation: Operation::Create,
                deposed: Some("old".into()),
                provisioners: vec![],
                batch: None,
                after: vec![],
            },
            Step {
                change: 0,
                operation: Operation::Delete,
                deposed: Some("old".into()),
                provisioners: vec![],
                batch: None,
                after: vec![0],
            },
        ],
        ..Plan::default()
    };
    let cluster = Cluster::default();
    let journal = MemoryJournal::beside(&cluster);
    carry_out(&plan, &cluster, &journal, &options(4)).await;
    let intents: Vec<_> = journal
        .payloads()
        .into_iter()
        .filter_map(|payload| match payload {
            Payload::ActionIntended(intent) => Some((intent.operation, intent.depose_as, intent.deposed)),
            _ => None,
        })
        .collect();
    let old = || Some("old".to_string());
    assert_eq!(intents, [(Operation::Create, old(), None), (Operation::Delete, None, old())]);
}

#[tokio::test]
async fn a_journal_that_takes_nothing_more_ends_the_run_at_whichever_call() {
    let calls = {
        let cluster = Cluster::default();
        let journal = MemoryJournal::beside(&cluster);
        carry_out(&diamond(), &cluster, &journal, &options(1)).await;
        journal.payloads().len()
    };
    assert_eq!(calls, 7 * 5);
    for parallelism in [1, 3] {
        for most in 0..calls {
            for accepts in [Accepts::Only(most), Accepts::LosesAnswerAfter(most)] {
                let cluster = Cluster::default();
                let journal = MemoryJournal { accepts, ..MemoryJournal::beside(&cluster) };
                let outcome = carry_out(&diamond(), &cluster, &journal, &options(parallelism)).await;
                assert!(!outcome.is_complete(), "{accepts:?}");
                assert!(outcome.interrupted, "{accepts:?}");
                let lines = cluster.trace.lines();
                let refused = cluster.trace.at("refused");
                let after = &lines[refused..];
                assert!(!after.iter().any(|line| line.starts_with("started")), "{accepts:?}: {lines:#?}");
                let requests = after.iter().filter(|line| line.starts_with("request")).count();
                // Those that run beside it may be about to send one each; they stop when they record it.
                assert!(requests < parallelism, "{accepts:?}: {lines:#?}");
                assert!(!after.iter().any(|line| line.starts_with("succeeded")), "{accepts:?}: {lines:#?}");
            }
        }
    }
}

#[tokio::test]
async fn why_a_step_failed_is_told_where_the_log_cannot_take_it_either() {
    let (clean, unclear) = ((Fails::Clean, "no space"), (Fails::Unclear, "the answer was lost"));
    for (how, why) in [clean, unclear] {
        let cluster = Cluster::failing("a", how);
        let journal = MemoryJournal { accepts: Accepts::Only(1), ..MemoryJournal::beside(&cluster) };
        let outcome = carry_out(&creates(&[("a", &[])]), &cluster, &journal, &options(1)).await;
        assert_eq!(outcome.failures[0].error, format!("{why}; and the log could not be written: taken over"));
        assert!(outcome.failures[0].hint.as_ref().unwrap().contains("Another run took over"));
    }
}

#[tokio::test]
async fn what_a_postcondition_complains_of_is_told_where_the_log_cannot_take_the_result() {
    let cluster = Cluster::default();
    let journal = MemoryJournal { accepts: Accepts::Only(4), ..MemoryJournal::beside(&cluster) };
    let plan = creates(&[("a", &[])]);
    let mut resolver = ScriptedResolver::new(&plan, &cluster);
    resolver.complains_of.insert("a".into());
    let outcome =
        execute(&plan, &cluster, &cluster, &mut resolver, &journal, &SilentReporter, &options(1)).await;
    let error = &outcome.failures[0].error;
    assert!(error.contains("postcondition") && error.contains("taken over"), "{error}");
}

/// A cluster repeats parameters in its messages; what is sensitive of them reaches neither the screen nor the log.
#[tokio::test]
async fn an_error_that_repeats_a_sensitive_value_is_told_without_it() {
    let cluster = Cluster::failing("hunter2", Fails::Clean);
    let journal = MemoryJournal::beside(&cluster);
    let mut plan = creates(&[("hunter2", &[])]);
    plan.changes[0].after = Some(pve_model::Value::string("no space").sensitive());
    let outcome = carry_out(&plan, &cluster, &journal, &options(1)).await;
    assert_eq!(outcome.failures[0].error, "(sensitive value)");
    let recorded = journal.events.lock().unwrap().clone().into_iter().find_map(|event| match event.payload {
        Payload::ActionFailed(failed) => Some(failed.error),
        _ => None,
    });
    assert_eq!(recorded.as_deref(), Some("(sensitive value)"));
}

#[tokio::test]
async fn secrets_of_the_configuration_alone_are_told_by_no_step() {
    let cluster = Cluster {
        fails: [("data".into(), Fails::Clean), ("a".into(), Fails::Clean)].into(),
        ..Cluster::default()
    };
    let journal = MemoryJournal::beside(&cluster);
    let plan =
        plan(&[("d", Operation::Read, &[]), ("a", Operation::Create, &[]), ("b", Operation::Create, &[])]);
    let mut resolver = ScriptedResolver::new(&plan, &cluster);
    let configured = ["no space", "postcondition"].map(|text| pve_model::Value::string(text).sensitive());
    resolver.secrets = pve_executor::Redaction::of(&configured);
    resolver.complains_of.insert("b".into());
    let outcome =
        execute(&plan, &cluster, &cluster, &mut resolver, &journal, &SilentReporter, &options(1)).await;
    let told: Vec<&str> = outcome.failures.iter().map(|failure| &*failure.error).collect();
    let hidden = "(sensitive value)";
    assert_eq!(told, [hidden, hidden, "the (sensitive value) does not hold"]);
}
