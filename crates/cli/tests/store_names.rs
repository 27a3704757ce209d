//! A store that is reached by another name than before, and a copy in another store that looks the same.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

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

#[test]
fn neither_a_copy_nor_a_name_is_recorded_in_a_log_that_is_not_the_one_that_is_named_or_was_seen() {
    let (Some(one), Some(other)) = (Server::start(), Server::start()) else { return };
    let first = project(one.address(), MAIN);
    ok(first.path(), &["apply", "-auto-approve"]);
    copy_all(&one, &other);
    let late = project(other.address(), MAIN);
    let there = batches(&other);
    for option in ["-adopt-copy", "-same-store"] {
        let output = pve(late.path(), &["init", option]).env("PVE_LOG_ID", "another").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("and PVE_LOG_ID names another"), "{}", text(&output));
    }
    assert_eq!(batches(&other), there);
    // What was adopted is put back to what it was a copy of.
    ok(late.path(), &["init", "-adopt-copy"]);
    ok(late.path(), &["taint", "terraform_data.a[0]"]);
    for key in other.keys() {
        other.request("DELETE", &format!("/team/{key}"), "");
    }
    copy_all(&one, &other);
    let kept = marker(late.path(), "default");
    let refused = fails(late.path(), &["init", "-adopt-copy"]);
    assert!(refused.contains("but it went up to event"), "{refused}");
    assert_eq!((marker(late.path(), "default"), batches(&other)), (kept, there));
}

/// As a version wrote it that did not keep the endpoint of a profile.
#[test]
fn a_place_without_an_endpoint_is_where_the_profile_leads_if_the_log_is_there() {
    let (Some(one), Some(other)) = (Server::start(), Server::start()) else { return };
    let folder = project(one.address(), MAIN);
    let path = folder.path();
    let block = backend(one.address(), KEY);
    set_backend(
        path,
        &block.lines().filter(|line| !line.contains("endpoints")).collect::<Vec<_>>().join("\n"),
    );
    let file = path.join("aws");
    let run = |server: &Server, words: &[&str]| {
        std::fs::write(&file, format!("[default]\nendpoint_url = http://{}\n", server.address())).unwrap();
        let output = pve(path, words).env("AWS_CONFIG_FILE", &file).output().unwrap();
        (output.status.code(), text(&output))
    };
    assert_eq!(run(&one, &["apply", "-auto-approve"]).0, Some(0));
    let mut known: serde_json::Value = serde_json::from_str(&marker(path, "default")).unwrap();
    known["place"]["name"] = format!("s3://team/{KEY}.pve").into();
    assert!(known["place"]["arguments"].as_object_mut().unwrap().remove("endpoints").is_some());
    std::fs::write(path.join(".pve/default/log.json"), known.to_string()).unwrap();
    let (code, told) = run(&other, &["plan"]);
    assert!(code == Some(1) && told.contains("and the configuration now names"), "{told}");
    let (code, told) = run(&one, &["plan"]);
    assert!(code == Some(0) && told.contains("No changes."), "{told}");
}

#[test]
fn another_name_of_the_same_store_leads_to_the_same_log_and_another_store_does_not() {
    let (Some(server), Some(other)) = (Server::start(), Server::start()) else { return };
    let one = project(server.address(), MAIN);
    let path = one.path();
    ok(path, &["apply", "-auto-approve"]);
    let named = named_localhost(&server);
    set_backend(path, &named);
    let refused = fails(path, &["plan"]);
    assert!(refused.contains("another name of the same store, `pve init -reconfigure`"), "{refused}");
    let told = ok(path, &["init", "-reconfigure"]);
    assert!(!told.contains("left behind"), "{told}");
    assert!(ok(path, &["apply", "-auto-approve"]).contains("No changes."));
    assert!(ok(path, &["log", "verify"]).contains("none changed"));
    // What was seen there is still known: it is no log that begins anew.
    set_backend(path, &backend(other.address(), KEY));
    for _ in 0..2 {
        let refused = fails(path, &["init", "-reconfigure"]);
        assert!(refused.contains("is empty, but it went up to event"), "{refused}");
        assert!(fails(path, &["plan"]).contains("another name of the same store"));
    }
    set_backend(path, &named);
    assert!(ok(path, &["plan"]).contains("No changes."));
}

/// Names of places were once kept with the slash that an endpoint had at its end.
#[test]
fn a_place_is_the_same_with_a_slash_at_its_end() {
    let Some(server) = Server::start() else { return };
    let folder = project(server.address(), MAIN);
    let path = folder.path();
    ok(path, &["apply", "-auto-approve"]);
    let marker = path.join(".pve/default/log.json");
    let mut known: serde_json::Value = serde_json::from_slice(&std::fs::read(&marker).unwrap()).unwrap();
    let name = format!("{}/", known["place"]["name"].as_str().unwrap());
    known["place"]["name"] = name.into();
    std::fs::write(&marker, known.to_string()).unwrap();
    assert!(ok(path, &["plan"]).contains("No changes."));
}
