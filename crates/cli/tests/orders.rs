//! Changes that hinge on each other without a reference, through the binary: they are made in the one order in which the
//! cluster takes them, and where there is none the plan says so and apply does not begin.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

/// The second configuration is applied over the first one by one apply, and nothing is left to do.
fn one_apply(first: &str, second: &str) -> (Cluster, Project) {
    let (cluster, project) = changed(first, second);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    (cluster, project)
}

/// The first configuration is applied, the second one is written.
fn changed(first: &str, second: &str) -> (Cluster, Project) {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, first);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.write("main.tf", &format!("{PROVIDER}{second}"));
    cluster.forget_requests();
    (cluster, project)
}

/// The plan says why it cannot be carried out, and nothing is done of it, be it saved or not.
fn is_refused(cluster: &Cluster, project: &Project, why: &[&str]) {
    project.ok(&["plan", "-out", "saved"]);
    for command in [&["plan"][..], &["apply", "--auto-approve"], &["apply", "saved"]] {
        let (code, said) = project.ends(command);
        assert_eq!(code, i32::from(command[0] == "apply"), "{said}");
        for why in why {
            assert!(said.contains(why), "{command:?} does not say {why:?}: {said}");
        }
    }
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
}

fn guests() -> &'static str {
    r#"
resource "proxmox_virtual_environment_vm" "v" {
  for_each  = toset(["601", "602"])
  node_name = "pve"
  vm_id     = each.key
  name      = "v${each.key}"
  started   = false
}
"#
}

#[test]
fn firewalls_of_two_guests_change_places() {
    let firewalls = |places: &str, needs: &str| {
        let common =
            format!("  for_each  = {places}\n  node_name = \"pve\"\n  vm_id     = each.value\n{needs}");
        let kind = |kind: &str, own: &str| {
            format!("resource \"proxmox_virtual_environment_firewall_{kind}\" \"f\" {{\n{common}{own}}}\n")
        };
        let rule = "  rule {\n    type    = \"in\"\n    action  = \"DROP\"\n    comment = each.key\n  }\n";
        [
            guests().to_string(),
            kind("options", "  enabled   = true\n  log_level_in = each.key == \"a\" ? \"info\" : \"err\"\n"),
            kind("rules", rule),
            kind("alias", "  name = \"own\"\n  cidr = each.key == \"a\" ? \"192.0.2.1\" : \"192.0.2.2\"\n"),
            kind("ipset", "  name = \"own\"\n  comment = each.key\n"),
        ]
        .concat()
    };
    for needs in ["", "  depends_on = [proxmox_virtual_environment_vm.v]\n"] {
        let first = firewalls("{ a = 601, b = 602 }", needs);
        let (cluster, project) = one_apply(&first, &firewalls("{ a = 602, b = 601 }", needs));
        for (vmid, level, comment, cidr) in [(601, "err", "b", "192.0.2.2"), (602, "info", "a", "192.0.2.1")]
        {
            let get = |what: &str| cluster.get(&format!("/nodes/pve/qemu/{vmid}/firewall/{what}"));
            assert_eq!(
                (&get("options")["enable"], &get("options")["log_level_in"]),
                (&1.into(), &level.into())
            );
            assert_eq!(get("rules")[0]["comment"], comment);
            assert_eq!(get("aliases")[0]["cidr"], cidr);
            assert_eq!(get("ipset")[0]["comment"], comment);
        }
        drop(project);
    }
}

#[test]
fn a_firewall_is_made_again_with_the_guest_that_takes_the_id_of_another() {
    let guest = |name: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_vm" "{name}" {{
  node_name = "pve"
  vm_id     = 530
  name      = "{name}"
  started   = false
}}
resource "proxmox_virtual_environment_firewall_options" "o" {{
  node_name = "pve"
  vm_id     = 530
  enabled   = true
}}
"#
        )
    };
    let (cluster, _project) = one_apply(&guest("web"), &guest("shop"));
    assert_eq!(cluster.get("/nodes/pve/qemu/530/firewall/options")["enable"], 1);
}

fn pool(label: &str, guest: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_pool" "{label}" {{ pool_id = "pp" }}
resource "proxmox_virtual_environment_vm" "m" {{
  node_name = "pve"
  vm_id     = 530
  name      = "m"
  started   = false
  {guest}
}}
"#
    )
}

