//! A root module with a file of variables, both made of the input: up to the line `---` the one, then the other.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pve_config::configuration::{SnapshotFiles, collect_variables, load, read_variable_file};
use pve_config::functions::Context;

fuzz_target!(|text: &str| {
    let (main, variables) = text.split_once("\n---\n").unwrap_or((text, ""));
    let is_json = main.trim_start().starts_with('{');
    let name = if is_json { "/project/main.tf.json" } else { "/project/main.tf" };
    let files = SnapshotFiles::new([
        (name.into(), main.as_bytes().to_vec()),
        ("/project/a.tfvars".into(), variables.as_bytes().to_vec()),
    ]);
    let mut loaded = load(&files, Path::new("/project"));
    let read = read_variable_file(&files, Path::new("/project/a.tfvars"), "a.tfvars", &mut loaded.sources);
    let functions = Context::new("/project", jiff::Timestamp::UNIX_EPOCH);
    if let Ok(inputs) = read {
        let _ = collect_variables(&loaded.configuration.root, &inputs, &mut loaded.sources, &functions);
    }
});
