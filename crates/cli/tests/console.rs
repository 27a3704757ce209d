//! `pve console` against what Terraform 1.11.4 prints for the same expressions in the same configuration.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod common;

use common::{Project, text};

/// Of each expression the exit code and, where that is 0, what is printed.
const ANSWERS: &str = include_str!("console/answers.jsonl");
/// The same after the configuration was applied.
const ANSWERS_AFTER_APPLY: &str = include_str!("console/answers-after-apply.jsonl");

fn project() -> Project {
    let project = Project::new(include_str!("console/main.tf"));
    project.write("child/main.tf", include_str!("console/child/main.tf"));
    project
}

/// The expressions whose answers differ, with both answers.
fn differences(project: &Project, answers: &str) -> Vec<String> {
    let difference = |line: &str| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let expression = case["expression"].as_str().unwrap();
        let output = project.feed(&["console"], &format!("{expression}\n"));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let same_code = output.status.code().map(i64::from) == case["code"].as_i64();
        let same_text = case["output"].as_str().is_none_or(|wanted| wanted == printed);
        (!same_code || !same_text).then(|| format!("{case}\n    gave {printed:?} {}", text(&output)))
    };
    answers.lines().filter_map(difference).collect()
}

#[test]
fn expressions_print_as_in_terraform() {
    assert!(ANSWERS.lines().count() > 250);
    let differ = differences(&project(), ANSWERS);
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn values_in_the_state_print_as_in_terraform() {
    let project = project();
    project.ok(&["apply", "-auto-approve"]);
    let differ = differences(&project, ANSWERS_AFTER_APPLY);
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

fn prints(project: &Project, input: &str) -> String {
    let output = project.feed(&["console"], input);
    assert!(output.status.success(), "{input:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_last_result_is_printed_and_exit_prints_none() {
    let project = project();
    assert_eq!(prints(&project, "1\n2"), "2\n");
    assert_eq!(prints(&project, "1\n\n"), "\n");
    assert_eq!(prints(&project, "1\nexit\n2"), "");
}

#[test]
fn an_open_bracket_continues_on_the_next_line() {
    let project = project();
    assert_eq!(prints(&project, "length([\n  1,\n  2,\n])\n"), "2\n");
    assert_eq!(prints(&project, "upper(<<EOT\na\nEOT\n)\n"), "<<EOT\nA\n\nEOT\n");
    let output = project.feed(&["console"], "[1,\n");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[test]
fn the_first_expression_that_fails_is_shown_and_ends_it() {
    let output = project().feed(&["console"], "1\nvar.names\n2\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = text(&output);
    assert!(said.contains("<console-input>:1") && said.contains("Did you mean var.name?"), "{said}");
}

#[test]
fn variables_come_from_options_and_environments_and_a_missing_one_is_unknown() {
    let project = Project::new("variable \"n\" {\n  type = number\n}\n");
    assert_eq!(prints(&project, "var.n + 1"), "(known after apply)\n");
    assert_eq!(prints(&project, "type(var.n)"), "number\n");
    project.write("prod/terraform.tfvars", "n = 5\n");
    let output = project.feed(&["console", "-e", "prod"], "[var.n, terraform.workspace]");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[\n  5,\n  \"prod\",\n]\n");
    let output = project.feed(&["console", "-var", "n=7"], "var.n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "7\n");
}

#[test]
fn json_has_the_type_and_keeps_secrets() {
    let project = project();
    let output = project.feed(&["console", "--json"], "local.mixed");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["value"], serde_json::json!({"hidden": null, "open": 1}));
    assert_eq!(printed["sensitive"], serde_json::json!({"hidden": true}));
    assert_eq!(printed["type"], serde_json::json!(["object", {"hidden": "string", "open": "number"}]));
}

#[test]
fn it_works_while_another_run_writes_and_makes_no_log() {
    let project = project();
    assert_eq!(prints(&project, "1"), "1\n");
    assert!(!project.path().join(".pve").exists());
    project.ok(&["apply", "-auto-approve"]);
    let lock =
        std::fs::File::options().write(true).open(project.path().join(".pve/default/log.lock")).unwrap();
    lock.try_lock().unwrap();
    assert_eq!(prints(&project, "terraform_data.one.output"), "\"in\"\n");
}
