//! Which values of a change the API refuses, parameter by parameter.

use pve_model::path::PathStep;
use pve_model::{Path, Value};

use super::Limits;
use super::references::short;
use crate::object::{Engine, Field, Form, SEVERAL, plain};

/// A value and why it is refused.
pub(super) struct Fault {
    /// What goes into it, what changes first.
    pub(super) paths: Vec<Path>,
    /// As it is refused, unless it may be a secret.
    pub(super) value: Option<String>,
    pub(super) reason: String,
}

type Faults = Vec<Fault>;

/// What the request would be refused for. Parameters that something unknown goes into are not looked at, nor those that
/// stay as they are.
pub(super) fn of_object(limits: Limits, engine: &Engine, prior: Option<&Value>, planned: &Value) -> Faults {
    let (method, template) = if prior.is_some() { engine.object.update } else { engine.object.create };
    let path = template.split('?').next().unwrap_or_default();
    let mut faults = Faults::new();
    for (name, text) in engine.sent(prior, planned).0 {
        let mut feeding = Vec::new();
        feeders(&engine.fields, &name, &Path::default(), &mut feeding);
        let part = |path: &Path| planned.at(path);
        let is_open = feeding.iter().any(|path| part(path).is_some_and(|part| !part.is_wholly_known()));
        let changed = |path: &Path| part(path) != prior.and_then(|prior| prior.at(path));
        if is_open || !feeding.iter().any(changed) {
            continue;
        }
        feeding.sort_by_key(|path| !changed(path));
        let fault = text.split(SEVERAL).find_map(|text| limits(method.name(), path, &name, text));
        let reason = fault.map(|fault| last_line(&fault));
        faults.extend(reason.map(|reason| Fault { paths: feeding, value: Some(text.clone()), reason }));
    }
    faults
}

/// The attributes that go into a parameter.
fn feeders(fields: &[Field], param: &str, path: &Path, found: &mut Vec<Path>) {
    for field in fields.iter().filter(|field| !field.fixed) {
        let here = path.child(PathStep::Attribute(field.name.into()));
        match (field.wire.key, field.wire.form) {
            (None, Form::Flat) => feeders(&field.inner, param, &here, found),
            (None, Form::Numbered(_)) => {
                let number = param.strip_prefix(field.param());
                if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
                    found.push(here);
                }
            }
            _ if field.param() == param => found.push(here),
            _ => {}
        }
    }
}

/// Attributes with the parameter that they go into, and the text of it with nothing else that could be wrong.
type Place = (&'static [&'static str], &'static str, &'static str);

const VM: &[Place] = &[
    (&["description"], "description", "{}"),
    (&["name"], "name", "{}"),
    (&["hostpci", "id"], "hostpci0", "host={}"),
    (&["hostpci", "mdev"], "hostpci0", "host=0000:01:00,mdev={}"),
    (&["hostpci", "rom_file"], "hostpci0", "host=0000:01:00,romfile={}"),
    (&["usb", "host"], "usb0", "host={}"),
    (&["smbios", "uuid"], "smbios1", "uuid={}"),
    (&["network_device", "mac_address"], "net0", "virtio={}"),
    (&["network_device", "mtu"], "net0", "virtio,mtu={}"),
    (&["network_device", "vlan_id"], "net0", "virtio,tag={}"),
    (&["initialization", "ip_config", "ipv4", "address"], "ipconfig0", "ip={}"),
    (&["initialization", "ip_config", "ipv4", "gateway"], "ipconfig0", "ip=192.0.2.1/24,gw={}"),
    (&["initialization", "ip_config", "ipv6", "address"], "ipconfig0", "ip6={}"),
    (&["initialization", "ip_config", "ipv6", "gateway"], "ipconfig0", "ip6=2001:db8::1/64,gw6={}"),
    (&["initialization", "dns", "servers"], "nameserver", "{}"),
];

const CONTAINER: &[Place] = &[
    (&["description"], "description", "{}"),
    (&["initialization", "hostname"], "hostname", "{}"),
    (&["network_interface", "mac_address"], "net0", "name=eth0,hwaddr={}"),
    (&["network_interface", "mtu"], "net0", "name=eth0,mtu={}"),
    (&["network_interface", "vlan_id"], "net0", "name=eth0,tag={}"),
    (&["initialization", "ip_config", "ipv4", "address"], "net0", "name=eth0,ip={}"),
    (&["initialization", "ip_config", "ipv4", "gateway"], "net0", "name=eth0,ip=192.0.2.1/24,gw={}"),
    (&["initialization", "ip_config", "ipv6", "address"], "net0", "name=eth0,ip6={}"),
    (&["initialization", "ip_config", "ipv6", "gateway"], "net0", "name=eth0,ip6=2001:db8::1/64,gw6={}"),
    (&["initialization", "dns", "servers"], "nameserver", "{}"),
];

