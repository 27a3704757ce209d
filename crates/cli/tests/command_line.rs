//! The binary as a user runs it, on configurations that need no cluster: what it says, what it changes, how it ends.

mod common;

use common::{Project, TWO, text};

#[test]
fn a_second_plan_has_no_changes_and_the_log_tells_what_was_done() {
    let project = Project::new(TWO);
    assert!(project.ok(&["plan"]).contains("Plan: 2 to add, 0 to change, 0 to destroy."));
    assert!(project.ok(&["apply", "-auto-approve"]).contains("Done: 2 added, 0 changed, 0 destroyed."));
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert_eq!(project.run(&["plan", "-detailed-exitcode"]).status.code(), Some(0));
    assert_eq!(project.state(), ["terraform_data.a", "terraform_data.b"]);
    assert_eq!(project.ok(&["output", "-raw", "a"]), "x");
    let log = project.ok(&["log"]);
    assert!(
        log.contains("create done: terraform_data.a") && log.contains("run finished: succeeded"),
        "{log}"
    );
    assert!(project.ok(&["log", "verify"]).contains("none changed"));
}

/// What Terraform 1.11 does with the same two steps.
#[test]
fn a_replacement_takes_what_is_written_of_an_ignored_attribute() {
    let of = |version: &str| {
        format!(
            "resource \"terraform_data\" \"a\" {{\n  input = \"{version}\"\n  triggers_replace = \"{version}\"\n  \
             lifecycle {{\n    ignore_changes = [input]\n  }}\n}}\noutput \"a\" {{\n  value = \
             terraform_data.a.output\n}}\n"
        )
    };
    let project = Project::new(&of("1"));
    project.ok(&["apply", "-auto-approve"]);
    project.write("main.tf", &of("1").replace("input = \"1\"", "input = \"2\""));
    assert!(project.ok(&["plan"]).contains("No changes."));
    project.write("main.tf", &of("3"));
    project.ok(&["apply", "-auto-approve"]);
    assert_eq!(project.ok(&["output", "-raw", "a"]), "3");
}

#[test]
fn the_log_names_what_an_update_changed_and_can_be_asked_about_a_resource() {
    let project = Project::new(TWO);
    project.ok(&["apply", "-auto-approve"]);
    project.write("main.tf", &TWO.replace("\"x\"", "\"y\""));
    project.ok(&["apply", "-auto-approve"]);
    let log = project.ok(&["log", "--address", "terraform_data.a"]);
    let said: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("terraform_data.")).map(|(_, said)| said).collect();
    assert_eq!(said, ["a", "a: input, output"], "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_could_not_be_written_is_a_failure() {
    let project = Project::new(TWO);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = project.command(&["plan"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("the output could not be written"), "{}", text(&output));
}

#[test]
fn replay_shows_the_state_after_an_earlier_event() {
    let project = Project::new(TWO);
    project.ok(&["apply", "-auto-approve"]);
    let last = project.json(&["log", "--json"])["events"].as_array().unwrap().len();
    project.write("main.tf", "");
    project.ok(&["apply", "-auto-approve"]);
    assert!(project.state().is_empty());
    let then = project.ok(&["replay", "--to", &last.to_string(), "--json"]);
    assert!(then.contains("terraform_data.a") && then.contains("terraform_data.b"), "{then}");
    assert!(project.fails(&["replay", "--to", "9999"]).contains("there is no event 9999"));
}

#[test]
fn a_folder_without_configuration_is_not_a_plan_to_destroy_everything() {
    let project = Project::new(TWO);
    project.ok(&["apply", "-auto-approve"]);
    std::fs::remove_file(project.path().join("main.tf")).unwrap();
    let said = project.fails(&["apply", "-auto-approve"]);
    assert!(said.contains("no configuration files") && said.contains("Hint:"), "{said}");
    assert_eq!(project.state().len(), 2);
    project.ok(&["destroy", "-auto-approve"]);
}

#[test]
fn a_log_of_a_newer_version_is_refused() {
    let project = Project::new(TWO);
    project.ok(&["apply", "-auto-approve"]);
    let path = project.path().join(".pve/default/log.db");
    // The format stands at offset 60 of a SQLite file (`user_version`).
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let said = project.fails(&["plan"]);
    assert!(said.contains("has format 99") && said.contains("Update pve"), "{said}");
}

#[test]
fn a_lost_key_is_asked_for_and_not_replaced() {
    let project = Project::new("resource \"terraform_data\" \"a\" {\n  input = 1\n}\n");
    assert!(project.run(&["apply", "-auto-approve"]).status.success());
    std::fs::create_dir(project.path().join("other")).unwrap();
    project.write("other/terraform.tfvars", "");
    let key = project.path().join(".pve/key");
    let saved = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    for words in [&["plan"][..], &["apply", "-auto-approve"], &["log"], &["plan", "-e", "other", "-out", "p"]]
    {
        let refused = project.run(words);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains("is gone"), "{words:?}: {text}");
        assert!(!key.exists(), "{words:?} made a key that opens nothing");
    }
    std::fs::write(&key, saved).unwrap();
    assert!(project.run(&["plan"]).status.success());
}

