//! What a plan says of changes of guests, and what is found after a destroy that broke off, through the binary.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use std::process::{Command, Output, Stdio};

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

const VM: &str = r#"
resource "proxmox_virtual_environment_vm" "a" {
  node_name = "pve"
  vm_id     = 300
  name      = "a"
  disk {
    interface    = "scsi0"
    datastore_id = "local-lvm"
    size         = 8
  }
  network_device {}
}
"#;

const CONTAINER: &str = r#"
resource "proxmox_virtual_environment_container" "a" {
  node_name = "pve"
  vm_id     = 400
  operating_system {
    template_file_id = "local:vztmpl/t.tar.zst"
    type             = "debian"
  }
  disk {
    datastore_id = "local-lvm"
    size         = 4
  }
  # points
}
"#;

fn point(path: &str, size: &str) -> String {
    format!(
        "mount_point {{\n    path = \"{path}\"\n    volume = \"local-lvm\"\n    size = \"{size}\"\n  }}\n  "
    )
}

fn with_points(points: &[(&str, &str)]) -> String {
    let points: String = points.iter().map(|(path, size)| point(path, size)).collect();
    format!("{PROVIDER}{}", CONTAINER.replace("# points", &points))
}

#[test]
fn a_mount_point_in_the_middle_is_shown_as_the_one_that_is_new_and_none_can_shrink() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    project.write("main.tf", &with_points(&[("/srv/a", "1G"), ("/srv/data", "100G")]));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &with_points(&[("/srv/a", "1G"), ("/srv/cache", "10G"), ("/srv/data", "100G")]));
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("+ mount_point {") && plan.contains("/srv/cache"), "{plan}");
    assert!(plan.contains("(2 unchanged mount_point blocks)") && !plan.contains("/srv/data"), "{plan}");
    assert!(!plan.contains("restarts the container"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.write("main.tf", &with_points(&[("/srv/a", "1G"), ("/srv/cache", "10G"), ("/srv/data", "50G")]));
    let said = project.fails(&["plan"]);
    assert!(
        said.contains("A disk cannot shrink") && said.contains("mount point /srv/data is 100G"),
        "{said}"
    );
    project.write("main.tf", &with_points(&[("/srv/a", "1G"), ("/srv/data", "101G")]));
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("restarts the container") && plan.contains("\"100G\" -> \"101G\""), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
}

#[test]
fn a_token_that_may_not_mount_a_path_of_the_node_is_told_who_may() {
    let cluster = Cluster::start(Options::default());
    let bind = "mount_point {\n    path = \"/srv\"\n    volume = \"/mnt/x\"\n  }";
    let project = project_with(&cluster, &CONTAINER.replace("# points", bind));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("log in as root@pam with a password") && !said.contains("acl modify"), "{said}");
}

#[test]
fn an_edited_local_file_is_a_change_that_is_planned_and_nothing_from_outside() {
    let cluster = Cluster::start(Options::default());
    let file = "resource \"proxmox_virtual_environment_file\" \"a\" {\n  node_name = \"pve\"\n  datastore_id = \"local\"\n  \
                content_type = \"snippets\"\n  source_file {\n    path = \"a.yaml\"\n  }\n}\n";
    let project = project_with(&cluster, file);
    project.write("a.yaml", "one\n");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.write("a.yaml", "another\n");
    let plan = project.ok(&["plan"]);
    assert!(!plan.contains("Changed outside") && plan.contains("the local file has changed"), "{plan}");
    assert!(plan.contains("0 to add, 1 to change, 0 to destroy"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.server.simulator().file("local:snippets/a.yaml").as_deref(), Some("another\n"));
    settled(&project);
}

/// Destroys, with `words` behind, and sends the process a signal when the shutdown is under way; how it ended then.
fn signalled_at_shutdown(cluster: &Cluster, project: &Project, words: &[&str], signal: &str) -> Output {
    let words = [&["destroy", "--auto-approve"], words].concat();
    let piped = || Stdio::piped();
    let mut child = project.command(&words).stdout(piped()).stderr(piped()).spawn().unwrap();
    let asked = || cluster.requests().iter().any(|request| request.path.ends_with("/status/shutdown"));
    while !asked() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    child.wait_with_output().unwrap()
}

#[test]
fn an_interrupted_destroy_finishes_its_step_and_says_how_it_goes_on() {
    let options = Options { task_duration: std::time::Duration::from_millis(500), ..Options::default() };
    let cluster = Cluster::start(options);
    let project = project_with(&cluster, VM);
    project.ok(&["apply", "--auto-approve"]);
    let ended = signalled_at_shutdown(&cluster, &project, &["--keep-protected"], "-INT");
    let said = simulated::text(&ended);
    assert!(
        said.contains("Stopping: the step that each change is at is finished, nothing more is begun."),
        "{said}"
    );
    assert!(said.contains("interrupted before it could destroy vm 300"), "{said}");
    assert!(said.contains("`pve destroy --keep-protected` again continues from here"), "{said}");
    project.ok(&["destroy", "--auto-approve", "--keep-protected"]);
    assert!(cluster.inventory().iter().all(|line| !line.starts_with("qemu")));
}

#[test]
fn after_a_destroy_that_was_killed_it_is_told_what_is_left_and_its_shutdown_is_no_drift() {
    // The process is killed while the task runs.
    let options = Options { task_duration: std::time::Duration::from_millis(500), ..Options::default() };
    let cluster = Cluster::start(options);
    let project = project_with(&cluster, VM);
    project.ok(&["apply", "--auto-approve"]);
    signalled_at_shutdown(&cluster, &project, &[], "-KILL");
    let log = project.ok(&["log"]);
    assert!(log.contains("the run has no end yet"), "{log}");
    // Every further run breaks off before it changes anything.
    let output = project.command(&["apply", "--auto-approve"]).output().unwrap();
    let said = simulated::text(&output);
    assert!(said.contains("it still exists, stopped") && !said.contains("Changed outside"), "{said}");
    let log = project.ok(&["log"]);
    assert!(
        log.contains("run interrupted: destroy did not come to its end, with 1 action under way"),
        "{log}"
    );
    assert!(log.contains("interrupted before it was destroyed: it still exists, stopped"), "{log}");
    settled(&project);
    assert_eq!(cluster.get("/nodes/pve/qemu/300/status/current")["status"], "running");
}

#[test]
fn a_destroy_that_fails_after_the_shutdown_leaves_no_drift() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, VM);
    project.ok(&["apply", "--auto-approve"]);
    let rule = FailureRule {
        method: "DELETE".into(),
        path: "/nodes/pve/qemu/300".into(),
        when: When::Always,
        how: How::Refuse { status: 500, reason: "the storage is away".into() },
    };
    cluster.server.simulator().set_failures(vec![rule]);
    project.fails(&["destroy", "--auto-approve"]);
    cluster.server.simulator().set_failures(vec![]);
    let plan = project.ok(&["plan"]);
    assert!(!plan.contains("Changed outside") && plan.contains("started"), "{plan}");
    project.ok(&["destroy", "--auto-approve"]);
    assert_eq!(cluster.inventory().into_iter().filter(|line| !line.contains("vztmpl")).count(), 0);
}

