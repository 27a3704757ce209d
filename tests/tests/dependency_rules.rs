//! The crates depend on each other as `ARCHITECTURE.md` says, and in no other way.

use std::process::Command;

use serde_json::Value;

/// What each crate may use of ours.
const RULES: &[(&str, &[&str])] = &[
    ("pve-model", &[]),
    ("pve-config", &["pve-model"]),
    ("pve-modules", &["pve-config"]),
    ("pve-planner", &["pve-model", "pve-config"]),
    ("pve-executor", &["pve-model"]),
    ("pve-state", &["pve-model"]),
    ("pve-state-sqlite", &["pve-model", "pve-state"]),
    ("pve-state-s3", &["pve-model", "pve-state"]),
    ("pve-api-client", &[]),
    ("pve-resources", &["pve-model", "pve-executor", "pve-api-client"]),
    ("pve-simulator", &[]),
];

/// The packages that may use every crate: the binary, and the end-to-end tests.
const UNRESTRICTED: &[&str] = &["pve-cli", "pve-tests"];

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let cargo = std::env::var_os("CARGO").expect("cargo names itself");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let mut violations = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        if UNRESTRICTED.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = RULES.iter().find(|(ruled, _)| *ruled == name) else {
            violations.push(format!("{name} has no rule: say what it may use"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            let used = dependency["name"].as_str().expect("a dependency has a name");
            // A normal dependency has no kind; tests and build scripts may use what they need.
            let normal = dependency["kind"].is_null();
            if normal && used.starts_with("pve-") && !allowed.contains(&used) {
                violations.push(format!("{name} must not depend on {used}; it may use {allowed:?}"));
            }
        }
    }
    for (name, _) in RULES {
        if !packages.iter().any(|package| package["name"] == *name) {
            violations.push(format!("there is no crate {name}"));
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
