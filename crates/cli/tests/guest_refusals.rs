//! What Proxmox VE refuses each time is told by the plan, or made so that it is not refused.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project, project_with, settled};

/// What a plan says, warnings too.
fn planned(project: &Project) -> String {
    let (code, said) = project.ends(&["plan"]);
    assert_eq!(code, 0, "{said}");
    said
}

fn vm(lines: &str) -> String {
    format!(
        "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  vm_id = 300\n  \
         name = \"v\"\n{lines}\n}}\n"
    )
}

fn container(unprivileged: bool, lines: &str) -> String {
    format!(
        "{PROVIDER}resource \"proxmox_virtual_environment_container\" \"c\" {{\n  node_name = \"pve\"\n  vm_id = 400\n  \
         unprivileged = {unprivileged}\n  operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n    \
         type = \"debian\"\n  }}\n{lines}\n}}\n"
    )
}

fn disk(interface: &str, size: u32) -> String {
    format!(
        "  disk {{\n    interface = \"{interface}\"\n    datastore_id = \"local-lvm\"\n    size = {size}\n  }}\n"
    )
}

fn root_disk(size: u32) -> String {
    format!("  disk {{\n    datastore_id = \"local-lvm\"\n    size = {size}\n  }}\n")
}

fn point(path: &str, size: u32) -> String {
    format!(
        "  mount_point {{\n    path = \"{path}\"\n    volume = \"local-lvm\"\n    size = \"{size}G\"\n  }}\n"
    )
}

/// Attributes, the option that they are, and the place that a plan names.
const OF_ROOT: &[(&str, (&str, &str), &str)] = &[
    ("kvm_arguments = \"-device x\"", ("args", "-device x"), "kvm_arguments"),
    ("cpu {\n affinity = \"0-1\"\n }", ("affinity", "0-1"), "cpu[0].affinity"),
    ("cpu {\n architecture = \"x86_64\"\n }", ("arch", "x86_64"), "cpu[0].architecture"),
    (
        "cpu {\n numa = true\n }\nmemory {\n dedicated = 1024\n hugepages = \"2\"\n }",
        ("hugepages", "2"),
        "memory[0].hugepages",
    ),
    ("usb {\n host = \"1234:5678\"\n }", ("usb0", "host=1234:5678"), "usb[0]"),
    (
        "hostpci {\n device = \"hostpci0\"\n id = \"0000:01:00.0\"\n }",
        ("hostpci0", "host=0000:01:00.0"),
        "hostpci[0]",
    ),
    ("serial_device {\n device = \"/dev/ttyS0\"\n }", ("serial0", "/dev/ttyS0"), "serial_device[0]"),
    (
        "disk {\n interface = \"scsi0\"\n datastore_id = \"\"\n path_in_datastore = \"/dev/sdz\"\n size = 8\n }",
        ("scsi0", "/dev/sdz"),
        "disk[0].path_in_datastore",
    ),
    (
        "hook_script_file_id = \"local:snippets/hook.sh\"",
        ("hookscript", "local:snippets/hook.sh"),
        "hook_script_file_id",
    ),
];

/// The same of containers, unprivileged or not.
const OF_ROOT_IN_CONTAINERS: &[(bool, &str, (&str, &str), &str)] = &[
    (true, "features {\n fuse = true\n nesting = true\n }", ("features", "fuse=1,nesting=1"), "features"),
    (true, "features {\n mount = [\"nfs\"]\n }", ("features", "mount=nfs"), "features"),
    (false, "features {\n nesting = true\n }", ("features", "nesting=1"), "features"),
    (
        true,
        "mount_point {\n volume = \"/mnt/x\"\n path = \"/x\"\n }",
        ("mp0", "/mnt/x,mp=/x"),
        "mount_point[0].volume",
    ),
    (true, "device_passthrough {\n path = \"/dev/fuse\"\n }", ("dev0", "/dev/fuse"), "device_passthrough[0]"),
    (
        true,
        "hook_script_file_id = \"local:snippets/hook.sh\"",
        ("hookscript", "local:snippets/hook.sh"),
        "hook_script_file_id",
    ),
];

fn as_root(project: &mut Project) {
    project.set("PROXMOX_VE_API_TOKEN", "");
    project.set("PROXMOX_VE_USERNAME", "root@pam");
    project.set("PROXMOX_VE_PASSWORD", "simulator");
}

