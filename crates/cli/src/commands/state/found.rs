//! States that Terraform left where a project keeps its own log: looked for before anything is planned on an empty log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pve_model::event::Operation;
use pve_model::state::State;
use pve_planner::planning::Planning;
use pve_resources::Registry;
use pve_state_s3::terraform_state;

use super::file::StateFile;
use crate::backend::{Backend, Local};
use crate::failure::Failure;
use crate::project::Project;
use crate::replace_file::replace_file;

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

/// Says, once for each object, what Terraform manages in the file that a local backend names and a log that has begun does
/// not.
pub async fn tell_unadopted(project: &Project, registry: &Registry, state: &State) {
    if matches!(project.backend(), Ok(Backend::Local(_))) {
        tell(project, registry, state).await;
    }
}

/// The same of a state in a bucket, for a request more: only before something is made, which Terraform may have made since.
pub async fn tell_unadopted_in_bucket(
    project: &Project,
    registry: &Registry,
    state: &State,
    planning: &Planning,
) {
    let makes = planning.plan.steps.iter().any(|step| step.operation == Operation::Create);
    if makes && matches!(project.backend(), Ok(Backend::Shared(_))) {
        tell(project, registry, state).await;
    }
}

/// What was adopted and then destroyed or renamed here stays in that state, too, so nothing is refused.
async fn tell(project: &Project, registry: &Registry, state: &State) {
    if state.sequence == 0 {
        return;
    }
    // A state that cannot be read is in nobody's way where a log has begun.
    let Ok(Some(found)) = of_backend(project).await else { return };
    let told_before = project.data_folder().join("terraform-state");
    let mut told = std::fs::read_to_string(&told_before).unwrap_or_default();
    let unmanaged = found.file.addresses(registry).into_iter();
    let unmanaged = unmanaged.filter(|address| !state.instances.contains_key(address));
    let names: Vec<String> = unmanaged.map(|address| address.to_string()).collect();
    let known: BTreeSet<String> = told.lines().map(String::from).collect();
    let news: Vec<&String> = names.iter().filter(|name| !known.contains(*name)).collect();
    let Some(first) = news.first() else { return };
    let others = match news.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    eprintln!(
        "Note: {} has {first}{others}, which this log does not manage: what Terraform made since is taken over with `pve \
         import`.",
        found.shown
    );
    for name in &news {
        told += &format!("{name}\n");
    }
    // Else it is told again.
    let _ = replace_file(&told_before, told.as_bytes());
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
