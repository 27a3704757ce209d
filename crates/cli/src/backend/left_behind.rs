//! A log that is in another place than the configuration says: refused, until it is moved or left behind.

use std::path::PathBuf;

use pve_state::{EventLog as _, Head, Key};
use pve_state_s3::SharedLog;
use pve_state_sqlite::{SqliteLog, log_id};
use uuid::Uuid;

use super::copy::{is_same_file, refuse_copy};
use super::given::to_give_again;
use super::marker::Marker;
use super::place::{Place, name, path, store};
use super::same_store::{LOOK, renamed};
use super::spool::refuse_unpushed;
use super::{Backend, Bucket, Local};
use crate::failure::Failure;
use crate::project::Project;

/// Refuses to open a log in one place while the environment's log is in another one.
///
/// # Errors
/// When there is a log that would be left behind, or the file of the log is gone.
pub async fn refuse_left_behind(project: &Project) -> Result<(), Failure> {
    let here = project.backend()?;
    let wanted = name(project, here);
    let Some((found, events)) = elsewhere(project, here).await? else { return Ok(()) };
    let again = to_give_again(project);
    if renamed(project, here)?.is_some() {
        return Err(Failure::hinted(
            format!(
                "the log of the environment {} is {found}, and the configuration now names {wanted}",
                project.stream()
            ),
            format!(
                "If that is another name of the same store, `pve init -reconfigure` goes on with it, and the log there has to \
                 be this one.{again} If it is another store, `pve init -migrate` moves the log there. Nothing was written."
            ),
        ));
    }
    Err(Failure::hinted(
        format!(
            "the log of the environment {} is {found} ({events} events), and the configuration now names {wanted}",
            project.stream()
        ),
        format!(
            "`pve init -migrate` moves it there; `pve init -reconfigure` leaves it behind.{again} Nothing was read or written."
        ),
    ))
}

/// Whether a log on this machine came here without `pve`: what is kept of it was renamed or copied with it, as the folder
/// of an environment is, or its file is here and not where it was. Whether it is whole, and a copy, is seen when it is opened.
fn came_here(project: &Project, marker: &Marker, local: &Local) -> Result<bool, Failure> {
    let Some(before) = marker.place.local(project)? else { return Ok(false) };
    let here = local.log(project);
    if before == here {
        return Ok(true);
    }
    let is_there = before.exists()
        || marker.place.file.as_ref().is_some_and(|file| file.exists() && !is_same_file(file, &here));
    Ok(!is_there && matches!(log_id(&here), Ok(Some(id)) if id == marker.log))
}

/// Whether the log says itself that its store is reached by the name of now, too. One that names no store is of an older
/// version, which did not keep an endpoint of a profile: there it is enough that what was kept leads here.
async fn is_recorded(project: &Project, marker: &Marker, bucket: &Bucket) -> Result<bool, Failure> {
    let Some(known) = renamed(project, project.backend()?)? else { return Ok(false) };
    let leads_here = known.place(project.stream()) == bucket.place(project.stream());
    let look = async {
        let log = SharedLog::connect(bucket, project.stream(), project.key()?).await?.log;
        let state = log.state().await?;
        marker.check_log(project, &*log).await?;
        let is_known = state.stores.contains(&store(bucket)) || (state.stores.is_empty() && leads_here);
        Ok::<bool, Failure>(is_known && refuse_copy(bucket, project, &state).is_ok())
    };
    // What cannot be asked, or is another log, is told of as one that is elsewhere.
    Ok(matches!(tokio::time::timeout(LOOK, look).await, Ok(Ok(true))))
}

/// The name of a log with events that is not where the backend is, and how many it has.
async fn elsewhere(project: &Project, here: &Backend) -> Result<Option<(String, u64)>, Failure> {
    let wanted = name(project, here);
    if let Some(marker) = Marker::read(project)? {
        let is_here = marker.place.name == wanted
            || marker.sequence == 0
            || match here {
                Backend::Local(local) => came_here(project, &marker, local)?,
                Backend::Shared(bucket) => is_recorded(project, &marker, bucket).await?,
            };
        return Ok((!is_here).then_some((marker.place.name, marker.sequence)));
    }
    // A log of before there were markers.
    let before = Local::default();
    let file = before.log(project);
    if before.name(project) == wanted || !file.exists() {
        return Ok(None);
    }
    let events = SqliteLog::open(&file, Key::from_bytes([0; 32]))?.head().await?;
    Ok((events > 0).then(|| (before.name(project), events)))
}

