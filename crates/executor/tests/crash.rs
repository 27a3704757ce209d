//! Runs that are killed at every point, and the runs after them: nothing twice, nothing lost, nothing guessed.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails should end the test")]

mod scripted;

use std::collections::BTreeMap;

use pve_executor::{Outcome, RecoveryReport, recover};
use pve_model::event::Operation;
use pve_model::plan::{Batch, Plan, Step};
use pve_model::state::State;
use scripted::{
    Accepts, Cluster, Fails, KillPoints, Known, MemoryJournal, ScriptedResolver, address, carry_out, creates,
    options, plan, record_of, thing,
};

/// Things that are wanted, each after some of those before it.
type Wanted = Vec<(String, Vec<usize>)>;

/// What is left to do: what is not in the state is made, what does not run is started.
fn plan_towards(state: &State, wanted: &Wanted) -> Plan {
    let operation = |name: &str| match state.current(&address(name)) {
        None => Some(Operation::Create),
        Some(record) if record.values["running"] == false => Some(Operation::Update),
        Some(_) => None,
    };
    let mut places = BTreeMap::new();
    let mut made = plan(&[]);
    for (at, (name, after)) in wanted.iter().enumerate() {
        let Some(operation) = operation(name) else { continue };
        places.insert(at, made.steps.len());
        let after: Vec<usize> = after.iter().filter_map(|before| places.get(before).copied()).collect();
        let one = plan(&[(name.as_str(), operation, &[])]);
        made.steps.push(Step { change: made.changes.len(), after, ..one.steps[0].clone() });
        made.changes.extend(one.changes);
    }
    made
}

/// Two of three things are staged, each in a batch of one of two places; as few batches as the order allows.
fn put_into_batches(plan: &mut Plan) {
    let place = |step: &Step| {
        let name = plan.changes[step.change].address.to_string();
        let number: usize = name.trim_start_matches("test_thing.t").parse().unwrap();
        ["m", "n"].get(number % 3).copied()
    };
    let places: Vec<Option<&str>> = plan.steps.iter().map(place).collect();
    let mut rounds: Vec<usize> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        // Of those of the other place every second one needs no more than staged.
        let needs_more = |before: &usize| places[at].is_none() || (before + at).is_multiple_of(2);
        let waits =
            |before: &usize| places[*before].is_some() && places[*before] != places[at] && needs_more(before);
        let before = step.after.iter().map(|before| rounds[*before] + usize::from(waits(before)));
        rounds.push(before.max().unwrap_or(0));
    }
    for (step, (place, round)) in plan.steps.iter_mut().zip(places.iter().zip(rounds)) {
        step.batch = place.map(|place| Batch { place: place.to_string(), round });
    }
}

async fn recover_all(cluster: &Cluster, journal: &MemoryJournal) -> RecoveryReport {
    let known = Known(journal.state());
    recover(&known.0.open_actions, cluster, journal, &known).await.unwrap()
}

fn random_wanted(random: &mut fastrand::Rng) -> Wanted {
    (0..random.usize(2..6))
        .map(|at| (format!("t{at}"), (0..at).filter(|_| random.u8(..3) == 0).collect()))
        .collect()
}

/// One run of a process: recovery, a plan, an apply. `None` when it was killed.
async fn run(
    cluster: &Cluster,
    journal: &MemoryJournal,
    wanted: &Wanted,
    parallelism: usize,
) -> Option<Outcome> {
    let work = async {
        recover_all(cluster, journal).await;
        let mut plan = plan_towards(&journal.state(), wanted);
        if cluster.stages {
            put_into_batches(&mut plan);
        }
        carry_out(&plan, cluster, journal, &options(parallelism)).await
    };
    tokio::select! {
        biased;
        () = cluster.points.death() => None,
        outcome = work => Some(outcome),
    }
}

fn check_settled(cluster: &Cluster, journal: &MemoryJournal, wanted: &Wanted, told: &str) {
    let state = journal.state();
    assert!(state.open_actions.is_empty(), "{told}");
    assert_eq!(plan_towards(&state, wanted).steps, [], "{told}: there is something left to do");
    let names: Vec<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(cluster.names(), names, "{told}: the cluster has what is wanted and nothing else");
    for (name, times) in &*cluster.made.lock().unwrap() {
        assert_eq!(*times, 1, "{told}: {name} was made {times} times");
    }
}

#[tokio::test]
async fn a_run_killed_at_any_point_is_continued_by_the_next() {
    let mut killed = 0;
    for (seed, stages) in (0..12).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (wanted, parallelism) = (random_wanted(&mut random), random.usize(1..4));
        for point in 1.. {
            let told = format!("seed {seed}, staged {stages}, killed at point {point}");
            let cluster = Cluster { points: KillPoints::at(point), stages, ..Cluster::default() };
            let journal = MemoryJournal::beside(&cluster);
            let first = run(&cluster, &journal, &wanted, parallelism).await;
            if let Some(outcome) = first {
                assert!(outcome.is_complete(), "{told}");
                check_settled(&cluster, &journal, &wanted, &told);
                break;
            }
            killed += 1;
            let cluster = cluster.after_a_crash();
            let journal = journal.after_a_crash(&cluster);
            let outcome = run(&cluster, &journal, &wanted, parallelism).await.expect("nobody kills this one");
            assert!(outcome.is_complete(), "{told}: {outcome:?}");
            check_settled(&cluster, &journal, &wanted, &told);
        }
    }
    assert!(killed > 500, "only {killed} points were tried");
}

