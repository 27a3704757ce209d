//! What is said about a configuration as it is loaded: which text, what is wrong, what may have been meant.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pve_config::configuration::{Folders, Loaded, RecordingFiles, SnapshotFiles, load, read_variable_file};
use pve_config::functions::Files;
use pve_config::syntax::{Diagnostic, SourceMap};

fn snapshot(files: &[(&str, &str)]) -> SnapshotFiles {
    let placed = |(path, text): &(&str, &str)| (Path::new("/project").join(path), text.as_bytes().to_vec());
    SnapshotFiles::new(files.iter().map(placed))
}

fn loaded(files: &[(&str, &str)]) -> Loaded {
    load(&snapshot(files), Path::new("/project"))
}

/// The only error, and `file:line:column text` of what it points at.
fn only_error(files: &[(&str, &str)]) -> (Diagnostic, String) {
    let loaded = loaded(files);
    let errors: Vec<&Diagnostic> = loaded.diagnostics.iter().filter(|d| d.is_error()).collect();
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    let span = error.span.unwrap();
    let source = loaded.sources.get(span.source).unwrap();
    let (line, column) = source.line_column(span.start);
    let place = format!("{}:{line}:{column} {}", source.name, loaded.sources.slice(span));
    ((*error).clone(), place)
}

#[test]
fn a_misspelt_name_is_shown_with_the_one_that_may_have_been_meant() {
    let declared = "variable \"region\" {\n  default = 1\n}\nlocals {\n  zone = 1\n}\nresource \"terraform_data\" \"disk\" {\n}\n";
    let cases = [
        ("value = var.regoin", "var.regoin", "Did you mean var.region?"),
        ("value = local.zoen", "local.zoen", "Did you mean local.zone?"),
        ("value = locals.zone", "locals.zone", "Did you mean local.zone?"),
        ("value = terraform_data.dsik.id", "terraform_data.dsik", "Did you mean terraform_data.disk?"),
        ("value = terraform_dat.disk.id", "terraform_dat.disk", "Did you mean terraform_data.disk?"),
        ("value = path.modul", "path.modul", "Did you mean path.module?"),
        ("value = uper(\"x\")", "uper", "Did you mean upper()?"),
        ("value = region", "region", "Did you mean var.region?"),
        ("value = \"a-${var.regoin}\"", "var.regoin", "Did you mean var.region?"),
        ("value = 1\n  sensitiv = true", "sensitiv", "Did you mean \"sensitive\"?"),
        ("value = 1\n  preconditions {\n  }", "preconditions", "Did you mean \"precondition\"?"),
    ];
    for (line, text, hint) in cases {
        let output = format!("output \"o\" {{\n  {line}\n}}\n");
        let (error, place) = only_error(&[("main.tf", declared), ("out.tf", &output)]);
        assert!(place.starts_with("out.tf:"), "{place}");
        assert!(place.ends_with(&format!(" {text}")), "{line}: {place}");
        assert_eq!(error.hint.as_deref(), Some(hint), "{line}: {error:?}");
    }
}

#[test]
fn both_places_of_a_name_that_stands_twice_are_named() {
    let cases = [
        "variable \"a\" {}",
        "output \"a\" {\n  value = 1\n}",
        "locals {\n  a = 1\n}",
        "resource \"terraform_data\" \"a\" {}",
        "module \"a\" {\n  source = \"./m\"\n}",
        "provider \"proxmox\" {}",
        "check \"a\" {\n  assert {\n    condition     = path.cwd != \"\"\n    error_message = \"No.\"\n  }\n}",
        "terraform {\n  backend \"local\" {}\n}",
        "terraform {\n  required_providers {}\n}",
    ];
    for text in cases {
        let files = [("a.tf", text), ("b.tf", text), ("m/main.tf", "locals {}")];
        let loaded = loaded(&files);
        let errors: Vec<&Diagnostic> = loaded.diagnostics.iter().filter(|d| d.is_error()).collect();
        let [error] = errors.as_slice() else { panic!("{text}: {errors:?}") };
        let name = |span: pve_config::syntax::Span| &*loaded.sources.get(span.source).unwrap().name;
        assert_eq!(name(error.span.unwrap()), "b.tf", "{text}");
        assert_eq!(error.related.len(), 1, "{text}");
        assert_eq!(name(error.related[0].0), "a.tf", "{text}");
    }
}

