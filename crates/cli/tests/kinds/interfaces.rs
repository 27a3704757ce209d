//! Interfaces of a node: changes that are staged, and one reload that applies them.

use pve_simulator::{FailureRule, How, Options, When};

use crate::simulated::{Cluster, Project};

#[test]
fn what_somebody_else_has_staged_of_a_network_is_neither_applied_nor_thrown_away() {
    let cluster = Cluster::start(Options::default());
    let main = |comment: &str| {
        format!(
            "resource \"proxmox_network_linux_bridge\" \"a\" {{
  node_name = \"pve\"
  name      = \"vmbr5\"
  comment   = \"{comment}\"
}}
"
        )
    };
    let project = Project::of(&cluster, &main("one"));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("POST", "/nodes/pve/network", &[("iface", "vmbr77"), ("type", "bridge")]);
    let is_there = || cluster.get("/nodes/pve/network").to_string().contains("vmbr77");
    project.write("main.tf", &main("two"));
    let said = project.ok(&["plan"]);
    assert!(
        said.contains("other changes of the network of pve are staged: ") && said.contains("vmbr77: new"),
        "{said}"
    );
    cluster.forget_requests();
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("vmbr77") && said.contains("staged"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    assert!(is_there());
    cluster.send("DELETE", "/nodes/pve/network", &[]);
    project.ok(&["apply", "--auto-approve"]);
    assert!(!is_there() && project.ok(&["plan"]).contains("No changes."));
}

/// Interfaces behind each other: `KIND LABEL: ATTRIBUTES`.
fn interfaces(lines: &[(&str, &str, &str)]) -> String {
    let block = |(kind, label, attributes): &(&str, &str, &str)| {
        let attributes = attributes.replace("; ", "\n  ");
        format!(
            "resource \"proxmox_network_linux_{kind}\" \"{label}\" {{\n  node_name = \"pve\"\n  {attributes}\n}}\n"
        )
    };
    lines.iter().map(block).collect()
}

fn reloads(cluster: &Cluster) -> usize {
    let is_reload = |request: &&pve_simulator::RequestRecord| {
        request.method == "PUT" && request.path.ends_with("/nodes/pve/network")
    };
    cluster.requests().iter().filter(is_reload).count()
}

#[test]
fn interfaces_that_need_each_other_are_applied_by_one_reload() {
    let first = "; lifecycle {\n    create_before_destroy = true\n  }";
    for (lifecycle, upper) in [
        ("", "depends_on = [proxmox_network_linux_vlan.tagged]"),
        // Only so can a bridge go from a port that goes to one that comes.
        (first, "ports = [proxmox_network_linux_vlan.tagged.name]"),
    ] {
        let cluster = Cluster::start(Options::default());
        let on = |base: &str| {
            let tagged = "name = \"${proxmox_network_linux_bridge.base.name}.30\"";
            let last = "name = \"vmbr32\"; comment = \"on ${proxmox_network_linux_bridge.upper.id}\"";
            interfaces(&[
                ("bridge", "base", &format!("name = \"{base}\"; address = \"10.5.0.1/24\"{lifecycle}")),
                ("vlan", "tagged", &format!("{tagged}{lifecycle}")),
                ("bridge", "upper", &format!("name = \"vmbr31\"; {upper}")),
                ("bridge", "last", last),
            ])
        };
        let project = Project::of(&cluster, &on("vmbr5"));
        let run = |command: &[&str], then: &str| {
            cluster.forget_requests();
            let said = project.ok(command);
            assert_eq!(reloads(&cluster), 1, "{said}");
            let said = project.ok(&["plan"]);
            assert!(said.contains(then), "{said}");
        };
        run(&["apply", "--auto-approve"], "No changes.");
        // The names change, one goes and one comes.
        let renamed = on("vmbr7").replace("\"last\"", "\"new\"").replace("vmbr32", "vmbr33");
        project.write("main.tf", &renamed);
        run(&["apply", "--auto-approve", "-parallelism=1"], "No changes.");
        let there = cluster.get("/nodes/pve/network").to_string();
        assert!(there.contains("\"vmbr7.30\""), "{there}");
        assert!(!there.contains("vmbr5") && !there.contains("vmbr32"), "{there}");
        run(&["destroy", "--auto-approve"], "4 to add");
    }
}

#[test]
fn a_guest_comes_after_the_reload_that_it_needs_and_no_other_one_is_made() {
    let cluster = Cluster::start(Options::default());
    let main = interfaces(&[
        ("bridge", "a", "name = \"vmbr5\""),
        ("bridge", "b", "name = \"vmbr6\"; depends_on = [proxmox_network_linux_bridge.a]"),
        ("bridge", "late", "name = \"vmbr7\"; depends_on = [proxmox_virtual_environment_vm.v]"),
    ]) + r#"
resource "proxmox_virtual_environment_vm" "v" {
  node_name = "pve"
  name      = "v"
  started   = true
  network_device {
    bridge = proxmox_network_linux_bridge.a.name
  }
}
"#;
    let project = Project::of(&cluster, &main);
    cluster.forget_requests();
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(reloads(&cluster), 2, "one before the guest, one for what comes after it");
    cluster.forget_requests();
    project.ok(&["destroy", "--auto-approve"]);
    assert_eq!(reloads(&cluster), 2);
}

#[test]
fn a_deletion_that_could_be_neither_applied_nor_taken_back_is_applied_by_the_next_run() {
    let refuse = |method: &str, when: When| FailureRule {
        method: method.into(),
        path: "/nodes/*/network".into(),
        when,
        how: How::Refuse { status: 500, reason: "no quorum".into() },
    };
    let failures = vec![refuse("PUT", When::Nth(1)), refuse("DELETE", When::Always)];
    let cluster = Cluster::start(Options { failures, ..Options::default() });
    let project = Project::of(&cluster, &interfaces(&[("bridge", "a", "name = \"vmbr5\"")]));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", "");
    assert!(project.fails(&["apply", "--auto-approve"]).contains("could not be taken back"));
    assert!(project.ok(&["plan"]).contains("1 to destroy"));
    cluster.forget_requests();
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(reloads(&cluster), 1);
    assert!(project.ok(&["plan"]).contains("No changes."));
}
