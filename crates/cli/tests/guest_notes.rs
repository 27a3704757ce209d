//! What plans say before something stays behind or goes away, through the binary.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

fn unwrapped(text: &str) -> String {
    text.replace("\n  # ", " ")
}

#[test]
fn a_migration_names_the_files_and_paths_that_stay_behind() {
    let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
    let cluster = Cluster::start(options);
    let main = |node: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"g\" {{\n  node_name = \"{node}\"\n  vm_id = 500\n  \
             started = false\n  hook_script_file_id = \"local:snippets/hook.sh\"\n  initialization {{\n    \
             datastore_id = \"local-lvm\"\n    user_data_file_id = \"local:snippets/user.yaml\"\n  }}\n}}\n\
             resource \"proxmox_virtual_environment_vm\" \"bare\" {{\n  node_name = \"{node}\"\n  vm_id = 501\n  \
             started = false\n}}\n\
             resource \"proxmox_virtual_environment_container\" \"c\" {{\n  node_name = \"{node}\"\n  vm_id = 510\n  \
             started = false\n  operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n  }}\n  \
             disk {{\n    datastore_id = \"local-lvm\"\n  }}\n  \
             mount_point {{\n    path = \"/bulk\"\n    volume = \"/mnt/bulk\"\n  }}\n  \
             mount_point {{\n    path = \"/all\"\n    volume = \"/mnt/all\"\n    shared = true\n  }}\n}}\n"
        )
    };
    let mut project = project_with(&cluster, "");
    cluster.server.simulator().add_file("local:snippets/hook.sh", b"#!/bin/sh");
    cluster.server.simulator().add_file("local:snippets/user.yaml", b"#cloud-config");
    // Paths of a node are for root alone.
    project.set("PROXMOX_VE_API_TOKEN", "");
    project.set("PROXMOX_VE_USERNAME", "root@pam");
    project.set("PROXMOX_VE_PASSWORD", "simulator");
    project.write("main.tf", &main("pve"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main("pve2"));
    let plan = unwrapped(&project.ok(&["plan"]));
    let files = "pve2 has to have what stays behind where its datastore is not shared: local:snippets/hook.sh, \
                 local:snippets/user.yaml)";
    assert_eq!(plan.matches("what stays behind").count(), 1, "{plan}");
    assert!(plan.contains(files) && plan.contains("with paths of the node: /mnt/bulk;"), "{plan}");
}

#[test]
fn a_download_in_the_place_of_a_file_says_that_the_file_goes_first() {
    let cluster = Cluster::start(Options::default());
    let main = |url: &str, name: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_download_file\" \"f\" {{\n  node_name = \"pve\"\n  \
             datastore_id = \"local\"\n  content_type = \"iso\"\n  url = \"https://images.test/{url}\"\n  {name}\n}}\n"
        )
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main("a/x.iso", ""));
    project.ok(&["apply", "--auto-approve"]);
    for (url, name, goes_first) in
        [("b/x.iso", "", true), ("b/y.iso", "file_name = \"x.iso\"", true), ("b/y.iso", "", false)]
    {
        project.write("main.tf", &main(url, name));
        let plan = unwrapped(&project.ok(&["plan"]));
        assert!(plan.contains("must be replaced"), "{plan}");
        assert_eq!(plan.contains("the file that is there goes first"), goes_first, "{url} {name}: {plan}");
    }
}

#[test]
fn a_pool_that_a_token_may_not_see_is_kept_as_recorded_and_that_is_told() {
    let cluster = Cluster::start(Options::default());
    for pool in ["crew", "other"] {
        cluster.send("POST", "/pools", &[("poolid", pool)]);
    }
    let vm = |pool: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"g\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  \
             started = false\n  pool_id = \"{pool}\"\n}}\n"
        )
    };
    let mut project = project_with(&cluster, "");
    project.write("main.tf", &vm("crew"));
    project.ok(&["apply", "--auto-approve"]);
    // Everything but the right to see pools.
    let privileges = "VM.Audit,VM.Allocate,VM.Config.Options,Datastore.Audit,Sys.Audit";
    cluster.send("POST", "/access/roles", &[("roleid", "Blind"), ("privs", privileges)]);
    cluster.send("POST", "/access/users", &[("userid", "ci@pve")]);
    cluster.send("PUT", "/access/acl", &[("path", "/"), ("roles", "Blind"), ("users", "ci@pve")]);
    let token = cluster.send("POST", "/access/users/ci@pve/token/ci", &[("privsep", "0")]);
    let secret = token["value"].as_str().unwrap_or_else(|| panic!("{token}"));
    let seeing = cluster.server.token.clone();
    project.set("PROXMOX_VE_API_TOKEN", &format!("ci@pve!ci={secret}"));
    let plan = unwrapped(&project.ok(&["plan", "-detailed-exitcode"]));
    assert!(plan.contains("Pool.Audit on /pool/crew") && plan.contains("kept as recorded"), "{plan}");
    // Whoever sees pools sees that the guest left its own.
    project.set("PROXMOX_VE_API_TOKEN", &seeing);
    assert!(!project.ok(&["plan", "-detailed-exitcode"]).contains("Pool.Audit"));
    cluster.send("PUT", "/pools", &[("poolid", "crew"), ("vms", "500"), ("delete", "1")]);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 2 && plan.contains("pool_id"), "{plan}");
}

