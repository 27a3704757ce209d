//! Volumes of guests through the binary: what is destroyed is what the plan named, whatever happens in between.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, project_with, settled};

const VM: &str = "/nodes/pve/qemu/500/config";

fn vm(more: &str) -> String {
    format!(
        "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  \
         name = \"v\"\n  started = false\n  disk {{\n    interface = \"scsi0\"\n    size = 1\n  }}\n  {more}\n}}\n"
    )
}

fn container(name: &str, more: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_container\" \"{name}\" {{\n  node_name = \"pve\"\n  started = false\n  \
         operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n    \
         type = \"debian\"\n  }}\n  disk {{\n    datastore_id = \"local-lvm\"\n    size = 1\n  }}\n  {more}\n}}\n"
    )
}

fn rule(method: &str, path: &str, how: How) -> FailureRule {
    FailureRule { method: method.into(), path: path.into(), when: When::Always, how }
}

#[test]
fn a_saved_plan_destroys_no_other_volume_than_it_knows() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    for (block, slot, by_hand) in [
        ("disk {\n    interface = \"scsi1\"\n    size = 2\n  }", "scsi1", "local-lvm:3"),
        ("tpm_state {}", "tpmstate0", "local-lvm:1,version=v2.0"),
        ("efi_disk {}", "efidisk0", "local-lvm:1,efitype=4m"),
    ] {
        project.write("main.tf", &vm(block));
        project.ok(&["apply", "--auto-approve"]);
        let planned = cluster.get(VM)[slot].as_str().unwrap().to_string();
        project.write("main.tf", &vm(""));
        project.ok(&["plan", "-out", "a.plan"]);
        cluster.send("PUT", VM, &[("delete", slot)]);
        cluster.send("PUT", VM, &[(slot, by_hand)]);
        let found = cluster.get(VM);
        let said = project.fails(&["apply", "a.plan"]);
        let volume = |option: &str| option.split(',').next().unwrap().to_string();
        let now = volume(found[slot].as_str().unwrap());
        let told = format!("{slot} has {now} now, and had {} when this was planned", volume(&planned));
        assert!(said.contains(&told) && said.contains("plan again"), "{said}");
        assert_eq!(cluster.get(VM), found);
        project.ok(&["destroy", "--auto-approve"]);
    }
}

#[test]
fn a_saved_plan_takes_in_and_destroys_nothing_that_was_put_there_since() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    project.write("main.tf", &vm(""));
    project.ok(&["apply", "--auto-approve"]);
    let disk = |size: u32| vm(&format!("disk {{\n    interface = \"scsi1\"\n    size = {size}\n  }}"));
    for (config, arguments, slot) in [
        (disk(4), &["plan", "-out", "a.plan"][..], "scsi1"),
        (disk(4), &["plan", "-destroy", "-out", "a.plan"], "scsi5"),
    ] {
        project.write("main.tf", &config);
        project.ok(arguments);
        cluster.send("PUT", VM, &[(slot, "local-lvm:3")]);
        let found = cluster.get(VM);
        let volume = found[slot].as_str().unwrap().split(',').next().unwrap().to_string();
        let said = project.fails(&["apply", "a.plan"]);
        let told = format!("{slot} has {volume} now, and had nothing when this was planned");
        assert!(said.contains(&told) && said.contains("plan again"), "{said}");
        assert_eq!(cluster.get(VM), found);
    }
    let said = project.ok(&["apply", "--auto-approve"]);
    assert!(said.contains("is there already; it is taken in, not made"), "{said}");
    settled(&project);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn a_guest_whose_id_another_one_of_the_log_has_since_is_gone() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    let both = |size: &str| {
        let of = |name: &str| container(name, "").replace("size = 1", &format!("size = {size}"));
        format!("{PROVIDER}{}{}", of("x"), of("y"))
    };
    project.write("main.tf", &both("1"));
    project.ok(&["apply", "--auto-approve"]);
    let names = ["proxmox_virtual_environment_container.x", "proxmox_virtual_environment_container.y"];
    let lost = rule("DELETE", "/nodes/*/lxc/100", How::ApplyThenDisconnect);
    cluster.server.simulator().set_failures(vec![lost]);
    let replace =
        [&["apply", "--auto-approve", "-parallelism=1"][..], &["-replace", names[0], "-replace", names[1]]];
    project.fails(&replace.concat());
    cluster.server.simulator().set_failures(Vec::new());
    let (code, said) = project.ends(&["apply", "--auto-approve"]);
    assert!(
        code == 0 && said.contains(&format!("it is gone, as was wanted: {} has its id", names[1])),
        "{said}"
    );
    settled(&project);
    project.ok(&["destroy", "--auto-approve"]);
    assert!(cluster.get("/cluster/resources?type=vm").as_array().unwrap().is_empty());
}

