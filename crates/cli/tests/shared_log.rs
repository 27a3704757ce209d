//! A team's log in a bucket, through the binary, on a real server that this test starts (see `.ci/run`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

struct Server {
    process: Child,
    endpoint: String,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// A server with a bucket `team`, if the variable names one.
    fn start() -> Option<Server> {
        let Some(program) = std::env::var_os("PVE_TEST_MINISTACK") else {
            println!("skipped: PVE_TEST_MINISTACK does not name the program ministack");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = tempfile::tempdir().unwrap();
        let process = Command::new(program)
            .envs([("BIND_HOST", "127.0.0.1"), ("SERVICES", "s3"), ("GATEWAY_PORT", &port.to_string())])
            .env("S3_DATA_DIR", data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { process, endpoint: format!("http://127.0.0.1:{port}"), _data: data };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let bucket = format!("{}/team", server.endpoint);
        while !runtime.block_on(client.put(&bucket).send()).is_ok_and(|answer| answer.status().is_success()) {
            std::thread::yield_now();
        }
        Some(server)
    }
}

fn project(server: &Server, main: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let backend = format!(
        "terraform {{\n  backend \"s3\" {{\n    bucket = \"team\"\n    key = \"infra/terraform.tfstate\"\n    \
         region = \"us-east-1\"\n    endpoints = {{ s3 = \"{}\" }}\n    use_path_style = true\n  }}\n}}\n",
        server.endpoint
    );
    std::fs::write(folder.path().join("backend.tf"), backend).unwrap();
    std::fs::write(folder.path().join("main.tf"), main).unwrap();
    folder
}

fn pve(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pve"));
    command.args(words).current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command.env("PVE_ENCRYPTION_PASSPHRASE", "a team's passphrase");
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(folder: &Path, words: &[&str]) -> String {
    let output = pve(folder, words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output));
    text(&output)
}

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  count = 3\n  input = \"hunter2-hunter2\"\n}\n";

#[test]
fn two_machines_share_a_log_in_a_bucket() {
    let Some(server) = Server::start() else { return };
    let (one, other) = (project(&server, MAIN), project(&server, MAIN));
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
    let (one, other) = (project(&server, slow), project(&server, MAIN));
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
fn a_backend_that_pve_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let main = "terraform {\n  backend \"gcs\" {\n    bucket = \"b\"\n  }\n}\n";
    std::fs::write(folder.path().join("main.tf"), main).unwrap();
    let refused = pve(folder.path(), &["plan"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("backend \"gcs\""), "{}", text(&refused));
    assert!(!folder.path().join(".pve").exists());
}
