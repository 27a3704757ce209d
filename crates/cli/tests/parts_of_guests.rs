//! What goes away with a guest that is replaced or destroyed, through the binary: replication, high availability, its place
//! in a pool, what is permitted on it, backups. One apply makes it all again.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project, project_with};

fn cluster() -> Cluster {
    let cluster = Cluster::start(Options { other_nodes: vec!["pve2".into()], ..Options::default() });
    let pool = [("name", "tank"), ("raidlevel", "single"), ("devices", "/dev/sdb")];
    cluster.send("POST", "/nodes/pve/disks/zfs", &pool);
    cluster.send("POST", "/storage", &[("storage", "tank"), ("type", "zfspool"), ("pool", "tank")]);
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup")]);
    cluster
}

fn vm(name: &str, vmid: u32) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_vm" "{name}" {{
  node_name = "pve"
  vm_id     = {vmid}
  name      = "{name}"
  disk {{
    datastore_id = "tank"
    interface    = "scsi0"
    size         = 4
  }}
}}
"#
    )
}

/// What is of a guest, whose id is written so.
fn parts(vmid: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_pool" "p" {{ pool_id = "prod" }}
resource "proxmox_virtual_environment_user" "u" {{ user_id = "tf@pve" }}
resource "proxmox_pool_membership" "m" {{
  pool_id = proxmox_virtual_environment_pool.p.pool_id
  vm_id   = {vmid}
}}
resource "proxmox_replication" "r" {{
  id     = "${{{vmid}}}-0"
  target = "pve2"
  type   = "local"
}}
resource "proxmox_haresource" "h" {{
  resource_id = "vm:${{{vmid}}}"
}}
resource "proxmox_harule" "first" {{
  rule      = "first"
  type      = "node-affinity"
  resources = ["vm:${{{vmid}}}"]
  nodes     = {{ pve = 2, pve2 = 1 }}
  depends_on = [proxmox_haresource.h]
}}
resource "proxmox_acl" "a" {{
  user_id = proxmox_virtual_environment_user.u.user_id
  path    = "/vms/${{{vmid}}}"
  role_id = "PVEVMUser"
}}
resource "proxmox_backup_job" "b" {{
  id       = "nightly"
  schedule = "02:30"
  storage  = "local"
  vmid     = ["${{{vmid}}}"]
}}
"#
    )
}

const BY_REFERENCE: &str = "proxmox_virtual_environment_vm.web.vm_id";
const WEB: &str = "proxmox_virtual_environment_vm.web";

/// Nothing is planned, and nothing is taken for a change of somebody else.
fn quiet(project: &Project) {
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    let is_quiet = plan.contains("No changes.") && !plan.contains("Changed outside");
    assert!(code == 0 && is_quiet, "{code} {plan}");
}

fn applied(cluster: &Cluster, main: &str) -> Project {
    let project = project_with(cluster, main);
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    project
}

/// The cluster has all parts, of the guest of this id.
fn has_parts(cluster: &Cluster, vmid: u32) {
    let id = vmid.to_string();
    let first = |path: &str| cluster.get(path)[0].clone();
    assert_eq!(first("/cluster/replication")["id"], format!("{id}-0"));
    assert_eq!(first("/cluster/ha/resources")["sid"], format!("vm:{id}"));
    assert_eq!(first("/cluster/ha/rules")["resources"], format!("vm:{id}"));
    assert_eq!(first("/cluster/backup")["vmid"], id);
    assert_eq!(cluster.get("/pools/prod")["members"][0]["vmid"], vmid);
    let entries = cluster.get("/access/acl");
    let paths: Vec<&str> =
        entries.as_array().unwrap().iter().filter_map(|entry| entry["path"].as_str()).collect();
    assert!(paths.contains(&format!("/vms/{id}").as_str()), "{paths:?}");
}

#[test]
fn a_replaced_guest_has_again_what_went_with_it() {
    for vmid in [BY_REFERENCE, "500"] {
        let cluster = cluster();
        let project = applied(&cluster, &format!("{}{}", vm("web", 500), parts(vmid)));
        let said = project.ok(&["apply", "--auto-approve", "-replace", WEB]);
        assert!(said.contains("Done: 7 added, 0 changed, 7 destroyed."), "{vmid}: {said}");
        has_parts(&cluster, 500);
        quiet(&project);
    }
}

#[test]
fn a_guest_takes_what_is_of_it_to_another_id() {
    let cluster = cluster();
    let project = applied(&cluster, &format!("{}{}", vm("web", 500), parts(BY_REFERENCE)));
    project.write("main.tf", &format!("{PROVIDER}{}{}", vm("web", 501), parts(BY_REFERENCE)));
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("Done: 7 added, 0 changed, 7 destroyed."), "{said}");
    has_parts(&cluster, 501);
    quiet(&project);
}

