//! The binary as a user runs it, on configurations that need no cluster: what it says, what it changes, how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

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
        assert!(!text(&project.run(&["plan", option])).contains("matches nothing"), "{option}");
    }
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
fn secrets_reach_neither_disk_nor_screen() {
    let secret = "hunter2-hunter2-hunter2";
    let project = Project::new(
        "variable \"s\" {\n  sensitive = true\n}\nresource \"terraform_data\" \"a\" {\n  input = var.s\n}\noutput \"s\" {\n  value = var.s\n  sensitive = true\n}\n",
    );
    let given = format!("s={secret}");
    let mut said = text(&project.run(&["plan", "-out", "p.plan", "-var", &given]));
    for words in [&["apply", "p.plan"][..], &["show", "p.plan"], &["show"], &["log", "--events"], &["output"]]
    {
        said.push_str(&text(&project.run(words)));
    }
    assert!(!said.contains(secret), "{said}");
    let mut folders = vec![project.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} has the secret", path.display());
        }
    }
}

/// What kinds, functions and the cluster say of a value repeats it.
#[test]
fn what_is_made_of_a_secret_stays_one_and_is_no_change() {
    let of = |sensitive: bool| {
        format!(
            "variable \"s\" {{\n  default = \"hunter2\"\n  sensitive = {sensitive}\n}}\nresource \"terraform_data\" \"a\" \
             {{\n  input = {{ x = var.s }}\n}}\n"
        )
    };
    let project = Project::new(&of(true));
    project.ok(&["apply", "-auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(!project.ok(&["state", "show", "terraform_data.a"]).contains("hunter2"));
    project.write("main.tf", &of(false));
    assert!(project.ok(&["apply", "-auto-approve"]).contains("1 changed"));
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(project.ok(&["state", "show", "terraform_data.a"]).contains("hunter2"));
}

#[test]
fn messages_about_sensitive_values_do_not_show_them() {
    let secret = "hunter2/hunter2";
    let guest = |lines: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  started = false\n{lines}}}\n"
        )
    };
    let disk = "  disk {\n    interface = \"scsi0\"\n    size = 3\n    datastore_id = var.s\n  }\n";
    let output = |value: &str| format!("output \"o\" {{\n  value = {value}\n  sensitive = true\n}}\n");
    let wrong = [
        guest("  name = var.s\n"),
        guest("  tags = [var.s]\n"),
        guest(disk),
        output("cidrhost(var.s, 1)"),
        output("file(var.s)"),
        output("{ a = 1 }[var.s]"),
    ];
    for body in wrong {
        let project = Project::new(&format!("variable \"s\" {{\n  sensitive = true\n}}\n{body}"));
        let given = [("TF_VAR_s", secret)];
        let applied = project.run_with(&given, &["apply", "--simulate", "-auto-approve"]);
        assert!(!applied.status.success(), "{body}");
        let said = text(&applied) + &text(&project.run(&["log"]));
        assert!(said.contains("(sensitive value)"), "{body}: {said}");
        assert!(!said.contains(secret), "{body}: {said}");
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
fn an_apply_prints_nothing_but_json_when_asked() {
    let project = Project::new(TWO);
    let said = project.ok(&["apply", "-auto-approve", "-json"]);
    let documents: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 2, "{said}");
    assert_eq!(documents[0]["format_version"], "1.2");
    assert_eq!((&documents[1]["added"], &documents[1]["complete"]), (&2.into(), &true.into()));
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
