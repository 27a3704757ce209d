//! Changes that hinge on each other without a reference, through the binary: they are made in the one order in which the
//! cluster takes them, and where there is none the plan says so and apply does not begin.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod access;
mod guests;
mod networks;
#[path = "../simulated/mod.rs"]
mod simulated;
mod storages;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

/// The second configuration is applied over the first one by one apply, and nothing is left to do.
fn one_apply(first: &str, second: &str) -> (Cluster, Project) {
    let (cluster, project) = changed(first, second);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    (cluster, project)
}

/// The first configuration is applied, the second one is written.
fn changed(first: &str, second: &str) -> (Cluster, Project) {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, first);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.write("main.tf", &format!("{PROVIDER}{second}"));
    cluster.forget_requests();
    (cluster, project)
}

/// The first configuration is applied, and the second one as far as the request with this method and path that is the nth:
/// it is refused.
fn broken_off(first: &str, second: &str, (method, path, nth): (&str, &str, u32)) -> (Cluster, Project) {
    let refused = FailureRule {
        method: method.into(),
        path: path.into(),
        when: When::Nth(nth),
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    let cluster = Cluster::start(Options { failures: vec![refused], ..Options::default() });
    let project = project_with(&cluster, first);
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &format!("{PROVIDER}{second}"));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("no quorum"), "{said}");
    cluster.forget_requests();
    (cluster, project)
}

/// The plan says why it cannot be carried out, and nothing is done of it, be it saved or not.
fn is_refused(cluster: &Cluster, project: &Project, why: &[&str]) {
    project.ok(&["plan", "-out", "saved"]);
    for command in [&["plan"][..], &["apply", "--auto-approve"], &["apply", "saved"]] {
        let (code, said) = project.ends(command);
        assert_eq!(code, i32::from(command[0] == "apply"), "{said}");
        for why in why {
            assert!(said.contains(why), "{command:?} does not say {why:?}: {said}");
        }
    }
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
}
