//! How things look on the screen.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, text};

#[test]
fn attributes_stand_in_columns_of_those_that_are_shown() {
    let project = Project::new("resource \"terraform_data\" \"a\" {\n  input = 1\n}\n");
    project.ok(&["apply", "--auto-approve"]);
    project.write("main.tf", "resource \"terraform_data\" \"a\" {\n  input = 2\n}\n");
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("      ~ input  = 1 -> 2\n"), "{plan}");
    assert!(plan.contains("      ~ output = 1 -> (known after apply)\n"), "{plan}");
}

#[test]
fn errors_of_all_kinds_have_a_title_and_a_hint_alike() {
    let project = Project::new("resource \"terraform_data\" \"a\" {\n  inputs = 1\n}\n");
    let diagnosed = project.fails(&["plan"]);
    assert!(diagnosed.starts_with("Error: ") && diagnosed.contains(" --> main.tf:2:3\n"), "{diagnosed}");
    let plain = project.fails(&["state", "show", "terraform_data.b"]);
    assert!(plain.starts_with("Error: ") && plain.contains("\nHint: "), "{plain}");
    for said in [diagnosed, plain] {
        assert!(!said.contains("help:") && !said.contains("error:"), "{said}");
    }
}

#[test]
fn an_error_that_many_elements_have_in_common_is_told_once() {
    let project = Project::new("output \"a\" {\n  value = [for x in [1, 2, 3] : upper(x, \"b\")]\n}\n");
    let output = project.feed(&["console"], "1\n");
    let said = text(&output);
    assert_eq!(said.matches("Error: ").count(), 1, "{said}");
    let found = project.run(&["validate", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["error_count"], 1, "{found}");
    assert_eq!(found["diagnostics"].as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn a_fault_of_the_file_system_names_the_path_and_what_to_do() {
    let project = Project::new("resource \"terraform_data\" \"a\" {}\n");
    project.write(".pve", "a file where a folder must be\n");
    for words in [&["plan", "--simulate"][..], &["apply", "-auto-approve"], &["plan", "-out", "none/a.plan"]]
    {
        let said = project.fails(words);
        assert!(said.contains(".pve") && said.contains("Hint: A file stands where"), "{said}");
    }
    std::fs::remove_file(project.path().join(".pve")).unwrap();
    let said = project.fails(&["plan", "-out", "none/a.plan"]);
    assert!(
        said.contains("none/a.plan cannot be written") && said.contains("Hint: Check the path"),
        "{said}"
    );
    let said = project.fails(&["show", "none.plan"]);
    assert!(said.contains("none.plan cannot be read") && said.contains("Hint: Check the path"), "{said}");
}
