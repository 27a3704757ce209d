//! `pve log push`: what a run kept while its log was away goes into the log.

use std::time::Duration;

use pve_state::{EventLog as _, PushError, Pushed, push_spool};
use pve_state_s3::SharedLog;
use pve_state_sqlite::SqliteLog;

use super::copy::{refuse_copy, refuse_moved};
use super::left_behind::refuse_left_behind;
use super::marker::Marker;
use super::noted::NotedLog;
use super::pin::{is_named, refuse_unnamed};
use super::spool::Spool;
use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::{Project, actor};

/// Appends what an earlier run kept, and says what became of it; `None` when there is nothing.
///
/// # Errors
/// When the log is still away, another one than the environment names, or was moved: what is kept is of where it went on.
pub async fn push(project: &Project, wait: Duration) -> Result<Option<Pushed>, Failure> {
    refuse_left_behind(project).await?;
    let Some(spool) = Spool::find(project) else {
        // Who names the log is told of another one, even where there is nothing to do.
        if is_named() && project.has_log()? {
            project.open_log().await?;
        }
        return Ok(None);
    };
    let Backend::Shared(bucket) = project.backend()? else {
        return Err(Failure::plain(format!("{} are of a shared log, and the log is here", spool.shown())));
    };
    let _lock = RunLock::take(project, project.backend()?, "log push", wait).await?;
    let log = SharedLog::connect(bucket, project.stream(), project.key()?).await?.log;
    let kept = SqliteLog::open(&spool.path, project.key()?)?;
    let state = log.state().await?;
    if let Some(marker) = Marker::read(project)? {
        // What was kept may be secret: it is sealed for whoever the log that was seen is sealed for.
        marker.check_log(project, &*log).await?;
    }
    refuse_moved(&state)?;
    refuse_copy(bucket, project, &state)?;
    refuse_unnamed(&*log).await?;
    let pushed = push_spool(&*log, &kept, spool.base, &actor()).await.map_err(|error| match error {
        PushError::Log(error) => error.into(),
        other @ PushError::OtherLog => Failure::hinted(
            format!("{other}: {} was begun for one in another place", spool.path.display()),
            "Name that place in the `backend` block again, or put them aside with `pve log push -discard`.",
        ),
    })?;
    let state = log.state().await?;
    if let Err(error) = log.save_snapshot(&state).await {
        eprintln!("Note: no snapshot was kept ({error}); the log is complete without it.");
    }
    NotedLog::new(project, log)?.note().await;
    drop(kept);
    spool.remove().map_err(Failure::writing(&spool.path))?;
    Ok(Some(pushed))
}
