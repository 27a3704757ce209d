//! Firewall of cluster, node and guests: options, rules, aliases, IP sets, security groups.

mod macros;
mod names;
mod rules;
mod scope;
mod verify;
mod vnets;

use serde_json::{Map, Value, json};
use sha1::Digest as _;

use crate::failure::Failure;
use crate::guests::hex;
use crate::request::{Answer, Request};
use crate::router::Route;
use crate::schema::{self, Kind};
use crate::state::Options;
pub(crate) use scope::Scope;
pub(crate) use verify::is_icmp_type;
pub(crate) use vnets::ROUTES as VNET_ROUTES;

macro_rules! guest_routes {
    ($base:literal, $scope:expr) => {
        &[
            ("GET", $base, |_| match $scope {
                Scope::Cluster => {
                    index(&["rules", "aliases", "ipset", "refs", "options", "groups", "macros"])
                }
                _ => index(&["rules", "aliases", "ipset", "refs", "options"]),
            }),
            ("GET", concat!($base, "/options"), |request| read_options(request, $scope)),
            ("PUT", concat!($base, "/options"), |request| {
                write_options(request, $scope, concat!($base, "/options"))
            }),
            ("GET", concat!($base, "/rules"), |request| rules::list(request, $scope)),
            ("POST", concat!($base, "/rules"), |request| rules::create(request, $scope)),
            ("GET", concat!($base, "/rules/{pos}"), |request| rules::read(request, $scope)),
            ("PUT", concat!($base, "/rules/{pos}"), |request| rules::update(request, $scope)),
            ("DELETE", concat!($base, "/rules/{pos}"), |request| rules::delete(request, $scope)),
            ("GET", concat!($base, "/aliases"), |request| names::aliases(request, $scope)),
            ("POST", concat!($base, "/aliases"), |request| names::create_alias(request, $scope)),
            ("GET", concat!($base, "/aliases/{name}"), |request| names::read_alias(request, $scope)),
            ("PUT", concat!($base, "/aliases/{name}"), |request| names::update_alias(request, $scope)),
            ("DELETE", concat!($base, "/aliases/{name}"), |request| names::delete_alias(request, $scope)),
            ("GET", concat!($base, "/ipset"), |request| names::sets(request, $scope)),
            ("POST", concat!($base, "/ipset"), |request| names::create_set(request, $scope)),
            ("GET", concat!($base, "/ipset/{name}"), |request| names::read_set(request, $scope)),
            ("POST", concat!($base, "/ipset/{name}"), |request| names::add_entry(request, $scope)),
            ("DELETE", concat!($base, "/ipset/{name}"), |request| names::delete_set(request, $scope)),
            ("GET", concat!($base, "/ipset/{name}/{cidr}"), |request| names::read_entry(request, $scope)),
            ("PUT", concat!($base, "/ipset/{name}/{cidr}"), |request| names::update_entry(request, $scope)),
            ("DELETE", concat!($base, "/ipset/{name}/{cidr}"), |request| {
                names::delete_entry(request, $scope)
            }),
            ("GET", concat!($base, "/refs"), |request| names::references(request, $scope)),
        ]
    };
}

pub(crate) const QEMU_ROUTES: &[Route] = guest_routes!("/nodes/{node}/qemu/{vmid}/firewall", Scope::Guest);
pub(crate) const LXC_ROUTES: &[Route] = guest_routes!("/nodes/{node}/lxc/{vmid}/firewall", Scope::Guest);
pub(crate) const CLUSTER_ROUTES: &[Route] = guest_routes!("/cluster/firewall", Scope::Cluster);

pub(crate) const OTHER_ROUTES: &[Route] = &[
    ("GET", "/cluster/firewall/groups", names::groups),
    ("POST", "/cluster/firewall/groups", names::create_group),
    ("GET", "/cluster/firewall/groups/{group}", |request| rules::list(request, Scope::Group)),
    ("POST", "/cluster/firewall/groups/{group}", |request| rules::create(request, Scope::Group)),
    ("DELETE", "/cluster/firewall/groups/{group}", names::delete_group),
    ("GET", "/cluster/firewall/groups/{group}/{pos}", |request| rules::read(request, Scope::Group)),
    ("PUT", "/cluster/firewall/groups/{group}/{pos}", |request| rules::update(request, Scope::Group)),
    ("DELETE", "/cluster/firewall/groups/{group}/{pos}", |request| rules::delete(request, Scope::Group)),
    ("GET", "/cluster/firewall/macros", rules::macros),
    ("GET", "/nodes/{node}/firewall", |_| index(&["rules", "options", "log"])),
    ("GET", "/nodes/{node}/firewall/options", |request| read_options(request, Scope::Node)),
    ("PUT", "/nodes/{node}/firewall/options", |request| {
        write_options(request, Scope::Node, "/nodes/{node}/firewall/options")
    }),
    ("GET", "/nodes/{node}/firewall/rules", |request| rules::list(request, Scope::Node)),
    ("POST", "/nodes/{node}/firewall/rules", |request| rules::create(request, Scope::Node)),
    ("GET", "/nodes/{node}/firewall/rules/{pos}", |request| rules::read(request, Scope::Node)),
    ("PUT", "/nodes/{node}/firewall/rules/{pos}", |request| rules::update(request, Scope::Node)),
    ("DELETE", "/nodes/{node}/firewall/rules/{pos}", |request| rules::delete(request, Scope::Node)),
    ("GET", "/nodes/{node}/firewall/log", log),
    ("GET", "/nodes/{node}/qemu/{vmid}/firewall/log", log),
    ("GET", "/nodes/{node}/lxc/{vmid}/firewall/log", log),
];

