//! What guests have that nobody configured, and what waits in them, through the binary: it is told, and left alone.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, project_with, settled};

fn vm(vmid: u32, more: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_vm\" \"g{vmid}\" {{\n  node_name = \"pve\"\n  vm_id = {vmid}\n  \
         started = false\n  {more}\n}}\n"
    )
}

fn container(more: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_container\" \"c\" {{\n  node_name = \"pve\"\n  vm_id = 510\n  started = false\n  \
         operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n  }}\n  \
         disk {{\n    datastore_id = \"local-lvm\"\n  }}\n  {more}\n}}\n"
    )
}

fn disk(interface: &str, more: &str) -> String {
    format!(
        "disk {{\n    interface = \"{interface}\"\n    datastore_id = \"local-lvm\"\n    size = 2\n    {more}\n  }}\n"
    )
}

/// The notes of a plan for machines.
fn notes(plan: &str) -> Vec<(String, String)> {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
    let notes = plan["notes"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    notes.iter().map(|note| (text(&note["address"]), text(&note["text"]))).collect()
}

#[test]
fn disks_that_somebody_attached_are_told_and_left_alone() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &format!("{}{}", vm(500, &disk("scsi0", "")), container("")));
    project.ok(&["apply", "--auto-approve"]);
    let values = || {
        let pulled: serde_json::Value = serde_json::from_str(&project.ok(&["state", "pull"])).unwrap();
        pulled["resources"].clone()
    };
    let recorded = values();
    cluster.send("PUT", "/nodes/pve/qemu/500/config", &[("scsi3", "local-lvm:1")]);
    cluster.send("PUT", "/nodes/pve/lxc/510/config", &[("mp3", "local-lvm:1,mp=/data")]);
    let told = [
        (
            "proxmox_virtual_environment_vm.g500",
            "scsi3: 1G on local-lvm, not in the configuration; left alone",
        ),
        (
            "proxmox_virtual_environment_container.c",
            "mp3: 1G on local-lvm at /data, not in the configuration; left alone",
        ),
    ];
    let unwrapped = |text: &str| text.replace("\n  # ", " ");
    for words in [&["plan", "-detailed-exitcode"][..], &["plan", "-detailed-exitcode", "-refresh-only"]] {
        let (code, plan) = project.ends(words);
        assert!(
            code == 0 && plan.contains("No changes.") && !plan.contains("Changed outside"),
            "{code} {plan}"
        );
        for (address, note) in told {
            assert!(unwrapped(&plan).contains(&format!("{address}: {note}")), "{plan}");
        }
    }
    let found = notes(&project.ok(&["plan", "--json"]));
    assert!(
        told.iter().all(|(address, note)| found.contains(&((*address).into(), (*note).into()))),
        "{found:?}"
    );
    project.ok(&["apply", "--auto-approve"]);
    project.ok(&["refresh"]);
    assert_eq!(values(), recorded);
    let length = project.ok(&["log", "--jsonl"]).lines().count();
    project.ok(&["apply", "--auto-approve"]);
    project.ok(&["refresh"]);
    assert_eq!(project.ok(&["log", "--jsonl"]).lines().count(), length, "what is known is recorded once");
    assert!(cluster.get("/nodes/pve/qemu/500/config")["scsi3"].is_string());
    // One that is configured now is not made anew.
    let both = format!("{}{}", disk("scsi0", ""), disk("scsi3", "").replace("size = 2", "size = 1"));
    project.write("main.tf", &format!("{PROVIDER}{}{}", vm(500, &both), container("")));
    let plan = unwrapped(&project.ok(&["plan"]));
    assert!(plan.contains("scsi3: 1G on local-lvm, is there already"), "{plan}");
    let before = cluster.get("/nodes/pve/qemu/500/config")["scsi3"].clone();
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.get("/nodes/pve/qemu/500/config")["scsi3"], before);
    // What goes away with its guest is told as well.
    project.write("main.tf", PROVIDER);
    let plan = unwrapped(&project.ok(&["plan"]));
    assert!(
        plan.contains("mp3: 1G on local-lvm at /data, not in the configuration; destroyed with"),
        "{plan}"
    );
}

