//! A store that goes away in the middle of an apply, at moments by a seed: what happened is kept, and pushed later.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod store;

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
    assert!(refused.contains("the log was away in an earlier run"), "{told}: {refused}");
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

#[test]
fn an_apply_whose_store_goes_away_loses_and_doubles_nothing() {
    let Some(server) = Server::start() else { return };
    let first = std::env::var("PVE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_126);
    println!("seeds from {first} (set PVE_TEST_SEED to try others)");
    let server = &server;
    std::thread::scope(|scope| {
        for seed in first..first + 4 {
            scope.spawn(move || cut(server, seed));
        }
    });
}

#[test]
fn what_another_run_overtook_is_put_aside() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.address());
    let (one, other) = (project(proxy.address, &main_file()), project(server.address(), &main_file()));
    proxy.cut_after(3, false);
    let output = pve(one.path(), &["apply", "-auto-approve", "-parallelism=2"]).output().unwrap();
    assert!(text(&output).contains("log push"), "{}", text(&output));
    proxy.open();
    ok(other.path(), &["unlock", "-force"]);
    ok(other.path(), &["apply", "-auto-approve"]);
    let refused = fails(one.path(), &["log", "push"]);
    assert!(refused.contains("another run wrote event") && refused.contains("-discard"), "{refused}");
    assert!(ok(one.path(), &["log", "push", "-discard"]).contains("discarded-"));
    assert!(ok(one.path(), &["apply", "-auto-approve"]).contains("No changes."));
}
