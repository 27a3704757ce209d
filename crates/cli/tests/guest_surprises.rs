//! What somebody else does to guests, what is left half-done, and what destroys more than it says, through the binary.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, project_with, settled};

fn vm(name: &str, vmid: u32, more: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  node_name = \"pve\"\n  vm_id = {vmid}\n  name = \"{name}\"\n  \
         network_device {{}}\n  {more}\n}}\n"
    )
}

fn firewall(guest: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_firewall_rules\" \"{guest}\" {{\n  \
         node_name = proxmox_virtual_environment_vm.{guest}.node_name\n  \
         vm_id = proxmox_virtual_environment_vm.{guest}.vm_id\n  \
         rule {{\n    type = \"in\"\n    action = \"ACCEPT\"\n  }}\n}}\n\
         resource \"proxmox_virtual_environment_firewall_options\" \"{guest}\" {{\n  \
         node_name = proxmox_virtual_environment_vm.{guest}.node_name\n  \
         vm_id = proxmox_virtual_environment_vm.{guest}.vm_id\n  enabled = true\n}}\n\
         resource \"proxmox_virtual_environment_firewall_ipset\" \"{guest}\" {{\n  \
         node_name = proxmox_virtual_environment_vm.{guest}.node_name\n  \
         vm_id = proxmox_virtual_environment_vm.{guest}.vm_id\n  name = \"peers\"\n  \
         cidr {{\n    name = \"192.0.2.1\"\n  }}\n}}\n"
    )
}

#[test]
fn a_protected_guest_is_refused_before_anything_is_destroyed_and_keeps_its_firewall() {
    let cluster = Cluster::start(Options::default());
    let main = |vmid: u32, protection: &str| {
        let guest = vm("web", vmid, &format!("protection = {protection}"));
        format!("{PROVIDER}{guest}{}{}", firewall("web"), vm("other", 501, ""))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main(500, "true"));
    project.ok(&["apply", "--auto-approve"]);
    let target = "proxmox_virtual_environment_vm.web";
    let replaced = main(502, "true");
    cluster.forget_requests();
    for words in [&["destroy"][..], &["destroy", "-target", target], &["apply", "-replace", target]] {
        let said = project.fails(&[words, &["--auto-approve"]].concat());
        assert!(said.contains("is protected") && said.contains("Set protection = false"), "{said}");
    }
    project.write("main.tf", &replaced);
    assert!(project.fails(&["apply", "--auto-approve"]).contains("is protected"));
    assert!(cluster.requests().iter().all(|request| request.method == "GET"));
    project.write("main.tf", &main(500, "true"));
    project.ok(&["destroy", "--auto-approve", "--keep-protected"]);
    assert_eq!(project.ok(&["state", "list"]).lines().count(), 4, "the guest and its firewall");
    // What the hint says.
    project.write("main.tf", &main(500, "false"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main(502, "false"));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn a_firewall_goes_along_with_its_guest_to_another_node() {
    let options = Options { other_nodes: vec!["pve2".into()], ..Options::default() };
    let cluster = Cluster::start(options);
    let main = format!("{PROVIDER}{}{}", vm("web", 500, "started = false"), firewall("web"));
    let project = project_with(&cluster, "");
    project.write("main.tf", &main);
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main.replace("\"pve\"", "\"pve2\""));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let rules = cluster.get("/nodes/pve2/qemu/500/firewall/rules");
    assert_eq!(rules.as_array().map(Vec::len), Some(1));
    assert_eq!(cluster.get("/nodes/pve2/qemu/500/firewall/options")["enable"], 1);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn a_guest_that_is_gone_and_not_configured_is_forgotten_and_told() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, &vm("g", 500, "started = false"));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("DELETE", "/nodes/pve/qemu/500", &[]);
    project.write("main.tf", PROVIDER);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 0 && plan.contains("proxmox_virtual_environment_vm.g is gone"), "{code} {plan}");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(project.ok(&["state", "list"]), "");
    // Another one of that id and name is not ours.
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", "500"), ("name", "g")]);
    settled(&project);
}

