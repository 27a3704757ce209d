//! The checks of a rule beyond its schema (`PVE::Firewall::verify_rule`); the first that fails is told.

use super::Scope;
use super::macros::MACROS;
use super::rules::{reference_error, version_of};
use crate::failure::Failure;
use crate::request::Request;
use crate::state::Options;

const WITH_PORTS: [&str; 10] = ["tcp", "udp", "udplite", "sctp", "dccp", "6", "17", "33", "132", "136"];

const ICMP: [&str; 37] = [
    "any",
    "echo-reply",
    "destination-unreachable",
    "network-unreachable",
    "host-unreachable",
    "protocol-unreachable",
    "port-unreachable",
    "fragmentation-needed",
    "source-route-failed",
    "network-unknown",
    "host-unknown",
    "network-prohibited",
    "host-prohibited",
    "TOS-network-unreachable",
    "TOS-host-unreachable",
    "communication-prohibited",
    "host-precedence-violation",
    "precedence-cutoff",
    "source-quench",
    "redirect",
    "network-redirect",
    "host-redirect",
    "TOS-network-redirect",
    "TOS-host-redirect",
    "echo-request",
    "router-advertisement",
    "router-solicitation",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "ip-header-bad",
    "required-option-missing",
    "timestamp-request",
    "timestamp-reply",
    "address-mask-request",
    "address-mask-reply",
];

const ICMP6: [&str; 25] = [
    "destination-unreachable",
    "no-route",
    "communication-prohibited",
    "beyond-scope",
    "address-unreachable",
    "port-unreachable",
    "failed-policy",
    "reject-route",
    "packet-too-big",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "bad-header",
    "unknown-header-type",
    "unknown-option",
    "echo-request",
    "echo-reply",
    "router-solicitation",
    "router-advertisement",
    "neighbor-solicitation",
    "neighbour-solicitation",
    "neighbor-advertisement",
    "neighbour-advertisement",
    "redirect",
];

/// True for a kind of ICMP in either family.
pub(crate) fn is_icmp_type(name: &str) -> bool {
    ICMP.contains(&name) || ICMP6.contains(&name)
}

fn refuse(parameter: &str, text: impl Into<String>) -> Result<(), Failure> {
    Err(Failure::parameter(parameter, text))
}

/// Refuses a rule that its place does not take.
pub(super) fn verify(request: &Request<'_>, scope: Scope, rule: &Options) -> Result<(), Failure> {
    check_kind(request, scope, rule)?;
    check_interface(scope, rule)?;
    if let Some(name) = rule.get("macro").filter(|name| !MACROS.iter().any(|(known, ..)| known == name)) {
        return refuse("macro", format!("unknown macro '{name}'"));
    }
    check_ports(rule)?;
    let version = check_addresses(request, scope, rule)?;
    check_macro(rule, version)
}

/// The name of a macro as it is written, whatever case it came in.
pub(super) fn preferred_macro(name: &str) -> String {
    let known = MACROS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    known.map_or(name, |(known, ..)| known).to_owned()
}

fn check_kind(request: &Request<'_>, scope: Scope, rule: &Options) -> Result<(), Failure> {
    let text = |key: &str| rule.get(key).map(String::as_str).unwrap_or_default();
    let (kind, action) = (text("type"), text("action"));
    let (place, fits) = match scope {
        Scope::Cluster => ("cluster", true),
        Scope::Node => ("host", true),
        Scope::Group => ("group", kind != "group"),
        Scope::Vnet => ("vnet", matches!(kind, "forward" | "group")),
        Scope::Guest => {
            let container =
                request.state.guests.get(&request.vmid()).is_some_and(|guest| guest.kind.name() == "lxc");
            (if container { "ct" } else { "vm" }, kind != "forward")
        }
    };
    if !fits {
        return refuse("type", format!("invalid rule type '{kind}' for rule_env '{place}'"));
    }
    if kind == "group" {
        let mut signs = action.chars();
        let valid = signs.next().is_some_and(|first| first.is_ascii_alphabetic())
            && action.len() > 1
            && signs.all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_'));
        return if valid { Ok(()) } else { refuse("action", "invalid characters in security group name") };
    }
    if kind == "forward" && action == "REJECT" {
        return refuse("action", "cannot define REJECT rules on forward chain");
    }
    match action {
        "ACCEPT" | "DROP" | "REJECT" => Ok(()),
        _ => refuse("action", format!("unknown action '{action}'")),
    }
}

