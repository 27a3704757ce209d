//! Kinds that are described as data on a simulated cluster, through the binary: what others do there meanwhile.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod interfaces;
mod permissions;
#[path = "../simulated/mod.rs"]
mod simulated;
mod software_networks;

use permissions::group;
use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, Project};

#[test]
fn a_data_source_may_name_what_a_resource_of_the_same_plan_makes() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_virtual_environment_group" "a" {
  group_id = "readers"
}
data "proxmox_virtual_environment_group" "a" {
  group_id   = proxmox_virtual_environment_group.a.group_id
  depends_on = [proxmox_virtual_environment_group.a]
}
"#;
    let project = Project::of(&cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    let twice = r#"
resource "proxmox_virtual_environment_group" "b" {
  group_id = "readers"
}
"#;
    project.write("main.tf", &format!("{main}{twice}"));
    assert!(project.fails(&["plan"]).contains("Two resources claim"));
}

#[test]
fn outputs_with_secrets_inside_settle() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_virtual_environment_user" "u" {
  user_id = "out@pve"
}
resource "proxmox_user_token" "t" {
  for_each   = toset(["aa", "bb"])
  user_id    = proxmox_virtual_environment_user.u.user_id
  token_name = each.key
}
resource "proxmox_acme_dns_plugin" "p" {
  plugin = "dns1"
  api    = "cf"
  data   = { CF_Token = "Sekret-009" }
}
output "by_name" {
  value     = { for name, token in proxmox_user_token.t : name => token.value }
  sensitive = true
}
output "several" {
  value     = [proxmox_user_token.t["aa"].value, "plain", sensitive("x")]
  sensitive = true
}
output "whole" {
  value     = proxmox_user_token.t["bb"]
  sensitive = true
}
"#;
    let project = Project::of(&cluster, main);
    for command in [["plan"].as_slice(), &["apply", "--auto-approve"], &["show"]] {
        let said = project.ok(command);
        assert!(!said.contains("Sekret-009"), "{said}");
    }
    let again = project.ok(&["plan", "-detailed-exitcode"]);
    assert!(again.contains("No changes."), "{again}");
}

#[test]
fn all_that_cannot_be_read_is_told_and_only_what_is_asked_for_is_read() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_virtual_environment_user" "bob" {
  user_id = "bob@pve"
}
resource "proxmox_user_token" "gone" {
  user_id    = proxmox_virtual_environment_user.bob.user_id
  token_name = "deploy"
}
resource "proxmox_virtual_environment_group" "one" {
  group_id = "one"
}
resource "proxmox_virtual_environment_group" "two" {
  group_id = "two"
}
resource "proxmox_virtual_environment_role" "free" {
  role_id    = "Free"
  privileges = ["VM.Audit"]
}
"#;
    let mut project = Project::of(&cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("DELETE", "/access/users/bob@pve", &[]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("2 to add"), "a token goes with its user: {said}");
    cluster.send("POST", "/access/users", &[("userid", "weak@pve")]);
    let made = cluster.send("POST", "/access/users/weak@pve/token/weak", &[("privsep", "0")]);
    let root = cluster.server.token.clone();
    project.set("PROXMOX_VE_API_TOKEN", &format!("weak@pve!weak={}", made["value"].as_str().unwrap()));
    let said = project.fails(&["plan"]);
    let at = |name: &str| said.find(name).unwrap_or_else(|| panic!("{name}: {said}"));
    assert!(at("group.one cannot be read") < at("group.two cannot be read"), "{said}");
    let said = project.ok(&["plan", "-target=proxmox_virtual_environment_role.free"]);
    assert!(said.contains("No changes."), "{said}");
    project.set("PROXMOX_VE_API_TOKEN", &root);
    project.ok(&["apply", "--auto-approve"]);
}

