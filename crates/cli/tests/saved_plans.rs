//! Saved plans through the binary: applied as they are, or not at all.

mod common;

use std::fs;

use common::{Project, TWO};

#[test]
fn a_stale_plan_is_refused_and_changes_nothing() {
    let project = Project::new(TWO);
    project.ok(&["plan", "-out", "a.plan"]);
    project.ok(&["plan", "-out", "b.plan"]);
    project.ok(&["apply", "a.plan"]);
    let before = project.ok(&["log", "--json"]);
    assert!(project.fails(&["apply", "b.plan"]).contains("stale"));
    assert_eq!(project.ok(&["log", "--json"]), before);
}

#[test]
fn a_saved_plan_is_applied_as_it_is_whatever_the_files_say_by_then() {
    let project = Project::new(TWO);
    project.ok(&["plan", "-out", "a.plan"]);
    project.write("main.tf", "");
    project.ok(&["apply", "a.plan"]);
    assert_eq!(project.state().len(), 2);
}

#[test]
fn what_shapes_a_plan_is_refused_beside_a_saved_one() {
    let project = Project::new(TWO);
    project.ok(&["plan", "-out", "saved.plan"]);
    for option in
        ["-var=a=1", "-target=terraform_data.a", "-destroy", "-refresh=false", "-replace=terraform_data.a"]
    {
        let said = project.fails(&["apply", option, "saved.plan"]);
        let name =
            option.split_once("=").filter(|_| option != "-refresh=false").map_or(option, |(name, _)| name);
        assert!(said.contains(&format!("{name} is an option of planning")), "{said}");
    }
    assert!(project.state().is_empty());
    assert!(project.ok(&["apply", "saved.plan"]).contains("Outputs:\n\na = \"x\"\n"));
}

#[test]
fn a_saved_plan_is_not_applied_in_another_environment() {
    let project = Project::new(TWO);
    project.write("dev/dev.tfvars", "");
    project.ok(&["plan", "-out", "default.plan"]);
    project.ok(&["-e", "dev", "plan", "-out", "dev.plan"]);
    for (environment, plan) in [("dev", "default.plan"), ("default", "dev.plan"), ("other", "dev.plan")] {
        let said = project.fails(&["-e", environment, "apply", plan]);
        assert!(said.contains("the saved plan was made in the environment"), "{said}");
    }
    project.ok(&["apply", "dev.plan"]);
    assert_eq!(project.state().len(), 0);
    assert_eq!(project.ok(&["-e", "dev", "state", "list"]).lines().count(), 2);
}

/// Something that it says might not be known here, or be said otherwise.
#[test]
fn a_plan_that_another_version_has_saved_is_refused_with_what_to_do() {
    let project = Project::new(TWO);
    project.ok(&["plan", "-out", "saved.plan"]);
    let saved = fs::read(project.path().join("saved.plan")).unwrap();
    let end = saved.iter().position(|byte| *byte == b'\n').unwrap();
    for (format, age) in [("1", "an older"), ("99", "a newer")] {
        let other = [format!("pve plan {format}").as_bytes(), &saved[end..]].concat();
        fs::write(project.path().join("saved.plan"), other).unwrap();
        let said = project.fails(&["apply", "saved.plan"]);
        assert!(said.contains(&format!("saved.plan is a plan of {age} version of pve")), "{said}");
        assert!(said.contains("Plan again with"), "{said}");
    }
    for other in ["", "pve plan", "pve plan two\n", "pve plan 2"] {
        project.write("saved.plan", other);
        assert!(project.fails(&["apply", "saved.plan"]).contains("saved.plan is no plan of pve"));
    }
    assert!(project.state().is_empty());
}
