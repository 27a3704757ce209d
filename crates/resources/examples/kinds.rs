//! Prints a table of the resource kinds: the lines of their definitions, whether every attribute is set, changed and taken
//! out against the simulator by a test, and the id that they are imported by.
#![expect(clippy::unwrap_used, reason = "what fails should end it")]

use std::path::{Path, PathBuf};

/// All source files below a folder, without tests.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let is_test = entry.file_stem().is_some_and(|stem| stem == "tests");
        if entry.is_dir() && !is_test {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !is_test {
            let text = std::fs::read_to_string(&entry).unwrap();
            found.push((entry, text));
        }
    }
    found
}

/// The functions of a file.
fn functions(text: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    let mut current: Option<Vec<&str>> = None;
    for line in text.lines() {
        if line.starts_with("fn ") || line.starts_with("pub") && line.contains(" fn ") {
            current = Some(Vec::new());
        }
        if let Some(lines) = &mut current {
            lines.push(line);
            if line == "}" {
                found.extend(current.take());
            }
        }
    }
    found
}

/// The lines of the function that describes a kind, or of the folder that has it.
fn lines(src: &Path, kind: &str) -> usize {
    let quoted = format!("\"{kind}\"");
    let described = sources(&src.join("families"));
    let own = described.iter().flat_map(|(_, text)| functions(text));
    if let Some(lines) = own.into_iter().find(|lines| lines.iter().any(|line| line.contains(&quoted))) {
        return lines.len();
    }
    let is_its = |(path, text): &&(PathBuf, String)| {
        path.ends_with("mod.rs") && text.contains("NAMES") && text.contains(&quoted)
    };
    let all = sources(src);
    let folder = all.iter().find(is_its).and_then(|(path, _)| path.parent());
    let files = folder.map(sources).unwrap_or_default();
    files.iter().map(|(_, text)| text.lines().count()).sum()
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = sources(&root.join("src/provider/tests/simulated"));
    let skipped = &tests.iter().find(|(path, _)| path.ends_with("objects.rs")).unwrap().1;
    let skipped = skipped.split("const NOT_HERE").nth(1).unwrap().split("];").next().unwrap();
    let described = sources(&root.join("src/families"));
    let names = |files: &[(PathBuf, String)], kind: &str| {
        files.iter().any(|(_, text)| text.contains(&format!("\"{kind}\"")))
    };
    println!("| kind | lines | round trip | import |\n|---|--:|---|---|");
    for page in pve_resources::reference().iter().filter(|page| page.path.starts_with("resources/")) {
        let kind = page.text.lines().next().unwrap_or_default().trim_start_matches("# ");
        if !kind.starts_with("proxmox_") {
            continue;
        }
        let turns = match names(&described, kind) {
            true => !skipped.contains(&format!("(\"{kind}\", ")),
            false => {
                let long = kind.replacen("proxmox_", "proxmox_virtual_environment_", 1);
                names(&tests, kind) || names(&tests, &long)
            }
        };
        let import = page.text.split("\n## Import\n").nth(1).and_then(|text| text.split('\'').nth(1));
        println!(
            "| {kind} | {} | {} | {} |",
            lines(&root.join("src"), kind),
            if turns { "yes" } else { "no" },
            import.map_or("no".to_string(), |id| format!("yes: `{}`", id.replace('|', "\\|")))
        );
    }
}
