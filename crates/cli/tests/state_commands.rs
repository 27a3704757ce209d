//! The commands that edit the state, and those that tell of it: what they record, and how they refuse.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod common;

use common::{Project, text};
use pve_model::event::{ActionIndeterminate, ActionIntended, Actor, Claim, Operation, Payload};
use pve_state::{Draft, EventLog as _, Key};
use pve_state_sqlite::SqliteLog;
use serde_json::json;

const THREE: &str = r#"
resource "terraform_data" "one" {
  input = "x"
}
resource "terraform_data" "many" {
  count = 2
  input = terraform_data.one.output
}
"#;

fn applied() -> Project {
    let project = Project::new(THREE);
    project.ok(&["apply", "-auto-approve"]);
    project
}

#[test]
fn a_moved_resource_keeps_its_object_and_its_keys() {
    let project = applied();
    let before = project.ok(&["state", "show", "terraform_data.many[1]"]);
    let said = project.ok(&["state", "mv", "terraform_data.many", "terraform_data.several"]);
    assert!(said.contains("Successfully moved 2 object(s)."), "{said}");
    let after = project.ok(&["state", "show", "terraform_data.several[1]"]);
    assert_eq!(before.lines().skip(2).collect::<Vec<_>>(), after.lines().skip(2).collect::<Vec<_>>());
    project.write("main.tf", &THREE.replace("\"many\"", "\"several\""));
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(project.ok(&["log"]).contains("moved from terraform_data.many[0]: terraform_data.several[0]"));
}

#[test]
fn instances_and_modules_move_and_a_dry_run_only_tells() {
    let project = applied();
    let said = project.ok(&[
        "state",
        "mv",
        "-dry-run",
        "terraform_data.many[0]",
        "module.a[\"k\"].terraform_data.b",
    ]);
    assert!(said.contains("Would move") && project.state().contains(&"terraform_data.many[0]".into()));
    project.ok(&["state", "mv", "terraform_data.many[0]", "module.a[\"k\"].terraform_data.b"]);
    project.ok(&["state", "mv", "module.a", "module.z.module.y"]);
    assert_eq!(
        project.state(),
        ["terraform_data.many[1]", "terraform_data.one", "module.z.module.y[\"k\"].terraform_data.b"]
    );
}

