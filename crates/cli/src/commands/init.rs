//! `pve init`

use std::path::Path;

use pve_config::configuration::{DiskFiles, load};

use super::get;
use crate::arguments::{GlobalOptions, InitOptions};
use crate::backend::{Backend, remember, tell_once};
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::providers::check_providers;

/// The files of `environments/`, by path.
const SCAFFOLD: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scaffold.rs"));

/// Makes a project, or prepares the present one.
///
/// # Errors
/// When something is in the way.
pub async fn run(global: &GlobalOptions, options: &InitOptions) -> Ended {
    match &options.folder {
        Some(folder) => scaffold(
            &std::env::current_dir()?.join(global.directory.clone().unwrap_or_default()).join(folder),
        ),
        None => prepare(global, options).await,
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

async fn prepare(global: &GlobalOptions, options: &InitOptions) -> Ended {
    let project = Project::find(global)?;
    let (mut loaded, fetched) = if options.get || options.upgrade {
        let installation = get::installed(&project, options.upgrade).await?;
        (installation.loaded, installation.fetched)
    } else {
        (load(&DiskFiles, &project.root), 0)
    };
    loaded.diagnostics.extend(check_providers(&loaded.configuration, &pve_resources::registry()));
    let kind = loaded.configuration.root.backend.as_ref().map(|(kind, _)| kind.clone());
    get::report(global, loaded)?;
    prepare_backend(&project, kind.as_deref(), options)?;
    let modules = get::counted(fetched);
    println!("Ready: {modules} fetched; providers are built in. Next: pve plan");
    Ok(0)
}

fn prepare_backend(project: &Project, kind: Option<&str>, options: &InitOptions) -> Result<(), Failure> {
    if options.backend == Some(false) {
        return Ok(());
    }
    let Some(kind) = kind else {
        if !options.backend_config.is_empty() {
            return Err(Failure::hinted(
                "-backend-config is for a `backend` block, and the configuration has none",
                "Write terraform { backend \"s3\" {} } in the root module. Nothing was kept.",
            ));
        }
        return Ok(());
    };
    remember(project, kind, &options.backend_config, options.reconfigure)?;
    if let Backend::Shared(settings) = project.backend()? {
        tell_once(project, settings)?;
    }
    Ok(())
}
