//! `environments/` on a simulated cluster, through the binary, HTTPS and SSH: the whole life, the second run, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use std::collections::BTreeMap;

use pve_simulator::Options;
use simulated::{Cluster, Project};

#[test]
fn each_environment_is_applied_planned_without_changes_and_destroyed_on_the_built_in_simulator() {
    let project = Project::scaffolded();
    for (environment, instances) in [("dev", 3), ("staging", 4), ("prod", 19)] {
        let e = ["-e", environment];
        let with = |words: &[&'static str]| [&e[..], words].concat();
        project.ok(&with(&["validate"]));
        let plan = project.ok(&with(&["plan", "--simulate", "-out", "saved.plan"]));
        assert!(plan.contains(&format!("{instances} to add")), "{plan}");
        project.ok(&with(&["apply", "--simulate", "saved.plan"]));
        assert_eq!(project.ok(&with(&["state", "list"])).lines().count(), instances);
        let again = project.ok(&with(&["plan", "--simulate"]));
        assert!(again.contains("No changes."), "{again}");
        let refused = project.fails(&with(&["destroy", "--simulate", "--auto-approve"]));
        assert!(refused.contains("prevent_destroy"), "{refused}");
        assert_eq!(project.ok(&with(&["state", "list"])).lines().count(), instances);
        project.ok(&with(&["destroy", "--simulate", "--auto-approve", "--keep-protected"]));
        // The protected templates stay, with the image and the snippet that they need.
        let left = project.ok(&with(&["state", "list"]));
        assert_eq!(left.lines().count(), if environment == "prod" { 6 } else { 3 }, "{left}");
        assert!(left.lines().all(|line| line.starts_with("module.template")), "{left}");
        assert!(project.ok(&with(&["log", "verify"])).contains("none changed"));
    }
}

#[test]
fn a_log_is_about_simulated_guests_or_about_real_ones() {
    let cluster = Cluster::start(Options::default());
    let project = Project::on(&cluster);
    project.ok(&["-e", "dev", "apply", "--simulate", "--auto-approve"]);
    assert_eq!(cluster.requests(), [], "--simulate went to the cluster");
    let said = project.fails(&["-e", "dev", "plan"]);
    assert!(said.contains("in the simulator only") && said.contains("--simulate"), "{said}");
    project.ok(&["-e", "staging", "apply", "--auto-approve"]);
    let said = project.fails(&["-e", "staging", "apply", "--simulate", "--auto-approve"]);
    assert!(said.contains("real cluster") && said.contains("127.0.0.1"), "{said}");
    project.ok(&["-e", "prod", "plan", "--simulate", "-out", "saved.plan"]);
    let said = project.fails(&["-e", "prod", "apply", "saved.plan"]);
    assert!(said.contains("the saved plan was made for simulator"), "{said}");
}

#[test]
fn a_plan_without_changes_asks_for_each_guest_once() {
    let cluster = Cluster::start(Options::default());
    let project = Project::on(&cluster);
    project.ok(&["-e", "prod", "apply", "--auto-approve"]);
    cluster.forget_requests();
    assert!(project.ok(&["-e", "prod", "plan"]).contains("No changes."));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in cluster.requests() {
        assert_eq!((request.method.as_str(), request.status), ("GET", 200), "{request:?}");
        *counts.entry(request.path).or_default() += 1;
    }
    println!("{} requests: {counts:#?}", counts.values().sum::<usize>());
    let guests = [("qemu", 9020), ("qemu", 9021), ("qemu", 9120), ("qemu", 9121), ("qemu", 9122)];
    for (kind, vmid) in guests.into_iter().chain([("lxc", 9220), ("lxc", 9221)]) {
        assert_eq!(counts.remove(&format!("/nodes/pve/{kind}/{vmid}/config")), Some(1), "{kind} {vmid}");
    }
    assert_eq!(counts.remove("/cluster/resources"), Some(1));
    // What else a guest is asked for, only where the configuration has it: firewalls and agents.
    counts.retain(|path, _| {
        !path.contains("/firewall/") && !path.contains("/agent/") && !path.ends_with("/interfaces")
    });
    assert!(counts.values().all(|count| *count == 1) && counts.len() <= 4, "{counts:#?}");
}

#[test]
fn a_node_that_is_not_there_is_named_and_the_next_apply_may_name_another() {
    let cluster = Cluster::start(Options::default());
    let project = Project::on(&cluster);
    let vm = |node: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"a\" {{\n  node_name = \"{node}\"\n  name = \"a\"\n}}\n"
        )
    };
    let only = ["-e", "dev", "apply", "--auto-approve", "-target=proxmox_virtual_environment_vm.a"];
    project.write("vm.tf", &vm("nowhere"));
    let said = project.fails(&only);
    assert!(said.contains("hostname lookup 'nowhere' failed"), "{said}");
    project.write("vm.tf", &vm("pve"));
    project.ok(&only);
    assert_eq!(cluster.get("/cluster/resources?type=vm").as_array().unwrap().len(), 1);
}

#[test]
fn a_refused_token_and_an_untrusted_certificate_are_named_and_change_nothing() {
    let cluster = Cluster::start(Options::default());
    let mut project = Project::on(&cluster);
    project.set("PROXMOX_VE_API_TOKEN", "root@pam!pve=00000000-0000-0000-0000-00000000dead");
    let said = project.fails(&["-e", "dev", "apply", "--auto-approve"]);
    assert!(said.contains("token") && said.contains("Hint:") && !said.contains("dead"), "{said}");
    project.set("PROXMOX_VE_API_TOKEN", &cluster.server.token);
    project.set("PROXMOX_VE_INSECURE", "false");
    let said = project.fails(&["-e", "dev", "apply", "--auto-approve"]);
    assert!(said.contains("certificate") && said.contains("Hint:"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.status == 401), "{:?}", cluster.requests());
    assert_eq!(project.ok(&["-e", "dev", "state", "list"]), "");
}
