//! The crates depend on each other as `ARCHITECTURE.md` says, and in no other way.

#![allow(clippy::expect_used)]

use std::process::Command;

use serde_json::Value;

/// What each crate may use of ours.
const RULES: &[(&str, &[&str])] = &[
    ("pve-model", &[]),
    ("pve-config", &["pve-model"]),
    ("pve-planner", &["pve-model", "pve-config"]),
    ("pve-executor", &["pve-model"]),
    ("pve-state", &["pve-model"]),
    ("pve-state-sqlite", &["pve-model", "pve-state"]),
    ("pve-state-s3", &["pve-model", "pve-state"]),
    ("pve-api-client", &[]),
    ("pve-resources", &["pve-model", "pve-executor", "pve-api-client"]),
    ("pve-simulator", &[]),
];

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let cargo = std::env::var_os("CARGO").expect("cargo names itself");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    for (name, allowed) in RULES {
        let package = packages
            .iter()
            .find(|package| package["name"] == *name)
            .unwrap_or_else(|| panic!("there is no crate {name}"));
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            let used = dependency["name"].as_str().unwrap_or_default();
            let normal = dependency["kind"].is_null();
            assert!(
                !normal || !used.starts_with("pve-") || allowed.contains(&used),
                "{name} must not depend on {used}; it may use {allowed:?}"
            );
        }
    }
}