#[test]
fn a_guest_under_ha_does_not_set_out_for_a_node_without_its_datastore() {
    let cluster = Cluster::start(Options { other_nodes: vec!["pve2".into()], ..Options::default() });
    for (name, node) in [("ssd1", "pve"), ("ssd2", "pve2")] {
        let path = format!("/mnt/{name}");
        let params =
            [("storage", name), ("type", "dir"), ("path", &path), ("content", "images"), ("nodes", node)];
        cluster.send("POST", "/storage", &params);
    }
    let main = |node: &str, datastore: &str, state: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"g\" {{\n  node_name = \"{node}\"\n  vm_id = 500\n  \
             started = false\n  disk {{\n    interface = \"scsi0\"\n    datastore_id = \"{datastore}\"\n    size = 1\n  \
             }}\n}}\nresource \"proxmox_haresource\" \"g\" {{\n  \
             resource_id = \"vm:${{proxmox_virtual_environment_vm.g.vm_id}}\"\n  state = \"{state}\"\n}}\n"
        )
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main("pve", "ssd1", "stopped"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main("pve2", "ssd2", "stopped"));
    let (code, said) = project.ends(&["plan"]);
    assert!(
        code == 0 && said.contains("HA migrates vm:500") && said.contains("does not have ssd1"),
        "{said}"
    );
    cluster.forget_requests();
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("Nothing was changed"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    // What the hint says.
    project.write("main.tf", &main("pve", "ssd1", "ignored"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main("pve2", "ssd2", "ignored"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main("pve2", "ssd2", "stopped"));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
}

/// A clone that runs, whose template has these drives.
fn clone_of(cluster: &Cluster, drives: &[(&str, &str)]) -> (Project, impl Fn(&str) -> String) {
    let params = [&[("vmid", "9000"), ("scsi0", "local-lvm:1"), ("template", "1")][..], drives].concat();
    cluster.send("POST", "/nodes/pve/qemu", &params);
    let main = |more: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"g\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  \
             clone {{\n    vm_id = 9000\n  }}\n  {more}\n}}\n"
        )
    };
    let project = project_with(cluster, "");
    project.write("main.tf", &main(""));
    project.ok(&["apply", "--auto-approve"]);
    (project, main)
}

const CLOUD_INIT: &str = "initialization {\n    user_account {\n      username = \"ops\"\n    }\n  }";

#[test]
fn a_reboot_for_cloud_init_that_did_not_happen_is_planned_and_done_with_the_next_run() {
    let cluster = Cluster::start(Options::default());
    let (project, main) = clone_of(&cluster, &[]);
    for path in ["/nodes/pve/qemu/500/status/reboot", "/nodes/pve/qemu/500/config"] {
        let how = How::Refuse { status: 500, reason: "got timeout".into() };
        let (method, when) = ("POST".into(), When::First(1));
        let rule = FailureRule { method, path: path.into(), when, how };
        cluster.server.simulator().set_failures(vec![rule]);
        project.write("main.tf", &main(CLOUD_INIT));
        project.fails(&["apply", "--auto-approve"]);
        cluster.server.simulator().set_failures(vec![]);
        let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
        assert!(code == 2 && plan.contains("reboots the VM"), "{path} {code} {plan}");
        cluster.forget_requests();
        project.ok(&["apply", "--auto-approve"]);
        assert!(cluster.requests().iter().any(|request| request.path.ends_with("/status/reboot")));
        settled(&project);
        project.write("main.tf", &main(""));
        project.ok(&["apply", "--auto-approve"]);
    }
}

#[test]
fn a_reboot_is_not_promised_where_a_clone_may_have_the_drive_of_its_template() {
    let cluster = Cluster::start(Options::default());
    let (project, main) = clone_of(&cluster, &[("ide2", "local-lvm:cloudinit")]);
    project.write("main.tf", &main(CLOUD_INIT));
    cluster.forget_requests();
    let said = unwrapped(&project.ok(&["apply", "--auto-approve"]));
    assert!(said.contains("reboots the VM if it cannot take initialization while it runs"), "{said}");
    assert!(!cluster.requests().iter().any(|request| request.path.ends_with("/status/reboot")));
    settled(&project);
}

#[test]
fn a_guest_that_ha_is_to_keep_otherwise_than_it_is_configured_is_told() {
    let cluster = Cluster::start(Options::default());
    let main = |started: bool, state: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"g\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  started = \
             {started}\n}}\nresource \"proxmox_haresource\" \"h\" {{\n  resource_id = \"vm:500\"\n{state}  depends_on = \
             [proxmox_virtual_environment_vm.g]\n}}\n"
        )
    };
    let told = "HA is to keep \"vm:500\"";
    for (started, state, keeps) in [
        (false, "", Some("running")),
        (true, "  state = \"stopped\"\n", Some("stopped")),
        (true, "", None),
        (false, "  state = \"stopped\"\n", None),
        (false, "  state = \"ignored\"\n", None),
    ] {
        let project = project_with(&cluster, "");
        project.write("main.tf", &main(started, state));
        let (_, plan) = project.ends(&["plan"]);
        assert_eq!(plan.contains(told), keeps.is_some(), "{started} {state}: {plan}");
        assert!(keeps.is_none_or(|keeps| plan.contains(&format!("{told} {keeps}"))), "{plan}");
    }
}
