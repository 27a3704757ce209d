//! A guest is known again by more than its id and its name, through the binary.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, project_with, settled};

fn vm(name: &str, vmid: u32, more: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  node_name = \"pve\"\n  vm_id = {vmid}\n  name = \"{name}\"\n  \
         network_device {{}}\n  {more}\n}}\n"
    )
}

const NEWER: &str =
    "resource \"proxmox_vm\" \"newer\" {\n  node_name = \"pve\"\n  id = 710\n  name = \"newer\"\n}\n";

/// A template, and a clone of it under a fixed id.
fn clone_of(cluster: &Cluster) -> &'static str {
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", "900"), ("name", "template")]);
    cluster.send("POST", "/nodes/pve/qemu/900/template", &[]);
    "resource \"proxmox_cloned_vm\" \"clone\" {\n  node_name = \"pve\"\n  id = 711\n  name = \"clone\"\n  \
     clone = { source_vm_id = 900 }\n}\n"
}

/// Destroys a guest and makes another one with its id and its name.
fn remake(cluster: &Cluster, vmid: &str, name: &str) {
    let path = format!("/nodes/pve/qemu/{vmid}");
    cluster.send("DELETE", &path, &[]);
    // Its task takes its time.
    while !cluster.get(&format!("{path}/config")).is_null() {}
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", vmid), ("name", name)]);
    let config = cluster.get(&format!("{path}/config"));
    assert_eq!(config["name"], name, "{config}");
}

#[test]
fn a_guest_that_is_replaced_under_its_id_is_known_by_what_it_is_now() {
    let cluster = Cluster::start(Options::default());
    let main = format!("{PROVIDER}{}{NEWER}{}", vm("web", 700, ""), clone_of(&cluster));
    let project = project_with(&cluster, "");
    project.write("main.tf", &main);
    project.ok(&["apply", "--auto-approve"]);
    for address in ["proxmox_virtual_environment_vm.web", "proxmox_vm.newer", "proxmox_cloned_vm.clone"] {
        let said = project.ok(&["apply", "--auto-approve", "-replace", address]);
        assert!(said.contains("Done: 1 added, 0 changed, 1 destroyed."), "{said}");
        settled(&project);
    }
    project.ok(&["destroy", "--auto-approve"]);
    assert_eq!(project.ok(&["state", "list"]).lines().count(), 0);
}

#[test]
fn an_imported_guest_is_known_from_the_start() {
    let cluster = Cluster::start(Options::default());
    for (vmid, name) in [("700", "web"), ("701", "db"), ("710", "newer")] {
        cluster.send("POST", "/nodes/pve/qemu", &[("vmid", vmid), ("name", name)]);
    }
    let guest = |name: &str, vmid: u32| vm(name, vmid, "").replace("network_device {}", "started = false");
    let project = project_with(&cluster, "");
    let main = format!("{PROVIDER}{}{}{NEWER}", guest("web", 700), guest("db", 701));
    project.write("main.tf", &main);
    project.write("import.tf", "import {\n  to = proxmox_virtual_environment_vm.db\n  id = \"pve/701\"\n}\n");
    project.ok(&["import", "proxmox_virtual_environment_vm.web", "pve/700"]);
    project.ok(&["import", "proxmox_vm.newer", "pve/710"]);
    project.ok(&["apply", "--auto-approve"]);
    for (vmid, name) in [("700", "web"), ("701", "db"), ("710", "newer")] {
        remake(&cluster, vmid, name);
        let said = project.fails(&["destroy", "--auto-approve"]);
        assert!(said.contains("is another one") && said.contains("UUID"), "{vmid}: {said}");
        let said = project.fails(&["plan"]);
        assert!(
            said.contains(&format!("the guest with this id on pve is another one: it is named {name}")),
            "{said}"
        );
        assert_eq!(cluster.get(&format!("/nodes/pve/qemu/{vmid}/config"))["name"], name);
        let address = project.ok(&["state", "list"]);
        let address = address.lines().find(|line| line.ends_with(&format!(".{name}"))).unwrap();
        project.ok(&["state", "rm", address]);
    }
}

/// As a state of Terraform's leaves it, or one of an older version: nothing tells who the guest is.
#[test]
fn a_guest_that_was_adopted_is_known_by_the_first_apply_though_it_changes_nothing() {
    let cluster = Cluster::start(Options::default());
    let guest = vm("web", 700, "").replace("network_device {}", "started = false");
    let made = project_with(&cluster, &guest);
    made.ok(&["apply", "--auto-approve"]);
    let shown: serde_json::Value = serde_json::from_str(&made.ok(&["show", "-json"])).unwrap();
    let attributes = &shown["values"]["root_module"]["resources"][0]["values"];
    assert_eq!(attributes["vm_id"], 700, "{shown}");
    let state = serde_json::json!({"version": 4, "serial": 1, "lineage": "1", "outputs": {}, "resources": [{
        "mode": "managed", "type": "proxmox_virtual_environment_vm", "name": "web",
        "provider": "provider[\"registry.terraform.io/bpg/proxmox\"]",
        "instances": [{"schema_version": 0, "attributes": attributes, "sensitive_attributes": []}]}]});
    let project = project_with(&cluster, &guest);
    project.write("terraform.json", &state.to_string());
    project.ok(&["state", "adopt", "terraform.json"]);
    let events = |project: &simulated::Project| project.ok(&["log", "-json"]).lines().count();
    project.ok(&["apply", "--auto-approve"]);
    let recorded = events(&project);
    project.ok(&["apply", "--auto-approve"]);
    assert_eq!(events(&project), recorded, "it is known by now");
    remake(&cluster, "700", "web");
    let said = project.fails(&["destroy", "--auto-approve"]);
    assert!(said.contains("is another one") && said.contains("UUID"), "{said}");
}

#[test]
fn a_guest_that_a_run_of_another_log_began_to_make_is_imported_only_to_be_taken_over() {
    const ADDRESS: &str = "proxmox_virtual_environment_vm.web";
    let cluster = Cluster::start(Options::default());
    let action = "019abc00-7f3a-7e4d-8a5b-0123456789ab";
    let marker = format!("pve:{action}");
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", "500"), ("name", "web"), ("description", &marker)]);
    let notes = "pve: made by hand";
    cluster.send("POST", "/nodes/pve/qemu", &[("vmid", "501"), ("name", "other"), ("description", notes)]);
    let project = project_with(&cluster, &format!("{}{}", vm("web", 500, ""), vm("other", 501, "")));
    let block = "import {\n  to = proxmox_virtual_environment_vm.web\n  id = \"pve/500\"\n}\n";
    project.write("import.tf", block);
    let planned = project.fails(&["plan"]);
    project.write("import.tf", "");
    for said in [planned, project.fails(&["import", ADDRESS, "pve/500"])] {
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        // The time is in the id of the action.
        assert!(said.contains("a run began to make this guest at 2025-11-25T"), "{said}");
        assert!(said.contains(action) && said.contains("none that is open in this log"), "{said}");
        assert!(said.contains(&format!("pve import -take-over '{ADDRESS}' pve/500")), "{said}");
    }
    assert!(!project.ok(&["state", "list"]).contains("web"));
    project.ok(&["import", "-take-over", ADDRESS, "pve/500"]);
    project.ok(&["import", "proxmox_virtual_environment_vm.other", "pve/501"]);
    assert_eq!(project.ok(&["state", "list"]).lines().count(), 2);
}
