//! The examples on the reference pages: every resource is planned, every data source is checked.

mod common;

use common::Project;

const PROVIDER: &str = "provider \"proxmox\" {\n  endpoint = \"https://127.0.0.1:8006/\"\n}\n\n";

/// The examples of one folder of the reference in one configuration, and how many there are.
fn examples(folder: &str) -> (String, usize) {
    let pages = pve_resources::reference();
    let examples: Vec<String> =
        pages.into_iter().filter(|page| page.path.starts_with(folder)).map(|page| page.example).collect();
    let count = examples.iter().map(|example| example.matches("\" \"").count()).sum();
    (format!("{PROVIDER}{}", examples.join("\n")), count)
}

#[test]
fn every_example_of_a_resource_is_planned() {
    let (main, count) = examples("resources/");
    let project = Project::new(&main);
    let plan = project.ok(&["plan", "--simulate"]);
    assert!(plan.contains(&format!("{count} to add, 0 to change, 0 to destroy")), "{plan}");
}

/// What an example needs beside it stands in it.
#[test]
fn examples_of_what_is_in_something_else_are_applied_alone() {
    let kinds = [
        "acl",
        "user_token",
        "pool_membership",
        "sdn_vnet",
        "sdn_subnet",
        "sdn_fabric_node_openfabric",
        "sdn_fabric_node_ospf",
        "sdn_zone_evpn",
        "haresource",
        "harule",
        "cloned_vm",
        "realm_sync",
        "network_linux_bridge",
        "storage_lvm",
        "storage_lvmthin",
    ];
    let pages = pve_resources::reference();
    for kind in kinds {
        let path = format!("resources/{kind}.md");
        let page = pages.iter().find(|page| page.path == path).unwrap();
        let project = Project::new(&format!("{PROVIDER}{}", page.example));
        project.ok(&["apply", "--simulate", "--auto-approve"]);
    }
}

#[test]
fn every_example_of_a_data_source_is_valid() {
    let (main, count) = examples("data-sources/");
    assert!(count > 50, "{count}");
    Project::new(&main).ok(&["validate"]);
}
