//! `pve validate`: what is wrong for any values of variables, and which kinds pve does not have.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod common;

use common::Project;

/// Whether it is valid, and the severity and summary of each diagnostic.
fn validate(project: &Project, words: &[&str]) -> (bool, Vec<String>) {
    let output = project.run(&[&["-json", "validate"], words].concat());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let found = json["diagnostics"].as_array().unwrap().iter();
    let found = found.map(|one| format!("{}: {}", text(&one["severity"]), text(&one["summary"]))).collect();
    let valid = json["valid"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!valid)));
    (valid, found)
}

const ANY_VALUES: &str = r#"
variable "guests" {
  type = map(object({ size = number, tags = optional(list(string), []) }))
}
variable "copies" {
  type    = number
  default = -1
  validation {
    condition     = var.copies > 0
    error_message = "It must be positive."
  }
}
variable "key" {
  default = "/no/such/file"
}
resource "terraform_data" "guest" {
  for_each = { for name, guest in var.guests : name => guest if guest.size > 1 }
  input    = "${each.key}: ${join(",", each.value.tags)}"
}
resource "terraform_data" "counted" {
  count = var.copies
  input = [count.index, file(var.key)]
}
module "each" {
  source   = "./child"
  for_each = toset(keys(var.guests))
  name     = each.key
}
output "all" {
  value = concat([for name, guest in terraform_data.guest : guest.output], [module.each["a"].name])
}
"#;

#[test]
fn a_configuration_is_checked_for_any_values() {
    let project = Project::new(ANY_VALUES);
    project.write("child/main.tf", "variable \"name\" {}\noutput \"name\" {\n  value = upper(var.name)\n}\n");
    assert_eq!(validate(&project, &[]), (true, vec![]));
    let (valid, found) = validate(&project, &["-var", "copies=-1"]);
    assert!(!valid && found == ["error: A condition is not met"], "{found:?}");
}

#[test]
fn faults_show_for_unknown_values_too() {
    let project = Project::new(
        "variable \"n\" {}\nresource \"terraform_data\" \"a\" {\n  for_each = var.n\n  input = each.value.nmae + length([1)\n}\n",
    );
    assert!(!validate(&project, &[]).0);
    project.write("main.tf", "variable \"n\" {}\nresource \"terraform_data\" \"a\" {\n  for_each = var.n\n  inputt = each.key\n}\n");
    let (valid, found) = validate(&project, &[]);
    assert!(!valid && found == ["error: Unsupported argument"], "{found:?}");
}

#[test]
fn files_of_variables_must_have_values_of_the_right_types() {
    let project = Project::new("variable \"n\" {\n  type = number\n}\n");
    project.write("terraform.tfvars", "n = \"many\"\n");
    assert!(!validate(&project, &[]).0);
    project.write("terraform.tfvars", "n = 3\n");
    assert_eq!(validate(&project, &[]), (true, vec![]));
}

#[test]
fn kinds_that_pve_lacks_are_told_apart() {
    let project = Project::new(
        r#"
terraform {
  required_providers {
    other = { source = "telmate/proxmox" }
  }
}
data "terraform_remote_state" "network" {
  backend = "local"
}
resource "aws_instance" "a" {
  for_each = toset(["x", "y"])
  ami      = each.key
}
resource "proxmox_vm_qemu" "b" {
  provider = other
}
"#,
    );
    let warnings = [
        "warning: pve does not support data sources of kind \"terraform_remote_state\" yet",
        "warning: pve has no provider \"aws\"",
        "warning: pve has no provider \"telmate/proxmox\"",
    ];
    let (valid, mut found) = validate(&project, &[]);
    found.sort();
    assert!(valid, "{found:?}");
    assert_eq!(found, warnings);
    let plan = project.run(&["plan", "-simulate"]);
    assert!(String::from_utf8_lossy(&plan.stderr).contains("pve has no provider \"aws\""), "{plan:?}");
    assert_eq!(plan.status.code(), Some(1));
    project.write("main.tf", "resource \"proxmox_virtual_environment_wm\" \"a\" {\n}\n");
    let output = project.run(&["validate"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("There is no resource of kind \"proxmox_virtual_environment_wm\""), "{text}");
    assert!(text.contains("Did you mean \"proxmox_virtual_environment_vm\"?"), "{text}");
}

#[test]
fn more_instances_than_fit_the_memory_are_an_error() {
    let project = Project::new("resource \"terraform_data\" \"a\" {\n  count = 1e18\n}\n");
    assert_eq!(validate(&project, &[]), (false, vec!["error: There are too many instances".to_string()]));
}
