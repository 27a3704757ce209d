//! Modules from git repositories that the tests make with the system's git.

mod support;

use support::{Project, Repository, has_git};

fn call(name: &str, source: &str) -> String {
    format!("module \"{name}\" {{\n  source = \"{source}\"\n}}\n")
}

const OUTPUT: &str = "output \"o\" {\n  value = 1\n}\n";

#[test]
fn branches_tags_and_commits_are_fetched_and_no_history_is_kept() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    let first = repository.commit(&[("main.tf", "# first\n")]);
    repository.git(&["tag", "v1"]);
    repository.git(&["tag", "-a", "v1-annotated", "-m", "x"]);
    repository.commit(&[("main.tf", "# second\n")]);
    repository.git(&["checkout", "--quiet", "-b", "feature/x"]);
    repository.commit(&[("main.tf", "# feature\n")]);
    repository.git(&["checkout", "--quiet", "main"]);
    let source = repository.source();
    let cases = [
        ("head", source.clone(), "# second\n"),
        ("tag", format!("{source}?ref=v1"), "# first\n"),
        ("annotated", format!("{source}?ref=v1-annotated&depth=1"), "# first\n"),
        ("branch", format!("{source}?ref=feature/x"), "# feature\n"),
        ("commit", format!("{source}?ref={first}"), "# first\n"),
        ("short", format!("{source}?ref={}", &first[..8]), "# first\n"),
    ];
    let main: String = cases.iter().map(|(name, source, _)| call(name, source)).collect();
    let project = Project::new(&main);
    assert_eq!(project.installed().len(), cases.len());
    for (name, _, expected) in &cases {
        assert_eq!(project.read(&format!(".pve/modules/{name}/main.tf")), *expected, "{name}");
        assert_eq!(project.names(&format!(".pve/modules/{name}")), ["main.tf"]);
    }
}

#[test]
fn a_folder_of_a_repository_is_used_with_what_is_beside_it() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    let inner = call("inner", "../other");
    repository.commit(&[("modules/vm/main.tf", inner.as_str()), ("modules/other/main.tf", OUTPUT)]);
    let project = Project::new(&call("vm", &format!("{}//modules/vm", repository.source())));
    project.installed();
    let (installation, _) = project.install(false);
    let vm = installation.loaded.configuration.root.module_calls["vm"].child.as_ref().unwrap();
    assert_eq!(vm.directory, ".pve/modules/vm/modules/vm");
    assert_eq!(vm.module_calls["inner"].child.as_ref().unwrap().directory, ".pve/modules/vm/modules/other");
}

#[test]
fn modules_of_modules_are_fetched_and_unused_ones_taken_away() {
    if !has_git() {
        return;
    }
    let (outer, inner) = (Repository::new(), Repository::new());
    inner.commit(&[("main.tf", OUTPUT)]);
    outer.commit(&[("main.tf", &call("in", &inner.source()))]);
    let both = format!("{}{}", call("a", &outer.source()), call("b", &inner.source()));
    let project = Project::new(&both);
    assert_eq!(project.installed().len(), 3);
    assert_eq!(project.folders(), ["a", "a.in", "b"]);
    assert_eq!(project.installed(), Vec::<String>::new());
    project.write("main.tf", &call("b", &inner.source()));
    project.installed();
    assert_eq!(project.folders(), ["b"]);
    assert!(!project.read(".pve/modules.json").contains("a.in"));
}

#[test]
fn a_changed_source_and_an_upgrade_fetch_anew_and_nothing_else_does() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("main.tf", "# 1\n"), ("old.tf", "# old\n")]);
    let project = Project::new(&call("a", &repository.source()));
    project.installed();
    repository.git(&["rm", "--quiet", "old.tf"]);
    repository.commit(&[("main.tf", "# 2\n")]);
    assert_eq!(project.installed(), Vec::<String>::new());
    assert_eq!(project.read(".pve/modules/a/main.tf"), "# 1\n");
    assert_eq!(project.install(true).1.len(), 1);
    assert_eq!(project.read(".pve/modules/a/main.tf"), "# 2\n");
    assert_eq!(project.names(".pve/modules/a"), ["main.tf"]);
    project.write("main.tf", &call("a", &format!("{}?ref=main", repository.source())));
    assert_eq!(project.installed().len(), 1);
}

