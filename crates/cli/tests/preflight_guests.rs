//! What a plan tells of guests, files and datastores that the cluster will not take.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project};

/// Two nodes; a template 9000 and a container 151 on the first, a storage of the second and one that is disabled.
fn cluster() -> Cluster {
    let cluster = Cluster::start(Options { other_nodes: vec!["pve2".into()], ..Options::default() });
    let post = |path: &str, params: &[(&str, &str)]| drop(cluster.send("POST", path, params));
    post("/nodes/pve/qemu", &[("vmid", "9000"), ("name", "golden"), ("template", "1")]);
    post("/nodes/pve/qemu", &[("vmid", "150"), ("name", "plain")]);
    for (name, more) in [("second", ("nodes", "pve2")), ("off", ("disable", "1"))] {
        let path = format!("/mnt/{name}");
        post(
            "/storage",
            &[("storage", name), ("type", "dir"), ("path", &path), ("content", "images,iso"), more],
        );
    }
    cluster
}

fn vm(name: &str, lines: &str) -> String {
    format!("resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  node_name = \"pve\"\n{lines}\n}}\n")
}

fn container(name: &str, lines: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_container\" \"{name}\" {{\n  node_name = \"pve\"\n{lines}\n}}\n"
    )
}

/// A configuration, what the plan tells of it, and whether an apply does not begin with it.
fn faults() -> Vec<(String, &'static str, bool)> {
    let resource = |kind: &str, lines: &str| format!("resource \"proxmox_{kind}\" \"it\" {{\n{lines}\n}}\n");
    let disk = |line: &str| vm("it", &format!("  disk {{\n    interface = \"scsi0\"\n    {line}\n  }}"));
    vec![
        (vm("it", "  clone {\n    vm_id = 8888\n  }"), "There is no guest 8888", true),
        (
            vm("it", "  clone {\n    vm_id = 9000\n    node_name = \"pve2\"\n  }"),
            "Guest 9000 is not on pve2",
            true,
        ),
        (
            vm("it", "  clone {\n    vm_id = 9000\n    datastore_id = \"second\"\n  }")
                .replace("\"pve\"", "\"pve2\""),
            "The datastore \"second\" is not on pve",
            true,
        ),
        (
            vm("it", "  clone {\n    vm_id = 9000\n    datastore_id = \"second\"\n  }"),
            "\"second\" is not on pve",
            true,
        ),
        (container("it", "  clone {\n    vm_id = 9000\n  }"), "Guest 9000 is a VM", true),
        (vm("it", "  clone {\n    vm_id = 150\n    full = false\n  }"), "Guest 150 is no template", false),
        (
            container(
                "it",
                "  operating_system {\n    template_file_id = \"local:vztmpl/none.tar.zst\"\n  }",
            ),
            "There is no volume \"local:vztmpl/none.tar.zst\" on pve",
            true,
        ),
        (
            disk("import_from = \"local:import/no.qcow2\""),
            "There is no volume \"local:import/no.qcow2\"",
            true,
        ),
        (disk("file_id = \"local:iso/no.img\""), "There is no volume \"local:iso/no.img\"", true),
        (disk("datastore_id = \"second\""), "The datastore \"second\" is not on pve", true),
        (disk("datastore_id = \"off\""), "The datastore \"off\" is disabled", true),
        (vm("it", "  cdrom {\n    file_id = \"local:iso/no.iso\"\n  }"), "\"local:iso/no.iso\"", true),
        (
            vm("it", "  started = false\n  cdrom {\n    file_id = \"local:iso/no.iso\"\n  }"),
            "\"local:iso/no.iso\"",
            false,
        ),
        (vm("it", "  hook_script_file_id = \"local:snippets/no.sh\""), "\"local:snippets/no.sh\"", true),
        (
            vm("it", "  initialization {\n    user_data_file_id = \"local:snippets/no.yaml\"\n  }"),
            "\"local:snippets/no.yaml\"",
            true,
        ),
        (
            vm("it", "  network_device {\n    bridge = \"vmbr77\"\n  }"),
            "another file than /etc/network/interfaces",
            false,
        ),
        (
            vm("it", "  started = false\n  network_device {\n    bridge = \"vmbr77\"\n  }"),
            "There is no bridge \"vmbr77\"",
            false,
        ),
        (
            vm("it", "  hostpci {\n    device = \"hostpci0\"\n    mapping = \"gpu\"\n  }"),
            "There is no PCI mapping \"gpu\"",
            true,
        ),
        (
            vm("it", "  started = false\n  usb {\n    mapping = \"stick\"\n  }"),
            "There is no USB mapping \"stick\"",
            false,
        ),
        (vm("it", "  vm_id = 150"), "Guest 150 is there already", true),
        (
            resource("virtual_environment_firewall_options", "  node_name = \"pve\"\n  vm_id = 777"),
            "There is no guest 777",
            false,
        ),
        (resource("haresource", "  resource_id = \"vm:7777\""), "There is no guest 7777", true),
    ]
}

