//! Resources that are renamed in the configuration without a `moved` block, through the binary: what had the id or the name
//! goes before the other one takes it.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, project_with, settled};

fn guest(name: &str, memory: u32) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_vm" "{name}" {{
  node_name = "pve"
  vm_id     = 530
  name      = "{name}"
  started   = false
  memory {{ dedicated = {memory} }}
}}
resource "proxmox_virtual_environment_firewall_options" "o" {{
  node_name = "pve"
  vm_id     = proxmox_virtual_environment_vm.{name}.vm_id
  dhcp      = {}
}}
resource "proxmox_virtual_environment_firewall_rules" "r" {{
  node_name = "pve"
  vm_id     = proxmox_virtual_environment_vm.{name}.vm_id
  rule {{
    type   = "in"
    action = "ACCEPT"
    dport  = "{memory}"
    proto  = "tcp"
  }}
}}
"#,
        memory > 600
    )
}

fn snippet(name: &str, text: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_file" "{name}" {{
  node_name    = "pve"
  datastore_id = "local"
  content_type = "snippets"
  source_raw {{
    data      = "{text}"
    file_name = "init.yaml"
  }}
}}
"#
    )
}

/// The second configuration is applied over the first one, and nothing is left to do.
fn is_renamed(first: &str, second: &str) -> (Cluster, String) {
    let cluster = Cluster::start(Options::default());
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup")]);
    let project = project_with(&cluster, first);
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &format!("{PROVIDER}{second}"));
    let said = project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    drop(project);
    (cluster, said)
}

#[test]
fn a_guest_is_destroyed_before_the_one_that_takes_its_id_is_made() {
    let (cluster, said) = is_renamed(&guest("web", 512), &guest("shop", 1024));
    assert!(said.contains("takes the place of proxmox_virtual_environment_vm.web"), "{said}");
    assert!(said.contains("`moved` block"), "{said}");
    assert_eq!(cluster.send("GET", "/nodes/pve/qemu/530/config", &[])["name"], "shop");
    assert_eq!(cluster.send("GET", "/nodes/pve/qemu/530/firewall/rules", &[])[0]["dport"], "1024");
}

#[test]
fn a_file_that_takes_the_name_of_another_is_not_removed_with_it() {
    let (cluster, _) = is_renamed(&snippet("old", "a: 1"), &snippet("new", "b: 2"));
    let files = cluster.send("GET", "/nodes/pve/storage/local/content?content=snippets", &[]);
    assert_eq!(files[0]["volid"], "local:snippets/init.yaml", "{files}");
}

#[test]
fn an_id_goes_from_one_key_to_another() {
    let all = |keys: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_container" "c" {{
  for_each  = {keys}
  node_name = "pve"
  vm_id     = each.value
  started   = false
  operating_system {{ template_file_id = "local:vztmpl/t.tar.zst" }}
  disk {{
    datastore_id = "local-lvm"
    size         = 4
  }}
}}
"#
        )
    };
    is_renamed(&all("{ a = 501, b = 502 }"), &all("{ c = 501, b = 502 }"));
    is_renamed(&all("{ a = 501, b = 502 }"), &all("{ a = 502, b = 501 }"));
}

#[test]
fn a_vm_becomes_a_container_with_its_id() {
    let container = r#"
resource "proxmox_virtual_environment_container" "c" {
  node_name = "pve"
  vm_id     = 530
  started   = false
  operating_system { template_file_id = "local:vztmpl/t.tar.zst" }
  disk {
    datastore_id = "local-lvm"
    size         = 4
  }
}
"#;
    is_renamed(&guest("web", 512), container);
}

#[test]
fn a_permission_is_still_there_under_its_new_name() {
    let acl = |name: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_user" "u" {{ user_id = "bob@pve" }}
resource "proxmox_acl" "{name}" {{
  path      = "/vms"
  user_id   = proxmox_virtual_environment_user.u.user_id
  role_id   = "PVEAuditor"
  propagate = true
}}
"#
        )
    };
    let (cluster, _) = is_renamed(&acl("a"), &acl("b"));
    assert_eq!(cluster.send("GET", "/access/acl", &[])[0]["roleid"], "PVEAuditor");
}

#[test]
fn a_bridge_is_there_under_its_new_name() {
    let bridge = |name: &str| {
        format!(
            "resource \"proxmox_network_linux_bridge\" \"{name}\" {{\n  node_name = \"pve\"\n  name = \"vmbr7\"\n}}\n"
        )
    };
    is_renamed(&bridge("a"), &bridge("b"));
    is_renamed(&bridge("b"), &bridge("a"));
}

#[test]
fn the_other_name_of_a_kind_is_the_same_kind() {
    let block = |kind: &str| {
        format!("resource \"{kind}\" \"t\" {{\n  user_id    = \"root@pam\"\n  token_name = \"ci\"\n}}\n")
    };
    let (older, newer) = ("proxmox_virtual_environment_user_token", "proxmox_user_token");
    for (from, to) in [(older, newer), (newer, older)] {
        let (_cluster, said) = is_renamed(&block(from), &block(to));
        let hint =
            format!("it takes the place of {from}.t, which is destroyed; a `moved` block would keep it");
        assert!(said.contains(&hint), "{said}");
    }
}
