//! Parses every configuration file under the given paths and tells which are refused, and how fast it was.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pve_config::syntax::{Diagnostic, SourceId, SourceMap, json, parse_body};

fn main() -> ExitCode {
    let mut files = Vec::new();
    for path in std::env::args_os().skip(1) {
        collect_files(Path::new(&path), &mut files);
    }
    files.sort();
    let (mut passed, mut failed, mut bytes, mut elapsed) = (0, 0, 0, Duration::ZERO);
    for file in files {
        let (size, time, error) = parse_file(&file);
        elapsed += time;
        bytes += size;
        match error {
            None => passed += 1,
            Some(error) => {
                failed += 1;
                println!("{}: {error}", file.display());
            }
        }
    }
    let megabytes = bytes as f64 / 1e6;
    println!("{megabytes:.2} MB, {:.1} MB/s", megabytes / elapsed.as_secs_f64().max(1e-9));
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Adds the file, or all configuration files below the folder; symbolic links are not followed.
fn collect_files(path: &Path, files: &mut Vec<PathBuf>) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    if metadata.is_file() {
        files.extend(is_configuration(path).then(|| path.to_owned()));
    } else if metadata.is_dir() {
        for entry in path.read_dir().into_iter().flatten().flatten() {
            collect_files(&entry.path(), files);
        }
    }
}

fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let name = name.strip_suffix(".json").unwrap_or(name);
    [".tf", ".tofu", ".tfvars"].iter().any(|extension| name.ends_with(extension))
}

/// Size of the file, how long parsing it took (without reading it), and its first error.
fn parse_file(path: &Path) -> (usize, Duration, Option<String>) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return (0, Duration::ZERO, Some(error.to_string())),
    };
    let start = Instant::now();
    let (time, diagnostics) = if path.extension().is_some_and(|extension| extension == "json") {
        let diagnostics = parse_json(path, &text);
        (start.elapsed(), diagnostics)
    } else {
        let parsed = parse_body(SourceId(0), &text);
        (start.elapsed(), parsed.diagnostics)
    };
    let first = diagnostics.into_iter().find(Diagnostic::is_error);
    (text.len(), time, first.map(|diagnostic| describe(path, &text, &diagnostic)))
}

fn parse_json(path: &Path, text: &str) -> Vec<Diagnostic> {
    let parsed = json::parse_body(SourceId(0), text);
    let is_variables = path.to_string_lossy().ends_with(".tfvars.json");
    let content =
        if is_variables { parsed.value.attributes() } else { parsed.value.content(&json::language_blocks) };
    parsed.diagnostics.into_iter().chain(content.diagnostics).collect()
}

fn describe(path: &Path, text: &str, diagnostic: &Diagnostic) -> String {
    let mut sources = SourceMap::new();
    let id = sources.add(path.display().to_string(), text);
    let place = diagnostic.span.zip(sources.get(id)).map(|(span, source)| source.line_column(span.start));
    let (line, column) = place.unwrap_or((0, 0));
    format!("{line}:{column}: {}: {}", diagnostic.summary, diagnostic.detail)
}
