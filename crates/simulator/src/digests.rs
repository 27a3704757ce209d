//! Every endpoint that takes a digest refuses one that is not the present one.

use crate::calls::Calls;
use crate::schema;

/// A call that changes an object, and those that make the object before.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PCI: &str = "node=pve,id=8086:1521,path=0000:01:00.0,subsystem-id=8086:0000,iommugroup=1";
const OLD: (&str, &str) = ("digest", "0000000000000000000000000000000000000000");

/// What is there before: method, path, parameters.
const MADE: &[Case] = &[
    ("POST", "/cluster/acme/plugins", &[("id", "aa"), ("type", "dns"), ("api", "cf")]),
    ("POST", "/nodes/pve/qemu", &[("vmid", "100")]),
    ("POST", "/cluster/ha/resources", &[("sid", "vm:100")]),
    (
        "POST",
        "/cluster/ha/rules",
        &[("rule", "rr"), ("type", "node-affinity"), ("resources", "vm:100"), ("nodes", "pve")],
    ),
    ("POST", "/cluster/mapping/dir", &[("id", "dd"), ("map", "node=pve,path=/srv")]),
    ("POST", "/cluster/mapping/pci", &[("id", "pp"), ("map", PCI)]),
    ("POST", "/cluster/mapping/usb", &[("id", "uu"), ("map", "node=pve,id=1d6b:0002")]),
    ("POST", "/cluster/metrics/server/mm", &[("type", "graphite"), ("server", "h.test"), ("port", "2003")]),
    (
        "POST",
        "/cluster/sdn/controllers",
        &[("controller", "cc"), ("type", "evpn"), ("asn", "65000"), ("peers", "192.0.2.1")],
    ),
    (
        "POST",
        "/cluster/sdn/dns",
        &[("dns", "nn"), ("type", "powerdns"), ("url", "http://h.test"), ("key", "k")],
    ),
    (
        "POST",
        "/cluster/sdn/ipams",
        &[("ipam", "ii"), ("type", "netbox"), ("url", "http://h.test"), ("token", "t")],
    ),
    ("POST", "/cluster/sdn/zones", &[("zone", "zz"), ("type", "simple")]),
    ("POST", "/cluster/sdn/vnets", &[("vnet", "vv"), ("zone", "zz")]),
    ("POST", "/cluster/sdn/vnets/vv/subnets", &[("subnet", "192.0.2.0/24"), ("type", "subnet")]),
    ("POST", "/cluster/sdn/fabrics/fabric", &[("id", "ff"), ("protocol", "ospf"), ("area", "0")]),
    ("POST", "/cluster/sdn/fabrics/node/ff", &[("node_id", "pve"), ("protocol", "ospf")]),
    ("PUT", "/nodes/pve/config", &[("description", "x")]),
];

/// The endpoints with calls that change what is there.
const CHANGES: &[(&str, Case)] = &[
    ("/access/domains/{realm}", ("PUT", "/access/domains/pve", &[("comment", "x")])),
    ("/cluster/acme/plugins/{id}", ("PUT", "/cluster/acme/plugins/aa", &[("api", "ovh")])),
    ("/cluster/ha/resources/{sid}", ("PUT", "/cluster/ha/resources/vm:100", &[("comment", "x")])),
    (
        "/cluster/ha/rules/{rule}",
        ("PUT", "/cluster/ha/rules/rr", &[("type", "node-affinity"), ("comment", "x")]),
    ),
    ("/cluster/mapping/dir/{id}", ("PUT", "/cluster/mapping/dir/dd", &[("map", "node=pve,path=/srv")])),
    ("/cluster/mapping/pci/{id}", ("PUT", "/cluster/mapping/pci/pp", &[("map", PCI)])),
    ("/cluster/mapping/usb/{id}", ("PUT", "/cluster/mapping/usb/uu", &[("map", "node=pve,id=1d6b:0002")])),
    (
        "/cluster/metrics/server/{id}",
        ("PUT", "/cluster/metrics/server/mm", &[("server", "i.test"), ("port", "2003")]),
    ),
    ("/cluster/sdn/controllers/{controller}", ("PUT", "/cluster/sdn/controllers/cc", &[("asn", "65001")])),
    ("/cluster/sdn/dns/{dns}", ("PUT", "/cluster/sdn/dns/nn", &[("key", "l")])),
    ("/cluster/sdn/ipams/{ipam}", ("PUT", "/cluster/sdn/ipams/ii", &[("token", "u")])),
    ("/cluster/sdn/zones/{zone}", ("PUT", "/cluster/sdn/zones/zz", &[("mtu", "1400")])),
    ("/cluster/sdn/vnets/{vnet}", ("PUT", "/cluster/sdn/vnets/vv", &[("alias", "x")])),
    (
        "/cluster/sdn/vnets/{vnet}/subnets/{subnet}",
        ("PUT", "/cluster/sdn/vnets/vv/subnets/zz-192.0.2.0-24", &[("snat", "1")]),
    ),
    (
        "/cluster/sdn/fabrics/fabric/{id}",
        ("PUT", "/cluster/sdn/fabrics/fabric/ff", &[("protocol", "ospf"), ("area", "1")]),
    ),
    (
        "/cluster/sdn/fabrics/node/{fabric_id}/{node_id}",
        ("PUT", "/cluster/sdn/fabrics/node/ff/pve", &[("protocol", "ospf"), ("ip", "192.0.2.1")]),
    ),
    ("/nodes/{node}/config", ("PUT", "/nodes/pve/config", &[("description", "y")])),
    ("/nodes/{node}/hosts", ("POST", "/nodes/pve/hosts", &[("data", "127.0.0.1 localhost")])),
    ("/storage/{storage}", ("PUT", "/storage/local", &[("content", "iso")])),
];

#[test]
fn an_old_digest_is_refused_and_a_change_without_one_is_not() {
    let root = Calls::new();
    for (method, path, parameters) in MADE {
        root.ok(method, path, parameters);
    }
    for (template, (method, path, parameters)) in CHANGES {
        assert!(schema::endpoint(method, template).unwrap().contains_key("digest"), "{template}");
        let mut old = parameters.to_vec();
        old.push(OLD);
        let refused = root.refused(method, path, &old);
        assert!(refused.contains("detected modified configuration"), "{method} {path}: {refused}");
        root.ok(method, path, parameters);
    }
}
