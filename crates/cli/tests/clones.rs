//! Clones whose template has more than their configuration says, through the binary.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

/// A cluster with a template 9000 whose cloud-init drive is at an interface, and a template 9100 of a container.
fn cluster(interface: &str) -> (Cluster, Project) {
    cluster_with(Options::default(), interface)
}

fn cluster_with(options: Options, interface: &str) -> (Cluster, Project) {
    let cluster = Cluster::start(options);
    let project = project_with(&cluster, "");
    let vm = [
        ("vmid", "9000"),
        ("name", "tpl"),
        ("scsi0", "local-lvm:4"),
        (interface, "local-lvm:cloudinit"),
        ("ciuser", "tpl"),
        ("efidisk0", "local-lvm:1,efitype=4m"),
        ("tpmstate0", "local-lvm:1,version=v2.0"),
        ("memory", "2048"),
        ("balloon", "1024"),
        ("cores", "2"),
        ("vga", "serial0"),
        ("serial0", "socket"),
        ("agent", "1"),
        ("net0", "virtio,bridge=vmbr0"),
        ("net1", "virtio,bridge=vmbr0"),
        ("template", "1"),
    ];
    cluster.send("POST", "/nodes/pve/qemu", &vm);
    let container = [
        ("vmid", "9100"),
        ("hostname", "tpl"),
        ("ostemplate", "local:vztmpl/t.tar.zst"),
        ("rootfs", "local-lvm:4"),
        ("memory", "1024"),
        ("cores", "2"),
        ("net0", "name=eth0,bridge=vmbr0"),
        ("template", "1"),
    ];
    cluster.send("POST", "/nodes/pve/lxc", &container);
    (cluster, project)
}

fn vm(blocks: &str) -> String {
    format!(
        "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"c\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  name = \"c\"\n  \
         started = false\n  clone {{\n    vm_id = 9000\n  }}\n  {blocks}\n}}\n"
    )
}

fn quiet(project: &Project) {
    settled(project);
    let plan = project.ok(&["plan"]);
    for word in ["left alone", "outside", "waits for"] {
        assert!(!plan.contains(word), "{plan}");
    }
}

