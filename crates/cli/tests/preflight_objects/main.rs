//! What a cluster refuses of access, networks, high availability, storages and jobs is told by the plan at its place; apply
//! does not begin with it, and the cluster does refuse it where it is tried all the same.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod access;
mod networks;
#[path = "../simulated/mod.rs"]
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
fn what_storages_are_made_of_is_needed_at_once_only_where_the_cluster_looks_for_it() {
    let cluster = cluster();
    let project = Project::of(&cluster, PROVIDER);
    let storage = |kind: &str, lines: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_storage_{kind}\" \"it\" {{\n  id = \"{kind}\"\n  {}\n}}\n",
            lines.replace("; ", "\n  ")
        )
    };
    for (kind, lines, told, is_taken) in [
        ("lvm", "volume_group = \"vg0\"", Some("no volume group \"vg0\""), true),
        ("zfspool", "zfs_pool = \"tank/vms\"", Some("no ZFS pool \"tank\""), false),
        ("lvmthin", "volume_group = \"vg0\"; thin_pool = \"data\"; disable = true", None, true),
    ] {
        project.write("main.tf", &storage(kind, lines));
        let (code, said) = project.ends(&["plan"]);
        assert!(code == 0 && !said.contains("apply does not begin"), "{said}");
        assert_eq!(said.contains("There is no"), told.is_some(), "{said}");
        assert!(told.is_none_or(|told| said.contains(told)), "{said}");
        let (code, said) = project.ends(&["apply", "--auto-approve"]);
        assert_eq!(code == 0, is_taken, "{said}");
        if is_taken {
            project.ok(&["destroy", "--auto-approve"]);
        }
    }
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
fn that_a_whole_list_is_empty_is_known() {
    let cluster = Cluster::start(Options::default());
    let rule = "resource \"proxmox_harule\" \"r\" {\n  rule = \"ra\"\n  type = \"node-affinity\"\n  nodes = { pve = 1 }\n  \
                resources = [\"vm:100\"]\n}\n";
    let job = "resource \"proxmox_backup_job\" \"j\" {\n  id = \"ja\"\n  schedule = \"02:30\"\n  storage = \"local\"\n  \
               vmid = [\"777\"]\n}\n";
    let project = Project::of(&cluster, &format!("{PROVIDER}{rule}{job}"));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("no HA resource \"vm:100\"") && said.contains("Nothing was changed"), "{said}");
    project.write("main.tf", &format!("{PROVIDER}{job}"));
    let (code, said) = project.ends(&["apply", "--auto-approve"]);
    assert!(code == 0 && said.contains("There is no guest 777"), "{said}");
    // The order of a certificate fails in its task.
    let certificate = "resource \"proxmox_acme_certificate\" \"c\" {\n  node_name = \"pve\"\n  account = \"none\"\n  \
                       domains = [{ domain = \"pve.example.test\", plugin = \"dns\" }]\n}\n";
    project.write("main.tf", &format!("{PROVIDER}{job}{certificate}"));
    let said = project.fails(&["apply", "--auto-approve"]);
    for told in
        ["There is no ACME account \"none\"", "There is no ACME plugin \"dns\"", "Nothing was changed"]
    {
        assert!(said.contains(told), "{told}: {said}");
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