fn index(names: &[&str]) -> Answer {
    Ok(names.iter().map(|name| json!({ "name": name })).collect())
}

fn log(request: &mut Request<'_>) -> Answer {
    request.total = Some(1);
    Ok(json!([{ "n": 1, "t": "unable to open file - No such file or directory" }]))
}

/// The digest of a firewall file.
pub(crate) fn digest(request: &Request<'_>, scope: Scope) -> String {
    let firewall = request.state.firewalls.get(&scope.key(request));
    let groups: Vec<_> =
        request.state.firewalls.iter().filter(|(key, _)| key.starts_with("group/")).collect();
    let empty =
        |firewall: Option<&crate::state::Firewall>| firewall.is_none_or(|found| *found == Default::default());
    let nothing = match scope {
        Scope::Cluster | Scope::Group => empty(request.state.firewalls.get("cluster")) && groups.is_empty(),
        _ => empty(firewall),
    };
    if nothing {
        return hex(&sha1::Sha1::digest(""));
    }
    let text = match scope {
        Scope::Cluster | Scope::Group => {
            serde_json::to_string(&(request.state.firewalls.get("cluster"), groups)).unwrap_or_default()
        }
        _ => serde_json::to_string(&firewall).unwrap_or_default(),
    };
    hex(&sha1::Sha1::digest(text.as_bytes()))
}

/// Refuses a digest that is not the present one.
pub(crate) fn check_digest(request: &Request<'_>, scope: Scope) -> Result<(), Failure> {
    let text = "detected modified configuration - file changed by other user? Try again.";
    request.check_digest(&digest(request, scope), text)
}

/// An option as a number where the endpoint's schema says so.
fn typed(template: &str, name: &str, text: &str) -> Value {
    let number = schema::endpoint("PUT", template)
        .and_then(|keys| schema::lookup(keys, name))
        .is_some_and(|property| matches!(property.kind, Kind::Integer | Kind::Boolean));
    match text.parse::<i64>() {
        Ok(value) if number => json!(value),
        _ => json!(text),
    }
}

fn read_options(request: &mut Request<'_>, scope: Scope) -> Answer {
    let template = scope.options_template();
    let options = request.state.firewalls.get(&scope.key(request)).map(|found| found.options.clone());
    let mut data: Map<String, Value> = options
        .unwrap_or_default()
        .iter()
        .map(|(name, text)| (name.clone(), typed(template, name, text)))
        .collect();
    data.insert("digest".to_owned(), json!(digest(request, scope)));
    Ok(Value::Object(data))
}

fn write_options(request: &mut Request<'_>, scope: Scope, template: &str) -> Answer {
    let keys = schema::endpoint("PUT", template);
    let call = ["node", "vmid", "vnet", "digest", "delete"];
    let mut delete = Vec::new();
    for name in schema::formats::split_list(request.get("delete").unwrap_or_default()) {
        if call.contains(&name) || keys.is_none_or(|keys| schema::lookup(keys, name).is_none()) {
            return Err(Failure::parameter("delete", format!("no such option '{name}'")));
        }
        delete.push(name.to_owned());
    }
    check_digest(request, scope)?;
    let mut set: Options = request
        .parameters
        .iter()
        .filter(|(name, _)| !call.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // Any other number than 0 and 1 is stored as the time of the change.
    if scope == Scope::Cluster
        && let Some(enable) = set.get_mut("enable").filter(|text| !matches!(text.as_str(), "0" | "1"))
    {
        *enable = request.seconds().to_string();
    }
    let firewall = request.state.firewalls.entry(scope.key(request)).or_default();
    firewall.options.retain(|name, _| !delete.contains(name));
    firewall.options.append(&mut set);
    Ok(Value::Null)
}