#[test]
fn a_second_apply_is_refused_while_one_runs() {
    let project = Project::new(TWO);
    project.ok(&["apply", "-auto-approve"]);
    let lock =
        std::fs::File::options().write(true).open(project.path().join(".pve/default/log.lock")).unwrap();
    lock.try_lock().unwrap();
    project.write("main.tf", "");
    assert!(project.fails(&["apply", "-auto-approve"]).contains("another run works on this environment"));
    assert_eq!(project.state().len(), 2);
    drop(lock);
    project.ok(&["apply", "-auto-approve"]);
    assert!(project.state().is_empty());
}

#[test]
fn destroy_refuses_what_is_protected_and_can_leave_it_with_what_it_needs() {
    let project = Project::new(
        r#"
        resource "terraform_data" "needed" {}
        resource "terraform_data" "kept" {
          input = terraform_data.needed.id
          lifecycle {
            prevent_destroy = true
          }
        }
        resource "terraform_data" "other" {}
        output "kept" {
          value = terraform_data.kept.id
        }
        output "other" {
          value = terraform_data.other.id
        }
        "#,
    );
    project.ok(&["apply", "-auto-approve"]);
    let kept = project.ok(&["output", "-raw", "kept"]);
    assert!(project.fails(&["destroy", "-auto-approve"]).contains("terraform_data.kept is protected"));
    assert_eq!(project.state().len(), 3);
    project.ok(&["destroy", "-auto-approve", "-keep-protected"]);
    assert_eq!(project.state(), ["terraform_data.kept", "terraform_data.needed"]);
    assert_eq!(project.ok(&["output", "-raw", "kept"]), kept);
    assert!(project.fails(&["output", "-raw", "other"]).contains("other"));
}

#[test]
fn what_is_protected_stays_so_when_its_module_instance_is_gone() {
    let of = |keys: &str| {
        format!(
            "module \"m\" {{\n  source   = \"./m\"\n  for_each = toset([{keys}])\n  keep     = true\n}}\n"
        )
    };
    for protection in ["true", "var.keep"] {
        let project = Project::new(&of("\"a\", \"b\""));
        let module = "variable \"keep\" {}\nresource \"terraform_data\" \"t\" {\n  lifecycle {\n    prevent_destroy = \
                      PROTECTION\n  }\n}\n";
        project.write("m/main.tf", &module.replace("PROTECTION", protection));
        project.ok(&["apply", "-auto-approve"]);
        project.write("main.tf", &of("\"a\""));
        let said = project.fails(&["apply", "-auto-approve"]);
        assert!(said.contains("module.m[\"b\"].terraform_data.t is protected"), "{said}");
        assert_eq!(project.state().len(), 2);
        project.write("m/main.tf", &module.replace("PROTECTION", "false"));
        project.ok(&["apply", "-auto-approve"]);
        assert_eq!(project.state().len(), 1);
    }
}

