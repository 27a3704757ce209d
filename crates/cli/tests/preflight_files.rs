//! What a plan tells of files that guests are made of, or that are uploaded.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project};

fn cluster() -> Cluster {
    Cluster::start(Options { other_nodes: vec!["pve2".into()], ..Options::default() })
}

fn vm(name: &str, lines: &str) -> String {
    format!("resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  node_name = \"pve\"\n{lines}\n}}\n")
}

#[test]
fn a_file_that_the_same_plan_makes_is_where_it_is_made() {
    let cluster = cluster();
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup")]);
    let snippet = |name: &str, node: &str| {
        format!(
            "resource \"proxmox_virtual_environment_file\" \"{name}\" {{\n  node_name = \"{node}\"\n  datastore_id = \"local\"\n  \
             content_type = \"snippets\"\n  source_raw {{\n    data = \"x\"\n    file_name = \"u.yaml\"\n  }}\n}}\n"
        )
    };
    let user = vm(
        "u",
        "  vm_id = 701\n  initialization {\n    user_data_file_id = proxmox_virtual_environment_file.f.id\n  }",
    )
    .replace("\"pve\"", "\"pve2\"");
    let hook = vm("h", "  vm_id = 702\n  hook_script_file_id = \"local:snippets/u.yaml\"")
        .replace("\"pve\"", "\"pve2\"");
    let told = "There is no volume \"local:snippets/u.yaml\" on pve2";
    let project = Project::of(&cluster, &format!("{PROVIDER}{}{user}{hook}", snippet("f", "pve")));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert_eq!(said.matches(&format!("Warning: {told}")).count(), 2, "{said}");
    assert!(said.contains("this plan makes it on pve, and local is not shared"), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    let quiet = || {
        let (code, said) = project.ends(&["plan"]);
        assert!(code == 0 && !said.contains("There is no volume"), "{said}");
    };
    project
        .write("main.tf", &format!("{PROVIDER}{}{}{user}{hook}", snippet("f", "pve"), snippet("g", "pve2")));
    quiet();
    cluster.send("PUT", "/storage/local", &[("shared", "1")]);
    project.write("main.tf", &format!("{PROVIDER}{}{user}{hook}", snippet("f", "pve")));
    quiet();
}

#[test]
fn a_local_file_that_is_not_there_is_told_before_it_is_to_be_uploaded_and_not_afterwards() {
    let cluster = cluster();
    let file = "resource \"proxmox_virtual_environment_file\" \"f\" {\n  node_name = \"pve\"\n  datastore_id = \"local\"\n  \
                content_type = \"iso\"\n  source_file {\n    path = \"it.iso\"\n  }\n}\n";
    let project = Project::of(&cluster, &format!("{PROVIDER}{file}"));
    let told = "There is no file \"it.iso\"";
    for command in ["validate", "plan"] {
        let (code, said) = project.ends(&[command]);
        assert!(code == 0 && said.matches(told).count() == 1 && said.contains("main.tf:7"), "{said}");
    }
    project.write("it.iso", "content");
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(!said.contains(told), "{said}");
    std::fs::remove_file(project.root().join("it.iso")).unwrap();
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains(told), "{said}");
}

/// A cluster that takes disks to import, and a VM that is stopped, with disks.
fn importing(file: &str) -> Cluster {
    let cluster = cluster();
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup")]);
    cluster.server.simulator().add_file(file, b"disk");
    cluster
}

fn vm_with(disks: &[&str]) -> String {
    let disks: String = disks.iter().map(|lines| format!("  disk {{\n{lines}\n  }}\n")).collect();
    vm("it", &format!("  vm_id = 702\n  started = false\n{disks}"))
}

#[test]
fn a_disk_of_an_appliance_is_looked_for_by_its_archive() {
    let cluster = importing("local:import/app.ova");
    let main = |file: &str| {
        let disk = format!("    interface = \"scsi0\"\n    import_from = \"local:import/{file}/disk0.vmdk\"");
        format!("{PROVIDER}{}", vm_with(&[&disk]))
    };
    let project = Project::of(&cluster, &main("none.ova"));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("There is no volume \"local:import/none.ova\""), "{said}");
    project.write("main.tf", &main("app.ova"));
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(!said.contains("There is no volume"), "{said}");
    let now = cluster.get("/nodes/pve/qemu/702/config");
    assert!(now["scsi0"].as_str().unwrap().starts_with("local-lvm:vm-702-disk-"), "{now}");
}

#[test]
fn what_a_disk_was_made_of_is_not_missed_when_another_comes_before_it() {
    let cluster = importing("local:import/deb.qcow2");
    let imported = "    interface = \"scsi0\"\n    size = 3\n    import_from = \"local:import/deb.qcow2\"";
    let project = Project::of(&cluster, &format!("{PROVIDER}{}", vm_with(&[imported])));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("DELETE", "/nodes/pve/storage/local/content/local:import/deb.qcow2", &[]);
    while cluster.get("/nodes/pve/storage/local/content").to_string().contains("deb.qcow2") {}
    let more = vm_with(&["    interface = \"scsi1\"\n    size = 2", imported]);
    project.write("main.tf", &format!("{PROVIDER}{more}"));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("There is no volume"), "{said}");
    project.ok(&["apply", "--auto-approve"]);
}

#[test]
fn a_name_that_no_file_of_its_content_may_have_stops_apply() {
    let cluster = Cluster::start(Options::default());
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup")]);
    let file = |kind: &str, content: &str, name: &str| {
        let source = match kind {
            "file" => {
                "source_file {\n    path = \"https://images.test/disk.bin\"\n    file_name = ".to_string()
            }
            _ => "url = \"https://images.test/disk.bin\"\n  file_name = ".to_string(),
        };
        let end = if kind == "file" { "\n  }" } else { "" };
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_{kind}\" \"f\" {{\n  node_name = \"pve\"\n  datastore_id = \
             \"local\"\n  content_type = \"{content}\"\n  {source}\"{name}\"{end}\n}}\n"
        )
    };
    let project = Project::of(&cluster, "");
    for (kind, content, name, is_taken) in [
        ("download_file", "iso", "disk.qcow2", false),
        ("download_file", "import", "disk.img", false),
        ("file", "import", "disk.img", false),
        ("download_file", "vztmpl", "root.zip", false),
        ("download_file", "iso", "a b.iso", false),
        ("file", "iso", "c+d.iso", false),
        ("download_file", "import", "disk.qcow2", true),
        ("file", "iso", "DISK.IMG", true),
        ("download_file", "vztmpl", "root.tar.zst", true),
    ] {
        project.write("main.tf", &file(kind, content, name));
        let (_, plan) = project.ends(&["plan"]);
        assert_eq!(!plan.contains("is no name of a file of content"), is_taken, "{kind} {name}: {plan}");
        let (code, said) = project.ends(&["apply", "--auto-approve"]);
        assert_eq!((code == 0, said.contains("Nothing was changed")), (is_taken, !is_taken), "{said}");
        if !is_taken {
            // Tried all the same, it is the cluster that refuses it.
            let mut trying = Project::of(&cluster, &file(kind, content, name));
            trying.set("PVE_PREFLIGHT", "off");
            let said = trying.fails(&["apply", "--auto-approve"]);
            assert!(
                ["extension", "not there"].iter().any(|told| said.contains(told)),
                "{kind} {name}: {said}"
            );
        }
        project.ends(&["destroy", "--auto-approve"]);
    }
}
