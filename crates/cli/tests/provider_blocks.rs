//! What is wrong with a provider block is told with its line, and of the environment by the name of the variable.

mod common;

use common::{Project, text};

const POOL: &str = "resource \"proxmox_virtual_environment_pool\" \"a\" {\n  pool_id = \"a\"\n}\n";

/// A project with this provider block.
fn project(arguments: &str) -> Project {
    Project::new(&format!("provider \"proxmox\" {{\n{arguments}\n}}\n{POOL}"))
}

const HERE: [(&str, &str); 2] =
    [("PROXMOX_VE_ENDPOINT", "https://127.0.0.1:1/"), ("PROXMOX_VE_API_TOKEN", "root@pam!t=s")];

#[test]
fn a_wrong_argument_is_told_with_its_line_by_plan_and_by_validate() {
    for (arguments, place, says) in [
        ("  endpoint = \"http://x\"", "main.tf:2:14", "endpoint = \"http://x\""),
        ("  min_tls = \"1.9\"", "main.tf:2:13", "Hint: write 1.3, or 1.2"),
        (
            "  api_token = \"\"\n  username = \"root\"\n  password = \"hunter2\"",
            "main.tf:3:14",
            "Hint: name the realm",
        ),
        (
            "  random_vm_ids = true\n  random_vm_id_start = 90000\n  random_vm_id_end = 80000",
            "main.tf:4:22",
            "Hint: ids are",
        ),
        ("  ssh {\n    node_address_source = \"guess\"\n  }", "main.tf:3:27", "\"guess\""),
        ("  ssh {\n    socks5_username = \"u\"\n  }", "main.tf:3:23", "Hint: set socks5_server"),
    ] {
        let project = project(arguments);
        for words in [["plan"], ["validate"]] {
            let output = project.run_with(&HERE, &words);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{words:?} {said}");
            assert!(said.contains(place) && said.contains(says) && !said.contains("hunter2"), "{said}");
        }
        let output = project.run_with(&HERE, &["validate", "--json"]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["diagnostics"][0]["range"]["filename"], "main.tf", "{answer}");
    }
}

#[test]
fn the_line_of_a_secret_is_not_shown() {
    for arguments in ["  api_token = \"hunter2\"", "  api_token = <<EOT\nhunter2\nEOT"] {
        let said = project(arguments).fails(&["plan"]);
        assert!(said.contains("main.tf:2:") || said.contains("no endpoint"), "{said}");
        let output = project(arguments).run_with(&HERE, &["plan"]);
        let said = text(&output);
        assert!(said.contains("api_token is no token") && said.contains("main.tf:2:15"), "{said}");
        assert!(said.contains("USER@REALM!NAME=SECRET") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_wrong_variable_of_the_environment_is_named() {
    for (name, value) in [
        ("PROXMOX_VE_ENDPOINT", "http://x"),
        ("PROXMOX_VE_API_TOKEN", "hunter2"),
        ("PROXMOX_VE_MIN_TLS", "1.9"),
        ("PROXMOX_VE_SSH_PORT", "many"),
    ] {
        let output = project("").run_with(&[HERE[0], HERE[1], (name, value)], &["plan"]);
        let said = text(&output);
        assert!(said.contains(&format!("Error: {name} is ")), "{said}");
        assert!(!said.contains("main.tf") && !said.contains("hunter2") && said.contains("Hint: "), "{said}");
    }
    let said = project("").fails(&["plan"]);
    assert!(said.contains("no endpoint") && said.contains("main.tf:1:1"), "{said}");
    // Of which variables there are, that is not for a check of the text.
    project("").ok(&["validate"]);
}
