//! Rewrites every native configuration file under the given paths in canonical layout, and prints the files it
//! refuses; for comparison with `terraform fmt -recursive` on a copy.

use std::path::Path;

use pve_config::syntax::{SourceId, format};

fn main() -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        format_below(Path::new(&path))?;
    }
    Ok(())
}

fn format_below(path: &Path) -> std::io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        for entry in path.read_dir()? {
            format_below(&entry?.path())?;
        }
    } else if metadata.is_file() && is_native_configuration(path) {
        let text = std::fs::read_to_string(path)?;
        match format(SourceId(0), &text) {
            Ok(formatted) if formatted != text => std::fs::write(path, formatted)?,
            Ok(_) => {}
            Err(diagnostics) => println!("{}: {} errors", path.display(), diagnostics.len()),
        }
    }
    Ok(())
}

fn is_native_configuration(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("tf" | "tofu" | "tfvars" | "hcl"))
}
