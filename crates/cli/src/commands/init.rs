//! `pve init`

use std::path::Path;
use std::time::Duration;

use pve_config::configuration::{DiskFiles, load};

use super::get;
use crate::arguments::{GlobalOptions, InitOptions};
use crate::backend::{
    ADOPT, Backend, Moved, Recorded, adopt_copy, keep_to_store, leave_behind, migrate, propose, reach,
    refuse_copied, refuse_left_behind, tell_once, tell_terraform_lock,
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
    let wait = parse_wait(&options.lock.lock_timeout)?;
    // A file that was copied counts as the log here only from then on.
    for project in logs.iter().filter(|_| options.adopt_copy) {
        if matches!(project.backend()?, Backend::Local(_))
            && let Some(home) = adopt_copy(project, wait).await?
        {
            tell_adopted(&home);
        }
    }
    if !options.migrate && !options.reconfigure {
        for project in logs {
            refuse_left_behind(project).await?;
        }
    }
    reach(project).await?;
    if options.migrate {
        for project in logs {
            tell_moved(migrate(project, wait).await?);
        }
    }
    if options.reconfigure {
        reconfigure(logs, options.adopt_copy, wait).await?;
    }
    for project in logs {
        refuse_left_behind(project).await?;
        if options.same_store
            && let Some(going) = keep_to_store(project, "init -same-store", wait).await?
        {
            tell_recorded(&going.keep().await, false);
        }
        if options.adopt_copy
            && let Some(home) = adopt_copy(project, wait).await?
        {
            tell_adopted(&home);
        }
        refuse_copied(project)?;
    }
    Ok(())
}

/// Leaves logs that are elsewhere behind, or follows them to another name. Every environment is looked at before one is
/// changed, and what is kept beside them comes last.
async fn reconfigure(logs: &[Project], adopt: bool, wait: Duration) -> Result<(), Failure> {
    let mut leaving = Vec::new();
    for project in logs {
        leaving.extend(leave_behind(project).await?.map(|left| (project, left)));
    }
    let mut going_on = Vec::new();
    let command = if adopt { ADOPT } else { "init -reconfigure" };
    for (project, _) in leaving.iter().filter(|(_, left)| left.is_same_log()) {
        going_on.extend(keep_to_store(project, command, wait).await?);
    }
    for (_, left) in leaving {
        if let Some(left) = left.keep()? {
            eprintln!("Note: the log {left} is left behind.");
        }
    }
    for going in going_on {
        tell_recorded(&going.keep().await, adopt);
    }
    Ok(())
}

fn tell_recorded(recorded: &Recorded, adopted: bool) {
    let known = &recorded.known;
    match recorded {
        _ if adopted => tell_adopted(known),
        Recorded { is_proved: true, .. } => {
            eprintln!(
                "Note: recorded as another name of the store of {known}: what is written here is there."
            );
        }
        Recorded { .. } => eprintln!(
            "Note: recorded as another name of the store of {known}, which could not be asked. If this is a copy, whoever \
             works on the other one makes everything twice."
        ),
    }
}

fn tell_adopted(home: &str) {
    eprintln!("Note: the log here goes on. Whoever still works on {home} makes everything twice.");
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
