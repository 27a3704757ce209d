//! How runs deal with clusters: what was left open there, what a simulated one keeps, what is shown of requests.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod simulated;

use pve_simulator::{FailureRule, How, Options, When};
use simulated::{Cluster, PROVIDER, Project};

#[test]
fn what_became_of_a_guest_is_found_out_though_its_block_is_gone() {
    let lost = |method: &str, path: &str, how: How| FailureRule {
        method: method.into(),
        path: path.into(),
        when: When::Always,
        how,
    };
    let cluster = Cluster::start(Options::default());
    let project = Project::on(&cluster);
    for file in ["main.tf", "outputs.tf"] {
        std::fs::remove_file(project.root().join(file)).unwrap();
    }
    project.write(
        "vm.tf",
        "resource \"proxmox_virtual_environment_vm\" \"a\" {\n  node_name = \"pve\"\n  vm_id = 123\n  name = \"a\"\n}\n",
    );
    cluster.server.simulator().set_failures(vec![
        lost("POST", "/nodes/pve/qemu", How::ApplyThenDisconnect),
        lost("GET", "/nodes/pve/qemu/*", How::Disconnect),
        lost("GET", "/cluster/resources", How::Disconnect),
    ]);
    let said = project.fails(&["-e", "dev", "apply", "--auto-approve"]);
    assert_eq!(project.ok(&["-e", "dev", "state", "list"]), "", "{said}");
    cluster.server.simulator().set_failures(Vec::new());
    std::fs::remove_file(project.root().join("vm.tf")).unwrap();
    let guests = || cluster.get("/cluster/resources?type=vm").as_array().unwrap().len();
    assert_eq!(guests(), 1, "{said}");
    project.ok(&["-e", "dev", "apply", "--auto-approve"]);
    assert_eq!(guests(), 0, "it was found, and the configuration has it no more");
}

