//! An apply that is killed at any moment, followed by another: nothing lost, nothing twice, and then nothing to do.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[path = "common/binary.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod binary;

use std::path::Path;
use std::process::Stdio;

use binary::pve;

/// Instances that the configuration has.
const INSTANCES: usize = 40;
/// Moments at which the first apply is killed.
const KILLS: u64 = 12;

fn prints(folder: &Path, words: &[&str]) -> String {
    let output = pve(folder, words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A number that looks random, the same for the same seed (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn an_apply_killed_anywhere_is_completed_by_the_next() {
    let seed =
        std::env::var("PVE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125_u64);
    println!("seed {seed} (set PVE_TEST_SEED to try another)");
    let mut killed_midway = 0;
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().unwrap();
        let main = format!(
            "resource \"terraform_data\" \"all\" {{\n  count = {INSTANCES}\n  input = count.index\n}}\n\
             resource \"terraform_data\" \"last\" {{\n  input = terraform_data.all[*].id\n}}\n"
        );
        std::fs::write(folder.path().join("main.tf"), main).unwrap();
        // The journal of the log grows with each commit: its size is the clock of this test.
        let journal = folder.path().join(".pve/default/log.db-wal");
        let moment = mixed(seed ^ kill) % 600_000;
        let mut child = pve(folder.path(), &["apply", "-auto-approve", "-parallelism=2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        loop {
            let size = std::fs::metadata(&journal).map(|metadata| metadata.len()).unwrap_or_default();
            if size > moment || child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        // It may have ended by itself just before.
        let _ = child.kill();
        child.wait().unwrap();
        let events = prints(folder.path(), &["log", "--json"]);
        killed_midway += usize::from(events.contains("run_started") && !events.contains("run_finished"));

        prints(folder.path(), &["apply", "-auto-approve"]);
        let plan = prints(folder.path(), &["plan"]);
        assert!(plan.contains("No changes."), "kill {kill} at {moment}: {plan}");
        let state = prints(folder.path(), &["state", "list"]);
        assert_eq!(state.lines().count(), INSTANCES + 1, "kill {kill} at {moment}");
        let verified = prints(folder.path(), &["log", "verify"]);
        assert!(verified.contains("none changed"), "kill {kill} at {moment}: {verified}");
    }
    assert!(killed_midway > 0, "no kill hit a run that was under way");
}
