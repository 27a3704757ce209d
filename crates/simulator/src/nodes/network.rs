//! A node's interfaces: what runs, what is to run after the next reload (PVE::API2::Network).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::interfaces::{check, difference, families, in_order, method, text, vlan};
use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::schema::formats::split_list;
use crate::sections::Sections;
use crate::state::{Options, State};

const ALL: &str = "/nodes/{node}/network";
const ONE: &str = "/nodes/{node}/network/{iface}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", ALL, list),
    ("POST", ALL, create),
    ("PUT", ALL, reload),
    ("DELETE", ALL, revert),
    ("GET", ONE, read),
    ("PUT", ONE, update),
    ("DELETE", ONE, delete),
];

/// The interfaces of one node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Network {
    pub running: Sections,
    /// The file that the next reload takes; `None` if nothing was changed.
    pub pending: Option<Sections>,
    /// The running file was written through the API.
    pub generated: bool,
}

/// The interfaces of a node that were never changed: those of all nodes, each node with the next address.
fn initial(state: &State, number: usize) -> Sections {
    let next = |cidr: &str| -> Option<String> {
        let (address, bits) = cidr.split_once('/')?;
        let address = address.parse::<std::net::Ipv4Addr>().ok()?;
        Some(format!("{}/{bits}", std::net::Ipv4Addr::from(u32::from(address) + number as u32)))
    };
    let mut interfaces = state.networks.clone();
    for options in interfaces.values_mut() {
        if let Some(cidr) = options.get("cidr").and_then(|cidr| next(cidr)) {
            options.insert("cidr".to_owned(), cidr);
        }
        options.retain(|key, _| !matches!(key.as_str(), "address" | "netmask" | "method"));
    }
    interfaces
}

fn network(request: &Request<'_>) -> Network {
    let number = request.options.nodes().position(|node| *node == request.node).unwrap_or(0);
    request
        .state
        .node_networks
        .get(&request.node)
        .cloned()
        .unwrap_or_else(|| Network { running: initial(request.state, number), ..Network::default() })
}

/// Whether an interface runs on the node of a request; virtual networks count.
pub(crate) fn has_bridge(request: &Request<'_>, name: &str) -> bool {
    let own = match request.state.node_networks.get(&request.node) {
        Some(network) => network.running.contains_key(name),
        None => request.state.networks.contains_key(name),
    };
    own || crate::sdn::has_bridge(request.state, &request.node, name)
}

/// An interface as it is read back.
fn shown(network: &Network, interfaces: &Sections, name: &str) -> Map<String, Value> {
    let options = &interfaces[name];
    let numbers = ["autostart", "exists", "bridge_vlan_aware"];
    let hidden = ["active", "priority", "method", "method6", "cidr", "cidr6", "altnames"];
    let mut row: Map<String, Value> = options
        .iter()
        .filter(|(key, _)| !hidden.contains(&key.as_str()))
        .map(|(key, text)| match text.parse::<u64>() {
            Ok(number) if numbers.contains(&key.as_str()) => (key.clone(), json!(number)),
            _ if key.starts_with("comments") => (key.clone(), json!(format!("{}\n", text.trim_end()))),
            _ => (key.clone(), json!(text)),
        })
        .collect();
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("families", json!(families(options)));
    for suffix in ["", "6"] {
        put(&format!("method{suffix}"), json!(method(options, suffix)));
        if let Some((address, bits)) =
            options.get(&format!("cidr{suffix}")).and_then(|cidr| cidr.split_once('/'))
        {
            put(&format!("cidr{suffix}"), json!(format!("{address}/{bits}")));
            put(&format!("address{suffix}"), json!(address));
            put(&format!("netmask{suffix}"), json!(bits));
        }
    }
    let position = in_order(interfaces).iter().position(|other| *other == name).unwrap_or(0);
    // The loopback device is the second thing in the file.
    put("priority", json!(position + 3));
    if network.running.get(name).is_some_and(|runs| runs.get("active").is_some_and(|value| value == "1")) {
        put("active", json!(1));
    }
    if let Some(names) = options.get("altnames") {
        put("altnames", split_list(names).collect());
    }
    let defaults: &[(&str, &str)] = match options.get("type").map(String::as_str) {
        Some("bridge") => &[("bridge_ports", ""), ("bridge_stp", "off"), ("bridge_fd", "0")],
        Some("bond") => &[("slaves", ""), ("bond_miimon", "100"), ("bond_mode", "balance-rr")],
        _ => &[],
    };
    for (key, text) in defaults {
        row.entry(*key).or_insert(json!(text));
    }
    if options.contains_key("bridge_vlan_aware") {
        // That it is there is enough for whoever writes the file.
        row.insert("bridge_vlan_aware".to_owned(), json!(1));
        row.entry("bridge_vids").or_insert(json!("2-4094"));
    }
    if let Some((parent, tag)) =
        vlan(name, options).filter(|_| options.get("type").is_some_and(|kind| kind == "vlan"))
    {
        row.insert("vlan-raw-device".to_owned(), json!(parent));
        row.insert("vlan-id".to_owned(), json!(tag));
        row.entry("exists").or_insert(Value::Null);
    }
    row
}

