//! Where a simulator keeps its state between processes.

use std::path::PathBuf;

/// Why a simulator could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state could not be read or written.
    #[error("the simulator's state cannot be read or written")]
    File(#[from] std::io::Error),
    /// There is something, and it is not a state of this simulator.
    #[error("this is not a simulator's state")]
    Format(#[from] serde_json::Error),
}

/// Where a simulator keeps its state between processes.
pub trait StateFile: Send {
    /// What was written last; `None` if nothing was.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self) -> std::io::Result<Option<Vec<u8>>>;

    /// Replaces what was written, so that a reader sees the old or the new state, whole.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, bytes: &[u8]) -> std::io::Result<()>;
}

/// A JSON file, readable by its owner alone: it has the passwords of guests.
impl StateFile for PathBuf {
    fn read(&self) -> std::io::Result<Option<Vec<u8>>> {
        match std::fs::read(self) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut temporary = self.clone().into_os_string();
        temporary.push(".new");
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        std::io::Write::write_all(&mut options.open(&temporary)?, bytes)?;
        std::fs::rename(&temporary, self)
    }
}
