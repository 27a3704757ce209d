//! What is refused before anything happens, and how it is told.

mod common;

use common::{Project, TWO, text};

#[test]
fn a_syntax_error_names_file_line_and_source() {
    let project = Project::new("resource \"terraform_data\" \"a\" {\n  input = \n}\n");
    let said = project.fails(&["plan"]);
    assert!(said.contains("main.tf:2") && said.contains("input ="), "{said}");
}

#[test]
fn an_unknown_attribute_is_refused_with_what_may_have_been_meant() {
    let project = Project::new("resource \"terraform_data\" \"a\" {\n  imput = 1\n}\n");
    let said = project.fails(&["validate"]);
    assert!(said.contains("main.tf:2") && said.contains("Did you mean \"input\"?"), "{said}");
}

#[test]
fn a_wrong_type_names_the_variable_and_what_is_needed() {
    let project = Project::new("variable \"n\" {\n  type = number\n}\n");
    let said = project.fails(&["plan", "-var", "n=many"]);
    assert!(said.contains("variable \"n\"") && said.contains("number"), "{said}");
}

#[test]
fn a_missing_variable_is_named_with_ways_to_give_it() {
    let project = Project::new("variable \"node\" {\n  type = string\n}\n");
    let said = project.fails(&["apply", "-auto-approve"]);
    assert!(said.contains("No value for variable \"node\"") && said.contains("TF_VAR_node"), "{said}");
    assert!(!project.path().join(".pve/default/log.db").exists());
}

#[test]
fn an_environment_that_is_not_chosen_is_asked_for_by_the_names_of_those_there_are() {
    let project = Project::new("variable \"size\" {\n  type = number\n}\n");
    project.write("dev/terraform.tfvars", "size = 1\n");
    project.write("environments/prod/terraform.tfvars", "size = 9\n");
    let said = project.fails(&["plan"]);
    assert!(said.contains("No environment is chosen") && said.contains("dev, prod"), "{said}");
    project.ok(&["plan", "-e", "prod"]);
    project.ok(&["plan", "-var", "size=3"]);
}

#[test]
fn a_reference_cycle_names_everything_in_it() {
    let project = Project::new("locals {\n  a = local.b\n  b = local.a\n}\n");
    let said = project.fails(&["plan"]);
    assert!(
        said.contains("local.a -> local.b -> local.a") || said.contains("local.b -> local.a -> local.b"),
        "{said}"
    );
}

#[test]
fn two_guests_with_one_id_are_refused() {
    let vm = |name: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"{name}\" {{\n  node_name = \"pve\"\n  vm_id = 100\n}}\n"
        )
    };
    let project = Project::new(&format!("{}{}", vm("a"), vm("b")));
    let said = project.fails(&["validate"]);
    assert!(said.contains("vm 100") && said.contains("_vm.a") && said.contains("_vm.b"), "{said}");
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_named_and_nothing_is_made() {
    // The port is bound and closed again: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new(&format!(
        "provider \"proxmox\" {{\n  endpoint = \"https://127.0.0.1:{port}/\"\n  api_token = \"root@pam!t=x\"\n}}
         resource \"proxmox_virtual_environment_vm\" \"a\" {{\n  node_name = \"pve\"\n}}\n"
    ));
    let said = project.fails(&["apply", "-auto-approve"]);
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(project.state().is_empty());
}

#[test]
fn an_address_that_nothing_has_is_told_of() {
    let project = Project::new(TWO);
    for option in [
        "-target=terraform_data.c",
        "-target=module.a",
        "-exclude=terraform_data.a[0]",
        "-replace=terraform_data.c",
    ] {
        let output = project.run(&["plan", option]);
        let (name, address) = option.split_once('=').unwrap();
        let said = text(&output);
        assert!(output.status.success() && said.contains(&format!("{name} matches nothing")), "{said}");
        assert!(said.contains(&format!("the address {address}.")), "{said}");
    }
    for option in ["-target=terraform_data.a", "-exclude=terraform_data.b", "-replace=terraform_data.a"] {
        let said = text(&project.run(&["plan", option]));
        assert!(!said.contains("matches nothing"), "{option}");
        let is_partial = !option.starts_with("-replace");
        assert_eq!(said.contains("is about a part of the configuration"), is_partial, "{said}");
    }
}

#[test]
fn an_environment_is_named_like_a_folder_that_is_not_pves_own() {
    let project = Project::new(TWO);
    for name in ["../outside", "a/b", ".hidden", "modules", "key", "known_hosts", ""] {
        let said = project.fails(&["-e", name, "plan"]);
        assert!(said.contains("no name for an environment") && said.contains("Hint:"), "{name}: {said}");
    }
    project.write("eu-1.prod/terraform.tfvars", "");
    project.ok(&["-e", "eu-1.prod", "plan"]);
}

#[test]
fn a_time_to_wait_that_is_none_is_refused() {
    let project = Project::new(TWO);
    for time in ["18446744073709551615h", "99999999999999s", "soon", "-1s"] {
        let said = project.fails(&["apply", "-auto-approve", &format!("-lock-timeout={time}")]);
        assert!(said.contains("is no time") && said.contains("-lock-timeout=30s"), "{time}: {said}");
    }
    project.ok(&["apply", "-auto-approve", "-lock-timeout=2562047h"]);
}
