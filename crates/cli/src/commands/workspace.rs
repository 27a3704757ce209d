//! `pve workspace`: environments by the name that Terraform has for them.

use std::collections::BTreeSet;

use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, WorkspaceCommand};
use crate::failure::{Ended, Failure};
use crate::project::{DEFAULT_ENVIRONMENT, Project, is_environment_name};

/// Lists environments, names the present one, makes a new one, or says how to choose one.
///
/// # Errors
/// When there is no such environment, or there is one already.
pub fn run(global: &GlobalOptions, command: &WorkspaceCommand) -> Ended {
    let project = Project::find(global)?;
    match command {
        WorkspaceCommand::List => list(global, &project),
        WorkspaceCommand::Show => {
            if global.json {
                print_json(&json!({"format_version": "1.0", "current": project.stream()}))?;
            } else {
                println!("{}", project.stream());
            }
            Ok(0)
        }
        WorkspaceCommand::Select { name, or_create } => {
            if !environments(&project).contains(name) {
                if !or_create {
                    let hint = format!("Make it with `pve workspace new {name}`.");
                    return Err(Failure::hinted(format!("there is no environment \"{name}\""), hint));
                }
                make(&project, name)?;
            }
            if name == project.stream() {
                return Ok(0);
            }
            Err(Failure::hinted(
                "an environment is chosen with each command, so that none is changed by mistake",
                format!("Give -e {name}, or set PVE_ENVIRONMENT={name} or TF_WORKSPACE={name}."),
            ))
        }
        WorkspaceCommand::New { name } => {
            make(&project, name)?;
            eprintln!("Work on it with -e {name}.");
            Ok(0)
        }
    }
}

fn list(global: &GlobalOptions, project: &Project) -> Ended {
    let names = environments(project);
    if global.json {
        let current = project.stream();
        print_json(&json!({"format_version": "1.0", "current": current, "environments": names}))?;
        return Ok(0);
    }
    for name in names {
        println!("{} {name}", if name == project.stream() { "*" } else { " " });
    }
    Ok(0)
}

/// Folders with tfvars, and whatever has a log.
fn environments(project: &Project) -> BTreeSet<String> {
    let mut names = BTreeSet::from([DEFAULT_ENVIRONMENT.to_string()]);
    let data = project.data_folder();
    let logs = data.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    let places = [(project.root.clone(), false), (project.root.join("environments"), false), (logs, true)];
    for (folder, has_logs) in places {
        let is_mark = |name: &str| if has_logs { name == "log.db" } else { is_tfvars(name) };
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let inside = entry.path().read_dir().into_iter().flatten().flatten();
            let mut inside = inside.map(|entry| entry.file_name().to_string_lossy().into_owned());
            if is_environment_name(&name) && inside.any(|name| is_mark(&name)) {
                names.insert(name);
            }
        }
    }
    names
}

fn is_tfvars(name: &str) -> bool {
    name.ends_with(".tfvars") || name.ends_with(".tfvars.json")
}

fn make(project: &Project, name: &str) -> Result<(), Failure> {
    if !is_environment_name(name) {
        let hint = "Use letters, digits, `-`, `_` and `.`.";
        return Err(Failure::hinted(format!("{name:?} is no name for an environment"), hint));
    }
    if environments(project).contains(name) {
        let hint = format!("Work on it with -e {name}.");
        return Err(Failure::hinted(format!("there is an environment \"{name}\" already"), hint));
    }
    let grouped = project.root.join("environments");
    let folder = if grouped.is_dir() { grouped.join(name) } else { project.root.join(name) };
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("terraform.tfvars");
    std::fs::File::options().write(true).create_new(true).open(&file)?;
    println!("Made {}.", file.strip_prefix(&project.root).unwrap_or(&file).display());
    Ok(())
}
