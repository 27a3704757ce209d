//! The examples on the reference pages: every resource is planned, every data source is checked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Project;

const PROVIDER: &str = "provider \"proxmox\" {\n  endpoint = \"https://127.0.0.1:8006/\"\n}\n\n";

/// The examples of one folder of the reference in one configuration, and how many there are.
fn examples(folder: &str) -> (String, usize) {
    let pages = pve_resources::reference();
    let examples: Vec<String> =
        pages.into_iter().filter(|page| page.path.starts_with(folder)).map(|page| page.example).collect();
    (format!("{PROVIDER}{}", examples.join("\n")), examples.len())
}

#[test]
fn every_example_of_a_resource_is_planned() {
    let (main, count) = examples("resources/");
    let project = Project::new(&main);
    let plan = project.ok(&["plan", "--simulate"]);
    assert!(plan.contains(&format!("{count} to add, 0 to change, 0 to destroy")), "{plan}");
}

#[test]
fn every_example_of_a_data_source_is_valid() {
    let (main, count) = examples("data-sources/");
    assert!(count > 50, "{count}");
    Project::new(&main).ok(&["validate"]);
}
