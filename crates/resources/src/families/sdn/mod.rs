//! Software-defined networks: zones, vnets, subnets, controllers, fabrics. Changes are pending until they are applied.

mod applier;
mod fabrics;
mod pending;
mod subnets;
mod zones;

pub(crate) use applier::{apply_leaving, is_of_networks, network, staging};
pub(crate) use pending::pending_networks;

use crate::definition::{flag, number, text, text_set};
use crate::object::{Object, Read};

/// The kinds of this family.
pub(super) fn objects() -> Vec<Object> {
    let mut objects = zones::objects();
    objects.extend([vnet(), subnets::subnet(), controller(), applier::applier()]);
    objects.extend(fabrics::objects());
    objects
}

/// The identifier of an object of a software-defined network.
fn identifier(text: &str) -> Option<String> {
    let fits = (2..=8).contains(&text.len())
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric());
    (!fits).then(|| format!("{text:?} is no identifier: 2 to 8 letters and digits, a letter first"))
}

/// What a vnet is called beside its identifier.
fn alias(text: &str) -> Option<String> {
    let is_plain = |letter: char| {
        letter.is_ascii_alphanumeric() || letter.is_ascii_whitespace() || "()._-".contains(letter)
    };
    let fits = (1..=256).contains(&text.len()) && text.chars().all(is_plain);
    (!fits).then(|| format!("{text:?} is no alias: 1 to 256 letters, digits, blanks and any of ()._-"))
}

/// Names of controllers, which may be longer.
fn controller_identifier(text: &str) -> Option<String> {
    let fits = (2..=64).contains(&text.len())
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.ends_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    (!fits)
        .then(|| format!("{text:?} is no identifier: 2 to 64 letters, digits, `_` and `-`, a letter first"))
}

/// Names of fabrics.
fn fabric_identifier(text: &str) -> Option<String> {
    let fits = (1..=8).contains(&text.len())
        && !text.starts_with('-')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    (!fits).then(|| format!("{text:?} is no identifier: 1 to 8 letters, digits and `-`"))
}

/// `proxmox_sdn_vnet`
fn vnet() -> Object {
    const PLACE: &str = "/cluster/sdn/vnets/{id}";
    Object {
        names: &["proxmox_sdn_vnet", "proxmox_virtual_environment_sdn_vnet"],
        what: "vnet",
        about: "A virtual network in a zone. It is pending until a proxmox_sdn_applier applies it.",
        fields: vec![
            ("alias", text().checked(alias)),
            ("id", text().required().replaces().param("vnet").only_made().checked(identifier)),
            ("isolate_ports", flag().param("isolate-ports")),
            ("tag", number()),
            ("vlan_aware", flag().param("vlanaware")),
            ("zone", text().required().checked(identifier)),
        ],
        read: Read::At("/cluster/sdn/vnets/{id}?pending=1"),
        example: r#"
  id   = "lab"
  zone = proxmox_sdn_zone_simple.zone.id
"#,
        beside: r#"
resource "proxmox_sdn_zone_simple" "zone" {
  id = "zone1"
}
"#,
        hooks: &pending::Pending,
        ..Object::listed("/cluster/sdn/vnets", PLACE, "{id}")
    }
}

/// `proxmox_sdn_controller_evpn`
fn controller() -> Object {
    const PLACE: &str = "/cluster/sdn/controllers/{id}";
    Object {
        names: &["proxmox_sdn_controller_evpn"],
        what: "SDN controller",
        about: "A controller of EVPN zones. It is pending until a proxmox_sdn_applier applies it.",
        fields: vec![
            ("asn", number().required()),
            ("digest", text().read_only().follows()),
            ("fabric", text()),
            (
                "id",
                text().required().replaces().param("controller").only_made().checked(controller_identifier),
            ),
            ("peers", text_set().filled()),
        ],
        read: Read::At("/cluster/sdn/controllers/{id}?pending=1"),
        constants: &[("type", "evpn")],
        whole: true,
        one_of: &[&["fabric", "peers"]],
        example: r#"
  id    = "evpn1"
  asn   = 65000
  peers = ["192.0.2.1", "192.0.2.2"]
"#,
        hooks: &pending::Pending,
        ..Object::listed("/cluster/sdn/controllers", PLACE, "{id}")
    }
}
