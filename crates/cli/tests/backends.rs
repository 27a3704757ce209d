//! What stands beside a `backend` block: `-backend-config`, what is kept of it, and the environment.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Project;

const PARTIAL: &str = "terraform {\n  backend \"s3\" {\n    key = \"infra/terraform.tfstate\"\n  }\n}\n";
/// Nothing listens there, so that a command which got as far as asking says so.
const NOWHERE: &str = "http://127.0.0.1:1";

fn kept(project: &Project) -> String {
    std::fs::read_to_string(project.path().join(".pve/backend.json")).unwrap()
}

#[test]
fn what_a_block_leaves_out_is_asked_for_by_name() {
    let project = Project::new(PARTIAL);
    for words in [&["init"][..], &["plan"]] {
        let said = project.fails(words);
        assert!(said.contains("bucket is missing") && said.contains("-backend-config"), "{said}");
    }
    assert!(!project.path().join(".pve").exists());
}

#[test]
fn init_keeps_arguments_and_their_secrets_sealed() {
    let project = Project::new(PARTIAL);
    project.write("prod.s3.tfbackend", "region = \"eu-west-1\"\nskip_region_validation = true\n");
    let endpoints = format!("-backend-config=endpoints={{ s3 = \"{NOWHERE}\" }}");
    let away = project.fails(&[
        "init",
        "-backend-config=prod.s3.tfbackend",
        "-backend-config=bucket=team",
        "-backend-config",
        "use_path_style=true",
        "-backend-config=access_key=AKIA",
        "-backend-config=secret_key=hunter2-hunter2",
        "-backend-config=assume_role_with_web_identity={ role_arn = \"r\", web_identity_token = \"hunter2\" }",
        "-backend-config=https_proxy=http://ann:hunter2@127.0.0.1:1",
        &endpoints,
    ]);
    // The store is asked; what is kept is what leads there.
    assert!(away.contains("s3://team/infra/terraform.tfstate.pve") && away.contains(NOWHERE), "{away}");
    assert!(away.contains("Check the endpoint") && away.lines().count() < 8, "{away}");
    let file = kept(&project);
    assert!(file.contains("\"bucket\": \"team\"") && file.contains(NOWHERE), "{file}");
    assert!(!file.contains("hunter2"), "{file}");
    // Again without arguments: they are still there, and lead to the endpoint.
    project.fails(&["init"]);
    assert_eq!(kept(&project), file);
    // What cannot be used is not kept.
    let refused = project.fails(&["init", "-backend-config=foo=bar"]);
    assert!(refused.contains("has no argument foo"), "{refused}");
    assert_eq!(kept(&project), file);
    let refused = project.run_with(&[("PVE_BACKEND_CONFIG", "acl=\"'x\" bukket=x")], &["plan"]);
    assert!(common::text(&refused).contains("has no argument bukket"), "{}", common::text(&refused));
    assert!(project.fails(&["init", "-reconfigure"]).contains("bucket is missing"));
    assert_eq!(kept(&project), file);
    project.fails(&[
        "init",
        "-reconfigure",
        "-backend-config=bucket=b",
        "-backend-config=region=r",
        &endpoints,
    ]);
    assert!(!kept(&project).contains("team"));
}

#[test]
fn arguments_without_effect_are_told_of_once() {
    let project = Project::new(PARTIAL);
    let words = [
        "init",
        "-backend-config=bucket=b",
        "-backend-config=region=r",
        "-backend-config=dynamodb_table=locks",
        "-backend-config=access_key=a",
        "-backend-config=secret_key=b",
        "-backend-config=endpoints={ s3 = \"http://127.0.0.1:1\" }",
    ];
    let first = common::text(&project.run(&words));
    assert!(first.contains("Note: backend \"s3\": dynamodb_table has no effect"), "{first}");
    let second = common::text(&project.run(&words));
    assert!(!second.contains("dynamodb_table"), "{second}");
}

#[test]
fn arguments_for_no_block_are_refused() {
    let project = Project::new("");
    let said = project.fails(&["init", "-backend-config=bucket=b"]);
    assert!(said.contains("has none"), "{said}");
}

#[test]
fn a_file_that_is_none_is_named() {
    let project = Project::new(PARTIAL);
    assert!(project.fails(&["init", "-backend-config=absent"]).contains("absent cannot be read"));
    project.write("bad.tfbackend", "bucket = \n");
    assert!(project.fails(&["init", "-backend-config=bad.tfbackend"]).contains("bad.tfbackend"));
}
