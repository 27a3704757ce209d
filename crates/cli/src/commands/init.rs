//! `pve init`

use std::path::Path;

use pve_config::configuration::{DiskFiles, load};

use super::get;
use super::plan::parse_wait;
use crate::arguments::{GlobalOptions, InitOptions};
use crate::backend::{
    Backend, Moved, adopt_copy, leave_behind, migrate, reach, refuse_left_behind, remember, tell_once,
};
use crate::environments::environments;
use crate::failure::{Ended, Failure};
use crate::project::{DEFAULT_ENVIRONMENT, Project};
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
            &std::env::current_dir()
                .map_err(Failure::reading(Path::new(".")))?
                .join(global.directory.clone().unwrap_or_default())
                .join(folder),
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
            std::fs::create_dir_all(parent).map_err(Failure::writing(parent))?;
        }
        std::fs::write(&target, text).map_err(Failure::writing(&target))?;
    }
    let ignored = folder.join(".gitignore");
    std::fs::write(&ignored, ".pve/\n*.plan\n").map_err(Failure::writing(&ignored))?;
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
    let modules = get::counted(&loaded.configuration, fetched);
    let kind = loaded.configuration.root.backend.as_ref().map(|(kind, _)| kind.clone());
    get::report(global, loaded)?;
    prepare_backend(&project, kind.as_deref(), options).await?;
    println!("Ready: {modules}; providers are built in. Next: pve plan");
    Ok(0)
}

async fn prepare_backend(
    project: &Project,
    kind: Option<&str>,
    options: &InitOptions,
) -> Result<(), Failure> {
    if options.backend == Some(false) {
        return Ok(());
    }
    match kind {
        Some(kind) => remember(project, kind, &options.backend_config, options.reconfigure)?,
        None if options.backend_config.is_empty() => {}
        None => {
            return Err(Failure::hinted(
                "-backend-config is for a `backend` block, and the configuration has none",
                "Write terraform { backend \"s3\" {} } in the root module. Nothing was kept.",
            ));
        }
    }
    if let Backend::Shared(settings) = project.backend()? {
        tell_once(project, settings)?;
    }
    for project in environments_with_logs(project) {
        settle(&project, options).await?;
    }
    reach(project).await
}

/// The environment that is named, else all.
fn environments_with_logs(project: &Project) -> Vec<Project> {
    if project.environment.is_some() {
        return vec![project.clone()];
    }
    let of = |name: String| {
        let environment = Some(name).filter(|name| name != DEFAULT_ENVIRONMENT);
        Project { environment, ..project.clone() }
    };
    environments(project).map(of).collect()
}

/// Moves a log that is elsewhere, leaves it behind, or refuses.
async fn settle(project: &Project, options: &InitOptions) -> Result<(), Failure> {
    if options.migrate {
        let moved = migrate(project, parse_wait(&options.lock.lock_timeout)?).await?;
        match moved {
            Some(Moved { events, from, to, was_moved: false }) => {
                println!("Moved {events} events from {from} to {to}: each is there, none changed.");
            }
            Some(Moved { from, to, .. }) => {
                println!("{from} was moved to {to} before: that is used from now on.")
            }
            None => {}
        }
    } else if options.reconfigure
        && let Some(left) = leave_behind(project).await?
    {
        eprintln!("Note: the log {left} is left behind.");
    }
    refuse_left_behind(project).await?;
    if options.adopt_copy
        && let Some(home) = adopt_copy(project, parse_wait(&options.lock.lock_timeout)?).await?
    {
        eprintln!("Note: the log here goes on. Whoever still works on {home} makes everything twice.");
    }
    Ok(())
}
