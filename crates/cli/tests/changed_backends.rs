//! A `backend` block or its arguments that change while there is a log: what fails changes nothing, and every refusal says
//! what leads on.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

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
fn a_move_of_several_environments_that_stops_at_one_is_completed_by_the_same_command() {
    let Some(server) = Server::start() else { return };
    let one = project(server.address(), MAIN);
    let path = one.path();
    let block = backend(server.address(), "one").replace("key = \"one\"", "");
    set_backend(path, &block);
    std::fs::create_dir(path.join("staging")).unwrap();
    std::fs::write(path.join("staging/terraform.tfvars"), "").unwrap();
    ok(path, &["init", "-backend-config=key=one"]);
    ok(path, &["apply", "-auto-approve"]);
    ok(path, &["-e", "staging", "apply", "-auto-approve"]);
    // Somebody else's log is where that of staging is to go.
    let occupied = project(server.address(), MAIN);
    set_backend(occupied.path(), &backend(server.address(), "env:/staging/two"));
    ok(occupied.path(), &["apply", "-auto-approve"]);
    let words = ["init", "-migrate", "-backend-config=key=two"];
    for _ in 0..2 {
        let refused = fails(path, &words);
        assert!(refused.contains("there is a log with"), "{refused}");
    }
    for key in server.keys().iter().filter(|key| key.starts_with("env:/staging/two")) {
        assert!(server.request("DELETE", &format!("/team/{key}"), "").0 < 300);
    }
    assert!(ok(path, &words).contains("env:/staging/two.pve"));
    for environment in ["default", "staging"] {
        assert!(ok(path, &["-e", environment, "plan"]).contains("No changes."), "{environment}");
        assert!(ok(path, &["-e", environment, "log", "verify"]).contains("none changed"), "{environment}");
    }
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

/// As one that comes from a variable.
#[test]
fn an_endpoint_of_a_profile_is_part_of_where_a_log_is() {
    let (Some(one), Some(other)) = (Server::start(), Server::start()) else { return };
    let folder = project(one.address(), MAIN);
    let path = folder.path();
    let block: String = backend(one.address(), "profiled")
        .lines()
        .filter(|line| !line.contains("endpoints"))
        .collect::<Vec<_>>()
        .join("\n");
    set_backend(path, &block);
    let file = path.join("aws");
    let of_service = |server: &Server| {
        format!(
            "[default]\nservices = here\nendpoint_url = http://127.0.0.1:1\n[services here]\ns3 =\n  endpoint_url = http://{}/\n",
            server.address()
        )
    };
    let of_profile = |server: &Server| format!("[default]\nendpoint_url = http://{}\n", server.address());
    let run = |words: &[&str]| {
        let output = pve(path, words).env("AWS_CONFIG_FILE", &file).output().unwrap();
        (output.status.code(), text(&output))
    };
    std::fs::write(&file, of_service(&one)).unwrap();
    let (code, told) = run(&["apply", "-auto-approve"]);
    assert_eq!(code, Some(0), "{told}");
    let log = std::fs::read_to_string(path.join(".pve/default/log.json")).unwrap();
    assert!(log.contains(&format!("\"s3\": \"http://{}\"", one.address())), "{log}");
    // The same by another line of the file.
    std::fs::write(&file, of_profile(&one)).unwrap();
    assert!(run(&["plan"]).1.contains("No changes."));

    std::fs::write(&file, of_profile(&other)).unwrap();
    let (code, told) = run(&["plan"]);
    assert!(
        code == Some(1)
            && told.contains(&format!("now names s3://team/profiled.pve at http://{}", other.address())),
        "{told}"
    );
    let (code, told) = run(&["init", "-migrate"]);
    assert!(
        code == Some(0)
            && told.contains(&format!("from s3://team/profiled.pve at http://{} to", one.address())),
        "{told}"
    );
    assert!(run(&["plan"]).1.contains("No changes."));
    std::fs::write(&file, "[default]\nendpoint_url = ftp://x\n").unwrap();
    let (code, told) = run(&["plan"]);
    assert!(code == Some(1) && told.contains("endpoint_url of the profile must be a URL"), "{told}");
}

/// Nobody who never saw the log could tell from what is stored.
#[test]
fn a_copy_at_another_store_is_refused_by_whoever_never_saw_the_log_until_somebody_says_what_it_is() {
    let (Some(one), Some(other)) = (Server::start(), Server::start()) else { return };
    let first = project(one.address(), MAIN);
    ok(first.path(), &["apply", "-auto-approve"]);
    for key in one.keys() {
        let (_, body) = one.request("GET", &format!("/team/{key}"), "");
        other.request("PUT", &format!("/team/{key}"), &body);
    }
    let (late, there) = (project(other.address(), MAIN), project(one.address(), MAIN));
    let before = other.keys();
    for words in [&["plan"][..], &["apply", "-auto-approve"], &["taint", "terraform_data.a[0]"]] {
        let refused = fails(late.path(), words);
        assert!(refused.contains(&format!("was used through http://{} alone", one.address())), "{refused}");
        assert!(refused.contains("-same-store") && refused.contains("-adopt-copy"), "{refused}");
    }
    let batches = |keys: &[String]| keys.iter().filter(|key| key.contains("/log/")).count();
    assert_eq!(batches(&other.keys()), batches(&before));
    assert!(ok(there.path(), &["plan"]).contains("No changes."));
    ok(late.path(), &["init", "-adopt-copy"]);
    assert!(ok(late.path(), &["apply", "-auto-approve"]).contains("No changes."));

    // Another name of the store is recorded once, for everybody, and the first one stays.
    let named = backend(one.address(), "infra/terraform.tfstate").replace("127.0.0.1", "localhost");
    let (ann, bob) = (project(one.address(), MAIN), project(one.address(), MAIN));
    set_backend(ann.path(), &named);
    set_backend(bob.path(), &named);
    assert!(fails(ann.path(), &["plan"]).contains("-same-store"));
    let told = ok(ann.path(), &["init", "-same-store"]);
    assert!(told.contains("recorded as another name of the store"), "{told}");
    for folder in [&ann, &bob, &first] {
        assert!(ok(folder.path(), &["plan"]).contains("No changes."));
        assert!(!ok(folder.path(), &["init", "-same-store"]).contains("recorded"));
    }
    assert!(ok(ann.path(), &["log"]).contains("the log's store is reached as http://localhost"));
    // Where the log is moved to, it has that name alone.
    set_backend(first.path(), &backend(other.address(), "moved"));
    ok(first.path(), &["init", "-migrate"]);
    set_backend(bob.path(), &backend(other.address(), "moved").replace("127.0.0.1", "localhost"));
    std::fs::remove_dir_all(bob.path().join(".pve")).unwrap();
    let refused = fails(bob.path(), &["plan"]);
    assert!(refused.contains(&format!("was used through http://{} alone", other.address())), "{refused}");
}

#[test]
fn a_folder_that_was_copied_with_its_log_is_told_from_one_that_was_moved() {
    let parent = tempfile::tempdir().unwrap();
    let [first, copy, moved] = ["first", "copy", "moved"].map(|name| parent.path().join(name));
    std::fs::create_dir(&first).unwrap();
    std::fs::write(first.join("main.tf"), MAIN).unwrap();
    ok(&first, &["apply", "-auto-approve"]);
    let copy_all = |from: &Path, to: &Path| {
        for folder in ["", ".pve", ".pve/default"] {
            std::fs::create_dir_all(to.join(folder)).unwrap();
            for entry in from.join(folder).read_dir().unwrap().map(Result::unwrap) {
                if entry.path().is_file() {
                    std::fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
    };
    copy_all(&first, &copy);
    for words in [&["plan"][..], &["apply", "-auto-approve"], &["taint", "terraform_data.a[0]"]] {
        let refused = fails(&copy, words);
        assert!(refused.contains("is a copy: the one that it was copied from is"), "{refused}");
        assert!(refused.contains("-adopt-copy"), "{refused}");
    }
    assert!(ok(&first, &["apply", "-auto-approve"]).contains("No changes."));
    // The same folder by another name is the same log.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&first, parent.path().join("link")).unwrap();
        assert!(ok(&parent.path().join("link"), &["plan"]).contains("No changes."));
    }
    std::fs::rename(&first, &moved).unwrap();
    assert!(ok(&moved, &["plan"]).contains("No changes."));
    // Where the first one is gone, nothing is said of it.
    assert!(ok(&copy, &["plan"]).contains("No changes."));
    std::fs::rename(&moved, &first).unwrap();
    ok(&first, &["plan"]);
    let third = parent.path().join("third");
    copy_all(&first, &third);
    assert!(fails(&third, &["plan"]).contains("is a copy"));
    assert!(ok(&third, &["init", "-adopt-copy"]).contains("Whoever still works on"));
    assert!(ok(&third, &["apply", "-auto-approve"]).contains("No changes."));
}
