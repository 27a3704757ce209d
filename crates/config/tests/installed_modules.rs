//! Loading of modules that come from elsewhere, by a manifest.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use std::path::{Path, PathBuf};

use pve_config::configuration::{
    InstalledModule, InstalledModules, Loaded, MODULES_MANIFEST, SnapshotFiles, load,
};

const ROOT: &str = "/project";

fn installed(key: &str, source: &str, version: Option<&str>, directory: &str) -> (String, InstalledModule) {
    let version = version.map(|version| version.parse().unwrap());
    (key.into(), InstalledModule { source: source.into(), version, directory: directory.into() })
}

fn project(files: &[(&str, &str)], modules: Vec<(String, InstalledModule)>) -> Loaded {
    let manifest = InstalledModules(modules.into_iter().collect()).to_json();
    let at = |path: &str| PathBuf::from(ROOT).join(path);
    let files = files.iter().map(|(path, text)| (at(path), text.as_bytes().to_vec()));
    let manifest = (at(MODULES_MANIFEST), manifest.into_bytes());
    load(&SnapshotFiles::new(files.chain([manifest])), Path::new(ROOT))
}

/// What is said, each with its place.
fn said(loaded: &Loaded) -> Vec<String> {
    let line = |found: &pve_config::syntax::Diagnostic| {
        let place = found.span.map(|span| {
            let source = loaded.sources.get(span.source).unwrap();
            format!("{}:{}: ", source.name, source.line_column(span.start).0)
        });
        let hint = found.hint.clone().unwrap_or_default();
        format!("{}{}: {} {hint}", place.unwrap_or_default(), found.summary, found.detail)
    };
    loaded.diagnostics.iter().map(line).collect()
}

const CALL: &str = "module \"net\" {\n  source  = \"a/net/proxmox\"\n  version = \"~> 1.2\"\n}\n";
const FOLDER: &str = ".pve/modules/net";

#[test]
fn an_installed_module_is_loaded_from_its_folder_and_so_are_its_own_modules() {
    let files = [
        ("main.tf", CALL),
        (".pve/modules/net/sub/main.tf", "module \"inner\" {\n  source = \"../other\"\n}\n"),
        (".pve/modules/net/other/main.tf", "output \"o\" {\n  value = path.module\n}\n"),
    ];
    let modules = vec![installed("net", "a/net/proxmox", Some("1.3.0"), ".pve/modules/net/sub")];
    let loaded = project(&files, modules);
    assert_eq!(said(&loaded), Vec::<String>::new());
    let net = loaded.configuration.root.module_calls["net"].child.as_ref().unwrap();
    assert_eq!(net.directory, ".pve/modules/net/sub");
    let inner = net.module_calls["inner"].child.as_ref().unwrap();
    assert_eq!(inner.directory, ".pve/modules/net/other");
}

#[test]
fn what_is_not_installed_or_changed_is_named_with_its_place_and_what_to_do() {
    let fetched = (".pve/modules/net/main.tf", "");
    let cases = [
        (
            vec![],
            "main.tf:2: A module is not installed: Module \"net\" comes from a/net/proxmox and was not fetched yet.",
        ),
        (
            vec![installed("net", "b/net/proxmox", Some("1.2.0"), FOLDER)],
            "The source of module \"net\" was b/net/proxmox and is a/net/proxmox now.",
        ),
        (
            vec![installed("net", "a/net/proxmox", Some("2.0.0"), FOLDER)],
            "Module \"net\" is installed in version 2.0.0, but \"~> 1.2\" is asked for.",
        ),
        (
            vec![installed("net", "a/net/proxmox", None, FOLDER)],
            "Module \"net\" is installed without a version, but \"~> 1.2\" is asked for.",
        ),
        (
            vec![installed("net", "a/net/proxmox", Some("1.2.0"), ".pve/modules/gone")],
            "The folder .pve/modules/gone of module \"net\" is gone.",
        ),
    ];
    for (modules, expected) in cases {
        let loaded = project(&[("main.tf", CALL), fetched], modules);
        let said = said(&loaded);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(expected) && said[0].contains("`pve init`"), "{said:?}");
        assert_eq!(loaded.missing.len(), 1);
        assert_eq!(loaded.missing[0].key(), "net");
    }
}

#[test]
fn a_module_within_a_missing_one_is_missed_once_the_outer_one_is_there() {
    let files = [
        ("main.tf", CALL),
        (".pve/modules/net/main.tf", "module \"x\" {\n  source = \"github.com/a/b\"\n}\n"),
    ];
    let loaded = project(&files, vec![installed("net", "a/net/proxmox", Some("1.2.0"), FOLDER)]);
    assert_eq!(loaded.missing[0].path, ["net", "x"]);
    assert_eq!(loaded.missing[0].caller, Path::new(FOLDER));
    assert!(said(&loaded)[0].starts_with(".pve/modules/net/main.tf:2: A module is not installed"));
}

#[test]
fn a_path_that_leads_out_of_a_fetched_package_is_refused() {
    let files = [
        ("main.tf", CALL),
        ("own/main.tf", ""),
        (".pve/modules/net/main.tf", "module \"x\" {\n  source = \"../../../own\"\n}\n"),
    ];
    let loaded = project(&files, vec![installed("net", "a/net/proxmox", Some("1.2.0"), FOLDER)]);
    let said = said(&loaded);
    assert!(
        said[0].contains(".pve/modules/net/main.tf:2: A path leads out of the module's package"),
        "{said:?}"
    );
}

#[test]
fn wrong_versions_and_names_are_told_where_they_stand() {
    let cases = [
        (
            "module \"a\" {\n  source = \"./a\"\n  version = \"1.0\"\n}\n",
            "main.tf:3: A local module has no version",
        ),
        (
            "module \"a\" {\n  source = \"a/b/c\"\n  version = \"newest\"\n}\n",
            "main.tf:3: Wrong version constraint",
        ),
        ("module \"../a\" {\n  source = \"a/b/c\"\n}\n", "main.tf:1: This is no name"),
    ];
    for (text, expected) in cases {
        let said = said(&project(&[("main.tf", text), ("a/main.tf", "")], Vec::new()));
        assert!(said.len() == 1 && said[0].starts_with(expected), "{said:?}");
    }
}

#[test]
fn a_damaged_manifest_is_an_error_only_where_a_module_comes_from_elsewhere() {
    let damaged = (MODULES_MANIFEST, "{");
    let read = |text: &str| {
        let files = [("main.tf", text), damaged];
        let files = files.map(|(path, text)| (Path::new(ROOT).join(path), text.as_bytes().to_vec()));
        said(&load(&SnapshotFiles::new(files), Path::new(ROOT)))
    };
    assert_eq!(read("locals {}"), Vec::<String>::new());
    assert!(read(CALL)[0].contains("modules.json is damaged"), "{:?}", read(CALL));
}