#[test]
fn what_the_cluster_does_not_have_is_told_by_the_plan_and_only_what_is_certain_stops_an_apply() {
    let cluster = cluster();
    let project = Project::of(&cluster, PROVIDER);
    for (text, told, is_certain) in faults() {
        project.write("main.tf", &format!("{PROVIDER}{text}"));
        cluster.forget_requests();
        let (code, said) = project.ends(&["plan"]);
        assert!(code == 0 && said.contains(told) && said.contains("main.tf:"), "{text}{said}");
        assert_eq!(said.contains("apply does not begin with it"), is_certain, "{text}{said}");
        let asked: Vec<_> = cluster.requests().into_iter().map(|request| request.path).collect();
        let mut once = asked.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), asked.len(), "asked twice: {asked:?}");
        if is_certain {
            let said = project.fails(&["apply", "--auto-approve"]);
            assert!(said.contains("Nothing was changed") && said.contains("(main.tf:"), "{text}{said}");
        }
    }
}

#[test]
fn what_the_same_plan_makes_is_not_missed_and_what_it_removes_is() {
    let cluster = cluster();
    let snippet = "resource \"proxmox_virtual_environment_file\" \"f\" {\n  node_name = \"pve\"\n  datastore_id = \"local\"\n  \
                   content_type = \"snippets\"\n  source_raw {\n    data = \"x\"\n    file_name = \"u.yaml\"\n  }\n}\n";
    let pool = "resource \"proxmox_virtual_environment_pool\" \"p\" {\n  pool_id = \"crew\"\n}\n";
    let template = vm("t", "  vm_id = 700\n  template = true\n  started = false");
    let user = vm(
        "u",
        "  vm_id = 701\n  started = false\n  pool_id = \"crew\"\n  clone {\n    vm_id = 700\n  }\n  initialization {\n    \
         user_data_file_id = \"local:snippets/u.yaml\"\n  }",
    );
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup")]);
    let project = Project::of(&cluster, &format!("{PROVIDER}{snippet}{pool}{template}{user}"));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("Warning"), "{said}");
    project.write("main.tf", &format!("{PROVIDER}{snippet}{pool}"));
    project.ok(&["apply", "--auto-approve"]);
    let user = user.replace("  clone {\n    vm_id = 700\n  }\n", "");
    project.write("main.tf", &format!("{PROVIDER}{user}"));
    let said = project.fails(&["apply", "--auto-approve"]);
    for told in
        ["This plan removes the pool \"crew\"", "This plan removes the volume \"local:snippets/u.yaml\""]
    {
        assert!(said.contains(told), "{said}");
    }
    assert!(said.contains("on the way: This plan removes the pool \"crew\" (main.tf:"), "{said}");
}

#[test]
fn a_linked_clone_is_made_of_no_datastore_of_its_own() {
    let cluster = cluster();
    let clone = vm(
        "it",
        "  started = false\n  clone {\n    vm_id = 9000\n    full = false\n    datastore_id = \"second\"\n  }",
    );
    let project = Project::of(&cluster, &format!("{PROVIDER}{clone}"));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("datastore \"second\""), "{said}");
}

#[test]
fn the_datastores_of_a_guest_are_looked_for_on_the_node_to_which_it_goes() {
    let cluster = cluster();
    let path = [
        ("storage", "first"),
        ("type", "dir"),
        ("path", "/mnt/first"),
        ("content", "images"),
        ("nodes", "pve"),
    ];
    cluster.send("POST", "/storage", &path);
    let lines = "  vm_id = 500\n  started = false\n  migrate = true\n  disk {\n    interface = \"scsi0\"\n    size = 1\n    \
                 datastore_id = \"first\"\n  }";
    let text = vm("it", lines);
    let project = Project::of(&cluster, &format!("{PROVIDER}{text}"));
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", &format!("{PROVIDER}{}", text.replace("\"pve\"", "\"pve2\"")));
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(
        said.contains("The datastore \"first\" is not on pve2") && said.contains("Nothing was changed"),
        "{said}"
    );
}

