//! Kinds that are described as data on a simulated cluster, through the binary: what others do there meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, Project};

#[test]
fn a_plan_that_would_lock_out_its_own_token_is_refused_before_anything_is_done() {
    let cluster = Cluster::start(Options::default());
    cluster.send("POST", "/access/users", &[("userid", "admin@pve")]);
    cluster.send("PUT", "/access/acl", &[("path", "/"), ("users", "admin@pve"), ("roles", "Administrator")]);
    let made = cluster.send("POST", "/access/users/admin@pve/token/ci", &[("privsep", "0")]);
    let main = r#"
resource "proxmox_virtual_environment_group" "first" {
  group_id = "first"
}
resource "proxmox_acl" "weaker" {
  user_id = "admin@pve"
  path    = "/access"
  role_id = "NoAccess"
  depends_on = [proxmox_virtual_environment_group.first]
}
"#;
    let mut project = Project::of(&cluster, main);
    project.set("PROXMOX_VE_API_TOKEN", &format!("admin@pve!ci={}", made["value"].as_str().unwrap()));
    cluster.forget_requests();
    for command in [["plan", "-no-color"].as_slice(), &["apply", "--auto-approve"]] {
        let said = project.fails(command);
        assert!(said.contains("proxmox_acl.weaker: it takes "), "{said}");
        assert!(said.contains(" on /access") && said.contains("PVE_ALLOW_LOCKOUT=1"), "{said}");
    }
    assert!(cluster.requests().iter().all(|request| request.method == "GET"), "{:?}", cluster.requests());
    project.write("main.tf", &main.replace("NoAccess", "Administrator"));
    project.ok(&["apply", "--auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
}

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
fn a_permission_moves_from_a_block_to_an_object_of_its_own() {
    let cluster = Cluster::start(Options::default());
    let entry = r#"path = "/"
    role_id   = "PVEAuditor"
    propagate = true"#;
    let user = |block: &str| {
        format!(
            "resource \"proxmox_virtual_environment_user\" \"bob\" {{\n  user_id = \"bob@pve\"\n{block}}}\n"
        )
    };
    let project = Project::of(&cluster, &user(&format!("  acl {{\n    {entry}\n  }}\n")));
    project.ok(&["apply", "--auto-approve"]);
    let own = format!("resource \"proxmox_acl\" \"own\" {{\n    user_id = \"bob@pve\"\n    {entry}\n}}\n");
    project.write("main.tf", &format!("{}{own}", user("")));
    project.ok(&["apply", "--auto-approve"]);
    let list = cluster.get("/access/acl");
    assert_eq!(
        list.as_array().unwrap().iter().filter(|entry| entry["ugid"] == "bob@pve").count(),
        1,
        "{list}"
    );
    assert!(project.ok(&["plan"]).contains("No changes."));
    project.write("main.tf", &format!("{}{}", user(""), own.replace("\"/\"", "\"/vms/\"")));
    assert!(project.fails(&["plan"]).contains("/vms"));
}

#[test]
fn networks_that_are_destroyed_after_the_applier_are_applied() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_sdn_zone_simple" "s" {
  id = "simple1"
}
resource "proxmox_sdn_vnet" "lab" {
  id   = "lab"
  zone = proxmox_sdn_zone_simple.s.id
}
resource "proxmox_sdn_applier" "a" {
  depends_on = [proxmox_sdn_vnet.lab]
  lifecycle {
    replace_triggered_by = [proxmox_sdn_zone_simple.s, proxmox_sdn_vnet.lab]
  }
}
"#;
    let project = Project::of(&cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.get("/cluster/sdn/zones").as_array().unwrap().len(), 1);
    project.ok(&["destroy", "--auto-approve"]);
    for list in ["zones", "vnets"] {
        assert_eq!(cluster.get(&format!("/cluster/sdn/{list}?pending=1")), serde_json::json!([]), "{list}");
    }
}

