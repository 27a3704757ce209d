//! A store that is reached by another name than before, and a copy in another store that looks the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod store;

use std::path::Path;

use store::{Server, backend, fails, ok, project, pve, text};

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  count = 3\n}\n";
const KEY: &str = "infra/terraform.tfstate";

fn set_backend(folder: &Path, text: &str) {
    std::fs::write(folder.join("backend.tf"), text).unwrap();
}

fn copy_all(from: &Server, to: &Server) {
    for key in from.keys() {
        let (_, body) = from.request("GET", &format!("/team/{key}"), "");
        to.request("PUT", &format!("/team/{key}"), &body);
    }
}

fn batches(server: &Server) -> usize {
    server.keys().iter().filter(|key| key.contains("/log/")).count()
}

fn marker(folder: &Path, environment: &str) -> String {
    std::fs::read_to_string(folder.join(".pve").join(environment).join("log.json")).unwrap()
}

fn named_localhost(server: &Server) -> String {
    backend(server.address(), KEY).replace("127.0.0.1", "localhost")
}

#[test]
fn who_knows_a_log_does_not_follow_it_to_a_copy_while_the_first_one_answers() {
    let (Some(one), Some(other)) = (Server::start(), Server::start()) else { return };
    let (first, second) = (project(one.address(), MAIN), project(one.address(), MAIN));
    ok(first.path(), &["apply", "-auto-approve"]);
    ok(second.path(), &["plan"]);
    copy_all(&one, &other);
    let (kept, there) = (marker(second.path(), "default"), batches(&other));
    set_backend(second.path(), &backend(other.address(), KEY));
    for _ in 0..2 {
        let refused = fails(second.path(), &["init", "-reconfigure"]);
        let original = format!("is a copy: the one at http://{} is still there", one.address());
        assert!(refused.contains(&original), "{refused}");
        assert!(refused.contains("`pve init -reconfigure -adopt-copy`"), "{refused}");
    }
    assert_eq!((marker(second.path(), "default"), batches(&other)), (kept, there));
    assert!(fails(second.path(), &["plan"]).contains("and the configuration now names"));
    // Whoever never saw it and says that it is the same store is not believed, either.
    let late = project(other.address(), MAIN);
    let refused = fails(late.path(), &["init", "-same-store"]);
    assert!(refused.contains("is a copy") && refused.contains("`pve init -adopt-copy`"), "{refused}");
    assert_eq!(batches(&other), there);
    assert!(ok(first.path(), &["apply", "-auto-approve"]).contains("No changes."));

    let adopted = ok(second.path(), &["init", "-reconfigure", "-adopt-copy"]);
    assert!(adopted.contains("makes everything twice"), "{adopted}");
    assert!(ok(second.path(), &["apply", "-auto-approve"]).contains("No changes."));
}

#[test]
fn another_name_is_seen_to_lead_to_the_same_store_and_where_that_cannot_be_seen_it_is_told() {
    let (Some(one), Some(other)) = (Server::start(), Server::start()) else { return };
    let (first, late) = (project(one.address(), MAIN), project(one.address(), MAIN));
    ok(first.path(), &["apply", "-auto-approve"]);
    set_backend(first.path(), &named_localhost(&one));
    let told = ok(first.path(), &["init", "-reconfigure"]);
    assert!(
        told.contains("another name of the store of") && told.contains("is written here is there"),
        "{told}"
    );
    set_backend(late.path(), &named_localhost(&one));
    ok(late.path(), &["plan"]);

    copy_all(&one, &other);
    drop(one);
    set_backend(first.path(), &backend(other.address(), KEY));
    let told = ok(first.path(), &["init", "-reconfigure"]);
    assert!(told.contains("which could not be asked. If this is a copy"), "{told}");
    assert!(ok(first.path(), &["apply", "-auto-approve"]).contains("No changes."));
}

