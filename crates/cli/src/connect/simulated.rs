//! Clusters of `--simulate`: the built-in simulator on a socket, with its state sealed in the environment's folder.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use pve_api_client::ssh::{HostKeyPolicy, SshAuthentication, SshSettings, SshTarget, SshUploader};
use pve_simulator::{OpenError, Options, Seed, Server, Simulator, StateFile, serve};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::api::NodeAddresses;
use crate::failure::{Failure, chain};
use crate::project::Project;

/// What a sealed state is bound to.
const PLACE: &str = "simulator";
/// The file beside the configuration that describes what a new simulated cluster has.
const DESCRIPTION: &str = "simulator.json";

/// What a run does with a simulated cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is kept: another run may write the state meanwhile, and a new cluster is one for this run only.
    Reading,
    /// What is changed is kept. The run holds the lock of the environment.
    Writing,
}

/// The state of a simulated cluster, sealed: it has what guests were given, passwords and keys too.
struct SealedFile {
    path: PathBuf,
    key: pve_state::Key,
    access: Access,
    /// What is there is passed over.
    is_forgotten: bool,
}

impl StateFile for SealedFile {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        if self.is_forgotten {
            return Ok(None);
        }
        let Some(sealed) = self.path.read()? else { return Ok(None) };
        let shown = self.path.display().to_string();
        let plain = self.key.open(&sealed, PLACE, &shown).map_err(io::Error::other)?;
        Ok(Some(plain.to_vec()))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if self.access == Access::Reading {
            return Ok(());
        }
        self.path.write(&self.key.seal(bytes, PLACE).map_err(io::Error::other)?)
    }
}

/// Starts the simulated cluster that stands for `endpoint`; one configuration may use several.
///
/// # Errors
/// When its state cannot be used, or no port is free.
pub async fn start(project: &Project, endpoint: &str, access: Access) -> Result<Server, Failure> {
    let folder = project.data_folder();
    std::fs::create_dir_all(&folder).map_err(Failure::writing(&folder))?;
    let path = state_path(&folder, endpoint);
    let shown = path.display().to_string();
    let seed = match project.root.join(DESCRIPTION) {
        path if path.exists() => read_seed(&path)?,
        _ => Seed::default(),
    };
    let open = |is_forgotten| {
        let file = SealedFile { path: path.clone(), key: project.key()?, access, is_forgotten };
        Ok::<_, Failure>(Simulator::open(file, options(&seed)))
    };
    let mut is_new = !path.exists();
    let opened = match open(false)? {
        Err(OpenError::Format(_)) => {
            // Nothing real is in it, and what the log has of it is planned anew.
            is_new = true;
            set_aside(&path, access)?;
            open(true)?
        }
        opened => opened,
    };
    let simulator = opened.map_err(|error| {
        let hint = "Nothing real is in it: remove it to begin with a new simulated cluster.";
        Failure::hinted(format!("{shown}: {}", chain(&error)), hint)
    })?;
    if is_new {
        simulator.seed(&seed).map_err(|error| Failure::plain(format!("{DESCRIPTION}: {error}")))?;
    }
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    serve(simulator, listen)
        .await
        .map_err(|error| Failure::plain(format!("the simulator: {}", chain(&error))))
}

/// Keeps a simulated cluster of another version under another name, where anything is kept.
fn set_aside(path: &Path, access: Access) -> Result<(), Failure> {
    let aside = path.with_extension("db.old");
    if access == Access::Writing {
        std::fs::rename(path, &aside).map_err(Failure::writing(&aside))?;
    }
    eprintln!(
        "Note: the simulated cluster in {} is of another version of pve and cannot be read. It begins anew (the old one goes \
         to {}): what the log knows of it is gone, and is planned to be made again.",
        path.display(),
        aside.display()
    );
    Ok(())
}

/// Reads a description of a cluster.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn read_seed(path: &Path) -> Result<Seed, Failure> {
    let fail = |error: String| Failure::plain(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(Failure::reading(path))?;
    serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))
}

/// The options of a cluster with the described nodes and behaviour.
pub fn options(seed: &Seed) -> Options {
    let mut nodes = seed.nodes.iter().cloned();
    let node = nodes.next().unwrap_or_else(|| Options::default().node);
    Options { node, other_nodes: nodes.collect(), ..Options::default() }.behaving(&seed.behaviour)
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
