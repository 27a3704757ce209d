//! `local-exec`: what it is given, when it runs, what its failures leave, and what is shown of it.

use super::project::{Project, said};

#[test]
fn provisioners_run_in_order_with_self_environment_folder_and_interpreter() {
    let project = Project::new(
        r#"
        resource "null_resource" "a" {
          triggers = { name = "web" }
          provisioner "local-exec" {
            command     = "echo 1 $NAME ${self.triggers.name} ${self.id != "" ? "id" : "none"} >> ../out"
            working_dir = "sub"
            environment = { NAME = "env", NOTHING = null }
          }
          provisioner "local-exec" {
            command     = "2 perhaps"
            interpreter = ["/bin/sh", "-c", "echo \"$0\" >> out; echo to-stdout; echo to-stderr >&2"]
            quiet       = true
          }
          provisioner "local-exec" {
            when    = destroy
            command = "echo never >> out"
          }
        }
        resource "terraform_data" "b" {
          input = null_resource.a.id
          provisioner "local-exec" {
            command = "echo 3 >> out"
          }
        }
        "#,
    );
    std::fs::create_dir(project.path("sub")).unwrap();
    let told = project.apply();
    assert_eq!(project.read("out"), "1 env web id\n2 perhaps\n3\n");
    assert!(told.contains("null_resource.a: (local-exec) running: echo 1 $NAME web id >> ../out"), "{told}");
    assert!(told.contains("null_resource.a: (local-exec) to-stdout"), "{told}");
    assert!(told.contains("null_resource.a: (local-exec) to-stderr"), "{told}");
    assert!(!told.contains("running: 2 perhaps"), "{told}");
    let plan = project.run(&["plan"]);
    assert!(said(&plan).contains("No changes."), "{}", said(&plan));
}

#[test]
fn a_changed_trigger_replaces_and_runs_both_kinds_of_provisioners() {
    let main = |version: u32| {
        format!(
            r#"
            resource "null_resource" "a" {{
              triggers = {{ version = {version} }}
              provisioner "local-exec" {{
                command = "echo create ${{self.triggers.version}} >> out"
              }}
              provisioner "local-exec" {{
                when    = destroy
                command = "echo destroy ${{self.triggers.version}} >> out"
              }}
            }}
            "#
        )
    };
    let project = Project::new(&main(1));
    project.apply();
    project.write("main.tf", &main(2));
    project.apply();
    assert_eq!(project.read("out"), "create 1\ndestroy 1\ncreate 2\n");
}

#[test]
fn a_failure_taints_stops_dependants_and_the_replacement_is_destroyed_without_provisioners() {
    let main = |command: &str| {
        format!(
            r#"
            resource "terraform_data" "a" {{
              provisioner "local-exec" {{
                command = "{command}"
              }}
              provisioner "local-exec" {{
                command = "echo second >> out"
              }}
              provisioner "local-exec" {{
                when    = destroy
                command = "echo destroy >> out"
              }}
            }}
            resource "terraform_data" "b" {{
              input = terraform_data.a.id
            }}
            "#
        )
    };
    let project = Project::new(&main("exit 3"));
    let told = project.fails(&["apply", "-auto-approve"]);
    assert!(told.contains("local-exec provisioner: the command ended with exit code 3"), "{told}");
    assert_eq!(project.tainted(), [("terraform_data.a".to_string(), true)]);
    project.write("main.tf", &main("true"));
    let plan = said(&project.run(&["plan"]));
    assert!(plan.contains("terraform_data.a must be replaced"), "{plan}");
    project.apply();
    assert_eq!(project.read("out"), "second\n");
    assert!(project.tainted().iter().all(|(_, tainted)| !tainted));
}

#[test]
fn a_failure_that_may_be_is_told_and_passed_over() {
    let project = Project::new(
        r#"
        resource "terraform_data" "a" {
          provisioner "local-exec" {
            command    = "exit 3"
            on_failure = "continue"
          }
          provisioner "local-exec" {
            command = "echo second >> out"
          }
        }
        "#,
    );
    let told = project.apply();
    assert!(told.contains("exit code 3; passed over"), "{told}");
    assert_eq!(project.read("out"), "second\n");
    assert_eq!(project.tainted(), [("terraform_data.a".to_string(), false)]);
    let log = said(&project.run(&["log"]));
    assert!(log.contains("exit code 3; passed over"), "{log}");
}

