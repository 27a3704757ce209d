//! A team's log in a bucket, through the binary, on a real server that this test starts (see `.ci/run`).

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod store;

use std::process::Stdio;

use store::{Proxy, Server, fails, ok, project, pve, text};

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  count = 3\n  input = \"hunter2-hunter2\"\n}\n";

#[test]
fn two_machines_share_a_log_in_a_bucket() {
    let Some(server) = Server::start() else { return };
    let (one, other) = (project(server.address(), MAIN), project(server.address(), MAIN));
    assert!(ok(one.path(), &["apply", "-auto-approve"]).contains("3 added"));
    assert!(!one.path().join(".pve/default/log.db").exists());
    assert!(ok(other.path(), &["plan"]).contains("No changes."));
    assert_eq!(ok(other.path(), &["state", "list"]).lines().count(), 3);
    ok(other.path(), &["taint", "terraform_data.a[1]"]);
    assert!(ok(one.path(), &["plan"]).contains("1 to add"));
    assert!(ok(one.path(), &["log", "verify"]).contains("none changed"));
    assert!(ok(one.path(), &["lock", "status"]).contains("Nobody"));
    // Environments do not share.
    std::fs::create_dir(one.path().join("staging")).unwrap();
    std::fs::write(one.path().join("staging/terraform.tfvars"), "").unwrap();
    assert!(ok(one.path(), &["-e", "staging", "plan"]).contains("3 to add"));
    let wrong = pve(one.path(), &["state", "list"]).env("PVE_ENCRYPTION_PASSPHRASE", "x").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).contains("PVE_ENCRYPTION_PASSPHRASE"), "{}", text(&wrong));
    let simulated = pve(one.path(), &["plan", "--simulate"]).output().unwrap();
    assert!(text(&simulated).contains("a shared log is about real guests"), "{}", text(&simulated));
}

#[cfg(unix)]
#[test]
fn a_run_that_died_holds_its_lease_until_it_is_broken() {
    let Some(server) = Server::start() else { return };
    let slow = "resource \"terraform_data\" \"a\" {\n  provisioner \"local-exec\" {\n    command = \"mkfifo gate && cat gate\"\n  }\n}\n";
    let (one, other) = (project(server.address(), slow), project(server.address(), MAIN));
    let mut child = pve(one.path(), &["apply", "-auto-approve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !ok(other.path(), &["log", "--jsonl"]).contains("provisioner_started") {
        std::thread::yield_now();
    }
    let refused = pve(other.path(), &["apply", "-auto-approve"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("another run works on this environment: apply by"), "{}", text(&refused));
    child.kill().unwrap();
    child.wait().unwrap();
    // What the provisioner started waits for somebody who writes.
    std::fs::write(one.path().join("gate"), "").unwrap();
    assert!(ok(other.path(), &["lock", "status"]).contains("Held: apply by"));
    ok(other.path(), &["unlock", "-force"]);
    assert!(ok(other.path(), &["lock", "status"]).contains("Nobody"));
    assert!(ok(other.path(), &["log"]).contains("lease"));
    ok(other.path(), &["apply", "-auto-approve"]);
}

#[test]
fn a_lease_that_cannot_be_read_is_made_anew_by_whoever_breaks_it() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    ok(one.path(), &["apply", "-auto-approve"]);
    for damaged in ["", "garbage"] {
        server.request("PUT", "/team/infra/terraform.tfstate.pve/lease", damaged);
        let refused = fails(one.path(), &["apply", "-auto-approve"]);
        assert!(refused.contains("unlock -force"), "{refused}");
        assert!(ok(one.path(), &["unlock", "-force"]).contains("is made anew"));
        assert!(ok(one.path(), &["lock", "status"]).contains("Nobody works"));
        assert!(ok(one.path(), &["log", "verify"]).contains("none changed"));
    }
}

#[test]
fn looking_at_an_empty_bucket_writes_nothing_and_a_plan_on_a_warm_log_takes_three_requests() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.address());
    let one = project(proxy.address, MAIN);
    for words in [&["plan"][..], &["state", "list"], &["log"], &["log", "verify"], &["lock", "status"]] {
        ok(one.path(), words);
    }
    assert_eq!(server.keys(), Vec::<String>::new());
    proxy.requests();
    ok(one.path(), &["apply", "-auto-approve"]);
    println!("requests of an apply of 3 instances: {}", proxy.requests());
    ok(one.path(), &["plan"]);
    let requests = proxy.requests();
    println!("requests of a plan on a warm snapshot: {requests}");
    assert!(requests <= 3, "{requests}");
    for key in server.keys() {
        let (_, body) = server.request("GET", &format!("/team/{key}"), "");
        assert!(!body.contains("hunter2"), "{key}");
    }
}