#[test]
fn what_only_root_may_set_is_told_to_a_token_and_not_to_root() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    cluster.server.simulator().add_file("local:snippets/hook.sh", b"#!/bin/sh");
    let mut root = Project::of(&cluster, PROVIDER);
    as_root(&mut root);
    let of_vms = OF_ROOT.iter().map(|(lines, option, place)| (vm(lines), "qemu", true, *option, *place));
    let of_containers = OF_ROOT_IN_CONTAINERS.iter().map(|(unprivileged, lines, option, place)| {
        (container(*unprivileged, &format!("{}{lines}", root_disk(4))), "lxc", *unprivileged, *option, *place)
    });
    for (text, kind, unprivileged, option, place) in of_vms.chain(of_containers) {
        // The cluster refuses the option, whoever sends it.
        let mut params = vec![("vmid", "900"), option];
        if kind == "lxc" {
            params.extend([("ostemplate", "local:vztmpl/t.tar.zst"), ("rootfs", "local-lvm:1")]);
            params.push(("unprivileged", if unprivileged { "1" } else { "0" }));
        }
        assert!(
            cluster.send("POST", &format!("/nodes/pve/{kind}"), &params).is_null(),
            "{option:?} is taken"
        );
        project.write("main.tf", &text);
        let plan = planned(&project);
        let told = format!("Only root@pam itself may set {place}");
        assert!(plan.contains(&told) && plan.contains("apply does not begin with it"), "{text}{plan}");
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("Nothing was changed"), "{text}{said}");
        root.write("main.tf", &text);
        let plan = planned(&root);
        assert!(!plan.contains("Only root@pam"), "{text}{plan}");
    }
    for text in [
        vm("usb {\n host = \"spice\"\n }\nserial_device {}\ncpu {\n cores = 2\n }"),
        container(true, &format!("{}features {{\n nesting = true\n }}", root_disk(4))),
    ] {
        project.write("main.tf", &text);
        project.ok(&["apply", "--auto-approve"]);
    }
}

/// A VM with every drive that protection holds, and the same without one.
fn protected_vm(protection: bool, left_out: &str) -> String {
    let cdrom = "  cdrom {\n    interface = \"ide3\"\n    file_id = \"none\"\n  }\n".to_string();
    let efi = "  bios = \"ovmf\"\n  efi_disk {\n    datastore_id = \"local-lvm\"\n  }\n".to_string();
    let tpm = "  tpm_state {\n    datastore_id = \"local-lvm\"\n    version = \"v2.0\"\n  }\n".to_string();
    let parts = [
        ("scsi0", disk("scsi0", 1)),
        ("scsi1", disk("scsi1", 1)),
        ("ide3", cdrom),
        ("efidisk0", efi),
        ("tpmstate0", tpm),
    ];
    let parts = parts.into_iter().filter(|(name, _)| *name != left_out).map(|(_, text)| text);
    let order = if left_out == "scsi0" { "scsi1" } else { "scsi0" };
    vm(&format!("  protection = {protection}\n  boot_order = [\"{order}\"]\n{}", parts.collect::<String>()))
}

#[test]
fn a_protected_vm_loses_a_drive_only_together_with_its_protection_and_is_not_shut_down_before() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    for lost in ["scsi1", "scsi0", "ide3", "efidisk0", "tpmstate0"] {
        project.write("main.tf", &protected_vm(true, ""));
        project.ok(&["apply", "--auto-approve"]);
        project.write("main.tf", &protected_vm(true, lost));
        let plan = planned(&project);
        let told = format!("It is protected, which holds {lost}");
        assert!(plan.contains(&told) && plan.contains("protection = false and apply that first"), "{plan}");
        cluster.forget_requests();
        project.fails(&["apply", "--auto-approve"]);
        assert!(cluster.requests().iter().all(|request| request.method == "GET"), "{lost}");
        project.write("main.tf", &protected_vm(false, lost));
        let plan = planned(&project);
        assert!(!plan.contains("It is protected"), "{plan}");
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        assert!(cluster.get("/nodes/pve/qemu/300/config")[lost].is_null());
        assert_eq!(cluster.get("/nodes/pve/qemu/300/status/current")["status"], "running");
    }
}

#[test]
fn a_protected_container_changes_its_mount_points_only_together_with_its_protection() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    let with = |protection: bool, points: &str| {
        container(true, &format!("  protection = {protection}\n{}{points}", root_disk(4)))
    };
    let readable = point("/a", 1).replace("  }", "    read_only = true\n  }");
    let mut before = with(true, &point("/a", 1));
    for (points, held) in [(point("/b", 1) + &point("/a", 1), "/b"), (readable, "/a"), (String::new(), "/a")]
    {
        project.write("main.tf", &before);
        project.ok(&["apply", "--auto-approve"]);
        project.write("main.tf", &with(true, &points));
        let plan = planned(&project);
        assert!(plan.contains("It is protected, which holds") && plan.contains(held), "{plan}");
        assert!(project.fails(&["apply", "--auto-approve"]).contains("Nothing was changed"));
        project.write("main.tf", &with(false, &points));
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        before = with(true, &points);
    }
}

