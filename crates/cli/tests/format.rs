//! `pve fmt` and the files it writes.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use common::Project;

const UNTIDY: &str = "locals{\n}\nlocals {\n  a=1\n}\n";
const TIDY: &str = "locals {\n}\nlocals {\n  a = 1\n}\n";

/// Runs it; what it prints.
fn format(project: &Project, words: &[&str]) -> String {
    let output = project.run(words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn read(project: &Project, name: &str) -> String {
    fs::read_to_string(project.path().join(name)).unwrap()
}

#[test]
fn files_keep_their_mode_and_links_stay_links() {
    let project = Project::new(UNTIDY);
    let main = project.path().join("main.tf");
    fs::set_permissions(&main, fs::Permissions::from_mode(0o640)).unwrap();
    project.write("elsewhere/real.txt", UNTIDY);
    symlink("elsewhere/real.txt", project.path().join("linked.tf")).unwrap();
    assert_eq!(format(&project, &["fmt"]), "linked.tf\nmain.tf\n");
    assert_eq!(fs::metadata(&main).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(project.path().join("linked.tf").is_symlink());
    assert_eq!(
        (read(&project, "main.tf").as_str(), read(&project, "elsewhere/real.txt").as_str()),
        (TIDY, TIDY)
    );
    let left: Vec<_> =
        fs::read_dir(project.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(format(&project, &["fmt"]), "");
}

#[test]
fn what_terraform_passes_over_is_passed_over() {
    let project = Project::new(TIDY);
    for name in [".hidden.tf", "backup.tf~", "#lock.tf#", ".terraform/module.tf", "note.hcl", "main.tf.json"]
    {
        project.write(name, UNTIDY);
    }
    for name in ["a.tftest.hcl", "b.tofutest.hcl", "c.tfmock.hcl", "below/d.tofu", "e.tfvars"] {
        project.write(name, UNTIDY);
    }
    symlink("..", project.path().join("below/up")).unwrap();
    let changed = format(&project, &["fmt", "-recursive"]);
    assert_eq!(changed, "a.tftest.hcl\nb.tofutest.hcl\nbelow/d.tofu\nc.tfmock.hcl\ne.tfvars\n");
    assert_eq!(read(&project, "backup.tf~"), UNTIDY);
}

#[test]
fn files_stay_as_they_are_without_write() {
    let project = Project::new(UNTIDY);
    assert_eq!(format(&project, &["fmt", "-write=false"]), "main.tf\n");
    assert_eq!(format(&project, &["fmt", "-write=false", "-list=false"]), TIDY);
    let diff = format(&project, &["fmt", "-list=false", "-write=false", "-diff"]);
    assert!(diff.contains("-  a=1\n+  a = 1\n"), "{diff}");
    assert_eq!(project.run(&["fmt", "-check"]).status.code(), Some(3));
    assert_eq!(read(&project, "main.tf"), UNTIDY);
}
