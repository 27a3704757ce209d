//! Kinds that are described as data on a simulated cluster, through the binary: what others do there meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use pve_simulator::Options;
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