fn list(request: &mut Request<'_>) -> Answer {
    let network = network(request);
    let wanted = request.get("type");
    let fits = |kind: &str| match wanted {
        None | Some("include_sdn") => true,
        Some("any_bridge" | "any_local_bridge") => matches!(kind, "bridge" | "OVSBridge"),
        Some(wanted) => wanted == kind,
    };
    let interfaces = network.pending.as_ref().unwrap_or(&network.running);
    let seen = interfaces.iter().filter(|(name, options)| {
        let kind = options.get("type").map(String::as_str).unwrap_or_default();
        let path = format!("/sdn/zones/localnetwork/{name}");
        let local = !matches!(kind, "bridge" | "OVSBridge");
        fits(kind)
            && (local
                || !wanted.is_some_and(|wanted| wanted.starts_with("any"))
                || request.allows_any(&path, &["SDN.Audit", "SDN.Use"]))
    });
    let mut rows: Vec<Value> = seen
        .map(|(name, _)| {
            let mut row = shown(&network, interfaces, name);
            row.insert("iface".to_owned(), json!(name));
            Value::Object(row)
        })
        .collect();
    if matches!(wanted, Some("any_bridge" | "include_sdn" | "vnet")) {
        rows.extend(crate::sdn::interfaces(request));
    }
    if let Some(pending) = &network.pending {
        let clock = format!("{}.000000000 +0000", crate::tasks::clock(request.seconds()));
        let names = ["interfaces", "interfaces.new"].map(|name| format!("/etc/network/{name}\t{clock}"));
        let changes = difference(&text(&network.running, network.generated), &text(pending, true), names);
        request.changes = Some(changes);
    }
    Ok(Value::Array(rows))
}

fn missing() -> Failure {
    Failure::parameter("iface", "interface does not exist")
}

fn read(request: &mut Request<'_>) -> Answer {
    let (network, name) = (network(request), request.text("iface"));
    let interfaces = network.pending.as_ref().unwrap_or(&network.running);
    if !interfaces.contains_key(&name) {
        return Err(missing());
    }
    Ok(Value::Object(shown(&network, interfaces, &name)))
}

/// What a call sets, with addresses as networks.
fn set(request: &Request<'_>, present: &Sections, name: &str) -> Result<Options, Failure> {
    let call = ["node", "iface", "delete"];
    let set = request.parameters.iter().filter(|(key, _)| !call.contains(&key.as_str()));
    let mut set: Options = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    let gateways = [("gateway", "Default gateway"), ("gateway6", "Default ipv6 gateway")];
    for (key, what) in gateways.into_iter().filter(|(key, _)| set.contains_key(*key)) {
        if let Some((other, _)) =
            present.iter().find(|(other, options)| *other != name && options.contains_key(key))
        {
            return Err(Failure::parameter(key, format!("{what} already exists on interface '{other}'.")));
        }
    }
    check_ports(present, &set, name)?;
    for suffix in ["", "6"] {
        let key = |stem: &str| format!("{stem}{suffix}");
        if set.contains_key(&key("cidr")) {
            for other in ["address", "netmask"].map(key) {
                if set.contains_key(&other) {
                    let text = format!("{other} conflicts with cidr{suffix}");
                    return Err(Failure::parameter(&other, text));
                }
            }
        }
        if let Some(address) = set.remove(&key("address")) {
            let mask = set.remove(&key("netmask"));
            let bits = mask.map(|mask| {
                mask.parse::<std::net::Ipv4Addr>()
                    .map_or(mask, |mask| u32::from(mask).count_ones().to_string())
            });
            let whole = if suffix.is_empty() { "32" } else { "128" };
            set.insert(key("cidr"), format!("{address}/{}", bits.unwrap_or_else(|| whole.to_owned())));
        }
        let method = if set.contains_key(&key("cidr")) { "static" } else { "manual" };
        set.insert(key("method"), method.to_owned());
    }
    if let Some(tags) = set.get("bridge_vids") {
        let tags = split_list(tags).collect::<Vec<_>>().join(" ");
        if tags.is_empty() {
            return Err(Failure::parameter("bridge_vids", "VLAN list items are empty"));
        }
        set.insert("bridge_vids".to_owned(), tags);
    }
    Ok(set)
}

