//! What stands beside a `backend` block: `-backend-config`, what is kept of it, and the environment.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead as _, Write as _};

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

/// Answers every request so, and hands on what it was asked.
fn answering(
    status: &'static str,
    body: &'static str,
) -> (std::net::SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut lines = std::io::BufReader::new(connection.try_clone().unwrap()).lines();
            let head: Vec<String> =
                lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = connection.write_all(answer.as_bytes());
            if sender.send(head.join("\n")).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

#[test]
fn a_profile_that_is_named_comes_before_keys_of_the_environment() {
    let (address, asked) = answering("403 Forbidden", "<Error><Code>InvalidAccessKeyId</Code></Error>");
    let project = Project::new(PARTIAL);
    project.write("aws", "[profile team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = b\n");
    let file = project.path().join("aws").display().to_string();
    let run = |profile: &str| {
        let arguments = format!(
            "bucket=b region=r use_path_style=true profile={profile} \"endpoints={{ s3 = \\\"http://{address}\\\" }}\""
        );
        let environment = [
            ("PVE_BACKEND_CONFIG", &*arguments),
            ("AWS_CONFIG_FILE", &*file),
            ("AWS_SHARED_CREDENTIALS_FILE", "none"),
            ("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"),
            ("AWS_SECRET_ACCESS_KEY", "c"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let output = project.run_with(&environment, &["-v", "plan"]);
        assert_eq!(output.status.code(), Some(1), "{}", common::text(&output));
        common::text(&output)
    };
    let said = run("team");
    let head = asked.recv().unwrap();
    assert!(head.contains("Credential=AKIATEAM/"), "{head}");
    // What was asked of the store is shown, and what to do is about that.
    assert!(said.contains("GET infra/terraform.tfstate.pve/head: "), "{said}");
    assert!(said.contains("The store does not accept the credentials"), "{said}");
    let said = run("absent");
    assert!(said.contains("no credentials were found"), "{said}");
    assert!(asked.try_recv().is_err(), "nobody was asked with other keys");
}

#[test]
fn a_server_that_is_no_store_is_told_of_at_once() {
    let (address, asked) = answering("404 Not Found", "");
    let project = Project::new(PARTIAL);
    let arguments = format!(
        "bucket=b region=r access_key=a secret_key=b use_path_style=true \"endpoints={{ s3 = \\\"http://{address}\\\" }}\""
    );
    for words in [&["init"][..], &["plan"], &["apply", "-auto-approve"]] {
        let output = project.run_with(&[("PVE_BACKEND_CONFIG", &arguments)], words);
        let said = common::text(&output);
        assert!(output.status.code() == Some(1) && said.contains("Check the endpoint"), "{words:?}: {said}");
        assert!(asked.try_iter().count() < 50, "{words:?}");
    }
}
