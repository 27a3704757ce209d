//! Which environments a project has: folders of tfvars, and whatever has a log.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::project::{DEFAULT_ENVIRONMENT, Project};

/// What stands beside the environments in the data folder.
pub const RESERVED: [&str; 5] = ["backend.json", "key", "known_hosts", "modules", "modules.json"];

/// Whether an environment can be called this: its name is one of a folder and a part of keys in a bucket.
pub fn is_environment_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(fits) && !RESERVED.contains(&name)
}

/// All environments, in the order of their names.
pub fn environments(project: &Project) -> impl Iterator<Item = String> {
    let data = project.data_folder();
    let logs = data.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    let mut names = with_variables_of_their_own(project);
    names.insert(DEFAULT_ENVIRONMENT.to_string());
    names.extend(folders_with(logs, |name| matches!(name, "log.db" | "log.json")));
    names.into_iter()
}

/// Says which environments there are where none is chosen and the one without a name has nothing: an answer about it is
/// hardly what was asked for.
///
/// # Errors
/// When the backend cannot be used.
pub fn tell_if_none_is_chosen(project: &Project) -> Result<(), Failure> {
    let others: Vec<String> = environments(project).filter(|name| name != DEFAULT_ENVIRONMENT).collect();
    if let Some(first) = others.first()
        && project.environment.is_none()
        && !project.has_log()?
    {
        eprintln!(
            "Note: no environment is chosen, and {DEFAULT_ENVIRONMENT} has no log. There are: {}. Choose one, for \
             instance -e {first}.",
            others.join(", ")
        );
    }
    Ok(())
}

/// Those that have a folder of tfvars.
pub fn with_variables_of_their_own(project: &Project) -> BTreeSet<String> {
    let places = [project.root.clone(), project.root.join("environments")];
    let is_tfvars = |name: &str| name.ends_with(".tfvars") || name.ends_with(".tfvars.json");
    places.into_iter().flat_map(|folder| folders_with(folder, is_tfvars)).collect()
}

/// Names of folders in `folder` with a file that is marked.
fn folders_with(folder: PathBuf, is_mark: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    let marked = named.filter(|(name, path)| {
        let mut inside = path.read_dir().into_iter().flatten().flatten();
        is_environment_name(name) && inside.any(|entry| is_mark(&entry.file_name().to_string_lossy()))
    });
    marked.map(|(name, _)| name).collect()
}
