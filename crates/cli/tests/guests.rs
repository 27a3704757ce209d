//! `environments/` on a simulated cluster, through the binary, HTTPS and SSH: the whole life, the second run, refusals.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use std::collections::BTreeMap;
use std::time::Duration;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, Project};

#[test]
fn each_environment_is_applied_planned_without_changes_and_destroyed_on_the_built_in_simulator() {
    let project = Project::scaffolded();
    for (environment, instances) in [("dev", 3), ("staging", 4), ("prod", 19)] {
        let e = ["-e", environment];
        let with = |words: &[&'static str]| [&e[..], words].concat();
        project.ok(&with(&["validate"]));
        let plan = project.ok(&with(&["plan", "--simulate", "-out", "saved.plan"]));
        assert!(plan.contains(&format!("{instances} to add")), "{plan}");
        project.ok(&with(&["apply", "--simulate", "saved.plan"]));
        assert_eq!(project.ok(&with(&["state", "list"])).lines().count(), instances);
        let again = project.ok(&with(&["plan", "--simulate"]));
        assert!(again.contains("No changes."), "{again}");
        let refused = project.fails(&with(&["destroy", "--simulate", "--auto-approve"]));
        assert!(refused.contains("prevent_destroy"), "{refused}");
        assert_eq!(project.ok(&with(&["state", "list"])).lines().count(), instances);
        project.ok(&with(&["destroy", "--simulate", "--auto-approve", "--keep-protected"]));
        // The protected templates stay, with the image and the snippet that they need.
        let left = project.ok(&with(&["state", "list"]));
        assert_eq!(left.lines().count(), if environment == "prod" { 6 } else { 3 }, "{left}");
        assert!(left.lines().all(|line| line.starts_with("module.template")), "{left}");
        assert!(project.ok(&with(&["log", "verify"])).contains("none changed"));
    }
}

#[test]
fn a_log_is_about_simulated_guests_or_about_real_ones() {
    let cluster = Cluster::start(Options::default());
    let mut project = Project::on(&cluster);
    project.ok(&["-e", "dev", "apply", "--simulate", "--auto-approve"]);
    assert_eq!(cluster.requests(), [], "--simulate went to the cluster");
    let said = project.fails(&["-e", "dev", "plan"]);
    assert!(said.contains("in the simulator only") && said.contains("--simulate"), "{said}");
    project.ok(&["-e", "staging", "apply", "--auto-approve"]);
    let said = project.fails(&["-e", "staging", "apply", "--simulate", "--auto-approve"]);
    assert!(said.contains("real cluster") && said.contains("127.0.0.1"), "{said}");
    project.ok(&["-e", "prod", "plan", "--simulate", "-out", "saved.plan"]);
    project.set("PROXMOX_VE_ENDPOINT", "");
    let said = project.fails(&["-e", "prod", "apply", "saved.plan"]);
    assert!(said.contains("the saved plan was made for simulator") && said.contains("--simulate"), "{said}");
}

#[test]
fn another_endpoint_may_be_another_cluster_until_somebody_says_that_it_is_not() {
    let cluster = Cluster::start(Options::default());
    let other = Cluster::start(Options::default());
    let mut project = Project::on(&cluster);
    project.ok(&["-e", "staging", "apply", "--auto-approve"]);
    let endpoint = cluster.server.endpoint.clone();
    project.set("PROXMOX_VE_ENDPOINT", &other.server.endpoint);
    project.set("PROXMOX_VE_API_TOKEN", &other.server.token);
    for command in ["plan", "apply", "destroy", "refresh"] {
        let said = project.fails(&["-e", "staging", command]);
        assert!(said.contains(&endpoint) && said.contains("--same-cluster"), "{said}");
    }
    assert_eq!(other.requests(), []);
    // The same cluster under another name.
    project.set("PROXMOX_VE_API_TOKEN", &cluster.server.token);
    project.set("PROXMOX_VE_ENDPOINT", &endpoint.replace("127.0.0.1", "localhost"));
    assert!(project.ok(&["-e", "staging", "plan", "--same-cluster"]).contains("No changes."));
    project.ok(&["-e", "staging", "apply", "--same-cluster"]);
    assert!(project.ok(&["-e", "staging", "plan"]).contains("No changes."));
    project.set("PROXMOX_VE_ENDPOINT", &endpoint);
    assert!(project.ok(&["-e", "staging", "plan"]).contains("No changes."));
}

#[test]
fn a_plan_without_changes_asks_for_each_guest_once() {
    // A guest whose status the list does not have yet would be asked for it.
    let cluster = Cluster::start(Options { status_cycle: Duration::ZERO, ..Options::default() });
    let project = Project::on(&cluster);
    project.ok(&["-e", "prod", "apply", "--auto-approve"]);
    cluster.forget_requests();
    assert!(project.ok(&["-e", "prod", "plan"]).contains("No changes."));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in cluster.requests() {
        assert_eq!((request.method.as_str(), request.status), ("GET", 200), "{request:?}");
        *counts.entry(request.path).or_default() += 1;
    }
    println!("{} requests: {counts:#?}", counts.values().sum::<usize>());
    let guests = [("qemu", 9020), ("qemu", 9021), ("qemu", 9120), ("qemu", 9121), ("qemu", 9122)];
    for (kind, vmid) in guests.into_iter().chain([("lxc", 9220), ("lxc", 9221)]) {
        // One that runs tells with what it has also what waits for a reboot.
        let asked =
            ["config", "pending"].map(|what| counts.remove(&format!("/nodes/pve/{kind}/{vmid}/{what}")));
        assert_eq!(asked.into_iter().flatten().collect::<Vec<_>>(), [1], "{kind} {vmid}");
    }
    assert_eq!(counts.remove("/cluster/resources"), Some(1));
    // What else a guest is asked for, only where the configuration has it: firewalls and agents.
    counts.retain(|path, _| {
        !path.contains("/firewall/") && !path.contains("/agent/") && !path.ends_with("/interfaces")
    });
    assert!(counts.values().all(|count| *count == 1) && counts.len() <= 4, "{counts:#?}");
}

#[test]
fn a_replaced_guest_has_its_written_initialization_and_its_firewall_again() {
    let cluster = Cluster::start(Options::default());
    let project = Project::on(&cluster);
    project.ok(&["-e", "prod", "apply", "--auto-approve"]);
    let rules = || cluster.get("/nodes/pve/qemu/9120/firewall/rules").as_array().unwrap().len();
    let options = || cluster.get("/nodes/pve/qemu/9120/firewall/options");
    let before = (rules(), options());
    let vm = "module.vm[\"web-01\"].proxmox_virtual_environment_vm.this";
    let replaced = project.ok(&["-e", "prod", "apply", "--auto-approve", "-replace", vm]);
    assert!(replaced.contains("it goes away with what it is a part of, which is replaced"), "{replaced}");
    assert!(replaced.contains("Done: 3 added, 0 changed, 3 destroyed."), "{replaced}");
    assert_eq!((rules(), options()), before);
    let plan = project.ok(&["-e", "prod", "plan"]);
    assert!(plan.contains("No changes."), "{plan}");
}

#[test]
fn a_node_that_is_not_there_is_named_and_the_next_apply_may_name_another() {
    let cluster = Cluster::start(Options::default());
    let mut project = Project::on(&cluster);
    // What the plan would tell is found by the request.
    project.set("PVE_PREFLIGHT", "off");
    let vm = |node: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"a\" {{\n  node_name = \"{node}\"\n  name = \"a\"\n}}\n"
        )
    };
    let only = ["-e", "dev", "apply", "--auto-approve", "-target=proxmox_virtual_environment_vm.a"];
    project.write("vm.tf", &vm("nowhere"));
    let said = project.fails(&only);
    assert!(said.contains("hostname lookup 'nowhere' failed"), "{said}");
    project.write("vm.tf", &vm("pve"));
    project.ok(&only);
    assert_eq!(cluster.get("/cluster/resources?type=vm").as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_two_resources_write_is_a_warning_unless_one_may_not_overwrite() {
    let cluster = Cluster::start(Options::default());
    let project = with_iso_image(&cluster);
    let file = |name: &str, more: &str| {
        format!(
            "resource \"proxmox_virtual_environment_file\" \"{name}\" {{\n  node_name = \"pve\"\n  \
             datastore_id = \"local\"\n  content_type = \"snippets\"\n  {more}\n  \
             source_raw {{\n    file_name = \"a.yaml\"\n    data = \"#\"\n  }}\n}}\n"
        )
    };
    project.write("main.tf", &(file("one", "") + &file("two", "")));
    let planned = project.command(&["plan"]).output().unwrap();
    let said = String::from_utf8(planned.stderr).unwrap();
    assert!(planned.status.success() && said.contains("Two resources claim local:snippets/a.yaml"), "{said}");
    project.write("main.tf", &(file("one", "") + &file("two", "overwrite = false")));
    project.fails(&["plan"]);
}

#[test]
fn how_many_instances_there_are_may_follow_from_what_is_read_while_planning() {
    let cluster = Cluster::start(Options::default());
    let project = with_iso_image(&cluster);
    project.write(
        "main.tf",
        r#"
data "proxmox_virtual_environment_nodes" "all" {}

data "proxmox_virtual_environment_datastores" "of" {
  for_each  = toset(data.proxmox_virtual_environment_nodes.all.names)
  node_name = each.key
}

resource "terraform_data" "datastore" {
  for_each = toset(flatten([for of in data.proxmox_virtual_environment_datastores.of : of.datastores[*].id]))
  input    = each.key
}

module "nodes" {
  source = "./nodes"
  count  = length(data.proxmox_virtual_environment_nodes.all.names)
}
"#,
    );
    project.write("nodes/main.tf", "resource \"terraform_data\" \"one\" {}\n");
    project.ok(&["apply", "-auto-approve"]);
    let state = project.ok(&["state", "list"]);
    assert!(state.contains("terraform_data.datastore[\"local\"]"), "{state}");
    assert!(state.contains("module.nodes[0].terraform_data.one"), "{state}");
    project.ok(&["plan", "-detailed-exitcode"]);
}

#[test]
fn what_is_only_known_after_apply_cannot_tell_how_many_instances_there_are() {
    let cluster = Cluster::start(Options::default());
    let project = with_iso_image(&cluster);
    project.write(
        "main.tf",
        r#"
data "proxmox_virtual_environment_nodes" "all" {}

resource "terraform_data" "id" {}

resource "terraform_data" "each" {
  for_each = toset([terraform_data.id.id])
}
"#,
    );
    let said = project.fails(&["plan"]);
    assert!(said.contains("`for_each` is only known after apply"), "{said}");
}

#[test]
fn data_in_a_module_that_waits_for_changes_is_read_after_them() {
    let cluster = Cluster::start(Options::default());
    let project = with_iso_image(&cluster);
    let main = r#"
resource "terraform_data" "first" {}

module "waiting" {
  source     = "./outer"
  depends_on = [terraform_data.first]
}

module "free" {
  source = "./outer"
}
"#;
    project.write("main.tf", main);
    project.write("outer/main.tf", "module \"inner\" {\n  source = \"../inner\"\n}\n");
    project.write("inner/main.tf", "data \"proxmox_virtual_environment_nodes\" \"all\" {}\n");
    let read = "proxmox_virtual_environment_nodes.all will be read";
    let said = project.ok(&["plan"]);
    assert!(said.contains(&format!("module.waiting.module.inner.data.{read}")), "{said}");
    assert!(!said.contains(&format!("module.free.module.inner.data.{read}")), "{said}");
    project.ok(&["apply", "-auto-approve"]);
    project.ok(&["plan", "-detailed-exitcode"]);
}

#[test]
fn a_refused_token_and_an_untrusted_certificate_are_named_and_change_nothing() {
    let cluster = Cluster::start(Options::default());
    let mut project = Project::on(&cluster);
    project.set("PROXMOX_VE_API_TOKEN", "root@pam!pve=00000000-0000-0000-0000-00000000dead");
    let said = project.fails(&["-e", "dev", "apply", "--auto-approve"]);
    assert!(said.contains("token") && said.contains("Hint:") && !said.contains("dead"), "{said}");
    project.set("PROXMOX_VE_API_TOKEN", &cluster.server.token);
    project.set("PROXMOX_VE_INSECURE", "false");
    let said = project.fails(&["-e", "dev", "apply", "--auto-approve"]);
    assert!(said.contains("certificate") && said.contains("Hint:"), "{said}");
    assert!(cluster.requests().iter().all(|request| request.status == 401), "{:?}", cluster.requests());
    assert_eq!(project.ok(&["-e", "dev", "state", "list"]), "");
}

/// A cloud image as content of type iso, and two VMs from it.
const ISO_IMAGE: &str = r#"
terraform {
  required_providers {
    proxmox = { source = "bpg/proxmox" }
  }
}
resource "proxmox_virtual_environment_download_file" "image" {
  node_name    = "pve"
  datastore_id = "local"
  content_type = "iso"
  file_name    = "debian.img"
  url          = "https://example.test/debian.qcow2"
}
resource "proxmox_virtual_environment_vm" "web" {
  count     = 2
  node_name = "pve"
  vm_id     = 310 + count.index
  name      = "web-${count.index}"
  started   = count.index == 0
  template  = count.index == 1
  disk {
    datastore_id = "local-lvm"
    interface    = "scsi0"
    file_id      = proxmox_virtual_environment_download_file.image.id
    size         = 20
    discard      = "on"
    ssd          = true
    iothread     = true
  }
  # more disks
  network_device {}
}
"#;

/// A project with nothing but that configuration.
fn with_iso_image(cluster: &Cluster) -> Project {
    let project = Project::on(cluster);
    for entry in std::fs::read_dir(project.root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tf") {
            std::fs::remove_file(path).unwrap();
        }
    }
    project.write("main.tf", ISO_IMAGE);
    project.write("provider.tf", "provider \"proxmox\" {}\n");
    project
}

