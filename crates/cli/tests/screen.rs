//! How things look on the screen.

mod common;

use common::{Project, text};

const VM: &str = r#"
resource "proxmox_virtual_environment_vm" "web" {
  node_name = "pve"
  vm_id     = 100
  cpu {
    cores = 2
  }
}
"#;

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

#[test]
fn the_state_reads_as_a_configuration() {
    let project = Project::new(VM);
    project.ok(&["apply", "--simulate", "--auto-approve"]);
    let address = "proxmox_virtual_environment_vm.web";
    let shown = project.ok(&["state", "show", address]);
    let begin = format!("# {address}\nresource \"proxmox_virtual_environment_vm\" \"web\" {{\n");
    assert!(shown.starts_with(&begin) && shown.ends_with("\n}\n"), "{shown}");
    assert!(shown.contains("\n    cpu {\n"), "{shown}");
    assert!(!shown.contains("null") && !shown.contains("audio_device"), "{shown}");
    assert!(project.ok(&["show"]).starts_with(&shown));
    // What is shown is configuration in its canonical layout.
    let formatted = project.feed(&["fmt", "-"], &shown.replace("    ", "  "));
    assert!(formatted.status.success(), "{}", text(&formatted));
    project.ok(&["taint", address]);
    assert!(project.ok(&["state", "show", address]).starts_with(&format!("# {address} (tainted)\n")));
}

#[test]
fn times_on_the_screen_have_seconds_and_the_log_begins_with_the_result() {
    let project = Project::new("resource \"terraform_data\" \"a\" {}\n");
    project.ok(&["apply", "--auto-approve"]);
    let log = project.ok(&["log"]);
    let line = log.lines().find(|line| line.contains("terraform_data.a")).unwrap();
    assert!(line.ends_with(" create done: terraform_data.a"), "{line}");
    let time: String = line.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" ");
    let said = text(&project.run(&["replay", "--to", &time]));
    assert!(said.contains("The state after event") && said.contains("Z):\n"), "{said}");
    let events = project.json(&["log", "--json"]);
    let texts = events["events"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap());
    assert!(texts.into_iter().any(|text| text == "create terraform_data.a: done"), "{events}");
}

#[test]
fn help_offers_what_a_command_takes_and_then_what_all_take() {
    let project = Project::new("");
    let help = |words: &[&str]| project.ok(&[words, &["--help"]].concat());
    for (command, unused) in [
        ("destroy", &["--destroy", "--refresh-only", "--replace"][..]),
        ("refresh", &["--destroy", "--refresh-only", "--replace", "--refresh["]),
    ] {
        let said = help(&[command]);
        assert!(unused.iter().all(|option| !said.contains(option)), "{said}");
        let (own, of_all) = said.split_once("Options of every command:").unwrap();
        assert!(
            own.contains("--target") && of_all.contains("--chdir") && !of_all.contains("--target"),
            "{said}"
        );
    }
    assert!(help(&["plan"]).contains("--refresh-only"));
    for (command, example) in [("taint", "Example: pve taint "), ("untaint", "Example: pve untaint ")] {
        assert!(help(&[command]).contains(example), "{}", help(&[command]));
    }
    assert!(help(&[]).contains("Exit codes:") && help(&[]).contains("\n  130  "), "{}", help(&[]));
    assert_eq!(help(&["help"]), help(&[]));
    assert_eq!(project.ok(&["--version"]), project.ok(&["version"]));
}

#[test]
fn where_no_environment_is_chosen_those_there_are_are_named() {
    let project = Project::new("variable \"names\" {\n  type = set(string)\n}\n");
    project.write("dev/terraform.tfvars", "names = [\"a\"]\n");
    for words in [&["state", "list"][..], &["workspace", "list"], &["show"], &["output"], &["log"]] {
        let output = project.run(words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("There are: dev."), "{words:?}: {told}");
        let chosen = project.run(&[&["-e", "dev"], words].concat());
        assert!(!String::from_utf8_lossy(&chosen.stderr).contains("no environment"), "{}", text(&chosen));
    }
}

#[test]
fn the_console_names_variables_without_a_value_and_not_what_follows_from_them() {
    let project = Project::new(
        "variable \"names\" {\n  type = set(string)\n}\nresource \"terraform_data\" \"a\" {\n  for_each = var.names\n}\n",
    );
    project.write("dev/terraform.tfvars", "names = [\"a\"]\n");
    let output = project.feed(&["console"], "1 + 1\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("var.names") && told.contains("-e dev") && !told.contains("Error:"), "{told}");
}

#[test]
fn an_error_of_every_instance_is_told_once() {
    let project = Project::new(
        "resource \"terraform_data\" \"a\" {\n  count = 3\n  lifecycle {\n    ignore_changes = [inputs]\n  }\n}\n",
    );
    for command in ["plan", "validate"] {
        let said = project.fails(&[command]);
        assert_eq!(said.matches("Error: ").count(), 1, "{said}");
    }
}
