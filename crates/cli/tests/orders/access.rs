//! Users, groups, roles and what they may do; names that cannot be there twice.

use pve_simulator::Options;

use super::simulated::{Cluster, PROVIDER, project_with, settled};
use super::{changed, is_refused, one_apply};

#[test]
fn a_permission_goes_before_its_user_and_comes_after_it() {
    let user = r#"
resource "proxmox_virtual_environment_user" "z" { user_id = "bob@pve" }
"#;
    let acl = |name: &str, path: &str| {
        format!(
            "resource \"proxmox_acl\" \"{name}\" {{\n  path = \"{path}\"\n  user_id = \"bob@pve\"\n  role_id = \"PVEVMUser\"\n}}\n"
        )
    };
    let all = format!("{user}{}{}", acl("a", "/vms"), acl("zz", "/pool"));
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &all);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn what_cannot_be_there_twice_is_not_made_before_the_old_one_goes() {
    let zone = |kind: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_metrics_server" "m" {{
  name   = "graph"
  server = "192.0.2.1"
  port   = 2003
  type   = "{kind}"
  {}
  lifecycle {{
    create_before_destroy = true
  }}
}}
"#,
            if kind == "influxdb" { "influx_db_proto = \"udp\"" } else { "" }
        )
    };
    let (cluster, project) = changed(&zone("graphite"), &zone("influxdb"));
    is_refused(
        &cluster,
        &project,
        &["takes metrics server graph before it is free", "`create_before_destroy`"],
    );
}

#[test]
fn what_goes_with_a_user_a_group_or_a_role_that_is_replaced_is_made_anew_in_the_same_run() {
    let main = r#"
resource "proxmox_virtual_environment_role" "r" {
  role_id    = "rr"
  privileges = ["VM.Audit"]
}
resource "proxmox_virtual_environment_group" "g" { group_id = "g1" }
resource "proxmox_virtual_environment_user" "u" {
  user_id = "bob@pve"
  groups  = [proxmox_virtual_environment_group.g.group_id]
  acl {
    path    = "/nodes"
    role_id = proxmox_virtual_environment_role.r.role_id
  }
}
resource "proxmox_user_token" "t" {
  user_id    = proxmox_virtual_environment_user.u.user_id
  token_name = "tok"
}
resource "proxmox_acl" "user" {
  user_id = proxmox_virtual_environment_user.u.user_id
  role_id = proxmox_virtual_environment_role.r.role_id
  path    = "/vms"
}
resource "proxmox_acl" "token" {
  token_id = proxmox_user_token.t.id
  role_id  = proxmox_virtual_environment_role.r.role_id
  path     = "/vms"
}
resource "proxmox_acl" "group" {
  group_id = "g1"
  role_id  = "PVEVMUser"
  path     = "/pool"
  depends_on = [proxmox_virtual_environment_group.g]
}
"#;
    let (cluster, project) = changed(main, main);
    let cases = [
        ("user.u", "4 added, 0 changed, 4 destroyed", "it goes away with what it is a part of"),
        ("group.g", "2 added, 1 changed, 2 destroyed", "group g1 is replaced: that takes it out of this"),
        ("role.r", "3 added, 1 changed, 3 destroyed", "role rr is replaced: that takes it out of this"),
    ];
    let entries = cluster.get("/access/acl");
    for (block, done, told) in cases {
        let block = format!("proxmox_virtual_environment_{block}");
        let said = project.ok(&["apply", "--auto-approve", "-replace", &block]);
        assert!(said.contains(&format!("Done: {done}.")) && said.contains(told), "{block}: {said}");
        settled(&project);
        let ordered = |entries: &serde_json::Value| {
            let mut entries: Vec<String> =
                entries.as_array().unwrap().iter().map(ToString::to_string).collect();
            entries.sort();
            entries
        };
        assert_eq!(ordered(&cluster.get("/access/acl")), ordered(&entries), "{block}");
        assert_eq!(cluster.get("/access/users/bob@pve")["groups"], serde_json::json!(["g1"]), "{block}");
    }
    // With one that goes for good it goes, too, and the plan says so.
    let role = "resource \"proxmox_virtual_environment_role\" \"r\" {\n  role_id    = \"rr\"\n  privileges = [\"VM.Audit\"]\n}\n";
    let without = main.replace(role, "").replace("proxmox_virtual_environment_role.r.role_id", "\"rr\"");
    project.write("main.tf", &format!("{PROVIDER}{without}"));
    let plan = project.ends(&["plan"]).1;
    assert!(
        plan.contains("with it goes what this plan does not make anew: proxmox_acl.token, proxmox_acl.user"),
        "{plan}"
    );
}

/// Entries of `acl` blocks go with their role, and a password that nobody changed is not asked for again.
#[test]
fn the_blocks_of_a_user_and_a_group_name_a_role_under_its_new_name() {
    let main = |role: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_role" "r" {{
  role_id    = "{role}"
  privileges = ["Datastore.Audit"]
}}
resource "proxmox_virtual_environment_user" "u" {{
  user_id  = "bob@pve"
  password = "a-long-password"
  acl {{
    path    = "/storage"
    role_id = proxmox_virtual_environment_role.r.role_id
  }}
}}
resource "proxmox_virtual_environment_group" "g" {{
  group_id = "gg"
  acl {{
    path    = "/storage"
    role_id = proxmox_virtual_environment_role.r.role_id
  }}
}}
"#
        )
    };
    let (cluster, _project) = one_apply(&main("rr"), &main("r2"));
    let given = cluster.get("/access/acl");
    let roles = |holder: &str| -> Vec<&str> {
        let mine = given.as_array().unwrap().iter().filter(|given| given["ugid"] == holder);
        mine.map(|given| given["roleid"].as_str().unwrap()).collect()
    };
    assert_eq!((roles("bob@pve"), roles("gg")), (vec!["r2"], vec!["r2"]));
}

fn token(label: &str, name: &str, names: &str) -> String {
    format!(
        r#"
resource "proxmox_user_token" "{label}" {{
  user_id    = "root@pam"
  token_name = "{name}"
}}
resource "proxmox_acl" "a" {{
  token_id = {names}
  role_id  = "PVEAuditor"
  path     = "/vms"
}}
"#
    )
}

/// It is another token, with another secret: what it may goes with the old one, and is given to the new one.
#[test]
fn what_a_token_may_is_given_anew_to_the_one_that_takes_its_place() {
    let (own, other) = ("\"root@pam!one\"", "\"root@pam!two\"");
    for (first, second) in [
        (token("t", "one", "proxmox_user_token.t.id"), token("u", "one", "proxmox_user_token.u.id")),
        (token("t", "one", own), token("u", "one", own)),
        (token("t", "one", "proxmox_user_token.t.id"), token("t", "two", "proxmox_user_token.t.id")),
        (token("t", "one", own), token("t", "two", other)),
    ] {
        let (cluster, _project) = one_apply(&first, &second);
        let given = cluster.get("/access/acl").to_string();
        let name = if second.contains("two") { "root@pam!two" } else { "root@pam!one" };
        assert!(given.contains(name), "{given}");
    }
}