#[test]
fn a_guest_with_a_fixed_id_is_not_planned_to_be_made_beside_itself() {
    let cluster = Cluster::start(Options::default());
    let vm = |id: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  started = false\n{id}  lifecycle {{\n    \
             create_before_destroy = true\n  }}\n}}\n"
        )
    };
    let replace = ["plan", "-replace", "proxmox_virtual_environment_vm.v"];
    let project = Project::of(&cluster, &vm("  vm_id = 300\n"));
    project.ok(&["apply", "--auto-approve"]);
    let said = project.fails(&replace);
    assert!(said.contains("Both cannot be there at once") && said.contains("both would be vm 300"), "{said}");
    // Under another id, or one that the cluster chooses, it can be.
    for id in ["  vm_id = 301\n", ""] {
        project.write("main.tf", &vm(id));
        let (code, said) = project.ends(&replace);
        assert!(code == 0 && !said.contains("Both cannot"), "{id}: {said}");
    }
}

#[test]
fn what_only_root_may_set_of_the_newer_machines_is_told_to_a_token_before_anything_is_made() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", "9000"), ("scsi0", "local-lvm:1"), ("template", "1")]);
    let made = |lines: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_vm\" \"n\" {{\n  node_name = \"pve\"\n  id = 310\n  name = \"n\"\n{lines}\n}}\n"
        )
    };
    let cloned = |lines: &str| {
        let clone = format!("clone = {{\n    source_vm_id = 9000\n  }}\n{lines}");
        made(&clone).replace("proxmox_vm", "proxmox_cloned_vm")
    };
    for (text, place) in [
        (made("cpu = {\n    affinity = \"0-1\"\n  }"), "cpu.affinity"),
        (made("cpu = {\n    architecture = \"x86_64\"\n  }"), "cpu.architecture"),
        (cloned("cpu = {\n    affinity = \"0-1\"\n  }"), "cpu.affinity"),
        (cloned("memory = {\n    hugepages = \"2\"\n  }"), "memory.hugepages"),
        (cloned("disk = {\n    scsi1 = {\n      file = \"/dev/sdz\"\n    }\n  }"), "disk[\"scsi1\"].file"),
    ] {
        project.write("main.tf", &text);
        let (code, plan) = project.ends(&["plan"]);
        let told = format!("Only root@pam itself may set {place}");
        assert!(code == 0 && plan.contains(&told), "{text}{plan}");
        cluster.forget_requests();
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("Nothing was changed"), "{text}{said}");
        assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    }
    // What is left as it is, and what needs no more than privileges, is nothing to tell.
    project.write("main.tf", &cloned("cpu = {\n    cores = 2\n  }\n  memory = {\n    size = 1024\n  }"));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
}

#[test]
fn a_newer_machine_that_its_template_made_protected_is_told_and_left_running() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    let params =
        [("vmid", "9000"), ("scsi0", "local-lvm:1"), ("ide2", "local-lvm:cloudinit"), ("protection", "1")];
    cluster.send("POST", "/nodes/pve/qemu", &params);
    let cloned = |lines: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_cloned_vm\" \"k\" {{\n  node_name = \"pve\"\n  id = 310\n  name = \"k\"\n  \
             clone = {{\n    source_vm_id = 9000\n  }}\n{lines}\n}}\n"
        )
    };
    let refused = |words: &[&str], told: &str| {
        cluster.forget_requests();
        let said = project.fails(words);
        assert!(said.contains(told) && said.contains("Nothing was changed"), "{said}");
        assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    };
    project.write("main.tf", &cloned("  cdrom = {\n    ide2 = {}\n  }"));
    refused(&["apply", "--auto-approve"], "ide2 of template 9000 has local-lvm:vm-9000-cloudinit");
    project.write("main.tf", &cloned(""));
    project.ok(&["apply", "--auto-approve"]);
    refused(&["destroy", "--auto-approve"], "Guest 310 is protected and cannot be destroyed");
    assert_eq!(cluster.get("/nodes/pve/qemu/310/status/current")["status"], "running");
    cluster.send("PUT", "/nodes/pve/qemu/310/config", &[("protection", "0")]);
    project.ok(&["destroy", "--auto-approve"]);
}
