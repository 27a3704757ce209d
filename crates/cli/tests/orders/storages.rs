//! Storages, and the disks of guests on them.

use pve_simulator::{FailureRule, How, Options, When};

use super::simulated::{Cluster, PROVIDER, project_with, settled};
use super::{broken_off, changed, is_refused, one_apply};

fn storage(id: &str, path: &str, datastore: &str) -> String {
    format!(
        r#"
resource "proxmox_storage_directory" "d" {{
  id      = "{id}"
  path    = "{path}"
  content = ["images"]
}}
{}"#,
        with_disk(datastore)
    )
}

fn with_disk(datastore: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_vm" "v" {{
  node_name = "pve"
  vm_id     = 540
  started   = false
  disk {{
    interface    = "scsi1"
    datastore_id = {datastore}
    file_format  = "qcow2"
    size         = 2
  }}
}}
"#
    )
}

#[test]
fn a_storage_under_another_name_is_there_before_the_disks_go_and_the_old_one_goes_after_them() {
    let by_reference = "proxmox_storage_directory.d.id";
    let first = storage("dd", "/x", by_reference);
    for second in [storage("d2", "/y", by_reference), storage("d2", "/y", "\"d2\"")] {
        let (cluster, _project) = one_apply(&first, &second);
        let disk = cluster.get("/nodes/pve/qemu/540/config")["scsi1"].to_string();
        assert!(disk.contains("d2:540/"), "{disk}");
        let requests = cluster.requests();
        let at = |method: &str, path: &str| {
            requests.iter().position(|it| it.method == method && it.path.ends_with(path)).unwrap()
        };
        let moved = at("POST", "/qemu/540/move_disk");
        assert!(at("POST", "/storage") < moved && moved < at("DELETE", "/storage/dd"));
    }
}

/// The run goes no further than the new storage: the disk is on the old one.
#[test]
fn a_storage_is_taken_back_when_a_run_broke_off_and_the_configuration_is_put_back() {
    let main = storage("dd", "/x", "proxmox_storage_directory.d.id");
    let second = main.replace("\"dd\"", "\"d2\"").replace("/x", "/y");
    let (cluster, project) = broken_off(&main, &second, ("POST", "/nodes/pve/qemu/540/move_disk", 0));
    project.write("main.tf", &format!("{PROVIDER}{main}"));
    // A plan that is saved takes it back, too.
    project.ok(&["plan", "-out", "saved"]);
    project.ok(&["apply", "saved"]);
    settled(&project);
    let changes = cluster.requests().into_iter().filter(|it| it.method != "GET");
    let changes: Vec<String> = changes.map(|it| format!("{} {}", it.method, it.path)).collect();
    assert_eq!(changes, ["DELETE /storage/d2"]);
}

/// The answer to the deletion of the old storage is lost. By the next plan it is known to be gone, and holds nothing.
#[test]
fn a_storage_that_was_replaced_and_is_gone_is_in_nobodys_way() {
    let main = |id: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_storage_directory\" \"d\" {{\n  id = \"{id}\"\n  path = \"/{id}\"\n}}\nresource \
             \"proxmox_acl\" \"a\" {{\n  path = \"/storage/${{proxmox_storage_directory.d.id}}\"\n  user_id = \"ann@pve\"\n  \
             role_id = \"PVEAuditor\"\n  lifecycle {{\n    create_before_destroy = true\n  }}\n}}\n"
        )
    };
    let lost = FailureRule {
        method: "DELETE".into(),
        path: "/storage/dd".into(),
        when: When::Nth(0),
        how: How::ApplyThenDisconnect,
    };
    let cluster = Cluster::start(Options { failures: vec![lost], ..Options::default() });
    cluster.send("POST", "/access/users", &[("userid", "ann@pve")]);
    let project = project_with(&cluster, "");
    project.write("main.tf", &main("dd"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main("d2"));
    project.ends(&["apply", "--auto-approve"]);
    assert!(cluster.get("/storage/dd").is_null());
    let plan = project.ok(&["plan", "-refresh-only"]);
    assert!(plan.contains("(deposed object ") && plan.contains(") is gone"), "{plan}");
    project.write("main.tf", &main("dd"));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let names = cluster.get("/storage");
    let names: Vec<&str> = names.as_array().unwrap().iter().filter_map(|it| it["storage"].as_str()).collect();
    assert!(names.contains(&"dd") && !names.contains(&"d2"), "{names:?}");
}

#[test]
fn a_storage_does_not_go_while_a_guest_has_a_disk_on_it() {
    let by_reference = "proxmox_storage_directory.d.id";
    let first = storage("dd", "/x", by_reference);
    for second in [with_disk("\"dd\""), storage("dd", "/y", by_reference)] {
        let (cluster, project) = changed(&first, &second);
        let why =
            "proxmox_storage_directory.d cannot be destroyed while proxmox_virtual_environment_vm.v has it";
        is_refused(&cluster, &project, &[why]);
        // Together they go.
        project.write("main.tf", PROVIDER);
        project.ok(&["apply", "--auto-approve"]);
    }
}

#[test]
fn what_is_given_on_a_storage_or_a_pool_is_given_anew_with_it() {
    let main = r#"
resource "proxmox_storage_directory" "d" {
  id   = "dd"
  path = "/x"
}
resource "proxmox_virtual_environment_pool" "p" { pool_id = "pp" }
resource "proxmox_acl" "s" {
  path    = "/storage/dd"
  user_id = "root@pam"
  role_id = "PVEAuditor"
  depends_on = [proxmox_storage_directory.d]
}
resource "proxmox_acl" "p" {
  path    = "/pool/pp"
  user_id = "root@pam"
  role_id = "PVEAuditor"
  depends_on = [proxmox_virtual_environment_pool.p]
}
resource "proxmox_pool_membership" "m" {
  pool_id    = "pp"
  storage_id = "dd"
  depends_on = [proxmox_virtual_environment_pool.p, proxmox_storage_directory.d]
}
"#;
    let by_reference = main.replace("/storage/dd\"", "/storage/${proxmox_storage_directory.d.id}\"");
    for main in [main, &by_reference] {
        let (cluster, project) = changed(main, main);
        let given = |cluster: &Cluster| {
            let given = cluster.get("/access/acl");
            let paths = given.as_array().unwrap().iter().map(|given| given["path"].to_string());
            let paths: std::collections::BTreeSet<String> = paths.collect();
            (paths, cluster.get("/pools/pp")["members"][0]["storage"].clone())
        };
        let before = given(&cluster);
        project.write("main.tf", &format!("{PROVIDER}{}", main.replace("/x", "/y")));
        let said = project.ok(&["apply", "--auto-approve"]);
        assert!(said.contains("Done: 3 added, 0 changed, 3 destroyed."), "{said}");
        settled(&project);
        assert_eq!(given(&cluster), before);
        let said = project.ok(&["apply", "--auto-approve", "-replace", "proxmox_virtual_environment_pool.p"]);
        assert!(said.contains("Done: 3 added, 0 changed, 3 destroyed."), "{said}");
        settled(&project);
        assert_eq!(given(&cluster), before);
    }
}