#[test]
fn a_drive_where_the_template_has_its_cloud_init_drive_is_told_before_anything_is_made() {
    let dhcp =
        "initialization {\n    ip_config {\n      ipv4 {\n        address = \"dhcp\"\n      }\n    }\n  }";
    let (cluster, project) = cluster("scsi1");
    let told = |blocks: &str, line: &str| {
        project.write("main.tf", &vm(&format!("{blocks}\n  {dhcp}")));
        let (_, plan) = project.ends(&["plan"]);
        assert!(plan.contains("scsi1 is the interface of") && plan.contains(line), "{plan}");
        assert!(plan.contains("its template 9000 has it there"), "{plan}");
        assert!(project.fails(&["apply", "--auto-approve"]).contains("scsi1 is the interface of"));
        assert!(cluster.get("/nodes/pve/qemu/500/config").is_null(), "nothing is made");
    };
    told("disk {\n    interface = \"scsi1\"\n    size = 1\n  }", "interface = \"scsi1\"");
    told("cdrom {\n    interface = \"scsi1\"\n  }", "interface = \"scsi1\"");
    // Where the drive of the template is not, there is room.
    project
        .write("main.tf", &vm(&format!("disk {{\n    interface = \"ide2\"\n    size = 1\n  }}\n  {dhcp}")));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    let config = cluster.get("/nodes/pve/qemu/500/config");
    assert!(config["ide2"].as_str().unwrap().contains("vm-500-disk"), "{config}");
    assert!(config["scsi1"].as_str().unwrap().contains("cloudinit"), "{config}");
    // A drive that is to be where it is makes room for it where another place is named for it.
    let blocks = "disk {\n    interface = \"scsi1\"\n    size = 1\n  }\n  initialization {\n    interface = \"ide0\"\n  }";
    project.write("main.tf", &vm(blocks));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    let config = cluster.get("/nodes/pve/qemu/500/config");
    assert!(config["scsi1"].as_str().unwrap().contains("vm-500-disk"), "{config}");
    assert!(config["ide0"].as_str().unwrap().contains("cloudinit"), "{config}");
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn what_a_clone_cannot_have_otherwise_than_its_template_is_told_before_it_is_made() {
    let (cluster, project) = cluster("ide2");
    for (blocks, said) in [
        (
            "disk {\n    interface = \"scsi0\"\n    size = 2\n  }",
            ["scsi0 of template 9000 is 4G", "cannot have 2G"],
        ),
        ("efi_disk {\n    type = \"2m\"\n  }", ["efidisk0 of template 9000 is 4m", "cannot have 2m"]),
        (
            "tpm_state {\n    version = \"v1.2\"\n  }",
            ["tpmstate0 of template 9000 is v2.0", "cannot have v1.2"],
        ),
    ] {
        project.write("main.tf", &vm(blocks));
        let (_, plan) = project.ends(&["plan"]);
        assert!(said.iter().all(|said| plan.contains(said)), "{plan}");
        assert!(project.fails(&["apply", "--auto-approve"]).contains(said[0]));
        assert!(cluster.get("/nodes/pve/qemu/500/config").is_null(), "nothing is made");
    }
    // A membership is about the template, and changes nothing of it.
    cluster.send("POST", "/pools", &[("poolid", "lab")]);
    let member = "resource \"proxmox_pool_membership\" \"a\" {\n  pool_id = \"lab\"\n  vm_id = 9000\n}\n";
    project.write("main.tf", &(vm("disk {\n    interface = \"scsi0\"\n    size = 2\n  }") + member));
    let (_, plan) = project.ends(&["plan"]);
    assert!(plan.contains("scsi0 of template 9000 is 4G"), "{plan}");
    let blocks = "efi_disk {\n    type = \"4m\"\n  }\n  tpm_state {\n    version = \"v2.0\"\n  }";
    project.write("main.tf", &vm(blocks));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn what_the_options_of_a_template_say_is_in_no_file_in_plain_text() {
    let (cluster, project) = cluster("ide2");
    let secret = "aSecretOfTheTemplate";
    let set = [("description", secret), ("nameserver", "192.0.2.77"), ("searchdomain", "secret.example")];
    cluster.send("PUT", "/nodes/pve/qemu/9000/config", &set);
    project.write("main.tf", &vm(""));
    project.ok(&["apply", "--auto-approve"]);
    project.ok(&["state", "rm", "proxmox_virtual_environment_vm.c"]);
    project.ok(&["import", "proxmox_virtual_environment_vm.c", "pve/500"]);
    cluster.send("PUT", "/nodes/pve/qemu/500/config", &[("description", "another"), ("cores", "3")]);
    project.write("main.tf", &vm("tags = [\"t\"]"));
    project.ok(&["plan", "-out", "saved"]);
    let files = files(&project.root());
    assert!(files.len() > 2, "{files:?}");
    for file in files {
        let content = std::fs::read(&file).unwrap();
        for word in [secret, "secret.example"] {
            let found = content.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "{word} is in {}", file.display());
        }
    }
}

#[test]
fn a_running_vm_is_shut_down_for_another_place_of_its_cloud_init_drive() {
    let (cluster, project) = cluster("ide2");
    let running = |blocks: &str| vm(blocks).replace("started = false", "started = true");
    project.write("main.tf", &running("initialization {\n  }"));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    project.write(
        "main.tf",
        &running("initialization {\n    interface = \"ide0\"\n  }\n  cdrom {\n    interface = \"ide2\"\n  }"),
    );
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("its cloud-init drive goes to another interface"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    let config = cluster.get("/nodes/pve/qemu/500/config");
    assert!(config["ide0"].as_str().unwrap().contains("cloudinit"), "{config}");
    assert_eq!(config["ide2"], "cdrom,media=cdrom");
    assert_eq!(cluster.get("/nodes/pve/qemu/500/status/current")["status"], "running");
}

#[test]
fn memory_that_is_configured_later_is_brought_about_at_once() {
    let (cluster, project) = cluster("ide2");
    project.write("main.tf", &vm(""));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    project.write("main.tf", &vm("memory {\n    dedicated = 2048\n  }"));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    assert_eq!(cluster.get("/nodes/pve/qemu/500/config")["balloon"], 0);
}

#[test]
fn nothing_is_told_of_a_clone_that_is_imported() {
    let (_cluster, project) = cluster("ide2");
    let container = "resource \"proxmox_virtual_environment_container\" \"c\" {\n  node_name = \"pve\"\n  vm_id = 501\n  \
                     started = false\n  clone {\n    vm_id = 9100\n  }\n  initialization {\n    hostname = \"cc\"\n  }\n}\n";
    let main = format!("{}{container}", vm(""));
    project.write("main.tf", &main);
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    let known = [
        ("proxmox_virtual_environment_vm.c", "pve/500"),
        ("proxmox_virtual_environment_container.c", "pve/501"),
    ];
    let forget = || known.iter().for_each(|(address, _)| drop(project.ok(&["state", "rm", address])));
    forget();
    known.iter().for_each(|(address, id)| drop(project.ok(&["import", address, id])));
    quiet(&project);
    forget();
    let blocks = known.map(|(address, id)| format!("import {{\n  to = {address}\n  id = \"{id}\"\n}}\n"));
    project.write("main.tf", &format!("{main}{}", blocks.concat()));
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
    project.ok(&["apply", "--auto-approve"]);
    quiet(&project);
}

/// The disks of its template are on storage that the other node does not have.
#[test]
fn a_clone_for_another_node_is_made_beside_its_template_and_moved() {
    let older = vm("").replace("node_name = \"pve\"", "node_name = \"pve2\"");
    let newer = format!(
        "{PROVIDER}resource \"proxmox_cloned_vm\" \"c\" {{\n  node_name = \"pve2\"\n  id = 500\n  name = \"c\"\n  started = false\n  \
         clone = {{\n    source_vm_id = 9000\n  }}\n}}\n"
    );
    let hows = || [How::FailTask("no space left".into()), How::Disconnect, How::ApplyThenDisconnect];
    for (main, how) in [older, newer].iter().flat_map(|main| hows().map(|how| (main, how))) {
        let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
        let (cluster, project) = cluster_with(options, "ide2");
        project.write("main.tf", main);
        // What is cloned and not known to have moved is not made once more.
        let (method, path) = ("POST".into(), "/nodes/pve/qemu/500/migrate".into());
        cluster.server.simulator().set_failures(vec![FailureRule { method, path, when: When::Always, how }]);
        project.fails(&["apply", "--auto-approve"]);
        // It may move between two requests: on one of the nodes it is.
        let nodes = ["pve", "pve2"].map(|node| cluster.get(&format!("/nodes/{node}/qemu/500/config")));
        assert!(nodes.iter().any(|config| config["scsi0"].is_string()), "{nodes:?}");
        cluster.server.simulator().set_failures(Vec::new());
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        assert!(cluster.get("/nodes/pve/qemu/500/config").is_null(), "it has moved");
        assert_eq!(cluster.get("/nodes/pve2/qemu/500/config")["name"], "c");
        let clones = cluster.requests().into_iter().filter(|request| request.path.ends_with("/clone"));
        assert_eq!(clones.count(), 2, "one was refused");
        project.ok(&["destroy", "--auto-approve"]);
        project.ok(&["apply", "--auto-approve"]);
        assert_eq!(cluster.get("/nodes/pve2/qemu/500/config")["name"], "c");
    }
}
