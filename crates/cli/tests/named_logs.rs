//! A log that somebody who can write to the bucket, and has no key of it, begins in the place of a team's.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod store;

use std::path::Path;
use std::process::Command;

use store::{Server, project, pve, text};

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  input = \"hunter2-hunter2\"\n}\n";

fn with_key(folder: &Path, digit: char, words: &[&str]) -> Command {
    let file = folder.join("key");
    std::fs::write(&file, digit.to_string().repeat(64)).unwrap();
    let mut command = pve(folder, words);
    command.env_remove("PVE_ENCRYPTION_PASSPHRASE").env("PVE_ENCRYPTION_KEY_FILE", file);
    command
}

fn said(mut command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    text(&output)
}

#[test]
fn a_machine_that_never_saw_the_log_takes_none_but_the_one_that_is_named() {
    let Some(server) = Server::start() else { return };
    let new = || project(server.address(), MAIN);
    let (ann, mallory, runner) = (new(), new(), new());
    said(with_key(ann.path(), 'a', &["apply", "-auto-approve"]), 0);
    let shown = said(with_key(ann.path(), 'a', &["key", "show"]), 0);
    let recipient = shown.lines().next().unwrap().to_string();
    let id = shown.lines().find_map(|line| line.strip_prefix("The log is ")).unwrap().trim_end_matches('.');
    let named = |folder: &Path, words: &[&str]| {
        let mut command = with_key(folder, 'a', words);
        command.env("PVE_LOG_ID", format!("another,{id}"));
        command
    };
    // At its first use it is told whose it is, and not after that, nor where it is named.
    let told = said(with_key(new().path(), 'a', &["plan"]), 0);
    assert!(told.contains(&format!("PVE_LOG_ID={id}, begun by ")) && told.contains("sealed for "), "{told}");
    assert!(!said(with_key(ann.path(), 'a', &["plan"]), 0).contains("PVE_LOG_ID"));
    assert!(!said(named(new().path(), &["plan"]), 0).contains("PVE_LOG_ID"));
    for words in [&["log", "verify"][..], &["key", "show"], &["key", "rotate"], &["log", "verify"]] {
        said(named(ann.path(), words), 0);
    }
    said(named(new().path(), &["log", "verify"]), 0);

    for key in server.keys() {
        server.request("DELETE", &format!("/team/{key}"), "");
    }
    assert!(said(named(runner.path(), &["apply", "-auto-approve"]), 1).contains("the log is empty"));
    said(with_key(mallory.path(), 'b', &["apply", "-auto-approve"]), 0);
    said(with_key(mallory.path(), 'b', &["key", "add", "-name", "root", &recipient]), 0);
    let before = server.keys();
    for words in
        [&["plan"][..], &["apply", "-auto-approve"], &["key", "rotate"], &["state", "list"], &["log", "push"]]
    {
        let refused = said(named(runner.path(), words), 1);
        assert!(refused.contains("and PVE_LOG_ID names"), "{words:?}: {refused}");
    }
    // The lease is all that was written.
    let events = |keys: &[String]| keys.iter().filter(|key| key.contains("/log/")).count();
    assert_eq!(events(&server.keys()), events(&before));
    // Its id alone is no way in.
    let mut by_id = with_key(runner.path(), 'a', &["plan"]);
    by_id.env("PVE_LOG_ID", id.split('.').next().unwrap());
    assert!(said(by_id, 1).contains("and PVE_LOG_ID names"));
}

#[test]
fn a_log_on_this_machine_is_named_as_well() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.tf"), MAIN).unwrap();
    let with = |id: &str, words: &[&str]| {
        let mut command = pve(folder.path(), words);
        command.env("PVE_LOG_ID", id);
        command
    };
    said(pve(folder.path(), &["apply", "-auto-approve"]), 0);
    let shown = said(pve(folder.path(), &["key", "show"]), 0);
    let id = shown.lines().find_map(|line| line.strip_prefix("The log is ")).unwrap().trim_end_matches('.');
    said(with(id, &["plan"]), 0);
    said(with(id, &["log", "verify"]), 0);
    for words in [&["plan"][..], &["apply", "-auto-approve"], &["key", "rotate"], &["log", "verify"]] {
        assert!(said(with("another", words), 1).contains("and PVE_LOG_ID names another"), "{words:?}");
    }
}
