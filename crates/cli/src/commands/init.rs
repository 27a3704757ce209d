//! `pve init`

use std::path::Path;

use crate::arguments::{GlobalOptions, InitOptions};
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// The files of `environments/`, by path.
const SCAFFOLD: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scaffold.rs"));

/// Makes a project, or prepares the present one.
///
/// # Errors
/// When something is in the way.
pub fn run(global: &GlobalOptions, options: &InitOptions) -> Ended {
    match &options.folder {
        Some(folder) => scaffold(
            &std::env::current_dir()?.join(global.directory.clone().unwrap_or_default()).join(folder),
        ),
        None => prepare(global),
    }
}

fn scaffold(folder: &Path) -> Ended {
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty", folder.display());
        return Err(Failure::hinted(message, "Nothing was written. Choose another folder."));
    }
    for (path, text) in SCAFFOLD {
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(target, text)?;
    }
    std::fs::write(folder.join(".gitignore"), ".pve/\n*.plan\n")?;
    println!("Made {} with {} files.", folder.display(), SCAFFOLD.len());
    println!("Next: pve -C {} plan -e prod --simulate", folder.display());
    Ok(0)
}

fn prepare(global: &GlobalOptions) -> Ended {
    let project = Project::find(global)?;
    let loaded = pve_config::configuration::load(&pve_config::configuration::DiskFiles, &project.root);
    if loaded.diagnostics.iter().any(pve_config::syntax::Diagnostic::is_error) {
        return Err(Failure::Diagnosed { diagnostics: loaded.diagnostics, sources: loaded.sources });
    }
    println!("Ready. Providers are built in, so there is nothing to download. Next: pve plan");
    Ok(0)
}
