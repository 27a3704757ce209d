//! What a cluster refuses of access, networks, high availability, storages and jobs is told by the plan at its place; apply
//! does not begin with it, and the cluster does refuse it where it is tried all the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use pve_simulator::{Options, RequestRecord};
use simulated::{Cluster, PROVIDER, Project};

/// A block of which the marked line is no good, and what is told of it.
struct Case {
    block: String,
    told: &'static str,
}

fn case(kind: &str, body: &str, told: &'static str) -> Case {
    Case {
        block: format!("resource \"proxmox_{kind}\" \"it\" {{\n  {}\n}}\n", body.replace("; ", "\n  ")),
        told,
    }
}

/// A cluster of two nodes with a few things, each of which somebody made by hand.
fn cluster() -> Cluster {
    let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
    let cluster = Cluster::start(options);
    for (path, params) in [
        ("/nodes/pve/qemu", &[("vmid", "100"), ("name", "first")] as &[_]),
        ("/nodes/pve/qemu", &[("vmid", "101"), ("name", "second")]),
        ("/pools", &[("poolid", "crew")]),
        ("/access/users", &[("userid", "ann@pve")]),
        ("/access/groups", &[("groupid", "ops")]),
        ("/access/roles", &[("roleid", "Mine"), ("privs", "VM.Audit")]),
        ("/cluster/sdn/zones", &[("zone", "plain"), ("type", "simple")]),
        ("/cluster/sdn/zones", &[("zone", "tagged"), ("type", "vlan"), ("bridge", "vmbr0")]),
        ("/cluster/sdn/vnets", &[("vnet", "lab"), ("zone", "plain")]),
        ("/cluster/sdn/vnets", &[("vnet", "five"), ("zone", "tagged"), ("tag", "5")]),
        ("/cluster/ha/resources", &[("sid", "vm:101")]),
        ("/cluster/backup", &[("id", "nightly"), ("schedule", "02:30"), ("storage", "local"), ("all", "1")]),
    ] {
        cluster.send("POST", path, params);
    }
    cluster
}

/// A plan tells each case at the marked line, apply does not begin, and the cluster refuses what is tried all the same.
fn refused(cases: &[Case]) {
    let cluster = cluster();
    for Case { block, told } in cases {
        let text = format!("{PROVIDER}{block}");
        let line = text.lines().position(|line| line.ends_with("# here")).unwrap() + 1;
        let mut project = Project::of(&cluster, &text);
        let (code, said) = project.ends(&["plan"]);
        assert!(code == 0 && said.contains(told), "{block}: {told}\n{said}");
        assert!(said.contains(&format!("main.tf:{line}:")), "line {line} of {block}\n{said}");
        cluster.forget_requests();
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("would refuse this on the way"), "{block}\n{said}");
        let writes = cluster.requests().into_iter().filter(|request| request.method != "GET");
        assert_eq!(writes.count(), 0, "{block}");
        project.set("PVE_PREFLIGHT", "off");
        cluster.forget_requests();
        let said = project.fails(&["apply", "--auto-approve"]);
        let refuses = |request: &RequestRecord| request.method != "GET" && request.status >= 400;
        // A guest that does not exist comes into a pool, and is never shown there: pve itself refuses that.
        let is_refused = cluster.requests().iter().any(refuses) || said.contains("create: there is no guest");
        assert!(is_refused, "{block}\n{said}\n{:#?}", cluster.requests());
    }
}

