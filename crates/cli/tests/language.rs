//! What constructs of the language mean in a plan and an apply, as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/binary.rs"]
mod binary;

use std::path::Path;
use std::process::Output;

use binary::{pve, text};

struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        files.iter().for_each(|(name, text)| project.write(name, text));
        project
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, words: &[&str]) -> Output {
        pve(self.path(), words).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    }

    fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        text(&output)
    }
}

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
    let project = Project::new(&[("main.tf", main), ("d/a.txt", ""), ("d/b.txt", ""), ("t.tpl", "t${a}")]);
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
    let project = Project::new(&[("main.tf", main)]);
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
    let project = Project::new(&[("main.tf", main), ("m/main.tf", module)]);
    let said = project.ok(&["plan"]);
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
    let said = Project::new(&[("main.tf", main)]).fails(&["plan", "-simulate"]);
    assert!(said.contains("main.tf:9:"), "{said}");
    assert!(said.contains("local.name is \"b\""), "{said}");
    assert!(said.contains("var.key is sensitive"), "{said}");
    assert!(!said.contains("s3cret\n"), "{said}");
}