#[test]
fn a_failed_upgrade_leaves_what_was_installed() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("main.tf", "# 1\n")]);
    let project = Project::new(&call("a", &repository.source()));
    project.installed();
    let manifest = project.read(".pve/modules.json");
    std::fs::remove_dir_all(repository.0.path().join(".git")).unwrap();
    let (installation, _) = project.install(true);
    assert!(support::said(&installation).contains("A module cannot be fetched"));
    assert_eq!(project.read(".pve/modules.json"), manifest);
    assert_eq!(project.read(".pve/modules/a/main.tf"), "# 1\n");
    assert_eq!(project.folders(), ["a"]);
}

#[test]
fn what_cannot_be_fetched_is_told_where_it_is_called() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("modules/vm/main.tf", OUTPUT)]);
    let source = repository.source();
    let cases = [
        (format!("{source}?ref=gone"), "Check `ref`"),
        (
            format!("{source}//modules/lxc"),
            "the package has no folder \"modules/lxc\". | \"modules\" has: vm.",
        ),
        ("git::file:///nowhere/at/all".to_string(), "git ls-remote"),
        ("s3::https://s3.amazonaws.com/x.zip".to_string(), "Amazon S3"),
    ];
    let mut main = String::new();
    for (number, (source, _)) in cases.iter().enumerate() {
        main.push_str(&call(&format!("m{number}"), source));
    }
    main.push_str(&format!("module \"m9\" {{\n  source  = \"{source}\"\n  version = \"1.0\"\n}}\n"));
    let project = Project::new(&main);
    let said = project.fails();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), cases.len() + 1, "{said}");
    for (number, (_, expected)) in cases.iter().enumerate() {
        let place = format!("main.tf:{}: A module cannot be fetched: Module \"m{number}\": ", number * 3 + 2);
        assert!(lines[number].starts_with(&place) && lines[number].contains(expected), "{}", lines[number]);
    }
    assert!(lines[4].starts_with("main.tf:15: Only a registry's module has a version"), "{}", lines[4]);
    assert_eq!(project.folders(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn links_out_of_a_repository_are_refused() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    std::os::unix::fs::symlink("/etc/passwd", repository.0.path().join("users.tf")).unwrap();
    repository.commit(&[("main.tf", OUTPUT)]);
    let project = Project::new(&call("a", &repository.source()));
    let said = project.fails();
    assert!(said.contains("a symbolic link users.tf that leads out of it to /etc/passwd"), "{said}");
    assert_eq!(project.folders(), Vec::<String>::new());
}

#[test]
fn submodules_are_fetched_but_never_from_this_machines_files() {
    if !has_git() {
        return;
    }
    let (outer, inner) = (Repository::new(), Repository::new());
    inner.commit(&[("main.tf", OUTPUT)]);
    outer.commit(&[("main.tf", OUTPUT)]);
    let path = inner.0.path().to_string_lossy().into_owned();
    outer.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "--", &path, "sub"]);
    outer.commit(&[]);
    let said = Project::new(&call("a", &outer.source())).fails();
    assert!(said.contains("A submodule of the repository cannot be fetched."), "{said}");
}

#[test]
fn installations_at_once_give_one_whole_result() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("main.tf", OUTPUT), ("sub/main.tf", OUTPUT)]);
    let calls: String = (0..5).map(|n| call(&format!("m{n}"), &repository.source())).collect();
    let project = Project::new(&calls);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let project = &project;
                    move || support::said(&project.install(n % 2 == 1).0)
                })
            })
            .collect();
        for run in runs {
            assert_eq!(run.join().unwrap(), "");
        }
    });
    assert_eq!(project.folders(), ["m0", "m1", "m2", "m3", "m4"]);
    assert_eq!(project.installed(), Vec::<String>::new());
}

#[test]
fn what_an_interrupted_run_left_is_not_taken_for_a_module() {
    if !has_git() {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("main.tf", OUTPUT)]);
    let project = Project::new(&call("a", &repository.source()));
    // Half a module: the folder is there, the manifest does not know it. And half a download.
    project.write(".pve/modules/a/half.tf", "garbage {");
    project.write(".pve/modules/.tmp-dead/package-0/x.tf", "garbage {");
    assert_eq!(project.installed().len(), 1);
    assert_eq!(project.names(".pve/modules/a"), ["main.tf"]);
    assert_eq!(project.folders(), ["a"]);
}