#[test]
fn what_access_does_not_have() {
    refused(&[
        case(
            "acl",
            r#"path = "/"; role_id = "PVEAuditor"; user_id = "bob@pve" # here"#,
            "no user \"bob@pve\"",
        ),
        case(
            "acl",
            r#"path = "/"; role_id = "PVEAuditor"; token_id = "ann@pve!x1" # here"#,
            "no token \"ann@pve!x1\"",
        ),
        case("acl", r#"path = "/"; role_id = "PVEAuditor"; group_id = "none" # here"#, "no group \"none\""),
        case("user_token", r#"token_name = "t1"; user_id = "bob@pve" # here"#, "no user \"bob@pve\""),
        case("realm_sync", r#"scope = "both"; realm = "nada" # here"#, "no realm \"nada\""),
        case(
            "virtual_environment_role",
            r#"role_id = "Ops"; privileges = ["VM.Monitor", "VM.Audit"] # here"#,
            "no privilege \"VM.Monitor\"",
        ),
        case("virtual_environment_pool", r#"pool_id = "none/b" # here"#, "no pool \"none\""),
        case("pool_membership", r#"pool_id = "crew"; vm_id = 999 # here"#, "no guest 999"),
    ]);
}

#[test]
fn what_is_there_already() {
    refused(&[
        case(
            "virtual_environment_user",
            r#"user_id = "ann@pve" # here"#,
            "The user \"ann@pve\" is there already",
        ),
        case("virtual_environment_group", r#"group_id = "ops" # here"#, "The group \"ops\" is there already"),
        case(
            "virtual_environment_role",
            r#"privileges = ["VM.Audit"]; role_id = "Administrator" # here"#,
            "The role \"Administrator\" is there already",
        ),
        case("virtual_environment_pool", r#"pool_id = "crew" # here"#, "The pool \"crew\" is there already"),
        case(
            "storage_directory",
            r#"path = "/srv"; id = "local" # here"#,
            "The datastore \"local\" is there already",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr0" # here"#,
            "The interface \"vmbr0\" is on pve already",
        ),
        case(
            "sdn_zone_simple",
            r#"mtu = 1400; id = "plain" # here"#,
            "pve import proxmox_sdn_zone_simple.it plain",
        ),
        case("sdn_zone_simple", r#"id = "plain" # here"#, "The zone \"plain\" is there already"),
        case("sdn_vnet", r#"zone = "plain"; id = "lab" # here"#, "The vnet \"lab\" is there already"),
        case("haresource", r#"resource_id = "vm:101" # here"#, "The HA resource \"vm:101\" is there already"),
        case(
            "backup_job",
            r#"schedule = "02:30"; storage = "local"; all = true; id = "nightly" # here"#,
            "The backup job \"nightly\" is there already",
        ),
        case(
            "realm_openid",
            r#"issuer_url = "https://login.example.test"; client_id = "pve"; realm = "pve" # here"#,
            "The realm \"pve\" is there already",
        ),
    ]);
}

#[test]
fn what_networks_need() {
    refused(&[
        case("sdn_vnet", r#"id = "va"; zone = "none" # here"#, "no zone \"none\""),
        case("sdn_vnet", r#"id = "va"; zone = "plain"; tag = 7 # here"#, "does not take this tag"),
        case(
            "sdn_vnet",
            r#"id = "va"; zone = "tagged"; tag = 5 # here"#,
            "Two vnets have the tag 5 in the zone \"tagged\"",
        ),
        case("sdn_subnet", r#"cidr = "192.0.2.0/24"; vnet = "none" # here"#, "no vnet \"none\""),
        case(
            "sdn_zone_evpn",
            r#"id = "ev"; vrf_vxlan = 4000; controller = "none" # here"#,
            "no controller \"none\"",
        ),
        case("sdn_zone_simple", r#"id = "za"; ipam = "none" # here"#, "no IPAM \"none\""),
        case(
            "sdn_zone_simple",
            r#"id = "za"; dns_zone = "lan"; dns = "none" # here"#,
            "no DNS server \"none\"",
        ),
        case(
            "sdn_fabric_node_openfabric",
            r#"node_id = "pve"; interface_names = ["eno1"]; fabric_id = "none" # here"#,
            "no fabric \"none\"",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr7"; ports = ["eno9"] # here"#,
            "no interface \"eno9\" on pve",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr7"; ports = ["eno1"] # here"#,
            "The device eno1 is in use",
        ),
        case(
            "network_linux_bond",
            r#"node_name = "pve"; name = "bond0"; slaves = ["eno9"] # here"#,
            "no interface \"eno9\" on pve",
        ),
        case(
            "network_linux_bridge",
            r#"node_name = "pve"; name = "vmbr7"; address = "192.0.2.2/24"; gateway = "192.0.2.1" # here"#,
            "a default gateway on pve already",
        ),
        case(
            "network_linux_vlan",
            r#"node_name = "pve"; name = "eno9.30" # here"#,
            "no interface \"eno9\" on pve",
        ),
    ]);
}

#[test]
fn what_guests_storages_and_jobs_need() {
    refused(&[
        case("haresource", r#"resource_id = "vm:777" # here"#, "no guest 777"),
        case("haresource", r#"resource_id = "ct:100" # here"#, "The guest 100 is a virtual machine"),
        case("haresource", r#"resource_id = "vm:100"; group = "fast" # here"#, "no HA groups any more"),
        case("hagroup", r#"nodes = { pve = 1 }; group = "fast" # here"#, "use proxmox_harule"),
        case(
            "harule",
            r#"rule = "ra"; type = "node-affinity"; nodes = { pve = 1 }; resources = ["vm:100"] # here"#,
            "no HA resource \"vm:100\"",
        ),
        case(
            "harule",
            r#"rule = "ra"; type = "node-affinity"; resources = ["vm:101"]; nodes = { pve9 = 1 } # here"#,
            "no node \"pve9\"",
        ),
        case("replication", r#"target = "pve2"; type = "local"; id = "777-0" # here"#, "no guest 777"),
        case("replication", r#"id = "100-0"; type = "local"; target = "pve9" # here"#, "no node \"pve9\""),
        case("replication", r#"id = "100-0"; type = "local"; target = "pve" # here"#, "from pve to itself"),
        case("storage_lvm", r#"id = "san"; volume_group = "vg0" # here"#, "no volume group \"vg0\""),
        case(
            "storage_lvmthin",
            r#"id = "fast"; volume_group = "vg0"; thin_pool = "data" # here"#,
            "no thin pool \"data\"",
        ),
        case(
            "backup_job",
            r#"id = "ja"; schedule = "02:30"; storage = "local"; pool = "none" # here"#,
            "no pool \"none\"",
        ),
        case(
            "backup_job",
            r#"id = "ja"; schedule = "02:30"; storage = "local"; all = true; script = "/x" # here"#,
            "Only root@pam itself may set script",
        ),
        case("acme_account", r#"contact = "a@example.test" # here"#, "Only root@pam itself"),
    ]);
}

#[test]
fn what_the_plan_makes_or_frees_is_no_reason_not_to_begin() {
    let cluster = cluster();
    let made = r#"
resource "proxmox_virtual_environment_user" "u" { user_id = "bob@pve" }
resource "proxmox_user_token" "t" {
  user_id    = "bob@pve"
  token_name = "t1"
  depends_on = [proxmox_virtual_environment_user.u]
}
resource "proxmox_acl" "t" {
  path       = "/"
  role_id    = "PVEAuditor"
  token_id   = "bob@pve!t1"
  depends_on = [proxmox_user_token.t]
}
resource "proxmox_sdn_zone_vlan" "z" {
  id     = "zb"
  bridge = "vmbr0"
}
resource "proxmox_sdn_vnet" "v" {
  id         = "vb"
  zone       = "zb"
  tag        = 7
  depends_on = [proxmox_sdn_zone_vlan.z]
}
resource "proxmox_haresource" "r" { resource_id = "vm:100" }
resource "proxmox_harule" "r" {
  rule       = "rb"
  type       = "node-affinity"
  resources  = ["vm:100"]
  nodes      = { pve = 1 }
  depends_on = [proxmox_haresource.r]
}
resource "proxmox_network_linux_bridge" "b" {
  node_name = "pve"
  name      = "vmbr8"
}
resource "proxmox_network_linux_vlan" "v" {
  node_name  = "pve"
  name       = "vmbr8.30"
  depends_on = [proxmox_network_linux_bridge.b]
}
"#;
    let pool = |name: &str| {
        format!("resource \"proxmox_virtual_environment_pool\" \"{name}\" {{ pool_id = \"mine\" }}\n")
    };
    let project = Project::of(&cluster, &format!("{PROVIDER}{made}{}", pool("one")));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("Warning"), "{said}");
    project.ok(&["apply", "--auto-approve"]);
    // Another address of the same name: the old one goes.
    project.write("main.tf", &format!("{PROVIDER}{made}{}", pool("other")));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("already"), "{said}");
    // Nothing is asked of what does not change.
    project.write("main.tf", &format!("{PROVIDER}{made}{}", pool("one")));
    cluster.forget_requests();
    project.ok(&["plan"]);
    let asked: Vec<_> = cluster.requests().into_iter().map(|request| request.path).collect();
    assert!(
        !asked.iter().any(|path| ["/access/roles", "/cluster/sdn/ipams", "/cluster/ha/resources"]
            .iter()
            .any(|list| path.ends_with(list))),
        "{asked:?}"
    );
}

#[test]
fn what_a_token_may_not_see_is_not_said_to_be_missing() {
    let cluster = cluster();
    cluster.send("POST", "/access/users", &[("userid", "low@pve")]);
    cluster.send(
        "PUT",
        "/access/acl",
        &[("path", "/pool/crew"), ("users", "low@pve"), ("roles", "PVEPoolAdmin")],
    );
    let token = cluster.send("POST", "/access/users/low@pve/token/t1", &[("privsep", "0")]);
    let blocks = r#"
resource "proxmox_acl" "a" {
  path    = "/pool/crew"
  role_id = "PVEAuditor"
  user_id = "ann@pve"
}
resource "proxmox_sdn_vnet" "v" {
  id   = "vb"
  zone = "plain"
}
resource "proxmox_harule" "r" {
  rule      = "rb"
  type      = "node-affinity"
  resources = ["vm:101"]
  nodes     = { pve = 1 }
}
resource "proxmox_network_linux_vlan" "v" {
  node_name = "pve"
  name      = "vmbr0.30"
}
resource "proxmox_storage_lvm" "s" {
  id           = "san"
  volume_group = "pve"
}
"#;
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{blocks}"));
    let secret = format!("{}={}", token["full-tokenid"].as_str().unwrap(), token["value"].as_str().unwrap());
    project.set("PROXMOX_VE_API_TOKEN", &secret);
    let (_, said) = project.ends(&["plan"]);
    assert!(said.contains("5 to add"), "{said}");
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(!said.contains("would refuse this on the way"), "{said}");
}

#[test]
fn vnets_of_one_plan_have_tags_of_their_own() {
    let cluster = cluster();
    let project = Project::of(&cluster, PROVIDER);
    let vnet = |id: &str, zone: &str, tag: i64| {
        format!(
            "resource \"proxmox_sdn_vnet\" \"{id}\" {{\n  id = \"{id}\"\n  zone = \"{zone}\"\n  tag = {tag}\n}}\n"
        )
    };
    let zones: String = ["vx1", "vx2"]
        .map(|id| {
            format!("resource \"proxmox_sdn_zone_vxlan\" \"{id}\" {{\n  id = \"{id}\"\n  peers = [\"192.0.2.1\"]\n}}\n")
        })
        .concat();
    for (vnets, told) in [
        (vnet("va", "tagged", 7) + &vnet("vb", "tagged", 7), Some("zone \"tagged\"")),
        // The numbers of VXLAN are those of the whole cluster.
        (vnet("va", "vx1", 7) + &vnet("vb", "vx2", 7), Some("zone \"vx2\"")),
        (vnet("va", "tagged", 7) + &vnet("vb", "vx2", 7) + &vnet("vc", "tagged", 8), None),
    ] {
        project.write("main.tf", &format!("{PROVIDER}{zones}{vnets}"));
        let (code, said) = project.ends(&["plan"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.matches("Two vnets have the tag 7").count(), told.iter().count(), "{said}");
        assert!(told.is_none_or(|told| said.contains(told)), "{said}");
    }
}

#[test]
fn whether_there_are_groups_is_asked_once() {
    let cluster = cluster();
    let group = |name: &str, id: u32| {
        format!(
            "resource \"proxmox_haresource\" \"{name}\" {{\n  resource_id = \"vm:{id}\"\n  group = \"{name}\"\n}}\n"
        )
    };
    let project = Project::of(&cluster, &format!("{PROVIDER}{}{}", group("one", 100), group("two", 101)));
    cluster.forget_requests();
    let (_, said) = project.ends(&["plan"]);
    assert_eq!(said.matches("no HA groups any more").count(), 2, "{said}");
    let asked = cluster.requests().into_iter().filter(|request| request.path.ends_with("/cluster/ha/groups"));
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_gateway_that_an_interface_of_the_plan_keeps_is_taken() {
    let cluster = cluster();
    let bridge = |label: &str, rest: &str| {
        format!("resource \"proxmox_network_linux_bridge\" \"{label}\" {{\n  node_name = \"pve\"\n{rest}}}\n")
    };
    let kept = |comment: &str| {
        let own = "  name = \"vmbr7\"\n  address = \"192.0.2.2/24\"\n  gateway6 = \"2001:db8::1\"\n  address6 = \"2001:db8::2/64\"\n";
        bridge("z", &format!("{own}{comment}"))
    };
    let project = Project::of(&cluster, &format!("{PROVIDER}{}", kept("")));
    project.ok(&["apply", "--auto-approve"]);
    let taker =
        bridge("a", "  name = \"vmbr8\"\n  address6 = \"2001:db8::3/64\"\n  gateway6 = \"2001:db8::1\"\n");
    project.write("main.tf", &format!("{PROVIDER}{taker}{}", kept("  comment = \"kept\"\n")));
    let (_, said) = project.ends(&["plan"]);
    assert!(
        said.contains("a default IPv6 gateway on pve already") && said.contains("vmbr7 has it"),
        "{said}"
    );
}
