//! The reference pages in the repository are those that the definitions make.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference")
}

fn files(folder: &Path, at: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{at}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name);
        }
    }
}

#[test]
fn the_pages_are_current() {
    let pages = pve_resources::reference();
    let stale: Vec<&str> = pages
        .iter()
        .filter(|page| std::fs::read_to_string(folder().join(&page.path)).ok().as_ref() != Some(&page.text))
        .map(|page| page.path.as_str())
        .collect();
    let again = "run `cargo run -p pve-resources --example reference`";
    assert!(stale.is_empty(), "{again}: {stale:?}");
    let mut found = BTreeSet::new();
    files(&folder(), "", &mut found);
    let made: BTreeSet<String> = pages.into_iter().map(|page| page.path).collect();
    assert_eq!(found, made, "pages of kinds that are gone");
}

#[test]
fn every_page_has_an_example_and_says_what_it_is_about() {
    for page in pve_resources::reference().iter().filter(|page| page.path.contains('/')) {
        assert!(page.example.contains("\"example\""), "{}", page.path);
        let about =
            page.text.split("\n\n").find(|part| !part.starts_with(['#', '`']) && !part.starts_with("Also "));
        assert!(about.is_some_and(|about| about.ends_with('.')), "{}: {about:?}", page.path);
    }
}
