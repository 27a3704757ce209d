//! What runs that were stopped, and others, have staged of a node's network: each is told from the other, and nothing of
//! others is applied or thrown away.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use std::process::Stdio;
use std::time::{Duration, Instant};

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, Project, mixed, seed};

const NETWORK: &str = "/nodes/pve/network";

/// How long a run may take to stage something.
const LONGEST: Duration = Duration::from_secs(120);

fn bridge(label: &str, name: &str, attributes: &str) -> String {
    format!(
        "resource \"proxmox_network_linux_bridge\" \"{label}\" {{
  node_name = \"pve\"
  name      = \"{name}\"
  {attributes}
}}
"
    )
}

fn slow() -> Cluster {
    Cluster::start(Options { latency: Duration::from_millis(200), ..Options::default() })
}

/// Ends a run once it has sent a request, before what that staged is applied.
fn killed(cluster: &Cluster, project: &Project, method: &str) {
    let is_sent = || cluster.requests().iter().any(|request| request.method == method);
    killed_once(cluster, project, || is_sent() && is_staged(cluster));
    assert!(is_staged(cluster) && reloads(cluster) == 0);
}

/// Ends a run as soon as something is so.
fn killed_once(cluster: &Cluster, project: &Project, is_so: impl Fn() -> bool) {
    cluster.forget_requests();
    let mut command = project.command(&["apply", "--auto-approve"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + LONGEST;
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        assert!(Instant::now() < until, "it is not so by then");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn staged(cluster: &Cluster) -> String {
    cluster.whole(NETWORK)["changes"].as_str().unwrap_or_default().to_string()
}

fn is_staged(cluster: &Cluster) -> bool {
    staged(cluster).contains("iface vmbr5")
}

fn reloads(cluster: &Cluster) -> usize {
    let is_one =
        |request: &&pve_simulator::RequestRecord| request.method == "PUT" && request.path.ends_with(NETWORK);
    cluster.requests().iter().filter(is_one).count()
}

fn names(cluster: &Cluster) -> Vec<String> {
    let list = cluster.get(NETWORK);
    list.as_array().unwrap().iter().map(|entry| entry["iface"].as_str().unwrap().to_string()).collect()
}

/// Which of the bridges there are once everything is applied that is staged.
fn bridges(cluster: &Cluster) -> [bool; 2] {
    let names = names(cluster);
    ["vmbr5", "vmbr6"].map(|name| names.iter().any(|known| known == name))
}

/// A bridge that is to get another name: it is replaced.
fn renamed(cluster: &Cluster) -> Project {
    let project = Project::of(cluster, &bridge("b", "vmbr5", ""));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &bridge("b", "vmbr6", ""));
    cluster.forget_requests();
    project
}

/// An apply that leaves the bridge with this name and nothing to do.
fn ends_with(cluster: &Cluster, project: &Project, name: &str, told: &str) {
    cluster.forget_requests();
    let said = project.ok(&["apply", "--auto-approve"]);
    assert_eq!(bridges(cluster), ["vmbr5", "vmbr6"].map(|known| known == name), "{told}: {said}");
    assert!(staged(cluster).is_empty() && reloads(cluster) <= 1, "{told}: {said}");
    assert!(project.ok(&["plan"]).contains("No changes."), "{told}: {said}");
    assert_eq!(project.ok(&["state", "list"]).lines().count(), 1, "{told}");
}

#[test]
fn what_others_stage_behind_a_run_that_was_killed_is_refused_by_name() {
    let cluster = slow();
    let project = Project::of(&cluster, &bridge("b", "vmbr5", ""));
    killed(&cluster, &project, "POST");
    let uplink =
        [("type", "bridge"), ("cidr", "10.0.0.10/24"), ("gateway", "10.0.0.1"), ("bridge_ports", "eno1")];
    let made = |name: &'static str| [&[("iface", name), ("autostart", "1")], &uplink[..]].concat();
    let moved = [&[("type", "bridge"), ("cidr", "10.0.0.99/24"), ("autostart", "1")], &uplink[2..]].concat();
    let back = [&[("autostart", "1")], &uplink[..]].concat();
    let at_uplink = format!("{NETWORK}/vmbr0");
    let at_other = format!("{NETWORK}/vmbr99");
    for (theirs, told, undo) in [
        (
            ("POST", NETWORK, vec![("iface", "vmbr99"), ("type", "bridge")]),
            "vmbr99: new",
            ("DELETE", &*at_other, vec![]),
        ),
        (("DELETE", &*at_uplink, vec![]), "vmbr0: deleted", ("POST", NETWORK, made("vmbr0"))),
        (
            ("PUT", &*at_uplink, moved),
            "vmbr0: address 10.0.0.10/24 -> 10.0.0.99/24",
            ("PUT", &*at_uplink, back),
        ),
    ] {
        cluster.send(theirs.0, theirs.1, &theirs.2);
        let said = project.ok(&["plan"]);
        let refusal = format!("other changes of the network of pve are staged: {told};");
        assert!(said.contains(&refusal), "{refusal}\n{said}");
        cluster.forget_requests();
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("not of this run") && said.contains(told), "{said}");
        assert!(cluster.requests().iter().all(|request| request.method == "GET"), "{said}");
        cluster.send(undo.0, undo.1, &undo.2);
    }
    let said = project.ok(&["plan"]);
    assert!(!said.contains("refuses"), "its own is nobody else's: {said}");
    assert!(
        said.contains("the network of the node is reloaded") && !said.contains("timeout_reload"),
        "{said}"
    );
    let planned: serde_json::Value = serde_json::from_str(&project.ok(&["plan", "--json"])).unwrap();
    let timeout = |side: &str| planned["resource_changes"][0]["change"][side]["timeout_reload"].clone();
    assert_eq!((timeout("before"), timeout("after")), (100.into(), 100.into()), "{planned}");
    project.ok(&["apply", "--auto-approve"]);
    assert!(names(&cluster).contains(&"vmbr5".to_string()) && !is_staged(&cluster));
    assert!(project.ok(&["plan"]).contains("No changes."));
}

#[test]
fn a_deletion_that_a_killed_run_has_staged_is_planned_until_it_is_applied() {
    let cluster = slow();
    let project = Project::of(&cluster, &bridge("b", "vmbr5", ""));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", "");
    killed(&cluster, &project, "DELETE");
    let said = project.ok(&["plan"]);
    assert!(
        said.contains("1 to destroy") && !said.contains("is gone") && !said.contains("refuses"),
        "{said}"
    );
    assert!(!said.contains("timeout_reload"), "what pve marks it with is none of its values: {said}");
    project.ok(&["apply", "--auto-approve"]);
    assert!(!names(&cluster).contains(&"vmbr5".to_string()) && !is_staged(&cluster));
}

#[test]
fn a_plan_about_less_does_not_apply_what_an_earlier_run_has_staged_and_says_whose_it_is() {
    let refuse = |method: &str| FailureRule {
        method: method.into(),
        path: "/nodes/*/network".into(),
        when: When::Nth(0),
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    let failures = vec![refuse("PUT"), refuse("DELETE")];
    let cluster = Cluster::start(Options { failures, ..Options::default() });
    let main = bridge("a", "vmbr5", "") + &bridge("b", "vmbr6", "");
    let project = Project::of(&cluster, &main);
    assert!(project.fails(&["apply", "--auto-approve"]).contains("could not be taken back"));
    cluster.forget_requests();
    let target = "-target=proxmox_network_linux_bridge.a";
    let said = project.ok(&["plan", target]);
    assert!(said.contains("an earlier run has left") && said.contains("vmbr6: new"), "{said}");
    let said = project.fails(&["apply", "--auto-approve", target]);
    assert!(said.contains("an earlier run has staged") && said.contains("vmbr6: new"), "{said}");
    assert!(!said.contains("not of this run") && said.contains("without -target"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    project.ok(&["apply", "--auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
}

/// One gives up a name that the other takes: by whichever configuration, it is of one cluster.
#[test]
fn a_name_goes_from_one_configuration_of_a_cluster_to_another() {
    let cluster = Cluster::start(Options::default());
    let providers = "provider \"proxmox\" {}\nprovider \"proxmox\" {\n  alias = \"two\"\n}\n";
    let pool = |label: &str, more: &str| {
        format!(
            "resource \"proxmox_virtual_environment_pool\" \"{label}\" {{\n  pool_id = \"lab\"\n{more}}}\n"
        )
    };
    let project = Project::of(&cluster, &format!("{providers}{}", pool("a", "")));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &format!("{providers}{}", pool("b", "  provider = proxmox.two\n")));
    let said = project.ok(&["apply", "--auto-approve", "-parallelism=1"]);
    assert!(said.contains("it takes the place of proxmox_virtual_environment_pool.a"), "{said}");
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert_eq!(cluster.get("/pools")[0]["poolid"], "lab");
}

#[test]
fn two_configurations_of_one_cluster_stage_together() {
    let cluster = Cluster::start(Options::default());
    let providers = "provider \"proxmox\" {}\nprovider \"proxmox\" {\n  alias = \"two\"\n}\n";
    let main = [
        providers.to_string(),
        bridge("a", "vmbr5", ""),
        bridge("b", "vmbr6", "provider = proxmox.two"),
        bridge("c", "vmbr7", "provider = proxmox.two\n  depends_on = [proxmox_network_linux_bridge.a]"),
    ];
    let project = Project::of(&cluster, &main.concat());
    for (command, are_there) in [("apply", true), ("destroy", false)] {
        for wanted in [1, 0] {
            cluster.forget_requests();
            let said = project.ok(&[command, "--auto-approve"]);
            assert_eq!(reloads(&cluster), wanted, "{said}");
            let names = names(&cluster);
            let there = ["vmbr5", "vmbr6", "vmbr7"].map(|name| names.iter().any(|known| known == name));
            assert_eq!(there, [are_there; 3], "{said}");
        }
    }
}

#[test]
fn both_halves_of_a_replacement_that_a_killed_run_has_staged_are_its_own() {
    let theirs = [("iface", "vmbr99"), ("type", "bridge")];
    for name in ["vmbr6", "vmbr5"] {
        let cluster = slow();
        let project = renamed(&cluster);
        let are_staged = || {
            let staged = staged(&cluster);
            staged.contains("-iface vmbr5") && staged.contains("+iface vmbr6")
        };
        killed_once(&cluster, &project, are_staged);
        assert!(are_staged() && reloads(&cluster) == 0);
        project.write("main.tf", &bridge("b", name, ""));
        let said = project.ok(&["plan"]);
        assert!(!said.contains("timeout_reload"), "{said}");
        cluster.send("POST", NETWORK, &theirs);
        for _ in 0..2 {
            cluster.forget_requests();
            let said = project.fails(&["apply", "--auto-approve"]);
            let told = "are staged that are not of this run, and would be applied with it: vmbr99: new\n";
            assert!(said.contains(told), "{said}");
            assert!(cluster.requests().iter().all(|request| request.method == "GET"), "{said}");
        }
        cluster.send("DELETE", &format!("{NETWORK}/vmbr99"), &[]);
        let said = project.ok(&["plan"]);
        assert!(!said.contains("refuses"), "its own is nobody else's: {said}");
        ends_with(&cluster, &project, name, name);
        assert_eq!(reloads(&cluster), 1);
    }
}

#[test]
fn a_replacement_that_is_killed_at_any_request_is_completed_or_taken_back_by_the_next_run() {
    let seed = seed();
    let requests = {
        let cluster = Cluster::start(Options::default());
        let project = renamed(&cluster);
        project.ok(&["apply", "--auto-approve"]);
        cluster.requests().len()
    };
    for kill in 0..12 {
        let moment = 1 + (mixed(seed ^ kill) as usize) % requests;
        let name = if kill % 2 == 0 { "vmbr6" } else { "vmbr5" };
        let cluster = Cluster::start(Options { latency: Duration::from_millis(20), ..Options::default() });
        let project = renamed(&cluster);
        killed_once(&cluster, &project, || cluster.requests().len() >= moment);
        project.write("main.tf", &bridge("b", name, ""));
        ends_with(
            &cluster,
            &project,
            name,
            &format!("seed {seed}, killed at request {moment} of {requests}"),
        );
    }
}

#[test]
fn both_halves_of_a_replacement_that_could_not_be_applied_nor_taken_back_are_known() {
    let refuse = |method: &str, nth: u32| FailureRule {
        method: method.into(),
        path: "/nodes/*/network".into(),
        when: When::Nth(nth),
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    for name in ["vmbr6", "vmbr5"] {
        let failures = vec![refuse("PUT", 1), refuse("DELETE", 0)];
        let cluster = Cluster::start(Options { failures, ..Options::default() });
        let project = renamed(&cluster);
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("could not be taken back"), "{said}");
        project.write("main.tf", &bridge("b", name, ""));
        ends_with(&cluster, &project, name, name);
    }
}
