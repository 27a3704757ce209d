//! The simulator on a socket: TLS, HTTP, SSH.

mod form;
mod http;
mod multipart;
mod sftp;
mod ssh;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::simulator::{RequestRecord, Simulator};
pub(crate) use form::percent_decode;
pub(crate) use sftp::volume_at;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate could not be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The TLS configuration was refused.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
}

/// A running server. It stops when it is shut down or dropped.
pub struct Server {
    /// `https://127.0.0.1:PORT/`
    pub endpoint: String,
    /// SHA-256 fingerprint of the certificate, `AA:BB:...`.
    pub fingerprint_sha256: String,
    /// The certificate to trust, as PEM.
    pub certificate: String,
    /// The API token, `USER@REALM!ID=UUID`.
    pub token: String,
    /// Where files are uploaded and commands run.
    pub ssh: SshEndpoint,
    simulator: Simulator,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Where files are uploaded by SFTP and commands run.
#[derive(Debug, Clone)]
pub struct SshEndpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// `root`.
    pub username: String,
    /// Its password; any public key is accepted too.
    pub password: String,
    /// The host key in OpenSSH's form, `ssh-ed25519 AAAA...`.
    pub host_key: String,
}

impl Server {
    /// The requests made so far.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.simulator.requests()
    }

    /// The cluster behind the server.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Stops listening and closes the connections.
    pub async fn shutdown(mut self) {
        // Nobody listens any more if the tasks have ended already.
        let _ = self.stop.send(true);
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Serves the simulator at `listen` (port 0: any free one), with SFTP at another free port of the same host.
///
/// # Errors
/// The address is taken, or the certificate cannot be made.
pub async fn serve(simulator: Simulator, listen: SocketAddr) -> Result<Server, ServeError> {
    let bind = |address: SocketAddr| async move {
        TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
    };
    let identity = tls::identity(listen.ip())?;
    let listener = bind(listen).await?;
    let ssh_listener = bind(SocketAddr::new(listen.ip(), 0)).await?;
    let address_of = |listener: &TcpListener| {
        listener.local_addr().map_err(|source| ServeError::Listen { address: listen, source })
    };
    let (address, ssh_address) = (address_of(&listener)?, address_of(&ssh_listener)?);
    let (stop, stopped) = watch::channel(false);
    if !ssh_address.ip().is_unspecified() {
        simulator.set_address(ssh_address.ip());
    }
    let options = simulator.options();
    let host_key = ssh::host_key(&simulator);
    let ssh = SshEndpoint {
        address: ssh_address,
        username: "root".to_owned(),
        password: options.password.clone(),
        host_key: host_key.public_key().to_openssh().unwrap_or_default(),
    };
    let tasks = vec![
        tokio::spawn(http::run(simulator.clone(), listener, Arc::new(identity.config), stopped.clone())),
        tokio::spawn(ssh::run(simulator.clone(), ssh_listener, host_key, stopped)),
    ];
    Ok(Server {
        endpoint: format!("https://{address}/"),
        fingerprint_sha256: identity.fingerprint,
        certificate: identity.certificate,
        token: simulator.token(),
        ssh,
        simulator,
        stop,
        tasks,
    })
}