#[test]
fn init_scaffolds_a_project_that_is_valid_in_every_environment() {
    let project = Project::new("");
    project.ok(&["init", "infra"]);
    for environment in ["dev", "staging", "prod"] {
        let said = project.ok(&["-C", "infra", "validate", "-e", environment]);
        assert!(said.contains("valid"), "{environment}: {said}");
    }
    assert!(project.fails(&["init", "infra"]).contains("is not empty"));
    assert!(project.fails(&["-C", "infra", "validate", "-e", "nowhere"]).contains("no such environment"));
}

#[test]
fn an_apply_prints_nothing_but_json_when_asked() {
    let project = Project::new(TWO);
    let said = project.ok(&["apply", "-auto-approve", "-json"]);
    let documents: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 2, "{said}");
    assert_eq!(documents[0]["format_version"], "1.2");
    assert_eq!((&documents[1]["added"], &documents[1]["complete"]), (&2.into(), &true.into()));
}

#[cfg(unix)]
#[test]
fn an_interrupted_apply_finishes_what_runs_and_starts_nothing_more() {
    use std::io::{BufRead as _, BufReader, Read as _};
    for signal in ["INT", "TERM", "HUP"] {
        let project = Project::new(
            r#"
            resource "terraform_data" "first" {
              provisioner "local-exec" {
                command = "touch begun; until [ -e go ]; do read -t 1 nothing < /dev/null || true; done"
              }
            }
            resource "terraform_data" "second" {
              depends_on = [terraform_data.first]
            }
            "#,
        );
        let mut run = project.command(&["apply", "-auto-approve"]);
        let mut run =
            run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(run.stderr.take().unwrap());
        let mut until = |mark: &str| {
            let mut line = String::new();
            while !line.contains(mark) {
                line.clear();
                assert!(stderr.read_line(&mut line).unwrap() > 0, "{signal}: it ended before {mark:?}");
            }
        };
        until("running: touch begun");
        let words = [format!("-{signal}"), run.id().to_string()];
        assert!(std::process::Command::new("kill").args(words).status().unwrap().success());
        until("Stopping");
        project.write("go", "");
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(130), "{signal}: {rest}");
        assert_eq!(project.state(), ["terraform_data.first"], "{signal}: {rest}");
        project.ok(&["apply", "-auto-approve"]);
        assert_eq!(project.state().len(), 2);
    }
}

#[test]
fn help_fits_eighty_columns_where_there_is_no_terminal() {
    let project = Project::new("");
    for words in [&["--help"][..], &["plan", "--help"], &["import", "--help"], &["state", "adopt", "--help"]]
    {
        let help = project.ok(words);
        let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 80 && help.lines().count() > 10, "{longest} {help}");
    }
}

/// A file of an older build is sealed with the project's key and has not what this one needs.
#[test]
fn a_simulated_cluster_of_another_version_begins_anew_and_what_the_log_knows_is_planned_again() {
    let project = Project::new(
        "provider \"proxmox\" {}\nresource \"proxmox_virtual_environment_pool\" \"a\" {\n  pool_id = \"a\"\n}\n",
    );
    project.ok(&["apply", "--simulate", "-auto-approve"]);
    let file = project.path().join(".pve/default/simulator.db");
    let key = pve_state::Key::find(&project.path().join(".pve")).unwrap();
    let old = key.seal(b"{\"guests\": {}}", "simulator").unwrap();
    std::fs::write(&file, &old).unwrap();
    let said = text(&project.run(&["plan", "--simulate"]));
    assert!(said.contains("of another version of pve") && said.contains("1 to add"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), old, "a plan keeps nothing");
    project.ok(&["apply", "--simulate", "-auto-approve"]);
    assert_eq!(std::fs::read(file.with_extension("db.old")).unwrap(), old);
    assert!(project.ok(&["plan", "--simulate"]).contains("No changes."));
}
