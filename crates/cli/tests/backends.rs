//! What stands beside a `backend` block: `-backend-config`, what is kept of it, and the environment.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod common;

use std::io::{BufRead as _, Read as _, Write as _};

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
fn init_keeps_arguments_that_lead_to_a_store_and_their_secrets_sealed() {
    let project = Project::new(PARTIAL);
    project.write("prod.s3.tfbackend", "region = \"eu-west-1\"\nskip_region_validation = true\n");
    let init = |endpoints: &str| {
        project.run(&[
            "init",
            "-backend-config=prod.s3.tfbackend",
            "-backend-config=bucket=team",
            "-backend-config",
            "use_path_style=true",
            "-backend-config=access_key=AKIA",
            "-backend-config=secret_key=hunter2-hunter2",
            "-backend-config=assume_role_with_web_identity={ role_arn = \"r\", web_identity_token = \"hunter2\" }",
            "-backend-config=https_proxy=http://ann:hunter2@127.0.0.1:1",
            endpoints,
        ])
    };
    let nowhere = format!("-backend-config=endpoints={{ s3 = \"{NOWHERE}\", sts = \"{NOWHERE}\" }}");
    let away = init(&nowhere);
    let said = common::text(&away);
    // The store is asked, and what leads nowhere is not kept.
    assert_eq!(away.status.code(), Some(1), "{said}");
    assert!(said.contains("s3://team/infra/terraform.tfstate.pve") && said.contains(NOWHERE), "{said}");
    assert!(!project.path().join(".pve/backend.json").exists());
    let (address, _asked) = store();
    let endpoints =
        format!("-backend-config=endpoints={{ s3 = \"http://{address}\", sts = \"http://{address}\" }}");
    let found = init(&endpoints);
    assert!(found.status.success(), "{}", common::text(&found));
    let file = kept(&project);
    assert!(file.contains("\"bucket\": \"team\"") && file.contains(&address.to_string()), "{file}");
    assert!(!file.contains("hunter2"), "{file}");
    // Again without arguments: they are still there, and lead to the endpoint.
    project.ok(&["init"]);
    assert_eq!(kept(&project), file);
    // What cannot be used is not kept in their place.
    let refused = project.fails(&["init", "-backend-config=foo=bar"]);
    assert!(refused.contains("has no argument foo"), "{refused}");
    assert_eq!(kept(&project), file);
    let refused = project.run_with(&[("PVE_BACKEND_CONFIG", "acl=\"'x\" bukket=x")], &["plan"]);
    assert!(common::text(&refused).contains("has no argument bukket"), "{}", common::text(&refused));
    assert!(project.fails(&["init", "-reconfigure"]).contains("bucket is missing"));
    for option in ["-reconfigure", "-migrate"] {
        let away = init(&nowhere);
        assert_eq!(away.status.code(), Some(1), "{option}");
        assert_eq!(kept(&project), file, "{option}");
    }
    let anew = ["-backend-config=bucket=b", "-backend-config=region=r", "-backend-config=access_key=AKIA"];
    let anew = [
        &["init", "-reconfigure", "-backend-config=secret_key=b", "-backend-config=use_path_style=true"],
        &anew[..],
    ];
    let anew = [anew.concat(), vec![&*endpoints]].concat();
    project.ok(&anew);
    assert!(!kept(&project).contains("team"));
    // What cannot be read is no absence, and is written over by whoever says so.
    for damaged in ["", "{\"format\": 1, \"ki", "\0\0\0"] {
        project.write(".pve/backend.json", damaged);
        for words in [&["plan"][..], &["init"], &["init", "-backend-config=bucket=b"]] {
            let refused = project.fails(words);
            assert!(
                refused.contains("backend.json cannot be read") && refused.contains("-reconfigure"),
                "{refused}"
            );
        }
        project.ok(&anew);
        assert!(kept(&project).contains("\"bucket\": \"b\""));
    }
}

#[test]
fn arguments_without_effect_are_told_of_once() {
    let project = Project::new(PARTIAL);
    let (address, _asked) = store();
    let endpoints =
        format!("-backend-config=endpoints={{ s3 = \"http://{address}\", dynamodb = \"http://{address}\" }}");
    let words = [
        "init",
        "-backend-config=bucket=b",
        "-backend-config=region=r",
        "-backend-config=dynamodb_table=locks",
        "-backend-config=access_key=a",
        "-backend-config=secret_key=b",
        "-backend-config=use_path_style=true",
        &endpoints,
    ];
    let first = common::text(&project.run(&words));
    assert!(first.contains("Note: backend \"s3\": dynamodb_table has no effect"), "{first}");
    let second = common::text(&project.run(&words));
    assert!(!second.contains("dynamodb_table"), "{second}");
    // That nobody may read the table is told before a run is refused for it.
    assert!(
        second.contains("it cannot be told whether Terraform holds its lock: the table locks at"),
        "{second}"
    );
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
    answering_by(move |_| (status, body))
}

/// A store with an empty bucket, which gives roles and has no tables.
fn store() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<String>) {
    answering_by(|head| {
        if head.to_lowercase().contains("x-amz-target: dynamodb") {
            ("400 Bad Request", "{\"__type\": \"ResourceNotFoundException\"}")
        } else if head.starts_with("POST") {
            ("200 OK", ROLE)
        } else if head.contains("list-type=2") {
            ("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        } else {
            ("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>")
        }
    })
}

const ROLE: &str = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>B</SecretAccessKey>\
    <SessionToken>C</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

/// The same by the head of the request.
fn answering_by(
    answer: impl Fn(&str) -> (&'static str, &'static str) + Send + 'static,
) -> (std::net::SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut reader = std::io::BufReader::new(connection.try_clone().unwrap());
            let lines = reader.by_ref().lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let length = head.iter().filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
                name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
            });
            // A body that is not read would cut the answer off.
            let _ = std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink());
            let head = head.join("\n");
            let (status, body) = answer(&head);
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = connection.write_all(answer.as_bytes());
            if sender.send(head).is_err() {
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