#[test]
fn of_several_environments_all_follow_to_another_name_or_none() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    let path = one.path();
    std::fs::create_dir(path.join("staging")).unwrap();
    std::fs::write(path.join("staging/terraform.tfvars"), "").unwrap();
    ok(path, &["apply", "-auto-approve"]);
    ok(path, &["-e", "staging", "apply", "-auto-approve"]);
    let kept = ["default", "staging"].map(|environment| marker(path, environment));
    let of_staging: Vec<(String, String)> = server
        .keys()
        .into_iter()
        .filter(|key| key.contains("/staging/"))
        .map(|key| (key.clone(), server.request("GET", &format!("/team/{key}"), "").1))
        .collect();
    for (key, _) in &of_staging {
        server.request("DELETE", &format!("/team/{key}"), "");
    }
    let there = batches(&server);
    set_backend(path, &named_localhost(&server));
    fails(path, &["init", "-reconfigure"]);
    assert_eq!(["default", "staging"].map(|environment| marker(path, environment)), kept);
    assert_eq!(batches(&server), there);
    set_backend(path, &backend(server.address(), KEY));
    assert!(ok(path, &["plan"]).contains("No changes."));

    for (key, body) in &of_staging {
        server.request("PUT", &format!("/team/{key}"), body);
    }
    set_backend(path, &named_localhost(&server));
    ok(path, &["init", "-reconfigure"]);
    for environment in ["default", "staging"] {
        let known: serde_json::Value = serde_json::from_str(&marker(path, environment)).unwrap();
        let newest = server
            .keys()
            .iter()
            .filter(|key| key.contains("/log/") && key.contains("/staging/") == (environment == "staging"))
            .count();
        assert!(known["place"]["name"].as_str().unwrap().contains("localhost"), "{known}");
        assert!(known["sequence"].as_u64().unwrap() >= newest as u64, "{known} {newest}");
        assert!(ok(path, &["-e", environment, "plan"]).contains("No changes."));
    }
}

/// In an office and through a tunnel, for instance.
#[test]
fn names_that_are_recorded_are_changed_between_without_a_word() {
    let (Some(server), Some(other)) = (Server::start(), Server::start()) else { return };
    let (one, late) = (project(server.address(), MAIN), project(server.address(), MAIN));
    ok(one.path(), &["apply", "-auto-approve"]);
    set_backend(late.path(), &named_localhost(&server));
    ok(late.path(), &["init", "-same-store"]);
    for _ in 0..2 {
        for block in [named_localhost(&server), backend(server.address(), KEY)] {
            set_backend(one.path(), &block);
            assert!(ok(one.path(), &["apply", "-auto-approve"]).contains("No changes."));
        }
    }
    // Two ways to write one name.
    set_backend(one.path(), &named_localhost(&server).replace("http://localhost", "HTTP://LOCALHOST"));
    assert!(ok(one.path(), &["plan"]).contains("No changes."));
    set_backend(one.path(), &named_localhost(&server));
    ok(one.path(), &["init", "-migrate"]);
    assert!(ok(one.path(), &["plan"]).contains("No changes."));
    copy_all(&server, &other);
    set_backend(one.path(), &backend(other.address(), KEY));
    assert!(fails(one.path(), &["plan"]).contains("and the configuration now names"));
}

#[test]
fn a_profile_that_cannot_be_read_does_not_lead_to_another_store() {
    let folder = project(([127, 0, 0, 1], 1).into(), MAIN);
    let path = folder.path();
    let block: String = backend(([127, 0, 0, 1], 1).into(), KEY)
        .lines()
        .filter(|line| !line.contains("endpoints"))
        .collect::<Vec<_>>()
        .join("\n");
    set_backend(path, &block);
    let file = path.join("aws");
    std::fs::write(&file, "[default\nendpoint_url = http://127.0.0.1:1\n").unwrap();
    let output = pve(path, &["plan"]).env("AWS_CONFIG_FILE", &file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("profile cannot be looked up"), "{}", text(&output));
}
