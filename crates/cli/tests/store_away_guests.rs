//! An apply of prod whose store goes away while guests are made: tasks are followed to their end and kept, nothing is
//! begun anew, and after a push the next apply completes it: no guest twice, none orphaned.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]
#![expect(clippy::duplicate_mod, reason = "what is simulated and the store bring the same binary along")]

mod simulated;
mod store;

use std::collections::BTreeSet;

use pve_simulator::Options;
use simulated::{Cluster, Project, mixed, seed, text};
use store::{Proxy, Server, backend};

/// Moments at which the store goes away.
const CUTS: u64 = 6;

const APPLY: [&str; 5] = ["-e", "prod", "apply", "--auto-approve", "-parallelism=4"];

fn shared(cluster: &Cluster, proxy: &Proxy, key: &str) -> Project {
    let mut project = Project::on(cluster);
    // One rule a guest: a list of rules that is stopped between its requests is refused by the next create, which is
    // about that kind and not about the log.
    let prod = std::fs::read_to_string(project.root().join("prod/terraform.tfvars")).unwrap();
    let lines = prod.lines().filter(|line| !line.contains("HTTPS"));
    project.write("prod/terraform.tfvars", &lines.collect::<Vec<_>>().join("\n"));
    project.write("backend.tf", &backend(proxy.address, key));
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("PVE_ENCRYPTION_PASSPHRASE", "a team's passphrase"),
    ] {
        project.set(name, value);
    }
    project
}

/// The batches of an undisturbed apply, and what it makes.
fn undisturbed(server: &Server) -> (usize, BTreeSet<String>) {
    let (cluster, proxy) = (Cluster::start(Options::default()), Proxy::start(server.address()));
    proxy.cut_after(usize::MAX, false);
    let project = shared(&cluster, &proxy, "undisturbed");
    proxy.requests();
    project.ok(&APPLY);
    let (batches, requests) = (proxy.batches(), proxy.requests());
    println!("{batches} batches and {requests} requests to the store in an undisturbed apply of prod");
    project.ok(&["-e", "prod", "plan"]);
    println!("{} requests to the store in a plan of it", proxy.requests());
    (batches, cluster.inventory())
}

fn cut(server: &Server, cut: u64, moment: usize, expected: &BTreeSet<String>) {
    let (cluster, proxy) = (Cluster::start(Options::default()), Proxy::start(server.address()));
    let project = shared(&cluster, &proxy, &format!("cut-{cut}"));
    let lands = mixed(cut).is_multiple_of(2);
    proxy.cut_after(moment, lands);
    let output = project.command(&APPLY).output().unwrap();
    let said = text(&output);
    let context = format!("cut {cut} after {moment} batches, lands {lands}");
    assert!(matches!(output.status.code(), Some(1 | 130)), "{context}: {said}");
    assert!(said.contains("The log is away"), "{context}: {said}");
    let made = cluster.inventory();
    proxy.open();
    assert!(project.fails(&APPLY).contains("are not in it yet"), "{context}");
    project.ok(&["-e", "prod", "unlock", "-force"]);
    let pushed = project.ok(&["-e", "prod", "log", "push"]);
    // Pushing is about the log alone.
    assert_eq!(cluster.inventory(), made, "{context}");
    println!("{context}: {} guests and volumes made by then; {}", made.len(), pushed.trim());
    project.ok(&APPLY);
    assert_eq!(cluster.inventory(), *expected, "{context}");
    let plan = project.ok(&["-e", "prod", "plan"]);
    assert!(plan.contains("No changes."), "{context}: {plan}");
    assert_eq!(project.ok(&["-e", "prod", "state", "list"]).lines().count(), 19, "{context}");
    assert!(project.ok(&["-e", "prod", "log", "verify"]).contains("none changed"), "{context}");
}

#[test]
fn guests_whose_log_goes_away_are_finished_kept_and_completed() {
    let Some(server) = Server::start() else { return };
    let seed = seed();
    let (batches, expected) = undisturbed(&server);
    let (server, expected) = (&server, &expected);
    std::thread::scope(|scope| {
        for at in 0..CUTS {
            // The first batch begins the run; a run that never begins is another test. How many there are depends on
            // how busy the machine is.
            let moment = 2 + usize::try_from(mixed(seed ^ at)).unwrap_or(usize::MAX) % (batches / 2);
            scope.spawn(move || cut(server, at, moment, expected));
        }
    });
}