#[test]
fn warnings_are_in_the_plan_for_programs_and_say_whether_they_stop_an_apply() {
    let cluster = cluster();
    let disk =
        vm("a", "  started = false\n  disk {\n    interface = \"scsi0\"\n    datastore_id = \"off\"\n  }");
    let bridge = vm("b", "  started = false\n  network_device {\n    bridge = \"vmbr77\"\n  }");
    let project = Project::of(&cluster, &format!("{PROVIDER}{disk}{bridge}"));
    let output = project.command(&["plan", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: Vec<_> = plan["diagnostics"].as_array().unwrap().iter().collect();
    let of = |words: &str| *told.iter().find(|it| it["summary"].as_str().unwrap().contains(words)).unwrap();
    for (words, stops, line) in [("\"off\" is disabled", true, 7), ("\"vmbr77\"", false, 14)] {
        let warning = of(words);
        assert_eq!((&warning["severity"], &warning["stops_apply"]), (&"warning".into(), &stops.into()));
        assert_eq!(warning["range"]["filename"], "main.tf");
        let at = warning["range"]["start"]["line"].as_u64().unwrap() as usize;
        let text = std::fs::read_to_string(project.root().join("main.tf")).unwrap();
        let named = if stops { "\"off\"" } else { "vmbr77" };
        assert!(text.lines().nth(at - 1).unwrap().contains(named), "{line}: {warning}");
    }
    let nothing = project.command(&["plan", "--json", "-destroy"]).output().unwrap();
    let nothing: serde_json::Value = serde_json::from_slice(&nothing.stdout).unwrap();
    assert!(nothing.get("diagnostics").is_none(), "{nothing}");
}

#[test]
fn warnings_of_a_saved_plan_are_in_what_its_apply_tells_programs() {
    let cluster = cluster();
    let bridge = vm("b", "  started = false\n  network_device {\n    bridge = \"vmbr77\"\n  }");
    let project = Project::of(&cluster, &format!("{PROVIDER}{bridge}"));
    let applied = |plan: &str| -> serde_json::Value {
        let output = project.command(&["apply", "--json", plan]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let warnings = |told: &serde_json::Value, words: &str| -> Vec<serde_json::Value> {
        let told = told["diagnostics"].as_array().unwrap();
        told.iter().filter(|it| it["summary"].as_str().unwrap().contains(words)).cloned().collect()
    };
    project.ok(&["plan", "-out", "a.plan"]);
    let told = applied("a.plan");
    assert_eq!(warnings(&told, "vmbr77").len(), 1, "{told}");
    assert!(told["complete"].is_boolean() && told["added"].is_number(), "{told}");
    let disk =
        vm("a", "  started = false\n  disk {\n    interface = \"scsi0\"\n    datastore_id = \"off\"\n  }");
    project.write("main.tf", &format!("{PROVIDER}{disk}"));
    project.ok(&["plan", "-out", "b.plan"]);
    let refused = applied("b.plan");
    assert_eq!(refused["complete"], false);
    assert_eq!(warnings(&refused, "\"off\" is disabled")[0]["stops_apply"], true, "{refused}");
}

#[test]
fn a_plan_that_could_not_be_compared_with_the_cluster_says_so_in_one_warning() {
    let cluster = cluster();
    let vms = vm("a", "  started = false") + &vm("b", "  started = false\n  pool_id = \"crew\"");
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{vms}"));
    let told = "Not all of this plan was compared with what the cluster has";
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains(told), "{said}");
    let token = cluster.server.token.clone();
    let (name, _) = token.split_once('=').unwrap();
    project.set("PROXMOX_VE_API_TOKEN", &format!("{name}=00000000-0000-4000-8000-000000000000"));
    cluster.forget_requests();
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && said.matches(told).count() == 1, "{said}");
    assert!(
        cluster.requests().len() <= 1,
        "whoever is refused does not go on asking: {:?}",
        cluster.requests()
    );
    project.set("PROXMOX_VE_API_TOKEN", &token);
    project.set("PROXMOX_VE_ENDPOINT", "https://127.0.0.1:9/");
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && said.matches(told).count() == 1, "{said}");
}

#[test]
fn whoever_may_not_see_is_told_nothing_for_certain() {
    let cluster = cluster();
    cluster.send("POST", "/access/users", &[("userid", "weak@pve")]);
    let made = cluster.send("POST", "/access/users/weak@pve/token/weak", &[("privsep", "0")]);
    let acl = [("path", "/"), ("roles", "PVEVMAdmin"), ("users", "weak@pve"), ("propagate", "1")];
    cluster.send("PUT", "/access/acl", &acl);
    let acl = [("path", "/storage/local"), ("roles", "PVEDatastoreUser"), ("users", "weak@pve")];
    cluster.send("PUT", "/access/acl", &acl);
    cluster.send("PUT", "/storage/local", &[("content", "iso,vztmpl,snippets,import,backup,images")]);
    let text = vm(
        "it",
        "  pool_id = \"crew\"\n  initialization {\n    datastore_id = \"local\"\n    user_data_file_id = \"local:snippets/no.yaml\"\n  }",
    );
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{text}"));
    let token = format!("weak@pve!weak={}", made["value"].as_str().unwrap());
    project.set("PROXMOX_VE_API_TOKEN", &token);
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("There is no volume"), "{said}");
    assert!(!said.contains("apply does not begin with it"), "{said}");
}
