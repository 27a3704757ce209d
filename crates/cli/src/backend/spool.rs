//! Events of a run whose shared log went away: kept in a file beside the environment until they are pushed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pve_state::{EventLog as _, PushError, Pushed, push_spool};
use pve_state_s3::SharedLog;
use pve_state_sqlite::SqliteLog;

use super::copy::refuse_copy;
use super::left_behind::refuse_left_behind;
use super::logs::refuse_moved;
use super::marker::Marker;
use super::noted::NotedLog;
use super::pin::{is_named, refuse_unnamed};
use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::{Project, actor};

/// A file of events that follow the event `base` of the log.
pub struct Spool {
    path: PathBuf,
    base: u64,
}

impl Spool {
    /// The file for the events after `base`.
    pub(super) fn path(folder: &Path, base: u64) -> PathBuf {
        folder.join(format!("spool-{base}.db"))
    }

    /// The one of this environment, if there is one.
    pub(super) fn find(project: &Project) -> Option<Spool> {
        let entries = project.data_folder().read_dir().into_iter().flatten().flatten();
        let spool = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            let base = name.strip_prefix("spool-")?.strip_suffix(".db")?.parse().ok()?;
            Some(Spool { path, base })
        };
        entries.filter_map(|entry| spool(entry.path())).min_by_key(|spool| spool.base)
    }

    /// What it is, for a message.
    pub(super) fn shown(&self) -> String {
        format!("the events after event {} in {}", self.base, self.path.display())
    }

    fn remove(&self) -> std::io::Result<()> {
        std::fs::remove_file(&self.path)?;
        for end in ["db-wal", "db-shm"] {
            // SQLite removes them itself when it closes the file.
            let _ = std::fs::remove_file(self.path.with_extension(end));
        }
        Ok(())
    }
}

/// Refuses to go on while events are not in the log.
///
/// # Errors
/// When there are some.
pub fn refuse_spool(project: &Project) -> Result<(), Failure> {
    let Some(spool) = Spool::find(project) else { return Ok(()) };
    Err(Failure::hinted(
        format!(
            "the log was away, or taken over, in the middle of a run here: {} are not in it yet",
            spool.shown()
        ),
        "`pve log push` appends them once the log is back.",
    ))
}

/// Refuses to leave a log, by a command of this name, while events are not in it: they belong there.
///
/// # Errors
/// When there are some.
pub(super) fn refuse_unpushed(project: &Project, home: &str, command: &str) -> Result<(), Failure> {
    let Some(spool) = Spool::find(project) else { return Ok(()) };
    Err(Failure::hinted(
        format!("{} are not in the log {home} yet", spool.shown()),
        format!(
            "Nothing was changed. With {home} in the `backend` block, `pve log push` appends them there (`pve log push \
             -discard` puts them aside); then name the new place and run `pve {command}` again."
        ),
    ))
}

/// Whether events are kept that are not in the log.
pub fn has_spool(project: &Project) -> bool {
    Spool::find(project).is_some()
}

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

/// Puts the kept events aside for good, and says where; `None` when there are none.
///
/// # Errors
/// When the file cannot be moved.
pub fn discard_spool(project: &Project) -> Result<Option<PathBuf>, Failure> {
    let Some(spool) = Spool::find(project) else { return Ok(None) };
    // Opening and closing it leaves everything in the one file.
    drop(SqliteLog::open(&spool.path, project.key()?)?);
    let named = |number: u32| spool.path.with_file_name(format!("discarded-{}-{number}.db", spool.base));
    let aside = (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0));
    std::fs::rename(&spool.path, &aside).map_err(Failure::writing(&aside))?;
    Ok(Some(aside))
}