#[test]
fn a_pool_that_is_renamed_with_a_guest_in_it_is_refused_with_the_block_that_keeps_it() {
    let inside =
        |label: &str| pool(label, &format!("pool_id = proxmox_virtual_environment_pool.{label}.pool_id"));
    for second in [inside("w"), pool("w", "pool_id = \"pp\"")] {
        let (cluster, project) = changed(&inside("v"), &second);
        let why = [
            "proxmox_virtual_environment_pool.v cannot be destroyed",
            "moved { from = proxmox_virtual_environment_pool.v, to = proxmox_virtual_environment_pool.w }",
        ];
        is_refused(&cluster, &project, &why);
        let block = "moved {\n  from = proxmox_virtual_environment_pool.v\n  to = proxmox_virtual_environment_pool.w\n}\n";
        project.write("moved.tf", block);
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
    }
}

#[test]
fn a_guest_leaves_the_pool_that_is_taken_out_together_with_its_pool_id() {
    let plain =
        pool("p", "").replace("resource \"proxmox_virtual_environment_pool\" \"p\" { pool_id = \"pp\" }", "");
    for inside in ["pool_id = proxmox_virtual_environment_pool.p.pool_id", "pool_id = \"pp\""] {
        let (cluster, _project) = one_apply(&pool("p", inside), &plain);
        assert!(!cluster.get("/pools").to_string().contains("\"pp\""));
        assert_eq!(cluster.get("/nodes/pve/qemu/530/config")["name"], "m");
    }
    // One that a membership had put there leaves by that.
    let member = r#"
resource "proxmox_pool_membership" "m" {
  pool_id = "pp"
  vm_id   = proxmox_virtual_environment_vm.m.vm_id
}
"#;
    let (cluster, _project) = one_apply(&(pool("p", "") + member), &plain);
    assert!(!cluster.get("/pools").to_string().contains("\"pp\""));
}

#[test]
fn a_vnet_goes_before_its_zone_becomes_one_of_another_type() {
    let zone = |kind: &str| {
        format!(
            r#"
resource "proxmox_sdn_zone_{kind}" "z" {{
  id = "z1"
  {}
}}
resource "proxmox_sdn_vnet" "v" {{
  id   = "v1"
  zone = proxmox_sdn_zone_{kind}.z.id
  tag  = {}
}}
resource "proxmox_sdn_applier" "a" {{
  depends_on = [proxmox_sdn_vnet.v]
}}
"#,
            if kind == "vlan" { "bridge = \"vmbr0\"" } else { "" },
            if kind == "vlan" { "7" } else { "null" },
        )
    };
    let (cluster, _project) = one_apply(&zone("simple"), &zone("vlan"));
    assert_eq!(cluster.get("/cluster/sdn/zones/z1")["type"], "vlan");
    assert_eq!(cluster.get("/cluster/sdn/vnets/v1")["zone"], "z1");
}

#[test]
fn a_vlan_goes_from_a_bridge_to_the_one_that_it_becomes() {
    let bridge = |name: &str, more: &str| {
        format!(
            r#"
resource "proxmox_network_linux_bridge" "b" {{
  node_name = "pve"
  name      = "{name}"
  {more}
}}
resource "proxmox_network_linux_vlan" "v" {{
  node_name = "pve"
  name      = "vlan7"
  interface = proxmox_network_linux_bridge.b.name
}}
"#
        )
    };
    for more in ["", "address = \"10.9.0.1/24\"\n  gateway6 = \"2001:db8::1\""] {
        let (cluster, _project) = one_apply(&bridge("vmbr7", more), &bridge("vmbr8", more));
        assert_eq!(cluster.get("/nodes/pve/network/vlan7")["vlan-raw-device"], "vmbr8");
        let reloads = cluster.requests();
        let reloads =
            reloads.iter().filter(|it| it.method == "PUT" && it.path.ends_with("/nodes/pve/network"));
        assert_eq!(reloads.count(), 1);
    }
}