fn commands(cluster: &Cluster) -> Vec<String> {
    let requests = cluster.requests().into_iter();
    requests.filter(|request| request.method == "SSH").map(|request| request.path).collect()
}

#[test]
fn vms_are_made_from_an_image_of_content_type_iso_by_an_import_on_the_node() {
    let cluster = Cluster::start(Options::default());
    let project = with_iso_image(&cluster);
    project.ok(&["apply", "--auto-approve"]);
    let sets: Vec<_> = commands(&cluster).into_iter().filter(|line| line.starts_with("qm set ")).collect();
    assert_eq!(sets.len(), 2, "{sets:?}");
    let drive = "'local-lvm:0,import-from=/var/lib/vz/template/iso/debian.img,discard=on,iothread=1,ssd=1'";
    assert!(sets.contains(&format!("qm set 310 --scsi0 {drive}")), "{sets:?}");
    for (vmid, volume) in [(310, "vm-310-disk-0"), (311, "base-311-disk-0")] {
        let config = cluster.get(&format!("/nodes/pve/qemu/{vmid}/config"));
        let expected = format!("local-lvm:{volume},discard=on,iothread=1,size=20G,ssd=1");
        assert_eq!(config["scsi0"], expected.as_str());
        assert_eq!(config["boot"], "order=scsi0;net0");
        assert!(config["description"].is_null(), "{config}");
    }
    assert!(project.ok(&["log", "--json"]).contains("import scsi0"));
    assert!(project.ok(&["plan"]).contains("No changes."));

    let more = "disk {\n    interface = \"scsi1\"\n    file_id = proxmox_virtual_environment_download_file.image.id\n    \
                size = count.index + 9\n  }";
    project
        .write("main.tf", &ISO_IMAGE.replace("# more disks", more).replace("count     = 2", "count     = 1"));
    project.ok(&["apply", "--auto-approve"]);
    let config = cluster.get("/nodes/pve/qemu/310/config");
    assert_eq!(
        (&config["scsi1"], &config["boot"]),
        (&"local-lvm:vm-310-disk-1,size=9G".into(), &"order=scsi0;net0".into())
    );
    assert!(project.ok(&["plan"]).contains("No changes."));
    project.ok(&["destroy", "--auto-approve"]);
    assert_eq!(cluster.inventory(), Default::default());
}

