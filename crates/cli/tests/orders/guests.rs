//! Guests with their firewalls, pools and memberships.

use pve_simulator::{FailureRule, How, When};

use super::simulated::{Cluster, PROVIDER, Project, settled};
use super::{broken_off, changed, is_refused, one_apply};

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

/// The first run goes no further than the new pool: the guest tells the old one because of its membership alone.
#[test]
fn a_membership_goes_over_to_the_pool_that_a_run_which_broke_off_has_made() {
    let main = pool("p", "") + membership();
    let (cluster, project) = broken_off(&main, &main.replace("\"pp\"", "\"p2\""), ("PUT", "/pools", 1));
    assert_eq!(cluster.get("/pools/pp")["members"][0]["vmid"], 530);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    assert_eq!(cluster.get("/pools/p2")["members"][0]["vmid"], 530);
    assert_eq!(cluster.get("/pools").as_array().unwrap().len(), 1);
}

/// A guest is in one pool: it goes over, be it by its own `pool_id` or by a membership.
#[test]
fn a_guest_goes_to_another_pool_as_a_membership_and_its_own_pool_id_give_way_to_each_other() {
    let two = "resource \"proxmox_virtual_environment_pool\" \"q\" { pool_id = \"qq\" }\n";
    let own = |pool: &str| pool_of(pool) + two;
    fn pool_of(label: &str) -> String {
        pool("p", &format!("pool_id = proxmox_virtual_environment_pool.{label}.pool_id"))
    }
    let by_membership =
        |label: &str| pool("p", "") + two + &membership().replace("pool.p.", &format!("pool.{label}."));
    for (first, second, pool) in [
        (own("p"), by_membership("q"), "qq"),
        (by_membership("p"), own("q"), "qq"),
        (own("q"), by_membership("p"), "pp"),
    ] {
        let (cluster, project) = one_apply(&first, &second);
        assert!(!project.ok(&["plan"]).contains("Changed outside"));
        assert_eq!(cluster.get(&format!("/pools/{pool}"))["members"][0]["vmid"], 530);
    }
}

/// The old pool is there still, with the guest in it: it is taken back, and the new one goes.
#[test]
fn a_pool_is_taken_back_when_a_run_broke_off_and_the_configuration_is_put_back() {
    let own = pool("p", "pool_id = proxmox_virtual_environment_pool.p.pool_id");
    let by_text = pool("p", "pool_id = \"pp\"");
    // The run goes no further than the new pool, or than the old one without the guest.
    for (main, joined) in [(pool("p", "") + membership(), 1), (own, 0), (by_text, 0)] {
        for request in [("PUT", "/pools", joined), ("DELETE", "/pools*", 0)] {
            let (cluster, project) = broken_off(&main, &main.replace("\"pp\"", "\"p2\""), request);
            project.write("main.tf", &format!("{PROVIDER}{main}"));
            let said = project.ok(&["apply", "--auto-approve"]);
            assert!(said.contains("is there still, and is taken back"), "{said}");
            assert!(project.ok(&["log"]).contains("taken back, and what replaced it deposed"));
            settled(&project);
            assert_eq!(cluster.get("/pools/pp")["members"][0]["vmid"], 530);
            assert_eq!(cluster.get("/pools").as_array().unwrap().len(), 1);
        }
    }
}

/// The guest that was to be replaced is there still, with what is on its disks: it is taken back.
#[test]
fn a_guest_is_taken_back_that_a_run_which_broke_off_has_not_destroyed() {
    let vm = |id: u32| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  vm_id = {id}\n  started = \
             false\n  disk {{\n    interface = \"scsi0\"\n    size = 1\n  }}\n  lifecycle {{\n    create_before_destroy = \
             true\n  }}\n}}\n"
        )
    };
    let (cluster, project) = broken_off(&vm(530), &vm(531), ("DELETE", "/nodes/pve/qemu/530", 0));
    let made = cluster.get("/nodes/pve/qemu/530/config");
    assert!(made["scsi0"].is_string(), "{made}");
    project.write("main.tf", &format!("{PROVIDER}{}", vm(530)));
    // What cannot be looked at is not taken for what it was.
    let plan = project.ok(&["plan", "-refresh=false"]);
    assert!(!plan.contains("is taken back"), "{plan}");
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("is there still, and is taken back"), "{said}");
    settled(&project);
    assert_eq!(cluster.get("/nodes/pve/qemu/530/config"), made);
    assert!(cluster.get("/nodes/pve/qemu/531/config").is_null());
}

const POOL: &str = "resource \"proxmox_virtual_environment_pool\" \"p\" {\n  pool_id = \"pp\"\n}\n";

/// A run that renames the pool breaks off when the new one is made: the old one is there still.
fn renamed_half(main: &str) -> (Cluster, Project) {
    broken_off(main, &POOL.replace("\"pp\"", "\"p2\""), ("DELETE", "/pools*", 0))
}

/// What would go for it is protected by now.
#[test]
fn a_pool_is_not_taken_back_for_one_that_is_protected() {
    let (cluster, project) = renamed_half(POOL);
    let protected = POOL.replace("}\n", "  lifecycle {\n    prevent_destroy = true\n  }\n}\n");
    project.write("main.tf", &format!("{PROVIDER}{protected}"));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("proxmox_virtual_environment_pool.p is protected"), "{said}");
    assert!(said.contains("would be replaced, which destroys it (changed: pool_id)"), "{said}");
    assert_eq!(cluster.get("/pools").as_array().unwrap().len(), 2);
    // One that is gone already protects nothing.
    cluster.send("DELETE", "/pools?poolid=p2", &[]);
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    assert_eq!(cluster.get("/pools")[0]["poolid"], "pp");
    // What is left of a run that broke off protects nothing either.
    let (cluster, project) = renamed_half(POOL);
    project.write("main.tf", &format!("{PROVIDER}{}", protected.replace("\"pp\"", "\"p2\"")));
    project.ok(&["destroy", "--auto-approve", "--keep-protected"]);
    assert_eq!(cluster.get("/pools").as_array().unwrap().len(), 1);
    assert_eq!(cluster.get("/pools")[0]["poolid"], "p2");
}

/// A plan does without it: it is to go, unless it can be told that it is wanted again. Its secrets are its own.
#[test]
fn a_pool_that_was_replaced_and_cannot_be_read_is_not_taken_back_and_keeps_no_plan_from_being_made() {
    let (cluster, project) =
        renamed_half(&POOL.replace("}\n", "  comment = sensitive(\"old-password\")\n}\n"));
    // It is read first.
    let unreadable = FailureRule {
        method: "GET".into(),
        path: "/pools".into(),
        when: When::Nth(0),
        how: How::Refuse { status: 500, reason: "no right to old-password".into() },
    };
    cluster.server.simulator().set_failures(vec![unreadable.clone()]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("whether it is wanted again cannot be told"), "{said}");
    assert!(said.contains("no right to (sensitive"), "{said}");
    assert!(said.contains("1 to destroy"), "{said}");
    // It is not guessed to be the one that is asked for.
    project.write("main.tf", &format!("{PROVIDER}{POOL}"));
    cluster.server.simulator().set_failures(vec![unreadable]);
    let said = project.ok(&["plan"]);
    assert!(said.contains("whether it is wanted again") && !said.contains("taken back"), "{said}");
    cluster.server.simulator().set_failures(Vec::new());
    assert!(project.ok(&["apply", "--auto-approve"]).contains("is there still, and is taken back"));
    settled(&project);
}
