//! Firewalls of guests and of the cluster.

use std::collections::BTreeSet;

use super::Api;

#[tokio::test]
async fn firewall_rules_are_verified_one_fault_at_a_time() {
    // PVE::Firewall, verify_rule, $apply_macro, delete_rule_properties; PVE::API2::Firewall.
    let rules = "/cluster/firewall/rules";
    let guest = "/nodes/pve/qemu/100/firewall/rules";
    let api = Api::start().await;
    api.expect(&[
        ("POST", rules, "type=in&action=ACCEPT&macro=ssh", "200"),
        ("POST", rules, "type=in&action=ACCEPT&macro=SSH&proto=tcp", "200"),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&macro=SSH&proto=udp",
            "proto: parameter 'proto' already define in macro (value = 'tcp')",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&macro=SSH&proto=tcp&dport=23",
            "dport: parameter 'dport' already define in macro (value = '22')",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&macro=SSH&dport=22",
            "proto: missing property - 'dport' requires this property",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&proto=esp&dport=22",
            "dport: protocol 'esp' does not support ports",
        ),
        ("POST", rules, "type=in&action=ACCEPT&proto=icmp&dport=8", "200"),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&proto=icmp&icmp-type=no-route",
            "icmp-type: invalid icmp-type 'no-route' for proto 'icmp'",
        ),
        (
            "POST",
            rules,
            "type=in&action=ACCEPT&proto=icmp&source=fe80::1",
            "source: detected mixed ipv4/ipv6 addresses in rule",
        ),
        ("POST", rules, "type=forward&action=REJECT", "action: cannot define REJECT rules on forward chain"),
        ("POST", guest, "type=forward&action=ACCEPT", "type: invalid rule type 'forward' for rule_env 'vm'"),
        ("POST", guest, "type=in&action=ACCEPT&source=+guest/x&dest=+y", "source: no such ipset 'x'"),
        ("POST", "/cluster/firewall/groups", "group=g1", "200"),
        ("POST", "/cluster/firewall/groups", "group=g2", "200"),
        (
            "POST",
            "/cluster/firewall/groups",
            "group=g2&rename=g1",
            "group: Security group 'g2' does already exist",
        ),
        (
            "POST",
            "/cluster/firewall/groups/g1",
            "type=in&action=ACCEPT&iface=net0",
            "type: parameter -i not allowed for this rule type",
        ),
        ("PUT", "/cluster/firewall/rules/0", "delete=foo", "delete: no such property ('foo')"),
        (
            "PUT",
            "/cluster/firewall/rules/0",
            "delete=type",
            "delete: unable to delete required property 'type'",
        ),
        ("POST", "/cluster/firewall/ipset", "name=set1", "200"),
        ("POST", "/cluster/firewall/ipset/set1", "cidr=nope", "no such alias 'nope'"),
        ("POST", "/cluster/firewall/ipset/set1", "cidr=10.0.0.7/24", "200"),
        ("GET", "/cluster/firewall/ipset/set1/10.0.0.7/24", "", "cidr: no such IP/Network"),
    ])
    .await;
    // The last of the rules is the first that was made, under the macro's own name.
    assert_eq!(api.get(rules).await[2]["macro"], "SSH");
}

#[tokio::test]
async fn an_empty_field_takes_a_rules_value_away() {
    // PVE::Firewall: copy_rule_data; parse_address_list, parse_port_name_number_or_range and the formats
    // pve-fw-protocol-spec and pve-fw-icmp-type-spec let nothing pass, pve-iface and the enumerations do not.
    let rules = "/cluster/firewall/rules";
    let first = "/cluster/firewall/rules/0";
    let api = Api::start().await;
    let empty = "macro=&dport=&sport=&source=&dest=&proto=&comment=&icmp-type=";
    let create: &'static str = format!("type=in&action=ACCEPT&enable=1&{empty}").leak();
    api.expect(&[("POST", rules, create, "200")]).await;
    let bare = api.get(first).await;
    let fields: BTreeSet<&str> = bare.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["action", "digest", "enable", "pos", "type"]));
    api.expect(&[
        ("PUT", first, "proto=tcp&dport=22,80:90,http&source=10.0.0.0/8&comment=x&macro=-", "200"),
        ("PUT", first, empty, "200"),
    ])
    .await;
    let mut again = api.get(first).await;
    again["digest"] = bare["digest"].clone();
    assert_eq!(again, bare);
    let refused = |field: &str, text: &str| {
        let (parameters, answer) = (
            format!("type=in&action=ACCEPT&{field}"),
            format!("{}: {text}", field.split('=').next().unwrap()),
        );
        let both: (&'static str, &'static str) = (parameters.leak(), answer.leak());
        ("POST", rules, both.0, both.1)
    };
    api.expect(&[
        refused("iface=", "invalid format - invalid network interface name ''\n"),
        refused(
            "log=",
            "value '' does not have a value in the enumeration 'emerg, alert, crit, err, warning, notice, info, debug, nolog'",
        ),
        refused("enable=", "type check ('integer') failed - got ''"),
        refused("dport=-", "invalid format - invalid port '-'\n"),
        refused("dport=22,", "invalid format - extraneous commas in list\n"),
        refused("dport=ssh:http", "invalid format - invalid port 'ssh:http'\n"),
        refused("dport=echo-reply,80", "invalid format - ICMP ports not allowed in port range\n"),
        refused("dport=1,2,3,4,5,6,7,8:9,10,11,12,13,14,15,16", "invalid format - too many entries in port list (> 15 numbers)\n"),
        refused("sport=echo-reply", "invalid format - invalid port 'echo-reply'\n"),
        refused("source=10.0.0.1,", "invalid format - extraneous commas in list\n"),
        refused("icmp-type=foo", "invalid format - invalid icmp-type value 'foo'\n"),
    ])
    .await;
}

#[tokio::test]
async fn a_clone_has_the_firewall_of_its_source() {
    // PVE::Firewall, clone_vmfw_conf.
    let api = Api::start().await;
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/firewall/options", "enable=1", "200"),
        ("POST", "/nodes/pve/qemu/100/clone", "newid=120", "200"),
    ])
    .await;
    assert_eq!(api.get("/nodes/pve/qemu/120/firewall/options").await["enable"], 1);
}
