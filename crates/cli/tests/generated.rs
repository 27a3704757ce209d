//! Resource blocks that `pve plan -generate-config-out` writes for imports, through the binary: what somebody made by hand
//! is managed afterwards, and nothing of it has changed.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use std::time::Duration;

use pve_simulator::Options;
use simulated::{Cluster, Project, project_with, settled};

const SECRET: &str = "one-secret-word";

/// A method, a path and parameters.
type Request = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What somebody has made without pve.
const BY_HAND: &[Request] = &[
    (
        "POST",
        "/nodes/pve/qemu",
        &[
            ("vmid", "500"),
            ("name", "web"),
            ("description", "quotes \" and ${signs}\nof two lines"),
            ("cores", "2"),
            ("memory", "1024"),
            ("scsihw", "virtio-scsi-single"),
            ("scsi0", "local-lvm:4,iothread=1"),
            ("scsi1", "local-lvm:2,backup=0"),
            ("ide2", "local-lvm:cloudinit"),
            ("ciuser", "ops"),
            ("cipassword", SECRET),
            ("ipconfig0", "ip=198.51.100.10/24,gw=198.51.100.1"),
            ("net0", "virtio,bridge=vmbr0,tag=20"),
            ("agent", "1"),
            ("tags", "b;a"),
        ],
    ),
    (
        "POST",
        "/nodes/pve/lxc",
        &[
            ("vmid", "510"),
            ("hostname", "ct"),
            ("ostemplate", "local:vztmpl/t.tar.zst"),
            ("password", SECRET),
            ("unprivileged", "1"),
            ("rootfs", "local-lvm:4"),
            ("mp0", "local-lvm:2,mp=/srv"),
            ("mp1", "local-lvm:1,mp=/var/cache,backup=1"),
            ("net0", "name=eth0,bridge=vmbr0,ip=dhcp"),
        ],
    ),
    ("POST", "/pools", &[("poolid", "lab"), ("comment", "by hand")]),
    ("POST", "/access/users", &[("userid", "ops@pve"), ("password", SECRET), ("email", "ops@example.test")]),
    (
        "POST",
        "/storage",
        &[("storage", "more"), ("type", "dir"), ("path", "/srv/more"), ("content", "iso,backup")],
    ),
    (
        "POST",
        "/nodes/pve/network",
        &[("iface", "vmbr5"), ("type", "bridge"), ("autostart", "1"), ("cidr", "192.0.2.1/24")],
    ),
    ("PUT", "/nodes/pve/network", &[]),
    (
        "POST",
        "/nodes/pve/qemu/500/firewall/rules",
        &[("type", "in"), ("action", "ACCEPT"), ("proto", "tcp"), ("dport", "22"), ("enable", "1")],
    ),
    (
        "POST",
        "/nodes/pve/qemu/500/firewall/rules",
        &[("type", "in"), ("action", "DROP"), ("enable", "0"), ("comment", "all else")],
    ),
    ("POST", "/cluster/ha/resources", &[("sid", "vm:500"), ("state", "stopped"), ("comment", "by hand")]),
];

/// The imports of that: address and id.
const IMPORTS: &[(&str, &str)] = &[
    ("proxmox_virtual_environment_vm.web", "pve/500"),
    ("proxmox_virtual_environment_container.ct", "pve/510"),
    ("proxmox_virtual_environment_pool.lab", "lab"),
    ("proxmox_virtual_environment_user.ops", "ops@pve"),
    ("proxmox_storage_directory.more", "more"),
    ("proxmox_network_linux_bridge.vmbr5", "pve:vmbr5"),
    ("proxmox_virtual_environment_firewall_rules.web", "vm/pve/500"),
    ("proxmox_haresource.web", "vm:500"),
];

fn import(to: &str, id: &str) -> String {
    format!("import {{\n  to = {to}\n  id = \"{id}\"\n}}\n")
}

fn cluster() -> Cluster {
    let (task_duration, status_cycle) = (Duration::ZERO, Duration::ZERO);
    Cluster::start(Options { task_duration, status_cycle, ..Options::default() })
}

fn made_by_hand() -> (Cluster, Project) {
    let cluster = cluster();
    let project = project_with(&cluster, "");
    for (method, path, params) in BY_HAND {
        cluster.send(method, path, params);
    }
    (cluster, project)
}

fn generated(project: &Project) -> String {
    std::fs::read_to_string(project.root().join("generated.tf")).unwrap()
}

/// What is configured in the cluster of all that.
fn present(cluster: &Cluster) -> Vec<serde_json::Value> {
    let paths = [
        "/nodes/pve/qemu/500/config",
        "/nodes/pve/lxc/510/config",
        "/pools/lab",
        "/access/users/ops@pve",
        "/storage/more",
        "/nodes/pve/network/vmbr5",
        "/nodes/pve/qemu/500/firewall/rules",
        "/cluster/ha/resources/vm:500",
    ];
    paths.map(|path| cluster.get(path)).to_vec()
}