#[test]
fn a_lock_that_terraform_holds_on_the_old_state_is_respected() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    let lock = "{\"ID\":\"7d8c\",\"Operation\":\"OperationTypeApply\",\"Who\":\"ann@desk\",\"Created\":\"2026-11-25T10:00:00Z\"}";
    let (status, _) = server.request("PUT", "/team/infra/terraform.tfstate.tflock", lock);
    assert_eq!(status, 200);
    ok(one.path(), &["plan"]);
    let status = ok(one.path(), &["lock", "status"]);
    assert!(status.contains("no run of pve works on it.\nTerraform holds its lock on the state"), "{status}");
    assert!(status.contains("apply by ann@desk since 2026-11-25T10:00:00Z (lock 7d8c)"), "{status}");
    let json: serde_json::Value =
        serde_json::from_str(&ok(one.path(), &["--json", "lock", "status"])).unwrap();
    assert_eq!(
        (&json["holder"], &json["terraform"][0]["who"]),
        (&serde_json::Value::Null, &"ann@desk".into())
    );
    let refused = fails(one.path(), &["apply", "-auto-approve"]);
    assert!(
        refused.contains("apply by ann@desk since") && refused.contains("unlock -terraform"),
        "{refused}"
    );
    assert!(ok(one.path(), &["unlock", "-terraform", "-force"]).contains("passed over"));
    assert!(ok(one.path(), &["apply", "-auto-approve"]).contains("3 added"));
    // Only that one is; it is still there.
    let (status, _) =
        server.request("PUT", "/team/infra/terraform.tfstate.tflock", &lock.replace("7d8c", "8e9d"));
    assert_eq!(status, 200);
    fails(one.path(), &["apply", "-auto-approve"]);
}

#[test]
fn a_lock_of_terraform_that_does_not_say_whose_it_is_is_not_passed_over() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    for lock in ["not json", "{}"] {
        server.request("PUT", "/team/infra/terraform.tfstate.tflock", lock);
        let refused = fails(one.path(), &["unlock", "-terraform", "-force"]);
        assert!(refused.contains("passing over each one that follows"), "{refused}");
        // As it was kept by versions that did.
        std::fs::create_dir_all(one.path().join(".pve/default")).unwrap();
        std::fs::write(one.path().join(".pve/default/terraform-lock"), "\n").unwrap();
        let refused = fails(one.path(), &["apply", "-auto-approve"]);
        assert!(refused.contains("a lock that does not say whose it is"), "{refused}");
        // The way out is one that is not refused.
        assert!(refused.contains("remove the lock") && !refused.contains("unlock -terraform"), "{refused}");
    }
}

#[cfg(unix)]
#[test]
fn a_lock_that_terraform_takes_while_the_lease_is_waited_for_is_respected() {
    use std::io::BufRead as _;
    let Some(server) = Server::start() else { return };
    let slow = "resource \"terraform_data\" \"a\" {\n  provisioner \"local-exec\" {\n    command = \"mkfifo gate && cat gate\"\n  }\n}\n";
    let (one, other) = (project(server.address(), slow), project(server.address(), MAIN));
    let quiet = || Stdio::null();
    let mut first =
        pve(one.path(), &["apply", "-auto-approve"]).stdout(quiet()).stderr(quiet()).spawn().unwrap();
    while !ok(other.path(), &["log", "--jsonl"]).contains("provisioner_started") {
        std::thread::yield_now();
    }
    let words = ["apply", "-auto-approve", "-lock-timeout=5m"];
    let mut second = pve(other.path(), &words).stdout(quiet()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(second.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("Waiting: another run works here")));
    let lock = "/team/infra/terraform.tfstate.tflock";
    server.request("PUT", lock, "{\"ID\":\"7d8c\",\"Who\":\"ann@desk\"}");
    while !one.path().join("gate").exists() {
        std::thread::yield_now();
    }
    std::fs::write(one.path().join("gate"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert!(said.any(|line| line.contains("Waiting: Terraform works here: a run by ann@desk")));
    server.request("DELETE", lock, "");
    said.for_each(drop);
    assert!(second.wait().unwrap().success());
}

#[test]
fn a_lock_that_terraform_holds_in_a_table_is_respected() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    let dynamodb = format!("http://{}", server.address());
    let apply = |table: &str| {
        let mut command = pve(one.path(), &["apply", "-auto-approve"]);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb);
        let output = command.env("PVE_BACKEND_CONFIG", format!("dynamodb_table={table}")).output().unwrap();
        (output.status.code(), text(&output))
    };
    // Where there is no such table it cannot be told what is locked.
    let (code, told) = apply("locks");
    assert_eq!(code, Some(1));
    assert!(
        told.contains("it cannot be told whether Terraform holds its lock: the table locks at"),
        "{told}"
    );
    assert!(told.contains("take dynamodb_table and use_lockfile out of the `backend` block"), "{told}");
    server.dynamodb(
        "CreateTable",
        r#"{"TableName": "locks", "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST"}"#,
    );
    let hold = |id: &str| {
        let info = format!(
            "{{\\\"ID\\\":\\\"{id}\\\",\\\"Operation\\\":\\\"OperationTypeApply\\\",\\\"Who\\\":\\\"ann@desk\\\"}}"
        );
        let item = format!(
            r#"{{"TableName": "locks", "Item": {{"LockID": {{"S": "team/infra/terraform.tfstate"}}, "Info": {{"S": "{info}"}}}}}}"#
        );
        server.dynamodb("PutItem", &item);
    };
    hold("7d8c");
    for words in [&["init"][..], &["lock", "status"]] {
        let mut command = pve(one.path(), words);
        command.envs([
            ("AWS_ENDPOINT_URL_DYNAMODB", &*dynamodb),
            ("PVE_BACKEND_CONFIG", "dynamodb_table=locks"),
        ]);
        let told = text(&command.output().unwrap());
        assert!(
            told.contains("apply by ann@desk since  (lock 7d8c in the table locks)"),
            "{words:?}: {told}"
        );
    }
    let (code, told) = apply("locks");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("apply by ann@desk since  (lock 7d8c in the table locks)"), "{told}");
    let unlock = pve(one.path(), &["unlock", "-terraform", "-force"])
        .env("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb)
        .env("PVE_BACKEND_CONFIG", "dynamodb_table=locks")
        .output()
        .unwrap();
    assert!(text(&unlock).contains("terraform force-unlock 7d8c"), "{}", text(&unlock));
    let (code, told) = apply("locks");
    assert!(code == Some(0) && told.contains("3 added"), "{told}");
    // Only that one is passed over.
    hold("8e9d");
    assert_eq!(apply("locks").0, Some(1));
    // Who says that there is no table is not kept from writing.
    assert_eq!(apply("").0, Some(0));
}

