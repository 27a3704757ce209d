//! State files of Terraform: noticed, taken over, compared with the cluster.

mod common;

use common::{Project, text};

const CONFIGURATION: &str = r#"
variable "s" {
  default   = "hunter2"
  sensitive = true
}
resource "terraform_data" "a" {
  for_each = toset(["x", "y z"])
  input    = { secret = var.s, key = each.key }
}
module "m" {
  count  = 2
  source = "./m"
  input  = terraform_data.a["x"].id
}
"#;

const MODULE: &str = r#"
variable "input" {}
resource "terraform_data" "b" {
  input            = var.input
  triggers_replace = [1, "a"]
}
"#;

/// What Terraform 1.11 wrote for that configuration, one instance tainted, with an object of a foreign provider added.
fn state_file() -> String {
    let a = |key: &str| {
        let input = format!(
            r#"{{"value": {{"key": "{key}", "secret": "hunter2"}}, "type": ["object", {{"key": "string", "secret": "string"}}]}}"#
        );
        format!(
            r#"{{"index_key": "{key}", "schema_version": 0,
                "attributes": {{"id": "id {key}", "input": {input}, "output": {input}, "triggers_replace": null}},
                "sensitive_attributes": [[{{"type": "get_attr", "value": "input"}}, {{"type": "get_attr", "value": "secret"}}]]}}"#
        )
    };
    let b = |index: u8, status: &str| {
        format!(
            r#"{{"module": "module.m[{index}]", "mode": "managed", "type": "terraform_data", "name": "b",
                "provider": "provider[\"terraform.io/builtin/terraform\"]",
                "instances": [{{{status} "schema_version": 0,
                    "attributes": {{"id": "b{index}", "input": {{"value": "id x", "type": "string"}},
                        "output": {{"value": "id x", "type": "string"}},
                        "triggers_replace": {{"value": [1, "a"], "type": ["tuple", ["number", "string"]]}}}},
                    "sensitive_attributes": [], "dependencies": ["terraform_data.a"]}}]}}"#
        )
    };
    format!(
        r#"{{"version": 4, "terraform_version": "1.11.4", "serial": 6, "lineage": "e901978d-fa79-e473-a724-ca0254588e02",
            "outputs": {{}}, "check_results": null, "resources": [
            {{"mode": "managed", "type": "terraform_data", "name": "a",
                "provider": "provider[\"terraform.io/builtin/terraform\"]", "instances": [{}, {}]}},
            {}, {},
            {{"mode": "managed", "type": "random_password", "name": "p", "instances": [{{"attributes": {{"id": "none"}}}}],
                "provider": "provider[\"registry.terraform.io/hashicorp/random\"]"}},
            {{"mode": "data", "type": "random_password", "name": "d", "instances": [],
                "provider": "provider[\"registry.terraform.io/hashicorp/random\"]"}}]}}"#,
        a("x"),
        a("y z"),
        b(0, ""),
        b(1, r#""status": "tainted","#)
    )
}

#[test]
fn a_state_of_terraform_is_not_planned_anew_but_taken_over() {
    let project = Project::new(CONFIGURATION);
    project.write("m/main.tf", MODULE);
    project.write("terraform.tfstate", &state_file());
    for command in [&["plan"][..], &["apply", "-auto-approve"]] {
        let said = project.fails(command);
        assert!(said.contains("4 objects that Terraform manages") && said.contains("state adopt"), "{said}");
    }
    assert!(project.ok(&["state", "adopt", "-dry-run", "terraform.tfstate"]).contains("Would adopt"));
    assert!(project.state().is_empty());
    let said = project.ok(&["state", "adopt", "terraform.tfstate"]);
    assert!(said.contains("Left out random_password.p"), "{said}");
    let addresses = [
        "module.m[0].terraform_data.b",
        "module.m[1].terraform_data.b",
        "terraform_data.a[\"x\"]",
        "terraform_data.a[\"y z\"]",
    ];
    let mut known = project.state();
    known.sort();
    assert_eq!(known, addresses);
    assert!(!project.ok(&["state", "show", "terraform_data.a[\"x\"]"]).contains("hunter2"));
    let plan = project.ok(&["plan"]);
    assert!(
        plan.contains("Plan: 1 to add, 0 to change, 1 to destroy.") && plan.contains("tainted"),
        "{plan}"
    );
    let again = project.fails(&["state", "adopt", "terraform.tfstate"]);
    assert!(again.contains("is managed already"), "{again}");
}

