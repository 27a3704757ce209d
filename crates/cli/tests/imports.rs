//! Imports of guests that somebody has already: another address of the log, an interrupted run, another log.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use std::process::Stdio;
use std::time::Duration;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

fn vm(name: &str, vmid: u32) -> String {
    format!(
        "resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  node_name = \"pve\"\n  vm_id = {vmid}\n  name = \"{name}\"\n  \
         started = false\n}}\n"
    )
}

fn address(name: &str) -> String {
    format!("proxmox_virtual_environment_vm.{name}")
}

fn slow_creates() -> Options {
    let task_durations = [("qmcreate".to_string(), Duration::from_secs(4))].into();
    Options { task_durations, ..Options::default() }
}

fn lock(cluster: &Cluster) -> serde_json::Value {
    cluster.get("/nodes/pve/qemu/500/config")["lock"].clone()
}

/// An apply that is killed while Proxmox VE makes its guest.
fn killed_while_it_is_made(cluster: &Cluster) -> Project {
    let project = project_with(cluster, &vm("g", 500));
    let mut child = project.command(&["apply", "-auto-approve"]).stdout(Stdio::null()).spawn().unwrap();
    while lock(cluster) != "create" {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    project
}

#[test]
fn a_guest_is_taken_over_only_once_it_is_made_and_the_run_that_made_it_sees_that() {
    let cluster = Cluster::start(slow_creates());
    let first = killed_while_it_is_made(&cluster);
    let other = project_with(&cluster, &vm("mine", 500));
    let refused = other.fails(&["import", "-take-over", &address("mine"), "pve/500"]);
    assert!(refused.contains("is being made (lock: create)"), "{refused}");
    while !lock(&cluster).is_null() {
        std::thread::yield_now();
    }
    assert!(other.fails(&["import", &address("mine"), "pve/500"]).contains("-take-over"));
    other.ok(&["import", "-take-over", &address("mine"), "pve/500"]);
    let config = cluster.get("/nodes/pve/qemu/500/config");
    let description = config["description"].as_str().unwrap_or_default();
    assert!(description.starts_with("Taken over from pve:") && description.contains('@'), "{config}");
    let (_, said) = first.ends(&["apply", "-auto-approve"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    // Whether the killed run had recorded the task that made it does not matter: the guest itself tells.
    assert!(
        said.contains("was taken over by ") && said.contains("cannot be proved to be from this run"),
        "{said}"
    );
    assert_eq!(first.ok(&["state", "list"]).trim(), "");
    other.ok(&["apply", "-auto-approve"]);
    assert!(cluster.get("/nodes/pve/qemu/500/config")["description"].is_null());
    settled(&other);
}

#[test]
fn a_guest_that_is_taken_over_within_a_log_is_not_completed_under_its_first_address() {
    let cluster = Cluster::start(slow_creates());
    let project = killed_while_it_is_made(&cluster);
    while !lock(&cluster).is_null() {
        std::thread::yield_now();
    }
    project.write("main.tf", &format!("{PROVIDER}{}", vm("other", 500)));
    project.ok(&["import", "-take-over", &address("other"), "pve/500"]);
    project.ok(&["apply", "-auto-approve"]);
    assert_eq!(project.ok(&["state", "list"]).trim(), address("other"));
    assert_eq!(cluster.get("/nodes/pve/qemu/500/config")["name"], "other");
    settled(&project);
}

#[test]
fn a_guest_of_another_address_of_the_log_is_not_imported() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &vm("g", 500));
    project.ok(&["apply", "-auto-approve"]);
    project.write("other.tf", &vm("other", 500));
    let refused = project.fails(&["import", &address("other"), "pve/500"]);
    assert!(refused.contains("Two resources claim") || refused.contains("manages it already"), "{refused}");
    // The old block is gone: nothing but the state knows.
    project.write("main.tf", PROVIDER);
    let refused = project.fails(&["import", &address("other"), "pve/500"]);
    assert!(refused.contains(&format!("{} in this log manages it already", address("g"))), "{refused}");
    assert!(refused.contains("pve state mv"), "{refused}");
    let block = format!("import {{\n  to = {}\n  id = \"pve/500\"\n}}\n", address("other"));
    project.write("import.tf", &block);
    assert!(project.fails(&["apply", "-auto-approve"]).contains("manages it already"));
    assert_eq!(project.ok(&["state", "list"]).trim(), address("g"));
    // The same plan may let it go.
    let removed =
        "removed {\n  from = proxmox_virtual_environment_vm.g\n  lifecycle {\n    destroy = false\n  }\n}\n";
    project.write("removed.tf", removed);
    project.ok(&["apply", "-auto-approve"]);
    assert_eq!(project.ok(&["state", "list"]).trim(), address("other"));
    settled(&project);
}

#[test]
fn a_guest_on_another_node_than_the_id_says_is_imported_and_that_is_told() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &vm("g", 500));
    project.ok(&["apply", "-auto-approve"]);
    project.ok(&["state", "rm", &address("g")]);
    let block = format!("import {{\n  to = {}\n  id = \"pve9/500\"\n}}\n", address("g"));
    project.write("import.tf", &block);
    let told = "guest 500 is not on pve9: it is imported from pve";
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && said.contains(told), "{said}");
    std::fs::remove_file(project.root().join("import.tf")).unwrap();
    let (code, said) = project.ends(&["import", &address("g"), "pve9/500"]);
    assert!(code == 0 && said.contains(told), "{said}");
    settled(&project);
}

#[test]
fn what_another_kind_manages_is_not_said_to_be_moved() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &vm("g", 500));
    project.ok(&["apply", "-auto-approve"]);
    let newer = "resource \"proxmox_vm\" \"other\" {\n  node_name = \"pve\"\n  id = 500\n}\n";
    project.write("main.tf", &format!("{PROVIDER}{newer}"));
    let refused = project.fails(&["import", "proxmox_vm.other", "pve/500"]);
    assert!(refused.contains("manages it already") && refused.contains("pve state rm"), "{refused}");
    assert!(!refused.contains("pve state mv"), "{refused}");
}
