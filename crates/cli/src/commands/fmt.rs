//! `pve fmt`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pve_config::syntax::{SourceMap, format};

use crate::arguments::{FormatOptions, GlobalOptions};
use crate::failure::{Ended, FAILED, Failure};
use crate::project::Project;
use crate::render::paint::Paint;
use crate::replace_file::replace_file;

/// The exit code when `--check` finds something, as Terraform has it.
const WOULD_CHANGE: u8 = 3;
/// The files of native syntax.
const ENDINGS: [&str; 6] = [".tf", ".tofu", ".tfvars", ".tftest.hcl", ".tofutest.hcl", ".tfmock.hcl"];

/// Writes files in their canonical layout.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(global: &GlobalOptions, options: &FormatOptions) -> Ended {
    let project = Project::find(global)?;
    if options.paths.len() == 1 && options.paths[0] == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(Failure::reading(Path::new("standard input")))?;
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
        let text = std::fs::read_to_string(&path).map_err(Failure::reading(Path::new(&shown)))?;
        match formatted(&text, &shown) {
            Ok(new) if new == text => {}
            Ok(new) => {
                changed = true;
                show(options, &shown, &text, &new);
                if options.write && !options.check {
                    replace_file(&path, new.as_bytes()).map_err(Failure::writing(Path::new(&shown)))?;
                }
            }
            Err(failure) => {
                faulty = true;
                failure.report(paint);
            }
        }
    }
    Ok(match (faulty, changed && options.check) {
        (true, _) => FAILED,
        (false, true) => WOULD_CHANGE,
        (false, false) => 0,
    })
}

/// Prints what the options ask for of a file that changes; without any of it, the new text.
fn show(options: &FormatOptions, name: &str, text: &str, new: &str) {
    if options.list {
        println!("{name}");
    }
    if options.diff {
        print!("{}", similar::TextDiff::from_lines(text, new).unified_diff().header(name, name));
    }
    if !options.list && !options.diff && !options.write && !options.check {
        print!("{new}");
    }
}

fn formatted(text: &str, name: &str) -> Result<String, Failure> {
    let mut sources = SourceMap::new();
    let source = sources.add(name, text);
    format(source, text).map_err(|diagnostics| Failure::Diagnosed { diagnostics, sources })
}

/// Adds the file, or those of the folder. As in Terraform, hidden files and editors' copies are passed over and symbolic
/// links to folders are not followed, unless they are named.
fn collect(path: &Path, recursive: bool, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let is_folder = if named { path.is_dir() } else { path.is_dir() && !path.is_symlink() };
    if is_folder {
        let mut entries: Vec<PathBuf> = path
            .read_dir()
            .map_err(Failure::reading(path))?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .collect();
        entries.sort();
        for entry in entries.iter().filter(|entry| !is_passed_over(&file_name(entry))) {
            if recursive || !entry.is_dir() {
                collect(entry, recursive, false, files)?;
            }
        }
        return Ok(());
    }
    let name = file_name(path);
    if path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        files.push(path.into());
    } else if named {
        let message = format!("{} is no folder and no file that can be formatted", path.display());
        return Err(Failure::hinted(
            message,
            format!("Name a folder or a file that ends in {}.", ENDINGS.join(", ")),
        ));
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_passed_over(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'))
}
