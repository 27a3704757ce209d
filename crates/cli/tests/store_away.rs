//! A store that goes away in the middle of an apply, and an apply that is killed or stopped, at moments by a seed.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod store;

use std::io::Write as _;
use std::process::Stdio;

use store::{Proxy, Server, fails, ok, project, pve, text};

const INSTANCES: usize = 20;

fn main_file() -> String {
    format!("resource \"terraform_data\" \"a\" {{\n  count = {INSTANCES}\n  input = count.index\n}}\n")
}

/// A number that looks random, the same for the same seed (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn cut(server: &Server, seed: u64) {
    let proxy = Proxy::start(server.address());
    let folder = project(proxy.address, &main_file());
    let path = folder.path();
    let key = format!("seed-{seed}");
    std::fs::write(path.join("backend.tf"), store::backend(proxy.address, &key)).unwrap();
    let (batches, lands) =
        (2 + usize::try_from(mixed(seed) % 12).unwrap(), mixed(seed ^ 99).is_multiple_of(2));
    let told = format!("seed {seed}: {batches} batches, lands {lands}");
    proxy.cut_after(batches, lands);
    let output = pve(path, &["apply", "-auto-approve", "-parallelism=2"]).output().unwrap();
    let said = text(&output);
    assert!(matches!(output.status.code(), Some(1 | 130)), "{told}: {said}");
    assert!(said.contains("The log is away") && said.contains("log push"), "{told}: {said}");
    // Still away.
    fails(path, &["log", "push"]);
    proxy.open();
    let refused = fails(path, &["apply", "-auto-approve"]);
    assert!(refused.contains("are not in it yet"), "{told}: {refused}");
    assert!(ok(path, &["plan"]).contains("are not in the log yet"), "{told}");
    // The run could not give back its lease.
    ok(path, &["unlock", "-force"]);
    let pushed = ok(path, &["log", "push"]);
    println!("{told}: {}", pushed.trim());
    assert!(pushed.contains("Pushed"), "{told}: {pushed}");
    assert!(ok(path, &["log", "push"]).contains("nothing to push"), "{told}");
    assert!(ok(path, &["log", "verify"]).contains("none changed"), "{told}");
    assert!(ok(path, &["log"]).contains("run finished"), "{told}");
    ok(path, &["apply", "-auto-approve"]);
    assert_eq!(ok(path, &["state", "list"]).lines().count(), INSTANCES, "{told}");
    assert!(ok(path, &["plan"]).contains("No changes."), "{told}");
}

fn seeds() -> u64 {
    let first = std::env::var("PVE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_126);
    println!("seeds from {first} (set PVE_TEST_SEED to try others)");
    first
}

#[test]
fn an_apply_whose_store_goes_away_loses_and_doubles_nothing() {
    let Some(server) = Server::start() else { return };
    let (first, server) = (seeds(), &server);
    std::thread::scope(|scope| {
        for seed in first..first + 4 {
            scope.spawn(move || cut(server, seed));
        }
    });
}

#[test]
fn what_another_run_overtook_is_taken_in_or_told() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.address());
    let (one, other) = (project(proxy.address, &main_file()), project(server.address(), &main_file()));
    proxy.cut_after(3, false);
    let output = pve(one.path(), &["apply", "-auto-approve", "-parallelism=2"]).output().unwrap();
    assert!(text(&output).contains("log push"), "{}", text(&output));
    proxy.open();
    ok(other.path(), &["unlock", "-force"]);
    // The two reach the store by different names.
    ok(other.path(), &["init", "-same-store"]);
    ok(other.path(), &["apply", "-auto-approve"]);
    let pushed = text(&pve(one.path(), &["log", "push"]).output().unwrap());
    assert!(pushed.contains("Pushed") && pushed.contains("what was passed over"), "{pushed}");
    assert!(ok(one.path(), &["log"]).contains("kept events of an earlier run were taken in late"));
    assert!(ok(one.path(), &["log", "verify"]).contains("none changed"));
    assert!(ok(one.path(), &["apply", "-auto-approve"]).contains("No changes."));
    assert_eq!(ok(one.path(), &["state", "list"]).lines().count(), INSTANCES);
}

#[test]
fn an_apply_killed_anywhere_is_completed_by_the_next_and_no_event_is_lost() {
    let Some(server) = Server::start() else { return };
    let (first, mut midway) = (seeds(), 0);
    for seed in first..first + 10 {
        let proxy = Proxy::start(server.address());
        let folder = project(proxy.address, &main_file());
        let path = folder.path();
        let key = format!("killed-{seed}");
        std::fs::write(path.join("backend.tf"), store::backend(proxy.address, &key)).unwrap();
        let most = 1 + usize::try_from(mixed(seed) % 20).unwrap();
        let mut child = pve(path, &["apply", "-auto-approve", "-parallelism=2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while proxy.batches() < most && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // It may have ended by itself just before.
        let _ = child.kill();
        child.wait().unwrap();
        let marker = std::fs::read_to_string(path.join(".pve/default/log.json")).unwrap_or_default();
        let before = ok(path, &["log", "--jsonl"]);
        midway += usize::from(before.contains("run_started") && !before.contains("run_finished"));
        // What the killed run took for durable is there.
        let noted = marker.split("\"sequence\": ").nth(1).and_then(|rest| rest.split(',').next());
        let noted = noted.map_or(0, |number| number.parse::<usize>().unwrap());
        assert!(before.lines().count() >= noted, "seed {seed}: {noted} noted");
        ok(path, &["unlock", "-force"]);
        ok(path, &["apply", "-auto-approve"]);
        assert!(ok(path, &["plan"]).contains("No changes."), "seed {seed}");
        assert_eq!(ok(path, &["state", "list"]).lines().count(), INSTANCES, "seed {seed}");
        assert!(ok(path, &["log", "verify"]).contains("none changed"), "seed {seed}");
    }
    println!("{midway} of 10 kills hit a run that was under way");
    assert!(midway > 0);
}

/// Takes more than a minute, the time that a lease lasts.
#[cfg(unix)]
#[test]
fn an_apply_that_was_stopped_for_longer_than_its_lease_appends_nothing_more() {
    if std::env::var_os("PVE_TEST_FULL").is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: more than a minute, without PVE_TEST_FULL");
        return;
    }
    let Some(server) = Server::start() else { return };
    let slow = "resource \"terraform_data\" \"a\" {\n  provisioner \"local-exec\" {\n    command = \"mkfifo gate && cat gate\"\n  }\n}\n";
    let quick = "resource \"terraform_data\" \"a\" {}\n";
    let (one, other) = (project(server.address(), slow), project(server.address(), quick));
    let child = pve(one.path(), &["apply", "-auto-approve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !ok(other.path(), &["log", "--jsonl"]).contains("provisioner_started") {
        std::thread::yield_now();
    }
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let begun = std::time::Instant::now();
    let taken = ok(other.path(), &["apply", "-auto-approve", "-lock-timeout=3m"]);
    println!("taken over after {:.1?}", begun.elapsed());
    assert!(begun.elapsed() > std::time::Duration::from_secs(60) && taken.contains("Waiting"), "{taken}");
    let before = ok(other.path(), &["log", "--jsonl"]);
    assert!(before.contains("lease_taken_over"), "{before}");
    signal("-CONT");
    std::fs::write(one.path().join("gate"), "").unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended));
    assert_eq!(ok(other.path(), &["log", "--jsonl"]), before, "{}", text(&ended));
    assert!(ok(other.path(), &["plan"]).contains("No changes."));
}
