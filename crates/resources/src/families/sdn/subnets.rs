//! Subnets of vnets. Proxmox VE makes their id of the zone and the network.

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, Value};
use serde_json::{Map, Value as Json, json};

use super::pending;
use crate::cluster::{ApiError, Cluster, Method};
use crate::definition::{flag, object, problem, text};
use crate::firewall::same_network;
use crate::limits;
use crate::object::{Delete, Hooks, Object, Read};
use crate::values::text as text_of;

/// `proxmox_sdn_subnet`
pub(super) fn subnet() -> Object {
    const PLACE: &str = "/cluster/sdn/vnets/{vnet}/subnets/{id}";
    let range = vec![
        ("end_address", text().required().param("end-address").checked(limits::ip)),
        ("start_address", text().required().param("start-address").checked(limits::ip)),
    ];
    Object {
        names: &["proxmox_sdn_subnet", "proxmox_virtual_environment_sdn_subnet"],
        what: "subnet",
        about: "A subnet of a vnet. It is pending until a proxmox_sdn_applier applies it.",
        fields: vec![
            (
                "cidr",
                text()
                    .required()
                    .replaces()
                    .param("subnet")
                    .only_made()
                    .unread()
                    .checked(limits::host_in_network)
                    .same_as(same_network),
            ),
            ("dhcp_dns_server", text().param("dhcp-dns-server").checked(limits::ip)),
            ("dhcp_range", object(range).param("dhcp-range")),
            ("dns_zone_prefix", text().param("dnszoneprefix")),
            ("gateway", text().checked(limits::ip)),
            ("id", text().read_only().replaces().param("subnet")),
            ("snat", flag()),
            ("vnet", text().required().replaces().unsent().checked(super::identifier)),
        ],
        create: (Method::Post, "/cluster/sdn/vnets/{vnet}/subnets"),
        read: Read::Among("/cluster/sdn/vnets/{vnet}/subnets?pending=1", &[]),
        update: (Method::Put, PLACE),
        delete: Delete::At(PLACE),
        constants: &[("type", "subnet")],
        import: "{vnet}/{id}",
        example: r#"
  vnet    = proxmox_sdn_vnet.office.id
  cidr    = "192.0.2.0/24"
  gateway = "192.0.2.1"

  dhcp_range = {
    start_address = "192.0.2.100"
    end_address   = "192.0.2.199"
  }
"#,
        beside: r#"
resource "proxmox_sdn_zone_simple" "offices" {
  id   = "offices"
  dhcp = "dnsmasq"
  ipam = "pve"
}

resource "proxmox_sdn_vnet" "office" {
  id   = "office"
  zone = proxmox_sdn_zone_simple.offices.id
}
"#,
        hooks: &Subnet,
        ..Object::default()
    }
}

struct Subnet;

/// The network in an id like `zone1-192.0.2.0-24`.
pub(super) fn network(id: &str) -> Option<String> {
    let (rest, bits) = id.rsplit_once('-')?;
    Some(format!("{}/{bits}", rest.split_once('-')?.1))
}

#[async_trait]
impl Hooks for Subnet {
    /// A network of one address has its gateway elsewhere (PVE::Network::SDN::SubnetPlugin).
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let (Some(cidr), Some(gateway)) = (text_of(config, "cidr"), text_of(config, "gateway")) else {
            return Vec::new();
        };
        let length = cidr.rsplit('/').next().unwrap_or_default();
        if length == "32" || same_network(cidr, &format!("{gateway}/{length}")) {
            return Vec::new();
        }
        let detail = format!("{gateway} is not in {cidr}");
        vec![problem(Path::attribute("gateway"), "A gateway outside of its subnet", detail)]
    }

    fn is_it(&self, prior: &Value, entry: &Json) -> bool {
        let id = entry.get("subnet").and_then(Json::as_str).unwrap_or_default();
        let known = match (text_of(prior, "id"), text_of(prior, "cidr")) {
            (Some(known), _) => known == id,
            (None, Some(cidr)) => network(id).is_some_and(|network| same_network(&network, cidr)),
            _ => false,
        };
        known && !pending::is_leaving(entry)
    }

    fn waits(&self, answer: &Json) -> Vec<String> {
        pending::staged(answer)
    }

    async fn complete(&self, _: &Cluster, _: &Value, answer: Json) -> Result<Json, ApiError> {
        Ok(pending::applied(answer))
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let id = answer.get("subnet").and_then(Json::as_str).unwrap_or_default();
        if let (true, Some(network)) = (text_of(prior, "cidr").is_none(), network(id)) {
            read.insert("cidr".into(), json!(network));
        }
    }
}