#[test]
fn at_destruction_instances_that_are_left_over_know_their_keys_and_a_failure_keeps_them() {
    let main = |keys: &str| {
        format!(
            r#"
            resource "terraform_data" "a" {{
              for_each = toset({keys})
              input    = "in-${{each.value}}"
              provisioner "local-exec" {{
                when    = destroy
                command = "test -e broken && exit 4; echo ${{each.key}} ${{self.input}} >> out"
              }}
            }}
            "#
        )
    };
    let project = Project::new(&main(r#"["x", "y"]"#));
    project.apply();
    project.write("main.tf", &main(r#"["y"]"#));
    project.apply();
    assert_eq!(project.read("out"), "x in-x\n");
    project.write("broken", "");
    let told = project.fails(&["destroy", "-auto-approve"]);
    assert!(told.contains("exit code 4"), "{told}");
    assert_eq!(project.tainted(), [("terraform_data.a[\"y\"]".to_string(), false)]);
    std::fs::remove_file(project.path("broken")).unwrap();
    let destroyed = project.run(&["destroy", "-auto-approve"]);
    assert!(destroyed.status.success(), "{}", said(&destroyed));
    assert_eq!(project.read("out"), "x in-x\ny in-y\n");
    assert_eq!(project.tainted(), []);
}

#[test]
fn a_removed_block_brings_the_provisioners_of_the_destruction() {
    let project = Project::new(r#"resource "terraform_data" "a" { input = "x" }"#);
    project.apply();
    project.write(
        "main.tf",
        r#"
        removed {
          from = terraform_data.a
          lifecycle {
            destroy = true
          }
          provisioner "local-exec" {
            when    = destroy
            command = "echo gone ${self.input} >> out"
          }
        }
        "#,
    );
    project.apply();
    assert_eq!(project.read("out"), "gone x\n");
}

#[test]
fn a_saved_plan_runs_its_provisioners() {
    let project = Project::new(
        r#"
        resource "terraform_data" "a" {
          provisioner "local-exec" {
            command = "echo ran >> out"
          }
        }
        "#,
    );
    let planned = project.run(&["plan", "-out", "saved"]);
    assert!(planned.status.success(), "{}", said(&planned));
    assert_eq!(project.read("out"), "");
    let applied = project.run(&["apply", "saved"]);
    assert!(applied.status.success(), "{}", said(&applied));
    assert_eq!(project.read("out"), "ran\n");
}

#[test]
fn nothing_of_a_provisioner_with_secrets_is_shown_or_kept() {
    let project = Project::new(
        r#"
        variable "word" {
          default   = "hunter2"
          sensitive = true
        }
        resource "terraform_data" "a" {
          provisioner "local-exec" {
            command = "echo the word is ${var.word} | tee out; echo derived-$((1234500 + 67)); exit 5"
          }
        }
        "#,
    );
    let told = project.fails(&["apply", "-auto-approve"]);
    assert_eq!(project.read("out"), "the word is hunter2\n");
    assert!(told.contains("(local-exec) (output suppressed due to sensitive value in config)"), "{told}");
    assert!(told.contains("the command ended with exit code 5"), "{told}");
    let events = said(&project.run(&["log", "--json"]));
    for text in ["hunter2", "derived-1234567", "the word is"] {
        assert!(!told.contains(text), "{text} is shown: {told}");
        assert!(!events.contains(text), "{text} is in the log: {events}");
        let kept = project.kept();
        assert!(!kept.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is kept");
    }
}

#[test]
fn a_command_that_leaves_something_running_does_not_hold_the_run_up() {
    let project = Project::new(
        r#"
        resource "terraform_data" "a" {
          provisioner "local-exec" {
            command = "sleep 600 & echo $! > pid; echo started"
          }
        }
        "#,
    );
    let told = project.apply();
    assert!(told.contains("(local-exec) started"), "{told}");
    let ended = std::process::Command::new("kill").arg(project.read("pid").trim()).status().unwrap();
    assert!(ended.success(), "it was still running");
}

#[test]
fn what_is_wrong_with_provisioners_is_said_before_anything_is_done() {
    let cases = [
        (r#"provisioner "local-exek" { command = "true" }"#, "Did you mean \"local-exec\"?"),
        (r#"provisioner "local-exec" {}"#, "The argument `command` is required"),
        (r#"provisioner "local-exec" { comand = "true" }"#, "Unsupported argument"),
        (
            "provisioner \"local-exec\" {\n command = \"true\"\n when = later\n}",
            "`when` is `create` or `destroy`",
        ),
        (
            "provisioner \"local-exec\" {\n command = var.x\n when = destroy\n}",
            "may only refer to `self`, `count.index` and `each.key`",
        ),
        (r#"provisioner "remote-exec" { inline = ["true"] }"#, "needs a `connection` block"),
        (
            "connection {\n host = \"h\"\n}\nprovisioner \"remote-exec\" {\n}",
            "exactly one of `inline`, `script`, `scripts`",
        ),
        (
            "connection {\n host = \"h\"\n type = \"winrm\"\n}\nprovisioner \"file\" {\n content = \"\"\n destination = \"/x\"\n}",
            "pve connects by SSH only",
        ),
        ("connection {\n user = \"u\"\n}\nprovisioner \"remote-exec\" {\n script = \"s\"\n}", "`host` says"),
    ];
    for (block, expected) in cases {
        let main = format!(
            "variable \"x\" {{\n  default = \"\"\n}}\nresource \"terraform_data\" \"a\" {{\n{block}\n}}\n"
        );
        let project = Project::new(&main);
        let told = project.fails(&["apply", "-auto-approve"]);
        assert!(told.contains(expected), "{block}: {told}");
        assert_eq!(project.tainted(), []);
    }
}

#[test]
fn what_is_replaced_by_creating_first_is_destroyed_without_provisioners() {
    let main = |version: u32| {
        format!(
            r#"
            resource "null_resource" "a" {{
              triggers = {{ version = {version} }}
              lifecycle {{
                create_before_destroy = true
              }}
              provisioner "local-exec" {{
                when    = destroy
                command = "echo destroy ${{self.triggers.version}} >> out"
              }}
            }}
            "#
        )
    };
    let project = Project::new(&main(1));
    project.apply();
    project.write("main.tf", &main(2));
    project.apply();
    assert_eq!(project.read("out"), "");
    let destroyed = project.run(&["destroy", "-auto-approve"]);
    assert!(destroyed.status.success(), "{}", said(&destroyed));
    assert_eq!(project.read("out"), "destroy 2\n");
}

#[test]
fn the_json_form_has_provisioners_too() {
    let project = Project::new("");
    project.write(
        "more.tf.json",
        r#"{"resource": {"terraform_data": {"a": {"input": "x", "provisioner": [
            {"local-exec": {"command": "echo made ${self.input} >> out"}},
            {"local-exec": {"command": "echo going ${self.input} >> out; exit 1",
                            "when": "destroy", "on_failure": "continue"}}
        ]}}}}"#,
    );
    project.apply();
    let destroyed = project.run(&["destroy", "-auto-approve"]);
    assert!(destroyed.status.success(), "{}", said(&destroyed));
    assert_eq!(project.read("out"), "made x\ngoing x\n");
}

#[test]
fn what_values_are_now_says_nothing_about_provisioners_that_do_not_run() {
    let main = |list: &str| {
        format!(
            r#"
            resource "terraform_data" "list" {{
              input = {list}
            }}
            resource "terraform_data" "a" {{
              input = {list}
              provisioner "local-exec" {{
                command = "echo ${{terraform_data.list.output[0]}} ${{self.output[0]}} >> out"
              }}
            }}
            "#
        )
    };
    let project = Project::new(&main(r#"["x"]"#));
    project.apply();
    // Both lists have no first element any more; that is no fault until something is created from them.
    project.write("main.tf", &main("[]"));
    project.apply();
    assert_eq!(project.read("out"), "x x\n");
    let told = project.fails(&["apply", "-auto-approve", "-replace=terraform_data.a"]);
    assert!(told.contains("terraform_data.list.output[0]"), "{told}");
    assert_eq!(project.tainted()[0], ("terraform_data.a".to_string(), true));
}
