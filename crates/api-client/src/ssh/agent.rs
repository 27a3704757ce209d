//! What differs between platforms: where the agent listens and where the machine's `known_hosts` lies.

use std::path::{Path, PathBuf};

use russh::keys::agent::client::{AgentClient, AgentStream};

/// A connection to an agent, whatever carries it.
pub(super) type Agent = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// The `known_hosts` that all users of this machine share.
#[cfg(not(windows))]
pub(super) fn machine_known_hosts() -> Option<PathBuf> {
    Some(PathBuf::from("/etc/ssh/ssh_known_hosts"))
}

/// The `known_hosts` that all users of this machine share.
#[cfg(windows)]
pub(super) fn machine_known_hosts() -> Option<PathBuf> {
    std::env::var_os("ProgramData").map(|folder| PathBuf::from(folder).join("ssh").join("ssh_known_hosts"))
}

/// Connects to the agent; an error is why there is none.
#[cfg(unix)]
pub(super) async fn connect(socket: Option<&Path>) -> Result<Agent, String> {
    let environment = || std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = socket.map(Path::to_path_buf).or_else(environment);
    let path = path.ok_or("SSH_AUTH_SOCK is not set: no agent runs")?;
    let agent = AgentClient::connect_uds(&path).await;
    agent.map(AgentClient::dynamic).map_err(|error| format!("no agent at {}: {error}", path.display()))
}

/// Connects to the agent; an error is why there is none.
#[cfg(windows)]
pub(super) async fn connect(socket: Option<&Path>) -> Result<Agent, String> {
    let environment = || std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(pipe) = socket.map(Path::to_path_buf).or_else(environment) {
        let agent = AgentClient::connect_named_pipe(&pipe).await;
        return agent
            .map(AgentClient::dynamic)
            .map_err(|error| format!("no agent at {}: {error}", pipe.display()));
    }
    match AgentClient::connect_named_pipe(r"\\.\pipe\openssh-ssh-agent").await {
        Ok(agent) => Ok(agent.dynamic()),
        Err(error) => match AgentClient::connect_pageant().await {
            Ok(agent) => Ok(agent.dynamic()),
            Err(pageant) => Err(format!("neither OpenSSH's agent ({error}) nor Pageant ({pageant}) runs")),
        },
    }
}

/// No agent is known on this platform.
#[cfg(not(any(unix, windows)))]
pub(super) async fn connect(_socket: Option<&Path>) -> Result<Agent, String> {
    Err("agents are not supported on this platform".into())
}
