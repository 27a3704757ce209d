//! Who can open a log: several recipients, passphrases, rotation.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod common;

use std::path::Path;

use common::{Project, text};

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  count = 2\n  input = \"hunter2-hunter2\"\n}\n";

fn key_file(folder: &Path, name: &str, digit: char) -> String {
    let path = folder.join(name);
    std::fs::write(&path, digit.to_string().repeat(64)).unwrap();
    path.to_str().unwrap().to_string()
}

fn recipient(project: &Project, file: &str) -> String {
    let output = project.run_with(&[("PVE_ENCRYPTION_KEY_FILE", file)], &["-C", "elsewhere", "key", "show"]);
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

#[test]
fn a_team_has_a_key_each_and_one_who_left_opens_nothing_that_comes() {
    let project = Project::new(MAIN);
    project.write("elsewhere/main.tf", "");
    let (ann, bob) = (key_file(project.path(), "ann.key", 'a'), key_file(project.path(), "bob.key", 'b'));
    let (ann, bob) = ([("PVE_ENCRYPTION_KEY_FILE", &*ann)], [("PVE_ENCRYPTION_KEY_FILE", &*bob)]);
    let ok = |who: &[(&str, &str)], words: &[&str]| {
        let output = project.run_with(who, words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        text(&output)
    };
    let refused = |who: &[(&str, &str)], words: &[&str]| {
        let output = project.run_with(who, words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output));
        text(&output)
    };
    ok(&ann, &["apply", "-auto-approve"]);
    let told = refused(&bob, &["state", "list"]);
    assert!(told.contains("another key") && told.contains("pve key add -name YOU TEXT"), "{told}");
    ok(&ann, &["key", "add", "-name", "bob", &recipient(&project, bob[0].1)]);
    assert_eq!(ok(&bob, &["state", "list"]).lines().count(), 2);
    ok(&bob, &["taint", "terraform_data.a[0]"]);
    ok(&bob, &["key", "rotate"]);
    ok(&ann, &["apply", "-auto-approve"]);
    assert!(ok(&ann, &["key", "show"]).contains("bob (key file) since"));
    ok(&ann, &["key", "remove", "bob"]);
    ok(&ann, &["taint", "terraform_data.a[1]"]);
    assert!(refused(&bob, &["state", "list"]).contains("another key"));
    assert!(refused(&bob, &["apply", "-auto-approve"]).contains("another key"));
    let log = ok(&ann, &["log"]);
    for change in ["added bob", "a new key", "removed bob"] {
        assert!(log.contains(change), "{log}");
    }
    assert!(ok(&ann, &["log", "verify"]).contains("all open with the key here"));
    assert!(ok(&bob, &["log", "verify"]).contains("none changed. Without the log's key"));
    let last = project.run_with(&ann, &["key", "remove", "nobody"]);
    assert!(text(&last).contains("there is no recipient nobody"), "{}", text(&last));
    assert!(text(&last).contains("`pve key show` lists"), "{}", text(&last));
}

#[test]
fn a_passphrase_can_be_let_in_and_taken_for_a_key_file() {
    let project = Project::new(MAIN);
    project.ok(&["apply", "-auto-approve"]);
    assert!(
        project
            .fails(&["key", "add", "-name", "ci", "-passphrase"])
            .contains("PVE_NEW_ENCRYPTION_PASSPHRASE")
    );
    let short = project.run_with(
        &[("PVE_NEW_ENCRYPTION_PASSPHRASE", "correct horse b")],
        &["key", "add", "-name", "ci", "-passphrase"],
    );
    assert!(text(&short).contains("shorter than 16 characters"), "{}", text(&short));
    // Nor is a log made for one that is short.
    let other = Project::new(MAIN);
    let short =
        other.run_with(&[("PVE_ENCRYPTION_PASSPHRASE", "correct horse b")], &["apply", "-auto-approve"]);
    assert!(text(&short).contains("shorter than 16 characters"), "{}", text(&short));
    let added = project.run_with(
        &[("PVE_NEW_ENCRYPTION_PASSPHRASE", "correct horse battery")],
        &["key", "add", "-name", "ci", "-passphrase"],
    );
    assert!(added.status.success(), "{}", text(&added));
    let key = project.path().join(".pve/key");
    std::fs::rename(&key, project.path().join("aside")).unwrap();
    for (passphrase, code) in [("correct horse battery", 0), ("correct house battery", 1)] {
        let output = project.run_with(&[("PVE_ENCRYPTION_PASSPHRASE", passphrase)], &["state", "list"]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    }
    // A plan that is saved there opens wherever the passphrase is known.
    let with = [("PVE_ENCRYPTION_PASSPHRASE", "correct horse battery")];
    assert!(project.run_with(&with, &["taint", "terraform_data.a[0]"]).status.success());
    assert!(project.run_with(&with, &["plan", "-out", "p.plan"]).status.success());
    let applied = project.run_with(&with, &["apply", "p.plan"]);
    assert!(applied.status.success(), "{}", text(&applied));
}

#[test]
fn keys_that_are_older_than_those_seen_here_are_refused() {
    let project = Project::new(MAIN);
    project.ok(&["apply", "-auto-approve"]);
    let marker = std::fs::read_to_string(project.path().join(".pve/default/log.json")).unwrap();
    assert!(marker.contains("\"keyring\": 1"), "{marker}");
    // Keys that follow grow from those that were seen here; those of somebody else do not.
    project.ok(&["key", "rotate"]);
    project.ok(&["plan"]);
    let rotated = std::fs::read_to_string(project.path().join(".pve/default/log.json")).unwrap();
    let digest = |text: &str| text.split("\"digest\": \"").nth(1).unwrap()[..64].to_string();
    project.write(".pve/default/log.json", &rotated.replace(&digest(&rotated), &digest(&marker)));
    for words in [&["plan"][..], &["apply", "-auto-approve"], &["state", "list"]] {
        let refused = project.fails(words);
        assert!(refused.contains("has other keys than when it was last used here"), "{refused}");
    }
    project.write(".pve/default/log.json", &rotated);
    // As if a rotation had been seen here, and taken back since.
    project.write(".pve/default/log.json", &rotated.replace("\"keyring\": 2", "\"keyring\": 3"));
    for words in [&["plan"][..], &["apply", "-auto-approve"], &["state", "list"]] {
        let refused = project.fails(words);
        assert!(refused.contains("are those of revision 2, and were of revision 3"), "{refused}");
    }
}

#[test]
fn a_marker_that_cannot_be_read_does_not_turn_off_its_guard() {
    let project = Project::new(MAIN);
    project.ok(&["apply", "-auto-approve"]);
    let marker = std::fs::read_to_string(project.path().join(".pve/default/log.json")).unwrap();
    // A power cut leaves the last three.
    let (half, zeros) = (marker[..marker.len() / 2].to_string(), "\0".repeat(marker.len()));
    for (wrong, why) in [
        (marker.replace("\"sequence\"", "\"sequenz\""), "missing field `sequence`"),
        (marker.replace("\"format\": 1", "\"format\": 2"), "a newer version of pve wrote it"),
        (format!("<<<<<<< HEAD\n{marker}"), "expected value"),
        (String::new(), "it is empty or cut off"),
        (half, "it is empty or cut off"),
        (zeros, "it is empty or cut off"),
    ] {
        project.write(".pve/default/log.json", &wrong);
        for words in
            [&["plan"][..], &["apply", "-auto-approve"], &["state", "list"], &["init"], &["log", "verify"]]
        {
            let refused = project.fails(words);
            assert!(refused.contains("log.json") && refused.contains(why), "{words:?}: {refused}");
            assert!(refused.contains("Put it back from a copy"), "{refused}");
        }
        assert_eq!(std::fs::read_to_string(project.path().join(".pve/default/log.json")).unwrap(), wrong);
    }
    project.write(".pve/default/log.json", &marker);
    project.ok(&["plan"]);
}
