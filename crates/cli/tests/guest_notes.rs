//! What plans say before something stays behind or goes away, through the binary.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, project_with};

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