#[test]
fn a_replaced_guest_may_have_smaller_disks() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", "9000"), ("scsi0", "local-lvm:1"), ("template", "1")]);
    let clone = |size: u32| {
        format!(
            "{PROVIDER}resource \"proxmox_cloned_vm\" \"k\" {{\n  node_name = \"pve\"\n  id = 310\n  name = \"k\"\n  \
             clone = {{\n    source_vm_id = 9000\n  }}\n  disk = {{\n    scsi0 = {{\n      datastore_id = \"local-lvm\"\n      \
             size_gb = {size}\n    }}\n  }}\n}}\n"
        )
    };
    let with_point = |size: u32| container(true, &(root_disk(4) + &point("/a", size)));
    for (address, large, small, slot) in [
        ("proxmox_virtual_environment_vm.v", vm(&disk("scsi0", 4)), vm(&disk("scsi0", 2)), "qemu/300/scsi0"),
        (
            "proxmox_virtual_environment_container.c",
            container(true, &root_disk(4)),
            container(true, &root_disk(2)),
            "lxc/400/rootfs",
        ),
        ("proxmox_virtual_environment_container.c", with_point(4), with_point(2), "lxc/400/mp0"),
        ("proxmox_cloned_vm.k", clone(4), clone(2), "qemu/310/scsi0"),
    ] {
        let size = || {
            let (guest, slot) = slot.rsplit_once('/').unwrap();
            let drive =
                cluster.get(&format!("/nodes/pve/{guest}/config"))[slot].as_str().unwrap().to_string();
            drive.split("size=").nth(1).unwrap().split(',').next().unwrap().to_string()
        };
        let replace = format!("-replace={address}");
        for words in [vec!["apply", "--auto-approve", replace.as_str()], vec!["apply", "--auto-approve"]] {
            project.write("main.tf", &large);
            project.ok(&["apply", "--auto-approve", replace.as_str()]);
            assert_eq!(size(), "4G");
            project.write("main.tf", &small);
            assert!(project.fails(&["plan"]).contains("A disk cannot shrink"));
            if words.len() == 2 {
                project.ok(&["taint", address]);
            }
            project.ok(&words);
            assert_eq!(size(), "2G", "{address} {words:?}");
            settled(&project);
        }
        project.ok(&["destroy", "--auto-approve"]);
    }
}

#[test]
fn a_file_that_is_there_already_is_told_unless_it_may_be_written_over() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    cluster.server.simulator().add_file("local:iso/x.iso", b"theirs");
    let file = |kind: &str, lines: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_{kind}\" \"f\" {{\n  node_name = \"pve\"\n  datastore_id = \
             \"local\"\n  content_type = \"iso\"\n{lines}\n}}\n"
        )
    };
    let url = "  url = \"https://images.test/x.iso\"\n";
    let source = "  source_file {\n    path = \"x.iso\"\n  }\n";
    project.write("x.iso", "ours");
    for (kind, lines, is_refused) in [
        ("download_file", url.to_string(), true),
        ("download_file", format!("{url}  overwrite_unmanaged = true\n"), false),
        ("file", format!("{source}  overwrite = false\n"), true),
        ("file", source.to_string(), false),
        ("download_file", url.replace("x.iso", "y.iso"), false),
    ] {
        project.write("main.tf", &file(kind, &lines));
        let plan = planned(&project);
        assert_eq!(
            plan.contains("The file \"local:iso/x.iso\" is there already"),
            is_refused,
            "{lines}{plan}"
        );
        let (code, said) = project.ends(&["apply", "--auto-approve"]);
        assert_eq!(
            (code, said.contains("Nothing was changed")),
            (i32::from(is_refused), is_refused),
            "{said}"
        );
        // What has to be downloaded anew takes the place of its own file.
        if !is_refused && kind == "download_file" {
            let (code, said) =
                project.ends(&["plan", "-replace=proxmox_virtual_environment_download_file.f"]);
            assert!(code == 0 && !said.contains("is there already"), "{said}");
        }
        project.ok(&["destroy", "--auto-approve"]);
        cluster.server.simulator().add_file("local:iso/x.iso", b"theirs");
    }
}

