//! Events of a run whose shared log went away: kept in a file beside the environment until they are pushed.

use std::path::{Path, PathBuf};

use pve_state_sqlite::SqliteLog;

use crate::failure::Failure;
use crate::project::Project;

/// A file of events that follow the event `base` of the log.
pub struct Spool {
    pub(super) path: PathBuf,
    pub(super) base: u64,
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

    /// Removes it, once everything in it is in the log.
    pub(super) fn remove(&self) -> std::io::Result<()> {
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
