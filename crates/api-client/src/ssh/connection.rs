//! One connection to a node, logged in and with SFTP started.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{ChannelOpenHandle, Config, Handle, Handler, Msg, Session};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Preferred};
use russh_sftp::client::RawSftpSession;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{
    ForwardedAgent, HostKeyPolicy, SshError, SshErrorKind, SshSettings, SshTarget, agent, host_key, login,
    proxy,
};

/// A connection to a node. It ends when it is dropped.
pub(super) struct Connection {
    /// The session, for further channels.
    pub(super) handle: Handle<Gatekeeper>,
    /// The SFTP session.
    pub(super) sftp: RawSftpSession,
    /// Whether the server renames over a file that exists.
    pub(super) renames_over: bool,
    /// Whether the server writes a file through to its disk when asked.
    pub(super) syncs: bool,
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without it the session would wait for the server. An error says that it has ended.
        let _ = self.sftp.close_session();
    }
}

/// Connects within the settings' time.
pub(super) async fn connect(target: &SshTarget, settings: &SshSettings) -> Result<Connection, SshError> {
    within(target, settings, async { start_sftp(log_in(target, settings).await?, settings).await }).await
}

/// Bounds what connects by the settings' time.
pub(super) async fn within<T>(
    target: &SshTarget,
    settings: &SshSettings,
    work: impl Future<Output = Result<T, SshError>>,
) -> Result<T, SshError> {
    let seconds = settings.connect_timeout.as_secs_f64();
    tokio::time::timeout(settings.connect_timeout, work).await.unwrap_or_else(|_| {
        Err(SshError::new(SshErrorKind::TimedOut, format!("{target} did not answer within {seconds} s")))
    })
}

/// Connects and logs in.
pub(super) async fn log_in(
    target: &SshTarget,
    settings: &SshSettings,
) -> Result<Handle<Gatekeeper>, SshError> {
    let stream = match &settings.proxy {
        Some(server) => proxy::connect(server, target).await?,
        None => TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|error| {
            SshError::new(SshErrorKind::Unreachable, format!("{target} cannot be reached: {error}"))
        })?,
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small packets wait");
    }
    over(stream, target, settings).await
}

/// Logs in over a stream that leads to the server.
pub(super) async fn over<S>(
    stream: S,
    target: &SshTarget,
    settings: &SshSettings,
) -> Result<Handle<Gatekeeper>, SshError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let config = Config {
        preferred: preferred(&host_key::known_algorithms(&settings.host_keys, target)?),
        keepalive_interval: Some(Duration::from_secs(15)),
        ..Config::default()
    };
    let gatekeeper = Gatekeeper {
        target: target.clone(),
        policy: settings.host_keys.clone(),
        agent: settings.forwarded_agent.clone(),
    };
    let mut handle = russh::client::connect_stream(Arc::new(config), stream, gatekeeper).await.map_err(
        |error| match error {
            HandshakeError::HostKey(error) => error,
            HandshakeError::Protocol(error) => {
                SshError::new(SshErrorKind::Unreachable, format!("{target} does not agree on SSH: {error}"))
            }
        },
    )?;
    login::log_in(&mut handle, settings).await?;
    Ok(handle)
}

/// Starts SFTP on a session that is logged in.
pub(super) async fn start_sftp(
    handle: Handle<Gatekeeper>,
    settings: &SshSettings,
) -> Result<Connection, SshError> {
    let refused =
        |error: String| SshError::new(SshErrorKind::Refused, format!("SFTP cannot be started: {error}"));
    let mut channel = handle.channel_open_session().await.map_err(|error| refused(error.to_string()))?;
    channel.request_subsystem(true, "sftp").await.map_err(|error| refused(error.to_string()))?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure) | None => return Err(refused("the server does not offer it".into())),
            Some(_) => {}
        }
    }
    let limits = russh_sftp::client::Config {
        request_timeout_secs: settings.answer_timeout.as_secs().max(1),
        ..russh_sftp::client::Config::default()
    };
    let sftp = RawSftpSession::new_with_config(channel.into_stream(), limits);
    let version = sftp.init().await.map_err(|error| refused(error.to_string()))?;
    let has = |name: &str| version.extensions.get(name).is_some_and(|version| version == "1");
    let (renames_over, syncs) = (has("posix-rename@openssh.com"), has("fsync@openssh.com"));
    Ok(Connection { handle, sftp, renames_over, syncs })
}

/// The usual algorithms, those of known host keys first.
fn preferred(known: &[Algorithm]) -> Preferred {
    let is_known = |algorithm: &&Algorithm| {
        known.iter().any(|known| match (known, algorithm) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (known, algorithm) => known == *algorithm,
        })
    };
    let (first, rest): (Vec<_>, Vec<_>) = Preferred::DEFAULT.key.iter().partition(is_known);
    Preferred { key: first.into_iter().chain(rest).cloned().collect(), ..Preferred::DEFAULT }
}

/// Decides about the host key, and about what the server asks of this side.
pub(super) struct Gatekeeper {
    target: SshTarget,
    policy: HostKeyPolicy,
    agent: Option<ForwardedAgent>,
}

/// Why no connection was agreed on.
#[derive(Debug)]
pub(super) enum HandshakeError {
    HostKey(SshError),
    Protocol(russh::Error),
}

impl From<russh::Error> for HandshakeError {
    fn from(error: russh::Error) -> HandshakeError {
        HandshakeError::Protocol(error)
    }
}

impl Handler for Gatekeeper {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        // Certificates are not offered in the handshake, so this is always a bare key.
        host_key::check(&self.policy, &self.target, &key.public_key()).map_err(HandshakeError::HostKey)?;
        Ok(true)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandshakeError> {
        // A server that asks for an agent which it was not offered learns nothing of it.
        let Some(ForwardedAgent { socket }) = &self.agent else {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        };
        match agent::connect(socket.as_deref()).await {
            Ok(agent) => {
                reply.accept().await;
                let (mut there, mut here) = (channel.into_stream(), agent.into_inner());
                tokio::spawn(async move {
                    if let Err(error) = tokio::io::copy_bidirectional(&mut there, &mut here).await {
                        tracing::debug!(%error, "the forwarded agent ended");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no agent is forwarded");
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
            }
        }
        Ok(())
    }
}
