//! What networks of a cluster refuse is told by the plan.

use super::simulated::{PROVIDER, Project};
use super::{case, cluster, refused};

#[test]
fn what_networks_need() {
    refused(&[
        case("sdn_vnet", r#"id = "va"; zone = "none" # here"#, "no zone \"none\""),
        case("sdn_vnet", r#"id = "va"; zone = "plain"; tag = 7 # here"#, "does not take this tag"),
        case(
            "sdn_vnet",
            r#"id = "va"; zone = "tagged"; tag = 5 # here"#,
            "Two vnets have the tag 5 in the zone \"tagged\"",
        ),
        case("sdn_subnet", r#"cidr = "192.0.2.0/24"; vnet = "none" # here"#, "no vnet \"none\""),
        case(
            "sdn_zone_evpn",
            r#"id = "ev"; vrf_vxlan = 4000; controller = "none" # here"#,
            "no controller \"none\"",
        ),
        case("sdn_zone_simple", r#"id = "za"; ipam = "none" # here"#, "no IPAM \"none\""),
        case(
            "sdn_zone_simple",
            r#"id = "za"; dns_zone = "lan"; dns = "none" # here"#,
            "no DNS server \"none\"",
        ),
        case(
            "sdn_fabric_node_openfabric",
            r#"node_id = "pve"; interface_names = ["eno1"]; fabric_id = "none" # here"#,
            "no fabric \"none\"",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr7"; ports = ["eno9"] # here"#,
            "no interface \"eno9\" on pve",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr7"; ports = ["eno1"] # here"#,
            "The device eno1 is in use",
        ),
        case(
            "network_linux_bond",
            r#"node_name = "pve"; name = "bond0"; slaves = ["eno9"] # here"#,
            "no interface \"eno9\" on pve",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr7"; address = "192.0.2.2/24"; gateway = "192.0.2.1" # here"#,
            "a default gateway on pve already",
        ),
        case(
            "network_linux_vlan",
            r#"node_name = "pve"; name = "eno9.30" # here"#,
            "no interface \"eno9\" on pve",
        ),
    ]);
}

#[test]
fn what_firewalls_need() {
    refused(&[
        case(
            "virtual_environment_firewall_rules",
            "rule {; type = \"in\"; action = \"ACCEPT\"; source = \"office\" # here; }",
            "no firewall alias \"office\"",
        ),
        case(
            "virtual_environment_cluster_firewall_security_group",
            "name = \"web\"; rule {; type = \"in\"; action = \"DROP\"; source = \"+dc/blocked\" # here; }",
            "no IP set \"blocked\"",
        ),
    ]);
}

#[test]
fn values_of_firewalls_are_compared_with_what_the_api_takes() {
    let cluster = cluster();
    let project = Project::of(&cluster, PROVIDER);
    let rule = |text: &str| {
        format!("rule {{\n  type = \"in\"\n  action = \"ACCEPT\"\n  proto = \"tcp\"\n  {text}\n}}")
    };
    for (kind, lines, told) in [
        (
            "firewall_rules",
            rule("source = \"10.0.0.0/8,192.168.1.1-192.168.1.9\""),
            "you can't use a range in a list",
        ),
        (
            "cluster_firewall_security_group",
            format!("name = \"web\"\n{}", rule("dport = \"99999\"")),
            "invalid port '99999'",
        ),
        ("firewall_alias", "name = \"office\"\n  cidr = \"10.0.0.0/33\"".to_string(), "10.0.0.0/33"),
        (
            "firewall_ipset",
            "name = \"mine\"\n  cidr {\n    name = \"10.0.0.300\"\n  }".to_string(),
            "10.0.0.300",
        ),
    ] {
        let block = format!("resource \"proxmox_virtual_environment_{kind}\" \"it\" {{\n  {lines}\n}}\n");
        project.write("main.tf", &format!("{PROVIDER}{block}"));
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("Proxmox VE does not take this value") && said.contains(told), "{said}");
        assert!(said.contains("Nothing was changed"), "{said}");
    }
}

#[test]
fn names_in_rules_are_those_of_the_plan_or_of_a_guest_too() {
    let cluster = cluster();
    cluster.send("POST", "/cluster/firewall/aliases", &[("name", "Lab"), ("cidr", "192.0.2.0/24")]);
    let text = r#"
resource "proxmox_virtual_environment_firewall_alias" "a" {
  name = "Office"
  cidr = "198.51.100.0/24"
}
resource "proxmox_virtual_environment_firewall_alias" "of_guest" {
  node_name = "pve"
  vm_id     = 100
  name      = "lab"
  cidr      = "203.0.113.0/24"
}
resource "proxmox_virtual_environment_firewall_rules" "r" {
  depends_on = [proxmox_virtual_environment_firewall_alias.a]
  rule {
    type   = "in"
    action = "ACCEPT"
    source = "dc/office"
    dest   = "lab"
  }
  rule {
    security_group = "later"
  }
}
resource "proxmox_virtual_environment_firewall_rules" "of_guest" {
  node_name  = "pve"
  vm_id      = 100
  depends_on = [proxmox_virtual_environment_firewall_alias.of_guest]
  rule {
    type   = "in"
    action = "ACCEPT"
    source = "guest/lab"
  }
}
"#;
    let project = Project::of(&cluster, &format!("{PROVIDER}{text}"));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && said.contains("There is no security group \"later\""), "{said}");
    assert_eq!(said.matches("Warning").count(), 1, "{said}");
    project.ok(&["apply", "--auto-approve"]);
}

#[test]
fn vnets_of_one_plan_have_tags_of_their_own() {
    let cluster = cluster();
    let project = Project::of(&cluster, PROVIDER);
    let vnet = |id: &str, zone: &str, tag: i64| {
        format!(
            "resource \"proxmox_sdn_vnet\" \"{id}\" {{\n  id = \"{id}\"\n  zone = \"{zone}\"\n  tag = {tag}\n}}\n"
        )
    };
    let zones: String = ["vx1", "vx2"]
        .map(|id| {
            format!("resource \"proxmox_sdn_zone_vxlan\" \"{id}\" {{\n  id = \"{id}\"\n  peers = [\"192.0.2.1\"]\n}}\n")
        })
        .concat();
    for (vnets, told) in [
        (vnet("va", "tagged", 7) + &vnet("vb", "tagged", 7), Some("zone \"tagged\"")),
        // The numbers of VXLAN are those of the whole cluster.
        (vnet("va", "vx1", 7) + &vnet("vb", "vx2", 7), Some("zone \"vx2\"")),
        (vnet("va", "tagged", 7) + &vnet("vb", "vx2", 7) + &vnet("vc", "tagged", 8), None),
    ] {
        project.write("main.tf", &format!("{PROVIDER}{zones}{vnets}"));
        let (code, said) = project.ends(&["plan"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.matches("Two vnets have the tag 7").count(), told.iter().count(), "{said}");
        assert!(told.is_none_or(|told| said.contains(told)), "{said}");
    }
}

#[test]
fn a_gateway_that_an_interface_of_the_plan_keeps_is_taken() {
    let cluster = cluster();
    let bridge = |label: &str, rest: &str| {
        format!("resource \"proxmox_network_linux_bridge\" \"{label}\" {{\n  node_name = \"pve\"\n{rest}}}\n")
    };
    let kept = |comment: &str| {
        let own = "  name = \"vmbr7\"\n  address = \"192.0.2.2/24\"\n  gateway6 = \"2001:db8::1\"\n  address6 = \"2001:db8::2/64\"\n";
        bridge("z", &format!("{own}{comment}"))
    };
    let project = Project::of(&cluster, &format!("{PROVIDER}{}", kept("")));
    project.ok(&["apply", "--auto-approve"]);
    let taker =
        bridge("a", "  name = \"vmbr8\"\n  address6 = \"2001:db8::3/64\"\n  gateway6 = \"2001:db8::1\"\n");
    project.write("main.tf", &format!("{PROVIDER}{taker}{}", kept("  comment = \"kept\"\n")));
    let (_, said) = project.ends(&["plan"]);
    assert!(
        said.contains("a default IPv6 gateway on pve already") && said.contains("vmbr7 has it"),
        "{said}"
    );
}
