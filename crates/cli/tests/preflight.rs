//! What a cluster will not take is told by the plan, with its place, and an apply does not begin with it.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::Options;
use simulated::{Cluster, PROVIDER, Project};

/// A line that is no good, with what is told of it; in this order in the configuration.
const FAULTS: &[(&str, &str)] = &[
    (r#"node_name = "pve9""#, r#"There is no node "pve9""#),
    (r#"datastore_id = "nosuch""#, r#"There is no datastore "nosuch" on pve"#),
    ("vlan_id = 5000", "value must have a maximum value of 4094"),
    (r#"gateway = "10.0.0.x""#, "10.0.0.x"),
    (r#"uuid = "nope""#, "nope"),
    ("vm_id = 8888", "There is no guest 8888"),
    (r#"datastore_id = "local-lvm" # no folder"#, r#"The datastore "local-lvm" is not for snippets"#),
    (r#"role_id = "Nobody""#, r#"There is no role "Nobody""#),
    ("mtu = 1", "value must have a minimum value of 1280"),
    (r#"password = "short""#, "value must be at least 8 characters long"),
    (r#"user_id = "ann""#, "ann"),
    (r#"schedule = "25:99""#, "25:99"),
];

/// The configuration, and the line of each fault.
fn configuration() -> (String, Vec<usize>) {
    let fault = |index: usize| FAULTS[index].0;
    let vm = |name: &str, node: &str, more: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  count = 2\n  {node}\n  started = false\n{more}}}\n"
        )
    };
    let pve = "node_name = \"pve\"";
    let mut text = PROVIDER.to_string();
    text += &vm("nowhere", fault(0), "");
    let disk = format!("  disk {{\n    interface = \"scsi0\"\n    {}\n  }}\n", fault(1));
    let network = format!("  network_device {{\n    bridge = \"vmbr77\"\n    {}\n  }}\n", fault(2));
    let address = format!(
        "  initialization {{\n    ip_config {{\n      ipv4 {{\n        address = \"10.0.0.2/24\"\n        {}\n      }}\n    }}\n  }}\n",
        fault(3)
    );
    let smbios = format!("  smbios {{\n    {}\n  }}\n", fault(4));
    text += &vm("values", pve, &format!("{disk}{network}{address}{smbios}"));
    text += &vm("clone", pve, &format!("  clone {{\n    {}\n  }}\n", fault(5)));
    text += &format!(
        "resource \"proxmox_virtual_environment_file\" \"f\" {{\n  {pve}\n  content_type = \"snippets\"\n  {}\n  source_raw {{\n    \
         data = \"x\"\n    file_name = \"a.yaml\"\n  }}\n}}\n",
        fault(6)
    );
    text += &format!(
        "resource \"proxmox_acl\" \"a\" {{\n  path = \"/\"\n  user_id = \"root@pam\"\n  {}\n}}\n",
        fault(7)
    );
    text += &format!(
        "resource \"proxmox_network_linux_bridge\" \"b\" {{\n  {pve}\n  name = \"vmbr9\"\n  {}\n}}\n",
        fault(8)
    );
    text += &format!(
        "resource \"proxmox_virtual_environment_user\" \"u\" {{\n  {}\n  {}\n}}\n",
        fault(9),
        fault(10)
    );
    text += &format!(
        "resource \"proxmox_backup_job\" \"j\" {{\n  id = \"nightly\"\n  storage = \"local\"\n  all = true\n  {}\n}}\n",
        fault(11)
    );
    let line = |fault: &str| text.lines().position(|line| line.trim() == fault).unwrap() + 1;
    let lines = FAULTS.iter().map(|(fault, _)| line(fault)).collect();
    (text, lines)
}

#[test]
fn what_a_cluster_will_not_take_is_told_with_its_place_and_not_begun_with() {
    let cluster = Cluster::start(Options::default());
    let (text, lines) = configuration();
    let project = Project::of(&cluster, &text);
    // A plan it is, all the same.
    let (code, said) = project.ends(&["plan", "-out", "it.plan"]);
    assert_eq!(code, 0, "{said}");
    for ((_, told), line) in FAULTS.iter().zip(&lines) {
        assert!(said.contains(told), "{told}\n{said}");
        assert!(said.contains(&format!("main.tf:{line}")), "{told}: line {line}\n{said}");
    }
    assert!(said.contains("There is no bridge \"vmbr77\" on pve") && said.contains("vmbr0"), "{said}");
    assert!(!said.contains("is \"short\""), "a password is shown: {said}");
    assert_eq!(said.matches("There is no node").count(), 1, "one block, one warning: {said}");
    for words in [&["apply", "--auto-approve"] as &[&str], &["apply", "it.plan"]] {
        cluster.forget_requests();
        let said = project.fails(words);
        assert!(said.contains("Nothing was changed") && said.contains("PVE_PREFLIGHT=off"), "{said}");
        assert!(said.contains("There is no node \"pve9\""), "{said}");
        let writes: Vec<_> =
            cluster.requests().into_iter().filter(|request| request.method != "GET").collect();
        assert!(writes.is_empty(), "{writes:?}");
    }
}

#[test]
fn what_the_plan_makes_itself_or_only_whoever_asks_cannot_see_is_no_reason_not_to_begin() {
    let cluster = Cluster::start(Options::default());
    let storage = "resource \"proxmox_storage_directory\" \"s\" {\n  id = \"fresh\"\n  path = \"/mnt/fresh\"\n  \
                   content = [\"images\"]\n}\n";
    let pool = "resource \"proxmox_virtual_environment_pool\" \"p\" {\n  pool_id = \"crew\"\n}\n";
    let vm = "resource \"proxmox_virtual_environment_vm\" \"v\" {\n  node_name = \"pve\"\n  vm_id = 300\n  started = false\n  \
              pool_id = \"crew\"\n  depends_on = [proxmox_virtual_environment_pool.p, proxmox_storage_directory.s]\n  \
              disk {\n    interface = \"scsi0\"\n    size = 1\n    datastore_id = \"fresh\"\n  }\n}\n";
    let project = Project::of(&cluster, &format!("{PROVIDER}{storage}{pool}{vm}"));
    let (code, said) = project.ends(&["plan"]);
    assert!(code == 0 && !said.contains("There is no"), "{said}");
    project.ok(&["apply", "--auto-approve"]);
    // Without changes nothing more is asked.
    cluster.forget_requests();
    project.ok(&["plan"]);
    let asked: Vec<_> = cluster.requests().into_iter().map(|request| request.path).collect();
    assert!(
        !asked.iter().any(|path| path.ends_with("/nodes") || path.ends_with("/nodes/pve/storage")),
        "{asked:?}"
    );
    // Neither is what stays as it is, beside a change.
    let renamed = vm.replace("started = false", "started = false\n  name = \"other\"");
    project.write("main.tf", &format!("{PROVIDER}{storage}{pool}{renamed}"));
    cluster.forget_requests();
    project.ok(&["plan"]);
    let asked: Vec<_> = cluster.requests().into_iter().map(|request| request.path).collect();
    assert!(!asked.iter().any(|path| path.ends_with("/nodes/pve/storage")), "{asked:?}");
}

#[test]
fn a_run_may_begin_all_the_same() {
    let cluster = Cluster::start(Options::default());
    let vm =
        "resource \"proxmox_virtual_environment_vm\" \"v\" {\n  node_name = \"pve9\"\n  started = false\n}\n";
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{vm}"));
    project.set("PVE_PREFLIGHT", "off");
    cluster.forget_requests();
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("pve9") && !said.contains("Nothing was changed"), "{said}");
    assert!(cluster.requests().iter().any(|request| request.method == "POST"), "{said}");
}

#[test]
fn what_is_no_public_key_and_no_tag_stops_apply() {
    let cluster = Cluster::start(Options::default());
    let vm = |tag: &str, keys: &str| {
        format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  started = false\n  tags = [\"{tag}\"]\n  \
             initialization {{\n    user_account {{\n      keys = [{keys}]\n    }}\n  }}\n}}\n"
        )
    };
    let good =
        "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000000 me@host\"";
    let project = Project::of(&cluster, &vm("vlan:30", &format!("{good}, \"-----BEGIN PRIVATE_PART\"")));
    let (_, said) = project.ends(&["plan"]);
    let warnings: Vec<_> = said.split("Warning: Proxmox VE does not take this value").skip(1).collect();
    let told = |text: &str| warnings.iter().any(|one| one.contains(text) && one.contains("main.tf:"));
    assert!(warnings.len() == 2 && told("no public key") && told("vlan:30"), "{said}");
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("Nothing was changed"), "{said}");
    project.write("main.tf", &vm("vlan.30", good));
    project.ok(&["apply", "--auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes"));
}

/// A private key, or a password, that was pasted in place of a public key.
#[test]
fn what_stands_in_place_of_a_public_key_is_not_repeated() {
    let cluster = Cluster::start(Options::default());
    let guests = [
        ("vm", ""),
        ("container", "  operating_system {\n    template_file_id = \"local:vztmpl/t.tar.zst\"\n  }\n"),
    ];
    for (kind, more) in guests {
        let main = format!(
            "{PROVIDER}resource \"proxmox_virtual_environment_{kind}\" \"v\" {{\n  node_name = \"pve\"\n  started = false\n{more}  \
             initialization {{\n    user_account {{\n      keys = [file(\"key\")]\n    }}\n  }}\n}}\n"
        );
        let project = Project::of(&cluster, &main);
        project.write("key", "Sek-16-word");
        let said = project.fails(&["apply", "--auto-approve"]);
        let warning = said.split("Warning: Proxmox VE does not take this value").nth(1).unwrap();
        assert!(warning.contains("no public key") && warning.contains("main.tf:"), "{said}");
        assert!(!warning.contains("Sek-16-word"), "{said}");
        let plan: serde_json::Value = serde_json::from_str(&project.ok(&["plan", "-json"])).unwrap();
        let told = plan["diagnostics"].to_string();
        assert!(told.contains("no public key") && !told.contains("Sek-16-word"), "{told}");
    }
}

#[test]
fn a_secret_that_is_refused_is_not_shown_wherever_it_stands() {
    let cluster = Cluster::start(Options::default());
    let certificate = "resource \"proxmox_virtual_environment_certificate\" \"c\" {\n  node_name = \"pve\"\n  certificate = \"x\"\n  \
                       private_key = file(\"key.txt\")\n}\n";
    let user = "resource \"proxmox_virtual_environment_user\" \"u\" {\n  user_id = \"ann@pve\"\n  password = \"Sek-16\"\n}\n";
    let project = Project::of(&cluster, &format!("{PROVIDER}{certificate}{user}"));
    project.write("key.txt", "MIIE_TOPSECRET\"\nQQQ\n");
    for words in
        [&["plan", "-out", "it.plan"] as &[&str], &["apply", "it.plan"], &["apply", "--auto-approve"]]
    {
        let (_, said) = project.ends(words);
        for secret in ["TOPSECRET", "QQQ", "Sek-16"] {
            assert!(!said.contains(secret), "{words:?}: {secret}\n{said}");
        }
        assert_eq!(said.matches("Warning: Proxmox VE does not take this value").count(), 3, "{said}");
        for told in ["main.tf:5:17", "main.tf:9:14", "(sensitive value): value must be at least 8 characters"]
        {
            assert!(said.contains(told), "{words:?}: {told}\n{said}");
        }
    }
}

#[test]
fn a_provisioner_may_make_what_is_named_behind_it_and_mends_no_value() {
    let cluster = Cluster::start(Options::default());
    let does = "resource \"null_resource\" \"does\" {\n  provisioner \"local-exec\" {\n    command = \"true\"\n  }\n}\n";
    let vm = |more: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  started = false\n{more}}}\n"
        )
    };
    let (pool, behind) = ("  pool_id = \"crew\"\n", "  depends_on = [null_resource.does]\n");
    let value = "  smbios {\n    uuid = \"nope\"\n  }\n";
    let project = Project::of(&cluster, PROVIDER);
    for (more, is_begun) in
        [(pool.to_string(), false), (format!("{value}{behind}"), false), (format!("{pool}{behind}"), true)]
    {
        project.write("main.tf", &format!("{PROVIDER}{does}{}", vm(&more)));
        let said = project.fails(&["apply", "--auto-approve"]);
        assert_eq!(said.contains("would refuse this on the way"), !is_begun, "{more}: {said}");
    }
}
