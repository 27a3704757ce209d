//! Zones: each type has a few attributes of its own.

use super::{identifier, pending};
use crate::definition::{Fields, flag, number, text, text_set};
use crate::object::{Object, Read};

const PLACE: &str = "/cluster/sdn/zones/{id}";

/// The kinds of zones.
pub(super) fn objects() -> Vec<Object> {
    vec![simple(), vlan(), qinq(), vxlan(), evpn()]
}

type Constants = &'static [(&'static str, &'static str)];

/// A zone of one type, with the attributes that all have.
fn zone(names: &'static [&'static str], kind: Constants, own: Fields) -> Object {
    let mut fields = vec![
        ("dns", text()),
        ("dns_zone", text().param("dnszone")),
        ("id", text().required().replaces().param("zone").only_made().checked(identifier)),
        ("ipam", text()),
        ("mtu", number().computed()),
        ("nodes", text_set().computed()),
        ("pending", flag().read_only().follows()),
        ("reverse_dns", text().param("reversedns")),
        ("state", text().read_only().follows()),
    ];
    fields.extend(own);
    Object {
        names,
        what: "zone",
        fields,
        read: Read::At("/cluster/sdn/zones/{id}?pending=1"),
        constants: kind,
        hooks: &pending::Pending,
        ..Object::listed("/cluster/sdn/zones", PLACE, "{id}")
    }
}

fn simple() -> Object {
    Object {
        about: "A zone of bridges on each node that are not connected. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id   = "simple1"
  dhcp = "dnsmasq"
  ipam = "pve"
"#,
        ..zone(
            &["proxmox_sdn_zone_simple", "proxmox_virtual_environment_sdn_zone_simple"],
            &[("type", "simple")],
            vec![("dhcp", text().one_of(&["dnsmasq"]))],
        )
    }
}

fn vlan() -> Object {
    Object {
        about: "A zone of VLANs on a bridge. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id     = "vlan1"
  bridge = "vmbr0"
"#,
        ..zone(
            &["proxmox_sdn_zone_vlan", "proxmox_virtual_environment_sdn_zone_vlan"],
            &[("type", "vlan")],
            vec![("bridge", text().required())],
        )
    }
}

fn qinq() -> Object {
    let own = vec![
        ("bridge", text().required()),
        ("service_vlan", number().required().param("tag").range(1, 4094)),
        (
            "service_vlan_protocol",
            text().computed().or("802.1q").param("vlan-protocol").one_of(&["802.1ad", "802.1q"]),
        ),
    ];
    Object {
        about: "A zone of VLANs inside of one VLAN. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id           = "qinq1"
  bridge       = "vmbr0"
  service_vlan = 100
"#,
        ..zone(
            &["proxmox_sdn_zone_qinq", "proxmox_virtual_environment_sdn_zone_qinq"],
            &[("type", "qinq")],
            own,
        )
    }
}

fn vxlan() -> Object {
    Object {
        about: "A zone over VXLAN between the nodes. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id    = "vxlan1"
  peers = ["192.0.2.1", "192.0.2.2"]
"#,
        ..zone(
            &["proxmox_sdn_zone_vxlan", "proxmox_virtual_environment_sdn_zone_vxlan"],
            &[("type", "vxlan")],
            vec![("peers", text_set().required().filled())],
        )
    }
}

fn evpn() -> Object {
    let own = vec![
        ("advertise_subnets", flag().computed().or(false).param("advertise-subnets")),
        ("controller", text().required()),
        ("disable_arp_nd_suppression", flag().computed().or(false).param("disable-arp-nd-suppression")),
        ("exit_nodes", text_set().computed().param("exitnodes")),
        ("exit_nodes_local_routing", flag().computed().or(false).param("exitnodes-local-routing")),
        ("primary_exit_node", text().param("exitnodes-primary")),
        ("rt_import", text().param("rt-import")),
        ("vrf_vxlan", number().required().param("vrf-vxlan")),
    ];
    Object {
        about: "A zone over EVPN, routed by a controller. It is pending until a proxmox_sdn_applier applies it.",
        example: r#"
  id         = "evpn1"
  controller = proxmox_sdn_controller_evpn.routes.id
  vrf_vxlan  = 4000
"#,
        beside: r#"
resource "proxmox_sdn_controller_evpn" "routes" {
  id    = "routes"
  asn   = 65000
  peers = ["192.0.2.1"]
}
"#,
        ..zone(
            &["proxmox_sdn_zone_evpn", "proxmox_virtual_environment_sdn_zone_evpn"],
            &[("type", "evpn")],
            own,
        )
    }
}