#[test]
fn a_mount_point_at_another_path_says_how_it_keeps_the_volume() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    project.write("main.tf", &container(true, &(root_disk(4) + &point("/a", 1))));
    project.ok(&["apply", "--auto-approve"]);
    let other = |volume: &str| {
        let point = format!(
            "  mount_point {{\n    path = \"/b\"\n    volume = \"{volume}\"\n    size = \"2G\"\n  }}\n"
        );
        container(true, &(root_disk(4) + &point))
    };
    project.write("main.tf", &other("local-lvm"));
    let plan = planned(&project).replace("\n  # ", " ");
    let volume = cluster.get("/nodes/pve/lxc/400/config")["mp0"]
        .as_str()
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_string();
    assert!(plan.contains(&format!("with volume = \"{volume}\" has it")), "{plan}");
    project.write("main.tf", &other(&volume));
    let plan = planned(&project);
    assert!(plan.contains("mount point /a becomes /b and keeps its volume"), "{plan}");
}

#[test]
fn a_disk_that_a_snapshot_has_is_told_with_the_snapshot_when_it_goes_or_moves() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    cluster.send(
        "POST",
        "/storage",
        &[("storage", "other"), ("type", "lvmthin"), ("vgname", "pve"), ("thinpool", "more")],
    );
    let efi = "  efi_disk {\n    datastore_id = \"local-lvm\"\n  }\n";
    let vms = |second: &str| vm(&format!("  started = false\n{}{second}", disk("scsi0", 1)));
    project.write("main.tf", &vms(&(disk("scsi1", 1) + efi)));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("POST", "/nodes/pve/qemu/300/snapshot", &[("snapname", "before")]);
    while !cluster.get("/nodes/pve/qemu/300/config")["lock"].is_null()
        || cluster.get("/nodes/pve/qemu/300/snapshot").as_array().unwrap().len() < 2
    {}
    for (changed, held) in [
        (efi.to_string(), "scsi1"),
        (disk("scsi1", 1).replace("local-lvm", "other") + efi, "scsi1"),
        (disk("scsi1", 1), "efidisk0"),
        (disk("scsi1", 1) + &efi.replace("local-lvm", "other"), "efidisk0"),
    ] {
        project.write("main.tf", &vms(&changed));
        let plan = planned(&project);
        assert!(plan.contains(&format!("The snapshot before holds {held}")), "{plan}");
        assert!(plan.contains("qm delsnapshot 300 before"), "{plan}");
        assert!(project.fails(&["apply", "--auto-approve"]).contains("Nothing was changed"));
    }
    project.write("main.tf", &vms(&(disk("scsi1", 2) + efi)));
    assert!(!planned(&project).contains("The snapshot"));
}

#[test]
fn a_guest_goes_to_a_node_without_its_datastore_where_its_volumes_go_to_one_that_is_there() {
    let cluster = Cluster::start(Options { other_nodes: vec!["pve2".into()], ..Options::default() });
    let project = project_with(&cluster, "");
    for (name, node) in [("ssd1", "pve"), ("ssd2", "pve2")] {
        let path = format!("/mnt/{name}");
        let params = [
            ("storage", name),
            ("type", "dir"),
            ("path", &path),
            ("content", "images,rootdir"),
            ("nodes", node),
        ];
        cluster.send("POST", "/storage", &params);
    }
    let on = |node: &str, datastore: &str| {
        let guests = vm(&disk("scsi0", 1)) + container(true, &root_disk(1)).trim_start_matches(PROVIDER);
        guests
            .replace("\"pve\"", &format!("\"{node}\""))
            .replace("\"local-lvm\"", &format!("\"{datastore}\""))
    };
    project.write("main.tf", &on("pve", "ssd1"));
    project.ok(&["apply", "--auto-approve"]);
    // The containers of this cluster cannot go there either.
    let there = cluster.send("POST", "/nodes/pve/lxc/400/migrate", &[("target", "pve2"), ("restart", "1")]);
    let task = format!("/nodes/pve/tasks/{}/status", there.as_str().unwrap());
    while cluster.get(&task)["status"] != "stopped" {}
    assert_ne!(cluster.get(&task)["exitstatus"], "OK");
    project.write("main.tf", &on("pve2", "ssd2"));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    for (guest, slot) in [("qemu/300", "scsi0"), ("lxc/400", "rootfs")] {
        let config = cluster.get(&format!("/nodes/pve2/{guest}/config"));
        assert!(config[slot].as_str().unwrap().starts_with("ssd2:"), "{config}");
    }
}
