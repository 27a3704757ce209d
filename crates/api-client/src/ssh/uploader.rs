//! Files of several nodes and commands on them, over one connection each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::connection::{Connection, connect};
use super::{SshError, SshErrorKind, SshOutput, SshSettings, SshTarget, command, sftp};

/// Files and commands that are under way on one node at a time.
const JOBS_PER_NODE: usize = 4;

/// Writes, reads and removes files of nodes, and runs commands on them. The first job of a node connects; later ones use
/// the same connection.
pub struct SshUploader {
    settings: SshSettings,
    nodes: Mutex<HashMap<SshTarget, Arc<Node>>>,
}

struct Node {
    connection: AsyncMutex<Option<Arc<Connection>>>,
    permits: Semaphore,
}

/// What to do with a file.
#[derive(Clone, Copy)]
enum Job<'a> {
    Write(&'a [u8], Option<u32>),
    Read,
    Remove,
}

impl SshUploader {
    /// Nothing is connected yet.
    pub fn new(settings: SshSettings) -> SshUploader {
        SshUploader { settings, nodes: Mutex::default() }
    }

    /// Writes a file: under a temporary name in its folder, which is made if it is missing, then moved over the old
    /// file. `mode` are the permission bits; without them a file that is replaced keeps its own.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart. The old file is whole after each of them, unless the server cannot rename over a
    /// file: then it may be missing.
    pub async fn write_file(
        &self,
        target: &SshTarget,
        remote_path: &str,
        bytes: &[u8],
        mode: Option<u32>,
    ) -> Result<(), SshError> {
        self.run(target, "write", remote_path, Job::Write(bytes, mode)).await.map(|_| ())
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart.
    pub async fn read_file(&self, target: &SshTarget, remote_path: &str) -> Result<Vec<u8>, SshError> {
        self.run(target, "read", remote_path, Job::Read).await
    }

    /// Removes a file; it is no error if there is none.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart.
    pub async fn remove_file(&self, target: &SshTarget, remote_path: &str) -> Result<(), SshError> {
        self.run(target, "remove", remote_path, Job::Remove).await.map(|_| ())
    }

    /// The user on the nodes.
    pub fn username(&self) -> &str {
        &self.settings.username
    }

    /// Runs a command as root, with `sudo` if the user is somebody else, within the time `most`. The arguments are a
    /// program's own, no shell reads them; they show in the node's list of processes.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart: after [`SshErrorKind::Lost`] the command may have run or still run, after the
    /// others it was not started. That it failed by itself is no error but in the output.
    pub async fn run_as_root(
        &self,
        target: &SshTarget,
        arguments: &[&str],
        most: Duration,
    ) -> Result<SshOutput, SshError> {
        let operation = format!("run {} on {target}", arguments.first().unwrap_or(&"nothing"));
        let line = command::line_as_root(&self.settings.username, arguments);
        let node = self.node(target);
        let _permit = node.permits.acquire().await;
        let channel = loop {
            let (connection, is_new) =
                self.connection(&node, target).await.map_err(|error| error.during(&operation))?;
            match connection.handle.channel_open_session().await {
                Ok(channel) => break channel,
                Err(error) if is_new => {
                    let message = format!("no command can be started: {error}");
                    return Err(SshError::new(SshErrorKind::Refused, message).during(&operation));
                }
                // An old connection had died: nothing was started on it.
                Err(_) => node.forget(&connection).await,
            }
        };
        let forwards_agent = self.settings.forwarded_agent.is_some();
        let running = command::run(channel, &line, forwards_agent);
        let ended = tokio::time::timeout(most, running).await.unwrap_or_else(|_| {
            let message = format!("it did not end within {} s", most.as_secs());
            Err(SshError::new(SshErrorKind::Lost, message))
        });
        ended.map_err(|error| error.during(&operation))
    }

    /// Does a job, and once more if the connection was an old one and had died: each job may be repeated.
    async fn run(
        &self,
        target: &SshTarget,
        verb: &str,
        path: &str,
        job: Job<'_>,
    ) -> Result<Vec<u8>, SshError> {
        let operation = format!("{verb} {path} on {target}");
        let node = self.node(target);
        let _permit = node.permits.acquire().await;
        loop {
            let (connection, is_new) =
                self.connection(&node, target).await.map_err(|error| error.during(&operation))?;
            tracing::debug!(%operation, is_new, "transfer");
            let error = match job.run(&connection, path).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if error.is_of_connection() {
                node.forget(&connection).await;
            }
            if is_new || error.kind != SshErrorKind::Lost {
                return Err(error.during(&operation));
            }
        }
    }

    fn node(&self, target: &SshTarget) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Node { connection: AsyncMutex::default(), permits: Semaphore::new(JOBS_PER_NODE) };
        Arc::clone(nodes.entry(target.clone()).or_insert_with(|| Arc::new(fresh())))
    }

    /// The node's connection, and whether it was made just now.
    async fn connection(&self, node: &Node, target: &SshTarget) -> Result<(Arc<Connection>, bool), SshError> {
        let mut slot = node.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok((Arc::clone(connection), false));
        }
        let connection = Arc::new(connect(target, &self.settings).await?);
        *slot = Some(Arc::clone(&connection));
        Ok((connection, true))
    }
}

impl Node {
    /// Makes the next file connect anew, unless another did so already.
    async fn forget(&self, dead: &Arc<Connection>) {
        let mut slot = self.connection.lock().await;
        slot.take_if(|current| Arc::ptr_eq(current, dead));
    }
}

impl Job<'_> {
    async fn run(self, connection: &Connection, path: &str) -> Result<Vec<u8>, SshError> {
        match self {
            Job::Write(bytes, mode) => sftp::write(connection, path, bytes, mode).await.map(|()| Vec::new()),
            Job::Read => sftp::read(connection, path).await,
            Job::Remove => sftp::remove(connection, path).await.map(|()| Vec::new()),
        }
    }
}