/// The backend that the environment's log is in, when that is not the one of the configuration.
///
/// # Errors
/// When it cannot be told.
pub(super) async fn left_behind(project: &Project) -> Result<Option<Backend>, Failure> {
    if elsewhere(project, project.backend()?).await?.is_none() {
        return Ok(None);
    }
    match Marker::read(project)? {
        Some(marker) => marker.place.reached(project).map(Some),
        None => Ok(Some(Backend::Local(Local::default()))),
    }
}

/// The log that the configuration names, in the place of one that is elsewhere, before that is kept.
pub struct Leaving {
    marker: Marker,
    path: PathBuf,
    left: Option<String>,
}

impl Leaving {
    /// Whether it is the same log under another name.
    pub fn is_same_log(&self) -> bool {
        self.left.is_none()
    }

    /// Keeps it. Says which log was left; `None` when it is the same one.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn keep(self) -> Result<Option<String>, Failure> {
        self.marker.write(&self.path).map_err(Failure::writing(&self.path))?;
        Ok(self.left)
    }
}

/// Lets the log that is elsewhere be: from now on the one that the configuration names is to count. Where it may be the
/// same one, it has to be.
///
/// # Errors
/// When it is not, or events are kept that belong into the one that would be left.
pub async fn leave_behind(project: &Project) -> Result<Option<Leaving>, Failure> {
    let here = project.backend()?;
    let Some((found, _)) = elsewhere(project, here).await? else { return Ok(None) };
    let place = Place::of(project, here)?;
    let is_renamed = renamed(project, here)?.is_some();
    let (marker, left) = match (Marker::read(project)?.filter(|_| is_renamed), here) {
        (Some(marker), Backend::Shared(bucket)) => {
            let marker = marker.moved_to(place);
            let log = SharedLog::connect(bucket, project.stream(), project.key()?).await?.log;
            log.state().await?;
            marker.check_log(project, &*log).await?;
            (marker, None)
        }
        _ => {
            if let Backend::Local(local) = here {
                refuse_to_take_along(project, local, &found)?;
            }
            refuse_unpushed(project, &found, "init -reconfigure")?;
            (Marker::new(place, Uuid::nil(), Head::default(), 0), Some(found))
        }
    };
    Ok(Some(Leaving { marker, path: path(project), left }))
}

/// Refuses to leave a log behind for a copy of it.
fn refuse_to_take_along(project: &Project, local: &Local, left: &str) -> Result<(), Failure> {
    let here = local.log(project);
    let Some(marker) = Marker::read(project)?.filter(|marker| marker.place.file.is_some()) else {
        return Ok(());
    };
    if log_id(&here)? != Some(marker.log) {
        return Ok(());
    }
    Err(Failure::hinted(
        format!("the log {} is a copy of {left}, which would be left behind", local.name(project)),
        "Nothing was changed. Two logs that go on from one make everything twice. If nobody will use the other one again, \
         `pve init -adopt-copy` makes this one the log that goes on; for a log that begins anew, take its file away.",
    ))
}

/// Refuses to make a local log anew where one was.
///
/// # Errors
/// When its file is gone.
pub(super) fn refuse_vanished(project: &Project) -> Result<(), Failure> {
    let Backend::Local(local) = project.backend()? else { return Ok(()) };
    if local.log(project).exists() {
        return Ok(());
    }
    match Marker::read(project)? {
        Some(marker)
            if marker.place.name == local.name(project)
                || marker.place.local(project)? == Some(local.log(project)) =>
        {
            marker.check(project, marker.log, Head::default())
        }
        _ => Ok(()),
    }
}