const RULES: &[Place] = &[
    (&["rule", "comment"], "comment", "{}"),
    (&["rule", "dest"], "dest", "{}"),
    (&["rule", "dport"], "dport", "{}"),
    (&["rule", "iface"], "iface", "{}"),
    (&["rule", "log"], "log", "{}"),
    (&["rule", "macro"], "macro", "{}"),
    (&["rule", "proto"], "proto", "{}"),
    (&["rule", "security_group"], "action", "{}"),
    (&["rule", "source"], "source", "{}"),
    (&["rule", "sport"], "sport", "{}"),
];

const ALIAS: &[Place] = &[(&["cidr"], "cidr", "{}"), (&["name"], "name", "{}")];

const SET: &[Place] = &[(&["cidr", "name"], "cidr", "{}"), (&["name"], "name", "{}")];

/// Attributes that have a rule of their own, which no schema of the API tells.
type Rule = (&'static [&'static str], fn(&str) -> Option<String>);

const RULES_OF_VMS: &[Rule] = &[
    (&["hostpci", "device"], crate::limits::pci_slot),
    (KEYS, crate::limits::public_key),
    (&["tags"], crate::limits::tags),
];

const RULES_OF_CONTAINERS: &[Rule] = &[(KEYS, crate::limits::public_key), (&["tags"], crate::limits::tags)];

const KEYS: &[&str] = &["initialization", "user_account", "keys"];

/// What a kind that is written by hand sends, and the request.
fn by_hand(kind: &str) -> Option<(&'static [Place], &'static str, &'static str)> {
    Some(match short(kind) {
        "vm" => (VM, "PUT", "/nodes/{node}/qemu/{vmid}/config"),
        "container" => (CONTAINER, "PUT", "/nodes/{node}/lxc/{vmid}/config"),
        "firewall_rules" | "cluster_firewall_security_group" => (RULES, "POST", "/cluster/firewall/rules"),
        "firewall_alias" => (ALIAS, "POST", "/cluster/firewall/aliases"),
        "firewall_ipset" => (SET, "POST", "/cluster/firewall/ipset/{name}"),
        _ => return None,
    })
}

/// The same for the kinds that are written by hand: single values alone.
pub(super) fn of_kind(limits: Limits, kind: &str, prior: Option<&Value>, planned: &Value) -> Faults {
    let Some((places, method, endpoint)) = by_hand(kind) else { return Faults::new() };
    let mut faults = Faults::new();
    for (place, param, text) in places {
        for (path, value) in parts(planned, place, Path::default()) {
            let is_same = prior.and_then(|prior| prior.at(&path)) == Some(value);
            // 0 is how the attribute says that there is none.
            let Some(value) = plain(value).filter(|value| !is_same && value != "0") else { continue };
            let fault = limits(method, endpoint, param, &text.replace("{}", &value));
            let reason = fault.map(|fault| last_line(&fault));
            faults.extend(reason.map(|reason| Fault { paths: vec![path], value: Some(value), reason }));
        }
    }
    let rules = match short(kind) {
        "vm" => RULES_OF_VMS,
        "container" => RULES_OF_CONTAINERS,
        _ => &[],
    };
    faults.extend(rules.iter().flat_map(|rule| beyond(rule, prior, planned)));
    faults
}

/// What of a change a rule refuses. It may stand in a list: what it says of the value does not depend on the place.
fn beyond((place, rule): &Rule, prior: Option<&Value>, planned: &Value) -> Faults {
    let known = prior.map(|prior| parts(prior, place, Path::default())).unwrap_or_default();
    let is_new = |(_, value): &(Path, &Value)| !known.iter().any(|(_, known)| known == value);
    let new = parts(planned, place, Path::default()).into_iter().filter(is_new);
    let fault = |(path, value): (Path, &Value)| {
        let value = plain(value)?;
        let reason = rule(&value)?;
        // What stands in place of a public key may be a private one, or a password.
        Some(Fault { paths: vec![path], value: (*place != KEYS).then_some(value), reason })
    };
    new.filter_map(fault).collect()
}

/// The values at a place, of every block and element on the way.
fn parts<'v>(value: &'v Value, place: &[&str], path: Path) -> Vec<(Path, &'v Value)> {
    if let Some(elements) = value.elements() {
        let each = (0..).zip(elements);
        return each
            .flat_map(|(index, element)| parts(element, place, path.child(PathStep::Index(index))))
            .collect();
    }
    match place.split_first() {
        None => vec![(path, value)],
        Some((name, rest)) => value
            .get(name)
            .map_or_else(Vec::new, |part| parts(part, rest, path.child(PathStep::Attribute((*name).into())))),
    }
}

/// What is wrong, without the words around it and the name of the parameter.
fn last_line(fault: &str) -> String {
    let line = fault.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let line = line.strip_prefix("invalid format - ").unwrap_or(line);
    match line.split_once(": ") {
        Some((name, rest)) if name.contains('.') && !name.contains(' ') => {
            rest.strip_prefix("invalid format - ").unwrap_or(rest).to_string()
        }
        _ => line.to_string(),
    }
}