#[test]
fn an_applier_applies_at_the_end_what_a_run_has_staged_and_without_one_the_plan_says_what_stays_pending() {
    let cluster = Cluster::start(Options::default());
    let zone = "resource \"proxmox_sdn_zone_simple\" \"s\" {\n  id = \"simple1\"\n}\n";
    let vnet = |name: &str, alias: &str| {
        format!(
            "resource \"proxmox_sdn_vnet\" \"{name}\" {{\n  id = \"{name}\"\n  alias = \"{alias}\"\n  zone = \
             proxmox_sdn_zone_simple.s.id\n}}\n"
        )
    };
    let applier = "resource \"proxmox_sdn_applier\" \"a\" {}\n";
    let pending = |list: &str| {
        let list = cluster.get(&format!("/cluster/sdn/{list}?pending=1"));
        let entries = list.as_array().unwrap().clone();
        entries.into_iter().filter(|entry| entry["state"].is_string()).collect::<Vec<_>>()
    };
    let applied = || {
        let path = |path: &str| path.ends_with("/cluster/sdn");
        cluster.requests().iter().filter(|request| request.method == "PUT" && path(&request.path)).count()
    };
    let project = Project::of(&cluster, &format!("{zone}{}{}{applier}", vnet("one", "a"), vnet("two", "a")));
    project.ok(&["apply", "--auto-approve"]);
    assert!(pending("vnets").is_empty(), "{:?}", pending("vnets"));
    // One is changed, one goes: neither has anything to do with the applier.
    project.write("main.tf", &format!("{zone}{}{applier}", vnet("one", "b")));
    cluster.send("POST", "/cluster/sdn/zones", &[("zone", "theirs"), ("type", "simple")]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("what is pending in the cluster already: zone theirs (new)"), "{said}");
    cluster.forget_requests();
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("proxmox_sdn_applier.a must be replaced"), "{said}");
    assert!(said.contains("it applies what this plan changes of software-defined networks"), "{said}");
    assert!(pending("vnets").is_empty(), "{:?}", pending("vnets"));
    assert_eq!(applied(), 1, "once, when all is staged");
    assert!(project.ok(&["plan"]).contains("No changes."));
    // One that goes applies what others have staged, too.
    cluster.send("POST", "/cluster/sdn/zones", &[("zone", "other"), ("type", "simple")]);
    let said = project.ok(&["plan", "-destroy"]);
    assert!(said.contains("what is pending in the cluster already: zone other (new)"), "{said}");
    cluster.send("DELETE", "/cluster/sdn/zones/other", &[]);
    // One that must stay, or does not apply, is no help.
    let kept =
        "resource \"proxmox_sdn_applier\" \"a\" {\n  lifecycle {\n    prevent_destroy = true\n  }\n}\n";
    project.write("main.tf", &format!("{zone}{kept}"));
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(
        said.contains("it stays pending: nothing in this plan applies changes of software-defined networks")
    );
    assert_eq!(pending("vnets").len(), 1);
    // The applier goes after what it does not depend on, or before: both are applied.
    project.write("main.tf", "");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!((pending("vnets").len(), pending("zones").len()), (0, 0));
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
fn what_somebody_else_has_staged_of_a_network_is_neither_applied_nor_thrown_away() {
    let cluster = Cluster::start(Options::default());
    let main = |comment: &str| {
        format!(
            "resource \"proxmox_network_linux_bridge\" \"a\" {{
  node_name = \"pve\"
  name      = \"vmbr5\"
  comment   = \"{comment}\"
}}
"
        )
    };
    let project = Project::of(&cluster, &main("one"));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("POST", "/nodes/pve/network", &[("iface", "vmbr77"), ("type", "bridge")]);
    let is_there = || cluster.get("/nodes/pve/network").to_string().contains("vmbr77");
    project.write("main.tf", &main("two"));
    let said = project.ok(&["plan"]);
    assert!(
        said.contains("other changes of the network of pve are staged: ") && said.contains("+iface vmbr77"),
        "{said}"
    );
    cluster.forget_requests();
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("vmbr77") && said.contains("staged"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    assert!(is_there());
    cluster.send("DELETE", "/nodes/pve/network", &[]);
    project.ok(&["apply", "--auto-approve"]);
    assert!(!is_there() && project.ok(&["plan"]).contains("No changes."));
}

