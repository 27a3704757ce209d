//! Clusters of `--simulate`: the built-in simulator on a socket, with its state sealed in the environment's folder.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use pve_api_client::ssh::{HostKeyPolicy, SshAuthentication, SshSettings, SshTarget, SshUploader};
use pve_simulator::{Options, Server, Simulator, StateFile, serve};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::api::NodeAddresses;
use crate::failure::{Failure, chain};
use crate::project::Project;

/// What a sealed state is bound to.
const PLACE: &str = "simulator";

/// The state of a simulated cluster, sealed: it has what guests were given, passwords and keys too.
struct SealedFile {
    path: PathBuf,
    key: pve_state::Key,
}

impl StateFile for SealedFile {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(sealed) = self.path.read()? else { return Ok(None) };
        let shown = self.path.display().to_string();
        let plain = self.key.open(&sealed, PLACE, &shown).map_err(io::Error::other)?;
        Ok(Some(plain.to_vec()))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.path.write(&self.key.seal(bytes, PLACE).map_err(io::Error::other)?)
    }
}

/// Starts the simulated cluster that stands for `endpoint`; one configuration may use several.
///
/// # Errors
/// When its state cannot be used, or no port is free.
pub async fn start(project: &Project, endpoint: &str) -> Result<Server, Failure> {
    let folder = project.data_folder();
    std::fs::create_dir_all(&folder)?;
    let path = state_path(&folder, endpoint);
    let shown = path.display().to_string();
    let file = SealedFile { path, key: project.key()? };
    let simulator = Simulator::open(file, Options::default()).map_err(|error| {
        let hint = format!("Remove {shown} and the log beside it to start anew.");
        Failure::hinted(format!("{shown}: {}", chain(&error)), hint)
    })?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    serve(simulator, listen)
        .await
        .map_err(|error| Failure::plain(format!("the simulator: {}", chain(&error))))
}

fn state_path(folder: &Path, endpoint: &str) -> PathBuf {
    if endpoint.is_empty() {
        return folder.join("simulator.db");
    }
    let digest = Sha256::digest(endpoint);
    let name: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("simulator-{name}.db"))
}

/// Files of a simulated cluster: its own SSH server, its own host key.
pub fn ssh(server: &Server) -> (SshUploader, NodeAddresses) {
    let password = SecretString::from(server.ssh.password.as_str());
    let mut settings = SshSettings::new(&server.ssh.username, vec![SshAuthentication::Password(password)]);
    settings.host_keys = HostKeyPolicy::Pinned(vec![server.ssh.host_key.clone()]);
    let address = server.ssh.address;
    let target = SshTarget { host: address.ip().to_string(), port: address.port() };
    (SshUploader::new(settings), NodeAddresses::Fixed(target))
}