#[test]
fn a_plan_that_was_made_before_recovery_says_so_and_a_new_one_is_applied() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    project.write("main.tf", &vm(""));
    cluster.server.simulator().set_failures(vec![
        rule("POST", "/nodes/pve/qemu", How::ApplyThenDisconnect),
        rule("GET", "/nodes/pve/qemu/*", How::Disconnect),
        rule("GET", "/cluster/resources", How::Disconnect),
    ]);
    project.fails(&["apply", "--auto-approve"]);
    cluster.server.simulator().set_failures(Vec::new());
    let (code, said) = project.ends(&["plan", "-out", "a.plan"]);
    assert!(code == 0 && said.contains("pve refresh"), "{said}");
    let said = project.fails(&["apply", "a.plan"]);
    assert!(
        said.contains("before it was known what became of the run") && said.contains("Plan again"),
        "{said}"
    );
    project.ok(&["plan", "-out", "b.plan"]);
    project.ok(&["apply", "b.plan"]);
    settled(&project);
}

#[test]
fn mount_points_that_exchange_their_paths_keep_their_volumes() {
    let cluster = Cluster::start(Options::default());
    let point = |path: &str, volume: &str, more: &str| {
        format!("mount_point {{\n    path = \"{path}\"\n    volume = \"{volume}\"\n    {more}\n  }}\n  ")
    };
    let size = "size = \"1G\"";
    let points = |points: &[String]| format!("{PROVIDER}{}", container("c", &points.concat()));
    let project = project_with(&cluster, "");
    project.write("main.tf", &points(&[point("/b", "local-lvm", size), point("/c", "local-lvm", size)]));
    project.ok(&["apply", "--auto-approve"]);
    let config = || cluster.get("/nodes/pve/lxc/100/config");
    let volume = |slot: &str| config()[slot].as_str().unwrap().split(',').next().unwrap().to_string();
    let [first, second] = ["mp0", "mp1"].map(volume);
    for exchanged in [
        [point("/c", &first, ""), point("/b", "local-lvm", size)],
        [point("/c", "local-lvm", size), point("/b", &first, "")],
    ] {
        project.write("main.tf", &points(&exchanged));
        project.ok(&["apply", "--auto-approve"]);
        let now = ["mp0", "mp1"].map(|slot| config()[slot].as_str().unwrap().to_string());
        assert!(now[0].starts_with(&first) && now[1].starts_with(&second), "{now:?}");
        settled(&project);
    }
    let bound = [point("/c", "local-lvm", size), point("/b", "/mnt/shared", "")];
    project.write("main.tf", &points(&bound));
    let said = project.ok(&["plan"]);
    assert!(said.contains(&format!("mount point /b gives up {first}, which stays as unused")), "{said}");
}

#[test]
fn a_detached_disk_that_waits_for_a_reboot_is_given_back_and_never_made_anew() {
    let cluster = Cluster::start(Options::default());
    let disks = "disk {\n    interface = \"sata1\"\n    size = 2\n  }\n  disk {\n    interface = \"scsi1\"\n    size = 2\n  }";
    let running = vm(disks).replace("started = false", "started = true\n  hotplug = \"0\"");
    let project = project_with(&cluster, "");
    project.write("main.tf", &running);
    project.ok(&["apply", "--auto-approve"]);
    let before = cluster.get(VM);
    for slot in ["sata1", "scsi1"] {
        cluster.send("PUT", VM, &[("delete", slot)]);
        let volume = before[slot].as_str().unwrap().split(',').next().unwrap();
        let said = project.ok(&["plan"]);
        let told = format!("{slot}: {volume} was taken out, which waits for a reboot; that is taken back");
        assert!(said.contains(&told) && !said.contains("new and empty"), "{said}");
        let said = project.ok(&["apply", "--auto-approve"]);
        assert!(!said.contains("reboot vm"), "{said}");
        let now = cluster.get(VM);
        assert_eq!(now[slot], before[slot]);
        settled(&project);
    }
}

