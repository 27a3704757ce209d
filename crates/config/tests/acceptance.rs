//! Which configurations are refused as they are loaded. `acceptance/*.txt` has small configurations with what OpenTofu
//! 1.12.6 and Terraform 1.11.4 say of each, written down by `acceptance/judge.py`.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use std::path::{Path, PathBuf};

use pve_config::configuration::{Loaded, SnapshotFiles, load};
use pve_config::syntax::Diagnostic;

struct Case {
    name: String,
    accepted: bool,
    /// Whether values must be known before the fault shows.
    by_evaluation: bool,
    files: Vec<(PathBuf, String)>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acceptance");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.iter().flat_map(|path| read(&std::fs::read_to_string(path).unwrap())).collect()
}

fn read(text: &str) -> Vec<Case> {
    let parts = text.split("=== ").skip(1);
    parts
        .map(|part| {
            let (head, body) = part.split_once('\n').unwrap();
            let mut words = head.split(" | ");
            let name = words.next().unwrap().to_string();
            let marks: Vec<&str> = words.collect();
            let accepted = marks.contains(&"tofu accepts");
            assert!(accepted || marks.contains(&"tofu refuses"), "{name} was not judged");
            let ours = marks.iter().find(|mark| mark.starts_with("pve "));
            Case {
                name,
                accepted: ours.map_or(accepted, |mark| !mark.starts_with("pve refuses")),
                by_evaluation: marks.contains(&"by evaluation"),
                files: files(body),
            }
        })
        .collect()
}

fn files(body: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let (mut path, mut content) = ("main.tf", String::new());
    for line in body.split_inclusive('\n') {
        match line.strip_prefix("-- ") {
            Some(next) => {
                files.push((path, std::mem::take(&mut content)));
                path = next.trim();
            }
            None => content.push_str(line),
        }
    }
    files.push((path, content));
    // What stands before the first path is main.tf, if there is anything.
    let kept = files.into_iter().enumerate().filter(|(at, (_, text))| *at > 0 || !text.trim().is_empty());
    kept.map(|(_, (path, text))| (Path::new("/project").join(path), text)).collect()
}

fn loaded(case: &Case) -> Loaded {
    let files = case.files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes()));
    load(&SnapshotFiles::new(files), Path::new("/project"))
}

#[test]
fn loading_refuses_what_the_reference_refuses() {
    let mut differing = Vec::new();
    for case in cases() {
        let found = loaded(&case).diagnostics;
        let refused: Vec<&Diagnostic> = found.iter().filter(|diagnostic| diagnostic.is_error()).collect();
        if refused.is_empty() != (case.accepted || case.by_evaluation) {
            let why: Vec<String> = refused.iter().map(|d| format!("{}: {}", d.summary, d.detail)).collect();
            differing.push(format!("{}: {why:?}", case.name));
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn every_refusal_points_at_the_text() {
    for case in cases().iter().filter(|case| !case.accepted) {
        let loaded = loaded(case);
        for diagnostic in loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
            let span = diagnostic.span.unwrap_or_else(|| panic!("{}: {diagnostic:?}", case.name));
            assert!(loaded.sources.get(span.source).is_some(), "{}: {diagnostic:?}", case.name);
            let within_module = loaded.sources.get(span.source).unwrap().name.starts_with("m/");
            assert_eq!(
                diagnostic.detail.contains("(in module.m"),
                within_module,
                "{}: {diagnostic:?}",
                case.name
            );
        }
    }
}