fn check_interface(scope: Scope, rule: &Options) -> Result<(), Failure> {
    let Some(iface) = rule.get("iface") else { return Ok(()) };
    if scope == Scope::Group {
        return refuse("type", "parameter -i not allowed for this rule type");
    }
    let card = iface
        .strip_prefix("net")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if scope == Scope::Guest && !card {
        return refuse("iface", "value does not match the regex pattern 'net\\d+'");
    }
    Ok(())
}

fn check_ports(rule: &Options) -> Result<(), Failure> {
    let protocol = rule.get("proto").map(String::as_str);
    let icmp = matches!(protocol, Some("icmp" | "icmpv6" | "ipv6-icmp"));
    let check = |key: &str, also: bool| match protocol {
        _ if !rule.contains_key(key) => Ok(()),
        None => refuse("proto", format!("missing property - '{key}' requires this property")),
        Some(name) if WITH_PORTS.contains(&name) || also => Ok(()),
        Some(name) => refuse(key, format!("protocol '{name}' does not support ports")),
    };
    check("dport", icmp)?;
    if let Some(kind) = rule.get("icmp-type") {
        if !icmp {
            return refuse("proto", "missing property - 'icmp-type' requires this property");
        }
        if rule.contains_key("dport") {
            return refuse("icmp-type", "'icmp-type' cannot be specified together with 'dport'");
        }
        let known: &[&str] = if protocol == Some("icmp") { &ICMP } else { &ICMP6 };
        if !known.contains(&kind.as_str()) {
            let name = protocol.unwrap_or_default();
            return refuse("icmp-type", format!("invalid icmp-type '{kind}' for proto '{name}'"));
        }
    }
    check("sport", false)
}

/// The version of IP that the rule is about.
fn check_addresses(request: &Request<'_>, scope: Scope, rule: &Options) -> Result<Option<u8>, Failure> {
    let mut version = match rule.get("proto").map(String::as_str) {
        Some("icmp") => Some(4),
        Some("icmpv6" | "ipv6-icmp") => Some(6),
        _ => None,
    };
    for key in ["source", "dest"] {
        let Some(text) = rule.get(key) else { continue };
        if let Some(error) = reference_error(request, scope, text) {
            return Err(Failure::parameter(key, error));
        }
        let own = version_of(request, scope, text);
        if version.is_some() && own.is_some() && version != own {
            return Err(Failure::parameter(key, "detected mixed ipv4/ipv6 addresses in rule"));
        }
        version = version.or(own);
    }
    Ok(version)
}

/// What a macro sets cannot be set to something else beside it.
fn check_macro(rule: &Options, version: Option<u8>) -> Result<(), Failure> {
    let found = rule.get("macro").and_then(|name| MACROS.iter().find(|(known, ..)| known == name));
    let Some((name, templates, _)) = found else { return Ok(()) };
    // These two are about version 6 alone.
    if version == Some(4) && matches!(*name, "NeighborDiscovery" | "DHCPv6") {
        return Ok(());
    }
    for (protocol, port, source_port) in *templates {
        let protocol = if *protocol == "icmp" && version == Some(6) { "icmpv6" } else { protocol };
        for (key, value) in [("proto", protocol), ("dport", *port), ("sport", *source_port)] {
            if !value.is_empty() && rule.get(key).is_some_and(|own| own != value) {
                return refuse(key, format!("parameter '{key}' already define in macro (value = '{value}')"));
            }
        }
    }
    Ok(())
}
