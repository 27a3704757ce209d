//! Opening the log of an environment.

use std::sync::Arc;
use std::time::Duration;

use pve_model::state::State;
use pve_state::{EventLog, Key};
use pve_state_s3::SharedLog;
use pve_state_sqlite::SqliteLog;

use super::{Backend, RunLock};
use crate::failure::Failure;
use crate::project::Project;

impl Project {
    /// Whether there may be a log: a shared one is always asked for.
    ///
    /// # Errors
    /// When the backend cannot be used.
    pub fn has_log(&self) -> Result<bool, Failure> {
        match self.backend()? {
            Backend::Local => Ok(self.log_path().exists()),
            Backend::Shared(_) => Ok(true),
        }
    }

    /// Opens the log and projects it.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub async fn open_log(&self) -> Result<(Arc<dyn EventLog>, State), Failure> {
        let log: Arc<dyn EventLog> = match self.backend()? {
            Backend::Local => Arc::new(SqliteLog::open(&self.log_path(), self.key()?)?),
            Backend::Shared(settings) => SharedLog::connect(settings, self.stream(), self.key()?).await?.log,
        };
        let state = log.state().await?;
        Ok((log, state))
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
    /// When another run still holds it.
    pub async fn lock(&self, command: &str, wait: Duration) -> Result<RunLock, Failure> {
        match self.backend()? {
            Backend::Local => RunLock::local(self, command, wait).await,
            Backend::Shared(settings) => {
                super::given::tell_once(self, settings)?;
                RunLock::shared(self, settings, command, wait).await
            }
        }
    }
}

/// Opens the log to check it, which needs no key.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_without_key(project: &Project) -> Result<Arc<dyn EventLog>, Failure> {
    let key = Key::from_bytes([0; 32]);
    Ok(match project.backend()? {
        Backend::Local => Arc::new(SqliteLog::open(&project.log_path(), key)?),
        Backend::Shared(settings) => SharedLog::connect(settings, project.stream(), key).await?.log,
    })
}
