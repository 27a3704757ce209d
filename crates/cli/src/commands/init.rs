//! `pve init`

use std::path::Path;

use pve_config::configuration::{DiskFiles, load};

use super::get;
use crate::arguments::{GlobalOptions, InitOptions};
use crate::backend::{
    Backend, Leaving, Moved, adopt_copy, keep_to_store, leave_behind, migrate, propose, reach,
    refuse_left_behind, tell_once, tell_terraform_lock,
};
use crate::duration::parse_wait;
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
    let proposed = match kind {
        Some(kind) => propose(project, kind, &options.backend_config, options.reconfigure)?,
        None if options.backend_config.is_empty() => None,
        None => {
            return Err(Failure::hinted(
                "-backend-config is for a `backend` block, and the configuration has none",
                "Write terraform { backend \"s3\" {} } in the root module. Nothing was kept.",
            ));
        }
    };
    settle(project, &environments_with_logs(project), options).await?;
    // Kept last: what fails before changes nothing.
    if let Some(proposed) = proposed {
        proposed.keep(project)?;
    }
    if let Backend::Shared(settings) = project.backend()? {
        tell_once(project, settings)?;
    }
    tell_terraform_lock(project).await
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

/// Makes sure that logs are where the configuration says: moves those that are elsewhere, leaves them behind, or refuses.
async fn settle(project: &Project, logs: &[Project], options: &InitOptions) -> Result<(), Failure> {
    if !options.migrate && !options.reconfigure {
        for project in logs {
            refuse_left_behind(project).await?;
        }
    }
    reach(project).await?;
    let wait = parse_wait(&options.lock.lock_timeout)?;
    if options.migrate {
        for project in logs {
            tell_moved(migrate(project, wait).await?);
        }
    }
    if options.reconfigure {
        let mut leaving = Vec::new();
        for project in logs {
            let Some(found) = leave_behind(project).await? else { continue };
            if found.is_same_log() {
                keep_to_store(project, wait).await?;
            }
            leaving.push(found);
        }
        // All or none.
        for left in leaving.into_iter().map(Leaving::keep) {
            if let Some(left) = left? {
                eprintln!("Note: the log {left} is left behind.");
            }
        }
    }
    for project in logs {
        refuse_left_behind(project).await?;
        if options.same_store
            && let Some(known) = keep_to_store(project, wait).await?
        {
            eprintln!("Note: recorded as another name of the store of {known}.");
        }
        if options.adopt_copy
            && let Some(home) = adopt_copy(project, wait).await?
        {
            eprintln!("Note: the log here goes on. Whoever still works on {home} makes everything twice.");
        }
    }
    Ok(())
}

fn tell_moved(moved: Option<Moved>) {
    match moved {
        Some(Moved { events, from, to, was_moved: false }) => {
            println!("Moved {events} events from {from} to {to}: each is there, none changed.");
        }
        Some(Moved { from, to, .. }) => {
            println!("{from} was moved to {to} before: that is used from now on.");
        }
        None => {}
    }
}