#[test]
fn a_reboot_that_did_not_happen_is_planned_again() {
    let cluster = Cluster::start(Options::default());
    let main = |cores: u32, more: &str| {
        format!("{PROVIDER}{}", vm("g", 500, &format!("cpu {{\n    cores = {cores}\n  }}\n  {more}")))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main(1, ""));
    project.ok(&["apply", "--auto-approve"]);
    let rule = FailureRule {
        method: "POST".into(),
        path: "/nodes/pve/qemu/500/status/reboot".into(),
        when: When::Always,
        how: How::Refuse { status: 500, reason: "VM quit/powerdown failed - got timeout".into() },
    };
    cluster.server.simulator().set_failures(vec![rule]);
    project.write("main.tf", &main(2, ""));
    project.fails(&["apply", "--auto-approve"]);
    cluster.server.simulator().set_failures(vec![]);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 2 && plan.contains("1 -> 2") && plan.contains("reboots the VM"), "{code} {plan}");
    assert!(!plan.contains("Changed outside"), "{plan}");
    assert!(plan.contains("waits for a reboot: cores (1 -> 2)"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let waits = |row: &serde_json::Value| row.get("pending").is_some();
    let rows = || cluster.get("/nodes/pve/qemu/500/pending");
    assert!(!rows().as_array().unwrap().iter().any(waits));
    // Whoever reboots by himself is not urged.
    project.write("main.tf", &main(3, "reboot_after_update = false"));
    project.ok(&["apply", "--auto-approve"]);
    assert!(rows().as_array().unwrap().iter().any(waits));
    settled(&project);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn what_follows_from_other_objects_is_no_change() {
    let cluster = Cluster::start(Options::default());
    let pool = "resource \"proxmox_virtual_environment_pool\" \"lab\" {\n  pool_id = \"lab\"\n}\n";
    let member = "pool_id = proxmox_virtual_environment_pool.lab.pool_id\n  started = false";
    let container = "resource \"proxmox_virtual_environment_container\" \"t\" {\n  node_name = \"pve\"\n  vm_id = 510\n  \
                     template = true\n  started = false\n  operating_system {\n    \
                     template_file_id = \"local:vztmpl/t.tar.zst\"\n  }\n  disk {\n    datastore_id = \"local-lvm\"\n  }\n}\n";
    let project = project_with(&cluster, &format!("{pool}{}{container}", vm("g", 500, member)));
    project.ok(&["apply", "--auto-approve"]);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 0 && !plan.contains("Changed outside"), "{code} {plan}");
    // What somebody else changed and the configuration leaves be is told, and is no change either.
    let left = "started = false\n  lifecycle {\n    ignore_changes = [description]\n  }";
    let project = project_with(&cluster, &vm("d", 520, left));
    project.ok(&["apply", "--auto-approve"]);
    cluster.send("PUT", "/nodes/pve/qemu/520/config", &[("description", "hand")]);
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 0 && plan.contains("Changed outside"), "{code} {plan}");
    let (code, plan) = project.ends(&["plan", "-detailed-exitcode", "-refresh-only"]);
    assert!(code == 2 && !plan.contains("No changes"), "{code} {plan}");
}

#[test]
fn machine_readable_plans_tell_no_secrets_but_a_saved_one_does() {
    let cluster = Cluster::start(Options::default());
    let secret = "variable \"pw\" {\n  sensitive = true\n  default = \"hidden-7\"\n}\n";
    let account = "started = false\n  description = var.pw\n  initialization {\n    datastore_id = \"local-lvm\"\n    \
                   user_account {\n      password = \"hidden-8\"\n    }\n  }";
    let project = project_with(&cluster, &format!("{secret}{}", vm("g", 500, account)));
    let hidden = |text: &str| !text.contains("hidden-7") && !text.contains("hidden-8");
    let plan = project.ok(&["plan", "--json", "-out", "saved.plan"]);
    assert!(hidden(&plan) && plan.contains("(sensitive value)"), "{plan}");
    let shown = project.ok(&["show", "--json", "saved.plan"]);
    assert!(shown.contains("hidden-7") && shown.contains("hidden-8"));
    assert!(hidden(&project.ok(&["apply", "--json", "--auto-approve"])));
    assert!(hidden(&project.ok(&["destroy", "--json", "--auto-approve"])));
}

#[test]
fn a_windows_machine_that_the_cluster_pins_is_the_one_that_was_asked_for() {
    let cluster = Cluster::start(Options::default());
    let windows = |machine: &str| {
        vm("g", 500, &format!("{machine}\n  operating_system {{\n    type = \"win11\"\n  }}"))
    };
    for machine in ["machine = \"q35\"", ""] {
        let project = project_with(&cluster, &windows(machine));
        project.ok(&["apply", "--auto-approve"]);
        settled(&project);
        project.ok(&["destroy", "--auto-approve"]);
    }
}

