//! Clones of containers: what nobody wrote is as the template has it, and what cannot be as it is written is told.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

const CLONE: &str = "proxmox_virtual_environment_container.c";

/// A cluster with a template 9100.
fn cluster_with(options: Options, parts: &[(&str, &str)]) -> (Cluster, Project) {
    let cluster = Cluster::start(options);
    let project = project_with(&cluster, "");
    let template = [("vmid", "9100"), ("ostemplate", "local:vztmpl/t.tar.zst"), ("template", "1")];
    cluster.send("POST", "/nodes/pve/lxc", &[&template, parts].concat());
    (cluster, project)
}

fn cluster(is_unprivileged: bool) -> (Cluster, Project) {
    let unprivileged = if is_unprivileged { "1" } else { "0" };
    cluster_with(Options::default(), &[("rootfs", "local-lvm:1"), ("unprivileged", unprivileged)])
}

fn clone(lines: &str) -> String {
    format!(
        "{PROVIDER}resource \"proxmox_virtual_environment_container\" \"c\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  \
         started = false\n  {lines}\n  clone {{\n    vm_id = 9100\n  }}\n}}\n"
    )
}

fn plan(project: &Project) -> String {
    let (code, said) = project.ends(&["plan"]);
    assert_eq!(code, 0, "{said}");
    said
}

const NESTING: &str = "features {\n    nesting = true\n  }";

#[test]
fn a_clone_of_an_unprivileged_template_is_so_whether_it_is_written_or_not() {
    let (_cluster, project) = cluster(true);
    project.write("main.tf", &clone(NESTING));
    let said = plan(&project);
    assert!(!said.contains("Only root@pam"), "{said}");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let shown = project.ok(&["state", "show", CLONE]);
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["unprivileged", "=", "true"])), "{shown}");
    for written in ["unprivileged = true", ""] {
        project.write("main.tf", &clone(&format!("{written}\n  {NESTING}")));
        settled(&project);
    }
}

#[test]
fn features_of_a_clone_of_a_privileged_template_are_for_root() {
    let (_cluster, project) = cluster(false);
    project.write("main.tf", &clone(NESTING));
    let said = plan(&project);
    assert!(said.contains("Only root@pam itself may set features"), "{said}");
}

#[test]
fn a_clone_that_cannot_be_as_it_is_written_is_told_and_neither_made_nor_replaced() {
    for is_unprivileged in [false, true] {
        let (cluster, mut project) = cluster(is_unprivileged);
        let written = clone(&format!("unprivileged = {}", !is_unprivileged));
        let told = format!("unprivileged of template 9100 is {is_unprivileged}");
        let refused = |project: &Project| {
            project.write("main.tf", &written);
            let said = plan(project);
            assert!(said.contains(&told) && said.contains("main.tf:6"), "{said}");
            assert!(said.contains("leave `unprivileged` out"), "{said}");
            cluster.forget_requests();
            let said = project.fails(&["apply", "--auto-approve"]);
            assert!(said.contains("Nothing was changed"), "{said}");
            assert!(cluster.requests().iter().all(|request| request.method == "GET"));
        };
        refused(&project);
        project.set("PVE_PREFLIGHT", "off");
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("its template's unprivileged is"), "{said}");
        assert!(cluster.get("/nodes/pve/lxc/500/config").is_null(), "nothing is made");
        project.set("PVE_PREFLIGHT", "");
        project.write("main.tf", &clone(""));
        project.ok(&["apply", "--auto-approve"]);
        refused(&project);
        project.write("main.tf", &clone(""));
        settled(&project);
    }
}

/// What names a guest is no guest.
#[test]
fn a_template_that_comes_into_a_pool_with_the_same_plan_tells_as_well() {
    let (cluster, project) = cluster(false);
    cluster.send("POST", "/pools", &[("poolid", "lab")]);
    let member = "resource \"proxmox_pool_membership\" \"a\" {\n  pool_id = \"lab\"\n  vm_id = 9100\n}\n";
    project.write("main.tf", &(clone("unprivileged = true") + member));
    let said = plan(&project);
    assert!(said.contains("unprivileged of template 9100 is false"), "{said}");
}

