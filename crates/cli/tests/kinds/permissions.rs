//! Permissions: of blocks, of objects of their own, and of whoever applies them.

use pve_simulator::{FailureRule, How, Options, When};

use crate::simulated::{Cluster, Project};

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

/// A group with these entries as blocks.
pub fn group(entries: &[(&str, &str)]) -> String {
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