#[test]
fn a_port_that_goes_below_a_bond_under_its_bridge_is_refused_until_the_bridge_goes_first() {
    let bridge = |ports: &str| {
        format!(
            "resource \"proxmox_network_linux_bridge\" \"b\" {{\n  node_name = \"pve\"\n  name = \"vmbr7\"\n  ports = [{ports}]\n}}\n"
        )
    };
    let bond = "resource \"proxmox_network_linux_bond\" \"n\" {\n  node_name = \"pve\"\n  name = \"bond0\"\n  slaves = [\"eno2\"]\n  bond_mode = \"active-backup\"\n}\n";
    let cluster = Cluster::start(Options::default());
    let device = [("iface", "eno2"), ("type", "eth")];
    cluster.send("POST", "/nodes/pve/network", &device);
    cluster.send("PUT", "/nodes/pve/network", &[]);
    let project = project_with(&cluster, &bridge("\"eno2\""));
    project.ok(&["apply", "--auto-approve"]);
    let second = bridge("proxmox_network_linux_bond.n.name") + bond;
    project.write("main.tf", &format!("{PROVIDER}{second}"));
    cluster.forget_requests();
    let replacing = "-replace=proxmox_network_linux_bridge.b";
    is_refused(&cluster, &project, &["takes the device eno2 before it is free", replacing]);
    project.ok(&["apply", "--auto-approve", replacing]);
    settled(&project);
}

#[test]
fn a_permission_goes_before_its_user_and_comes_after_it() {
    let user = r#"
resource "proxmox_virtual_environment_user" "z" { user_id = "bob@pve" }
"#;
    let acl = |name: &str, path: &str| {
        format!(
            "resource \"proxmox_acl\" \"{name}\" {{\n  path = \"{path}\"\n  user_id = \"bob@pve\"\n  role_id = \"PVEVMUser\"\n}}\n"
        )
    };
    let all = format!("{user}{}{}", acl("a", "/vms"), acl("zz", "/pool"));
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &all);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn what_cannot_be_there_twice_is_not_made_before_the_old_one_goes() {
    let zone = |kind: &str| {
        format!(
            r#"
resource "proxmox_virtual_environment_metrics_server" "m" {{
  name   = "graph"
  server = "192.0.2.1"
  port   = 2003
  type   = "{kind}"
  {}
  lifecycle {{
    create_before_destroy = true
  }}
}}
"#,
            if kind == "influxdb" { "influx_db_proto = \"udp\"" } else { "" }
        )
    };
    let (cluster, project) = changed(&zone("graphite"), &zone("influxdb"));
    is_refused(
        &cluster,
        &project,
        &["takes metrics server graph before it is free", "`create_before_destroy`"],
    );
}

fn membership() -> &'static str {
    r#"
resource "proxmox_pool_membership" "m" {
  pool_id = proxmox_virtual_environment_pool.p.pool_id
  vm_id   = proxmox_virtual_environment_vm.m.vm_id
}
"#
}

#[test]
fn a_guest_stays_in_its_pool_as_a_membership_and_its_own_pool_id_give_way_to_each_other() {
    let own = pool("p", "pool_id = proxmox_virtual_environment_pool.p.pool_id");
    let by_membership = pool("p", "") + membership();
    for (first, second) in [(&own, &by_membership), (&by_membership, &own)] {
        let (cluster, project) = one_apply(first, second);
        assert!(!project.ok(&["plan"]).contains("Changed outside"));
        assert_eq!(cluster.get("/pools/pp")["members"][0]["vmid"], 530);
        let requests = cluster.requests();
        assert!(!requests.iter().any(|it| it.method == "PUT" && it.path.ends_with("/pools")));
    }
}

#[test]
fn the_membership_of_a_guest_is_made_anew_with_its_pool() {
    let main = pool("p", "") + membership();
    let (cluster, project) = changed(&main, &main);
    let said = project.ok(&["apply", "--auto-approve", "-replace", "proxmox_virtual_environment_pool.p"]);
    assert!(said.contains("Done: 2 added, 0 changed, 2 destroyed."), "{said}");
    settled(&project);
    assert_eq!(cluster.get("/pools/pp")["members"][0]["vmid"], 530);
}

