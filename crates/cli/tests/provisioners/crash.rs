//! Runs that are killed by their own provisioner, so that no clock decides where.

use super::project::{Project, said};

/// Instances that the configuration has.
const INSTANCES: u64 = 9;
/// Runs that are killed.
const KILLS: u64 = 6;

/// A number that looks random, the same for the same seed (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn seed() -> u64 {
    let given = std::env::var("PVE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or(20_261_125);
    println!("seed {seed} (set PVE_TEST_SEED to try another)");
    seed
}

/// Each instance has two provisioners of this kind; that named in the file `kill` ends the run, once.
fn main(when: &str) -> String {
    let provisioner = |place: u32| {
        format!(
            "provisioner \"local-exec\" {{\n  when = {when}\n  command = <<-EOT\n    echo ${{count.index}}.{place} >> \
             ran\n    if [ \"$(cat kill)\" = ${{count.index}}.{place} ]; then echo > kill; kill -9 $PPID; fi\n  \
             EOT\n}}\n"
        )
    };
    format!(
        "resource \"terraform_data\" \"all\" {{\n  count = {INSTANCES}\n{}{}}}\n",
        provisioner(1),
        provisioner(2)
    )
}

/// Where a run is killed: instance and provisioner.
fn moment(random: u64) -> (u64, u64) {
    (random % INSTANCES, 1 + (random >> 32) % 2)
}

/// How often a provisioner ran.
fn runs(project: &Project, name: &str) -> usize {
    project.read("ran").lines().filter(|line| *line == name).count()
}

fn killed(project: &Project, words: &[&str], told: &str) {
    let output = project.run(words);
    assert_eq!(output.status.code(), None, "{told}: it was not killed: {}", said(&output));
}

fn no_changes(project: &Project, told: &str) {
    let plan = said(&project.run(&["plan"]));
    assert!(plan.contains("No changes."), "{told}: {plan}");
    let verified = said(&project.run(&["log", "verify"]));
    assert!(verified.contains("none changed"), "{told}: {verified}");
}

#[test]
fn killed_in_a_provisioner_of_a_create_the_instance_is_tainted_and_made_anew() {
    let seed = seed();
    for kill in 0..KILLS {
        let (index, place) = moment(mixed(seed ^ kill));
        let told = format!("seed {seed}, killed in {index}.{place}");
        let project = Project::new(&main("create"));
        project.write("kill", &format!("{index}.{place}"));
        killed(&project, &["apply", "-auto-approve", "-parallelism=3"], &told);
        let address = format!("terraform_data.all[{index}]");
        let known = project.tainted();
        assert!(known.contains(&(address.clone(), true)), "{told}: {known:?}");
        let cut: Vec<_> =
            known.iter().filter(|(_, tainted)| *tainted).map(|(name, _)| name.clone()).collect();
        assert!(cut.len() <= 3, "{told}: only what ran is tainted: {cut:?}");

        project.apply();
        no_changes(&project, &told);
        let after = project.tainted();
        assert_eq!(after.len() as u64, INSTANCES, "{told}");
        assert!(after.iter().all(|(_, tainted)| !tainted), "{told}: {after:?}");
        // Its provisioners ran again from the first; those of instances that had passed did not.
        assert_eq!(runs(&project, &format!("{index}.{place}")), 2, "{told}");
        for other in (0..INSTANCES).filter(|other| !cut.contains(&format!("terraform_data.all[{other}]"))) {
            let times = runs(&project, &format!("{other}.2"));
            let recovered = known.iter().all(|(name, _)| *name != format!("terraform_data.all[{other}]"));
            assert!(times == 1 || (recovered && times <= 2), "{told}: {other} was provisioned {times} times");
        }
    }
}

#[test]
fn killed_in_a_provisioner_of_a_destruction_the_instance_is_kept_until_all_have_passed() {
    let seed = seed();
    for kill in 0..KILLS {
        let (index, place) = moment(mixed(seed.rotate_left(7) ^ kill));
        let told = format!("seed {seed}, killed in {index}.{place}");
        let project = Project::new(&main("destroy"));
        project.write("kill", &format!("{index}.{place}"));
        project.apply();
        assert_eq!(project.read("ran"), "", "{told}");
        killed(&project, &["destroy", "-auto-approve", "-parallelism=3"], &told);
        let address = format!("terraform_data.all[{index}]");
        assert!(project.tainted().contains(&(address, false)), "{told}");

        let destroyed = project.run(&["destroy", "-auto-approve"]);
        assert!(destroyed.status.success(), "{told}: {}", said(&destroyed));
        assert_eq!(project.tainted(), [], "{told}");
        assert_eq!(runs(&project, &format!("{index}.{place}")), 2, "{told}");
        assert!((0..INSTANCES).all(|other| runs(&project, &format!("{other}.2")) >= 1), "{told}");
    }
}