/// A port belongs to one interface.
fn check_ports(present: &Sections, set: &Options, name: &str) -> Result<(), Failure> {
    const PORTS: [&str; 4] = ["bridge_ports", "ovs_ports", "slaves", "ovs_bonds"];
    let ports = |options: &Options| -> Vec<String> {
        let lists = PORTS.iter().filter_map(|key| options.get(*key));
        lists.flat_map(|list| split_list(list)).map(str::to_owned).collect()
    };
    let new = ports(set);
    let Some(key) = PORTS.iter().find(|key| set.get(**key).is_some_and(|list| !list.is_empty())) else {
        return Ok(());
    };
    for (other, options) in present.iter().filter(|(other, _)| *other != name) {
        if let Some(port) = ports(options).iter().find(|port| new.contains(port)) {
            let text = format!("{port} is already used on interface '{other}'.");
            return Err(Failure::parameter(key, text));
        }
    }
    Ok(())
}

/// Puts changed interfaces into the file that the next reload takes.
fn store(request: &mut Request<'_>, mut network: Network, mut interfaces: Sections) -> Answer {
    check(&interfaces)?;
    for options in interfaces.values_mut() {
        options.retain(|key, value| key != "autostart" || value == "1");
    }
    let order: Vec<String> = in_order(&interfaces).into_iter().cloned().collect();
    for (number, name) in order.iter().enumerate() {
        if let Some(options) = interfaces.get_mut(name) {
            options.insert("priority".to_owned(), (number + 3).to_string());
        }
    }
    network.pending = Some(interfaces);
    request.state.node_networks.insert(request.node.clone(), network);
    Ok(Value::Null)
}

fn create(request: &mut Request<'_>) -> Answer {
    let (network, name) = (network(request), request.text("iface"));
    let mut interfaces = network.pending.clone().unwrap_or_else(|| network.running.clone());
    if interfaces.contains_key(&name) {
        return Err(Failure::parameter("iface", "interface already exists"));
    }
    let set = set(request, &interfaces, &name)?;
    if set.get("type").is_some_and(|kind| kind.starts_with("OVS")) {
        let text = "Open VSwitch is not installed (need package 'openvswitch-switch')";
        return Err(Failure::died(text));
    }
    interfaces.insert(name, set);
    store(request, network, interfaces)
}

fn update(request: &mut Request<'_>) -> Answer {
    let (network, name) = (network(request), request.text("iface"));
    let mut interfaces = network.pending.clone().unwrap_or_else(|| network.running.clone());
    let Some(mut options) = interfaces.get(&name).cloned() else { return Err(missing()) };
    for key in split_list(request.get("delete").unwrap_or_default()) {
        options.remove(&key.replace("address", "cidr"));
    }
    options.extend(set(request, &interfaces, &name)?);
    interfaces.insert(name, options);
    store(request, network, interfaces)
}

fn delete(request: &mut Request<'_>) -> Answer {
    let (network, name) = (network(request), request.text("iface"));
    let mut interfaces = network.pending.clone().unwrap_or_else(|| network.running.clone());
    if interfaces.remove(&name).is_none() {
        return Err(missing());
    }
    store(request, network, interfaces)
}

/// Takes the changed file. What is there then runs.
/// A reload that fails has written the file all the same.
fn reload(request: &mut Request<'_>) -> Answer {
    let mut network = network(request);
    let error = request.forced_exit.take();
    if let Some(pending) = network.pending.take() {
        network.running = pending;
        network.generated = true;
        for options in network.running.values_mut() {
            let starts = options.get("autostart").is_some_and(|value| value == "1")
                || options.get("type").is_some_and(|kind| kind == "eth");
            if starts {
                options.insert("active".to_owned(), "1".to_owned());
            }
        }
        request.state.node_networks.insert(request.node.clone(), network);
    }
    Ok(request.submit("srvreload", "networking", Outcome { error, ..Outcome::default() }))
}

fn revert(request: &mut Request<'_>) -> Answer {
    if let Some(network) = request.state.node_networks.get_mut(&request.node) {
        network.pending = None;
    }
    Ok(Value::Null)
}