#[test]
fn what_goes_with_a_user_a_group_or_a_role_that_is_replaced_is_made_anew_in_the_same_run() {
    let main = r#"
resource "proxmox_virtual_environment_role" "r" {
  role_id    = "rr"
  privileges = ["VM.Audit"]
}
resource "proxmox_virtual_environment_group" "g" { group_id = "g1" }
resource "proxmox_virtual_environment_user" "u" {
  user_id = "bob@pve"
  groups  = [proxmox_virtual_environment_group.g.group_id]
  acl {
    path    = "/nodes"
    role_id = proxmox_virtual_environment_role.r.role_id
  }
}
resource "proxmox_user_token" "t" {
  user_id    = proxmox_virtual_environment_user.u.user_id
  token_name = "tok"
}
resource "proxmox_acl" "user" {
  user_id = proxmox_virtual_environment_user.u.user_id
  role_id = proxmox_virtual_environment_role.r.role_id
  path    = "/vms"
}
resource "proxmox_acl" "token" {
  token_id = proxmox_user_token.t.id
  role_id  = proxmox_virtual_environment_role.r.role_id
  path     = "/vms"
}
resource "proxmox_acl" "group" {
  group_id = "g1"
  role_id  = "PVEVMUser"
  path     = "/pool"
  depends_on = [proxmox_virtual_environment_group.g]
}
"#;
    let (cluster, project) = changed(main, main);
    let cases = [
        ("user.u", "4 added, 0 changed, 4 destroyed", "it goes away with what it is a part of"),
        ("group.g", "2 added, 1 changed, 2 destroyed", "group g1 is replaced: that takes it out of this"),
        ("role.r", "3 added, 1 changed, 3 destroyed", "role rr is replaced: that takes it out of this"),
    ];
    let entries = cluster.get("/access/acl");
    for (block, done, told) in cases {
        let block = format!("proxmox_virtual_environment_{block}");
        let said = project.ok(&["apply", "--auto-approve", "-replace", &block]);
        assert!(said.contains(&format!("Done: {done}.")) && said.contains(told), "{block}: {said}");
        settled(&project);
        let ordered = |entries: &serde_json::Value| {
            let mut entries: Vec<String> =
                entries.as_array().unwrap().iter().map(ToString::to_string).collect();
            entries.sort();
            entries
        };
        assert_eq!(ordered(&cluster.get("/access/acl")), ordered(&entries), "{block}");
        assert_eq!(cluster.get("/access/users/bob@pve")["groups"], serde_json::json!(["g1"]), "{block}");
    }
    // With one that goes for good it goes, too, and the plan says so.
    let role = "resource \"proxmox_virtual_environment_role\" \"r\" {\n  role_id    = \"rr\"\n  privileges = [\"VM.Audit\"]\n}\n";
    let without = main.replace(role, "").replace("proxmox_virtual_environment_role.r.role_id", "\"rr\"");
    project.write("main.tf", &format!("{PROVIDER}{without}"));
    let plan = project.ends(&["plan"]).1;
    assert!(
        plan.contains("with it goes what this plan does not make anew: proxmox_acl.token, proxmox_acl.user"),
        "{plan}"
    );
}

fn storage(id: &str, path: &str, datastore: &str) -> String {
    format!(
        r#"
resource "proxmox_storage_directory" "d" {{
  id      = "{id}"
  path    = "{path}"
  content = ["images"]
}}
{}"#,
        with_disk(datastore)
    )
}

fn with_disk(datastore: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_vm" "v" {{
  node_name = "pve"
  vm_id     = 540
  started   = false
  disk {{
    interface    = "scsi1"
    datastore_id = {datastore}
    file_format  = "qcow2"
    size         = 2
  }}
}}
"#
    )
}

#[test]
fn a_storage_under_another_name_is_there_before_the_disks_go_and_the_old_one_goes_after_them() {
    let by_reference = "proxmox_storage_directory.d.id";
    let first = storage("dd", "/x", by_reference);
    for second in [storage("d2", "/y", by_reference), storage("d2", "/y", "\"d2\"")] {
        let (cluster, _project) = one_apply(&first, &second);
        let disk = cluster.get("/nodes/pve/qemu/540/config")["scsi1"].to_string();
        assert!(disk.contains("d2:540/"), "{disk}");
        let requests = cluster.requests();
        let at = |method: &str, path: &str| {
            requests.iter().position(|it| it.method == method && it.path.ends_with(path)).unwrap()
        };
        let moved = at("POST", "/qemu/540/move_disk");
        assert!(at("POST", "/storage") < moved && moved < at("DELETE", "/storage/dd"));
    }
}

#[test]
fn a_storage_does_not_go_while_a_guest_has_a_disk_on_it() {
    let by_reference = "proxmox_storage_directory.d.id";
    let first = storage("dd", "/x", by_reference);
    for second in [with_disk("\"dd\""), storage("dd", "/y", by_reference)] {
        let (cluster, project) = changed(&first, &second);
        let why =
            "proxmox_storage_directory.d cannot be destroyed while proxmox_virtual_environment_vm.v has it";
        is_refused(&cluster, &project, &[why]);
        // Together they go.
        project.write("main.tf", PROVIDER);
        project.ok(&["apply", "--auto-approve"]);
    }
}