#[test]
fn a_move_that_does_not_fit_is_refused_and_records_nothing() {
    let project = applied();
    let before = project.ok(&["log", "--json"]);
    for (source, destination, reason) in [
        ("terraform_data.none", "terraform_data.x", "nothing at terraform_data.none"),
        ("terraform_data.many[0]", "terraform_data.one", "something at terraform_data.one already"),
        ("terraform_data.one", "null_resource.one", "their kinds differ"),
        ("terraform_data.many", "terraform_data.x[0]", "several instances"),
        ("terraform_data.one", "module.x", "cannot become module.x"),
        ("one", "terraform_data.x", "is not an address"),
    ] {
        let said = project.fails(&["state", "mv", source, destination]);
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(project.ok(&["log", "--json"]), before);
}

#[test]
fn what_is_removed_is_forgotten_and_made_again_by_the_next_plan() {
    let project = applied();
    assert!(project.ok(&["state", "rm", "-dry-run", "terraform_data.many"]).contains("Would remove"));
    assert_eq!(project.state().len(), 3);
    let said = project.json(&["state", "rm", "terraform_data.many", "--json"]);
    assert_eq!(said["removed"], json!(["terraform_data.many[0]", "terraform_data.many[1]"]));
    assert_eq!(project.state(), ["terraform_data.one"]);
    assert!(project.ok(&["plan"]).contains("Plan: 2 to add, 0 to change, 0 to destroy."));
    let said = project.fails(&["state", "rm", "terraform_data.one", "terraform_data.many"]);
    assert!(said.contains("nothing at terraform_data.many"), "{said}");
    assert_eq!(project.state(), ["terraform_data.one"]);
    assert!(project.ok(&["log", "verify"]).contains("none changed"));
}

#[test]
fn what_an_apply_forgets_is_counted() {
    for json in [false, true] {
        let project = applied();
        let one = THREE.split("resource \"terraform_data\" \"many\"").next().unwrap();
        let kept = "removed {\n  from = terraform_data.many\n  lifecycle {\n    destroy = false\n  }\n}\n";
        project.write("main.tf", &format!("{one}{kept}"));
        if json {
            let said = project.ok(&["apply", "-auto-approve", "--json"]);
            let documents = serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>();
            assert_eq!(documents.last().unwrap().unwrap()["forgotten"], json!(2));
        } else {
            let said = project.ok(&["apply", "-auto-approve"]);
            assert!(said.contains("Done: 0 added, 0 changed, 0 destroyed, 2 forgotten."), "{said}");
        }
    }
}

#[test]
fn a_tainted_instance_is_replaced_and_an_untainted_one_is_not() {
    let project = applied();
    project.ok(&["taint", "terraform_data.one"]);
    let plan = project.ok(&["plan"]);
    assert!(plan.contains("terraform_data.one must be replaced") && plan.contains("tainted"), "{plan}");
    let pulled = project.json(&["state", "pull"]);
    assert_eq!(pulled["resources"][1]["instances"][0]["status"], json!("tainted"));
    project.ok(&["untaint", "terraform_data.one"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(project.fails(&["untaint", "terraform_data.one"]).contains("is not tainted"));
    assert!(
        project.fails(&["taint", "terraform_data.none"]).contains("the state has no terraform_data.none")
    );
    project.ok(&["taint", "-allow-missing", "terraform_data.none"]);
}

#[test]
fn edits_wait_for_other_runs_and_need_a_log() {
    let project = applied();
    let lock =
        std::fs::File::options().write(true).open(project.path().join(".pve/default/log.lock")).unwrap();
    lock.try_lock().unwrap();
    for words in [&["state", "rm", "terraform_data.one"][..], &["taint", "terraform_data.one"]] {
        assert!(project.fails(words).contains("another run works on this environment"));
    }
    let empty = Project::new("");
    assert!(empty.fails(&["taint", "terraform_data.one"]).contains("there is no log yet"));
    assert!(!empty.path().join(".pve").exists());
    assert!(project.fails(&["state", "push", "x"]).contains("cannot be pushed"));
}

#[test]
fn the_list_is_filtered_by_id_and_address() {
    let project = applied();
    let pulled = project.json(&["state", "pull"]);
    assert_eq!(pulled["version"], json!(4));
    let many = &pulled["resources"][0];
    assert_eq!((&many["name"], &many["instances"][1]["index_key"]), (&json!("many"), &json!(1)));
    let id = many["instances"][1]["attributes"]["id"].as_str().unwrap();
    assert_eq!(project.ok(&["state", "list", &format!("-id={id}")]), "terraform_data.many[1]\n");
    assert_eq!(project.ok(&["state", "list", "-id=none"]), "");
    assert_eq!(project.ok(&["state", "list", "terraform_data.one"]), "terraform_data.one\n");
}

#[test]
fn an_imported_object_is_managed_and_nothing_else_is_done() {
    let project = Project::new(THREE);
    project.ok(&["import", "terraform_data.one", "an-id"]);
    assert_eq!(project.state(), ["terraform_data.one"]);
    assert_eq!(project.ok(&["state", "list", "-id=an-id"]), "terraform_data.one\n");
    assert!(project.fails(&["import", "terraform_data.one", "b"]).contains("managed already"));
    assert!(project.fails(&["import", "terraform_data.none", "b"]).contains("has no terraform_data.none"));
    assert!(project.ok(&["log"]).contains("imported: terraform_data.one"));
}

#[test]
fn the_log_is_one_document_or_one_a_line() {
    let project = applied();
    let document = project.json(&["log", "--json"]);
    assert_eq!(document["format_version"], json!("1.0"));
    let events = document["events"].as_array().unwrap();
    assert_eq!(events[0]["kind"], json!("run_started"));
    let lines = project.ok(&["log", "--jsonl"]);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), events.len());
    assert!(lines.iter().all(|line| line["format_version"] == "1.0"));
    let empty = Project::new("");
    assert_eq!(empty.json(&["log", "--json"])["events"], json!([]));
}

#[test]
fn environments_are_listed_made_and_chosen_by_option() {
    let project = Project::new("");
    project.ok(&["workspace", "new", "dev"]);
    assert_eq!(project.ok(&["workspace", "list"]), "* default\n  dev\n");
    assert_eq!(project.ok(&["workspace", "list", "-e", "dev"]), "  default\n* dev\n");
    assert!(project.fails(&["workspace", "new", "dev"]).contains("already"));
    assert!(project.fails(&["workspace", "new", "../x"]).contains("no name"));
    assert!(project.fails(&["workspace", "select", "dev"]).contains("Give -e dev"));
    assert!(project.fails(&["workspace", "select", "none"]).contains("no environment"));
    let shown = project.run_with(&[("TF_WORKSPACE", "dev")], &["workspace", "show"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "dev\n");
}

#[test]
fn arguments_from_the_environment_come_before_those_typed() {
    let project = Project::new("variable \"n\" {}\noutput \"n\" {\n  value = var.n\n}\n");
    let variables = [("TF_CLI_ARGS", "-no-color"), ("TF_CLI_ARGS_plan", "-var 'n=from here'")];
    let said = text(&project.run_with(&variables, &["plan"]));
    assert!(said.contains("from here"), "{said}");
    let said = text(&project.run_with(&variables, &["plan", "-var", "n=typed"]));
    assert!(said.contains("typed") && !said.contains("from here"), "{said}");
}

#[test]
fn the_graph_is_stable_and_leads_from_what_needs_to_what_is_needed() {
    let project = Project::new(THREE);
    let graph = project.ok(&["graph"]);
    assert!(graph.starts_with("digraph G {\n") && graph.ends_with("}\n"), "{graph}");
    assert!(graph.contains("\"terraform_data.many\" -> \"terraform_data.one\";"), "{graph}");
    assert_eq!(project.ok(&["graph", "-draw-cycles"]), graph);
    let turned = project.json(&["graph", "-type=plan-destroy", "--json"]);
    let edge = json!({"from": "terraform_data.one", "to": "terraform_data.many"});
    assert!(turned["edges"].as_array().unwrap().contains(&edge), "{turned}");
    assert_eq!(project.run(&["graph", "-type=none"]).status.code(), Some(1));
}

#[test]
fn the_binary_tells_about_itself_within_eighty_columns() {
    let project = applied();
    assert_eq!(project.json(&["version", "--json"])["version"], json!(env!("CARGO_PKG_VERSION")));
    assert!(project.ok(&["providers"]).contains("provider[terraform.io/builtin/terraform]"));
    assert!(project.ok(&["completions", "bash"]).contains("console"));
    project.ok(&["man", "pages"]);
    assert!(project.path().join("pages/pve-state-mv.1").exists());
    for words in [
        &["state", "mv"][..],
        &["state", "rm"],
        &["state", "list"],
        &["taint"],
        &["import"],
        &["graph"],
        &["console"],
        &["completions"],
    ] {
        let output = project.command(&[words, &["--help"]].concat()).env("COLUMNS", "80").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Example: "), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
}

#[test]
fn a_state_that_was_pulled_can_be_adopted() {
    let main = "variable \"secret\" {\n  sensitive = true\n  default = \"hunter2\"\n}\nresource \"terraform_data\" \"a\" {\n  input = var.secret\n}\nresource \"terraform_data\" \"b\" {\n  input = { one = [1, true] }\n}\n";
    let (project, other) = (Project::new(main), Project::new(main));
    project.ok(&["apply", "-auto-approve"]);
    let pulled = project.json(&["state", "pull"]);
    let secret = &pulled["resources"][0]["instances"][0];
    assert_eq!(secret["attributes"]["input"], json!({"value": "hunter2", "type": "string"}));
    assert_eq!(secret["sensitive_attributes"][0], json!([{"type": "get_attr", "value": "input"}]));
    assert!(pulled["lineage"].as_str().is_some_and(|lineage| lineage.len() == 36), "{pulled}");
    other.write("pulled.tfstate", &pulled.to_string());
    other.ok(&["state", "adopt", "pulled.tfstate"]);
    assert!(other.ok(&["plan"]).contains("No changes."));
    assert!(!other.ok(&["show"]).contains("hunter2"));
}

/// As a run leaves it that could not tell what became of a create.
fn leave_unclear(project: &Project, address: &str) {
    let draft = |payload| Draft {
        id: uuid::Uuid::now_v7(),
        time: jiff::Timestamp::now(),
        run: uuid::Uuid::now_v7(),
        actor: Actor { user: "ann".into(), host: "desk".into(), version: "0".into() },
        payload,
    };
    let action = uuid::Uuid::now_v7();
    let intent = ActionIntended {
        action,
        address: address.parse().unwrap(),
        deposed: None,
        operation: Operation::Create,
        provider: "terraform".into(),
        claim: Claim { vmid: Some(127), ..Claim::default() },
        planned: json!(null),
        sensitive: vec![],
        depose_as: None,
        dependencies: vec![],
        create_before_destroy: false,
        provisioners: 0,
    };
    let reason = "guest 127 is somebody else's".to_string();
    let unclear = Payload::ActionIndeterminate(ActionIndeterminate { action, reason });
    let batch = vec![draft(Payload::ActionIntended(intent)), draft(unclear)];
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let key = Key::find(&project.path().join(".pve")).unwrap();
        let log = SqliteLog::open(&project.path().join(".pve/default/log.db"), key).unwrap();
        log.append(log.head().await.unwrap(), batch).await.unwrap();
    });
}

#[test]
fn what_nobody_can_tell_of_is_given_up_by_whoever_looked() {
    let project = applied();
    leave_unclear(&project, "terraform_data.lost");
    let said = project.ok(&["state", "rm", "-dry-run", "terraform_data.lost"]);
    assert!(said.contains("Would give up"), "{said}");
    let said = project.ok(&["state", "rm", "terraform_data.lost"]);
    assert!(said.contains("terraform_data.lost (guest 127)"), "{said}");
    let log = project.ok(&["log"]);
    assert!(log.contains("given up by `pve state rm`") && log.contains("somebody else's"), "{log}");
    assert!(project.fails(&["state", "rm", "terraform_data.lost"]).contains("has nothing at"));
    let applied = text(&project.run(&["apply", "-auto-approve"]));
    assert!(applied.contains("No changes.") && !applied.contains("was interrupted"), "{applied}");
}
