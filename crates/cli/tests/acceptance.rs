//! `pve validate` accepts and refuses what OpenTofu does: the configurations of `config/tests/acceptance`, with what it
//! says of them.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

#[path = "common/binary.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod binary;

use std::path::{Path, PathBuf};
use std::process::Output;

use binary::pve;

fn validate(body: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().join("main.tf");
    let mut content = String::new();
    let write = |path: &Path, content: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    for line in body.split_inclusive('\n') {
        match line.strip_prefix("-- ") {
            Some(next) => {
                if !content.trim().is_empty() {
                    write(&path, &content);
                }
                content.clear();
                path = folder.path().join(next.trim());
            }
            None => content.push_str(line),
        }
    }
    write(&path, &content);
    pve(folder.path(), &["validate"]).output().unwrap()
}

#[test]
fn validate_refuses_what_the_reference_refuses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tests/acceptance");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let (mut asked, mut differing) = (0, Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("=== ").skip(1) {
            let (head, body) = part.split_once('\n').unwrap();
            let mut marks = head.split(" | ");
            let name = marks.next().unwrap();
            let marks: Vec<&str> = marks.collect();
            let ours = marks.iter().find_map(|mark| mark.strip_prefix("pve "));
            let accepted = match ours {
                Some(ours) => ours.starts_with("accepts"),
                None => marks.contains(&"tofu accepts"),
            };
            // pve has no such data source: what it stands for here is looked at as it is loaded, and not evaluated.
            if (accepted || marks.contains(&"by evaluation")) && body.contains("\"terraform_remote_state\"") {
                continue;
            }
            asked += 1;
            let output = validate(body);
            if output.status.success() != accepted {
                differing.push(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    assert!(asked > 500, "only {asked} cases were found");
    assert!(differing.is_empty(), "{} of {asked} differ:\n{}", differing.len(), differing.join("\n"));
}
