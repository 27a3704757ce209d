//! One connection for commands and files, through another host if need be: what provisioners of guests need.

use russh::ChannelMsg;
use russh::client::Handle;

use super::connection::{Connection, Gatekeeper, log_in, over, start_sftp, within};
use super::{SshError, SshErrorKind, SshSettings, SshTarget, sftp};

/// The size of the terminal that commands see.
const TERMINAL: (u32, u32) = (80, 40);

/// A connection that is logged in. It ends when it is dropped.
pub struct SshSession {
    connection: Connection,
    target: SshTarget,
    /// The connection that this one goes through; it must live as long.
    _bastion: Option<Handle<Gatekeeper>>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshExit {
    /// With this exit code.
    Code(u32),
    /// By a signal, named without `SIG`.
    Signal(String),
}

impl SshSession {
    /// Connects and logs in, each host within the time of its settings.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart.
    pub async fn connect(
        target: &SshTarget,
        settings: &SshSettings,
        bastion: Option<(&SshTarget, &SshSettings)>,
    ) -> Result<SshSession, SshError> {
        let operation = format!("connect to {target}");
        let connected = match bastion {
            None => within(target, settings, direct(target, settings)).await,
            Some((host, theirs)) => {
                let between = within(host, theirs, log_in(host, theirs)).await;
                let between = between.map_err(|error| error.during(&format!("connect to {host}")))?;
                within(target, settings, through(between, target, settings)).await
            }
        };
        connected.map_err(|error| error.during(&operation))
    }

    /// Runs a command on a terminal and hands on its output, standard error too, as it comes.
    ///
    /// # Errors
    /// When it cannot be started or the connection ends before the command does. The error does not quote the command.
    pub async fn run(
        &self,
        command: &str,
        output: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<SshExit, SshError> {
        let operation = format!("run a command on {}", self.target);
        let lost = |error: russh::Error| {
            SshError::new(SshErrorKind::Lost, format!("the connection was lost: {error}")).during(&operation)
        };
        let mut channel = self.connection.handle.channel_open_session().await.map_err(lost)?;
        let modes = [(russh::Pty::ECHO, 0)];
        channel.request_pty(false, "xterm", TERMINAL.0, TERMINAL.1, 0, 0, &modes).await.map_err(lost)?;
        channel.exec(true, command).await.map_err(lost)?;
        let mut exit = None;
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => output(&data),
                ChannelMsg::ExtendedData { data, .. } => output(&data),
                ChannelMsg::ExitStatus { exit_status } => exit = Some(SshExit::Code(exit_status)),
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    exit = Some(SshExit::Signal(format!("{signal_name:?}")));
                }
                ChannelMsg::Failure => {
                    let message = "the server does not run commands";
                    return Err(SshError::new(SshErrorKind::Refused, message).during(&operation));
                }
                _ => {}
            }
        }
        exit.ok_or_else(|| {
            let message = "the connection ended before the command did";
            SshError::new(SshErrorKind::Lost, message).during(&operation)
        })
    }

    /// Writes a file as [`super::SshUploader::write_file`] does.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart.
    pub async fn write_file(&self, path: &str, bytes: &[u8], mode: Option<u32>) -> Result<(), SshError> {
        let operation = format!("write {path} on {}", self.target);
        sftp::write(&self.connection, path, bytes, mode).await.map_err(|error| error.during(&operation))
    }

    /// Removes a file; it is no error if there is none.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart.
    pub async fn remove_file(&self, path: &str) -> Result<(), SshError> {
        let operation = format!("remove {path} on {}", self.target);
        sftp::remove(&self.connection, path).await.map_err(|error| error.during(&operation))
    }

    /// Makes a folder and those around it, as far as they are missing.
    ///
    /// # Errors
    /// As [`SshErrorKind`] tells apart.
    pub async fn make_folder(&self, path: &str) -> Result<(), SshError> {
        let operation = format!("make the folder {path} on {}", self.target);
        let made = sftp::make_folders(&self.connection.sftp, path).await;
        made.map_err(|error| error.during(&operation))
    }
}

async fn direct(target: &SshTarget, settings: &SshSettings) -> Result<SshSession, SshError> {
    let connection = start_sftp(log_in(target, settings).await?, settings).await?;
    Ok(SshSession { connection, target: target.clone(), _bastion: None })
}

/// A session over a channel of a connection to another host.
async fn through(
    between: Handle<Gatekeeper>,
    target: &SshTarget,
    settings: &SshSettings,
) -> Result<SshSession, SshError> {
    let (host, port) = (target.host.as_str(), u32::from(target.port));
    let channel = between.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await.map_err(|error| {
        let message = format!("{target} cannot be reached from the bastion host: {error}");
        SshError::new(SshErrorKind::Unreachable, message)
    })?;
    let handle = over(channel.into_stream(), target, settings).await?;
    let connection = start_sftp(handle, settings).await?;
    Ok(SshSession { connection, target: target.clone(), _bastion: Some(between) })
}