/// What Terraform wrote of the first one of three.
const STATE: &str = r#"{"version": 4, "serial": 1, "lineage": "x", "resources": [
    {"mode": "managed", "type": "terraform_data", "name": "a",
        "provider": "provider[\"terraform.io/builtin/terraform\"]", "instances": [
        {"index_key": 0, "schema_version": 0, "sensitive_attributes": [], "attributes": {"id": "one",
            "input": {"value": "hunter2-hunter2", "type": "string"},
            "output": {"value": "hunter2-hunter2", "type": "string"}, "triggers_replace": null}}]}]}"#;

#[test]
fn the_state_that_terraform_keeps_in_the_bucket_is_not_planned_anew_but_taken_over() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    std::fs::create_dir(one.path().join("staging")).unwrap();
    std::fs::write(one.path().join("staging/terraform.tfvars"), "").unwrap();
    for (environment, object) in
        [("default", "infra/terraform.tfstate"), ("staging", "env:/staging/infra/terraform.tfstate")]
    {
        let with = |words: &[&'static str]| [&["-e", environment], words].concat();
        assert!(ok(one.path(), &with(&["plan"])).contains("3 to add"));
        server.request("PUT", &format!("/team/{object}"), STATE);
        for words in [&["plan"][..], &["apply", "-auto-approve"], &["import", "terraform_data.a[1]", "x"]] {
            let refused = fails(one.path(), &with(words));
            assert!(
                refused.contains(&format!("s3://team/{object} has 1 objects that Terraform")),
                "{refused}"
            );
            assert!(refused.contains("`pve state adopt`"), "{refused}");
        }
        let lock = format!("/team/{object}.tflock");
        server.request(
            "PUT",
            &lock,
            "{\"ID\":\"7d8c\",\"Operation\":\"OperationTypeApply\",\"Who\":\"ann@desk\"}",
        );
        let refused = fails(one.path(), &with(&["state", "adopt"]));
        assert!(refused.contains("apply by ann@desk"), "{refused}");
        server.request("DELETE", &lock, "");
        assert!(ok(one.path(), &with(&["state", "adopt"])).contains("Adopted terraform_data.a[0]"));
        assert!(ok(one.path(), &with(&["plan"])).contains("Plan: 2 to add, 0 to change, 0 to destroy."));
        let (_, left) = server.request("GET", &format!("/team/{object}"), "");
        assert_eq!(left, STATE, "it is left there");
    }
}

#[test]
fn what_terraform_made_since_is_looked_for_in_the_bucket_only_where_something_is_made() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    let apply = || text(&pve(one.path(), &["apply", "-auto-approve"]).output().unwrap());
    apply();
    server.request("PUT", "/team/infra/terraform.tfstate", &STATE.replace("\"a\"", "\"b\""));
    assert!(!apply().contains("terraform.tfstate"));
    ok(one.path(), &["taint", "terraform_data.a[0]"]);
    let told = apply();
    assert!(
        told.contains("s3://team/infra/terraform.tfstate has terraform_data.b[0], which this log"),
        "{told}"
    );
}

#[test]
fn a_state_in_the_bucket_that_cannot_be_read_is_not_passed_over() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    server.request("PUT", "/team/infra/terraform.tfstate", r#"{"version": 4, "encrypted_data": "x"}"#);
    for words in [&["plan"][..], &["state", "adopt"]] {
        let refused = fails(one.path(), words);
        assert!(refused.contains("s3://team/infra/terraform.tfstate is encrypted"), "{refused}");
    }
}

#[test]
fn a_backend_that_pve_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let main = "terraform {\n  backend \"gcs\" {\n    bucket = \"b\"\n  }\n}\n";
    std::fs::write(folder.path().join("main.tf"), main).unwrap();
    let refused = pve(folder.path(), &["plan"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("backend \"gcs\""), "{}", text(&refused));
    assert!(!folder.path().join(".pve").exists());
}