#[test]
fn what_is_no_state_file_of_this_version_is_refused() {
    let project = Project::new("");
    for (content, expected) in [
        ("resource", "is no state file"),
        (r#"{"version": 3, "resources": []}"#, "version 3"),
        (r#"{"version": 4, "encrypted_data": "x"}"#, "is encrypted"),
    ] {
        project.write("old.tfstate", content);
        let said = project.fails(&["state", "adopt", "old.tfstate"]);
        assert!(said.contains(expected) && said.contains("Hint:"), "{said}");
    }
    assert!(!project.path().join(".pve/default/log.db").exists());
}

#[test]
fn a_state_in_a_place_of_terraform_cloud_is_no_empty_state() {
    let project = Project::new("terraform {\n  cloud {\n    organization = \"x\"\n  }\n}\n");
    let said = text(&project.run(&["plan"]));
    assert!(said.contains("keeps no log in a backend \"cloud\""), "{said}");
}

#[test]
fn the_log_is_beside_the_state_that_a_local_backend_names() {
    let block = "terraform {\n  backend \"local\" {\n    path = \"states/infra.tfstate\"\n    workspace_dir = \"states/others\"\n  }\n}\n";
    let project = Project::new(CONFIGURATION);
    project.write("m/main.tf", MODULE);
    project.write("backend.tf", block);
    project.write("states/infra.tfstate", &state_file());
    for command in [&["plan"][..], &["apply", "-auto-approve"]] {
        let said = project.fails(command);
        assert!(said.contains("states/infra.tfstate has 4 objects that Terraform manages"), "{said}");
        assert!(said.contains("`pve state adopt`"), "{said}");
    }
    project.ok(&["state", "adopt"]);
    assert_eq!(project.state().len(), 4);
    assert!(project.path().join("states/infra.tfstate.pve/log.db").exists());
    project.write("prod/terraform.tfvars", "");
    project.ok(&["-e", "prod", "apply", "-auto-approve"]);
    assert!(project.path().join("states/others/prod/terraform.tfstate.pve/log.db").exists());
    let inside = |name: &str| project.path().join(".pve").join(name).join("log.db").exists();
    assert!(!inside("default") && !inside("prod"));

    // Another clone of the project finds it there, with the key.
    let log = project.path().join("states/infra.tfstate").display().to_string();
    let other = Project::new(CONFIGURATION);
    other.write("m/main.tf", MODULE);
    other.write("backend.tf", &block.replace("states/infra.tfstate", &log));
    other.write(".pve/key", &std::fs::read_to_string(project.path().join(".pve/key")).unwrap());
    assert_eq!(other.state().len(), 4);

    std::fs::remove_file(project.path().join("backend.tf")).unwrap();
    let refused = project.fails(&["plan"]);
    assert!(refused.contains("states/infra.tfstate.pve/log.db") && refused.contains("-migrate"), "{refused}");
    let moved = project.ok(&["init", "-migrate"]);
    assert!(moved.contains("from states/infra.tfstate.pve/log.db to .pve/default/log.db"), "{moved}");
    assert_eq!(project.state().len(), 4);
    assert!(inside("default") && inside("prod"));
}

#[test]
fn arguments_that_a_local_backend_does_not_have_are_refused() {
    for (argument, expected) in [("pth = \"x\"", "no argument pth"), ("path = [1]", "path must be a path")] {
        let project =
            Project::new(&format!("terraform {{\n  backend \"local\" {{\n    {argument}\n  }}\n}}\n"));
        let said = project.fails(&["plan"]);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_state_that_cannot_be_read_is_not_passed_over() {
    let project = Project::new(CONFIGURATION);
    project.write("m/main.tf", MODULE);
    project.write("terraform.tfstate", r#"{"version": 4, "encrypted_data": "x"}"#);
    assert!(project.fails(&["plan"]).contains("terraform.tfstate is encrypted"));
    project.write("terraform.tfstate", "");
    assert!(project.ok(&["plan"]).contains("to add"));
}

#[test]
fn what_terraform_has_beside_a_log_that_has_begun_is_told_once() {
    let project = Project::new("resource \"terraform_data\" \"own\" {}\n");
    project.ok(&["apply", "-auto-approve"]);
    project.write("terraform.tfstate", &state_file());
    let plan = || text(&project.run(&["plan"]));
    let told = plan();
    assert!(
        told.contains("Note: terraform.tfstate has terraform_data.a[\"x\"] and 3 more, which this log does"),
        "{told}"
    );
    assert!(!plan().contains("terraform.tfstate"), "{}", plan());
    project.write("terraform.tfstate", &state_file().replace("\"name\": \"b\"", "\"name\": \"c\""));
    let told = text(&project.run(&["apply", "-auto-approve"]));
    assert!(told.contains("terraform.tfstate has module.m[0].terraform_data.c and 1 more"), "{told}");
    // What was taken over is known.
    let adopted = Project::new(CONFIGURATION);
    adopted.write("m/main.tf", MODULE);
    adopted.write("terraform.tfstate", &state_file());
    adopted.ok(&["state", "adopt"]);
    let told = text(&adopted.run(&["plan"]));
    assert!(!told.contains("which this log does not manage"), "{told}");
}