#[test]
fn an_import_settles_what_became_of_a_creation_without_an_answer() {
    let lost = FailureRule {
        method: "POST".into(),
        path: "/access/users/*/token/*".into(),
        when: When::First(1),
        how: How::ApplyThenDisconnect,
    };
    let cluster = Cluster::start(Options { failures: vec![lost], ..Options::default() });
    let main = r#"
resource "proxmox_virtual_environment_user" "n" {
  user_id = "new@pve"
}
resource "proxmox_user_token" "t" {
  user_id    = proxmox_virtual_environment_user.n.user_id
  token_name = "deploy"
}
"#;
    let project = Project::of(&cluster, main);
    project.fails(&["apply", "--auto-approve"]);
    assert!(project.fails(&["apply", "--auto-approve"]).contains("import it"));
    project.ok(&["import", "proxmox_user_token.t", "new@pve!deploy"]);
    project.ok(&["apply", "--auto-approve", "-replace=proxmox_user_token.t"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn what_is_imported_and_changed_is_told_as_both_and_spellings_of_a_kind_are_one_kind() {
    let cluster = Cluster::start(Options::default());
    cluster.send("POST", "/access/groups", &[("groupid", "ops")]);
    let import = "import {\n  to = proxmox_virtual_environment_group.g\n  id = \"ops\"\n}\n";
    let main = group(&[]).replace("\"ops\"\n", "\"ops\"\n  comment = \"on call\"\n");
    let project = Project::of(&cluster, &format!("{import}{main}"));
    let said = project.ok(&["plan"]);
    assert!(said.contains("will be updated in place") && said.contains("(imported first, as ops)"), "{said}");
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("Done: 1 imported, 0 added, 1 changed, 0 destroyed."), "{said}");

    let entry = |kind: &str| {
        format!(
            "resource \"{kind}\" \"a\" {{\n  group_id = \"ops\"\n  path = \"/vms\"\n  role_id = \"PVEVMUser\"\n}}\n"
        )
    };
    project.write("main.tf", &entry("proxmox_virtual_environment_acl"));
    project.ok(&["apply", "--auto-approve", "-target=proxmox_virtual_environment_acl.a"]);
    project.ok(&["state", "mv", "proxmox_virtual_environment_acl.a", "proxmox_acl.a"]);
    project.write("main.tf", &format!("{}{main}", entry("proxmox_acl")));
    assert!(project.ok(&["plan"]).contains("No changes."));
}

#[test]
fn a_guest_that_two_pools_are_to_have_is_told_while_planning() {
    let cluster = Cluster::start(Options::default());
    let member = |name: &str| {
        format!(
            "resource \"proxmox_pool_membership\" \"{name}\" {{\n  pool_id = \"{name}\"\n  vm_id = 100\n}}\n"
        )
    };
    let project = Project::of(&cluster, &format!("{}{}", member("lab"), member("lab2")));
    let said = project.fails(&["plan"]);
    assert!(said.contains("Two resources claim pool of guest 100"), "{said}");
}

#[test]
fn what_fails_before_there_is_a_plan_has_its_place_and_tells_no_secret() {
    let cluster = Cluster::start(Options::default());
    let vm = "resource \"proxmox_virtual_environment_vm\" \"v\" {\n  node_name = \"pve\"\n}\n";
    let import = |id: &str| format!("import {{\n  to = proxmox_virtual_environment_vm.v\n  id = {id}\n}}\n");
    let project = Project::of(&cluster, &format!("{vm}{}", import("\"pve/nonsense\"")));
    let said = project.fails(&["plan"]);
    assert!(
        said.contains("cannot be imported as pve/nonsense") && said.contains("on main.tf line 1"),
        "{said}"
    );
    let secret = "variable \"id\" {\n  default = \"pve/hunter2secret\"\n  sensitive = true\n}\n";
    project.write("main.tf", &format!("{vm}{secret}{}", import("var.id")));
    let said = project.fails(&["plan"]);
    assert!(
        said.contains("A sensitive value cannot be an import id") && said.contains("main.tf:10"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_moves_is_planned_as_it_was_read() {
    let cluster = Cluster::start(Options::default());
    let user = |name: &str, more: &str| {
        format!(
            "resource \"proxmox_virtual_environment_user\" \"{name}\" {{\n  user_id = \"bob@pve\"\n  comment = \"a\"\n{more}}}\n"
        )
    };
    let project = Project::of(&cluster, &user("old", ""));
    project.ok(&["apply", "--auto-approve"]);
    let moved = "moved {\n  from = proxmox_virtual_environment_user.old\n  to = proxmox_virtual_environment_user.new\n}\n";
    for main in [user("old", "  count = 1\n"), format!("{}{moved}", user("new", ""))] {
        project.write("main.tf", &main);
        let moves = project.ok(&["plan"]);
        assert!(moves.contains("0 to add, 0 to change, 0 to destroy"), "{moves}");
        cluster.send("PUT", "/access/users/bob@pve", &[("comment", "by hand")]);
        let said = project.ok(&["plan"]);
        assert!(said.contains("by hand") && said.contains("1 to change"), "{said}");
        cluster.send("DELETE", "/access/users/bob@pve", &[]);
        assert!(project.ok(&["plan"]).contains("1 to add, 0 to change, 0 to destroy"));
        cluster.send("POST", "/access/users", &[("userid", "bob@pve"), ("comment", "a"), ("enable", "1")]);
    }
    cluster.send("PUT", "/access/users/bob@pve", &[("comment", "by hand")]);
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.get("/access/users/bob@pve")["comment"], "a");
    assert!(project.ok(&["plan"]).contains("No changes."));
}
