//! An apply of prod that is killed while it talks to the cluster, and another: no guest twice, none orphaned.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use pve_simulator::Options;
use simulated::{Cluster, Project, mixed, seed};

/// Moments at which an apply is killed.
const KILLS: u64 = 50;
/// The same, with the simulator in the process that is killed.
const SIMULATED_KILLS: u64 = 10;
/// Projects that are worked on at a time.
const WORKERS: u64 = 2;

const APPLY: [&str; 5] = ["-e", "prod", "apply", "--auto-approve", "-parallelism=4"];

/// The requests of an undisturbed apply, and what it makes.
fn undisturbed() -> (usize, std::collections::BTreeSet<String>) {
    let cluster = Cluster::start(Options::default());
    Project::on(&cluster).ok(&APPLY);
    (cluster.requests().len(), cluster.inventory())
}

#[test]
fn an_apply_of_guests_killed_at_any_request_is_completed_by_the_next() {
    let seed = seed();
    let (requests, expected) = undisturbed();
    println!("{requests} requests in an undisturbed apply");
    let (next, midway) = (AtomicU64::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let kill = next.fetch_add(1, Ordering::SeqCst);
                    if kill >= KILLS {
                        break;
                    }
                    let moment = 1 + (mixed(seed ^ kill) as usize) % requests;
                    let cluster = Cluster::start(Options::default());
                    let project = Project::on(&cluster);
                    let was_midway = kill_at(&cluster, &project, moment);
                    midway.fetch_add(usize::from(was_midway), Ordering::SeqCst);
                    project.ok(&APPLY);
                    let context = format!("seed {seed}, kill {kill} at request {moment}");
                    assert_eq!(cluster.inventory(), expected, "{context}");
                    let plan = project.ok(&["-e", "prod", "plan"]);
                    assert!(plan.contains("No changes."), "{context}: {plan}");
                    assert_eq!(project.ok(&["-e", "prod", "state", "list"]).lines().count(), 19, "{context}");
                    let verified = project.ok(&["-e", "prod", "log", "verify"]);
                    assert!(verified.contains("none changed"), "{context}: {verified}");
                }
            });
        }
    });
    let midway = midway.into_inner();
    println!("{midway} of {KILLS} kills hit a run that was under way");
    assert!(midway as u64 > KILLS / 2, "most kills came too late");
}

#[test]
fn a_simulated_cluster_that_dies_with_the_apply_is_continued_too() {
    let seed = seed();
    let mut midway = 0;
    for kill in 0..SIMULATED_KILLS {
        let project = Project::scaffolded();
        // The journal of the log grows with each commit: its size is the clock here.
        let journal = project.root().join(".pve/prod/log.db-wal");
        let moment = mixed(seed ^ kill) % 700_000;
        let size = || std::fs::metadata(&journal).map(|metadata| metadata.len()).unwrap_or_default();
        let words = [&APPLY[..], &["--simulate"]].concat();
        let mut child = project.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while size() <= moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        midway += usize::from(is_midway(&project));
        project.ok(&words);
        let plan = project.ok(&["-e", "prod", "plan", "--simulate"]);
        assert!(plan.contains("No changes."), "seed {seed}, kill {kill} at {moment}: {plan}");
        assert_eq!(project.ok(&["-e", "prod", "state", "list"]).lines().count(), 19);
    }
    println!("{midway} of {SIMULATED_KILLS} kills hit a run that was under way");
    assert!(midway > 0, "every kill came too late");
}

/// Applies, and kills the process as soon as the cluster has had so many requests.
fn kill_at(cluster: &Cluster, project: &Project, moment: usize) -> bool {
    let mut child = project.command(&APPLY).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while cluster.requests().len() < moment && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    // It may have ended by itself just before.
    let _ = child.kill();
    child.wait().unwrap();
    is_midway(project)
}

fn is_midway(project: &Project) -> bool {
    let events = project.ok(&["-e", "prod", "log", "--json"]);
    events.contains("run_started") && !events.contains("run_finished")
}
