//! Firewalls of virtual networks (PVE::API2::Firewall::Vnet): rules and options, seen by who may see the network.

use serde_json::json;

use super::{Scope, read_options, rules, write_options};
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::sdn;

const OPTIONS: &str = "/cluster/sdn/vnets/{vnet}/firewall/options";
const RULES: &str = "/cluster/sdn/vnets/{vnet}/firewall/rules";
const RULE: &str = "/cluster/sdn/vnets/{vnet}/firewall/rules/{pos}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/cluster/sdn/vnets/{vnet}/firewall", |_| {
        Ok(json!([{ "name": "rules" }, { "name": "options" }]))
    }),
    ("GET", OPTIONS, |request| reading(request, read_options)),
    ("PUT", OPTIONS, |request| changing(request, |request, scope| write_options(request, scope, OPTIONS))),
    ("GET", RULES, |request| reading(request, rules::list)),
    ("POST", RULES, |request| changing(request, rules::create)),
    ("GET", RULE, |request| reading(request, rules::read)),
    ("PUT", RULE, |request| changing(request, rules::update)),
    ("DELETE", RULE, |request| changing(request, rules::delete)),
];

type Work = fn(&mut Request<'_>, Scope) -> Answer;

fn reading(request: &mut Request<'_>, work: Work) -> Answer {
    sdn::check_vnet(request, &["SDN.Allocate", "SDN.Audit"])?;
    work(request, Scope::Vnet)
}

fn changing(request: &mut Request<'_>, work: Work) -> Answer {
    sdn::check_vnet(request, &["SDN.Allocate"])?;
    work(request, Scope::Vnet)
}

#[cfg(test)]
mod tests {
    use crate::calls::Calls;

    #[test]
    fn rules_of_a_network_are_seen_by_who_sees_the_network() {
        let root = Calls::new();
        root.ok("POST", "/cluster/sdn/zones", &[("zone", "z1"), ("type", "simple")]);
        root.ok("POST", "/cluster/sdn/vnets", &[("vnet", "v1"), ("zone", "z1")]);
        let rules = "/cluster/sdn/vnets/v1/firewall/rules";
        root.ok("POST", rules, &[("type", "forward"), ("action", "DROP")]);
        let auditor = root.user("a@pve", &[("/sdn/zones/z1", "PVESDNUser")]);
        assert_eq!(auditor.get(rules)[0]["action"], "DROP");
        let refused = auditor.refused("POST", rules, &[("type", "forward"), ("action", "DROP")]);
        assert_eq!(refused, "403 Permission check failed (/sdn/zones/z1/v1, SDN.Allocate)");
        let absent = root.refused("GET", "/cluster/sdn/vnets/v2/firewall/options", &[]);
        assert!(absent.starts_with("500 invalid vnet specified"), "{absent}");
    }
}