#[test]
fn a_simulated_plan_leaves_nothing_that_an_apply_could_lose() {
    let project = Project::scaffolded();
    let plan = project.ok(&["-e", "dev", "plan", "--simulate"]);
    assert!(plan.contains("to add") || plan.contains("create"), "{plan}");
    let kept: Vec<_> =
        project.root().join(".pve").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let states = kept.iter().filter(|path| path.join("simulator.db").exists()).count();
    assert_eq!(states, 0, "{kept:?}");
    project.ok(&["-e", "dev", "apply", "--simulate", "--auto-approve"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let state = std::fs::metadata(project.root().join(".pve/dev/simulator.db")).unwrap();
        assert_eq!(state.permissions().mode() & 0o777, 0o600);
    }
    assert!(project.ok(&["-e", "dev", "plan", "--simulate"]).contains("No changes."));
}

/// The description in the README.
#[test]
fn a_described_cluster_fails_as_it_is_told_to() {
    let project = Project::scaffolded();
    let described = |failures: &str| {
        format!(
            r#"{{"behaviour": {{"latency_ms": 1, "task_ms": 5, "seed": 1, "failures": [
                {{"method": "POST", "path": "/nodes/*/qemu", "when": "always", "how": {failures}}}]}}}}"#
        )
    };
    let apply = ["-e", "dev", "apply", "--simulate", "--auto-approve"];
    project.write("simulator.json", &described(r#"{"fail_task": "no space left"}"#));
    let said = project.fails(&apply);
    assert!(said.contains("no space left"), "{said}");
    project.write("simulator.json", &described(r#"{"refuse": {"status": 500, "reason": "not today"}}"#));
    let said = project.fails(&apply);
    assert!(said.contains("not today"), "{said}");
    project.write("simulator.json", r#"{"behavior": {}}"#);
    let said = project.fails(&apply);
    assert!(said.contains("simulator.json") && said.contains("behaviour"), "{said}");
    project.write("simulator.json", "{}");
    project.ok(&apply);
}

#[test]
fn requests_are_shown_when_asked_for_and_the_token_never() {
    let cluster = Cluster::start(Options::default());
    let project = Project::on(&cluster);
    let said = |words: &[&str], log: &str| {
        let output = project.command(words).env("PVE_LOG", log).output().unwrap();
        assert!(output.status.success(), "{}", simulated::text(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!said(&["-e", "dev", "apply", "--auto-approve"], "").contains("GET "));
    let secret = cluster.server.token.split_once('=').unwrap().1;
    for (words, log) in [(&["-v", "-e", "dev", "plan"][..], ""), (&["-e", "dev", "plan"][..], "debug")] {
        let said = said(words, log);
        assert!(said.contains("GET /nodes/pve/qemu/") && !said.contains(secret), "{said}");
    }
}

/// A project with this configuration alone.
fn plain(cluster: &Cluster, configuration: &str) -> Project {
    let project = Project::on(cluster);
    for file in ["main.tf", "outputs.tf"] {
        std::fs::remove_file(project.root().join(file)).unwrap();
    }
    project.write("own.tf", configuration);
    project
}

#[test]
fn an_imported_secret_shows_no_change_until_the_configuration_changes_it() {
    let user = |password: &str| {
        format!(
            "resource \"proxmox_virtual_environment_user\" \"u\" {{\n  user_id = \"u@pve\"\n  password = \"{password}\"\n}}\n"
        )
    };
    let cluster = Cluster::start(Options::default());
    let maker = plain(&cluster, &user("password-one"));
    maker.ok(&["-e", "dev", "apply", "--auto-approve"]);
    let import = "import {\n  to = proxmox_virtual_environment_user.u\n  id = \"u@pve\"\n}\n";
    let project = plain(&cluster, &(user("password-one") + import));
    project.ok(&["-e", "dev", "apply", "--auto-approve"]);
    assert!(project.ok(&["-e", "dev", "plan"]).contains("No changes."));
    project.write("own.tf", &user("password-two"));
    let plan = project.ok(&["-e", "dev", "plan"]);
    assert!(plan.contains("1 to change") && !plan.contains("password-two"), "{plan}");
    let (_, said) = project.ends(&["-e", "dev", "plan"]);
    assert!(said.contains("No token may set the password of a user that is there"), "{said}");
    assert_eq!(said.matches("log in with username and password").count(), 1, "told once: {said}");
    assert!(!said.contains("password-two"), "{said}");
}

#[test]
fn interfaces_that_change_together_are_applied_by_one_reload_and_again_after_one_that_failed() {
    let configuration = r#"
        resource "proxmox_network_linux_bridge" "a" {
          node_name = "pve"
          name      = "vmbr5"
        }
        resource "proxmox_network_linux_bridge" "b" {
          node_name  = "pve"
          name       = "vmbr6"
          vlan_aware = true
        }
        resource "proxmox_network_linux_vlan" "c" {
          node_name = "pve"
          name      = "vmbr0.30"
        }
    "#;
    let cluster = Cluster::start(Options::default());
    let project = plain(&cluster, configuration);
    let reloads = || {
        let of_network = |request: &&pve_simulator::RequestRecord| request.path == "/nodes/pve/network";
        cluster.requests().iter().filter(of_network).filter(|request| request.method == "PUT").count()
    };
    cluster.server.simulator().set_failures(vec![FailureRule {
        method: "PUT".into(),
        path: "/nodes/pve/network".into(),
        when: When::Always,
        how: How::FailTask("command 'ifreload -a' failed: exit code 1".into()),
    }]);
    let said = project.fails(&["-e", "dev", "apply", "--auto-approve"]);
    assert!(said.contains("/etc/network/interfaces of the node has the change"), "{said}");
    assert_eq!(reloads(), 1);
    cluster.server.simulator().set_failures(Vec::new());
    // The file says the same as the configuration; it is not what runs.
    let plan = project.ok(&["-e", "dev", "plan"]);
    assert!(plan.contains("the network of the node is reloaded"), "{plan}");
    project.ok(&["-e", "dev", "apply", "--auto-approve"]);
    assert_eq!(reloads(), 2);
    assert!(project.ok(&["-e", "dev", "plan"]).contains("No changes."));
}

#[test]
fn a_login_that_cannot_be_one_is_told_before_anything_is_asked() {
    let cluster = Cluster::start(Options::default());
    let pool = "resource \"proxmox_virtual_environment_pool\" \"p\" {\n  pool_id = \"crew\"\n}\n";
    let mut project = Project::of(&cluster, &format!("{PROVIDER}{pool}"));
    project.set("PROXMOX_VE_API_TOKEN", "garbageToken");
    let said = project.fails(&["plan"]);
    assert!(said.contains("USER@REALM!NAME=SECRET") && !said.contains("garbageToken"), "{said}");
    project.set("PROXMOX_VE_API_TOKEN", "");
    project.set("PROXMOX_VE_USERNAME", "root");
    project.set("PROXMOX_VE_PASSWORD", "hunter2");
    let said = project.fails(&["plan"]);
    assert!(said.contains("root@pam") && said.contains("realm"), "{said}");
    assert!(cluster.requests().is_empty());
    project.set("PROXMOX_VE_USERNAME", "root@pam");
    let said = project.fails(&["apply", "--auto-approve"]);
    assert!(said.contains("password") && !said.contains("token") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_user_and_a_password_log_in_at_the_api_and_at_the_nodes() {
    let cluster = Cluster::start(Options::default());
    let snippet = "resource \"proxmox_virtual_environment_file\" \"f\" {\n  node_name = \"pve\"\n  datastore_id = \"local\"\n  \
                   content_type = \"snippets\"\n  source_raw {\n    data = \"x\"\n    file_name = \"a.yaml\"\n  }\n}\n";
    // As it is copied from a browser, without a port of its own for each node.
    let endpoint = format!("{}api2/json#v1:0", cluster.server.endpoint);
    let provider = format!(
        "provider \"proxmox\" {{\n  endpoint = \"{endpoint}\"\n  api_token = \"\"\n  username = \"root@pam\"\n  password = \"{}\"\n}}\n",
        cluster.server.ssh.password
    );
    let mut project = Project::of(&cluster, &format!("{provider}{snippet}"));
    project.set("PROXMOX_VE_SSH_USERNAME", "");
    project.set("PROXMOX_VE_SSH_PASSWORD", "");
    project.ok(&["apply", "--auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    // The same server in other words is the same cluster.
    project.write("main.tf", &format!("{}{snippet}", provider.replace(&endpoint, &cluster.server.endpoint)));
    assert!(project.ok(&["plan"]).contains("No changes."));
}

#[test]
fn what_is_pending_and_cannot_be_looked_up_is_not_told_to_be_nothing() {
    let cluster = Cluster::start(Options::default());
    let project = plain(&cluster, "resource \"proxmox_sdn_applier\" \"a\" {}\n");
    cluster.server.simulator().set_failures(vec![FailureRule {
        method: "GET".into(),
        path: "/cluster/sdn/vnets".into(),
        when: When::Always,
        how: How::Disconnect,
    }]);
    let said = project.ok(&["-e", "dev", "plan"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("in the cluster could not be looked up"), "{said}");
}

#[test]
fn what_is_kept_of_a_whole_data_source_or_resource_is_no_change() {
    let cluster = Cluster::start(Options::default());
    let parts = "data \"proxmox_virtual_environment_datastores\" \"d\" {\n  node_name = \"pve\"\n}\n\
        resource \"proxmox_vm\" \"v\" {\n  node_name = \"pve\"\n  id = 100\n}\n\
        resource \"terraform_data\" \"t\" {\n  triggers_replace = data.proxmox_virtual_environment_datastores.d\n  \
        input = proxmox_vm.v\n}\n\
        output \"o\" {\n  value = [data.proxmox_virtual_environment_datastores.d, proxmox_vm.v]\n}\n";
    let project = Project::of(&cluster, &format!("{PROVIDER}{parts}"));
    project.ok(&["apply", "--auto-approve"]);
    let (code, said) = project.ends(&["plan", "-detailed-exitcode"]);
    assert!(code == 0 && said.contains("No changes."), "{said}");
}

const TWO: &str = "provider \"proxmox\" {}\nprovider \"proxmox\" {\n  alias = \"two\"\n}\n";

#[test]
fn an_id_that_a_guest_of_one_provider_block_is_to_have_is_drawn_by_no_other_block_of_the_cluster() {
    let vm = |label: &str, lines: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"{label}\" {{\n  node_name = \"pve\"\n  name = \"{label}\"\n  \
             started = false\n{lines}}}\n"
        )
    };
    let cluster = Cluster::start(Options::default());
    let guests = [vm("a", "  provider = proxmox.two\n"), vm("b", ""), vm("z", "  vm_id = 100\n")];
    let project = Project::of(&cluster, &format!("{TWO}{}", guests.concat()));
    project.ok(&["apply", "--auto-approve", "-parallelism=1"]);
    assert_eq!(cluster.get("/nodes/pve/qemu/100/config")["name"], "z");
    simulated::settled(&project);
}

#[test]
fn a_permission_that_another_provider_block_of_the_cluster_has_given_anew_stays() {
    let acl = |label: &str, role: &str, lines: &str| {
        format!(
            "resource \"proxmox_acl\" \"{label}\" {{\n  path = \"/vms\"\n  user_id = \"ann@pve\"\n  role_id = \"{role}\"\n{lines}}}\n"
        )
    };
    let two = "  provider = proxmox.two\n";
    for (own, other) in [("", two), (two, "")] {
        let cluster = Cluster::start(Options::default());
        cluster.send("POST", "/access/users", &[("userid", "ann@pve")]);
        let main = |a: &str, b: &str| format!("{TWO}{}{}", acl("a", a, own), acl("b", b, other));
        let project = Project::of(&cluster, &main("PVEAuditor", "PVEVMUser"));
        project.ok(&["apply", "--auto-approve"]);
        project.write("main.tf", &main("PVEVMUser", "PVEAuditor"));
        project.ok(&["apply", "--auto-approve", "-parallelism=1"]);
        simulated::settled(&project);
        project.write("main.tf", &format!("{TWO}{}", acl("c", "PVEVMUser", other)));
        project.ok(&["apply", "--auto-approve", "-parallelism=1"]);
        simulated::settled(&project);
    }
}
