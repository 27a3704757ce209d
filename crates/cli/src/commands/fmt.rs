//! `pve fmt`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pve_config::syntax::{SourceMap, format};

use crate::arguments::{FormatOptions, GlobalOptions};
use crate::failure::{Ended, FAILED, Failure};
use crate::project::Project;
use crate::render::paint::Paint;

/// The exit code when `--check` finds something, as Terraform has it.
const WOULD_CHANGE: u8 = 3;

/// Writes files in their canonical layout.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(global: &GlobalOptions, options: &FormatOptions) -> Ended {
    let project = Project::find(global)?;
    if options.paths.len() == 1 && options.paths[0] == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        print!("{}", formatted(&text, "<stdin>")?);
        return Ok(0);
    }
    let mut files = Vec::new();
    let starts: Vec<PathBuf> =
        if options.paths.is_empty() { vec![PathBuf::new()] } else { options.paths.clone() };
    for start in &starts {
        collect(&project.root.join(start), options.recursive, true, &mut files)?;
    }
    let (mut changed, mut faulty) = (false, false);
    let paint = Paint::for_stream(&std::io::stderr(), global.no_color);
    for path in files {
        let shown = path.strip_prefix(&project.root).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|e| Failure::plain(format!("{shown}: {e}")))?;
        let new = match formatted(&text, &shown) {
            Ok(new) => new,
            Err(failure) => {
                faulty = true;
                failure.report(paint);
                continue;
            }
        };
        if new == text {
            continue;
        }
        changed = true;
        println!("{shown}");
        if options.diff {
            print!("{}", similar::TextDiff::from_lines(&text, &new).unified_diff().header(&shown, &shown));
        }
        if !options.check {
            std::fs::write(&path, new)?;
        }
    }
    Ok(match (faulty, changed && options.check) {
        (true, _) => FAILED,
        (false, true) => WOULD_CHANGE,
        (false, false) => 0,
    })
}

fn formatted(text: &str, name: &str) -> Result<String, Failure> {
    let mut sources = SourceMap::new();
    let source = sources.add(name, text);
    format(source, text).map_err(|diagnostics| Failure::Diagnosed { diagnostics, sources })
}

fn collect(path: &Path, recursive: bool, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            path.read_dir()?.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
        entries.sort();
        for entry in entries {
            let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if entry.is_dir() && (!recursive || hidden) {
                continue;
            }
            collect(&entry, recursive, false, files)?;
        }
        return Ok(());
    }
    let is_source =
        path.extension().is_some_and(|ending| ending == "tf" || ending == "tofu" || ending == "tfvars");
    if is_source && path.is_file() {
        files.push(path.into());
    } else if named {
        let message = format!("{} is no folder and no .tf, .tofu or .tfvars file", path.display());
        return Err(Failure::hinted(message, "Name a folder or a file of one of these kinds."));
    }
    Ok(())
}
