//! Which handler answers which method and path.

use std::collections::BTreeMap;

use crate::request::{Answer, Request};
use crate::{
    access, bulk, bulk_action, cluster, datacenter, firewall, ha, jobs, lxc, nodes, pools, qemu, records,
    sdn, snapshots, storage, tasks, vzdump,
};

/// Method, path template, handler.
pub(crate) type Route = (&'static str, &'static str, fn(&mut Request<'_>) -> Answer);

/// A route and the parameters of the path.
pub(crate) struct Found {
    pub template: &'static str,
    pub handler: fn(&mut Request<'_>) -> Answer,
    pub parameters: BTreeMap<String, String>,
}

const TABLES: &[&[Route]] = &[
    cluster::ROUTES,
    cluster::CONFIG_ROUTES,
    cluster::OPTION_ROUTES,
    nodes::ROUTES,
    nodes::NETWORK_ROUTES,
    nodes::SETTING_ROUTES,
    nodes::APT_ROUTES,
    nodes::CEPH_ROUTES,
    nodes::CEPH_SERVICE_ROUTES,
    nodes::CERTIFICATE_ROUTES,
    nodes::CONSOLE_ROUTES,
    nodes::DISK_ROUTES,
    nodes::HARDWARE_ROUTES,
    nodes::REPORT_ROUTES,
    nodes::SCAN_ROUTES,
    bulk_action::ROUTES,
    pools::ROUTES,
    access::ROUTES,
    access::USER_ROUTES,
    access::GROUP_ROUTES,
    access::ROLE_ROUTES,
    access::REALM_ROUTES,
    access::LOGIN_ROUTES,
    access::FACTOR_ROUTES,
    sdn::ROUTES,
    sdn::ADDRESS_ROUTES,
    sdn::APPLY_ROUTES,
    sdn::ZONE_ROUTES,
    sdn::VNET_ROUTES,
    sdn::SUBNET_ROUTES,
    sdn::OTHER_ROUTES,
    sdn::FABRIC_ROUTES,
    sdn::NODE_ROUTES,
    ha::ROUTES,
    ha::RESOURCE_ROUTES,
    ha::RULE_ROUTES,
    ha::STATUS_ROUTES,
    datacenter::MAPPING_ROUTES,
    datacenter::METRIC_ROUTES,
    datacenter::NOTIFICATION_ROUTES,
    datacenter::REPLICATION_ROUTES,
    datacenter::ACME_ROUTES,
    jobs::ROUTES,
    jobs::REALM_ROUTES,
    jobs::BACKUP_ROUTES,
    vzdump::ROUTES,
    bulk::ROUTES,
    tasks::ROUTES,
    storage::ROUTES,
    storage::MAINTENANCE_ROUTES,
    records::ROUTES,
    qemu::ROUTES,
    qemu::AGENT_ROUTES,
    lxc::ROUTES,
    snapshots::QEMU_ROUTES,
    snapshots::LXC_ROUTES,
    firewall::CLUSTER_ROUTES,
    firewall::QEMU_ROUTES,
    firewall::LXC_ROUTES,
    firewall::OTHER_ROUTES,
    firewall::VNET_ROUTES,
];

/// Finds the handler; a template with more literal parts wins.
pub(crate) fn find(method: &str, path: &str) -> Option<Found> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let routes = TABLES.iter().flat_map(|table| table.iter());
    routes
        .filter(|(wanted, ..)| *wanted == method)
        .filter_map(|(_, template, handler)| {
            let (parameters, literals) = matches(template, &parts)?;
            Some((literals, Found { template, handler: *handler, parameters }))
        })
        .max_by_key(|(literals, _)| *literals)
        .map(|(_, found)| found)
}

fn matches(template: &str, parts: &[&str]) -> Option<(BTreeMap<String, String>, usize)> {
    let mut parameters = BTreeMap::new();
    let mut literals = 0;
    let wanted: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    for (at, piece) in wanted.iter().enumerate() {
        let name = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match name {
            // Volume names and networks have slashes in them.
            Some(name @ ("volume" | "cidr")) if at + 1 == wanted.len() && parts.len() > at => {
                parameters.insert(name.to_owned(), crate::server::percent_decode(&parts[at..].join("/")));
                return Some((parameters, literals));
            }
            Some(name) => {
                let value = crate::server::percent_decode(parts.get(at)?);
                if value.contains(char::is_whitespace) {
                    return None;
                }
                parameters.insert(name.to_owned(), value);
            }
            None if parts.get(at) == Some(piece) => literals += 1,
            None => return None,
        }
    }
    (parts.len() == wanted.len()).then_some((parameters, literals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_schema() {
        for (method, template, _) in TABLES.iter().flat_map(|table| table.iter()) {
            let known = crate::schema::endpoint(method, template).is_some();
            assert!(known || *template == "/", "{method} {template}");
        }
    }

    #[test]
    fn volumes_keep_their_slashes() {
        let found = find("GET", "/nodes/pve/storage/local/content/local:iso/x.iso").unwrap();
        assert_eq!(found.parameters["volume"], "local:iso/x.iso");
        let found = find("GET", "/nodes/pve/storage/local/content/local%3Aiso%2Fx.iso").unwrap();
        assert_eq!(found.parameters["volume"], "local:iso/x.iso");
    }
}
