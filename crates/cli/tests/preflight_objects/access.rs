//! What access control has not, what is there already, and what whoever asks may not see.

use super::simulated::{PROVIDER, Project};
use super::{case, cluster, refused};

#[test]
fn what_access_does_not_have() {
    refused(&[
        case(
            "acl",
            r#"path = "/"; role_id = "PVEAuditor"; user_id = "bob@pve" # here"#,
            "no user \"bob@pve\"",
        ),
        case(
            "acl",
            r#"path = "/"; role_id = "PVEAuditor"; token_id = "ann@pve!x1" # here"#,
            "no token \"ann@pve!x1\"",
        ),
        case("acl", r#"path = "/"; role_id = "PVEAuditor"; group_id = "none" # here"#, "no group \"none\""),
        case("user_token", r#"token_name = "t1"; user_id = "bob@pve" # here"#, "no user \"bob@pve\""),
        case("realm_sync", r#"scope = "both"; realm = "nada" # here"#, "no realm \"nada\""),
        case(
            "virtual_environment_role",
            r#"role_id = "Ops"; privileges = ["VM.Monitor", "VM.Audit"] # here"#,
            "no privilege \"VM.Monitor\"",
        ),
        case("virtual_environment_pool", r#"pool_id = "none/b" # here"#, "no pool \"none\""),
        case("pool_membership", r#"pool_id = "crew"; vm_id = 999 # here"#, "no guest 999"),
    ]);
}

#[test]
fn what_is_there_already() {
    refused(&[
        case(
            "virtual_environment_user",
            r#"user_id = "ann@pve" # here"#,
            "The user \"ann@pve\" is there already",
        ),
        case("virtual_environment_group", r#"group_id = "ops" # here"#, "The group \"ops\" is there already"),
        case(
            "virtual_environment_role",
            r#"privileges = ["VM.Audit"]; role_id = "Administrator" # here"#,
            "The role \"Administrator\" is there already",
        ),
        case("virtual_environment_pool", r#"pool_id = "crew" # here"#, "The pool \"crew\" is there already"),
        case(
            "storage_directory",
            r#"path = "/srv"; id = "local" # here"#,
            "The datastore \"local\" is there already",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr0" # here"#,
            "The interface \"vmbr0\" is on pve already",
        ),
        case(
            "sdn_zone_simple",
            r#"mtu = 1400; id = "plain" # here"#,
            "pve import proxmox_sdn_zone_simple.it plain",
        ),
        case("sdn_zone_simple", r#"id = "plain" # here"#, "The zone \"plain\" is there already"),
        case("sdn_vnet", r#"zone = "plain"; id = "lab" # here"#, "The vnet \"lab\" is there already"),
        case("haresource", r#"resource_id = "vm:101" # here"#, "The HA resource \"vm:101\" is there already"),
        case(
            "backup_job",
            r#"schedule = "02:30"; storage = "local"; all = true; id = "nightly" # here"#,
            "The backup job \"nightly\" is there already",
        ),
        case(
            "realm_openid",
            r#"issuer_url = "https://login.example.test"; client_id = "pve"; realm = "pve" # here"#,
            "The realm \"pve\" is there already",
        ),
    ]);
}

#[test]
fn what_a_token_may_not_see_is_not_said_to_be_missing() {
    let cluster = cluster();
    cluster.send("POST", "/access/users", &[("userid", "low@pve")]);
    cluster.send(
        "PUT",
        "/access/acl",
        &[("path", "/pool/crew"), ("users", "low@pve"), ("roles", "PVEPoolAdmin")],
    );
    let token = cluster.send("POST", "/access/users/low@pve/token/t1", &[("privsep", "0")]);
    let blocks = r#"
resource "proxmox_acl" "a" {
  path    = "/pool/crew"
  role_id = "PVEAuditor"
  user_id = "ann@pve"
}
resource "proxmox_sdn_vnet" "v" {
  id   = "vb"
  zone = "plain"
}
resource "proxmox_harule" "r" {
  rule      = "rb"
  type      = "node-affinity"
  resources = ["vm:101"]
  nodes     = { pve = 1 }
}
resource "proxmox_network_linux_vlan" "v" {
  node_name = "pve"
  name      = "vmbr0.30"
}
resource "proxmox_storage_lvm" "s" {
  id           = "san"
  volume_group = "pve"
}
"#;
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{blocks}"));
    let secret = format!("{}={}", token["full-tokenid"].as_str().unwrap(), token["value"].as_str().unwrap());
    project.set("PROXMOX_VE_API_TOKEN", &secret);
    let (_, said) = project.ends(&["plan"]);
    assert!(said.contains("5 to add"), "{said}");
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(!said.contains("would refuse this on the way"), "{said}");
}

#[test]
fn a_pool_that_is_hidden_from_a_token_is_not_said_to_be_missing() {
    let cluster = cluster();
    cluster.send("POST", "/pools", &[("poolid", "hidden")]);
    cluster.send("POST", "/access/users", &[("userid", "low@pve")]);
    for (path, role) in
        [("/vms", "PVEVMAdmin"), ("/pool/crew", "PVEPoolUser"), ("/pool/hidden", "PVEVMAdmin")]
    {
        cluster.send("PUT", "/access/acl", &[("path", path), ("users", "low@pve"), ("roles", role)]);
    }
    let token = cluster.send("POST", "/access/users/low@pve/token/t1", &[("privsep", "0")]);
    let vm = "resource \"proxmox_virtual_environment_vm\" \"v\" {\n  node_name = \"pve\"\n  vm_id = 300\n  started = false\n  \
              pool_id = \"hidden\"\n}\n";
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{vm}"));
    let secret = format!("{}={}", token["full-tokenid"].as_str().unwrap(), token["value"].as_str().unwrap());
    project.set("PROXMOX_VE_API_TOKEN", &secret);
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("There is no pool"), "{said}");
    assert!(
        said.contains("The pool \"hidden\" is not seen") && said.contains("Pool.Audit on /pool"),
        "{said}"
    );
    project.ok(&["apply", "--auto-approve"]);
}

#[test]
fn whom_a_synchronised_realm_brings_is_not_missed() {
    let cluster = cluster();
    let realm = [
        ("realm", "corp"),
        ("type", "ldap"),
        ("server1", "ldap.example.test"),
        ("base_dn", "dc=corp"),
        ("user_attr", "uid"),
    ];
    cluster.send("POST", "/access/domains", &realm);
    let sync = r#"
resource "proxmox_realm_sync" "s" {
  realm = "corp"
  scope = "both"
}
"#;
    let entry = |behind: &str| {
        format!(
            "resource \"proxmox_acl\" \"a\" {{\n  path = \"/\"\n  role_id = \"PVEAuditor\"\n  group_id = \"staff-corp\"\n{behind}}}\n"
        )
    };
    let project = Project::of(&cluster, &format!("{PROVIDER}{}", entry("")));
    let (_, said) = project.ends(&["plan"]);
    assert!(said.contains("There is no group \"staff-corp\""), "{said}");
    let behind = entry("  depends_on = [proxmox_realm_sync.s]\n");
    project.write("main.tf", &format!("{PROVIDER}{sync}{behind}"));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("There is no group"), "{said}");
}