#[test]
fn a_fault_in_a_module_names_the_module() {
    let root = "module \"outer\" {\n  source = \"./outer\"\n}\n";
    let outer = "module \"inner\" {\n  source = \"./inner\"\n}\n";
    let files =
        [("main.tf", root), ("outer/main.tf", outer), ("outer/inner/main.tf", "locals {\n  a = var.b\n}\n")];
    let (error, place) = only_error(&files);
    assert_eq!(place, "outer/inner/main.tf:2:7 var.b");
    assert!(error.detail.ends_with("(in module.outer.module.inner)"), "{error:?}");
}

#[test]
fn one_run_reports_every_independent_fault() {
    let text = "variable \"a\" {\n  typ = string\n}\noutput \"b\" {\n  valu = 1\n}\nterraform {\n  backnd \"s3\" {}\n}\nfoo {}\n";
    let found = loaded(&[("main.tf", text)]).diagnostics;
    let summaries: Vec<&str> = found.iter().map(|diagnostic| diagnostic.summary.as_str()).collect();
    assert_eq!(
        summaries,
        [
            "Unsupported argument",
            "Unsupported argument",
            "An argument is missing",
            "Unsupported block",
            "Unknown block type"
        ]
    );
}

#[test]
fn a_required_version_in_a_tf_file_is_about_terraform_and_only_worth_a_warning() {
    let text = "terraform {\n  required_version = \">= 99.0\"\n}\n";
    let found = loaded(&[("main.tf", text)]).diagnostics;
    let [warning] = found.as_slice() else { panic!("{found:?}") };
    assert!(!warning.is_error());
    assert!(warning.detail.contains(">= 99.0"), "{warning:?}");
    let (error, place) = only_error(&[("main.tofu", text)]);
    assert_eq!(place, "main.tofu:2:22 \">= 99.0\"");
    assert!(error.detail.contains("1.12.6"), "{error:?}");
}

#[test]
fn strings_of_a_json_file_of_variables_stand_for_themselves() {
    let files = snapshot(&[("x.tfvars.json", r#"{"a": "${nothing}", "b": {"%{k}": ["%{if}"]}, "c": null}"#)]);
    let mut sources = SourceMap::new();
    let read = read_variable_file(&files, Path::new("/project/x.tfvars.json"), "x.tfvars.json", &mut sources);
    let values: Vec<_> = read.unwrap().into_iter().map(|input| (input.name, input.value.unwrap())).collect();
    assert_eq!(values[0].1.as_str(), Some("${nothing}"));
    let inner = values[1].1.get("%{k}").unwrap();
    assert_eq!(inner.elements().unwrap()[0].as_str(), Some("%{if}"));
    assert!(values[2].1.is_null());
}

#[test]
fn what_was_looked_for_and_listed_is_answered_the_same_from_a_recording() {
    let disk = snapshot(&[("a/one.txt", "1"), ("a/b/two.txt", "2"), ("c.txt", "3")]);
    let recording = RecordingFiles::new(Arc::new(disk));
    let path = |text: &str| PathBuf::from("/project").join(text);
    assert_eq!(recording.list(&path("a")).unwrap(), ["b/two.txt", "one.txt"]);
    assert!(recording.exists(&path("c.txt")).unwrap());
    assert!(!recording.exists(&path("d.txt")).unwrap());
    assert_eq!(recording.read(&path("a/one.txt")).unwrap(), b"1");
    // Only what was read is kept as a file; a file that came since is not there.
    let recorded = recording.recorded();
    assert_eq!(recorded.len(), 1);
    let later = recorded.into_iter().chain([(path("d.txt"), Vec::new())]);
    let replayed = SnapshotFiles::new(later).with_lookups(recording.lookups());
    assert_eq!(replayed.list(&path("./a")).unwrap(), ["b/two.txt", "one.txt"]);
    assert!(replayed.exists(&path("c.txt")).unwrap());
    assert!(!replayed.exists(&path("a/../d.txt")).unwrap());
    assert!(replayed.entries(&path("a")).is_ok());
}