#[test]
fn disks_that_a_clone_has_from_its_template_are_no_news_and_those_of_somebody_else_are() {
    let cluster = Cluster::start(Options::default());
    let template = vm(900, &format!("template = true\n  {}", disk("scsi0", "")));
    let source = "clone {\n    vm_id = proxmox_virtual_environment_vm.g900.vm_id\n  }";
    let other = vm(500, &format!("{source}\n  {}", disk("virtio0", "")));
    let project = project_with(&cluster, &format!("{template}{other}{}", vm(501, source)));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    assert_eq!(notes(&project.ok(&["plan", "--json"])), []);
    cluster.send("PUT", "/nodes/pve/qemu/500/config", &[("scsi3", "local-lvm:1")]);
    let found = notes(&project.ok(&["plan", "--json"]));
    let [(address, said)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(address, "proxmox_virtual_environment_vm.g500");
    assert!(said.starts_with("scsi3: ") && said.contains("left alone"), "{said}");
}

#[test]
fn a_disk_that_was_detached_by_hand_is_named_where_an_empty_one_would_be_made() {
    let cluster = Cluster::start(Options::default());
    let main = |more: &str, volume: &str| {
        let point = format!(
            "mount_point {{\n    path = \"/data\"\n    volume = \"{volume}\"\n    size = \"2G\"\n  }}"
        );
        format!("{PROVIDER}{}{}", vm(500, &disk("scsi5", more)), container(&point))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main("", "local-lvm"));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("PUT", "/nodes/pve/qemu/500/config", &[("delete", "scsi5")]);
    cluster.send("PUT", "/nodes/pve/lxc/510/config", &[("delete", "mp0")]);
    let plan = project.ok(&["plan"]).replace("\n  # ", " ");
    for note in [
        "scsi5 is new and empty; unused0 has local-lvm:vm-500-disk-0: if that was it, path_in_datastore = \
         \"vm-500-disk-0\" in its disk block attaches it instead",
        "/data is new and empty; unused0 has local-lvm:vm-510-disk-1: if that was it, volume = \
         \"local-lvm:vm-510-disk-1\" in its mount_point block attaches it instead",
    ] {
        assert!(plan.contains(note), "{plan}");
    }
    project.write("main.tf", &main("path_in_datastore = \"vm-500-disk-0\"", "local-lvm:vm-510-disk-1"));
    let plan = project.ok(&["plan"]);
    assert!(!plan.contains("is new and empty"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    for (path, slot, volume) in [
        ("/nodes/pve/qemu/500/config", "scsi5", "local-lvm:vm-500-disk-0"),
        ("/nodes/pve/lxc/510/config", "mp0", "local-lvm:vm-510-disk-1"),
    ] {
        let config = cluster.get(path);
        assert!(
            config[slot].as_str().unwrap().starts_with(volume) && config["unused0"].is_null(),
            "{config}"
        );
    }
    settled(&project);
}

#[test]
fn guests_that_wait_for_a_reboot_are_named_with_what_waits() {
    let cluster = Cluster::start(Options::default());
    let main = |cores: u32, memory: u32| {
        let cpu = format!("cpu {{\n    cores = {cores}\n  }}\n  memory {{\n    dedicated = {memory}\n  }}");
        let guest = vm(500, &format!("reboot_after_update = false\n  {cpu}")).replace("started = false", "");
        format!("{PROVIDER}{guest}{}", vm(501, &cpu))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main(1, 512));
    project.ok(&["apply", "--auto-approve"]);
    cluster.forget_requests();
    settled(&project);
    let usual = cluster.requests().len();
    project.write("main.tf", &main(3, 1024));
    project.ok(&["apply", "--auto-approve"]);
    cluster.forget_requests();
    settled(&project);
    assert_eq!(cluster.requests().len(), usual, "what waits comes with what is read anyway");
    let plan = project.ok(&["plan"]).replace("\n  # ", " ");
    let address = "proxmox_virtual_environment_vm.g500";
    let text = "waits for a reboot: cores (1 -> 3), memory (512 -> 1024)";
    assert!(plan.contains(&format!("{address}: {text}")), "{plan}");
    assert_eq!(notes(&project.ok(&["plan", "--json"])), [(address.to_string(), text.to_string())]);
    cluster.send("POST", "/nodes/pve/qemu/500/status/reboot", &[]);
    settled(&project);
}

#[test]
fn network_devices_are_those_of_the_configuration_where_it_has_any() {
    let cluster = Cluster::start(Options::default());
    let bridge = "network_device {\n    bridge = \"vmbr0\"\n  }";
    let named = "network_interface {\n    name = \"eth0\"\n  }";
    let main = |more: &str| {
        format!("{PROVIDER}{}{}{}", vm(500, &format!("{bridge}\n  {more}")), vm(501, ""), container(named))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main(""));
    project.ok(&["apply", "--auto-approve"]);
    let net = |path: &str, slot: &str| cluster.get(path)[slot].as_str().map(str::to_string);
    let (g500, c) = ("/nodes/pve/qemu/500/config", "/nodes/pve/lxc/510/config");
    let kept = [net(g500, "net0"), net(c, "net0")];
    let attach = || {
        cluster.send("PUT", g500, &[("net5", "virtio,bridge=vmbr0")]);
        cluster.send("PUT", c, &[("net3", "name=eth9,bridge=vmbr0")]);
    };
    attach();
    cluster.send("PUT", "/nodes/pve/qemu/501/config", &[("net0", "virtio,bridge=vmbr0")]);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 2 && plan.contains("Changed outside"), "{code} {plan}");
    assert!(plan.contains("- network_device {") && plan.contains("- network_interface {"), "{plan}");
    let plan = plan.replace("\n  # ", " ");
    assert!(plan.contains("vm.g501: net0: virtio on vmbr0, not in the configuration; left alone"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!([net(g500, "net0"), net(c, "net0")], kept);
    assert_eq!([net(g500, "net5"), net(c, "net3")], [None, None]);
    settled(&project);
    assert!(net("/nodes/pve/qemu/501/config", "net0").is_some());
    // A device of the configuration that takes the place of one that was attached is that one, in its slot.
    attach();
    project.write("main.tf", &main(&bridge.replace("vmbr0", "vmbr1")));
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(net(g500, "net0"), kept[0]);
    assert!(net(g500, "net1").unwrap().contains("bridge=vmbr1") && net(g500, "net5").is_none());
    settled(&project);
}

#[test]
fn a_clone_has_the_network_devices_that_it_configures_else_those_of_its_template() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    let template = [
        ("vmid", "900"),
        ("template", "1"),
        ("net0", "virtio,bridge=vmbr0"),
        ("net2", "virtio,bridge=vmbr0"),
    ];
    cluster.send("POST", "/nodes/pve/qemu", &template);
    let source = "clone {\n    vm_id = 900\n  }";
    let own = format!("{source}\n  network_device {{\n    bridge = \"vmbr1\"\n  }}");
    project.write("main.tf", &format!("{PROVIDER}{}{}", vm(500, &own), vm(501, source)));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let slots = |vmid: u32| -> Vec<String> {
        let config = cluster.get(&format!("/nodes/pve/qemu/{vmid}/config"));
        config.as_object().unwrap().keys().filter(|name| name.starts_with("net")).cloned().collect()
    };
    assert_eq!(slots(500), ["net0"]);
    assert_eq!(slots(501), ["net0", "net2"]);
}

#[test]
fn what_somebody_sets_where_no_block_is_configured_is_planned_away_or_told_until_it_is_recorded() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    let template = [("vmid", "900"), ("template", "1"), ("memory", "2048"), ("kvm", "0")];
    cluster.send("POST", "/nodes/pve/qemu", &template);
    let clone = vm(501, "clone {\n    vm_id = 900\n  }").replace("started = false", "");
    project.write("main.tf", &format!("{PROVIDER}{}{clone}{}", vm(500, ""), container("")));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    assert_eq!(notes(&project.ok(&["plan", "--json"])), [], "nobody has touched anything");
    cluster.send("PUT", "/nodes/pve/qemu/500/config", &[("memory", "1024"), ("kvm", "0")]);
    cluster.send("PUT", "/nodes/pve/qemu/501/config", &[("memory", "1024"), ("watchdog", "ib700")]);
    cluster.send("PUT", "/nodes/pve/lxc/510/config", &[("swap", "256"), ("timezone", "host")]);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 2 && plan.contains("Changed outside"), "{code} {plan}");
    assert!(plan.matches("- memory {").count() == 2, "{plan}");
    let plan = plan.replace("\n  # ", " ");
    for note in [
        "kvm: not set -> 0, changed outside and not in the configuration; left alone",
        "timezone: not set -> host, changed outside and not in the configuration; left alone",
        "memory: 2048 -> 1024 with the next start, changed outside and not in the configuration; left alone",
        "watchdog: not set -> ib700 with the next start, changed outside and not in the configuration; left alone",
    ] {
        assert_eq!(plan.matches(note).count(), 1, "{note}: {plan}");
    }
    assert!(!plan.contains("waits for a reboot"), "said once: {plan}");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.get("/nodes/pve/qemu/500/config")["memory"], "512");
    assert_eq!(cluster.get("/nodes/pve/lxc/510/config")["swap"].to_string().replace('"', ""), "0");
    assert_eq!(cluster.get("/nodes/pve/qemu/501/config")["memory"], "1024");
    // It is recorded now; that it waits is still so.
    let found = notes(&project.ok(&["plan", "--json"]));
    let waits = "waits for a reboot: memory (2048 -> 1024), watchdog";
    assert_eq!(found, [("proxmox_virtual_environment_vm.g501".to_string(), waits.to_string())]);
    settled(&project);
}

