//! A `backend` block or its arguments that change while there is a log: what fails changes nothing, and every refusal says
//! what leads on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod store;

use std::path::Path;

use store::{Proxy, Server, backend, fails, ok, project, pve, text};

const MAIN: &str = "resource \"terraform_data\" \"a\" {\n  count = 12\n}\n";

fn set_backend(folder: &Path, text: &str) {
    std::fs::write(folder.join("backend.tf"), text).unwrap();
}

fn kept(folder: &Path) -> [Option<Vec<u8>>; 2] {
    ["backend.json", "default/log.json"].map(|name| std::fs::read(folder.join(".pve").join(name)).ok())
}

#[test]
fn an_init_that_fails_changes_nothing() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    let path = one.path();
    // All but the bucket is in the block.
    let block = backend(server.address(), "infra/terraform.tfstate").replace("bucket = \"team\"", "");
    set_backend(path, &block);
    ok(path, &["init", "-backend-config=bucket=team"]);
    ok(path, &["apply", "-auto-approve"]);
    let before = kept(path);
    assert!(before.iter().all(Option::is_some));
    for option in ["", "-migrate", "-reconfigure"] {
        let words = ["init", "-backend-config=bucket=nosuch", option];
        let words = &words[..if option.is_empty() { 2 } else { 3 }];
        let refused = fails(path, words);
        assert!(refused.contains("s3://nosuch/infra"), "{words:?}: {refused}");
        assert_eq!(kept(path), before, "{words:?}");
        assert!(ok(path, &["plan"]).contains("No changes."), "{words:?}");
    }
    // The other environments, too: a log that cannot be moved keeps all arguments as they are.
    let words = ["init", "-migrate", "-backend-config=bucket=team", "-backend-config=key=other"];
    let occupied = project(server.address(), MAIN);
    set_backend(occupied.path(), &backend(server.address(), "other"));
    ok(occupied.path(), &["apply", "-auto-approve"]);
    let refused = fails(path, &words);
    assert!(refused.contains("there is a log with"), "{refused}");
    assert_eq!(kept(path), before);
    assert!(ok(path, &["plan"]).contains("No changes."));
}

#[test]
fn what_was_kept_of_a_run_is_pushed_before_its_log_is_moved_and_the_refusals_lead_there() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.address());
    let one = project(proxy.address, MAIN);
    let path = one.path();
    proxy.cut_after(3, false);
    let cut = pve(path, &["apply", "-auto-approve", "-parallelism=2"]).output().unwrap();
    assert!(text(&cut).contains("log push"), "{}", text(&cut));
    proxy.open();
    ok(path, &["unlock", "-force"]);
    let old = std::fs::read_to_string(path.join("backend.tf")).unwrap();
    set_backend(path, &backend(proxy.address, "further"));
    for words in [&["apply", "-auto-approve"][..], &["log", "push"]] {
        assert!(fails(path, words).contains("`pve init -migrate` moves it there"), "{words:?}");
    }
    for option in ["-migrate", "-reconfigure"] {
        let refused = fails(path, &["init", option]);
        assert!(refused.contains("are not in the log s3://team/infra/terraform.tfstate.pve at"), "{refused}");
        assert!(refused.contains("in the `backend` block, `pve log push` appends them there"), "{refused}");
        assert!(refused.contains(&format!("`pve init {option}` again")), "{refused}");
    }
    set_backend(path, &old);
    assert!(ok(path, &["log", "push"]).contains("Pushed"));
    set_backend(path, &backend(proxy.address, "further"));
    ok(path, &["init", "-migrate"]);
    ok(path, &["apply", "-auto-approve"]);
    assert_eq!(ok(path, &["state", "list"]).lines().count(), 12);
    assert!(ok(path, &["log", "verify"]).contains("none changed"));
}

/// Whatever a power cut left of the file, it is not the same as having none.
#[test]
fn what_is_kept_of_a_log_and_cannot_be_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("main.tf"), MAIN).unwrap();
    ok(path, &["apply", "-auto-approve"]);
    let file = path.join(".pve/default/log.json");
    let whole = std::fs::read(&file).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    for damaged in [Vec::new(), half, vec![0; whole.len()], b"null".to_vec()] {
        std::fs::write(&file, &damaged).unwrap();
        for words in
            [&["plan"][..], &["apply", "-auto-approve"], &["init"], &["log", "verify"], &["state", "list"]]
        {
            let refused = fails(path, words);
            assert!(
                refused.contains("log.json: it ") && refused.contains("Put it back from a copy"),
                "{refused}"
            );
        }
        assert_eq!(std::fs::read(&file).unwrap(), damaged);
    }
    std::fs::write(&file, &whole).unwrap();
    assert!(ok(path, &["plan"]).contains("No changes."));
}
