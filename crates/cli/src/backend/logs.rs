//! Opening the log of an environment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pve_model::state::State;
use pve_state::{EventLog, Head, Key, LogError, MovableLog, SpooledLog};
use pve_state_s3::SharedLog;
use pve_state_sqlite::SqliteLog;
use uuid::Uuid;

use super::copy::{refuse_copied_file, refuse_copy, refuse_moved};
use super::left_behind::{refuse_left_behind, refuse_vanished};
use super::marker::Marker;
use super::noted::NotedLog;
use super::pin::{refuse_unnamed, tell_first_use};
use super::spool::{Spool, refuse_spool};
use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::Project;

impl Project {
    /// Whether there may be a log: a shared one is always asked for.
    ///
    /// # Errors
    /// When the backend cannot be used, or the log's file was there and is gone.
    pub fn has_log(&self) -> Result<bool, Failure> {
        match self.backend()? {
            Backend::Local(local) => {
                refuse_vanished(self)?;
                // One that is elsewhere is told of when it is opened.
                Ok(local.log(self).exists() || Marker::read(self)?.is_some_and(|marker| marker.sequence > 0))
            }
            Backend::Shared(_) => Ok(true),
        }
    }

    /// Opens the log and projects it.
    ///
    /// # Errors
    /// When the log cannot be used, is not the one that was here, or is elsewhere.
    pub async fn open_log(&self) -> Result<(Arc<dyn EventLog>, State), Failure> {
        if let Some(spool) = Spool::find(self) {
            eprintln!("Note: {} are not in the log yet: `pve log push`.", spool.shown());
        }
        self.open_with(Ok).await
    }

    /// The same for a run that writes: when a shared log goes away in the middle, what happens is kept in a file, and
    /// `stop` is set.
    ///
    /// # Errors
    /// As [`Project::open_log`].
    pub async fn open_log_for_run(
        &self,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Arc<dyn EventLog>, State), Failure> {
        if matches!(self.backend()?, Backend::Local(_)) {
            return self.open_log().await;
        }
        let (key, folder, stop) = (self.key()?, self.data_folder(), Arc::clone(stop));
        let open = move |log, base| -> Result<Arc<dyn EventLog>, LogError> {
            Ok(Arc::new(SqliteLog::open_as(&Spool::path(&folder, base), key.clone(), log)?))
        };
        let away = move |error: &LogError| {
            stop.store(true, Ordering::SeqCst);
            let what = if error.is_conflict() {
                "Another run took over the log".to_string()
            } else {
                format!("The log is away ({error})")
            };
            eprintln!("{what}. What runs is finished and kept here, nothing more is started.");
        };
        self.open_with(|log| Ok(Arc::new(SpooledLog::new(log, Box::new(open), away)))).await
    }

    async fn open_with(
        &self,
        wrap: impl FnOnce(Arc<dyn EventLog>) -> Result<Arc<dyn EventLog>, Failure>,
    ) -> Result<(Arc<dyn EventLog>, State), Failure> {
        refuse_left_behind(self).await?;
        refuse_vanished(self)?;
        let mut shared = None;
        let log: Arc<dyn EventLog> = match self.backend()? {
            Backend::Local(local) => {
                refuse_copied_file(self, local)?;
                Arc::new(SqliteLog::open(&local.log(self), self.key()?)?)
            }
            Backend::Shared(bucket) => {
                let log = SharedLog::connect(bucket, self.stream(), self.key()?).await?.log;
                shared = Some(Arc::clone(&log));
                log
            }
        };
        let state = log.state().await?;
        if let Some(marker) = Marker::read(self)? {
            marker.check_log(self, &*log).await?;
        }
        refuse_moved(&state)?;
        if let Backend::Shared(bucket) = self.backend()? {
            refuse_copy(bucket, self, &state)?;
        }
        refuse_unnamed(&*log).await?;
        if let Some(shared) = shared {
            tell_first_use(self, &shared, &state).await?;
        }
        let noted = NotedLog::new(self, wrap(log)?)?;
        noted.note().await;
        Ok((Arc::new(noted), state))
    }

    /// The state, without making a log where there is none.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub async fn state(&self) -> Result<State, Failure> {
        if !self.has_log()? {
            return Ok(State::default());
        }
        Ok(self.open_log().await?.1)
    }

    /// Takes the lock on writing, waiting for at most `wait`.
    ///
    /// # Errors
    /// When another run still holds it, or events of an earlier run are not in the log yet.
    pub async fn lock(&self, command: &str, wait: Duration) -> Result<RunLock, Failure> {
        refuse_left_behind(self).await?;
        refuse_spool(self)?;
        if let Backend::Shared(bucket) = self.backend()? {
            super::given::tell_once(self, bucket)?;
        }
        RunLock::take(self, self.backend()?, command, wait).await
    }
}

/// Opens the log in a backend to move it. Where there is none, one is made with this id.
///
/// # Errors
/// When it cannot be opened.
pub(super) async fn open_to_move(
    project: &Project,
    backend: &Backend,
    id: Option<Uuid>,
) -> Result<Arc<dyn MovableLog>, Failure> {
    let key = project.key()?;
    let id = id.unwrap_or_else(Uuid::now_v7);
    Ok(match backend {
        Backend::Local(local) => Arc::new(SqliteLog::open_as(&local.log(project), key, id)?),
        Backend::Shared(bucket) => SharedLog::connect_as(bucket, project.stream(), key, id).await?.log,
    })
}

/// Opens the log to change whom it is sealed for.
///
/// # Errors
/// When it cannot be opened, or is another one than the environment names.
pub async fn open_to_change(project: &Project) -> Result<Arc<dyn MovableLog>, Failure> {
    let log = open_to_move(project, project.backend()?, None).await?;
    log.keyring().await?;
    refuse_unnamed(&*log).await?;
    Ok(log)
}

/// Asks the store of a shared log, once, whether it is there for us.
///
/// # Errors
/// When it cannot be reached or refuses.
pub async fn reach(project: &Project) -> Result<(), Failure> {
    if let Backend::Shared(bucket) = project.backend()? {
        pve_state_s3::reach(bucket, project.stream()).await?;
    }
    Ok(())
}

/// Opens the log to check it, which needs no key.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_without_key(project: &Project) -> Result<Arc<dyn MovableLog>, Failure> {
    let key = Key::from_bytes([0; 32]);
    Ok(match project.backend()? {
        Backend::Local(local) => Arc::new(SqliteLog::open(&local.log(project), key)?),
        Backend::Shared(bucket) => SharedLog::connect(bucket, project.stream(), key).await?.log,
    })
}

/// Opens every event with the key at hand, and says what is wrong with them; `false` when that would prove nothing: a log
/// of before there were keyrings binds an event to its place alone.
///
/// # Errors
/// When the log cannot be opened at all.
pub async fn open_all(project: &Project) -> Result<Result<bool, LogError>, Failure> {
    let log = open_to_change(project).await?;
    if log.keyring().await?.is_none() {
        return Ok(Ok(false));
    }
    Ok(log.read(0).await.map(|_| true))
}

/// How the log differs from what this machine remembers of it; `None` when it goes on from there.
///
/// # Errors
/// When the log cannot be read.
pub async fn unlike_remembered(project: &Project) -> Result<Option<String>, Failure> {
    let Some(marker) = Marker::read(project)?.filter(|marker| marker.sequence > 0) else { return Ok(None) };
    let log = open_without_key(project).await?;
    let stored = log.stored(marker.sequence - 1).await?;
    Ok(marker.differs(stored.first().map(Head::of)))
}