#[test]
fn a_cloud_init_file_that_is_not_named_any_more_is_taken_out_before_it_goes() {
    let cluster = Cluster::start(Options::default());
    let file = "resource \"proxmox_virtual_environment_file\" \"u\" {\n  node_name = \"pve\"\n  datastore_id = \"local\"\n  \
                content_type = \"snippets\"\n  source_raw {\n    file_name = \"u.yaml\"\n    data = \"#cloud-config\"\n  }\n}\n";
    let main = |part: &str| {
        vm("g", 500, &format!("initialization {{\n    datastore_id = \"local-lvm\"\n    {part}\n  }}"))
    };
    let named = main("user_data_file_id = proxmox_virtual_environment_file.u.id");
    let project = project_with(&cluster, &format!("{file}{named}"));
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(cluster.get("/nodes/pve/qemu/500/config")["cicustom"], "user=local:snippets/u.yaml");
    project.write("main.tf", &format!("{PROVIDER}{}", main("")));
    project.ok(&["apply", "--auto-approve"]);
    assert!(cluster.get("/nodes/pve/qemu/500/config")["cicustom"].is_null());
    settled(&project);
}

#[test]
fn a_file_is_not_written_into_a_datastore_that_does_not_take_it() {
    let cluster = Cluster::start(Options::default());
    let storage = [("storage", "nosnip"), ("type", "dir"), ("path", "/srv/n"), ("content", "iso,vztmpl")];
    cluster.send("POST", "/storage", &storage);
    let file = |name: &str| {
        format!(
            "resource \"proxmox_virtual_environment_file\" \"u\" {{\n  node_name = \"pve\"\n  datastore_id = \"nosnip\"\n  \
             content_type = \"snippets\"\n  source_raw {{\n    file_name = \"{name}\"\n    data = \"x\"\n  }}\n}}\n"
        )
    };
    let mut project = project_with(&cluster, &file("u.yaml"));
    // What the plan would tell is found by the request.
    project.set("PVE_PREFLIGHT", "off");
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("does not take content of type snippets") && said.contains("pvesm set"), "{said}");
    project.write("main.tf", &format!("{PROVIDER}{}", file("../../../etc/cron.d/x")));
    assert!(project.fails(&["validate"]).contains("A file name with a folder"));
}

#[test]
fn the_map_of_ids_of_a_container_is_in_its_file() {
    let cluster = Cluster::start(Options::default());
    let main = |maps: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_container\" \"c\" {{\n  node_name = \"pve\"\n  vm_id = 500\n  \
             unprivileged = true\n  operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n  }}\n  \
             disk {{\n    datastore_id = \"local-lvm\"\n  }}\n  {maps}\n}}\n"
        )
    };
    let map = |size: u32| {
        format!(
            "idmap {{\n    type = \"uid\"\n    container_id = 0\n    host_id = 100000\n    size = {size}\n  }}"
        )
    };
    let mut project = project_with(&cluster, "");
    project.write("main.tf", &main(&map(9)));
    project.ok(&["apply", "--auto-approve"]);
    let lines = || cluster.get("/nodes/pve/lxc/500/config")["lxc"].clone();
    assert_eq!(lines(), serde_json::json!([["lxc.idmap", "u 0 100000 9"]]));
    settled(&project);
    project.write("main.tf", &main(&map(7)));
    let port = cluster.server.ssh.address.port().to_string();
    project.set("PROXMOX_VE_SSH_PORT", "1");
    project.fails(&["apply", "--auto-approve"]);
    project.set("PROXMOX_VE_SSH_PORT", &port);
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("9 -> 7") && plan.contains("over SSH"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(lines(), serde_json::json!([["lxc.idmap", "u 0 100000 7"]]));
    settled(&project);
    project.write("main.tf", &main(""));
    project.ok(&["apply", "--auto-approve"]);
    assert!(lines().is_null());
    settled(&project);
}

fn container(more: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_container\" \"c\" {{\n  node_name = \"pve\"\n  vm_id = 510\n  started = false\n  \
         operating_system {{\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n  }}\n  \
         disk {{\n    datastore_id = \"local-lvm\"\n  }}\n  {more}\n}}\n"
    )
}