#[test]
fn a_template_that_the_same_plan_makes_tells_as_well() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    let template = |is_unprivileged: bool| {
        format!(
            "resource \"proxmox_virtual_environment_container\" \"t\" {{\n  node_name = \"pve\"\n  vm_id = 9100\n  \
             template = true\n  unprivileged = {is_unprivileged}\n  disk {{\n    datastore_id = \"local-lvm\"\n    \
             size = 1\n  }}\n  operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n  }}\n}}\n"
        )
    };
    let clone = |lines: &str| {
        clone(lines).replace("vm_id = 9100", "vm_id = proxmox_virtual_environment_container.t.vm_id")
    };
    project.write("main.tf", &(clone("unprivileged = true") + &template(false)));
    let said = plan(&project);
    assert!(
        said.contains("unprivileged of template 9100 is false") && said.contains("apply does not begin"),
        "{said}"
    );
    project.write("main.tf", &(clone(NESTING) + &template(true)));
    let said = plan(&project);
    assert!(!said.contains("Only root@pam"), "{said}");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
}

fn root_disk(lines: &str) -> String {
    format!("disk {{\n    {lines}\n  }}")
}

/// Where the root disk of the clone is, and its size.
fn root(cluster: &Cluster, node: &str) -> String {
    let config = cluster.get(&format!("/nodes/{node}/lxc/500/config"));
    let root = config["rootfs"].as_str().unwrap();
    format!("{} {}", root.split(':').next().unwrap(), root.split("size=").nth(1).unwrap())
}

#[test]
fn what_nobody_wrote_of_the_root_disk_of_a_clone_is_as_its_template_has_it() {
    let (cluster, project) = cluster(true);
    for block in ["", "mount_options = [\"noatime\"]"] {
        // With the clone, and added to one without such a block.
        project.write("main.tf", &clone(&root_disk(block)));
        project.ok(&["apply", "--auto-approve"]);
        assert_eq!(root(&cluster, "pve"), "local-lvm 1G");
        settled(&project);
        let said = plan(&project);
        assert!(!said.contains("outside"), "{said}");
        project.write("main.tf", &clone(""));
        project.ok(&["apply", "--auto-approve", &format!("-replace={CLONE}")]);
        project.write("main.tf", &clone(&root_disk(block)));
        project.ok(&["apply", "--auto-approve"]);
        assert_eq!(root(&cluster, "pve"), "local-lvm 1G");
        settled(&project);
        project.write("main.tf", &clone(&root_disk("size = 2")));
        project.ok(&["apply", "--auto-approve"]);
        assert_eq!(root(&cluster, "pve"), "local-lvm 2G");
        settled(&project);
        project.ok(&["destroy", "--auto-approve"]);
    }
}

#[test]
fn volumes_that_are_smaller_than_those_of_the_template_are_told_before_anything_is_made() {
    let volumes = [("rootfs", "local-lvm:4"), ("mp0", "local-lvm:2,mp=/srv")];
    let (cluster, project) = cluster_with(Options::default(), &volumes);
    let point = |size: &str| {
        format!(
            "mount_point {{\n    path = \"/srv\"\n    volume = \"local-lvm\"\n    size = \"{size}\"\n  }}"
        )
    };
    for (small, large, told, line) in [
        (root_disk("size = 3"), root_disk("size = 5"), "rootfs of template 9100 is 4G", "size = 3"),
        (point("1G"), point("3G"), "mp0 of template 9100 is 2G", "size = \"1G\""),
    ] {
        project.write("main.tf", &clone(&small));
        let said = plan(&project);
        assert!(said.contains(told) && said.contains(line) && said.contains("only grow"), "{said}");
        assert!(project.fails(&["apply", "--auto-approve"]).contains("Nothing was changed"));
        project.write("main.tf", &clone(&large));
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        project.ok(&["destroy", "--auto-approve"]);
    }
    assert!(cluster.get("/nodes/pve/lxc/500/config").is_null());
}

/// The volumes of its template are on storage that the other node does not have.
#[test]
fn a_clone_for_another_node_is_made_beside_its_template_and_moved() {
    let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
    let (cluster, project) = cluster_with(options, &[("rootfs", "local-lvm:1")]);
    let there = clone("").replace("node_name = \"pve\"", "node_name = \"pve2\"");
    project.write("main.tf", &there.replace("vm_id = 9100", "vm_id = 9100\n    node_name = \"pve\""));
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(root(&cluster, "pve2"), "local-lvm 1G");
    assert!(cluster.get("/nodes/pve/lxc/500/config").is_null());
    settled(&project);
}
