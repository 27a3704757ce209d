//! States that Terraform left where a project keeps its own log: looked for before anything is planned on an empty log.

use std::path::{Path, PathBuf};

use pve_model::state::State;
use pve_resources::Registry;
use pve_state_s3::terraform_state;

use super::adopt::StateFile;
use crate::backend::{Backend, Local};
use crate::failure::Failure;
use crate::project::Project;

/// A state of Terraform.
pub struct Found {
    /// How it is called.
    pub shown: String,
    /// What is in it.
    pub file: StateFile,
}

impl Found {
    /// The state in a file; `None` when there is no such file, or nothing in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(folder: &Path, path: &Path) -> Result<Option<Found>, Failure> {
        let shown = path.display().to_string();
        match std::fs::read(folder.join(path)) {
            Ok(bytes) => Found::of(shown, &bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::plain(format!("{shown} cannot be read: {error}"))),
        }
    }

    fn of(shown: String, bytes: &[u8]) -> Result<Option<Found>, Failure> {
        if bytes.is_empty() {
            return Ok(None);
        }
        StateFile::parse(&shown, bytes).map(|file| Some(Found { shown, file }))
    }
}

/// How the state is called that Terraform keeps where the backend is.
///
/// # Errors
/// When the backend cannot be used.
pub fn place(project: &Project) -> Result<String, Failure> {
    Ok(match project.backend()? {
        Backend::Local(local) => local.state(project).display().to_string(),
        Backend::Shared(bucket) => format!("s3://{}/{}", bucket.bucket, bucket.state_key(project.stream())),
    })
}

/// The state that Terraform keeps where the backend is, if there is one.
///
/// # Errors
/// When it cannot be read.
pub async fn of_backend(project: &Project) -> Result<Option<Found>, Failure> {
    match project.backend()? {
        Backend::Local(local) => Found::file(&project.root, &local.state(project)),
        Backend::Shared(bucket) => match terraform_state(bucket, project.stream()).await? {
            Some(bytes) => Found::of(place(project)?, &bytes),
            None => Ok(None),
        },
    }
}

/// A log that begins beside a state of Terraform would plan everything anew that is in it: guests with drawn ids would be
/// there twice.
///
/// # Errors
/// When there is such a state, or one that cannot be read, and the log has nothing yet.
pub async fn refuse_unadopted(project: &Project, registry: &Registry, state: &State) -> Result<(), Failure> {
    if state.sequence > 0 {
        return Ok(());
    }
    refuse(of_backend(project).await?, "pve state adopt", registry)?;
    // Those that a project has before it names a backend.
    let elsewhere = Local::default().state(project);
    for path in [elsewhere, PathBuf::from("terraform.tfstate")] {
        let command = format!("pve state adopt {}", path.display());
        refuse(Found::file(&project.root, &path)?, &command, registry)?;
    }
    Ok(())
}

fn refuse(found: Option<Found>, command: &str, registry: &Registry) -> Result<(), Failure> {
    let Some(found) = found else { return Ok(()) };
    let (shown, count) = (found.shown, found.file.known_objects(registry));
    if count == 0 {
        return Ok(());
    }
    let message =
        format!("{shown} has {count} objects that Terraform manages: all of them would be planned anew");
    let hint =
        format!("Take them over with `{command}`. If it is about something else, move it to another place.");
    Err(Failure::hinted(message, hint))
}
