//! What constructs of the language mean in a plan and an apply, as a user sees it.

mod common;

use common::{Project, text};

#[test]
fn a_saved_plan_sees_the_files_that_were_there_when_it_was_made() {
    let main = r#"
resource "terraform_data" "x" {
  input = [
    join(",", fileset(path.module, "d/*.txt")),
    fileexists("${path.module}/later"),
    templatefile("${path.module}/t.tpl", { a = 1 }),
  ]
}
output "x" {
  value = terraform_data.x.output
}
"#;
    let project = Project::new(main);
    for (name, text) in [("d/a.txt", ""), ("d/b.txt", ""), ("t.tpl", "t${a}")] {
        project.write(name, text);
    }
    project.ok(&["plan", "-out", "saved"]);
    project.write("d/c.txt", "");
    project.write("later", "");
    project.write("t.tpl", "changed");
    project.ok(&["apply", "saved"]);
    let output = project.ok(&["output", "-json"]);
    let json: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(json["x"]["value"], serde_json::json!(["d/a.txt,d/b.txt", false, "t1"]));
}

#[test]
fn prevent_destroy_may_be_a_variable() {
    let main = r#"
variable "protect" {
  type = bool
}
resource "terraform_data" "x" {
  input            = "a"
  triggers_replace = var.protect
  lifecycle {
    prevent_destroy = var.protect
  }
}
"#;
    let project = Project::new(main);
    project.ok(&["apply", "-auto-approve", "-var", "protect=true"]);
    let said = project.fails(&["destroy", "-auto-approve", "-var", "protect=true"]);
    assert!(said.contains("terraform_data.x is protected"), "{said}");
    project.ok(&["destroy", "-auto-approve", "-var", "protect=false"]);
}

#[test]
fn checks_of_modules_warn_about_the_instance_they_fail_in() {
    let main = "module \"m\" {\n  source   = \"./m\"\n  for_each = toset([\"a\", \"b\"])\n  name     = each.key\n}\n";
    let module = r#"
variable "name" {}
check "good" {
  assert {
    condition     = var.name != "b"
    error_message = "Not ${var.name}."
  }
}
"#;
    let project = Project::new(main);
    project.write("m/main.tf", module);
    let planned = project.run(&["plan"]);
    assert!(planned.status.success(), "{}", text(&planned));
    let said = text(&planned);
    assert!(said.contains("Not b. (in module.m[\"b\"])"), "{said}");
    assert!(!said.contains("Not a."), "{said}");
}

#[test]
fn the_values_in_an_error_are_shown_unless_they_are_sensitive() {
    let main = r#"
variable "key" {
  default   = "s3cret"
  sensitive = true
}
locals {
  map  = { a = 1 }
  name = "b"
  x    = local.map[local.name]
  y    = local.map[var.key]
}
"#;
    let said = Project::new(main).fails(&["plan", "-simulate"]);
    assert!(said.contains("main.tf:9:"), "{said}");
    assert!(said.contains("local.name is \"b\""), "{said}");
    assert!(said.contains("var.key is sensitive"), "{said}");
    assert!(!said.contains("s3cret\n"), "{said}");
}
