//! What the firewall kinds share: whose firewall it is, lists of rules, tables of options, networks.

pub(crate) mod named;
pub(crate) mod options;
pub(crate) mod rule_list;

use std::net::IpAddr;

use pve_model::rules::{Problem, ReplaceReason};
use pve_model::{Path, Value};

use crate::definition::{Fields, number, problem, text};
use crate::values::{int, text as text_of, with};

/// The attributes that say whose firewall it is.
pub(crate) fn owner_fields() -> Fields {
    vec![
        ("container_id", number().range(100, 2147483647)),
        ("node_name", text()),
        ("vm_id", number().range(100, 2147483647)),
    ]
}

/// A guest is on a node.
pub(crate) fn validate_owner(config: &Value) -> Vec<Problem> {
    let unset = |name: &str| config.get(name).is_none_or(Value::is_null);
    let guests = ["vm_id", "container_id"].into_iter().filter(|name| unset("node_name") && !unset(name));
    let problems = guests.map(|name| {
        let detail = format!("{name} needs node_name beside it: the node that the guest is on");
        problem(Path::attribute(name), "A guest without its node", detail)
    });
    problems.collect()
}

fn guest(value: &Value) -> Option<(&'static str, &'static str, i64)> {
    let id = |name: &str| int(value, name).filter(|id| *id > 0);
    let vm = id("vm_id").map(|id| ("vm", "qemu", id));
    vm.or_else(|| id("container_id").map(|id| ("container", "lxc", id)))
}

/// The guest whose firewall it is, as guests claim their ids; `None` for nodes and the cluster.
pub(crate) fn part_of_guest(value: &Value) -> Option<String> {
    guest(value).map(|(_, _, id)| crate::guest::guest_claim(id))
}

/// Why it is replaced, if it becomes another one's: the firewall of another guest, node or of the cluster may be somebody
/// else's until that gives it up. With its guest it goes to any node.
pub(crate) fn moves(prior: &Value, planned: &Value) -> Vec<ReplaceReason> {
    let differs = |name: &&str| prior.get(name) != planned.get(name);
    let differing = ["vm_id", "container_id", "node_name"].into_iter().find(differs);
    let moved = differing.filter(|_| owner(prior) != owner(planned));
    let reason = |name| ReplaceReason {
        path: Path::attribute(name),
        reason: "the firewall of another is another one".into(),
    };
    moved.map(reason).into_iter().collect()
}

/// The path of an owner's firewall.
pub(crate) fn path(value: &Value) -> String {
    let node = text_of(value, "node_name").unwrap_or_default();
    match guest(value) {
        Some((_, kind, id)) => format!("/nodes/{node}/{kind}/{id}/firewall"),
        None if node.is_empty() => "/cluster/firewall".to_string(),
        None => format!("/nodes/{node}/firewall"),
    }
}

/// The id that users import an owner's firewall by: `cluster`, `node/NODE`, `vm/NODE/ID`, `container/NODE/ID`.
pub(crate) fn id(value: &Value) -> String {
    let node = text_of(value, "node_name").unwrap_or_default();
    match guest(value) {
        Some((label, _, id)) => format!("{label}/{node}/{id}"),
        None if node.is_empty() => "cluster".to_string(),
        None => format!("node/{node}"),
    }
}

/// The owner of an id that users import by, put into a value.
pub(crate) fn owner_of(base: &Value, id: &str) -> Option<Value> {
    let parts: Vec<&str> = id.split('/').collect();
    let number = |text: &str| text.parse::<i64>().ok().map(Value::number);
    let on = |node: &str| with(base, "node_name", Value::string(node));
    match parts.as_slice() {
        ["cluster"] => Some(base.clone()),
        ["node", node] => Some(on(node)),
        ["vm", node, vmid] => Some(with(&on(node), "vm_id", number(vmid)?)),
        ["container", node, vmid] => Some(with(&on(node), "container_id", number(vmid)?)),
        _ => None,
    }
}

/// Whose firewall it is: `cluster`, `node pve`, `vm 100`, `container 100`. `None` as long as that is not known.
pub(crate) fn owner(value: &Value) -> Option<String> {
    let open = |name: &str| value.get(name).is_some_and(|part| !part.is_known());
    if open("vm_id") || open("container_id") {
        return None;
    }
    match guest(value) {
        Some((label, _, id)) => Some(format!("{label} {id}")),
        None if open("node_name") => None,
        None => {
            Some(text_of(value, "node_name").map_or("cluster".to_string(), |node| format!("node {node}")))
        }
    }
}

/// Whether two texts mean the same network: `192.0.2.1/32` is `192.0.2.1`, bits of the host do not count.
pub(crate) fn same_network(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || network(a).is_some_and(|a| Some(a) == network(b))
}

fn network(text: &str) -> Option<(u128, u32, bool)> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let (bits, most, is_six) = match address.parse().ok()? {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32, false),
        IpAddr::V6(address) => (u128::from(address), 128, true),
    };
    let length: u32 =
        length.map_or(Some(most), |length| length.parse().ok().filter(|length| *length <= most))?;
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Some((bits & mask, length, is_six))
}

#[cfg(test)]
mod tests {
    use pve_model::Type;

    use super::*;

    #[test]
    fn a_guest_is_named_with_its_node() {
        let value = |parts: &[(&str, Value)]| {
            let absent = ["vm_id", "container_id", "node_name"].map(|name| (name, Value::null(Type::Number)));
            let parts = absent.into_iter().chain(parts.iter().cloned());
            Value::object(parts.map(|(name, part)| (name.into(), part)).collect())
        };
        let (id, node) = (Value::number(100), Value::string("pve"));
        for good in [
            &[][..],
            &[("node_name", node.clone())],
            &[("node_name", node.clone()), ("vm_id", id.clone())],
            &[("node_name", Value::unknown(Type::String)), ("container_id", id.clone())],
        ] {
            assert_eq!(validate_owner(&value(good)), vec![]);
        }
        for name in ["vm_id", "container_id"] {
            assert_eq!(validate_owner(&value(&[(name, id.clone())]))[0].path.to_string(), name);
        }
    }

    #[test]
    fn networks_are_compared_by_what_they_mean() {
        assert!(same_network("192.0.2.1", "192.0.2.1/32"));
        assert!(same_network("192.0.2.7/24", "192.0.2.0/24"));
        assert!(same_network("2001:DB8::1", "2001:db8:0::1/128"));
        assert!(!same_network("192.0.2.0/24", "192.0.2.0/25"));
        assert!(!same_network("0.0.0.0/0", "::/0"));
        assert!(same_network("dc/Office", "dc/office") && !same_network("dc/a", "dc/b"));
    }
}