#[tokio::test]
async fn runs_killed_again_and_again_still_get_there() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (wanted, parallelism) = (random_wanted(&mut random), random.usize(1..4));
        let mut cluster = Cluster { stages: random.bool(), ..Cluster::default() };
        let mut journal = MemoryJournal::beside(&cluster);
        for life in 0.. {
            assert!(life < 200, "seed {seed}: no end");
            cluster = Cluster { points: KillPoints::at(random.usize(1..40)), ..cluster.after_a_crash() };
            journal = journal.after_a_crash(&cluster);
            if run(&cluster, &journal, &wanted, parallelism).await.is_some() {
                break;
            }
        }
        check_settled(&cluster, &journal, &wanted, &format!("seed {seed}"));
    }
}

#[tokio::test]
async fn a_run_that_lost_its_log_at_any_call_is_continued_by_the_next() {
    let wanted: Wanted =
        vec![("t0".into(), vec![]), ("t1".into(), vec![0]), ("t2".into(), vec![]), ("t3".into(), vec![1, 2])];
    for most in 0..20 {
        for accepts in [Accepts::Only(most), Accepts::LosesAnswerAfter(most)] {
            let cluster = Cluster::default();
            let journal = MemoryJournal { accepts, ..MemoryJournal::beside(&cluster) };
            let outcome = run(&cluster, &journal, &wanted, 2).await.unwrap();
            assert!(!outcome.is_complete(), "{accepts:?}");
            let cluster = cluster.after_a_crash();
            let journal = journal.after_a_crash(&cluster);
            assert!(run(&cluster, &journal, &wanted, 2).await.unwrap().is_complete(), "{accepts:?}");
            check_settled(&cluster, &journal, &wanted, &format!("{accepts:?}"));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_proved_stays_open_and_is_told() {
    let cluster = Cluster { unclear: ["a".into()].into(), ..Cluster::failing("a", Fails::Unclear) };
    let journal = MemoryJournal::beside(&cluster);
    carry_out(&creates(&[("a", &[])]), &cluster, &journal, &options(1)).await;
    recover_all(&cluster, &journal).await;
    let events = journal.state().sequence;
    for _ in 0..2 {
        let report = recover_all(&cluster, &journal).await;
        assert_eq!(report.unclear, [(address("a"), "nobody knows".to_string())]);
        assert!(report.resolved.is_empty());
        let state = journal.state();
        assert_eq!(state.open_actions[0].indeterminate.as_deref(), Some("nobody knows"));
        assert_eq!(state.current(&address("a")), None, "nothing is guessed");
        assert_eq!(state.sequence, events, "the same finding is no event");
    }
}

#[tokio::test]
async fn what_recovery_tells_is_without_the_secrets_of_the_intent() {
    let cluster = Cluster { unclear: ["nobody".into()].into(), ..Cluster::failing("nobody", Fails::Unclear) };
    let journal = MemoryJournal::beside(&cluster);
    let mut resolver = ScriptedResolver::new(&creates(&[("nobody", &[])]), &cluster);
    resolver.marks = true;
    let plan = creates(&[("nobody", &[])]);
    pve_executor::execute(
        &plan,
        &cluster,
        &cluster,
        &mut resolver,
        &journal,
        &pve_executor::SilentReporter,
        &options(1),
    )
    .await;
    let report = recover_all(&cluster, &journal).await;
    assert_eq!(report.unclear, [(address("nobody"), "(sensitive value) knows".to_string())]);
}

#[tokio::test]
async fn a_delete_that_was_interrupted_is_found_done_or_not_begun() {
    for point in 1.. {
        let cluster = Cluster::default();
        let journal = MemoryJournal::beside(&cluster);
        carry_out(&creates(&[("a", &[])]), &cluster, &journal, &options(1)).await;
        let cluster = Cluster { points: KillPoints::at(point), ..cluster.after_a_crash() };
        let journal = journal.after_a_crash(&cluster);
        let delete = plan(&[("a", Operation::Delete, &[])]);
        let options = options(1);
        let work = carry_out(&delete, &cluster, &journal, &options);
        let killed = tokio::select! { biased; () = cluster.points.death() => true, _ = work => false };
        let cluster = cluster.after_a_crash();
        let journal = journal.after_a_crash(&cluster);
        recover_all(&cluster, &journal).await;
        let state = journal.state();
        assert!(state.open_actions.is_empty(), "point {point}");
        assert_eq!(state.current(&address("a")).is_some(), cluster.names() == ["a"], "point {point}");
        // What it did before it was interrupted is no change from outside.
        let found = cluster.things.lock().unwrap().get("a").copied();
        let expected = found.map(|running| record_of(&thing("a", running)));
        assert_eq!(state.current(&address("a")), expected.as_ref(), "point {point}");
        if !killed {
            assert!(state.instances.is_empty());
            break;
        }
    }
}