/// A group with these entries as blocks.
fn group(entries: &[(&str, &str)]) -> String {
    let block = |(path, role): &(&str, &str)| {
        format!("  acl {{\n    path = \"{path}\"\n    role_id = \"{role}\"\n  }}\n")
    };
    let blocks: String = entries.iter().map(block).collect();
    format!("resource \"proxmox_virtual_environment_group\" \"g\" {{\n  group_id = \"ops\"\n{blocks}}}\n")
}

/// The entries of the group, as `PATH ROLE`.
fn entries_of(cluster: &Cluster) -> Vec<String> {
    let list = cluster.get("/access/acl");
    let own = list.as_array().unwrap().iter().filter(|entry| entry["ugid"] == "ops");
    let text = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap().to_string();
    let mut entries: Vec<String> =
        own.map(|entry| format!("{} {}", text(entry, "path"), text(entry, "roleid"))).collect();
    entries.sort();
    entries
}

#[test]
fn blocks_have_the_permissions_that_they_made_and_no_others() {
    let cluster = Cluster::start(Options::default());
    let own = |path: &str, role: &str| {
        format!(
            "resource \"proxmox_acl\" \"own\" {{\n  group_id = \"ops\"\n  path = \"{path}\"\n  role_id = \"{role}\"\n  \
             depends_on = [proxmox_virtual_environment_group.g]\n}}\n"
        )
    };
    let audit = ("/", "PVEAuditor");
    let project = Project::of(&cluster, &format!("{}{}", group(&[audit]), own("/vms", "PVEVMUser")));
    project.ok(&["apply", "--auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    project.write("main.tf", &format!("{}{}", group(&[audit]), own("/", "PVEAuditor")));
    let said = project.fails(&["plan"]);
    assert!(said.contains("Two resources claim permission /?ops?PVEAuditor"), "{said}");
    // What is imported has what is configured, and leaves the rest alone.
    project.write("main.tf", &group(&[audit]));
    project.ok(&["state", "rm", "proxmox_virtual_environment_group.g"]);
    project.ok(&["state", "rm", "proxmox_acl.own"]);
    project.ok(&["import", "proxmox_virtual_environment_group.g", "ops"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    project.write("main.tf", &group(&[]));
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(entries_of(&cluster), ["/vms PVEVMUser"]);
}

#[test]
fn a_permission_of_a_block_that_could_not_be_taken_out_is_taken_out_by_the_next_run() {
    let refused = FailureRule {
        method: "PUT".into(),
        path: "/access/acl".into(),
        when: When::Nth(2),
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    let cluster = Cluster::start(Options { failures: vec![refused], ..Options::default() });
    let project = Project::of(&cluster, &group(&[("/", "PVEAuditor")]));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &group(&[("/vms", "PVEVMUser")]));
    assert!(project.fails(&["apply", "--auto-approve"]).contains("no quorum"));
    assert_eq!(entries_of(&cluster), ["/ PVEAuditor", "/vms PVEVMUser"]);
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(entries_of(&cluster), ["/vms PVEVMUser"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
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

#[test]
fn what_an_applier_does_not_come_behind_stays_pending_and_the_plan_says_so() {
    let cluster = Cluster::start(Options::default());
    let zone = |mtu: &str, more: &str| {
        format!(
            "resource \"proxmox_sdn_zone_simple\" \"s\" {{\n  id = \"simple1\"\n  mtu = {mtu}\n{more}}}\n"
        )
    };
    let applier = |name: &str| format!("resource \"proxmox_sdn_applier\" \"{name}\" {{}}\n");
    let pending = || cluster.get("/cluster/sdn/zones?pending=1")[0]["state"].is_string();
    let note = "it stays pending: nothing in this plan applies changes of software-defined networks";
    let project = Project::of(
        &cluster,
        &format!("{}{}", applier("f"), zone("1400", "  depends_on = [proxmox_sdn_applier.f]\n")),
    );
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains(note) && pending(), "{said}");
    // So it is as long as nothing applies it.
    let said = project.ok(&["plan"]);
    assert!(said.contains("No changes") && said.contains("staged in the cluster, not applied yet"), "{said}");
    // One that is made anew before the zone does not keep another one from being made anew behind it.
    let main = |mtu: &str| {
        let needs_one = "  depends_on = [proxmox_sdn_applier.f]\n";
        format!("{}{}{}", applier("f"), applier("a"), zone(mtu, needs_one))
    };
    project.write("main.tf", &main("1400"));
    project.ok(&["apply", "--auto-approve"]);
    assert!(!pending());
    project.write("main.tf", &main("1300"));
    let words = ["apply", "--auto-approve", "-replace", "proxmox_sdn_applier.f"];
    let said = project.ok(&words);
    assert!(
        said.contains("proxmox_sdn_applier.a must be replaced") && !said.contains("replace_triggered_by"),
        "{said}"
    );
    assert!(!pending(), "{said}");
    // An applier that goes applies what others have staged, as one does that is made.
    cluster.send("POST", "/cluster/sdn/vnets", &[("vnet", "simple1"), ("zone", "simple1")]);
    project.write("main.tf", &format!("{}{}", applier("f"), zone("1300", "")));
    let said = project.ok(&["plan"]);
    assert!(said.contains("what is pending in the cluster already: vnet simple1 (new)"), "{said}");
}

/// Interfaces behind each other: `KIND LABEL: ATTRIBUTES`.
fn interfaces(lines: &[(&str, &str, &str)]) -> String {
    let block = |(kind, label, attributes): &(&str, &str, &str)| {
        let attributes = attributes.replace("; ", "\n  ");
        format!(
            "resource \"proxmox_network_linux_{kind}\" \"{label}\" {{\n  node_name = \"pve\"\n  {attributes}\n}}\n"
        )
    };
    lines.iter().map(block).collect()
}

fn reloads(cluster: &Cluster) -> usize {
    let is_reload = |request: &&pve_simulator::RequestRecord| {
        request.method == "PUT" && request.path.ends_with("/nodes/pve/network")
    };
    cluster.requests().iter().filter(is_reload).count()
}

#[test]
fn interfaces_that_need_each_other_are_applied_by_one_reload() {
    let first = "; lifecycle {\n    create_before_destroy = true\n  }";
    for (lifecycle, upper) in [
        ("", "depends_on = [proxmox_network_linux_vlan.tagged]"),
        // Only so can a bridge go from a port that goes to one that comes.
        (first, "ports = [proxmox_network_linux_vlan.tagged.name]"),
    ] {
        let cluster = Cluster::start(Options::default());
        let on = |base: &str| {
            let tagged = "name = \"${proxmox_network_linux_bridge.base.name}.30\"";
            let last = "name = \"vmbr32\"; comment = \"on ${proxmox_network_linux_bridge.upper.id}\"";
            interfaces(&[
                ("bridge", "base", &format!("name = \"{base}\"; address = \"10.5.0.1/24\"{lifecycle}")),
                ("vlan", "tagged", &format!("{tagged}{lifecycle}")),
                ("bridge", "upper", &format!("name = \"vmbr31\"; {upper}")),
                ("bridge", "last", last),
            ])
        };
        let project = Project::of(&cluster, &on("vmbr5"));
        let run = |command: &[&str], then: &str| {
            cluster.forget_requests();
            let said = project.ok(command);
            assert_eq!(reloads(&cluster), 1, "{said}");
            let said = project.ok(&["plan"]);
            assert!(said.contains(then), "{said}");
        };
        run(&["apply", "--auto-approve"], "No changes.");
        // The names change, one goes and one comes.
        let renamed = on("vmbr7").replace("\"last\"", "\"new\"").replace("vmbr32", "vmbr33");
        project.write("main.tf", &renamed);
        run(&["apply", "--auto-approve", "-parallelism=1"], "No changes.");
        let there = cluster.get("/nodes/pve/network").to_string();
        assert!(there.contains("\"vmbr7.30\""), "{there}");
        assert!(!there.contains("vmbr5") && !there.contains("vmbr32"), "{there}");
        run(&["destroy", "--auto-approve"], "4 to add");
    }
}

#[test]
fn a_guest_comes_after_the_reload_that_it_needs_and_no_other_one_is_made() {
    let cluster = Cluster::start(Options::default());
    let main = interfaces(&[
        ("bridge", "a", "name = \"vmbr5\""),
        ("bridge", "b", "name = \"vmbr6\"; depends_on = [proxmox_network_linux_bridge.a]"),
        ("bridge", "late", "name = \"vmbr7\"; depends_on = [proxmox_virtual_environment_vm.v]"),
    ]) + r#"
resource "proxmox_virtual_environment_vm" "v" {
  node_name = "pve"
  name      = "v"
  started   = true
  network_device {
    bridge = proxmox_network_linux_bridge.a.name
  }
}
"#;
    let project = Project::of(&cluster, &main);
    cluster.forget_requests();
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(reloads(&cluster), 2, "one before the guest, one for what comes after it");
    cluster.forget_requests();
    project.ok(&["destroy", "--auto-approve"]);
    assert_eq!(reloads(&cluster), 2);
}

#[test]
fn a_deletion_that_could_be_neither_applied_nor_taken_back_is_applied_by_the_next_run() {
    let refuse = |method: &str, when: When| FailureRule {
        method: method.into(),
        path: "/nodes/*/network".into(),
        when,
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    let failures = vec![refuse("PUT", When::Nth(1)), refuse("DELETE", When::Always)];
    let cluster = Cluster::start(Options { failures, ..Options::default() });
    let project = Project::of(&cluster, &interfaces(&[("bridge", "a", "name = \"vmbr5\"")]));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", "");
    assert!(project.fails(&["apply", "--auto-approve"]).contains("could not be taken back"));
    assert!(project.ok(&["plan"]).contains("1 to destroy"));
    cluster.forget_requests();
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(reloads(&cluster), 1);
    assert!(project.ok(&["plan"]).contains("No changes."));
}

#[test]
fn what_two_resources_turn_out_to_claim_is_made_once() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_virtual_environment_pool" "p" {
  pool_id = "lab"
}
resource "proxmox_virtual_environment_user" "eve" {
  user_id = "eve@pve"
  acl {
    path    = "/pool/${proxmox_virtual_environment_pool.p.id}"
    role_id = "PVEPoolUser"
  }
}
resource "proxmox_acl" "own" {
  user_id = proxmox_virtual_environment_user.eve.user_id
  path    = "/pool/${proxmox_virtual_environment_pool.p.pool_id}"
  role_id = "PVEPoolUser"
}
"#;
    let project = Project::of(&cluster, main);
    project.ok(&["plan"]);
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("Two resources claim") && said.contains("the other one"), "{said}");
    let written = cluster
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT" && request.path.ends_with("/access/acl"));
    assert!(written.count() <= 1);
}

#[test]
fn what_stays_pending_after_everything_is_destroyed_is_told_by_later_plans() {
    let cluster = Cluster::start(Options::default());
    let main = r#"
resource "proxmox_sdn_zone_simple" "s" {
  id = "simple1"
}
resource "proxmox_sdn_applier" "a" {
  on_destroy = false
}
"#;
    let project = Project::of(&cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("No changes.") && !said.contains("pending"), "{said}");
    let said = project.ok(&["destroy", "--auto-approve"]);
    assert!(said.contains("it stays pending"), "{said}");
    let told = "applied by nothing of this plan: zone simple1 (deleted)";
    let said = project.ok(&["destroy", "--auto-approve"]);
    assert!(said.contains(told) && said.contains("nothing to destroy"), "{said}");
    // An applier that stays as it is does not apply what somebody else stages.
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("POST", "/cluster/sdn/vnets", &[("vnet", "theirs"), ("zone", "simple1")]);
    let said = project.ok(&["plan"]);
    assert!(
        said.contains("No changes.") && said.contains("applied by nothing of this plan: vnet theirs (new)"),
        "{said}"
    );
}

#[test]
fn everything_that_others_have_staged_of_networks_is_named() {
    let cluster = Cluster::start(Options::default());
    let staged = [
        ("/cluster/sdn/zones", vec![("zone", "zone1"), ("type", "simple")]),
        ("/cluster/sdn/vnets", vec![("vnet", "lab"), ("zone", "zone1")]),
        ("/cluster/sdn/vnets/lab/subnets", vec![("subnet", "192.0.2.0/24"), ("type", "subnet")]),
        (
            "/cluster/sdn/fabrics/fabric",
            vec![("id", "spine"), ("protocol", "openfabric"), ("ip_prefix", "198.51.100.0/24")],
        ),
        (
            "/cluster/sdn/fabrics/node/spine",
            vec![
                ("node_id", "pve"),
                ("protocol", "openfabric"),
                ("ip", "198.51.100.1"),
                ("interfaces", "name=eno1"),
            ],
        ),
    ];
    for (path, params) in staged {
        cluster.send("POST", path, &params);
    }
    let project = Project::of(&cluster, "resource \"proxmox_sdn_applier\" \"a\" {}\n");
    let said = project.ok(&["plan"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for named in [
        "zone zone1",
        "vnet lab",
        "subnet 192.0.2.0/24 of vnet lab",
        "fabric spine",
        "node pve of fabric spine",
    ] {
        assert!(said.contains(&format!("{named} (new)")), "{named}: {said}");
    }
}

#[test]
fn a_permission_with_another_role_is_given_before_the_old_one_is_taken() {
    let refused = FailureRule {
        method: "PUT".into(),
        path: "/access/acl".into(),
        when: When::Nth(2),
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    let cluster = Cluster::start(Options { failures: vec![refused], ..Options::default() });
    cluster.send("POST", "/access/users", &[("userid", "eve@pve")]);
    let entry = |role: &str| {
        format!(
            "resource \"proxmox_acl\" \"a\" {{\n  user_id = \"eve@pve\"\n  path = \"/vms\"\n  role_id = \"{role}\"\n}}\n"
        )
    };
    let project = Project::of(&cluster, &entry("PVEAuditor"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &entry("PVEVMUser"));
    project.fails(&["apply", "--auto-approve"]);
    let roles = || -> Vec<String> {
        let list = cluster.get("/access/acl");
        let own = list.as_array().unwrap().iter().filter(|entry| entry["ugid"] == "eve@pve");
        own.map(|entry| entry["roleid"].as_str().unwrap().to_string()).collect()
    };
    assert!(roles().contains(&"PVEVMUser".to_string()), "{:?}", roles());
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(roles(), ["PVEVMUser"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
}

#[test]
fn a_permission_of_a_user_and_a_role_that_are_replaced_goes_before_them() {
    let cluster = Cluster::start(Options::default());
    let main = |user: &str, role: &str| {
        format!(
            "resource \"proxmox_virtual_environment_user\" \"u\" {{\n  user_id = \"{user}@pve\"\n}}\n\
             resource \"proxmox_virtual_environment_role\" \"r\" {{\n  role_id = \"{role}\"\n  privileges = [\"VM.Audit\"]\n}}\n\
             resource \"proxmox_acl\" \"a\" {{\n  user_id = proxmox_virtual_environment_user.u.user_id\n  path = \"/vms\"\n  \
             role_id = proxmox_virtual_environment_role.r.role_id\n}}\n"
        )
    };
    let project = Project::of(&cluster, &main("one", "First"));
    project.ok(&["apply", "--auto-approve"]);
    for (user, role) in [("two", "First"), ("two", "Second"), ("one", "First")] {
        project.write("main.tf", &main(user, role));
        project.ok(&["apply", "--auto-approve"]);
        assert!(project.ok(&["plan"]).contains("No changes."), "{user} {role}");
        let entries = cluster.get("/access/acl");
        let own = |entry: &&serde_json::Value| entry["path"] == "/vms";
        let own: Vec<_> = entries.as_array().unwrap().iter().filter(own).collect();
        assert!(own.len() == 1 && own[0]["roleid"] == role, "{entries}");
    }
}
