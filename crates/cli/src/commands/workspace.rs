//! `pve workspace`: environments by the name that Terraform has for them.

use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, WorkspaceCommand};
use crate::environments::{environments, is_environment_name, tell_if_none_is_chosen};
use crate::failure::{Ended, Failure};
use crate::project::Project;

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
            if !environments(&project).any(|known| known == *name) {
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
    tell_if_none_is_chosen(project)?;
    let names: Vec<String> = environments(project).collect();
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

fn make(project: &Project, name: &str) -> Result<(), Failure> {
    if !is_environment_name(name) {
        let hint = "Use letters, digits, `-`, `_` and `.`.";
        return Err(Failure::hinted(format!("{name:?} is no name for an environment"), hint));
    }
    if environments(project).any(|known| known == *name) {
        let hint = format!("Work on it with -e {name}.");
        return Err(Failure::hinted(format!("there is an environment \"{name}\" already"), hint));
    }
    let grouped = project.root.join("environments");
    let folder = if grouped.is_dir() { grouped.join(name) } else { project.root.join(name) };
    std::fs::create_dir_all(&folder).map_err(Failure::writing(&folder))?;
    let file = folder.join("terraform.tfvars");
    std::fs::File::options().write(true).create_new(true).open(&file).map_err(Failure::writing(&file))?;
    println!("Made {}.", file.strip_prefix(&project.root).unwrap_or(&file).display());
    Ok(())
}
