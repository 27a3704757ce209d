//! One writer at a time, across processes. The lock is the operating system's and ends with its process, however that
//! ends; who holds it stands in a file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The login name.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub process: u32,
    /// Since when.
    pub since: Timestamp,
    /// What it does.
    pub command: String,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{}", held(holder.as_ref()))]
    Held {
        /// Who, if that can be read.
        holder: Option<Holder>,
    },
    /// The file cannot be used.
    #[error("the lock file {path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn held(holder: Option<&Holder>) -> String {
    match holder {
        Some(h) => format!(
            "another run works on this environment: {} by {} on {} (process {}) since {}",
            h.command,
            h.user,
            h.host,
            h.process,
            h.since.strftime("%Y-%m-%d %H:%M:%S UTC")
        ),
        None => "another run works on this environment".into(),
    }
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct WriterLock {
    _file: File,
    description: PathBuf,
}

impl WriterLock {
    /// Takes the lock of the log at `log`, or says who holds it. Does not wait.
    ///
    /// # Errors
    /// When it is held or its file cannot be used.
    pub fn acquire(log: &Path, holder: &Holder) -> Result<WriterLock, LockError> {
        let path = log.with_extension("lock");
        let description = log.with_extension("lock.json");
        let fail = |source| LockError::File { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = std::fs::read(&description).ok();
                let holder = text.and_then(|text| serde_json::from_slice(&text).ok());
                return Err(LockError::Held { holder });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        let text = serde_json::to_vec_pretty(holder).map_err(|error| fail(error.into()))?;
        std::fs::write(&description, text).map_err(fail)?;
        Ok(WriterLock { _file: file, description })
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Only a description: the lock itself goes with the file handle.
        let _ = std::fs::remove_file(&self.description);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.db");
        let holder = Holder {
            user: "ops".into(),
            host: "desk".into(),
            process: 7,
            since: Timestamp::UNIX_EPOCH,
            command: "apply".into(),
        };
        let lock = WriterLock::acquire(&log, &holder).unwrap();
        let error = WriterLock::acquire(&log, &holder).unwrap_err().to_string();
        assert!(error.contains("apply by ops on desk (process 7)"), "{error}");
        drop(lock);
        WriterLock::acquire(&log, &holder).unwrap();
    }
}