/// Destroys a guest and waits for the task.
fn destroy(cluster: &Cluster, path: &str) {
    let task = cluster.send("DELETE", path, &[]);
    let task = format!("/nodes/pve/tasks/{}/status", task.as_str().unwrap());
    while cluster.get(&task)["status"] == "running" {}
}

#[test]
fn a_saved_plan_does_not_touch_a_guest_that_took_the_place_of_the_one_it_was_made_for() {
    for destroys in [false, true] {
        let cluster = Cluster::start(Options::default());
        let project = project_with(&cluster, "");
        let main = |description: &str| {
            let named = format!("name = \"same\"\n  description = \"{description}\"\n  network_device {{}}");
            let inside = "initialization {\n    hostname = \"same\"\n  }\n  network_interface {\n    name = \"eth0\"\n  }";
            let inside = container(&format!("description = \"{description}\"\n  {inside}"));
            format!("{PROVIDER}{}{}{inside}", vm(500, &named), vm(501, &named))
        };
        let made = |vmid| [("vmid", vmid), ("name", "same"), ("net0", "virtio,bridge=vmbr0")];
        // One that was imported: no event has told yet what it is known by.
        cluster.send("POST", "/nodes/pve/qemu", &made("501"));
        project.write("main.tf", &main("one"));
        project.ok(&["import", "proxmox_virtual_environment_vm.g501", "pve/501"]);
        project.ok(&["apply", "--auto-approve", "-exclude", "proxmox_virtual_environment_vm.g501"]);
        project.write("main.tf", &main("two"));
        let plan = ["plan", "-out", "saved.plan", "-destroy"];
        project.ok(&plan[..if destroys { 4 } else { 3 }]);
        for vmid in ["500", "501"] {
            destroy(&cluster, &format!("/nodes/pve/qemu/{vmid}"));
            cluster.send("POST", "/nodes/pve/qemu", &made(vmid));
        }
        destroy(&cluster, "/nodes/pve/lxc/510");
        let inside = [("ostemplate", "local:vztmpl/t.tar.zst"), ("rootfs", "local-lvm:4")];
        let inside =
            [&[("vmid", "510"), ("hostname", "same"), ("net0", "name=eth0,bridge=vmbr0")][..], &inside];
        cluster.send("POST", "/nodes/pve/lxc", &inside.concat());
        cluster.forget_requests();
        let said = project.fails(&["apply", "saved.plan"]);
        assert_eq!(said.matches("may be another guest").count(), 3, "{said}");
        // What each of them asks for comes first.
        assert!(
            said.contains("Once what failed is settled, `pve apply` again continues from here"),
            "{said}"
        );
        assert!(cluster.requests().iter().all(|request| request.method == "GET"), "{said}");
    }
}
