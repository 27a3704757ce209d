//! SSH beside the API, because the API cannot upload snippets. Files go to `sftp`, commands to `tools`.

use std::collections::HashMap;
use std::sync::Arc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::server::{Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::sftp::{Files, LARGEST_FILE};
use crate::simulator::Simulator;
use crate::tools;

/// The host key; it follows from the state, so it stays the same over a restart.
pub(crate) fn host_key(simulator: &Simulator) -> PrivateKey {
    let seed = simulator.derived_secret("host key");
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed)), "simulator")
        .unwrap_or_else(|_| PrivateKey::from(Ed25519Keypair::from_seed(&seed)))
}

/// Accepts connections until told to stop.
pub(crate) async fn run(
    simulator: Simulator,
    listener: TcpListener,
    key: PrivateKey,
    mut stopped: watch::Receiver<bool>,
) {
    let config = Arc::new(russh::server::Config {
        keys: vec![key],
        auth_rejection_time: std::time::Duration::from_millis(10),
        auth_rejection_time_initial: Some(std::time::Duration::ZERO),
        nodelay: true,
        ..russh::server::Config::default()
    });
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else { continue };
        let handler =
            Connection { simulator: simulator.clone(), channels: HashMap::new(), waiting: HashMap::new() };
        let config = config.clone();
        connections.spawn(async move {
            if let Ok(session) = russh::server::run_stream(config, stream, handler).await {
                let _ = session.await;
            }
        });
    }
    connections.abort_all();
}

struct Connection {
    simulator: Simulator,
    channels: HashMap<ChannelId, Channel<Msg>>,
    /// Commands that read what their client sends, with what has come.
    waiting: HashMap<ChannelId, (String, Vec<u8>)>,
}

impl Connection {
    fn execute(
        &self,
        id: ChannelId,
        line: &str,
        input: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(finished) = self.simulator.execute(line, input) {
            session.data(id, finished.stdout)?;
            session.extended_data(id, 1, finished.stderr)?;
            session.exit_status_request(id, finished.code)?;
            session.eof(id)?;
        }
        session.close(id)
    }
}

impl russh::server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let accepted = user == "root" && password == self.simulator.options().password;
        Ok(if accepted { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        _: russh::server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if user == "root" { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.channels.remove(&id).filter(|_| name == "sftp") {
            Some(channel) => {
                session.channel_success(id)?;
                let files = Files::new(self.simulator.clone());
                russh_sftp::server::run(channel.into_stream(), files).await;
            }
            None => session.channel_failure(id)?,
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        line: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        let line = String::from_utf8_lossy(line).into_owned();
        if tools::reads_input(&line) {
            self.waiting.insert(id, (line, Vec::new()));
            return Ok(());
        }
        self.execute(id, &line, &[], session)?;
        self.channels.remove(&id);
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        if let Some((_, input)) = self.waiting.get_mut(&id) {
            if (input.len() + data.len()) as u64 > LARGEST_FILE {
                self.waiting.remove(&id);
                return session.close(id);
            }
            input.extend_from_slice(data);
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        if let Some((line, input)) = self.waiting.remove(&id) {
            self.execute(id, &line, &input, session)?;
            self.channels.remove(&id);
        }
        Ok(())
    }
}