#[test]
fn what_is_of_a_guest_is_destroyed_with_it() {
    for vmid in [BY_REFERENCE, "500"] {
        let cluster = cluster();
        let project = applied(&cluster, &format!("{}{}", vm("web", 500), parts(vmid)));
        project.write("main.tf", PROVIDER);
        project.ok(&["apply", "--auto-approve"]);
        assert_eq!(project.ok(&["state", "list"]), "");
        for path in ["/cluster/replication", "/cluster/ha/resources", "/cluster/ha/rules", "/cluster/backup"]
        {
            assert_eq!(cluster.get(path), serde_json::json!([]), "{path}");
        }
    }
}

#[test]
fn what_names_several_guests_has_the_replaced_one_again() {
    let several = r#"
resource "proxmox_haresource" "web" {
  resource_id = "vm:${proxmox_virtual_environment_vm.web.vm_id}"
}
resource "proxmox_haresource" "shop" {
  resource_id = "vm:${proxmox_virtual_environment_vm.shop.vm_id}"
}
resource "proxmox_harule" "apart" {
  rule      = "apart"
  type      = "resource-affinity"
  affinity  = "negative"
  resources = [proxmox_haresource.web.resource_id, proxmox_haresource.shop.resource_id]
}
resource "proxmox_backup_job" "b" {
  id       = "nightly"
  schedule = "02:30"
  storage  = "local"
  vmid     = [proxmox_virtual_environment_vm.web.vm_id, proxmox_virtual_environment_vm.shop.vm_id]
}
"#;
    let cluster = cluster();
    let project = applied(&cluster, &format!("{}{}{several}", vm("web", 500), vm("shop", 501)));
    let said = project.ok(&["apply", "--auto-approve", "-replace", WEB]);
    assert!(said.contains("Done: 2 added, 2 changed, 2 destroyed."), "{said}");
    assert!(said.contains("HA resource vm:500 is replaced: that takes it out of this"), "{said}");
    let resources = cluster.get("/cluster/ha/rules")[0]["resources"].as_str().unwrap().to_string();
    let mut resources: Vec<&str> = resources.split(',').collect();
    resources.sort_unstable();
    assert_eq!(resources, ["vm:500", "vm:501"]);
    assert_eq!(cluster.get("/cluster/backup")[0]["vmid"], "500,501");
    quiet(&project);
    // With both of them, the rule and the job go.
    let shop = "proxmox_virtual_environment_vm.shop";
    let said = project.ok(&["apply", "--auto-approve", "-replace", WEB, "-replace", shop]);
    assert!(said.contains("Done: 6 added, 0 changed, 6 destroyed."), "{said}");
    quiet(&project);
}

#[test]
fn a_plan_that_is_about_a_guest_alone_tells_what_goes_with_it() {
    let cluster = cluster();
    // Whoever stops the guest is not to wait for the manager.
    let parts = parts(BY_REFERENCE).replace("  resource_id =", "  state = \"ignored\"\n  resource_id =");
    let project = applied(&cluster, &format!("{}{parts}", vm("web", 500)));
    let said = project.ok(&["apply", "--auto-approve", "-replace", WEB, "-target", WEB]);
    let note = "with it goes what this plan does not make anew: proxmox_acl.a, proxmox_haresource.h, \
                proxmox_pool_membership.m, proxmox_replication.r";
    assert!(said.contains(note), "{said}");
    assert!(said.contains("Done: 1 added, 0 changed, 1 destroyed."), "{said}");
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("Done: 6 added, 0 changed, 0 destroyed."), "{said}");
    has_parts(&cluster, 500);
    quiet(&project);
}

#[test]
fn a_pool_that_a_membership_brings_a_guest_into_is_no_change_from_outside() {
    let cluster = cluster();
    let member = |pool: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_pool" "p" {{
  for_each = toset(["lab", "prod"])
  pool_id  = each.key
}}
resource "proxmox_pool_membership" "m" {{
  pool_id = proxmox_virtual_environment_pool.p["{pool}"].pool_id
  vm_id   = proxmox_virtual_environment_vm.web.vm_id
}}
"#
        )
    };
    let project = applied(&cluster, &format!("{}{}", vm("web", 500), member("lab")));
    project.write("main.tf", &format!("{PROVIDER}{}{}", vm("web", 500), member("prod")));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    // Somebody else does the same.
    cluster.send("PUT", "/pools", &[("poolid", "lab"), ("vms", "500"), ("allow-move", "1")]);
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("Changed outside") && plan.contains("+ pool_id"), "{plan}");
}