#[test]
fn what_was_made_by_hand_is_written_down_imported_and_stays_as_it_is() {
    let (cluster, project) = made_by_hand();
    let before = present(&cluster);
    assert!(before.iter().all(|object| !object.is_null()), "{before:#?}");
    let imports: String = IMPORTS.iter().map(|(to, id)| import(to, id)).collect();
    project.write("imports.tf", &imports);
    let refused = project.fails(&["plan"]);
    assert!(refused.contains("-generate-config-out=FILE"), "{refused}");
    let (code, plan) = project.ends(&["plan", "-generate-config-out=generated.tf", "-out=p"]);
    let text = generated(&project);
    assert!(code == 0 && plan.contains("8 to import, 0 to add, 0 to change, 0 to destroy"), "{plan}{text}");
    assert!(plan.contains("Wrote 8 resource blocks to generated.tf"), "{plan}");
    assert!(!text.contains("path_in_datastore") && !text.contains("= \"\"\n"), "{text}");
    assert!(!text.contains(SECRET) && text.contains("password = null # sensitive"), "{text}");
    assert_eq!(text.matches("\n  disk {\n").count(), 3, "{text}");
    assert_eq!(text.matches("\n  mount_point {\n").count(), 2, "{text}");
    assert_eq!(project.ok(&["fmt", "-check"]), "", "{text}");
    let (code, plan) = project.ends(&["plan"]);
    assert!(code == 0 && plan.contains("8 to import, 0 to add, 0 to change, 0 to destroy"), "{plan}");
    project.ok(&["apply", "p"]);
    assert_eq!(project.ok(&["state", "list"]).lines().count(), IMPORTS.len());
    settled(&project);
    std::fs::remove_file(project.root().join("imports.tf")).unwrap();
    settled(&project);
    assert_eq!(present(&cluster), before);
}

#[test]
fn a_file_that_is_there_is_left_alone_and_nothing_is_written_without_an_object() {
    let (_cluster, project) = made_by_hand();
    project.write("imports.tf", &import("proxmox_virtual_environment_pool.lab", "lab"));
    project.write("generated.tf", "# mine\n");
    let refused = project.fails(&["plan", "-generate-config-out=generated.tf"]);
    assert!(refused.contains("generated.tf exists already"), "{refused}");
    assert_eq!(generated(&project), "# mine\n");
    std::fs::remove_file(project.root().join("generated.tf")).unwrap();
    project.write("imports.tf", &import("proxmox_virtual_environment_pool.lab", "nowhere"));
    let refused = project.fails(&["plan", "-generate-config-out=generated.tf"]);
    let said = "cannot be imported as nowhere";
    assert!(refused.contains(said) && refused.contains("on imports.tf line 1"), "{refused}");
    assert!(!project.root().join("generated.tf").exists());
    // With nothing to write nothing is written.
    project.write("imports.tf", "");
    let (code, said) = project.ends(&["plan", "-generate-config-out=generated.tf"]);
    assert!(code == 0 && said.contains("nothing to generate"), "{said}");
    assert!(!project.root().join("generated.tf").exists());
}

#[test]
fn imports_of_several_instances_or_in_modules_are_refused() {
    let (_cluster, project) = made_by_hand();
    let pool = "proxmox_virtual_environment_pool";
    let each = format!(
        "import {{\n  for_each = toset([\"lab\"])\n  to = {pool}.lab[each.key]\n  id = each.key\n}}\n"
    );
    project.write("child/main.tf", "");
    let call = "module \"child\" {\n  source = \"./child\"\n}\n";
    for (imports, why) in [
        (each, "for_each"),
        (import(&format!("{pool}.lab[0]"), "lab"), "a block without keys"),
        (format!("{call}{}", import(&format!("module.child.{pool}.lab"), "lab")), "is in a module"),
        (import("proxmox_nothing.lab", "lab"), "no such kind"),
    ] {
        project.write("imports.tf", &imports);
        let refused = project.fails(&["plan", "-generate-config-out=generated.tf"]);
        let refused = refused.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(refused.contains(why), "{refused}");
        assert!(!project.root().join("generated.tf").exists());
    }
    let refused = project.command(&["plan", "-destroy", "-generate-config-out=g.tf"]).output().unwrap();
    assert!(!refused.status.success());
}

#[test]
fn ids_may_be_expressions_and_providers_others_and_what_refers_to_the_object_is_planned() {
    let (_cluster, project) = made_by_hand();
    let more = "provider \"proxmox\" {\n  alias = \"second\"\n}\n\nlocals {\n  id = \"lab\"\n}\n\nimport {\n  \
                to = proxmox_virtual_environment_pool.lab\n  id = local.id\n  provider = proxmox.second\n}\n\noutput \"said\" {\n  \
                value = proxmox_virtual_environment_pool.lab.comment\n}\n";
    project.write("imports.tf", more);
    let (code, plan) = project.ends(&["plan", "-generate-config-out=generated.tf"]);
    let text = generated(&project);
    assert!(code == 0 && plan.contains("+ said = \"by hand\""), "{plan}{text}");
    assert!(text.contains("provider = proxmox.second\n"), "{text}");
    assert!(text.contains("comment") && text.contains("pool_id"), "{text}");
}

#[test]
fn a_file_elsewhere_is_written_and_planned_with() {
    let (_cluster, project) = made_by_hand();
    project.write("imports.tf", &import("proxmox_virtual_environment_pool.lab", "lab"));
    std::fs::create_dir(project.root().join("drafts")).unwrap();
    let (code, plan) = project.ends(&["plan", "-generate-config-out=drafts/pool.txt"]);
    assert!(code == 0 && plan.contains("1 to import"), "{plan}");
    assert!(plan.contains("is no file of the root module"), "{plan}");
    assert!(std::fs::read_to_string(project.root().join("drafts/pool.txt")).unwrap().contains("\"lab\""));
    assert_eq!(std::fs::read_dir(project.root().join("drafts")).unwrap().count(), 1);
    assert!(project.fails(&["plan", "-generate-config-out=x.tf.json"]).contains("native syntax"));
}
