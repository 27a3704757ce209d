//! Software-defined networks, and the interfaces of nodes.

use pve_simulator::Options;

use super::simulated::{Cluster, PROVIDER, project_with, settled};
use super::{is_refused, one_apply};

#[test]
fn a_vnet_goes_before_its_zone_becomes_one_of_another_type() {
    let zone = |kind: &str| {
        format!(
            r#"
resource "proxmox_sdn_zone_{kind}" "z" {{
  id = "z1"
  {}
}}
resource "proxmox_sdn_vnet" "v" {{
  id   = "v1"
  zone = proxmox_sdn_zone_{kind}.z.id
  tag  = {}
}}
resource "proxmox_sdn_applier" "a" {{
  depends_on = [proxmox_sdn_vnet.v]
}}
"#,
            if kind == "vlan" { "bridge = \"vmbr0\"" } else { "" },
            if kind == "vlan" { "7" } else { "null" },
        )
    };
    let (cluster, _project) = one_apply(&zone("simple"), &zone("vlan"));
    assert_eq!(cluster.get("/cluster/sdn/zones/z1")["type"], "vlan");
    assert_eq!(cluster.get("/cluster/sdn/vnets/v1")["zone"], "z1");
}

#[test]
fn a_vlan_goes_from_a_bridge_to_the_one_that_it_becomes() {
    let bridge = |name: &str, more: &str| {
        format!(
            r#"
resource "proxmox_network_linux_bridge" "b" {{
  node_name = "pve"
  name      = "{name}"
  {more}
}}
resource "proxmox_network_linux_vlan" "v" {{
  node_name = "pve"
  name      = "vlan7"
  interface = proxmox_network_linux_bridge.b.name
}}
"#
        )
    };
    for more in ["", "address = \"10.9.0.1/24\"\n  gateway6 = \"2001:db8::1\""] {
        let (cluster, _project) = one_apply(&bridge("vmbr7", more), &bridge("vmbr8", more));
        assert_eq!(cluster.get("/nodes/pve/network/vlan7")["vlan-raw-device"], "vmbr8");
        let reloads = cluster.requests();
        let reloads =
            reloads.iter().filter(|it| it.method == "PUT" && it.path.ends_with("/nodes/pve/network"));
        assert_eq!(reloads.count(), 1);
    }
}

#[test]
fn a_port_that_goes_below_a_bond_under_its_bridge_is_refused_until_the_bridge_goes_first() {
    let bridge = |ports: &str| {
        format!(
            "resource \"proxmox_network_linux_bridge\" \"b\" {{\n  node_name = \"pve\"\n  name = \"vmbr7\"\n  ports = [{ports}]\n}}\n"
        )
    };
    let bond = "resource \"proxmox_network_linux_bond\" \"n\" {\n  node_name = \"pve\"\n  name = \"bond0\"\n  slaves = [\"eno2\"]\n  bond_mode = \"active-backup\"\n}\n";
    let cluster = Cluster::start(Options::default());
    let device = [("iface", "eno2"), ("type", "eth")];
    cluster.send("POST", "/nodes/pve/network", &device);
    cluster.send("PUT", "/nodes/pve/network", &[]);
    let project = project_with(&cluster, &bridge("\"eno2\""));
    project.ok(&["apply", "--auto-approve"]);
    let second = bridge("proxmox_network_linux_bond.n.name") + bond;
    project.write("main.tf", &format!("{PROVIDER}{second}"));
    cluster.forget_requests();
    let replacing = "-replace=proxmox_network_linux_bridge.b";
    is_refused(&cluster, &project, &["takes the device eno2 before it is free", replacing]);
    project.ok(&["apply", "--auto-approve", replacing]);
    settled(&project);
}

/// Proxmox VE has one such controller at a time, and none goes while a zone names it.
#[test]
fn a_zone_is_made_anew_with_its_controller_under_another_name() {
    let main = |id: &str, names: &str| {
        format!(
            r#"
resource "proxmox_sdn_controller_evpn" "c" {{
  id    = "{id}"
  asn   = 65000
  peers = ["192.0.2.1"]
}}
resource "proxmox_sdn_zone_evpn" "z" {{
  id         = "z1"
  controller = {names}
  vrf_vxlan  = 4000
}}
resource "proxmox_sdn_applier" "a" {{
  depends_on = [proxmox_sdn_zone_evpn.z, proxmox_sdn_controller_evpn.c]
}}
"#
        )
    };
    let by_reference = "proxmox_sdn_controller_evpn.c.id";
    for names in [[by_reference; 2], ["\"c1\"", "\"c2\""]] {
        let (cluster, _project) = one_apply(&main("c1", names[0]), &main("c2", names[1]));
        assert_eq!(cluster.get("/cluster/sdn/zones/z1")["controller"], "c2");
        assert_eq!(cluster.get("/cluster/sdn/controllers").as_array().unwrap().len(), 1);
    }
}

#[test]
fn the_nodes_of_a_fabric_that_is_replaced_are_made_anew_with_it() {
    let main = |prefix: &str, names: &str| {
        format!(
            r#"
resource "proxmox_sdn_fabric_openfabric" "f" {{
  id        = "f1"
  ip_prefix = "192.0.2.0/24"
  {prefix}
}}
resource "proxmox_sdn_fabric_node_openfabric" "n" {{
  fabric_id       = {names}
  node_id         = "pve"
  ip              = "192.0.2.1"
  interface_names = ["eno1"]
}}
"#
        )
    };
    let six = "ip6_prefix = \"2001:db8::/64\"";
    for names in ["proxmox_sdn_fabric_openfabric.f.id", "\"f1\""] {
        let (cluster, _project) = one_apply(&main(six, names), &main("", names));
        assert_eq!(cluster.get("/cluster/sdn/fabrics/node/f1/pve")["ip"], "192.0.2.1");
    }
}
