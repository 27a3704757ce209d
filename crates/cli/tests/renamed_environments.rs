//! Folders of environments, and logs in files, that are renamed or copied with what is kept beside them.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod store;

use std::path::Path;

use store::{fails, ok};

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  count = 3\n}\n";

fn local(environments: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.tf"), MAIN).unwrap();
    for name in environments {
        let variables = folder.path().join("environments").join(name);
        std::fs::create_dir_all(&variables).unwrap();
        std::fs::write(variables.join("x.tfvars"), "").unwrap();
    }
    folder
}

fn set_path(folder: &Path, path: &str) {
    let block = format!("terraform {{\n  backend \"local\" {{\n    path = \"{path}\"\n  }}\n}}\n");
    std::fs::write(folder.join("backend.tf"), block).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_environment_that_is_renamed_with_its_log_goes_on() {
    let folder = local(&["dev", "prod"]);
    let path = folder.path();
    ok(path, &["apply", "-e", "dev", "-auto-approve"]);
    std::fs::rename(path.join(".pve/dev"), path.join(".pve/stage")).unwrap();
    std::fs::rename(path.join("environments/dev"), path.join("environments/stage")).unwrap();
    assert!(ok(path, &["plan", "-e", "stage"]).contains("No changes."));
    assert!(ok(path, &["apply", "-e", "stage", "-auto-approve"]).contains("No changes."));
    ok(path, &["init"]);
    // What is kept of it alone is no log.
    std::fs::create_dir_all(path.join(".pve/prod")).unwrap();
    std::fs::rename(path.join(".pve/stage/log.json"), path.join(".pve/prod/log.json")).unwrap();
    let refused = fails(path, &["apply", "-e", "prod", "-auto-approve"]);
    assert!(refused.contains("is empty, but it went up to event"), "{refused}");
    assert!(!path.join(".pve/prod/log.db").exists());
}

#[test]
fn an_environment_whose_log_is_a_copy_of_another_one_s_is_refused_until_it_is_adopted() {
    let folder = local(&["dev", "prod"]);
    let path = folder.path();
    ok(path, &["apply", "-e", "dev", "-auto-approve"]);
    copy_folder(&path.join(".pve/dev"), &path.join(".pve/prod"));
    let kept = std::fs::read(path.join(".pve/prod/log.json")).unwrap();
    for words in [
        &["plan"][..],
        &["apply", "-auto-approve"],
        &["taint", "terraform_data.a[0]"],
        &["init"],
        &["init", "-migrate"],
        &["init", "-reconfigure"],
    ] {
        let refused = fails(path, &[&["-e", "prod"], words].concat());
        assert!(refused.contains("is a copy: the one that it was copied from is"), "{words:?}: {refused}");
        assert!(
            refused.contains(".pve/dev/log.db") && refused.contains("-adopt-copy"),
            "{words:?}: {refused}"
        );
    }
    assert_eq!(std::fs::read(path.join(".pve/prod/log.json")).unwrap(), kept);
    assert!(ok(path, &["apply", "-e", "dev", "-auto-approve"]).contains("No changes."));
    assert!(ok(path, &["init", "-e", "prod", "-adopt-copy"]).contains("makes everything twice"));
    assert!(ok(path, &["apply", "-e", "prod", "-auto-approve"]).contains("No changes."));
}

/// Whoever has the log open must not be the one that is overlooked, and an older version must be able to read on.
#[cfg(unix)]
#[test]
fn the_log_that_a_copy_is_of_is_only_looked_at() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = local(&["dev", "prod"]);
    let path = folder.path();
    ok(path, &["apply", "-e", "dev", "-auto-approve"]);
    copy_folder(&path.join(".pve/dev"), &path.join(".pve/prod"));
    let log = path.join(".pve/dev/log.db");
    let shared = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&log, shared).unwrap();
    let before = std::fs::read(&log).unwrap();
    let files = log.parent().unwrap().read_dir().unwrap().count();
    assert!(fails(path, &["plan", "-e", "prod"]).contains("is a copy"));
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read(&log).unwrap(), before);
    assert_eq!(log.parent().unwrap().read_dir().unwrap().count(), files);
    // One that cannot be read may be worked on.
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    assert!(fails(path, &["plan", "-e", "prod"]).contains("is a copy"));
}

#[test]
fn a_log_whose_file_was_moved_with_its_block_goes_on_and_one_that_is_gone_is_not_made_anew() {
    let folder = local(&[]);
    let path = folder.path();
    set_path(path, "one/t.tfstate");
    ok(path, &["apply", "-auto-approve"]);
    std::fs::rename(path.join("one"), path.join("two")).unwrap();
    set_path(path, "two/t.tfstate");
    assert!(ok(path, &["plan"]).contains("No changes."));
    ok(path, &["init", "-migrate"]);

    std::fs::rename(path.join("two"), path.join("aside")).unwrap();
    set_path(path, "three/t.tfstate");
    let refused = fails(path, &["init", "-migrate"]);
    assert!(refused.contains("two/t.tfstate.pve/log.db is not there any more"), "{refused}");
    assert!(!path.join("two").exists() && !path.join("three").exists());
    assert!(fails(path, &["plan"]).contains("`pve init -migrate` moves it there"));
}

#[test]
fn a_log_is_not_left_behind_for_a_copy_of_it() {
    let folder = local(&[]);
    let path = folder.path();
    set_path(path, "one/t.tfstate");
    ok(path, &["apply", "-auto-approve"]);
    copy_folder(&path.join("one/t.tfstate.pve"), &path.join("two/t.tfstate.pve"));
    set_path(path, "two/t.tfstate");
    let refused = fails(path, &["init", "-reconfigure"]);
    assert!(refused.contains("is a copy of one/t.tfstate.pve/log.db"), "{refused}");
    assert!(ok(path, &["init", "-adopt-copy"]).contains("makes everything twice"));
    assert!(ok(path, &["apply", "-auto-approve"]).contains("No changes."));
}

#[test]
fn a_copy_that_lacks_what_was_seen_is_not_adopted() {
    let folder = local(&["dev", "prod"]);
    let path = folder.path();
    ok(path, &["apply", "-e", "dev", "-auto-approve"]);
    let before = std::fs::read(path.join(".pve/dev/log.db")).unwrap();
    ok(path, &["taint", "-e", "dev", "terraform_data.a[0]"]);
    copy_folder(&path.join(".pve/dev"), &path.join(".pve/prod"));
    std::fs::write(path.join(".pve/prod/log.db"), before).unwrap();
    let kept = std::fs::read(path.join(".pve/prod/log.json")).unwrap();
    let refused = fails(path, &["init", "-e", "prod", "-adopt-copy"]);
    assert!(refused.contains("but it went up to event"), "{refused}");
    assert_eq!(std::fs::read(path.join(".pve/prod/log.json")).unwrap(), kept);
}