#[test]
fn an_import_on_the_node_waits_for_a_lock_and_says_what_it_needs() {
    let cluster = Cluster::start(Options::default());
    let mut project = with_iso_image(&cluster);
    let rule =
        |when: When, how: How| FailureRule { method: "SSH".into(), path: "qm set *".into(), when, how };
    let refuse = |reason: &str| How::Refuse { status: 500, reason: reason.into() };
    project.set("PROXMOX_VE_SSH_PASSWORD", "wrong");
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("import scsi0 of vm 310 on pve") && said.contains("ssh block"), "{said}");
    project.set("PROXMOX_VE_SSH_PASSWORD", &cluster.server.ssh.password);
    let locked = "can't lock file '/var/lock/qemu-server/lock-310.conf' - got timeout";
    cluster.server.simulator().set_failures(vec![rule(When::First(2), refuse(locked))]);
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(commands(&cluster).iter().filter(|line| line.starts_with("qm set ")).count(), 4);
    assert!(project.ok(&["plan"]).contains("No changes."));
}

#[test]
fn an_import_on_the_node_that_breaks_off_is_done_once() {
    let healthy = Cluster::start(Options::default());
    with_iso_image(&healthy).ok(&["apply", "--auto-approve"]);
    for how in [How::Disconnect, How::ApplyThenDisconnect] {
        let cluster = Cluster::start(Options::default());
        let project = with_iso_image(&cluster);
        let when = When::Always;
        let rule = FailureRule { method: "SSH".into(), path: "qm set *".into(), when, how: how.clone() };
        cluster.server.simulator().set_failures(vec![rule]);
        project.fails(&["apply", "--auto-approve"]);
        cluster.server.simulator().set_failures(vec![]);
        project.ok(&["apply", "--auto-approve"]);
        assert_eq!(cluster.inventory(), healthy.inventory(), "{how:?}");
        for vmid in [310, 311] {
            let config = cluster.get(&format!("/nodes/pve/qemu/{vmid}/config"));
            assert_eq!(config["boot"], "order=scsi0;net0", "{how:?}");
        }
        assert!(project.ok(&["plan"]).contains("No changes."), "{how:?}");
    }
}
