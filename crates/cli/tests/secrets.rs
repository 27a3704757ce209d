//! What is said of a configuration repeats no secret of it, however it is written and wherever it comes from.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Project, text};

/// An account with this argument, and what else there is.
fn account(password: &str, rest: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_user\" \"a\" {{\n  user_id  = \"a@pve\"\n  password = {password}\n}}\n{rest}"
    )
}

/// What is said of it, in words and as JSON, which has the place and not the secret.
fn told(project: &Project, words: &[&str], place: &str) {
    let said = project.fails(words);
    assert!(said.contains(place) && !said.contains("hunter2"), "{said}");
    let output = project.run(&[words, &["--json"]].concat());
    let said = text(&output);
    assert!(output.status.code() == Some(1) && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_wrong_value_of_a_sensitive_argument_is_pointed_at_and_not_shown() {
    for (password, place) in [
        ("[\"hunter2-list\"]", "main.tf:3:14"),
        ("[\n    \"hunter2-list\",\n  ]", "main.tf:3:14"),
        ("base64decode(\"hunter2-text\")", "main.tf:3:"),
        ("\"hunter2-${var.absent}\"", "main.tf:3:"),
        ("tonumber(<<-EOT\n    hunter2-first\n    hunter2-second\n  EOT\n  )", "main.tf:3:"),
        ("jsondecode(<<EOT\n{\"a\": \"hunter2-${path.root}\"\nEOT\n)", "main.tf:3:"),
        ("\"hunter2", "main.tf:3:"),
    ] {
        told(&Project::new(&account(password, "")), &["validate"], place);
    }
}

#[test]
fn a_secret_is_not_shown_where_it_comes_from_either() {
    let local = "locals {\n  users = {\n    bob = { name = tolist(\"bob\"), password = tonumber(\"hunter2-local\") }\n  }\n}\n";
    told(&Project::new(&account("local.users.bob.password", local)), &["validate"], "main.tf:7:");
    told(&Project::new(&account("local.users[\"bob\"][\"password\"]", local)), &["validate"], "main.tf:7:");
    let looped = "locals {\n  all = [{ secret = tonumber(\"hunter2-loop\") }]\n}\n";
    told(
        &Project::new(&account("[for one in local.all : one.secret][0]", looped)),
        &["validate"],
        "main.tf:6:",
    );
    let variable = "variable \"word\" {\n  type      = number\n  default   = \"hunter2-default\"\n  sensitive = true\n}\n";
    told(&Project::new(variable), &["validate"], "main.tf:3:");
}

#[test]
fn a_secret_that_a_module_is_given_is_not_shown_in_the_call() {
    let project =
        Project::new("module \"m\" {\n  source = \"./m\"\n  word   = tonumber(\"hunter2-argument\")\n}\n");
    project.write("m/main.tf", &account("var.word", "variable \"word\" {}\n"));
    told(&project, &["validate"], "main.tf:3:");
}

#[test]
fn values_of_secret_variables_are_not_shown_in_files_and_options() {
    let variables = "variable \"word\" {\n  type      = list(number)\n  sensitive = true\n}\n";
    let project = Project::new(variables);
    told(&project, &["plan", "-var", "word=[\"hunter2-"], "<-var word>:1");
    project.write("a.auto.tfvars", "word = [\"hunter2-file\"]\n");
    told(&project, &["plan"], "a.auto.tfvars:1:");
    project.write("a.auto.tfvars", "word = \"hunter2-open\n");
    told(&project, &["plan"], "a.auto.tfvars:1:");
    // What becomes a password is as secret as one that is called so.
    let project = Project::new(&account("var.word", "variable \"word\" {\n  type = string\n}\n"));
    project.write("a.auto.tfvars", "word = [\"hunter2-file\"]\n");
    told(&project, &["plan"], "a.auto.tfvars:1:");
}

#[test]
fn a_line_without_a_secret_is_shown() {
    for password in ["var.absent", "tolist(local.word)"] {
        let project = Project::new(&account(password, "locals {\n  word = \"hunter2-local\"\n}\n"));
        let said = project.fails(&["validate"]);
        assert!(said.contains(&format!("password = {password}")) && !said.contains("hunter2"), "{said}");
    }
}