#[test]
fn a_line_that_waits_and_names_another_volume_is_told_by_every_plan() {
    let cluster = Cluster::start(Options::default());
    let disk = |store: &str| {
        let disk =
            format!("disk {{\n    interface = \"sata1\"\n    datastore_id = \"{store}\"\n    size = 2\n  }}");
        vm(&disk).replace("started = false", "started = true\n  reboot_after_update = false")
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &disk("local-lvm"));
    project.ok(&["apply", "--auto-approve"]);
    let volume = cluster.get(VM)["sata1"].as_str().unwrap().split(',').next().unwrap().to_string();
    // By hand another volume is to take its place with the next start.
    cluster.send("PUT", VM, &[("sata1", "local-lvm:2")]);
    for _ in 0..2 {
        let said = project.ok(&["plan"]);
        assert!(said.contains(&format!("waits for a reboot: sata1 ({volume} -> local-lvm:")), "{said}");
        project.ends(&["apply", "--auto-approve"]);
    }
}

#[test]
fn a_disk_whose_place_a_cdrom_takes_is_destroyed_in_the_end_and_holds_nothing_else_up() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    project.write("main.tf", &vm("disk {\n    interface = \"ide2\"\n    size = 2\n  }"));
    project.ok(&["apply", "--auto-approve"]);
    let volume = cluster.get(VM)["ide2"].as_str().unwrap().split(',').next().unwrap().to_string();
    let cdrom = "cdrom {\n    interface = \"ide2\"\n    file_id = \"none\"\n  }";
    project.write("main.tf", &vm(cdrom).replace("started = false", "started = true"));
    // The second request to the configuration is the one that destroys.
    let how = How::Refuse { status: 500, reason: "volume is still in use (snapshot?)".into() };
    let refused = FailureRule { when: When::Nth(1), ..rule("POST", VM, how) };
    cluster.server.simulator().set_failures(vec![refused]);
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("still in use"), "{said}");
    assert_eq!(cluster.get("/nodes/pve/qemu/500/status/current")["status"], "running");
    assert_eq!(cluster.get(VM)["unused0"], volume.as_str());
    let said = project.ok(&["plan"]);
    assert!(said.contains("destroys disk unused0 and its data"), "{said}");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    assert!(cluster.get(VM)["unused0"].is_null());
    let content = cluster.get("/nodes/pve/storage/local-lvm/content").to_string();
    assert!(!content.contains(&format!("\"{volume}\"")), "{content}");
}

#[test]
fn a_vm_comes_under_protection_only_after_the_disk_that_goes_with_the_same_change() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    for state in ["started = false", "started = true"] {
        let main = |more: &str| vm(more).replace("started = false", state);
        project.write("main.tf", &main("disk {\n    interface = \"scsi1\"\n    size = 2\n  }"));
        project.ok(&["apply", "--auto-approve"]);
        project.write("main.tf", &main("protection = true"));
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        let now = cluster.get(VM);
        assert!(now["scsi1"].is_null() && now["unused0"].is_null() && now["protection"] == 1, "{now}");
        project.write("main.tf", &main(""));
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        project.ok(&["destroy", "--auto-approve"]);
    }
}

#[test]
fn a_disk_that_cannot_be_destroyed_keeps_nobody_from_protecting_the_vm() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    project.write("main.tf", &vm("disk {\n    interface = \"scsi1\"\n    size = 2\n  }"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &vm("protection = true"));
    // The last request that takes something out is the one that destroys.
    for (number, place) in [(1, "scsi1"), (0, "unused0")] {
        let how = How::Refuse { status: 500, reason: "volume is still in use (snapshot?)".into() };
        let refused = FailureRule { when: When::Nth(number), ..rule("POST", VM, how) };
        let said = project.ok(&["plan"]);
        assert!(said.contains(&format!("destroys disk {place} and its data")), "{said}");
        assert!(!said.contains("It is protected"), "{said}");
        cluster.server.simulator().set_failures(vec![refused]);
        let said = project.fails(&["apply", "--auto-approve"]);
        assert!(said.contains("still in use"), "{said}");
        let now = cluster.get(VM);
        assert!(now["unused0"].is_string() && now["protection"] == 1, "{now}");
    }
    cluster.server.simulator().set_failures(Vec::new());
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let now = cluster.get(VM);
    assert!(now["unused0"].is_null() && now["protection"] == 1, "{now}");
}
