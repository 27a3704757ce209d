//! `backend "local"`: a log in a file. With Terraform's arguments it is beside the state that they name, so that whoever
//! keeps states together, or on a disk that others have too, finds the logs there.

use std::path::{Path, PathBuf};

use super::Arguments;
use crate::failure::Failure;
use crate::project::{DEFAULT_ENVIRONMENT, Project};

/// The file of a state, and the folder of those of other environments, when no argument says otherwise.
const STATE: &str = "terraform.tfstate";
const STATES: &str = "terraform.tfstate.d";

/// The arguments of the block.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// `path`: the state of the default environment.
    path: Option<PathBuf>,
    /// `workspace_dir`: the folder of the other ones' states.
    folder: Option<PathBuf>,
    /// What the block and `-backend-config` gave.
    pub(super) arguments: Arguments,
}

impl Local {
    /// Reads the arguments.
    ///
    /// # Errors
    /// When one is unknown or no path.
    pub(super) fn from_arguments(arguments: Arguments) -> Result<Local, Failure> {
        let (mut path, mut folder) = (None, None);
        for (name, value) in arguments.iter().filter(|(_, value)| !value.is_null()) {
            let place = match &**name {
                "path" => &mut path,
                "workspace_dir" => &mut folder,
                _ => {
                    let hint = "It has `path` and `workspace_dir`. Nothing was read or written.";
                    return Err(Failure::hinted(format!("backend \"local\" has no argument {name}"), hint));
                }
            };
            let text = value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| {
                Failure::hinted(
                    format!("backend \"local\": {name} must be a path"),
                    "Nothing was read or written.",
                )
            })?;
            *place = Some(PathBuf::from(text));
        }
        Ok(Local { path, folder, arguments })
    }

    /// The argument that says where the environment's state is, if there is one.
    fn named(&self, project: &Project) -> Option<PathBuf> {
        match project.stream() {
            DEFAULT_ENVIRONMENT => self.path.clone(),
            other => Some(self.folder.as_ref()?.join(other).join(STATE)),
        }
    }

    /// Where Terraform keeps the environment's state: relative to the project unless the argument is absolute.
    pub fn state(&self, project: &Project) -> PathBuf {
        self.named(project).unwrap_or_else(|| match project.stream() {
            DEFAULT_ENVIRONMENT => STATE.into(),
            other => Path::new(STATES).join(other).join(STATE),
        })
    }

    /// The file of the environment's log.
    pub fn log(&self, project: &Project) -> PathBuf {
        let Some(mut beside) = self.named(project).map(|state| project.root.join(state)) else {
            return project.log_path();
        };
        let mut name = beside.file_name().unwrap_or_default().to_os_string();
        name.push(".pve");
        beside.set_file_name(name);
        beside.join("log.db")
    }

    /// How the log is called where it is told of.
    pub(super) fn name(&self, project: &Project) -> String {
        let file = self.log(project);
        file.strip_prefix(&project.root).unwrap_or(&file).display().to_string()
    }
}
