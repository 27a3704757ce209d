//! Interfaces of simulated nodes, through the binary: how often a node is reloaded, and that it is never cut off by half of
//! what was asked for.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, Project};

fn reloads(cluster: &Cluster, node: &str) -> usize {
    let path = format!("/nodes/{node}/network");
    let is_reload =
        |request: &&pve_simulator::RequestRecord| request.method == "PUT" && request.path.ends_with(&path);
    cluster.requests().iter().filter(is_reload).count()
}

fn bridge(label: &str, name: &str, attributes: &str) -> String {
    format!(
        "resource \"proxmox_network_linux_bridge\" \"{label}\" {{
  node_name = \"pve\"
  name      = \"{name}\"
  {attributes}
}}
"
    )
}

const UPLINK: &str = "address = \"10.0.0.10/24\"\n  gateway = \"10.0.0.1\"\n  ports   = [\"eno1\"]";

/// The bridge `vmbr0` of a node as its uplink.
fn uplink(cluster: &Cluster) -> Project {
    let import = "import {\n  to = proxmox_network_linux_bridge.m\n  id = \"pve:vmbr0\"\n}\n";
    let project = Project::of(cluster, &format!("{import}{}", bridge("m", "vmbr0", UPLINK)));
    project.ok(&["apply", "--auto-approve"]);
    cluster.forget_requests();
    project
}

/// The interfaces with a default gateway and with the device, and whether anything is staged.
fn uplinks(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
    let list = cluster.get("/nodes/pve/network");
    let named = |is_one: &dyn Fn(&serde_json::Value) -> bool| -> Vec<String> {
        let entries = list.as_array().unwrap().iter().filter(|entry| is_one(entry));
        entries.map(|entry| entry["iface"].as_str().unwrap().to_string()).collect()
    };
    let text = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap_or_default().to_string();
    let on_device = |entry: &serde_json::Value| {
        ["bridge_ports", "slaves"].iter().any(|name| text(entry, name).split(' ').any(|port| port == "eno1"))
    };
    (named(&|entry| text(entry, "gateway") == "10.0.0.1"), named(&on_device))
}

fn both(name: &str) -> (Vec<String>, Vec<String>) {
    (vec![name.to_string()], vec![name.to_string()])
}

#[test]
fn an_uplink_moves_to_another_bridge_by_one_reload() {
    let stays = bridge("m", "vmbr0", "");
    for old in ["", &stays] {
        let cluster = Cluster::start(Options::default());
        let project = uplink(&cluster);
        project.write("main.tf", &format!("{old}{}", bridge("a", "vmbr7", UPLINK)));
        let said = project.ok(&["apply", "--auto-approve"]);
        assert_eq!(reloads(&cluster, "pve"), 1, "{said}");
        assert_eq!(uplinks(&cluster), both("vmbr7"));
        assert!(project.ok(&["plan"]).contains("No changes."));
    }
}

#[test]
fn an_uplink_of_which_the_successor_fails_stays() {
    let refused = How::Refuse { status: 500, reason: "no quorum".into() };
    for how in [refused, How::Disconnect, How::ApplyThenDisconnect] {
        for is_replaced in [true, false] {
            let rule = FailureRule {
                method: "POST".into(),
                path: "/nodes/*/network".into(),
                when: When::Nth(0),
                how: how.clone(),
            };
            let cluster = Cluster::start(Options { failures: vec![rule], ..Options::default() });
            let project = uplink(&cluster);
            let label = if is_replaced { "m" } else { "a" };
            project.write("main.tf", &bridge(label, "vmbr9", UPLINK));
            let said = project.fails(&["apply", "--auto-approve"]);
            assert!(
                said.contains("not all changes of it could be staged") && said.contains("taken back"),
                "{said}"
            );
            assert_eq!(reloads(&cluster, "pve"), 0, "{said}");
            assert_eq!(uplinks(&cluster), both("vmbr0"), "{said}");
            project.ok(&["apply", "--auto-approve"]);
            assert_eq!(uplinks(&cluster), both("vmbr9"));
            assert!(project.ok(&["plan"]).contains("No changes."));
        }
    }
}

#[test]
fn a_device_that_is_taken_before_it_can_be_given_up_is_told_by_the_plan() {
    let cluster = Cluster::start(Options::default());
    let project = uplink(&cluster);
    let ports = UPLINK.replace("[\"eno1\"]", "[proxmox_network_linux_bond.b.name]");
    let bond = bridge("b", "bond0", "slaves = [\"eno1\"]").replace("_bridge", "_bond");
    project.write("main.tf", &format!("{}{bond}", bridge("m", "vmbr0", &ports)));
    let (_, said) = project.ends(&["plan"]);
    assert!(said.contains("takes the device eno1 before it is free") && said.contains("two runs"), "{said}");
    cluster.forget_requests();
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("apply does not begin with it"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    assert_eq!(uplinks(&cluster), both("vmbr0"));
}

#[test]
fn interfaces_of_several_nodes_are_applied_by_one_reload_a_node() {
    let cluster = Cluster::start(Options { other_nodes: vec!["pve2".into()], ..Options::default() });
    let project = Project::of(
        &cluster,
        r#"
resource "proxmox_network_linux_bridge" "b" {
  for_each  = toset(["pve", "pve2"])
  node_name = each.key
  name      = "vmbr5"
}
resource "proxmox_network_linux_vlan" "v" {
  for_each  = toset(["pve", "pve2"])
  node_name = each.key
  name      = "vmbr5.20"
  interface = proxmox_network_linux_bridge.b[each.key].name
  vlan      = 20
}
resource "proxmox_network_linux_bridge" "c" {
  for_each  = toset(["pve", "pve2"])
  node_name = each.key
  name      = "vmbr6"
  ports     = [proxmox_network_linux_vlan.v[each.key].name]
}
"#,
    );
    for (command, then) in [("apply", "No changes."), ("destroy", "6 to add")] {
        cluster.forget_requests();
        let said = project.ok(&[command, "--auto-approve"]);
        assert_eq!(["pve", "pve2"].map(|node| reloads(&cluster, node)), [1, 1], "{said}");
        assert!(project.ok(&["plan"]).contains(then));
    }
}