#[test]
fn running_guests_are_shut_down_to_become_templates() {
    let cluster = Cluster::start(Options::default());
    let running = container("").replace("started = false", "");
    let both = |more: &str| {
        format!("{PROVIDER}{}{}", vm("t", 500, more), running.replace("vm_id", &format!("{more}\n  vm_id")))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &both(""));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &both("template = true"));
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("shuts the VM down") && plan.contains("shuts the container down"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    for path in ["/nodes/pve/qemu/500/config", "/nodes/pve/lxc/510/config"] {
        assert_eq!(cluster.get(path)["template"], 1);
    }
    settled(&project);
}

#[test]
fn what_would_never_settle_is_refused_or_stays() {
    let cluster = Cluster::start(Options::default());
    let project = project_with(&cluster, "");
    for (main, said) in [
        (vm("g", 500, "startup {\n    order = -5\n  }"), "order"),
        (
            container("mount_point {\n    path = \"/d\"\n    volume = \"local-lvm\"\n    size = \"10\"\n  }"),
            "10G",
        ),
        (vm("g", 500, "network_interface {\n  }"), "Did you mean \"network_device\"?"),
        (container("network_device {\n  }"), "Did you mean \"network_interface\"?"),
    ] {
        project.write("main.tf", &format!("{PROVIDER}{main}"));
        let text = project.fails(&["validate"]);
        assert!(text.contains(said) && !text.contains("network_interface_names"), "{text}");
    }
    let addresses = "network_interface {\n    name = \"eth0\"\n    enabled = false\n  }\n  initialization {\n    \
                     ip_config {\n      ipv4 {\n        address = \"192.0.2.4/24\"\n      }\n    }\n  }";
    project.write("main.tf", &format!("{PROVIDER}{}", container(addresses)));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.write("main.tf", &format!("{PROVIDER}{}", vm("g", 500, "tags = [\"prod env\"]")));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
}

#[test]
fn a_clone_cannot_be_smaller_than_its_template_and_a_fault_says_where_it_was_written() {
    let cluster = Cluster::start(Options::default());
    let disk = |size: u32| {
        format!(
            "disk {{\n    interface = \"scsi0\"\n    datastore_id = \"local-lvm\"\n    size = {size}\n  }}"
        )
    };
    let template = vm("t", 900, &format!("template = true\n  {}", disk(8)));
    let clone = |size: u32| {
        let source = "clone {\n    vm_id = proxmox_virtual_environment_vm.t.vm_id\n  }";
        format!("{PROVIDER}{template}{}", vm("g", 500, &format!("{source}\n  {}", disk(size))))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &clone(4));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("cannot have 4G") && said.contains("on main.tf line"), "{said}");
    project.write("main.tf", &clone(8));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    project.write("main.tf", &clone(9));
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("interface = \"scsi0\"") && plan.contains("8 -> 9"), "{plan}");
}

#[test]
fn a_pool_is_renamed_while_guests_are_in_it() {
    let cluster = Cluster::start(Options::default());
    let main = |name: &str| {
        let pool =
            format!("resource \"proxmox_virtual_environment_pool\" \"lab\" {{\n  pool_id = \"{name}\"\n}}\n");
        let member = "pool_id = proxmox_virtual_environment_pool.lab.pool_id\n  started = false";
        format!("{PROVIDER}{pool}{}", vm("g", 500, member))
    };
    let project = project_with(&cluster, "");
    project.write("main.tf", &main("lab"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &main("lab2"));
    project.ok(&["apply", "--auto-approve"]);
    settled(&project);
    let pools = cluster.get("/pools");
    assert_eq!(pools.as_array().unwrap().iter().map(|pool| &pool["poolid"]).collect::<Vec<_>>(), ["lab2"]);
    project.ok(&["destroy", "--auto-approve"]);
}

#[test]
fn an_efi_disk_and_a_tpm_that_are_taken_out_leave_nothing_behind() {
    let cluster = Cluster::start(Options::default());
    let both = "efi_disk {\n    datastore_id = \"local-lvm\"\n  }\n  tpm_state {\n    datastore_id = \"local-lvm\"\n  }";
    let project = project_with(&cluster, &vm("g", 500, &format!("bios = \"ovmf\"\n  {both}")));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &format!("{PROVIDER}{}", vm("g", 500, "")));
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("destroys the EFI disk") && plan.contains("destroys the TPM state"), "{plan}");
    project.ok(&["apply", "--auto-approve"]);
    let config = cluster.get("/nodes/pve/qemu/500/config");
    assert!(config.as_object().unwrap().keys().all(|key| !key.starts_with("unused")), "{config}");
    settled(&project);
}
